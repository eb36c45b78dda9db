"""Which places in memory a word of memory points to."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from dumpscan.memory.regions import WORD, columns_of
from dumpscan.scan.passes import aligned_matches
from dumpscan.scan.searcher import Matches
from dumpscan.scan.signature import Signature

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dumpscan.scan.searcher import Scannable

    Words = NDArray[np.uint64]

_CHUNK = 32 << 10
_POINTER = Signature("pointer", b"", WORD)
_ALIGNMENT = np.uint64(WORD - 1)


class Targets:
    """What words of memory point to, found when it is first asked for; it takes an eighth of the memory's size.

    Args:
        space: The memory.
        threads: As for `aligned_matches`.
    """

    def __init__(self, space: Scannable, threads: int | None = None) -> None:
        self._space = space
        self._threads = threads
        starts, sizes, _ = columns_of(space.regions)
        skipped = np.minimum(-starts & _ALIGNMENT, sizes)  # up to the first multiple of 8
        counts = (sizes - skipped) // np.uint64(WORD)
        kept = counts > 0
        self._starts, counts = (starts + skipped)[kept], counts[kept]
        self._ends = self._starts + counts * np.uint64(WORD)
        self._first = np.cumsum(counts) - counts
        self._count = int(counts.sum())

    @cached_property
    def addresses(self) -> Words:
        """The multiples of 8 in the memory that some word of it is, in ascending order."""
        if not self._count:
            return np.zeros(0, np.uint64)
        self._hit = np.zeros(self._count, np.bool_)
        for _ in aligned_matches(self._space, [_POINTER], self._note, threads=self._threads):
            pass
        slots = np.flatnonzero(self._hit).astype(np.uint64)
        region = np.searchsorted(self._first, slots, "right") - 1
        pointed: Words = self._starts[region] + (slots - self._first[region]) * np.uint64(WORD)
        return pointed

    def _note(self, data: memoryview, phases: tuple[int, ...]) -> Matches:
        least, span = self._starts[0], self._ends[-1] - self._starts[0]
        for phase in phases:
            words = np.frombuffer(data, "<u8", max(len(data) - phase, 0) // WORD, min(phase, len(data)))
            for begin in range(0, len(words), _CHUNK):
                part = words[begin : begin + _CHUNK]
                part = part[part - least < span]
                self._hit[self._slots(part[part & _ALIGNMENT == 0])] = True
        return Matches(np.zeros(0, np.uint16), np.zeros(0, np.uint64))

    def _slots(self, addresses: Words) -> NDArray[np.uint64]:
        """Return the numbers of the words at addresses; others are left out."""
        region = np.searchsorted(self._starts, addresses, "right") - 1
        held = (region >= 0) & (addresses < self._ends[region])
        region, addresses = region[held], addresses[held]
        slots: NDArray[np.uint64] = self._first[region] + (addresses - self._starts[region]) // np.uint64(WORD)
        return slots
