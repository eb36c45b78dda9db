"""Tables of regions: sorted by address, without overlaps, looked up by address.

Kept as columns of 64-bit numbers, because a dump can have millions of regions.
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Callable, Sequence
from functools import cached_property
from operator import attrgetter
from typing import TYPE_CHECKING, overload

import numpy as np
from numpy.lib.stride_tricks import as_strided

from dumpscan.memory.space import Region

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Addresses = NDArray[np.uint64]

ADDRESS_LIMIT = 2**64 - 1
"""One past the last usable address. The last byte of the address space is given up, so that ends fit into 64 bits."""


_FREE_REGIONS = 16
"""Regions that a lookup may always cross. Real regions are pages or more, so that this is 64 KiB at least."""
_FIRST_ALLOWANCE = 1 << 20
_BYTES_PER_REGION = 1 << 10
"""Regions beyond those that all lookups together may cross: so many at first, and one more for so many bytes of memory.
Each takes about a microsecond. A forged dump can have a million regions of one byte, all within one object."""


class RegionTable(Sequence[Region]):
    """Regions in ascending order of address; none overlaps another.

    Args:
        starts: Address of the first byte of each region.
        sizes: Bytes in each.
        file_offsets: Offset in the file of the first byte of each.

    Attributes:
        total: Bytes of all regions together.
    """

    def __init__(self, starts: Addresses, sizes: Addresses, file_offsets: Addresses) -> None:
        self._starts = array("Q", starts.astype(np.uint64).tobytes())
        self._sizes = array("Q", sizes.astype(np.uint64).tobytes())
        self._file_offsets = array("Q", file_offsets.astype(np.uint64).tobytes())
        self.total = int(sizes.sum(dtype=np.uint64)) if len(sizes) else 0
        self._allowance = _FIRST_ALLOWANCE + self.total // _BYTES_PER_REGION
        self._cut_short = 0

    def __len__(self) -> int:
        return len(self._starts)

    @overload
    def __getitem__(self, index: int) -> Region: ...
    @overload
    def __getitem__(self, index: slice) -> list[Region]: ...
    def __getitem__(self, index: int | slice) -> Region | list[Region]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        return Region(self._starts[index], self._sizes[index], self._file_offsets[index])

    def at(self, address: int) -> Region:
        """Return the last region that begins at or before an address; the last of all if none does."""
        return self[bisect_right(self._starts, address) - 1]

    @cached_property
    def columns(self) -> tuple[Addresses, Addresses, Addresses]:
        """Starts, sizes and file offsets of all regions, each of shape (n,). Nothing is copied."""
        starts, sizes, offsets = (
            np.frombuffer(column, np.uint64) for column in (self._starts, self._sizes, self._file_offsets)
        )
        return starts, sizes, offsets

    def extents(self, address: int, size: int) -> list[tuple[int, int]]:
        """Return where up to `size` bytes at `address` lie, as (file offset, length) pairs; stop at the first gap.

        The regions that all lookups together cross are limited; past the limit, lookups stop early (see `problems`).
        """
        found: list[tuple[int, int]] = []
        if not 0 <= address <= ADDRESS_LIMIT:
            return found
        first = index = bisect_right(self._starts, address) - 1
        limit = index + _FREE_REGIONS + max(self._allowance, 0)
        while size > 0 and 0 <= index < len(self._starts):
            if index >= limit:
                self._cut_short += 1
                break
            skip = address - self._starts[index]
            here = min(self._sizes[index] - skip, size)
            if here <= 0 or skip < 0:
                break
            at = self._file_offsets[index] + skip
            if found and sum(found[-1]) == at:
                found[-1] = (found[-1][0], found[-1][1] + here)
            else:
                found.append((at, here))
            address += here
            size -= here
            index += 1
        self._allowance -= max(index - first - _FREE_REGIONS, 0)
        return found

    @property
    def problems(self) -> tuple[str, ...]:
        """Say that lookups were cut short, if any was."""
        if not self._cut_short:
            return ()
        return (f"memory is in pieces too small to read through: {self._cut_short} reads were cut short",)


def columns_of(regions: Sequence[Region]) -> tuple[Addresses, Addresses, Addresses]:
    """Return starts, sizes and file offsets of regions as columns; quickly, if they are a `RegionTable`."""
    if isinstance(regions, RegionTable):
        return regions.columns
    numbers = (number for region in regions for number in (region.start, region.size, region.file_offset))
    table = np.fromiter(numbers, np.uint64, 3 * len(regions)).reshape(-1, 3)
    return table[:, 0], table[:, 1], table[:, 2]


def reach_of(regions: Sequence[Region]) -> tuple[int, int]:
    """Return the first address that any region holds, and the one past the last; nothing if there is no region."""
    return (regions[0].start, regions[-1].end) if len(regions) else (0, 0)


def total_size(regions: Sequence[Region]) -> int:
    """Return the bytes of all regions together; quickly, if they are a `RegionTable`."""
    return regions.total if isinstance(regions, RegionTable) else sum(region.size for region in regions)


def region_at(regions: Sequence[Region], address: int) -> Region:
    """Return the region that holds an address, given that one does; quickly, if the regions are a `RegionTable`."""
    if isinstance(regions, RegionTable):
        return regions.at(address)
    return regions[bisect_right(regions, address, key=attrgetter("start")) - 1]


def without_holes(table: RegionTable, holes: Sequence[tuple[int, int]], margin: int) -> RegionTable:
    """Return regions less the holes of the file that they lie in; the same table where there are none.

    Args:
        table: The regions.
        holes: Offsets of each hole's first byte and past its last, ascending.
        margin: Bytes that are kept at either end of a hole: what begins or ends with zeros is still whole.
    """
    inner = [(begin + margin, end - margin) for begin, end in holes if end - begin > 2 * margin]
    if not inner:
        return table
    cuts = np.array(inner, np.uint64)
    # What is left of the file: from the end of each cut to the beginning of the next.
    left_begins = np.concatenate((np.zeros(1, np.uint64), cuts[:, 1]))
    left_ends = np.concatenate((cuts[:, 0], np.full(1, np.iinfo(np.uint64).max)))
    return _within_file(table, left_begins, left_ends)


def within(table: RegionTable, begins: Addresses, ends: Addresses) -> RegionTable:
    """Return what of some regions lies in ranges of addresses.

    Args:
        table: The regions.
        begins: First address of each range, ascending.
        ends: The address past each; no range overlaps another.
    """
    starts, sizes, offsets = table.columns
    region, first, lengths = common((starts, starts + sizes), (begins, ends))
    return RegionTable(first, lengths, offsets[region] + (first - starts[region]))


def without(regions: Sequence[Region], begins: Addresses, ends: Addresses) -> RegionTable:
    """Return what of some regions lies outside ranges of addresses.

    Args:
        regions: The regions, by ascending address.
        begins: First address of each range, in any order.
        ends: The address past each; ranges may overlap.
    """
    order = np.argsort(begins, kind="stable")
    begins, ends = begins[order], np.maximum.accumulate(ends[order])
    # What lies between: from the end of those before to the beginning of the next.
    left_begins = np.concatenate((np.zeros(1, np.uint64), ends))
    left_ends = np.concatenate((begins, np.full(1, np.iinfo(np.uint64).max)))
    apart = left_begins < left_ends
    return within(RegionTable(*columns_of(regions)), left_begins[apart], left_ends[apart])


def within_spans(regions: Sequence[Region], spans: Sequence[tuple[int, int]]) -> RegionTable:
    """Return those parts of regions that lie in spans of the file.

    Args:
        regions: The regions, by ascending address.
        spans: Offsets of the first byte and past the last of each span; ascending, and no two touch.
    """
    table = RegionTable(*columns_of(regions))
    bounds = np.array(spans, np.uint64).reshape(-1, 2)
    return _within_file(table, bounds[:, 0], bounds[:, 1])


def _within_file(table: RegionTable, begins: Addresses, ends: Addresses) -> RegionTable:
    starts, sizes, offsets = table.columns
    region, first, lengths = common((offsets, offsets + sizes), (begins, ends))
    return RegionTable(starts[region] + (first - offsets[region]), lengths, first)


def common(
    some: tuple[Addresses, Addresses], others: tuple[Addresses, Addresses]
) -> tuple[NDArray[np.int64], Addresses, Addresses]:
    """Return what ranges have in common with others, which are in ascending order and apart.

    Args:
        some: Where ranges begin, and where they end.
        others: Likewise.

    Returns:
        The number of the range among `some`, where each common part begins, and its length.
    """
    first = np.searchsorted(others[1], some[0], side="right")
    counts = np.maximum(np.searchsorted(others[0], some[1], side="left") - first, 0)
    number = np.repeat(np.arange(len(counts)), counts)
    other = np.arange(len(number)) - np.repeat(np.cumsum(counts) - counts, counts) + first[number]
    begins = np.maximum(some[0][number], others[0][other])
    return number, begins, np.minimum(some[1][number], others[1][other]) - begins


def without_overlaps(starts: Addresses, sizes: Addresses) -> tuple[Addresses, Addresses, NDArray[np.int64]]:
    """Sort ranges of addresses and give every address to the range that is listed first.

    Args:
        starts: First address of each range.
        sizes: Bytes in each, at least 1; no range goes past `ADDRESS_LIMIT`.

    Returns:
        Address and size of each remaining piece, in ascending order of address, and the number of the range it is
        part of.
    """
    order = np.argsort(starts, kind="stable")
    ends = starts + sizes
    if np.all(starts[order][1:] >= ends[order][:-1]):
        return starts[order], sizes[order], order
    # Cut the address space at every start and end. Each piece belongs to the lowest-numbered range that covers it: the
    # minimum over blocks of 2^k pieces, two blocks a range, handed down from the largest k to single pieces.
    bounds = np.sort(np.concatenate((starts, ends)))
    bounds = bounds[np.concatenate(([True], bounds[1:] != bounds[:-1]))]
    first = _positions(bounds, starts)
    stop = _positions(bounds, ends)
    level_of = np.frexp((stop - first).astype(np.float64))[1] - 1
    number = np.arange(len(starts))
    nobody = len(starts)
    owner = np.full(len(bounds) - 1, nobody)
    for level in range(int(level_of.max()), -1, -1):
        mine = level_of == level
        np.minimum.at(owner, first[mine], number[mine])
        np.minimum.at(owner, stop[mine] - (1 << level), number[mine])
        if level:
            half = 1 << (level - 1)
            handed_down = owner.copy()
            np.minimum(owner[half:], owner[:-half], out=handed_down[half:])
            owner = handed_down
    owned = owner < nobody
    piece_starts = bounds[:-1][owned]
    return piece_starts, bounds[1:][owned] - piece_starts, owner[owned]


def _positions(table: Addresses, values: Addresses) -> NDArray[np.int64]:
    """Look up values in a sorted table. Sorting them first is several times as fast for a million values."""
    order = np.argsort(values)
    found = np.empty(len(values), np.int64)
    found[order] = np.searchsorted(table, values[order])
    return found


WORD = 8
"""Bytes of a word."""

ReadWords = Callable[["Addresses"], tuple["Addresses", "NDArray[np.bool_]"]]
"""Takes addresses, shape (n,); returns the word at each, and whether it is held. A word that lies across two regions,
or two pages, counts as not held."""


def read_words(buffer: memoryview, regions: Sequence[Region]) -> ReadWords:
    """Return a reader of words for memory whose regions lie in one mapped file.

    Args:
        buffer: The whole file.
        regions: By ascending address, not overlapping.
    """
    read = read_runs(buffer, regions, WORD)

    def read_each(addresses: Addresses) -> tuple[Addresses, NDArray[np.bool_]]:
        runs, held = read(addresses)
        words = np.zeros(len(addresses), np.uint64)
        words[held] = runs.view("<u8")[:, 0]
        return words, held

    return read_each


def read_runs(
    buffer: memoryview, regions: Sequence[Region], size: int
) -> Callable[[Addresses], tuple[NDArray[np.uint8], NDArray[np.bool_]]]:
    """Return a reader of runs of bytes at many addresses.

    Args:
        buffer: The whole file.
        regions: By ascending address, not overlapping.
        size: Bytes of a run.

    Returns:
        A function that takes addresses, shape (n,), and returns which of them hold a whole run in one region, shape
        (n,), and before that the runs of those, shape (m, size).
    """
    starts, sizes, offsets = columns_of(regions)
    data = np.frombuffer(buffer, np.uint8)
    windows = as_strided(data, (max(len(data) - size + 1, 0), size), (1, 1), writeable=False)

    def read(addresses: Addresses) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
        if not len(starts) or not len(addresses):
            return np.zeros((0, size), np.uint8), np.zeros(len(addresses), np.bool_)
        region = np.maximum(np.searchsorted(starts, addresses, "right"), 1) - 1
        within = addresses - starts[region]  # wraps round before the first region, so that it is past its end
        room = sizes[region]
        held = (room >= np.uint64(size)) & (within <= room - np.uint64(size))
        return windows[(offsets[region] + within)[held].astype(np.int64)], held

    return read
