"""A line of bytes for memory that lies scattered over a file, such as that of one process in an image."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from dumpscan.scan.stretches import Block, FileStretches, SeamWindows, cut_one

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from dumpscan.scan.stretches import Line, Pieces

BLOCK = 1 << 20
"""Bytes that are gathered at once: few enough to stay in a processor's cache until they have been searched."""
SCATTERED = 256 << 10
"""Where the blocks of `FileStretches` are smaller than so many bytes on average, gathering them takes less time."""
_FEW = 8
_ALIGNMENT = 64


def lines_of(buffer: memoryview, pieces: Pieces, overlap: int) -> tuple[Line, ...]:
    """Return the lines that cover an address space, each match of up to `overlap` + 1 bytes once.

    Args:
        buffer: The file.
        pieces: Where the regions lie in it.
        overlap: As for `FileStretches`.
    """
    if _is_scattered(pieces, len(buffer)):
        return (Gathered(buffer, pieces, overlap),)
    return FileStretches(buffer, pieces, overlap), SeamWindows(buffer, pieces, overlap)


def _is_scattered(pieces: Pieces, file_size: int) -> bool:
    """Say whether it saves time to gather regions; not of a file in which they overlap, where that could take ever."""
    size, blocks = int(pieces.sizes.sum()), len(pieces.in_file.blocks)
    return blocks > _FEW and size < blocks * SCATTERED and size <= file_size


class Gathered:
    """All regions, one behind the other in the order of their addresses (see `dumpscan.scan.stretches.Line`).

    Regions that follow one another in the address space do so here too, so that there are no seams. The others begin at
    positions that are, modulo `_ALIGNMENT`, what their addresses are; there are zeros between them.
    """

    def __init__(self, buffer: memoryview, pieces: Pieces, overlap: int) -> None:
        self._buffer = buffer
        self._overlap = overlap
        new = np.ones(len(pieces.starts), np.bool_)
        new[1:] = pieces.starts[1:] != pieces.starts[:-1] + pieces.sizes[:-1].astype(np.uint64)
        first = np.flatnonzero(new)
        self._addresses = pieces.starts[first]
        sizes = np.add.reduceat(pieces.sizes, first)
        leads = (self._addresses % np.uint64(_ALIGNMENT)).astype(np.int64)
        taken = -(-(leads + sizes) // _ALIGNMENT) * _ALIGNMENT
        self._begins = np.cumsum(taken) - taken + leads
        self._ends = self._begins + sizes
        run = np.cumsum(new) - 1
        self._positions = self._begins[run] + (pieces.starts - self._addresses[run]).astype(np.int64)
        self._sizes = pieces.sizes
        self._offsets = pieces.offsets

    def blocks(self) -> Iterator[Block]:
        """Cut the line into blocks."""
        for first, begin, end in cut_one(int(self._ends[-1]), BLOCK, self._overlap):
            yield Block(first, begin, end, sum(size for _, _, size in self._parts(begin, end)))

    def data(self, block: Block) -> memoryview:
        """Copy the bytes from the file."""
        gathered = memoryview(bytearray(block.end - block.first))
        for position, offset, size in self._parts(block.first, block.end):
            at = position - block.first
            gathered[at : at + size] = self._buffer[offset : offset + size]
        return gathered

    def _parts(self, begin: int, end: int) -> Iterator[tuple[int, int, int]]:
        """Yield the position, the offset in the file and the size of each region's part between two positions."""
        ends = self._positions + self._sizes
        part = slice(int(np.searchsorted(ends, begin, "right")), int(np.searchsorted(self._positions, end)))
        skipped = np.maximum(begin - self._positions[part], 0)
        sizes = np.minimum(ends[part], end) - self._positions[part] - skipped
        columns = self._positions[part] + skipped, self._offsets[part] + skipped, sizes
        yield from zip(*(column.tolist() for column in columns), strict=True)

    def locate(self, starts: NDArray[np.int64], ends: NDArray[np.int64]) -> tuple[NDArray[np.intp], NDArray[np.uint64]]:
        """Keep matches that lie within regions that follow one another (see `Line`)."""
        run = np.searchsorted(self._begins, starts, side="right") - 1
        kept = np.flatnonzero((run >= 0) & (ends <= self._ends[run]))
        run = run[kept]
        return kept, self._addresses[run] + (starts[kept] - self._begins[run]).astype(np.uint64)

    def phases(self, block: Block, size: int) -> list[int]:
        """Tell the one way in which words of up to `_ALIGNMENT` bytes lie (see `Line`)."""
        return [-block.first % size]
