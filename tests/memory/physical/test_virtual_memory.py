from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import given, settings
from hypothesis import strategies as st

from dumpscan.memory.physical.page_map import PageMap
from dumpscan.memory.physical.virtual_memory import VirtualMemory
from support.page_table_images import PAGE, TableImage, owner

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

BASE = 0x7FF6_1234_5000
TOP = 0xFFFF_FFFF_FFFF_F000


def memory_of(
    directory: Path, frames: list[int | None], runs: list[tuple[int, int, int]] | None = None
) -> VirtualMemory:
    """Map frames one after the other from BASE on, None for a hole; each frame is full of its number."""
    memory = TableImage(64)
    root = memory.root()
    for number in range(16):
        memory.write(number * PAGE, bytes([number]) * PAGE)
    for number, frame in enumerate(frames):
        if frame is not None:
            memory.map(root, BASE + number * PAGE, frame)
    return VirtualMemory(PageMap(memory.open(directory, runs), [owner(root)]), 0)


def test_reading_follows_the_mapping_and_not_the_frames(tmp_path: Path) -> None:
    memory = memory_of(tmp_path, [5, 9, 2, 3])
    assert memory.read(BASE + PAGE - 2, 4) == b"\5\5\t\t"
    assert memory.read(BASE, 4 * PAGE) == b"".join(bytes([number]) * PAGE for number in (5, 9, 2, 3))
    assert memory.read(BASE + 100, 0) == b""
    assert memory.pointer_size == 8


def test_reading_stops_at_a_hole(tmp_path: Path) -> None:
    memory = memory_of(tmp_path, [5, None, 2])
    assert memory.read(BASE + PAGE - 2, PAGE + 10) == b"\5\5"
    assert memory.read(BASE + PAGE, 10) == b""
    assert memory.read(BASE - 1, 10) == b""
    assert memory.read(-5, 10) == b""
    assert memory.read_padded(BASE + PAGE - 2, PAGE + 4) == b"\5\5" + bytes(PAGE) + b"\2\2"
    assert memory.read_padded(BASE + 3 * PAGE - 2, 6) == b"\2\2" + bytes(4)


def test_where_bytes_lie_in_the_file(tmp_path: Path) -> None:
    memory = memory_of(tmp_path, [5, 9, 10, None])
    assert memory.extents(BASE + 0xF00, 0x1300) == ((5 * PAGE + 0xF00, 0x100), (9 * PAGE, 0x1200))
    assert memory.extents(BASE + 2 * PAGE, 0x2000) == ((10 * PAGE, PAGE),)
    assert memory.extents(BASE + 3 * PAGE, 4) == ()


def test_huge_reads_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dumpscan.memory.physical.virtual_memory._MAX_READ", 3 * PAGE)
    memory = memory_of(tmp_path, [1, 2, 3, 4, 5])
    assert len(memory.read(BASE, 1 << 60)) == 3 * PAGE
    assert len(memory.read_padded(BASE, 1 << 60)) == 3 * PAGE
    assert memory.extents(BASE, 1 << 60) == ((PAGE, 3 * PAGE),)


def test_the_end_of_the_address_space(tmp_path: Path) -> None:
    memory = TableImage(64)
    root = memory.root()
    memory.write(3 * PAGE, b"\3" * PAGE)
    memory.map(root, TOP, 3)
    space = VirtualMemory(PageMap(memory.open(tmp_path), [owner(root, kernel=True)]), 0)
    assert space.read(TOP + PAGE - 4, 100) == b"\3" * 4


@given(
    frames=st.lists(st.none() | st.integers(0, 15), min_size=1, max_size=24),
    reads=st.lists(st.tuples(st.integers(-PAGE, 25 * PAGE), st.integers(0, 25 * PAGE)), min_size=1, max_size=6),
)
@settings(deadline=None, max_examples=60)
def test_reads_agree_with_the_mapping(
    tmp_path_factory: pytest.TempPathFactory, frames: list[int | None], reads: list[tuple[int, int]]
) -> None:
    memory = memory_of(tmp_path_factory.mktemp("virtual"), frames)
    whole = b"".join(bytes(PAGE) if frame is None else bytes([frame]) * PAGE for frame in frames)
    for offset, size in reads:
        held = 0
        while held < size and 0 <= offset + held < len(whole) and frames[(offset + held) // PAGE] is not None:
            held = min(held + PAGE - (offset + held) % PAGE, size)
        held = max(min(held, len(whole) - offset), 0)
        data = whole[max(offset, 0) :][:held] if offset >= 0 else b""
        assert memory.read(BASE + offset, size) == data
        file = b"".join(
            bytes([at // PAGE]) * length for at, length in memory.extents(BASE + offset, size) if at // PAGE < 16
        )
        assert len(file) == len(data)
        padded = memory.read_padded(BASE + offset, size)
        assert len(padded) == size
        assert (
            padded[max(-offset, 0) :][: len(whole)]
            == (
                whole[max(offset, 0) : max(offset + size, 0)].ljust(max(size - max(-offset, 0), 0), b"\0")[: len(whole)]
            )
        )
