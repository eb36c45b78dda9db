"""Page tables, walked as the processor walks them."""

from __future__ import annotations

import tempfile
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dumpscan.exceptions import ScenarioError
from dumpscan.model.windows import c_paging as paging
from dumpscan.model.windows.c_paging import HUGE_PAGE_SIZE, LARGE_PAGE_SIZE, PAGE_SIZE
from dumpscan.synth.physical.memory import PhysicalMemory
from dumpscan.synth.physical.paging import KERNEL_DATA, USER_DATA, PageTables

if TYPE_CHECKING:
    from collections.abc import Iterator

SELF_MAP = 0x1ED
USER_PAGES = st.integers(0x10, (paging.USER_SPACE_END >> 12) - 0x1000)


@pytest.fixture
def memory() -> Iterator[PhysicalMemory]:
    with tempfile.TemporaryFile() as file:
        made = PhysicalMemory(file, [(0, 64 << 20)], "seed", large=4)
        yield made
        made.close()


def test_index_and_canonical() -> None:
    address = paging.canonical(0x1F0 << 39 | 3 << 30 | 5 << 21 | 7 << 12 | 9)
    assert address == 0xFFFFF800C0A07009
    assert [paging.index(address, level) for level in (4, 3, 2, 1)] == [0x1F0, 3, 5, 7]
    assert paging.canonical(0x7FFF_FFFF_F000) == 0x7FFF_FFFF_F000


@pytest.mark.parametrize(
    ("entry", "present"),
    [
        (0, False),
        (0x1000 | paging.VALID, True),
        (0x1000 | paging.TRANSITION, True),
        (0x1000 | paging.TRANSITION | paging.PROTOTYPE, False),
        (5 << paging.PAGEFILE_OFFSET_SHIFT, False),
        (paging.PROTOTYPE, False),
    ],
)
def test_presence(entry: int, *, present: bool) -> None:
    assert paging.is_present(entry) is present


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(page=USER_PAGES, count=st.integers(1, 40), data=st.data())
def test_mapped_pages_are_found(memory: PhysicalMemory, page: int, count: int, data: st.DataObject) -> None:
    root = memory.take_table()
    space = PageTables(memory, root, SELF_MAP)
    frames = memory.take(count)
    space.map_pages(page << 12, frames, USER_DATA)
    offset = data.draw(st.integers(0, count * PAGE_SIZE - 1))
    size = data.draw(st.integers(1, count * PAGE_SIZE - offset))
    content = np.arange(size, dtype=np.uint32).astype(np.uint8).tobytes()
    space.write((page << 12) + offset, content)
    assert space.read((page << 12) + offset, size) == content
    first = memory.read((int(frames[offset // PAGE_SIZE]) << 12) + offset % PAGE_SIZE, 1)
    assert first == content[:1]
    assert space.physical((page - 1) << 12)[0] is None
    assert space.physical((page + count) << 12)[0] is None


def test_large_pages(memory: PhysicalMemory) -> None:
    space = PageTables(memory, memory.take_table(), SELF_MAP)
    frame = memory.take_contiguous(LARGE_PAGE_SIZE)
    space.map_large(0x4000_0000, frame, LARGE_PAGE_SIZE, USER_DATA)
    memory_type = 1 << 12  # stands where a small page's frame number begins
    space.map_large(0x8000_0000, 1 << 18, HUGE_PAGE_SIZE, USER_DATA | memory_type)
    assert space.physical(0x401F_FFFF) == ((frame << 12) + 0x1F_FFFF, 1)
    assert space.physical(0x8000_0000 + 0x1234_5678) == ((1 << 30) + 0x1234_5678, HUGE_PAGE_SIZE - 0x1234_5678)
    assert space.entry(0x4000_0000)[1] == 2
    assert space.entry(0x8000_0000)[1] == 3
    with pytest.raises(ScenarioError, match="large page already"):
        space.map_pages(0x4000_0000, memory.take(1), USER_DATA)


def test_absent_pages(memory: PhysicalMemory) -> None:
    space = PageTables(memory, memory.take_table(), SELF_MAP)
    frame = int(memory.take(1)[0])
    memory.write(frame << 12, b"trimmed")
    entries = np.array([frame << 12 | paging.TRANSITION, 7 << 32, frame << 12 | paging.PROTOTYPE], dtype=np.uint64)
    space.set_entries(0x10_0000, entries)
    assert space.read(0x10_0000, 7) == b"trimmed"
    assert space.read(0x10_1000, 0x2000) == bytes(0x2000)
    assert list(space.extents(0x10_0FF0, 0x20)) == [((frame << 12) + 0xFF0, 0x10), (None, 0x10)]
    space.write(0x10_1000, b"dropped")
    assert space.read(0x10_1000, 7) == bytes(7)


def test_system_half_is_shared(memory: PhysicalMemory) -> None:
    system = PageTables(memory, memory.take_table(), SELF_MAP)
    system.ensure(0xFFFF_F800_0000_0000)
    one, other = (PageTables(memory, memory.take_table(), SELF_MAP) for _ in range(2))
    one.share_kernel(system)
    other.share_kernel(system)
    system.map_pages(0xFFFF_F800_0000_0000, memory.take(1), KERNEL_DATA)
    system.write(0xFFFF_F800_0000_0000, b"seen by all")
    assert other.read(0xFFFF_F800_0000_0000, 11) == b"seen by all"
    one.map_pages(0x1_0000, memory.take(1), USER_DATA)
    assert other.physical(0x1_0000)[0] is None
    # Each top table refers to itself: the fourth level, read through it, is the table.
    at = paging.canonical(SELF_MAP << 39 | SELF_MAP << 30 | SELF_MAP << 21 | SELF_MAP << 12)
    for space in (system, one, other):
        assert space.physical(at)[0] == space.root << 12
