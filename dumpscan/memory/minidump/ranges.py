"""The memory that a minidump holds: its lists of ranges made into one table of regions that never overlap.

MemoryList (5), Memory64List (9) and, where those do not have them, the threads' stacks (in ThreadList) say what lies at
which address. They may be unsorted, overlap (Breakpad puts 256 bytes around the instruction pointer into a range of
their own, also when the stack's range has them already) and point past the end of the file.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from dumpscan.memory.minidump.stream_reader import MISSING_DATA
from dumpscan.memory.minidump.threads import thread_records
from dumpscan.memory.regions import ADDRESS_LIMIT, RegionTable, without_overlaps
from dumpscan.model.c_minidump import c_minidump

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dumpscan.memory.minidump.stream_reader import Stream, StreamReader
    from dumpscan.memory.records import Records
    from dumpscan.memory.regions import Addresses

    Columns = tuple[Addresses, Addresses, Addresses]

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


def read_memory_list(reader: StreamReader, stream: Stream) -> MemoryList:
    """Read MemoryList: ranges with a file offset each."""
    records = reader.counted_records(stream, c_minidump.MINIDUMP_MEMORY_DESCRIPTOR, _MOST_RANGES)
    return _memory_list(stream, reader.integer_at(stream.offset) or 0, records)


def read_memory64_list(reader: StreamReader, stream: Stream) -> MemoryList:
    """Read Memory64List: ranges whose bytes follow one another in the file from one offset on."""
    layout = c_minidump.MINIDUMP_MEMORY64_LIST_HEADER
    head = reader.structure(stream, layout, layout.size)
    claimed = int(head.NumberOfMemoryRanges) if head else 0
    records = reader.records(
        stream, c_minidump.MINIDUMP_MEMORY_DESCRIPTOR64, count=claimed, skip=layout.size, most=_MOST_RANGES
    )
    sizes = records["DataSize"].astype(np.uint64)
    # Past the end of the file it does not matter how far past, only that no sum wraps round.
    beyond = np.uint64(reader.size + 1)
    file_offsets = np.zeros(len(sizes), np.uint64)
    if len(sizes):
        file_offsets[0] = min(int(head.BaseRva) if head else 0, reader.size + 1)
        np.cumsum(np.minimum(sizes[:-1], beyond), out=file_offsets[1:])
        file_offsets[1:] += file_offsets[0]
        past = file_offsets > np.uint64(reader.size)
        if past.any():
            file_offsets[int(past.argmax()) :] = beyond
    starts = records["StartOfMemoryRange"].astype(np.uint64)
    return MemoryList(stream.name, stream.offset, claimed, starts, sizes, file_offsets)


def read_stacks(reader: StreamReader, stream: Stream) -> MemoryList:
    """Read the stacks in ThreadList or ThreadExList, those that say where they are."""
    stacks = thread_records(reader, stream)["Stack"]
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


def _coalesce(starts: Addresses, sizes: Addresses, offsets: Addresses) -> Columns:
    """Join neighbours that follow one another both in memory and in the file."""
    if len(starts) == 0:
        return starts, sizes, offsets
    joined = (starts[1:] == starts[:-1] + sizes[:-1]) & (offsets[1:] == offsets[:-1] + sizes[:-1])
    heads = np.concatenate(([0], np.flatnonzero(~joined) + 1))
    return starts[heads], np.add.reduceat(sizes, heads), offsets[heads]
