"""How far the search for known keys goes: what is tried first, what is not tried any more, and that this is said."""

from __future__ import annotations

from dataclasses import dataclass, field

_FREE = 250_000
_PER_MIB = 1_200
"""Microseconds that a search takes which is not deep, at first and for each MiB: half of what the scan takes."""
PATIENCE_FOR_NAMED = 20
"""How many times longer than otherwise it may take if the user names keys."""
_PATIENCE_FOR_UNLIKELY = 4
"""The same for keys of authorities, in a search that is deep."""
_MIB = 1 << 20


@dataclass(slots=True)
class Effort:
    """How far a search goes.

    Attributes:
        size: Bytes of memory that the search goes over.
        deep: Whether all candidates are tried, whatever that takes.
        threads: As for `dumpscan.scan.searcher.Searcher`.
        patience: How many times longer than usual it may take.
        skipped: What was not tried, a sentence each.
    """

    size: int = 0
    deep: bool = False
    threads: int | None = None
    patience: float = 1
    skipped: list[str] = field(default_factory=list)
    _left: float = 0

    def __post_init__(self) -> None:
        self._left = self.patience * (_FREE + _PER_MIB * self.size / _MIB)

    def limited(self, size: int) -> Effort:
        """Return an effort for what is hardly there: it is not deep, whatever this one is."""
        return Effort(size, threads=self.threads, patience=_PATIENCE_FOR_UNLIKELY, skipped=self.skipped)

    def affords(self, microseconds: float) -> bool:
        """Say whether a step of some microseconds of one processor core of 2020 may be taken, and take note of it."""
        if not self.deep and microseconds > self._left:
            return False
        self._left -= microseconds
        return True

    def skip(self, what: str) -> None:
        """Note what is not tried."""
        if what not in self.skipped:
            self.skipped.append(what)
