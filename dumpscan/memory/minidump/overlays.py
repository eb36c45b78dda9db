"""Ranges of memory that contradict each other: they have different bytes for the same addresses.

Of ranges that overlap, the one listed first is used, and mostly the others have the same bytes. If they do not, nobody
can tell which is right: the process may have run while it was dumped, or somebody joined two dumps. So there is a
second view of the memory with the bytes of the others, a third for ranges that contradict these, and so on.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from dumpscan.memory.minidump.ranges import usable_ranges
from dumpscan.memory.regions import RegionTable, columns_of, without_overlaps

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from dumpscan.findings import Process
    from dumpscan.memory.minidump.ranges import Columns, MemoryList
    from dumpscan.memory.space import AddressSpace

    _Extents = Callable[[int, int], Iterable[tuple[int, int]]]

_MAX_VIEWS = 4
"""Views beside the first. Each may be as large as the file."""
_MAX_COMPARED = 1 << 12
"""Overlapping ranges whose bytes are compared, in one view. Breakpad has one for each thread."""


class Overlay:
    """A view of a minidump's memory in which some ranges have other bytes (see `dumpscan.memory.dump.Overlay`).

    Args:
        dump: The minidump.
        ranges: Starts, sizes and file offsets of the ranges, none of which overlaps another.
    """

    def __init__(self, dump: AddressSpace, ranges: Columns) -> None:
        self._dump = dump
        self.contradicting = RegionTable(*ranges)

    @cached_property
    def regions(self) -> RegionTable:
        """All of the memory, with the other bytes where there are any."""
        columns = zip(self.contradicting.columns, columns_of(self._dump.regions), strict=True)
        starts, sizes, offsets = (np.concatenate(column) for column in columns)
        pieces, sizes, owners = without_overlaps(starts, sizes)
        return RegionTable(pieces, sizes, offsets[owners] + (pieces - starts[owners]))

    @property
    def path(self) -> Path:
        """The dump's file."""
        return self._dump.path

    @property
    def buffer(self) -> memoryview:
        """The whole file."""
        return self._dump.buffer

    @property
    def pointer_size(self) -> int:
        """As the dump's."""
        return self._dump.pointer_size

    @property
    def reach(self) -> tuple[int, int]:
        """As the dump's."""
        return self._dump.reach

    @property
    def process(self) -> Process | None:
        """As the dump's."""
        return self._dump.process

    def module_at(self, address: int) -> str | None:
        """Name of the loaded module that owns the address, if any."""
        return self._dump.module_at(address)

    def read(self, address: int, size: int) -> bytes:
        """Return up to `size` bytes at `address`, across adjacent regions; fewer where the dump ends."""
        return b"".join(self.buffer[at : at + length] for at, length in self.regions.extents(address, size))

    def extents(self, address: int, size: int) -> tuple[tuple[int, int], ...]:
        """Where `size` bytes at `address` lie, as (file offset, length) pairs; stops where the dump does."""
        return tuple(self.regions.extents(address, size))


def find_overlays(
    dump: AddressSpace, lists: Sequence[MemoryList], *, header_size: int
) -> tuple[tuple[Overlay, ...], list[str], list[str]]:
    """Compare the bytes of ranges that overlap.

    Args:
        dump: The minidump's memory, as the ranges listed first say it.
        lists: Its lists of ranges, the most trusted one first.
        header_size: Bytes at the file's beginning that are never memory.

    Returns:
        The further views; what a user should know about them, and what was left out, a sentence each.
    """
    if not lists:
        return (), [], []
    ranges = usable_ranges(lists, len(dump.buffer), header_size, [])
    if not len(_not_whole(ranges)[0]):
        return (), [], []
    compared = _Comparison(dump)
    views: list[Overlay] = []
    count = 0
    ranges = compared.contradicting(_not_whole(ranges), dump.extents)
    while len(ranges[0]) and len(views) < _MAX_VIEWS:
        count += len(ranges[0])
        pieces, sizes, owners = without_overlaps(ranges[0], ranges[1])
        view = Overlay(dump, (pieces, sizes, ranges[2][owners] + (pieces - ranges[0][owners])))
        views.append(view)
        ranges = compared.contradicting(_not_whole(ranges), view.contradicting.extents)
    told = []
    if count:
        who = "a range of memory contradicts one" if count == 1 else f"{count} ranges of memory contradict those"
        told.append(f"different bytes for the same addresses: {who} listed before; all of them are searched")
    left = len(ranges[0]) + compared.left_out
    damage = [f"ranges of memory overlap others too often: {left} of them are left out"] if left else []
    return tuple(views), told, damage


def _not_whole(ranges: Columns) -> Columns:
    """Return the ranges that an overlap with one listed before takes bytes from."""
    starts, sizes, offsets = ranges
    if not len(starts):
        return ranges
    _, lengths, owners = without_overlaps(starts, sizes)
    kept = np.zeros_like(sizes)
    np.add.at(kept, owners, lengths)
    lost = kept < sizes
    return starts[lost], sizes[lost], offsets[lost]


class _Comparison:
    """Compares ranges with what the memory says at their addresses, a bounded number of bytes in all.

    Attributes:
        left_out: Ranges that were not compared.
    """

    def __init__(self, dump: AddressSpace) -> None:
        self.left_out = 0
        self._bytes = np.frombuffer(dump.buffer, np.uint8)
        self._left = 4 * len(dump.buffer)

    def contradicting(self, ranges: Columns, extents: _Extents) -> Columns:
        """Return those of the ranges that have other bytes anywhere than lie where `extents` says."""
        listed = list(zip(*(column.tolist() for column in ranges), strict=True))
        other = np.zeros(len(listed), np.bool_)
        for number, (start, size, offset) in enumerate(listed):
            if number >= _MAX_COMPARED or size > self._left:
                self.left_out += 1
                continue
            self._left -= size
            other[number] = self._differs(offset, extents(start, size))
        return ranges[0][other], ranges[1][other], ranges[2][other]

    def _differs(self, offset: int, places: Iterable[tuple[int, int]]) -> bool:
        for at, length in places:
            if at != offset and not np.array_equal(
                self._bytes[at : at + length], self._bytes[offset : offset + length]
            ):
                return True
            offset += length
        return False
