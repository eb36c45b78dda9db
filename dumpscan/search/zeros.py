"""Memory without its long runs of zeros, in which there is nothing to find.

`gcore` writes address space as zeros that a program had only reserved: two gigabytes for a Java process of 47 MB.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, overload

import numpy as np

from dumpscan.memory.regions import RegionTable, columns_of, without_holes
from dumpscan.memory.space import ANYWHERE

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from dumpscan.memory.space import Memory, Region

MIN_REGION = 4 << 20
"""Bytes of the smallest region that is looked into."""
MARGIN = 4096
"""Bytes of zeros that are kept at either end of a run: what begins or ends with zeros is still found."""
_STEP = 1 << 20
_SAMPLE = 4096
"""Bytes that are compared at once, and those that are looked at first: nearly all memory shows there that it has some
other bytes."""


@dataclass(frozen=True, slots=True)
class Part:
    """Part of a memory that lies in a mapped file, as searchers see it (see `dumpscan.memory.space.Searchable`).

    Attributes:
        memory: The whole memory, from which is read.
        buffer: The file.
        regions: Where to look.
        reach: Where pointers may lead (see `Searchable`).
    """

    memory: Memory
    buffer: memoryview
    regions: Sequence[Region]
    reach: tuple[int, int] = ANYWHERE

    @property
    def pointer_size(self) -> int:
        """That of the memory."""
        return self.memory.pointer_size

    def read(self, address: int, size: int) -> bytes:
        """Read from the whole memory."""
        return self.memory.read(address, size)


@overload
def without_zeros(buffer: memoryview, regions: RegionTable) -> RegionTable: ...
@overload
def without_zeros(buffer: memoryview, regions: Sequence[Region]) -> Sequence[Region]: ...
def without_zeros(buffer: memoryview, regions: Sequence[Region]) -> Sequence[Region]:
    """Return regions less their long runs of zeros; the same ones where there are none.

    Args:
        buffer: The file that they lie in.
        regions: By ascending address.
    """
    starts, sizes, offsets = columns_of(regions)
    large = np.flatnonzero(sizes >= MIN_REGION).tolist()
    runs = sorted(run for number in large for run in _zeros(buffer, int(offsets[number]), int(sizes[number])))
    if not runs:
        return regions
    apart = [runs[0]]  # regions that share bytes of the file share their zeros
    for begin, end in runs[1:]:
        if begin >= apart[-1][1]:
            apart.append((begin, end))
    return without_holes(RegionTable(starts, sizes, offsets), apart, MARGIN)


def _zeros(buffer: memoryview, offset: int, size: int) -> Iterator[tuple[int, int]]:
    """Yield the runs of steps that are all zeros, as offsets in the file of the first byte and past the last."""
    first = None
    for at in range(offset, offset + size - _STEP + 1, _STEP):
        words = np.frombuffer(buffer, np.uint64, _STEP // 8, at)
        zero = not words[: _SAMPLE // 8].max() and not words.max()
        if zero and first is None:
            first = at
        elif not zero and first is not None:
            yield first, at
            first = None
    if first is not None:
        yield first, offset + size // _STEP * _STEP
