from __future__ import annotations

import mmap
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dumpscan.memory.physical.image import FRAME_LIMIT
from support.page_table_images import PAGE, open_bytes

if TYPE_CHECKING:
    from pathlib import Path

PATTERN = b"".join(number.to_bytes(4, "little") * 1024 for number in range(16))
"""Sixteen pages, each full of its own number."""


def frames(*numbers: int) -> np.ndarray:
    return np.array(numbers, np.int64)


def test_a_raw_image_is_one_run(tmp_path: Path) -> None:
    image = open_bytes(tmp_path, PATTERN)
    assert (image.frames, image.size, image.end) == (16, 16 * PAGE, 16 * PAGE)
    assert image.problems == []
    assert image.offsets(frames(0, 15, 16, -1)).tolist() == [0, 15 * PAGE, -1, -1]
    assert image.tables(frames(3, 1))[:, 0].tolist() == [3 << 32 | 3, 1 << 32 | 1]
    assert image.gather(frames(2, 5), 8, 4).tobytes() == b"\2\0\0\0\5\0\0\0"


def test_runs_may_lie_anywhere_in_the_file_and_at_any_offset(tmp_path: Path) -> None:
    # As in LiME: a header of 32 bytes before each run, so that frames are not aligned in the file.
    data = b"h" * 32 + PATTERN[: 4 * PAGE] + b"h" * 32 + PATTERN[4 * PAGE :]
    image = open_bytes(tmp_path, data, [(0x100000, 12 * PAGE, 64 + 4 * PAGE), (0, 4 * PAGE, 32)])
    assert [(region.start, region.size) for region in image.regions] == [(0, 4 * PAGE), (0x100000, 12 * PAGE)]
    assert image.offsets(frames(3, 4, 0x100, 0x10B, 0x10C)).tolist() == [
        32 + 3 * PAGE,
        -1,
        64 + 4 * PAGE,
        64 + 15 * PAGE,
        -1,
    ]
    assert (image.tables(frames(0x101, 2)) & np.uint64(0xFF))[:, 7].tolist() == [5, 2]
    assert [(first, table[:, 0].tolist()) for first, table in image.spans(8)][:1] == [
        (0, [0, 1 << 32 | 1, 2 << 32 | 2, 3 << 32 | 3])
    ]
    assert [len(table) for _, table in image.spans(8)] == [4, 8, 4]
    assert image.read(0x100000 - 4, 8) == b""
    assert image.read(0x100000 + PAGE - 2, 4) == b"\0\0\5\0"


def test_reading_goes_on_across_adjacent_runs_and_stops_at_a_hole(tmp_path: Path) -> None:
    image = open_bytes(tmp_path, PATTERN, [(0, PAGE, 8 * PAGE), (PAGE, PAGE, 3 * PAGE), (4 * PAGE, PAGE, 0)])
    assert image.read(PAGE - 4, 8) == b"\10\0\0\0\3\0\0\0"
    assert image.read(2 * PAGE - 4, 8) == b"\3\0\0\0"
    assert image.extents(PAGE - 4, 8) == ((9 * PAGE - 4, 4), (3 * PAGE, 4))


def test_a_frame_that_is_not_there_whole_is_absent(tmp_path: Path) -> None:
    image = open_bytes(tmp_path, PATTERN, [(0x800, 3 * PAGE, 0)])
    assert image.present(frames(0, 1, 2, 3)).tolist() == [False, True, True, False]
    assert image.frames == 2
    assert len(image.read(0x800, 4 * PAGE)) == 3 * PAGE


def test_runs_past_the_end_of_the_file_are_said(tmp_path: Path) -> None:
    image = open_bytes(tmp_path, PATTERN, [(0, 8 * PAGE, 0), (1 << 30, 16 * PAGE, 8 * PAGE), (1 << 31, PAGE, 1 << 40)])
    assert image.frames == 16
    assert image.problems == [
        (
            "cut short: 2 of 3 runs of memory lie past the end of the file, wholly or in part; "
            f"{9 * PAGE} bytes are missing"
        )
    ]


def test_overlapping_runs_give_each_byte_once(tmp_path: Path) -> None:
    image = open_bytes(tmp_path, PATTERN, [(0, 4 * PAGE, 0), (2 * PAGE, 4 * PAGE, 8 * PAGE)])
    assert image.size == 6 * PAGE
    assert image.read(3 * PAGE, 4) == b"\3\0\0\0"
    assert image.read(4 * PAGE, 4) == b"\x0a\0\0\0"


def test_runs_that_share_the_file_over_and_over_are_bounded(tmp_path: Path) -> None:
    image = open_bytes(tmp_path, PATTERN, [(number << 30, 16 * PAGE, 0) for number in range(1000)])
    assert image.size == 4 * 16 * PAGE
    assert "share the same bytes" in image.problems[0]


def test_impossible_runs_are_left_out(tmp_path: Path) -> None:
    image = open_bytes(tmp_path, PATTERN, [(FRAME_LIMIT << 12, PAGE, 0), (-5, PAGE, 0), (0, -1, 0), (0, 0, 0)])
    assert (image.frames, image.end, list(image.regions)) == (0, 0, [])
    assert image.offsets(frames(0, 1)).tolist() == [-1, -1]
    assert list(image.spans(4)) == []
    assert image.read(0, 10) == b""


@given(
    order=st.permutations(range(16)),
    reads=st.lists(st.tuples(st.integers(0, 17 * PAGE), st.integers(0, 3 * PAGE)), max_size=8),
)
@settings(deadline=None, max_examples=40)
def test_reads_agree_with_the_runs_in_any_order(
    tmp_path_factory: pytest.TempPathFactory, order: list[int], reads: list[tuple[int, int]]
) -> None:
    runs = [(frame * PAGE, PAGE, place * PAGE) for frame, place in enumerate(order)]
    with pytest.MonkeyPatch.context() as patch, open_bytes(tmp_path_factory.mktemp("runs"), PATTERN, runs) as image:
        patch.setattr("dumpscan.memory.physical.image._FRAMES_AT_ONCE", 5)
        memory = b"".join(PATTERN[place * PAGE : (place + 1) * PAGE] for place in order)
        assert image.tables(np.arange(16)).tobytes() == memory
        assert image.gather_edges(np.arange(16), np.array(order), 5).tobytes() == b"".join(
            memory[(tail + 1) * PAGE - 5 : (tail + 1) * PAGE] + memory[head * PAGE : head * PAGE + 5]
            for tail, head in enumerate(order)
        )
        for address, size in reads:
            assert image.read(address, size) == memory[address : address + size]
            assert (
                b"".join(PATTERN[at : at + length] for at, length in image.extents(address, size))
                == memory[address : address + size]
            )


def test_search_finds_what_lies_across_steps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dumpscan.memory.physical.image._RELEASE_STEP", 64)
    image = open_bytes(tmp_path, bytes(60) + b"needle" + bytes(60), [(0, 126, 0)])
    assert image.contains(b"needle")
    assert not image.contains(b"noodle")
    image = open_bytes(tmp_path, bytes(60) + b"needle" + bytes(60), [(0, 62, 0), (4096, 64, 62)])
    assert not image.contains(b"needle")


def test_pages_are_given_back_after_so_many_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    released: list[bool] = []
    image = open_bytes(tmp_path, PATTERN)
    monkeypatch.setattr(type(image), "release", lambda self: released.append(True))  # noqa: ARG005 - a method
    image.passed(127 << 20)
    assert not released
    image.passed(1 << 20)
    assert released


@pytest.mark.skipif(not hasattr(mmap, "MADV_DONTNEED"), reason="this system cannot give pages back")
def test_released_pages_read_the_same(tmp_path: Path) -> None:
    image = open_bytes(tmp_path, PATTERN)
    before = image.read(0, image.size)
    image.release()
    assert image.read(0, image.size) == before == PATTERN


def test_it_is_an_address_space_without_process_and_modules(tmp_path: Path) -> None:
    image = open_bytes(tmp_path, PATTERN)
    assert image.process is None
    assert image.module_at(0) is None
    assert image.pointer_size == 8
    assert len(image.buffer) == len(PATTERN)
