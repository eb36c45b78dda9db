"""System space: pool blocks do not overlap and have headers; areas depend on the seed."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dumpscan.model.windows import c_paging as paging
from dumpscan.synth.kernel.space import DRIVERS, KERNEL_BASES, NONPAGED, PAGED, KernelSpace
from dumpscan.synth.windows.profiles import PROFILES
from support.kernel_scenarios import kernel_space


@settings(max_examples=15, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 9000), st.sampled_from([PAGED, NONPAGED])), max_size=30))
def test_pool_blocks_are_apart(wishes: list[tuple[int, str]]) -> None:
    with kernel_space() as kernel:
        blocks = [(kernel.allocate(b"Tst", size, pool=pool), size) for size, pool in wishes]
        for index, (address, size) in enumerate(blocks):
            kernel.write(address, bytes([index + 1]) * size)
        for index, ((address, size), (_, pool)) in enumerate(zip(blocks, wishes, strict=True)):
            assert address % 16 == 0
            assert kernel.space.read(address, size) == bytes([index + 1]) * size
            if size + 16 <= paging.PAGE_SIZE:
                assert address >> 12 == (address + size - 1) >> 12
                header = kernel.space.read(address - 16, 16)
                symbols = kernel.symbols
                assert symbols.read(header, "_POOL_HEADER", "PoolTag") == int.from_bytes(b"Tst ", "little")
                assert symbols.read(header, "_POOL_HEADER", "BlockSize") == -(-(size + 16) // 16)
                assert symbols.read(header, "_POOL_HEADER", "PoolType") == (3 if pool == PAGED else 2)


def test_texts() -> None:
    with kernel_space() as kernel:
        fields = kernel.text("Name", "Größe")
        assert fields["Name.Length"] == 10
        buffer = fields["Name.Buffer"]
        assert isinstance(buffer, int)
        assert kernel.space.read(buffer, 12).decode("utf-16-le") == "Größe\0"
        assert kernel.text("Name", "") == {"Name.Length": 0, "Name.MaximumLength": 2, "Name.Buffer": 0}


def test_areas() -> None:
    with kernel_space() as kernel:
        first, second = kernel.pages(DRIVERS, 3), kernel.pages(DRIVERS, 1)
        assert second >= first + 4 * paging.PAGE_SIZE
        assert kernel.space.physical(first + 2 * paging.PAGE_SIZE)[0] is not None
        assert kernel.space.physical(first + 3 * paging.PAGE_SIZE)[0] is None


@pytest.mark.parametrize("version", PROFILES)
def test_addresses_are_drawn_where_windows_draws_them(version: str) -> None:
    with kernel_space(version) as kernel:
        assert kernel.base in KERNEL_BASES
        assert (kernel.space.self_map == paging.SELF_MAP_INDEX) == PROFILES[version].fixed_self_map
        shared = [kernel.space.physical(at) for at in (paging.KUSER_SHARED_DATA_KERNEL, paging.KUSER_SHARED_DATA_USER)]
        assert shared[0] == shared[1]


def test_seed_decides() -> None:
    with kernel_space() as kernel:
        same, other = (
            KernelSpace(kernel.memory, kernel.symbols, kernel.profile, root=root, seed=seed)
            for root, seed in ((kernel.memory.take_table(), "seed"), (kernel.memory.take_table(), "other"))
        )
        assert (same.base, same.space.self_map) == (kernel.base, kernel.space.self_map)
        assert other.base != kernel.base
