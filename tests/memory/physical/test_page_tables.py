from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from dumpscan.memory.physical.page_map import PageMap
from dumpscan.memory.physical.page_tables import ROOT_SHIFT, SPANS, Walk, Walker, canonical, page_number, translate
from support.page_table_images import LARGE, PAGE, PAGED_OUT, PRESENT, TRANSITION, TableImage, open_bytes, owner

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

    from dumpscan.memory.physical.image import PhysicalImage

USER = 0x7FF6_1234_5000
KERNEL = 0xFFFF_F803_1220_0000
USER_HALF = np.arange(256)


def walk(image: PhysicalImage, *roots: int, most: int = 1 << 20, indices: np.ndarray = USER_HALF) -> Walk:
    return Walker(image, most).walk(np.array(roots, np.int64), [indices] * len(roots))


def listed(found: Walk) -> list[tuple[int, int, int, int]]:
    columns = (found.key >> ROOT_SHIFT, found.key & ((1 << ROOT_SHIFT) - 1), found.frame, found.span)
    return list(zip(*(column.tolist() for column in columns), strict=True))


def test_page_numbers_and_addresses() -> None:
    assert canonical(page_number(KERNEL)) == KERNEL
    assert canonical(page_number(USER + 5)) == USER
    assert page_number(0xFFFF_FFFF_FFFF_FFFF) == (1 << 36) - 1


def test_pages_of_all_sizes(tmp_path: Path) -> None:
    memory = TableImage(0x400)
    root = memory.root()
    memory.map(root, USER, 0x12)
    memory.map(root, 0x4000_0000, 0x200, level=2)
    memory.map(root, 0x80_0000_0000, 0, level=3)
    image = memory.open(tmp_path)
    assert translate(image, root, USER + 0x123) == 0x12123
    assert translate(image, root, 0x4000_0000 + 0x1F_FFFF) == 0x3F_FFFF
    assert translate(image, root, 0x80_0000_0000 + 0x12345) == 0x12345
    assert translate(image, root, USER + PAGE) is None
    assert listed(walk(image, root)) == [
        (0, page_number(0x4000_0000), 0x200, SPANS[1]),
        (0, page_number(0x80_0000_0000), 0, SPANS[2]),
        (0, page_number(USER), 0x12, SPANS[0]),
    ]


def test_bits_beside_the_frame_do_not_matter(tmp_path: Path) -> None:
    memory = TableImage(0x400)
    root = memory.root()
    memory.map(root, USER, 0x12, flags=PRESENT | 1 << 63 | 0xF << 58)
    memory.map(root, 0x4000_0000, 0x200 | 1, level=2)  # bit 12 of a large page chooses a memory type
    image = memory.open(tmp_path)
    assert [page[2] for page in listed(walk(image, root))] == [0x200, 0x12]
    assert translate(image, root, 0x4000_0000) == 0x20_0000


def test_what_is_in_transition_counts_and_what_is_paged_out_does_not(tmp_path: Path) -> None:
    memory = TableImage()
    root = memory.root()
    memory.map(root, USER, 0x10, flags=TRANSITION)
    memory.map(root, USER + 0x200000, 0x11, flags=TRANSITION | 1 << 10)  # with the prototype bit
    memory.raw(root, USER + 0x400000, PAGED_OUT)
    # A table in transition whose protection happens to set the bit that means a large page in a valid entry.
    memory.map(root, 0x1_0000_0000, 0x13)
    at = memory.entry(root, 0x1_0000_0000, level=2)
    memory.write(at, (memory.number(at) & ~0xFFF | TRANSITION | LARGE).to_bytes(8, "little"))
    image = memory.open(tmp_path)
    found = walk(image, root)
    assert [page[1:] for page in listed(found)] == [(0x100000, 0x13, 0), (page_number(USER), 0x10, 0)]
    assert found.invalid == 1
    assert translate(image, root, USER) == 0x10000
    assert translate(image, root, USER + 0x200000) is None
    assert translate(image, root, 0x1_0000_0000) == 0x13000


def test_a_table_of_equal_entries_maps_nothing(tmp_path: Path) -> None:
    memory = TableImage()
    root = memory.root()
    memory.map(root, 0x20_0000, 0x10)
    table = memory.entry(root, 0x20_0000)
    memory.write(table, (0x10 << 12 | PRESENT).to_bytes(8, "little") * 512)
    assert len(walk(memory.open(tmp_path), root).key) == 0


def test_entries_past_the_end_of_the_image_are_counted(tmp_path: Path) -> None:
    memory = TableImage()
    root = memory.root()
    memory.map(root, USER, 0x10)
    memory.map(root, USER + PAGE, 0x7000)
    memory.raw(root, 0x8000_0000, 0x6000 << 12 | PRESENT, level=2)
    memory.raw(root, 0x9000_0000, (1 << 45) - PAGE | PRESENT)
    found = walk(memory.open(tmp_path), root, 0x9999)
    assert len(found.key) == 1
    assert found.absent.tolist() == [2, 0]
    assert found.absent_tables.tolist() == [1, 0]


def test_loops_end_and_a_table_counts_once_below_a_root(tmp_path: Path) -> None:
    memory = TableImage()
    first, second = memory.root(), memory.root()
    memory.map(first, USER, 0x10)
    memory.map(second, USER, 0x11)
    for root in (first, second):
        memory.raw(root, 3 << 39, root << 12 | PRESENT, level=4)  # to itself
        memory.raw(root, 4 << 39, first << 12 | PRESENT, level=4)  # and both to the first
    table = memory.new_frame()
    memory.write(table * PAGE, (table << 12 | PRESENT).to_bytes(8, "little") * 511)  # to itself, all but once
    memory.raw(first, 5 << 39, table << 12 | PRESENT, level=4)
    found = walk(memory.open(tmp_path), first, second)
    assert (0, page_number(USER), 0x10, 0) in listed(found)
    assert (1, page_number(USER), 0x11, 0) in listed(found)
    assert found.looped >= 4
    assert len(found.key) < 4 * 512


def test_a_table_that_is_met_again_lists_nothing(tmp_path: Path) -> None:
    memory = TableImage()
    root = memory.root()
    memory.map(root, 0, 0x10)
    memory.raw(root, 3 << 39, root << 12 | PRESENT, level=4)
    found = walk(memory.open(tmp_path), root)
    assert listed(found) == [(0, 0, 0x10, 0)]
    assert found.looped == 1


def test_only_chosen_entries_are_followed(tmp_path: Path) -> None:
    memory = TableImage()
    root = memory.root()
    memory.map(root, USER, 0x10)
    memory.map(root, KERNEL, 0x11)
    memory.map(root, 0x1000, 0x12)
    image = memory.open(tmp_path)
    assert [page[2] for page in listed(walk(image, root))] == [0x12, 0x10]
    assert [page[2] for page in listed(walk(image, root, indices=np.array([0x1F0])))] == [0x11]


def test_the_number_of_pages_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dumpscan.memory.physical.page_tables._TABLES_AT_ONCE", 1)
    memory = TableImage(4096)
    root = memory.root()
    for number in range(64):
        memory.map(root, number << 21, number)
        memory.map(root, number << 21 | PAGE, number + 1)
    found = walk(memory.open(tmp_path), root, most=10)
    assert found.truncated
    assert len(found.key) == 10


def test_the_number_of_tables_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every frame a table full of entries that lead to all the others: each root reaches all of them."""
    monkeypatch.setattr("dumpscan.memory.physical.page_tables._FIRST_TABLES", 100)
    monkeypatch.setattr("dumpscan.memory.physical.page_tables._TABLES_AT_ONCE", 16)
    monkeypatch.setattr("dumpscan.memory.physical.page_tables._MAX_NEW", 1000)
    frames = np.random.default_rng(1).integers(1, 64, (64, 512)).astype("<u8")
    image = open_bytes(tmp_path, ((frames << 12) | PRESENT).tobytes())
    read: list[int] = []
    tables = image.tables
    monkeypatch.setattr(image, "tables", lambda wanted: read.append(len(wanted)) or tables(wanted))
    found = walk(image, *range(1, 60), most=1 << 40)
    assert found.too_many_tables
    assert 100 + 64 <= sum(read) - 59 <= 100 + 64 + 16
    page_map = PageMap(image, [owner(root, root) for root in range(1, 60)])
    assert any("more tables than the image can hold" in problem for problem in page_map.problems)


def test_prototype_entries_count_as_pages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dumpscan.memory.physical.page_tables._TABLES_AT_ONCE", 1)
    memory = TableImage(512)
    root = memory.root()
    for number in range(64):
        memory.raw(root, number << 21, (0xFFFF_A80F_1234_5678 & (1 << 48) - 1) << 16 | 1 << 10)
    found = walk(memory.open(tmp_path), root, most=10)
    assert found.truncated
    assert found.deferred is not None
    assert len(found.deferred[0]) == 10


def test_prototype_entries_give_the_address_of_theirs(tmp_path: Path) -> None:
    memory = TableImage()
    root = memory.root()
    prototype = 0xFFFF_A80F_1234_5678
    memory.raw(root, USER, (prototype & (1 << 48) - 1) << 16 | 1 << 10)
    memory.raw(root, USER + PAGE, 0xFFFF_FFFF_0000 << 16 | 1 << 10)  # says that the VAD knows
    memory.raw(root, USER + 2 * PAGE, 0x1234 << 16 | 1 << 10)  # no kernel address
    found = walk(memory.open(tmp_path), root).deferred
    assert found is not None
    assert [column.tolist() for column in found] == [[0], [page_number(USER)], [prototype]]


pages = st.dictionaries(
    st.integers(0, (1 << 35) - 1).flatmap(lambda page: st.sampled_from([page, page & 0x3FF, page & ~0x3FFFF])),
    st.tuples(st.integers(0, 300), st.sampled_from([PRESENT, TRANSITION, PAGED_OUT, 0])),
    max_size=12,
)


@given(processes=st.lists(pages, min_size=1, max_size=3))
@settings(deadline=None, max_examples=60)
def test_the_walk_agrees_with_one_translation_after_the_other(
    tmp_path_factory: pytest.TempPathFactory, processes: list[dict[int, tuple[int, int]]]
) -> None:
    memory = TableImage(256)
    roots = [memory.root() for _ in processes]
    for root, mapped in zip(roots, processes, strict=True):
        for page, (frame, flags) in mapped.items():
            memory.map(root, page << 12, frame, flags)
    with memory.open(tmp_path_factory.mktemp("walk")) as image:
        found = walk(image, *roots)
        translated = {
            (number, page): translate(image, root, page << 12)
            for number, (root, mapped) in enumerate(zip(roots, processes, strict=True))
            for page in mapped
        }
    there = {key: at >> 12 for key, at in translated.items() if at is not None and at >> 12 < 256}
    assert {(root, page): frame for root, page, frame, _ in listed(found)} == there
    assert [page[:2] for page in listed(found)] == sorted(there)
