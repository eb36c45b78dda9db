"""The memory that a minidump holds: its lists of ranges made into one table of regions that never overlap.

MemoryList (5), Memory64List (9) and, where those do not have them, the threads' stacks (in ThreadList) say what lies at
which address. They may be unsorted, overlap (Breakpad puts 256 bytes around the instruction pointer into a range of
their own, also when the stack's range has them already) and point past the end of the file.
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, overload

import numpy as np

from dumpscan.memory.minidump.source import MISSING_DATA
from dumpscan.memory.minidump.threads import thread_records
from dumpscan.memory.space import Region
from dumpscan.model.c_minidump import c_minidump

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dumpscan.memory.minidump.source import Records, Source, Stream

    Addresses = NDArray[np.uint64]
    Columns = tuple[Addresses, Addresses, Addresses]

ADDRESS_LIMIT = 2**64 - 1
"""One past the last usable address. The very last byte of the address space is given up, so that ends fit 64 bits."""

_MOST_RANGES = 1 << 21
"""More than any real process has; as pages of 4 KiB they would be 8 GiB, and real ranges are longer."""

_MOST_SHARING = 16
"""How often the same byte of the file may serve as memory. Real dumps share nothing; a list that repeats one range a
million times would have us scan it a million times."""


@dataclass(frozen=True, slots=True, eq=False)
class MemoryList:
    """A list of memory ranges as the dump has it.

    Attributes:
        name: Of its stream.
        offset: Offset in bytes of the list in the file.
        claimed: Number of ranges that the list says it has.
        starts: Address of each range that could be read.
        sizes: Claimed size of each in bytes.
        file_offsets: Where the bytes of each begin in the file; it may be past the file's end.
    """

    name: str
    offset: int
    claimed: int
    starts: Addresses = field(repr=False)
    sizes: Addresses = field(repr=False)
    file_offsets: Addresses = field(repr=False)

    def __len__(self) -> int:
        return len(self.starts)

    def ranges(self, most: int | None = None) -> list[tuple[int, int, int]]:
        """Each range, or the first `most`, as (address, claimed size in bytes, file offset), in the list's order."""
        columns = (self.starts, self.sizes, self.file_offsets)
        return list(zip(*(values[:most].tolist() for values in columns), strict=True))

    @property
    def size(self) -> int:
        """Claimed bytes of all ranges together."""
        return sum(self.sizes.tolist())


class RegionTable(Sequence[Region]):
    """Regions by ascending address, none overlapping another, kept as three columns of 64-bit numbers."""

    def __init__(self, starts: Addresses, sizes: Addresses, file_offsets: Addresses) -> None:
        self._starts = array("Q", starts.astype(np.uint64).tobytes())
        self._sizes = array("Q", sizes.astype(np.uint64).tobytes())
        self._file_offsets = array("Q", file_offsets.astype(np.uint64).tobytes())
        self.total = int(sizes.sum(dtype=np.uint64)) if len(sizes) else 0

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

    def extents(self, address: int, size: int) -> list[tuple[int, int]]:
        """Where up to `size` bytes at `address` lie, as (file offset, length) pairs; stops at the first gap."""
        found: list[tuple[int, int]] = []
        if not 0 <= address <= ADDRESS_LIMIT:
            return found
        index = bisect_right(self._starts, address) - 1
        while size > 0 and 0 <= index < len(self._starts):
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
        return found


def read_memory_list(source: Source, stream: Stream) -> MemoryList:
    """Read MemoryList: ranges with a file offset each."""
    records = source.counted_records(stream, c_minidump.MINIDUMP_MEMORY_DESCRIPTOR, _MOST_RANGES)
    return _memory_list(stream, source.integer_at(stream.offset) or 0, records)


def read_memory64_list(source: Source, stream: Stream) -> MemoryList:
    """Read Memory64List: ranges whose bytes follow one another in the file from one offset on."""
    layout = c_minidump.MINIDUMP_MEMORY64_LIST_HEADER
    head = source.structure(stream, layout, layout.size)
    claimed = int(head.NumberOfMemoryRanges) if head else 0
    records = source.records(
        stream, c_minidump.MINIDUMP_MEMORY_DESCRIPTOR64, count=claimed, skip=layout.size, most=_MOST_RANGES
    )
    sizes = records["DataSize"].astype(np.uint64)
    # Past the end of the file it does not matter how far past, only that no sum wraps round.
    beyond = np.uint64(source.size + 1)
    file_offsets = np.zeros(len(sizes), np.uint64)
    if len(sizes):
        file_offsets[0] = min(int(head.BaseRva) if head else 0, source.size + 1)
        np.cumsum(np.minimum(sizes[:-1], beyond), out=file_offsets[1:])
        file_offsets[1:] += file_offsets[0]
        past = file_offsets > np.uint64(source.size)
        if past.any():
            file_offsets[int(past.argmax()) :] = beyond
    starts = records["StartOfMemoryRange"].astype(np.uint64)
    return MemoryList(stream.name, stream.offset, claimed, starts, sizes, file_offsets)


def read_stacks(source: Source, stream: Stream) -> MemoryList:
    """Read the stacks in ThreadList or ThreadExList, those that say where they are."""
    stacks = thread_records(source, stream)["Stack"]
    stacks = stacks[(stacks["Memory"]["DataSize"] > 0) & (stacks["Memory"]["Rva"] >= c_minidump.MINIDUMP_HEADER.size)]
    return _memory_list(stream, len(stacks), stacks)


def _memory_list(stream: Stream, claimed: int, records: Records) -> MemoryList:
    columns = (records["StartOfMemoryRange"], records["Memory"]["DataSize"], records["Memory"]["Rva"])
    return MemoryList(stream.name, stream.offset, claimed, *(values.astype(np.uint64) for values in columns))


def build_regions(
    lists: Sequence[MemoryList], file_size: int, *, header_size: int = 0
) -> tuple[RegionTable, list[str]]:
    """Make one table of what the lists and the file really hold.

    Ranges are cut where the file or the address space ends. Where two overlap, the one listed first keeps its bytes and
    the other its rest. Neighbours in memory that are neighbours in the file as well become one region.

    Args:
        lists: In order of trust.
        file_size: Bytes in the file.
        header_size: Bytes at its beginning that are never memory; ranges that claim them have nothing.

    Returns:
        The regions, and what is wrong with the lists, a sentence each.
    """
    problems: list[str] = []
    if not lists:
        none = np.zeros(0, np.uint64)
        return RegionTable(none, none, none), problems
    usable = [_clip(ranges, file_size, header_size, problems) for ranges in lists]
    starts, sizes, offsets = (np.concatenate(column) for column in zip(*usable, strict=True))
    piece_starts, sizes, owners = without_overlaps(starts, sizes)
    offsets = offsets[owners] + (piece_starts - starts[owners])
    starts, sizes, offsets = _coalesce(piece_starts, sizes, offsets)
    excess = np.cumsum(sizes) > np.uint64(file_size * _MOST_SHARING)
    if excess.any():
        kept = int(excess.argmax())
        problems.append(
            f"memory lists name the same bytes of the file over and over: {len(sizes) - kept} of {len(sizes)} regions "
            f"are left out, which together would be more than {_MOST_SHARING} times the file"
        )
        starts, sizes, offsets = starts[:kept], sizes[:kept], offsets[:kept]
    return RegionTable(starts, sizes, offsets), problems


def _clip(ranges: MemoryList, file_size: int, header_size: int, problems: list[str]) -> Columns:
    """Cut each range to what lies in the file and in the address space; drop those of which nothing is left."""
    where = f"({ranges.name} at offset {ranges.offset:#x})"
    starts, sizes, offsets = ranges.starts, ranges.sizes, ranges.file_offsets
    room = np.uint64(file_size) - np.minimum(offsets, np.uint64(file_size))
    in_file = np.minimum(sizes, room)
    if past := int(np.count_nonzero(in_file < sizes)):
        part = int(np.count_nonzero((in_file < sizes) & (in_file > 0)))
        problems.append(
            f"memory list cut short: {past} of {ranges.claimed} ranges lie {MISSING_DATA}"
            + (f", {part} of them in part" if part else "")
            + f" {where}"
        )
    in_header = (offsets < np.uint64(header_size)) & (in_file > 0)
    if nowhere := int(np.count_nonzero(in_header)):
        problems.append(f"memory list: {nowhere} of {ranges.claimed} ranges have no bytes of their own {where}")
        in_file = np.where(in_header, np.uint64(0), in_file)
    in_space = np.minimum(in_file, np.uint64(ADDRESS_LIMIT) - starts)
    if wrapped := int(np.count_nonzero(in_space < in_file)):
        problems.append(
            f"memory list: {wrapped} of {ranges.claimed} ranges go past the end of the address space {where}"
        )
    kept = in_space > 0
    return starts[kept], in_space[kept], offsets[kept]


def without_overlaps(starts: Addresses, sizes: Addresses) -> tuple[Addresses, Addresses, NDArray[np.int64]]:
    """Sort ranges of addresses and give every address to the range that was listed first.

    Args:
        starts: First address of each.
        sizes: Bytes of each, at least 1; none goes past `ADDRESS_LIMIT`.

    Returns:
        Address and size of each piece that is left, by ascending address, and the number of the range that owns it.
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
    """Look up values in a sorted table; in their own order, which is several times as fast with a million of them."""
    order = np.argsort(values)
    found = np.empty(len(values), np.int64)
    found[order] = np.searchsorted(table, values[order])
    return found


def _coalesce(starts: Addresses, sizes: Addresses, offsets: Addresses) -> Columns:
    """Join neighbours that follow one another both in memory and in the file."""
    if len(starts) == 0:
        return starts, sizes, offsets
    joined = (starts[1:] == starts[:-1] + sizes[:-1]) & (offsets[1:] == offsets[:-1] + sizes[:-1])
    heads = np.concatenate(([0], np.flatnonzero(~joined) + 1))
    return starts[heads], np.add.reduceat(sizes, heads), offsets[heads]
