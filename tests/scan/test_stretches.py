"""How regions are laid out for the engine: which bytes are scanned, how often, and what they count."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dumpscan.memory.space import Region
from dumpscan.scan import stretches
from dumpscan.scan.stretches import GAP, SHARING, Block, FileStretches, Pieces, Plain, SeamWindows, cut

if TYPE_CHECKING:
    from dumpscan.scan.stretches import Line

BASE = 0x1_0000_0000


def pieces(*regions: tuple[int, int, int]) -> Pieces:
    return Pieces.of([Region(*region) for region in regions])


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 500))), st.integers(1, 100), st.integers(0, 120))
def test_cut_gives_every_byte_to_one_block(runs: list[tuple[int, int]], length: int, overlap: int) -> None:
    begins = np.cumsum([gap + size for gap, size in runs], dtype=np.int64)
    ends = begins + np.array([size for _, size in runs[1:]] + [77] * bool(runs), dtype=np.int64)
    blocks = cut(begins, ends, length, overlap).tolist()
    own = [position for _, begin, end in blocks for position in range(begin, end)]
    runs_of = [range(begin, end) for begin, end in zip(begins.tolist(), ends.tolist(), strict=True)]
    assert own == [position for run in runs_of for position in run]
    for first, begin, end in blocks:
        run = next(run for run in runs_of if begin in run)
        assert end - begin <= length
        assert first == max(run.start, begin - overlap)


def test_pieces_join_what_is_contiguous_in_both() -> None:
    table = pieces(
        (BASE, 16, 100),
        (BASE + 16, 0, 0),
        (BASE + 16, 16, 116),  # goes on in both
        (BASE + 32, 16, 200),  # elsewhere in the file
        (BASE + 64, 16, 216),  # elsewhere in the address space
    )
    assert table.starts.tolist() == [BASE, BASE + 32, BASE + 64]
    assert table.sizes.tolist() == [32, 16, 16]
    assert table.offsets.tolist() == [100, 200, 216]


def test_large_holes_of_the_file_are_skipped_and_small_ones_are_not() -> None:
    far = 1000 + GAP + 1
    table = pieces((BASE, 10, 0), (BASE + 0x1000, 10, 1000 - 10), (BASE + 0x2000, 10, far))
    blocks = list(FileStretches(memoryview(bytes(far + 10)), table, 0).blocks())
    assert blocks == [Block(0, 0, 1000, 20), Block(far, far, far + 10, 10)]


@given(st.lists(st.tuples(st.integers(0, 60), st.integers(0, 300)), max_size=30), st.integers(1, 64))
def test_sizes_of_blocks_add_up(parts: list[tuple[int, int]], block: int) -> None:
    table = pieces(*((BASE + i * 0x1000, size, offset) for i, (size, offset) in enumerate(parts)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stretches, "BLOCK", block)
        patch.setattr(stretches, "GAP", 5)
        line = FileStretches(memoryview(bytes(400)), table, 3)
        blocks = list(line.blocks())
    for part in blocks:
        own = range(part.begin, part.end)
        assert part.size == sum(offset <= at < offset + size for at in own for size, offset in parts)
    assert sum(part.size for part in blocks) == sum(size for size, _ in parts)


def located(line: Line, start: int, end: int) -> list[int]:
    _, addresses = line.locate(np.array([start]), np.array([end]))
    return sorted(addresses.tolist())


def test_locate_wants_the_match_whole() -> None:
    line = FileStretches(memoryview(bytes(100)), pieces((BASE, 10, 20), (BASE + 0x100, 10, 30)), 3)
    assert located(line, 20, 30) == [BASE]
    assert located(line, 30, 31) == [BASE + 0x100]
    assert located(line, 19, 21) == located(line, 29, 31) == located(line, 39, 41) == located(line, 0, 1) == []


def test_locate_among_regions_that_overlap_in_the_file() -> None:
    line = FileStretches(
        memoryview(bytes(100)), pieces((BASE, 100, 0), *((BASE + i * 0x1000, 10, i * 5) for i in range(1, 10))), 3
    )
    assert located(line, 50, 52) == [BASE + 50, BASE + 0x9000 + 5]
    assert located(line, 11, 14) == [BASE + 11, BASE + 0x1000 + 6, BASE + 0x2000 + 1]
    many = FileStretches(memoryview(bytes(100)), pieces(*((BASE + i * 0x1000, 50, i) for i in range(50))), 3)
    assert len(located(many, 48, 49)) == SHARING


def test_windows_hold_the_edges_of_seams_only() -> None:
    data = bytes(range(200))
    table = pieces(
        (BASE, 50, 0), (BASE + 50, 3, 150), (BASE + 53, 50, 100),  # two seams, one on either side of a short region
        (BASE + 200, 10, 50), (BASE + 210, 10, 70),  # one more, elsewhere
    )  # fmt: skip
    line = SeamWindows(memoryview(data), table, 4)
    (block,) = line.blocks()
    assert bytes(line.data(block)) == bytes(
        [*range(46, 50), *range(150, 153), *range(100, 104), *range(56, 60), *range(70, 74)]
    )
    assert located(line, 3, 5) == [BASE + 49]
    assert located(line, 0, 11) == [BASE + 46]
    assert located(line, 0, 4) == []  # within the first region
    assert located(line, 10, 12) == []  # from one window to the next
    assert located(line, 14, 16) == [BASE + 209]
    assert block.size == 0


def test_no_seams_no_windows() -> None:
    for overlap, table in (
        (4, pieces((BASE, 10, 0), (BASE + 11, 10, 10))),
        (0, pieces((BASE, 10, 0), (BASE + 10, 1, 50))),
    ):
        assert list(SeamWindows(memoryview(bytes(100)), table, overlap).blocks()) == []
    assert list(SeamWindows(memoryview(b""), pieces(), 4).blocks()) == []


def test_plain() -> None:
    line = Plain(memoryview(b"abcdef"), 2)
    (block,) = line.blocks()
    assert bytes(line.data(block)) == b"abcdef"
    assert block.size == 6
    assert located(line, 2, 4) == [2]


@given(
    st.lists(st.tuples(st.integers(0, 5), st.integers(1, 30), st.integers(0, 5)), min_size=1, max_size=6),
    st.sampled_from([2, 4, 8]),
)
def test_phases_say_where_words_begin(gaps: list[tuple[int, int, int]], size: int) -> None:
    """For every region in a block: positions in the block's data with this remainder are at multiples of `size`."""
    regions, address, offset = [], 0, 0
    for gap, length, hole in gaps:
        address, offset = address + gap, offset + hole
        regions.append(Region(address, length, offset))
        address, offset = address + length, offset + length
    buffer = memoryview(bytes(offset))
    for line in (FileStretches(buffer, Pieces.of(regions), 3), SeamWindows(buffer, Pieces.of(regions), 3)):
        for block in line.blocks():
            positions = np.arange(block.first, block.end)
            index, addresses = line.locate(positions, positions + 1)
            expected = {
                int(at - block.first) % size
                for at, where in zip(positions[index], addresses, strict=True)
                if int(where) % size == 0
            }
            assert expected <= set(line.phases(block, size))
            assert len(line.phases(block, size)) <= len(regions)
