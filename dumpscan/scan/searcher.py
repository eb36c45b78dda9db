"""What a search over memory looks like from above: signatures to announce, batches of places out.

The engine is one searcher; searches that no byte signature can express, such as that for AES schedules, are its peers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np

from dumpscan.scan.signature import Hit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from numpy.typing import NDArray

    from dumpscan.memory.space import Region
    from dumpscan.scan.signature import Signature


class Scannable(Protocol):
    """As much of an address space as a searcher needs."""

    @property
    def buffer(self) -> memoryview:
        """The whole file, mapped."""

    @property
    def regions(self) -> Sequence[Region]:
        """Regions by ascending address, not overlapping there."""

    @property
    def pointer_size(self) -> int:
        """Size of a pointer in bytes: 4 or 8."""

    @property
    def reach(self) -> tuple[int, int]:
        """The first address to which a pointer may lead, and the one past the last."""


class Matches(NamedTuple):
    """Places that a searcher found, as arrays of equal length, by ascending place.

    Attributes:
        signatures: Indexes into `Searcher.signatures`.
        starts: Address (or offset in bytes, in a plain buffer) of the first byte of the match; the signature's `lead`
            is not yet taken off.
    """

    signatures: NDArray[np.uint16]
    starts: NDArray[np.uint64]


class Searcher(Protocol):
    """Finds places where objects may lie. It may be used any number of times, from one thread at a time."""

    @property
    def signatures(self) -> tuple[Signature, ...]:
        """What its matches announce. The `length` of each is the most bytes that a match spans."""

    def batches(
        self, space: Scannable, *, threads: int | None = None, progress: Callable[[int], None] | None = None
    ) -> Iterator[Matches]:
        """Search an address space, across adjacent regions too, each place once.

        Args:
            space: The mapped file and its regions.
            threads: Threads to search with; by default as many as the searcher finds useful.
            progress: Called with a number of bytes when that many more have been searched; the numbers add up to the
                size of all regions.

        Yields:
            Matches, as addresses, block by block while the caller takes them.
        """

    def scan_buffer(self, data: memoryview | bytes, *, threads: int | None = None) -> Matches:
        """Search a contiguous buffer of any size; the places are offsets in it."""


def by_place(batches: Iterable[Matches]) -> Matches:
    """Put the matches of all batches together, by ascending place."""
    empty = Matches(np.zeros(0, np.uint16), np.zeros(0, np.uint64))
    together = Matches(*map(np.concatenate, zip(empty, *batches, strict=True)))
    order = np.argsort(together.starts, kind="stable")
    return Matches(together.signatures[order], together.starts[order])


_HITS = 1 << 12
"""Hits made at once from a batch's arrays: as Python objects they take many times the memory."""


def hits(signatures: Sequence[Signature], matches: Matches) -> Iterator[Hit]:
    """Turn matches into hits, which have `lead` taken off; an object that would begin before address 0 is left out."""
    for begin in range(0, len(matches.starts), _HITS):
        numbers, starts = (part[begin : begin + _HITS].tolist() for part in matches)
        for number, start in zip(numbers, starts, strict=True):
            signature = signatures[number]
            if start >= signature.lead:
                yield Hit(signature, start - signature.lead)
