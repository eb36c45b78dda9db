"""Many words at once, the same bytes as one read each gives; regions less the holes of their file."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from dumpscan.memory.regions import RegionTable, read_words, region_at, within, without, without_holes
from support.artifact_samples import Space


def test_words_are_what_single_reads_give_or_not_held() -> None:
    memory = Space({0x5000: bytes(range(1, 30)), 0x1000: bytes(range(100, 117)), 0x2000: b"short"})
    read = read_words(memory.buffer, memory.regions)
    addresses = [0, 0xFFF, 0x1000, 0x1005, 0x1009, 0x100A, 0x2000, 0x4FFF, 0x5000, 0x5015, 0x5016, 2**64 - 4]
    words, held = read(np.array(addresses, np.uint64))
    expected = [memory.read(address, 8) for address in addresses]
    assert held.tolist() == [len(data) == 8 for data in expected]
    assert [word for word, there in zip(words.tolist(), held.tolist(), strict=True) if there] == [
        int.from_bytes(data, "little") for data in expected if len(data) == 8
    ]
    assert not read(np.zeros(0, np.uint64))[0].size


def test_the_region_of_an_address_is_the_same_from_a_table_and_from_a_list() -> None:
    starts = np.array([0x1000, 0x2000, 0x8000], np.uint64)
    table = RegionTable(starts, np.array([0x1000, 8, 8], np.uint64), np.array([0, 0x1000, 0x1008], np.uint64))
    for address, start in ((0x1000, 0x1000), (0x1FFF, 0x1000), (0x2000, 0x2000), (0x8007, 0x8000)):
        assert region_at(table, address) == region_at(list(table), address)
        assert region_at(table, address).start == start


def test_a_word_across_two_regions_counts_as_not_held() -> None:
    memory = Space({0x1004: b"efghijkl", 0x1000: b"abcd"})
    words, held = read_words(memory.buffer, memory.regions)(np.array([0x1000, 0x1004], np.uint64))
    assert held.tolist() == [False, True]
    assert words[1].tobytes() == b"efghijkl"
    assert not read_words(memory.buffer, ())(np.array([0x1000], np.uint64))[1].any()


RUNS = st.lists(st.tuples(st.integers(0, 9), st.integers(1, 40), st.integers(0, 60)), max_size=5)
"""For each region the gap before it, its size, and its offset in the file."""
GAPS = st.lists(st.tuples(st.integers(0, 9), st.integers(1, 20)), max_size=5)
"""For each range the gap before it, and its size."""


def _table(runs: list[tuple[int, int, int]]) -> RegionTable:
    start, columns = 0, []
    for gap, size, offset in runs:
        columns.append((start + gap, size, offset))
        start += gap + size
    return RegionTable(*(np.array([run[n] for run in columns], np.uint64) for n in range(3)))


def _bytes_of(regions: RegionTable) -> list[tuple[int, int]]:
    """Return the address of every byte, and its offset in the file."""
    return [(each.start + n, each.file_offset + n) for each in regions for n in range(each.size)]


@given(RUNS, GAPS, st.integers(0, 3))
def test_without_holes_every_byte_outside_of_one_is_left(
    runs: list[tuple[int, int, int]], gaps: list[tuple[int, int]], margin: int
) -> None:
    """Compared byte by byte: those of the file that are further than the margin inside a hole are gone."""
    table = _table(runs)
    end, holes = 0, []
    for gap, size in gaps:
        holes.append((end + gap + 1, end + gap + 1 + size))
        end += gap + 1 + size
    empty = {at for first, past in holes for at in range(first + margin, past - margin)}
    found = without_holes(table, holes, margin)
    assert _bytes_of(found) == [(address, at) for address, at in _bytes_of(table) if at not in empty]
    assert (found is table) == (not empty)


@given(RUNS, GAPS)
def test_within_ranges_every_byte_of_a_region_is_left(
    runs: list[tuple[int, int, int]], gaps: list[tuple[int, int]]
) -> None:
    """Compared byte by byte; a range may touch the next."""
    table = _table(runs)
    end, ranges = 0, []
    for gap, size in gaps:
        ranges.append((end + gap, end + gap + size))
        end += gap + size
    found = within(table, *np.array(ranges, np.uint64).reshape(-1, 2).T)
    wanted = {at for begin, past in ranges for at in range(begin, past)}
    assert _bytes_of(found) == [place for place in _bytes_of(table) if place[0] in wanted]


@given(RUNS, st.lists(st.tuples(st.integers(0, 250), st.integers(0, 40)), max_size=5))
def test_without_ranges_every_other_byte_is_left(
    runs: list[tuple[int, int, int]], ranges: list[tuple[int, int]]
) -> None:
    """Compared byte by byte; ranges overlap, and come in any order."""
    table = _table(runs)
    begins, sizes = np.array(ranges, np.uint64).reshape(-1, 2).T
    unwanted = {at for begin, size in ranges for at in range(begin, begin + size)}
    found = without(table, begins, begins + sizes)
    assert _bytes_of(found) == [place for place in _bytes_of(table) if place[0] not in unwanted]
