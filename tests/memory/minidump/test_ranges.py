"""Lists of memory ranges made into regions, against a model that does it byte by byte."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dumpscan.memory.minidump.ranges import MemoryList, build_regions
from dumpscan.memory.regions import ADDRESS_LIMIT, RegionTable, without_overlaps
from dumpscan.memory.space import Region


def memory_list(*ranges: tuple[int, int, int]) -> MemoryList:
    columns = [np.array([entry[column] for entry in ranges], np.uint64) for column in range(3)]
    return MemoryList("MemoryList", 0x40, len(ranges), *columns)


def table(*regions: tuple[int, int, int]) -> RegionTable:
    made = memory_list(*regions)
    return RegionTable(made.starts, made.sizes, made.file_offsets)


ranges = st.lists(st.tuples(st.integers(0, 60), st.integers(0, 30), st.integers(0, 130)), max_size=12)


@given(st.lists(ranges, min_size=1, max_size=3))
def test_every_address_has_the_byte_that_was_listed_first(lists: list[list[tuple[int, int, int]]]) -> None:
    file_size = 100
    expected: dict[int, int] = {}
    for start, size, offset in (entry for entries in lists for entry in entries):
        for distance in range(size):
            if offset + distance < file_size:
                expected.setdefault(start + distance, offset + distance)
    regions, problems = build_regions([memory_list(*entries) for entries in lists], file_size)
    found = {
        region.start + distance: region.file_offset + distance for region in regions for distance in range(region.size)
    }
    assert found == expected
    assert regions.total == len(expected)
    for before, after in pairwise(regions):
        assert before.end <= after.start
        assert (before.end, before.file_offset + before.size) != (after.start, after.file_offset), "not joined"
    past = sum(1 for entries in lists for start, size, offset in entries if size and offset + size > file_size)
    assert bool(problems) == bool(past)


@given(ranges, st.integers(-2, 100), st.integers(-1, 80))
def test_extents_stop_at_the_first_gap(entries: list[tuple[int, int, int]], address: int, size: int) -> None:
    regions, _ = build_regions([memory_list(*entries)], 1000)
    there = {
        region.start + distance: region.file_offset + distance for region in regions for distance in range(region.size)
    }
    expected = []
    for position in range(address, address + max(size, 0)):
        if position not in there:
            break
        expected.append(there[position])
    found = regions.extents(address, size)
    assert [offset + distance for offset, length in found for distance in range(length)] == expected
    assert all(sum(before) != after[0] for before, after in pairwise(found)), "not joined"


def test_adjacent_ranges_are_joined_where_the_file_has_them_so() -> None:
    regions, problems = build_regions([memory_list((0x3000, 16, 132), (0x1000, 0x2000, 100), (0x3010, 4, 148))], 9000)
    assert list(regions) == [Region(0x1000, 0x2000, 100), Region(0x3000, 20, 132)]
    assert problems == []


def test_no_lists_and_empty_lists() -> None:
    assert list(build_regions([], 100)[0]) == []
    assert list(build_regions([memory_list()], 100)[0]) == []
    assert build_regions([memory_list((5, 0, 5), (7, 0, 1000))], 100)[1] == []


def test_the_end_of_the_address_space() -> None:
    last = ADDRESS_LIMIT
    regions, problems = build_regions([memory_list((last - 4, 100, 0), (last, 5, 0), (0, 10, 2**64 - 1))], 100)
    assert list(regions) == [Region(last - 4, 4, 0)]
    assert problems[0].startswith("memory list cut short: 1 of 3 ranges lie past the end of the file")
    assert problems[1].startswith("memory list: 2 of 3 ranges go past the end of the address space")
    assert regions.extents(last - 1, 2**64) == [(3, 1)]
    assert regions.extents(last, 1) == regions.extents(2**70, 1) == regions.extents(-1, 1) == []


def test_the_header_is_no_memory() -> None:
    declared = [memory_list((0x1000, 8, 0), (0x2000, 8, 32))]
    regions, problems = build_regions(declared, 100, header_size=32)
    assert list(regions) == [Region(0x2000, 8, 32)]
    assert len(problems) == 1
    assert len(build_regions(declared, 100)[0]) == 2


def test_what_is_said_of_ranges_past_the_end() -> None:
    _, problems = build_regions([memory_list((0, 60, 50), (100, 60, 90), (200, 1, 100), (300, 1, 99))], 100)
    (problem,) = problems
    assert problem.startswith("memory list cut short: 3 of 4 ranges lie past the end of the file, 2 of them in part")
    assert problem.endswith("(MemoryList at offset 0x40)")


def test_a_sequence_like_any_other() -> None:
    regions = table((1, 1, 10), (5, 2, 20), (9, 3, 30))
    assert (len(regions), regions[0], regions[-1]) == (3, Region(1, 1, 10), Region(9, 3, 30))
    assert regions[1:] == [Region(5, 2, 20), Region(9, 3, 30)]
    assert Region(5, 2, 20) in regions
    with pytest.raises(IndexError):
        regions[3]


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(1, 40)), min_size=1, max_size=15))
def test_without_overlaps_names_the_owner(entries: list[tuple[int, int]]) -> None:
    starts, sizes, owners = without_overlaps(
        np.array([start for start, _ in entries], np.uint64), np.array([size for _, size in entries], np.uint64)
    )
    found = {
        start + distance: owner
        for start, size, owner in zip(starts.tolist(), sizes.tolist(), owners.tolist(), strict=True)
        for distance in range(size)
    }
    expected: dict[int, int] = {}
    for number, (start, size) in enumerate(entries):
        for address in range(start, start + size):
            expected.setdefault(address, number)
    assert found == expected


def test_ranges_as_the_list_has_them() -> None:
    listed = memory_list((5, 1, 2), (3, 4, 5))
    assert listed.ranges() == [(5, 1, 2), (3, 4, 5)]
    assert listed.ranges(1) == [(5, 1, 2)]
    assert (len(listed), listed.size) == (2, 5)
