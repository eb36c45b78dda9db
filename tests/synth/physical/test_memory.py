"""Physical memory of synthetic images: every frame has one owner, and the file stays sparse."""

from __future__ import annotations

import tempfile
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dumpscan.exceptions import ScenarioError
from dumpscan.model.windows.c_paging import HUGE_PAGE_SIZE, LARGE_PAGE_SIZE, PAGE_SIZE
from dumpscan.synth.physical.memory import FIRST_FREE, TABLES_FROM, PhysicalMemory, raw_words

if TYPE_CHECKING:
    from collections.abc import Iterator

MIB = 1 << 20


@contextmanager
def memory(*runs: tuple[int, int], seed: str = "seed", **options: Any) -> Iterator[PhysicalMemory]:  # noqa: ANN401
    with tempfile.TemporaryFile() as file:
        made = PhysicalMemory(file, runs or [(0, 64 * MIB)], seed, **options)
        try:
            yield made
        finally:
            made.close()


def test_raw_words_never_change() -> None:
    """Scenarios promise the same bytes on every machine and with every numpy."""
    words = raw_words("seed", "label", 3)
    assert words.tolist() == raw_words("seed", "label", 9)[:3].tolist()
    assert words.tolist() != raw_words("other", "label", 3).tolist()
    assert words.tolist() != raw_words("seed", "other", 3).tolist()
    assert words.dtype == np.uint64
    assert words.tolist() == [0x3A3619752CA3593C, 0xBAF63E575D81097B, 0x87A5E8AC8912C0BF]


@settings(max_examples=20, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from(["data", "table", "large"]), st.integers(1, 300)), max_size=12), st.integers()
)
def test_every_frame_has_one_owner(wishes: list[tuple[str, int]], seed: int) -> None:
    runs = [(0, 0x9_F000), (MIB, 20 * MIB), (24 * MIB, 40 * MIB)]
    keep = [0x1AC, 0x500]
    with memory(*runs, seed=str(seed), keep=keep, large=len(wishes)) as made:
        taken: list[int] = []
        for kind, count in wishes:
            if kind == "data":
                taken += made.take(count).tolist()
            elif kind == "table":
                taken += [made.take_table() for _ in range(count // 10)]
            else:
                first = made.take_contiguous(LARGE_PAGE_SIZE)
                assert first % 512 == 0
                taken += range(first, first + 512)
        assert len(taken) == len(set(taken))
        assert not set(keep) & set(taken)
        for frame in taken:
            assert frame >= FIRST_FREE >> 12
            assert any(start <= frame << 12 < start + size for start, size in runs)
        held = made.in_use()
        assert held[taken].all()
        assert held[keep].all()


def test_tables_lie_above_where_volatility_looks_for_the_first() -> None:
    with memory() as made:
        tables = [made.take_table() for _ in range(200)]
        assert min(tables) >= TABLES_FROM >> 12
        assert len(set(tables)) == 200


def test_too_much_is_refused() -> None:
    with memory() as made:
        made.take(made.free_frames)
        with pytest.raises(ScenarioError, match="64 MiB are too small: 1 more pages wanted, 0 of"):
            made.take(1)
        with pytest.raises(ScenarioError, match="page tables"):
            list(iter(made.take_table, None))
    with pytest.raises(ScenarioError, match="has room for 0 pages of 1024 MiB"), memory(huge=1):
        pass
    with pytest.raises(ScenarioError, match="room for 24 pages of 2 MiB"), memory(large=25):
        pass


def test_huge_pages_are_aligned() -> None:
    with memory((0, 3 << 30), huge=2) as made:
        first = {made.take_contiguous(HUGE_PAGE_SIZE) for _ in range(2)}
        assert first == {1 << 18, 2 << 18}


def test_seed_decides_the_order() -> None:
    orders = []
    for seed in ("one", "one", "two"):
        with memory(seed=seed) as made:
            orders.append(made.take(100).tolist())
    assert orders[0] == orders[1] != orders[2]
    assert sorted(orders[0]) != orders[0]


def test_written_is_read() -> None:
    with tempfile.TemporaryFile() as file:
        made = PhysicalMemory(file, [(0, 64 * MIB)], "seed")
        made.write(PAGE_SIZE - 3, b"across")
        made.write_pages(100, np.full((2, PAGE_SIZE), 7, np.uint8))
        made.table(200)[511] = 0x1122
        made.clear(101)
        assert made.read(PAGE_SIZE - 3, 6) == b"across"
        assert made.read(100 * PAGE_SIZE, PAGE_SIZE) == b"\7" * PAGE_SIZE
        made.close()
        file.seek(0)
        content = file.read()
    assert len(content) == 64 * MIB
    assert content[PAGE_SIZE - 3 : PAGE_SIZE + 3] == b"across"
    assert not any(content[101 * PAGE_SIZE : 102 * PAGE_SIZE])
    assert content[201 * PAGE_SIZE - 8 : 201 * PAGE_SIZE] == bytes.fromhex("2211000000000000")
