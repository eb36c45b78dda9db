"""The memory that a minidump holds: its lists of ranges, made into one table of regions that do not overlap.

MemoryList (5), Memory64List (9) and the threads' stacks (in ThreadList) say which bytes of the file lie at which
address. Ranges may be unsorted, overlap and point past the end of the file; a dump may have several lists. Breakpad,
for example, lists the 256 bytes around the instruction pointer as a range of their own even where the stack's range
already has them. Layouts: docs/memory-layouts.md, "Minidump".
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from dumpscan.memory.minidump.stream_reader import MISSING_DATA
from dumpscan.memory.minidump.threads import thread_records
from dumpscan.memory.records import exact_sum
from dumpscan.memory.regions import ADDRESS_LIMIT, RegionTable, without_overlaps
from dumpscan.model.c_minidump import c_minidump

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from dumpscan.memory.minidump.stream_reader import Stream, StreamReader
    from dumpscan.memory.records import Records
    from dumpscan.memory.regions import Addresses

    Columns = tuple[Addresses, Addresses, Addresses]

_MAX_RANGES = 1 << 20
"""Ranges read from all lists together. Full dumps of the largest processes have a few hundred thousand."""

_COUNT_SIZE = 4
_MAX_COUNT_SIZE = 8
"""Bytes of the counts of MemoryList and Memory64List."""

_MAX_SHARING = 16
"""How often the same byte of the file may serve as memory. Real dumps share nothing, but a forged list could repeat one
range a million times, and every repetition would be scanned."""


@dataclass(frozen=True, slots=True, eq=False)
class MemoryList:
    """A list of memory ranges, as the dump has it.

    Attributes:
        name: Name of its stream.
        offset: Offset of the list in the file.
        claimed: Number of ranges that the list claims to have.
        starts: Address of each range that could be read.
        sizes: Claimed bytes of each.
        file_offsets: Where the bytes of each begin in the file; this may be past the file's end.
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
        """Return the first `most` ranges, or all, as (address, claimed size in bytes, file offset), in list order."""
        columns = (self.starts, self.sizes, self.file_offsets)
        return list(zip(*(values[:most].tolist() for values in columns), strict=True))

    @property
    def size(self) -> int:
        """Claimed bytes of all ranges together."""
        return exact_sum(self.sizes)


def size_by_count(reader: StreamReader, stream: Stream) -> int | None:
    """Return the bytes of a memory list that its own count tells, where the directory gives it too few.

    Some writers leave the size out, or write that of the list's header. The count is believed if the list lies in the
    file, its ranges lie apart from it, and they are in the order of their addresses or all in the file.

    Args:
        reader: Reads the file.
        stream: Any stream; others than memory lists have no such size.

    Returns:
        Bytes of the list; None if the directory may be right.
    """
    if stream.name == "MemoryList":
        head, entry = _COUNT_SIZE, c_minidump.MINIDUMP_MEMORY_DESCRIPTOR
    elif stream.name == "Memory64List":
        head, entry = c_minidump.MINIDUMP_MEMORY64_LIST_HEADER.size, c_minidump.MINIDUMP_MEMORY_DESCRIPTOR64
    else:
        return None
    count = int.from_bytes(reader.bytes_at(stream.offset, min(head, _MAX_COUNT_SIZE)), "little")
    size = head + count * entry.size
    end = stream.offset + size
    if stream.offset < c_minidump.MINIDUMP_HEADER.size or not 0 < count <= _MAX_RANGES:
        return None
    if size <= stream.size or end > reader.size:
        return None
    whole = reader.stream(stream.type, stream.name, stream.offset, size)
    listed = _READERS[stream.name](reader, whole, _MAX_RANGES)
    ends = listed.file_offsets + np.minimum(listed.sizes, np.uint64(reader.size))
    apart = (listed.file_offsets >= np.uint64(end)) | (ends <= np.uint64(stream.offset))
    in_order = bool((listed.starts[1:] >= listed.starts[:-1] + listed.sizes[:-1]).all())
    in_file = bool((ends <= np.uint64(reader.size)).all())
    return size if bool((apart & (listed.sizes > 0)).all()) and (in_order or in_file) else None


def read_memory_lists(reader: StreamReader, streams: Iterable[Stream]) -> tuple[MemoryList, ...]:
    """Read all memory lists of a dump.

    A list that several directory entries name is read once. All lists together yield at most `_MAX_RANGES` ranges;
    what is left out is reported to the reader.

    Args:
        reader: Reads the file.
        streams: The stream directory. Other streams are ignored.
    """
    lists: list[MemoryList] = []
    known: set[tuple[int, int, int]] = set()
    left = _MAX_RANGES
    for stream in streams:
        identity = (stream.type, stream.offset, stream.size)
        if stream.name not in _READERS or stream.empty or not stream.present or identity in known:
            continue
        known.add(identity)
        ranges = _READERS[stream.name](reader, stream, left)
        left -= len(ranges)
        lists.append(ranges)
    return tuple(lists)


def _read_memory_list(reader: StreamReader, stream: Stream, most: int) -> MemoryList:
    """Read MemoryList: ranges with a file offset each."""
    records = reader.counted_records(stream, c_minidump.MINIDUMP_MEMORY_DESCRIPTOR, most)
    return _memory_list(stream, reader.integer_at(stream.offset) or 0, records)


def _read_memory64_list(reader: StreamReader, stream: Stream, most: int) -> MemoryList:
    """Read Memory64List: ranges whose bytes follow one another in the file, from one offset on."""
    layout = c_minidump.MINIDUMP_MEMORY64_LIST_HEADER
    head = reader.structure(stream, layout, layout.size)
    claimed = int(head.NumberOfMemoryRanges) if head else 0
    records = reader.records(
        stream, c_minidump.MINIDUMP_MEMORY_DESCRIPTOR64, count=claimed, skip=layout.size, most=most
    )
    sizes = records["DataSize"].astype(np.uint64)
    # Past the end of the file it does not matter how far past, as long as no sum overflows.
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


_READERS = {"MemoryList": _read_memory_list, "Memory64List": _read_memory64_list}


def read_stacks(reader: StreamReader, stream: Stream) -> MemoryList:
    """Read the stacks in ThreadList or ThreadExList, as far as they have bytes in the file."""
    stacks = thread_records(reader, stream)["Stack"]
    stacks = stacks[(stacks["Memory"]["DataSize"] > 0) & (stacks["Memory"]["Rva"] >= c_minidump.MINIDUMP_HEADER.size)]
    return _memory_list(stream, len(stacks), stacks)


def _memory_list(stream: Stream, claimed: int, records: Records) -> MemoryList:
    columns = (records["StartOfMemoryRange"], records["Memory"]["DataSize"], records["Memory"]["Rva"])
    return MemoryList(stream.name, stream.offset, claimed, *(values.astype(np.uint64) for values in columns))


def build_regions(
    lists: Sequence[MemoryList], file_size: int, *, header_size: int = 0
) -> tuple[RegionTable, list[str]]:
    """Make one table of the memory that the lists name and the file holds.

    Ranges are cut where the file or the address space ends. Where two overlap, the one listed first keeps its bytes.
    Neighbours in memory that are also neighbours in the file become one region.

    Args:
        lists: The lists, the most trusted one first.
        file_size: Bytes in the file.
        header_size: Bytes at its beginning that are never memory; ranges that claim them are dropped.

    Returns:
        The regions, and what is wrong with the lists, a sentence each.
    """
    problems: list[str] = []
    if not lists:
        none = np.zeros(0, np.uint64)
        return RegionTable(none, none, none), problems
    starts, sizes, offsets = usable_ranges(lists, file_size, header_size, problems)
    piece_starts, sizes, owners = without_overlaps(starts, sizes)
    offsets = offsets[owners] + (piece_starts - starts[owners])
    starts, sizes, offsets = _coalesce(piece_starts, sizes, offsets)
    excess = np.cumsum(sizes) > np.uint64(file_size * _MAX_SHARING)
    if excess.any():
        kept = int(excess.argmax())
        problems.append(
            f"memory lists name the same bytes of the file over and over: {len(sizes) - kept} of {len(sizes)} regions "
            f"are left out, which together would be more than {_MAX_SHARING} times the file"
        )
        starts, sizes, offsets = starts[:kept], sizes[:kept], offsets[:kept]
    return RegionTable(starts, sizes, offsets), problems


def usable_ranges(lists: Sequence[MemoryList], file_size: int, header_size: int, problems: list[str]) -> Columns:
    """Return the ranges of all lists, as far as they lie in the file and in the address space, in the lists' order.

    Args:
        lists: At least one.
        file_size: Bytes in the file.
        header_size: As for `build_regions`.
        problems: What is wrong with the lists is added, a sentence each.
    """
    usable = [_clip(ranges, file_size, header_size, problems) for ranges in lists]
    starts, sizes, offsets = (np.concatenate(column) for column in zip(*usable, strict=True))
    return starts, sizes, offsets


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
