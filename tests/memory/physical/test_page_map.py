from __future__ import annotations

import tracemalloc
from typing import TYPE_CHECKING

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from dumpscan.memory.physical.page_map import Mapping, PageMap
from dumpscan.memory.physical.page_statistics import MapStatistics, _count_frames, map_statistics
from dumpscan.memory.physical.page_tables import page_number
from support.page_table_images import PAGE, PAGED_OUT, PRESENT, TRANSITION, TableImage, owner

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

FIRST = 0x7FF6_1234_5000
SECOND = 0x0001_2000
KERNEL = 0xFFFF_F803_1220_0000


def seams(page_map: PageMap) -> set[tuple[int, int]]:
    return {pair for tails, heads in page_map.seams(2) for pair in zip(tails.tolist(), heads.tolist(), strict=True)}


def test_a_frame_is_seen_wherever_it_is_mapped(tmp_path: Path) -> None:
    memory = TableImage()
    one, two = memory.root(), memory.root()
    memory.map(one, FIRST, 0x10)
    memory.map(one, SECOND, 0x10)
    memory.map(two, SECOND, 0x10, flags=TRANSITION)
    memory.map(two, FIRST, 0x11)
    page_map = PageMap(memory.open(tmp_path), [owner(one), owner(two)])
    assert page_map.mappings(0x10123) == [
        Mapping(0, SECOND + 0x123),
        Mapping(0, FIRST + 0x123),
        Mapping(1, SECOND + 0x123),
    ]
    assert page_map.mappings(0x11000) == [Mapping(1, FIRST)]
    assert page_map.mappings(0x12000) == []
    index, who, where = page_map.seen(np.array([0x12000, 0x11004, 0x10000]))
    assert index.tolist() == [1, 2, 2, 2]
    assert who.tolist() == [1, 0, 0, 1]
    assert where.tolist() == [FIRST + 4, SECOND, FIRST, SECOND]
    assert page_map.mapped(np.array([0x10, 0x11, 0x12])).tolist() == [True, True, False]


def test_large_pages_are_seen_at_every_frame(tmp_path: Path) -> None:
    memory = TableImage(0x500)
    root = memory.root()
    memory.map(root, 0x4000_0000, 0x200, level=2)
    memory.map(root, 0x80_0000_0000, 0, level=3)
    page_map = PageMap(memory.open(tmp_path), [owner(root)])
    assert page_map.mappings(0x234567) == [Mapping(0, 0x4003_4567), Mapping(0, 0x80_0023_4567)]
    assert page_map.frame(0, page_number(0x401F_FFFF)) == 0x3FF
    assert page_map.frame(0, page_number(0x4020_0000)) == -1
    assert page_map.span_frames(0, 0x401F_F800, 0x1000) == (0x3FF, -1)
    assert page_map.mapped(np.array([0x234, 0x4FF])).tolist() == [True, True]


def test_kernel_addresses_are_sign_extended(tmp_path: Path) -> None:
    memory = TableImage()
    root = memory.root()
    memory.map(root, KERNEL, 0x10)
    memory.map(root, FIRST, 0x11)
    page_map = PageMap(memory.open(tmp_path), [owner(root, kernel=True)])
    assert page_map.mappings(0x10010) == [Mapping(0, KERNEL + 0x10)]
    assert page_map.mappings(0x11000) == []
    assert page_map.region(0, KERNEL + 5) == (KERNEL, PAGE)
    assert [(addresses.tolist(), frames.tolist()) for addresses, frames in page_map.pages()] == [([KERNEL], [0x10])]


def test_the_self_map_is_nobodys_memory(tmp_path: Path) -> None:
    memory = TableImage()
    root = memory.root()
    memory.map(root, KERNEL, 0x10)
    memory.raw(root, 0x1ED << 39, root << 12 | PRESENT, level=4)
    image = memory.open(tmp_path)
    assert len(PageMap(image, [owner(root, kernel=True)], self_index=0x1ED)) == 1
    assert len(PageMap(image, [owner(root)], self_index=0x1ED)) == 0


def test_what_all_kernel_halves_share_is_walked_once(tmp_path: Path) -> None:
    memory = TableImage()
    system, process = memory.root(), memory.root()
    memory.map(system, KERNEL, 0x10)
    shared = memory.number(memory.entry(system, KERNEL, level=4))
    memory.raw(process, KERNEL, shared, level=4)
    memory.map(process, 0xFFFF_9000_0000_0000, 0x11)  # its session's
    owners = [owner(system, 4, kernel=True), owner(process, 4, kernel=True)]
    page_map = PageMap(memory.open(tmp_path), owners)
    assert page_map.mappings(0x10000) == [Mapping(0, KERNEL)]
    assert page_map.mappings(0x11000) == [Mapping(1, 0xFFFF_9000_0000_0000)]


def test_prototype_entries_are_resolved_through_the_kernels_memory(tmp_path: Path) -> None:
    memory = TableImage()
    system, process = memory.root(), memory.root()
    table = 0xFFFF_A80F_0000_0000
    memory.map(system, table, 0x20)
    states = {0: 0x30 << 12 | PRESENT, 1: 0x31 << 12 | TRANSITION, 2: PAGED_OUT, 3: 0x7777 << 12 | PRESENT, 4: 1 << 10}
    for number, entry in states.items():
        memory.write(0x20 * PAGE + 8 * number, entry.to_bytes(8, "little"))
        memory.raw(process, FIRST + number * PAGE, ((table + 8 * number) & (1 << 48) - 1) << 16 | 1 << 10)
    memory.raw(process, FIRST + 5 * PAGE, ((table + 0x1000) & (1 << 48) - 1) << 16 | 1 << 10)  # not mapped
    memory.raw(process, FIRST + 6 * PAGE, ((table + 1) & (1 << 48) - 1) << 16 | 1 << 10)  # not aligned
    image = memory.open(tmp_path)
    page_map = PageMap(image, [owner(system, 4, kernel=True), owner(process)])
    assert page_map.frames(1, page_number(FIRST) + np.arange(7)).tolist() == [0x30, 0x31, -1, -1, -1, -1, -1]
    assert page_map.resolved == 2
    assert page_map.mappings(0x30000) == [Mapping(1, FIRST)]
    assert PageMap(image, [owner(process)]).resolved == 0


def test_seams_are_where_memory_goes_on_elsewhere(tmp_path: Path) -> None:
    memory = TableImage(0x500)
    one, two, kernel = memory.root(), memory.root(), memory.root()
    for root in (one, two):
        for number, frame in enumerate([0x10, 0x11, 0x20, 0x21]):
            memory.map(root, FIRST + number * PAGE, frame)
    memory.map(one, FIRST + 5 * PAGE, 0x30)  # after a hole
    memory.map(two, FIRST + 4 * PAGE, 0x10)
    memory.map(two, 0x4000_0000, 0x200, level=2)
    memory.map(two, 0x4020_0000, 0x12)
    memory.map(two, 0x3FFF_F000, 0x13)
    memory.map(kernel, 0xFFFF_FFFF_FFFF_F000, 0x14)  # the next owner begins at page 0
    last = memory.root()
    memory.map(last, 0, 0x15)
    owners = [owner(one), owner(two), owner(kernel, kernel=True), owner(last)]
    page_map = PageMap(memory.open(tmp_path), owners)
    assert seams(page_map) == {(0x11, 0x20), (0x21, 0x10), (0x3FF, 0x12), (0x13, 0x200)}


def test_many_seams_of_one_frame(tmp_path: Path) -> None:
    memory = TableImage()
    root = memory.root()
    for number in range(40):
        memory.map(root, 2 * number * PAGE, 0x50)
        memory.map(root, (2 * number + 1) * PAGE, number * 7 % 20)
    page_map = PageMap(memory.open(tmp_path), [owner(root)])
    pairs = [pair for tails, heads in page_map.seams(3) for pair in zip(tails.tolist(), heads.tolist(), strict=True)]
    assert sorted(pairs) == sorted({(0x50, number) for number in range(20)} | {(number, 0x50) for number in range(20)})
    for tails, _ in page_map.seams(100):
        assert tails.tolist() == sorted(tails.tolist())


def test_regions_are_runs_of_mapped_pages(tmp_path: Path) -> None:
    memory = TableImage(0x800)
    root, other = memory.root(), memory.root()
    for number in range(300):
        memory.map(root, 0x100_0000 + number * PAGE, 600 - number)
    memory.map(root, 0x120_0000, 0x200, level=2)
    memory.map(root, 0x200_0000, 5)
    memory.map(other, 0, 6)
    page_map = PageMap(memory.open(tmp_path), [owner(root), owner(other)])
    for address in (0x100_0000, 0x100_0000 + 299 * PAGE + 5, 0x108_0123):
        assert page_map.region(0, address) == (0x100_0000, 300 * PAGE)
    assert page_map.region(0, 0x130_0000) == (0x120_0000, 1 << 21)
    assert page_map.region(0, 0x200_0FFF) == (0x200_0000, PAGE)
    assert page_map.region(0, 0x300_0000) == (0x300_0000, 0)
    assert page_map.region(1, 8) == (0, PAGE)
    assert page_map.region(1, 0x100_0000) == (0x100_0000, 0)


def test_mappings_of_one_frame_are_bounded(tmp_path: Path) -> None:
    memory = TableImage()
    root = memory.root()
    for number in range(40):
        memory.map(root, number * PAGE, 0x10)
    page_map = PageMap(memory.open(tmp_path), [owner(root)])
    assert len(page_map.seen(np.array([0x10000]), most=7)[0]) == 7
    assert len(page_map.seen(np.array([0x10000]))[0]) == 40


def test_private_frames_are_those_that_few_processes_map(tmp_path: Path) -> None:
    image = TableImage(0x500)
    roots = [image.root() for _ in range(3)]
    for root in roots:
        image.map(root, 0x10000, 5)  # of all
    for root in roots[:2]:
        image.map(root, 0x20000, 6)
    image.map(roots[0], 0x30000, 7)
    image.map(roots[0], 0x31000, 9)  # not wanted
    image.map(roots[1], 0x200000, 512, level=2)
    image.map(roots[1], 0x400000, 600)  # again, within the large page
    kernel = image.root()
    image.map(kernel, 0xFFFF_8000_0000_0000, 8)
    with image.open(tmp_path) as physical:
        owners = [*(owner(root, pid) for pid, root in enumerate(roots)), owner(kernel, 0, kernel=True)]
        begins, ends = PageMap(physical, owners).private(1, np.array([9]))
        assert list(zip(begins.tolist(), ends.tolist(), strict=True)) == [(7, 8), (512, 600), (601, 1024)]
        begins, ends = PageMap(physical, owners).private(2, np.array([9]))
        assert list(zip(begins.tolist(), ends.tolist(), strict=True)) == [(6, 8), (512, 1024)]
        assert not PageMap(physical, []).private(1, np.zeros(0, np.int64))[0].size


def test_a_map_that_is_cut_off_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dumpscan.memory.physical.page_tables._TABLES_AT_ONCE", 1)
    memory = TableImage()
    root = memory.root()
    for number in range(8):
        memory.map(root, number << 21, 0x10)
    page_map = PageMap(memory.open(tmp_path), [owner(root)], most=4)
    assert page_map.problems == ["page tables list more than 4 pages: the others are not known to any process"]


def test_an_image_that_is_cut_short_says_so(tmp_path: Path) -> None:
    memory = TableImage()
    root = memory.root()
    memory.map(root, FIRST, 0x10)
    memory.raw(root, 0x8000_0000, 0x6000 << 12 | PRESENT, level=2)
    image = memory.open(tmp_path)
    assert PageMap(image, [owner(root, kernel=True)]).problems == []
    assert PageMap(image, [owner(root)]).problems == [
        (
            "1 page tables and 0 of 1 pages of processes lie outside of the image: it is cut short, or memory changed "
            "while it was taken"
        )
    ]


def test_a_few_pages_of_a_device_are_no_damage(tmp_path: Path) -> None:
    memory = TableImage()
    root = memory.root()
    for number in range(16):
        memory.map(root, FIRST + number * PAGE, 0x9000 + number)
    assert PageMap(memory.open(tmp_path), [owner(root)]).problems == []
    memory.map(root, FIRST + 16 * PAGE, 0x9100)
    assert len(PageMap(memory.open(tmp_path), [owner(root)]).problems) == 1


def test_statistics_count_pages_of_4_kib(tmp_path: Path) -> None:
    memory = TableImage(0x500)
    one, two = memory.root(), memory.root()
    memory.map(one, FIRST, 0x10)
    memory.map(two, FIRST, 0x10, flags=TRANSITION)
    memory.map(two, 0x4000_0000, 0x200, level=2)
    memory.map(two, SECOND, 0x201)
    memory.map(two, SECOND + PAGE, 0x9999)
    page_map = PageMap(memory.open(tmp_path), [owner(one), owner(two)])
    assert map_statistics(page_map) == MapStatistics(
        pages=3 + 512, large_pages=1, frames=1 + 512, invalid=1, resolved=0, absent=1, looped=0
    )


def test_all_pages_are_gone_through_in_steps(tmp_path: Path) -> None:
    memory = TableImage(0x500)
    root = memory.root()
    for number in range(5):
        memory.map(root, FIRST + number * PAGE, 0x10 + number)
    memory.map(root, 0x4000_0000, 0x200, level=2)
    memory.map(root, 0x80_0000_0000, 0, level=3)
    page_map = PageMap(memory.open(tmp_path), [owner(root)])
    wanted = [(0x4000_0000 + number * PAGE, 0x200 + number) for number in range(512)]
    wanted += [(0x80_0000_0000 + number * PAGE, number) for number in range(0x500)]  # no more is in the image
    wanted += [(FIRST + number * PAGE, 0x10 + number) for number in range(5)]
    for most in (1, 3, 600, 1 << 20):
        steps = list(page_map.pages(most))
        assert [
            pair for addresses, frames in steps for pair in zip(addresses.tolist(), frames.tolist(), strict=True)
        ] == wanted
        assert all(len(frames) <= max(most, 0x500) for _, frames in steps)


def test_nothing_mapped(tmp_path: Path) -> None:
    memory = TableImage()
    image = memory.open(tmp_path)
    for page_map in (PageMap(image, []), PageMap(image, [owner(0x9999), owner(0x9999, kernel=True)])):
        assert len(page_map) == 0
        assert page_map.mappings(0x1000) == []
        assert page_map.frames(0, np.array([1, 2])).tolist() == [-1, -1]
        assert page_map.frame(0, 5) == -1
        assert page_map.region(0, 0x5000) == (0x5000, 0)
        assert seams(page_map) == set()
        assert list(page_map.pages()) == []


@given(
    processes=st.lists(st.dictionaries(st.integers(0, 1200), st.integers(0, 15), max_size=40), min_size=1, max_size=4)
)
@settings(deadline=None, max_examples=60)
def test_forwards_and_backwards_agree(
    tmp_path_factory: pytest.TempPathFactory, processes: list[dict[int, int]]
) -> None:
    memory = TableImage()
    roots = [memory.root() for _ in processes]
    for root, pages in zip(roots, processes, strict=True):
        for page, frame in pages.items():
            memory.map(root, page << 12, frame)
    with memory.open(tmp_path_factory.mktemp("map")) as image:
        page_map = PageMap(image, [owner(root) for root in roots])
    mapped = {(number, page): frame for number, pages in enumerate(processes) for page, frame in pages.items()}
    index, who, where = page_map.seen(np.arange(16) << 12)
    assert {
        (number, address >> 12): frame
        for frame, number, address in zip(index.tolist(), who.tolist(), where.tolist(), strict=True)
    } == mapped
    for number in range(len(processes)):
        wanted = [mapped.get((number, page), -1) for page in range(1201)]
        assert page_map.frames(number, np.arange(1201)).tolist() == wanted
        assert list(page_map.span_frames(number, 0, 1201 << 12)) == wanted
        assert [page_map.frame(number, page) for page in range(0, 1201, 7)] == wanted[::7]
    assert seams(page_map) == {
        (frame, mapped[number, page + 1])
        for (number, page), frame in mapped.items()
        if (number, page + 1) in mapped and mapped[number, page + 1] != frame + 1
    }


HIGH = (1 << 44) - 64 * PAGE
"""Physical address of the last frames that are read: their numbers do not fit into 31 bits."""


def test_memory_at_the_end_of_physical_addresses(tmp_path: Path) -> None:
    """What is kept for each frame is kept for frames that are there, not for all below the highest."""
    memory = TableImage(256)
    root, high = memory.root(), HIGH >> 12
    for number, frame in enumerate((3, high + 3, 4, high + 1, high, 5)):
        memory.map(root, FIRST + number * PAGE, frame)
    image = memory.open(tmp_path, [(0, 256 * PAGE, 0), (HIGH, 64 * PAGE, 0)])
    tracemalloc.start()
    try:
        page_map = PageMap(image, [owner(root)])
        assert seams(page_map) == {(3, high + 3), (high + 3, 4), (4, high + 1), (high + 1, high), (high, 5)}
        edges = [image.gather_edges(tails, heads, 8) for tails, heads in page_map.seams()]
        assert sum(map(len, edges)) == 5
        assert map_statistics(page_map).frames == 6
        assert tracemalloc.get_traced_memory()[1] < 16 << 20
    finally:
        tracemalloc.stop()


def test_frames_are_numbered_without_holes(tmp_path: Path) -> None:
    image = TableImage(16).open(tmp_path, [(0, 4 * PAGE, 0), (HIGH, 3 * PAGE, 4 * PAGE), (100 * PAGE, PAGE, 9 * PAGE)])
    frames = np.array([0, 3, 100, HIGH >> 12, (HIGH >> 12) + 2])
    assert image.ordinals(frames).tolist() == [0, 3, 4, 5, 7]
    assert image.frames_at(np.arange(8))[[0, 3, 4, 5, 7]].tolist() == frames.tolist()


@given(
    small=st.lists(st.integers(0, 3000), max_size=30),
    large=st.lists(st.tuples(st.integers(0, 5), st.sampled_from([9, 18])), max_size=6),
)
def test_frames_of_large_pages_are_counted_as_ranges(small: list[int], large: list[tuple[int, int]]) -> None:
    pages = [(frame, 0) for frame in small] + [(number << span, span) for number, span in large]
    expected = {frame + inside for frame, span in pages for inside in range(1 << span)}
    columns = np.array(pages, np.int64).reshape(-1, 2)
    assert _count_frames(columns[:, 0], columns[:, 1].astype(np.uint8)) == len(expected)


def test_large_pages_outside_of_the_image_take_no_time(tmp_path: Path) -> None:
    """Pages of 1 GiB at the highest addresses: only the first frame of each is in the image."""
    memory = TableImage(256)
    root = memory.root()
    for number in range(100):
        memory.map(root, number << 30, 0, level=3)
    page_map = PageMap(memory.open(tmp_path), [owner(root)])
    steps = list(page_map.pages(1 << 18, limit=1 << 19))
    assert len(steps) == 2
    assert map_statistics(page_map).frames == 1 << 18
