"""What the engine scans: lines of bytes, cut into blocks, and the addresses of positions in a line.

Two lines cover an address space whose regions lie in one mapped file. `FileStretches` is the file itself, where regions
lie in it; it finds everything within a region. `SeamWindows` joins the edges of regions that follow one another in the
address space but not in the file; it finds only what crosses such a seam. So nothing is found twice.

All tables are numpy arrays with one entry per region (addresses unsigned, sizes and offsets signed, 64 bits, bytes). A
dump may have hundreds of thousands of regions, so no loop goes over them one by one.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from heapq import heappush, heapreplace
from typing import TYPE_CHECKING, Protocol
from weakref import WeakKeyDictionary

import numpy as np

from dumpscan.memory.regions import RegionTable, columns_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from dumpscan.memory.space import Region

BLOCK = 8 << 20
"""Bytes of the file in one block: enough to outweigh the cost of handing it to a thread, few enough that the matches of
a full block fit into memory."""

SEAM_BLOCK = 256 << 10
"""Bytes of joined edges in one block. Gathering them takes an index of 8 bytes each."""

GAP = 64 << 10
"""Holes between regions in the file up to this size are scanned too, which takes less time than another block. Matches
in a hole belong to no region and are dropped."""

SHARING = 16
"""Regions that may share a byte of the file; others are not scanned. Real dumps have none, a forged one could have a
million, each with everything in the file."""


@dataclass(frozen=True, slots=True)
class Block:
    """A part of a line. Matches that end after `begin`, up to and at `end`, are this block's own.

    Attributes:
        first: Position from which to scan: so far before `begin` that a match of any length is seen whole.
        begin: Position of the block's first byte.
        end: Position past its last byte.
        size: Bytes of regions in the block, for a progress display. They add up to the size of all regions.
    """

    first: int
    begin: int
    end: int
    size: int


class Line(Protocol):
    """Bytes in one line, which the engine scans block by block."""

    def blocks(self) -> Iterator[Block]:
        """Cut the line into blocks, in order."""

    def data(self, block: Block) -> memoryview:
        """Return the bytes from `first` to `end`; called from several threads at once."""

    def locate(self, starts: NDArray[np.int64], ends: NDArray[np.int64]) -> tuple[NDArray[np.intp], NDArray[np.uint64]]:
        """Translate positions of matches in the line to addresses.

        Args:
            starts: Position of each match's first byte, shape (n,).
            ends: Position past its last byte.

        Returns:
            Indexes into `starts` and the address of the first byte of each. A match that does not lie in a region
            whole is left out; a match in a part of the file that several regions share occurs several times.
        """

    def phases(self, block: Block, size: int) -> list[int]:
        """Say where in a block words of `size` bytes begin.

        Returns:
            The numbers that, modulo `size`, bytes at addresses that are multiples of `size` have in the block's data.
            There is more than one where regions lie differently in the file.
        """


@dataclass(frozen=True)
class Pieces:
    """Regions by ascending address; those that are contiguous in the address space and in the file are joined."""

    starts: NDArray[np.uint64]
    sizes: NDArray[np.int64]
    offsets: NDArray[np.int64]

    @classmethod
    def of(cls, regions: Sequence[Region]) -> Pieces:
        """Make the table from regions in ascending order of address that do not overlap."""
        if not isinstance(regions, RegionTable):
            return cls._of(regions)
        if regions not in _pieces:
            _pieces[regions] = cls._of(regions)
        return _pieces[regions]

    @classmethod
    def _of(cls, regions: Sequence[Region]) -> Pieces:
        starts, unsigned_sizes, unsigned_offsets = columns_of(regions)
        sizes, offsets = unsigned_sizes.astype(np.int64), unsigned_offsets.astype(np.int64)
        present = sizes > 0
        starts, sizes, offsets = starts[present], sizes[present], offsets[present]
        if not len(starts):
            return cls(starts, sizes, offsets)
        new = np.ones(len(starts), np.bool_)
        new[1:] = starts[1:] != starts[:-1] + sizes[:-1].astype(np.uint64)
        new[1:] |= offsets[1:] != offsets[:-1] + sizes[:-1]
        first = np.flatnonzero(new)
        return cls(starts[first], np.add.reduceat(sizes, first), offsets[first])

    @cached_property
    def in_file(self) -> _InFile:
        """The same in the order of the file."""
        return _InFile(self)


_pieces: WeakKeyDictionary[RegionTable, Pieces] = WeakKeyDictionary()
"""Those of the tables that are in use: every pass over the same memory needs them."""


def cut(begins: NDArray[np.int64], ends: NDArray[np.int64], length: int, overlap: int) -> NDArray[np.int64]:
    """Cut runs of bytes into blocks of `length` bytes, each scanned from `overlap` bytes before it.

    Returns:
        `first`, `begin` and `end` of each block, as columns.
    """
    counts = -(-(ends - begins) // length)
    run = np.repeat(np.arange(len(begins)), counts)
    number = np.arange(len(run)) - (np.cumsum(counts) - counts)[run]
    begin = begins[run] + number * length
    return np.stack(
        (np.maximum(begin - overlap, begins[run]), begin, np.minimum(begin + length, ends[run])),
        axis=1,
    )


def cut_one(end: int, length: int, overlap: int) -> list[tuple[int, int, int]]:
    """Cut one run of `end` bytes, as `cut` does."""
    return [(max(begin - overlap, 0), begin, min(begin + length, end)) for begin in range(0, end, length)]


def _layers(offsets: NDArray[np.int64], ends: NDArray[np.int64]) -> Iterator[NDArray[np.intp]]:
    """Divide pieces, ordered by offset, into at most `SHARING` sets within which they do not overlap in the file."""
    layers = np.full(len(offsets), SHARING)
    free: list[tuple[int, int]] = []  # (end of its last piece, layer), the one that ends first in front
    for number, (offset, end) in enumerate(zip(offsets.tolist(), ends.tolist(), strict=True)):
        if free and free[0][0] <= offset:
            layer = heapreplace(free, (end, free[0][1]))[1]
        elif len(free) < SHARING:
            layer = len(free)
            heappush(free, (end, layer))
        else:
            continue
        layers[number] = layer
    for layer in range(len(free)):
        yield np.flatnonzero(layers == layer)


class _InFile:
    """Where pieces lie in the file, computed once for all passes over them.

    Attributes:
        layers: Addresses, offsets and ends of pieces that do not overlap in the file, by ascending offset.
    """

    def __init__(self, pieces: Pieces) -> None:
        order = np.argsort(pieces.offsets, kind="stable")
        offsets = pieces.offsets[order]
        ends = offsets + pieces.sizes[order]
        self._offsets = offsets
        self._reach = np.maximum.accumulate(ends)  # the furthest end of this piece and all before it
        layers = _layers(offsets, ends) if (offsets[1:] < self._reach[:-1]).any() else [np.arange(len(offsets))]
        self.layers = [(pieces.starts[order[layer]], offsets[layer], ends[layer]) for layer in layers]
        # The bytes of pieces before x are the sum of (x - offset) over those that have begun before x, less the sum of
        # (x - end) over those that have ended.
        by_end = np.sort(ends)
        self._begun = offsets, np.concatenate(([0], np.cumsum(offsets)))
        self._ended = by_end, np.concatenate(([0], np.cumsum(by_end)))

    @cached_property
    def blocks(self) -> NDArray[np.int64]:
        """Every stretch of pieces without a hole larger than `GAP`, cut into blocks.

        The columns are: beginning of the stretch, beginning of the block, its end, bytes of pieces in it.
        """
        if not len(self._offsets):
            return np.zeros((0, 4), np.int64)
        new = np.flatnonzero(self._offsets[1:] > self._reach[:-1] + GAP) + 1
        begins = self._offsets[np.concatenate(([0], new))]
        ends = self._reach[np.concatenate((new, [len(self._reach)])) - 1]
        blocks = cut(begins, ends, BLOCK, overlap=int(ends[-1]))  # as far back as the stretch goes
        sizes = self._before(blocks[:, 2]) - self._before(blocks[:, 1])
        return np.column_stack((blocks, sizes))

    def _before(self, positions: NDArray[np.int64]) -> NDArray[np.int64]:
        """Count the bytes of pieces before each position; shared bytes count for each piece."""
        (offsets, offset_sums), (ends, end_sums) = self._begun, self._ended
        begun, ended = np.searchsorted(offsets, positions), np.searchsorted(ends, positions)
        before: NDArray[np.int64] = (begun - ended) * positions - offset_sums[begun] + end_sums[ended]
        return before


class FileStretches:
    """The mapped file, where regions lie in it. A position is an offset in the file.

    Bytes that several regions share are scanned once, and matches in them belong to each of up to `SHARING` regions.
    """

    def __init__(self, buffer: memoryview, pieces: Pieces, overlap: int) -> None:
        self._buffer = buffer
        self._overlap = overlap
        self._in_file = pieces.in_file
        self._layers = self._in_file.layers

    def blocks(self) -> Iterator[Block]:
        """Cut every stretch of regions without a hole larger than `GAP` into blocks."""
        for stretch, begin, end, size in self._in_file.blocks.tolist():
            yield Block(max(begin - self._overlap, stretch), begin, end, size)

    def data(self, block: Block) -> memoryview:
        """Return the bytes as they are mapped; nothing is copied."""
        return self._buffer[block.first : block.end]

    def locate(self, starts: NDArray[np.int64], ends: NDArray[np.int64]) -> tuple[NDArray[np.intp], NDArray[np.uint64]]:
        """Find the regions that hold each match whole (see `Line`)."""
        found = []
        for addresses, offsets, piece_ends in self._layers:
            piece = np.searchsorted(offsets, starts, side="right") - 1
            kept = np.flatnonzero((piece >= 0) & (piece_ends[piece] >= ends))
            piece = piece[kept]
            found.append((kept, addresses[piece] + (starts[kept] - offsets[piece]).astype(np.uint64)))
        return np.concatenate([kept for kept, _ in found]), np.concatenate([addresses for _, addresses in found])

    def phases(self, block: Block, size: int) -> list[int]:
        """Look up the regions in a block (see `Line`)."""
        found = []
        for addresses, offsets, ends in self._layers:
            part = slice(np.searchsorted(ends, block.first, side="right"), np.searchsorted(offsets, block.end))
            found.append(_phases(offsets[part] - block.first, addresses[part], size))
        return _each_once(np.concatenate(found))


class SeamWindows:
    """The edges of regions that are neighbours in the address space but not in the file.

    A position counts the bytes of all windows, one behind the other. A window is contiguous in the address space and
    holds enough bytes on both sides of each seam for any match across it, or all of a shorter region.
    """

    def __init__(self, buffer: memoryview, pieces: Pieces, overlap: int) -> None:
        ends = pieces.starts + pieces.sizes.astype(np.uint64)
        seam = np.zeros(len(pieces.starts) + 1, np.bool_)  # before each piece, and after the last
        seam[1:-1] = pieces.starts[1:] == ends[:-1]
        self._overlap = overlap
        self._positions = np.zeros(1, np.int64)
        if not seam.any():
            return  # there are no blocks, so that the rest is not asked for
        edge = np.minimum(pieces.sizes, overlap)
        head = np.where(seam[:-1], edge, 0)
        tail = np.where(seam[1:], np.minimum(edge, pieces.sizes - head), 0)
        skipped = np.stack((np.zeros_like(head), pieces.sizes - tail), axis=1).ravel()
        sizes = np.stack((head, tail), axis=1).ravel()
        used = np.flatnonzero(sizes)
        piece = used // 2
        self._mapped = np.frombuffer(buffer, np.uint8)
        self._piece = piece
        self._starts = pieces.starts[piece] + skipped[used].astype(np.uint64)
        self._offsets = pieces.offsets[piece] + skipped[used]
        self._positions = np.concatenate(([0], np.cumsum(sizes[used])))
        new = np.ones(len(used), np.bool_)
        new[1:] = self._starts[1:] != self._starts[:-1] + sizes[used[:-1]].astype(np.uint64)
        self._window = np.cumsum(new)

    def blocks(self) -> Iterator[Block]:
        """Cut the windows, taken as one line, into blocks."""
        for first, begin, end in cut_one(int(self._positions[-1]), SEAM_BLOCK, self._overlap):
            yield Block(first, begin, end, 0)  # `FileStretches` counts these bytes

    def data(self, block: Block) -> memoryview:
        """Gather the bytes from the file."""
        position = np.arange(block.first, block.end)
        part = self._part(position)
        gathered: NDArray[np.uint8] = self._mapped[self._offsets[part] + (position - self._positions[part])]
        return gathered.data

    def locate(self, starts: NDArray[np.int64], ends: NDArray[np.int64]) -> tuple[NDArray[np.intp], NDArray[np.uint64]]:
        """Keep matches that lie in one window and cross a seam in it (see `Line`)."""
        first, last = self._part(starts), self._part(ends - 1)
        kept = np.flatnonzero((self._window[first] == self._window[last]) & (self._piece[first] != self._piece[last]))
        first = first[kept]
        return kept, self._starts[first] + (starts[kept] - self._positions[first]).astype(np.uint64)

    def phases(self, block: Block, size: int) -> list[int]:
        """Look up the parts of windows in a block (see `Line`)."""
        first = int(np.searchsorted(self._positions, block.first, side="right")) - 1
        part = slice(first, int(np.searchsorted(self._positions[:-1], block.end)))
        return _each_once(_phases(self._positions[part] - block.first, self._starts[part], size))

    def _part(self, position: NDArray[np.int64]) -> NDArray[np.intp]:
        """Find the part of a window that holds each position."""
        return np.searchsorted(self._positions, position, side="right") - 1


def _phases(positions: NDArray[np.int64], addresses: NDArray[np.uint64], size: int) -> NDArray[np.int64]:
    """Say at which positions, modulo `size`, addresses are multiples of it, given positions and their addresses."""
    return (positions - (addresses % np.uint64(size)).astype(np.int64)) % size


def _each_once(phases: NDArray[np.int64]) -> list[int]:
    """Return small numbers in order, each once. `np.unique` would import numpy.ma, which takes milliseconds."""
    found: list[int] = np.flatnonzero(np.bincount(phases)).tolist()
    return found


class Plain:
    """A single buffer: positions and addresses are offsets in it."""

    def __init__(self, buffer: memoryview, overlap: int) -> None:
        self._buffer = buffer
        self._overlap = overlap

    def blocks(self) -> Iterator[Block]:
        """Cut the buffer into blocks."""
        for first, begin, end in cut_one(len(self._buffer), BLOCK, self._overlap):
            yield Block(first, begin, end, end - begin)

    def data(self, block: Block) -> memoryview:
        """Return the bytes; nothing is copied."""
        return self._buffer[block.first : block.end]

    def locate(
        self,
        starts: NDArray[np.int64],
        ends: NDArray[np.int64],  # noqa: ARG002 - the Protocol's
    ) -> tuple[NDArray[np.intp], NDArray[np.uint64]]:
        """Return every match: its address is its position."""
        return np.arange(len(starts)), starts.astype(np.uint64)

    def phases(self, block: Block, size: int) -> list[int]:
        """Count from the buffer's beginning (see `Line`)."""
        return [-block.first % size]
