"""How a search is done, the same for every kind of dump."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchOptions:
    """How a search is done.

    Attributes:
        pids: Only these processes; memory of the kernel and of nobody is left out then.
        names: Only processes whose names match one of these patterns, likewise.
        threads: As for `dumpscan.scan.searcher.Searcher`.
        deep: Whether to look for the private keys of all public keys found, whatever that takes.
        public_keys: Public keys (SubjectPublicKeyInfo, DER) whose private ones are looked for as if they had been found
            in the dump, in a dump of any size.
        spans: Parts of the file, as (offset, end), ascending and apart: only what begins in one of them is found, and
            no private keys of public ones are looked for. None: everything is searched.
    """

    pids: Sequence[int] = ()
    names: Sequence[str] = ()
    threads: int | None = None
    deep: bool = False
    public_keys: Sequence[bytes] = ()
    spans: Sequence[tuple[int, int]] | None = None

    @property
    def filtered(self) -> bool:
        """Whether only some processes are wanted."""
        return bool(self.pids or self.names)
