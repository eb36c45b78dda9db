"""Regions do not overlap, and their page table entries are those of the scenario."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dumpscan.exceptions import ScenarioError
from dumpscan.model.windows import c_paging as paging
from dumpscan.model.windows.c_paging import PAGE_SHIFT
from dumpscan.synth.kernel.regions import (
    EXECUTE_READ,
    READ_ONLY,
    READ_WRITE,
    AddressLayout,
    RegionMapper,
    page_flags,
    software_protection,
)
from dumpscan.synth.kernel.scenario import Paging
from support.kernel_scenarios import kernel_space

START = 0x2_0000_0000


@given(
    st.lists(st.tuples(st.integers(1, 1 << 21), st.sampled_from([1 << 16, 1 << 21])), max_size=30),
    st.lists(st.integers(0, 500), max_size=5),
)
def test_chosen_addresses_are_apart(wishes: list[tuple[int, int]], fixed: list[int]) -> None:
    layout = AddressLayout(START)
    taken: list[tuple[int, int]] = []
    for number in sorted(set(fixed)):
        layout.take(START + number * 0x1_0000, 0x1_0000)
        taken.append((START + number * 0x1_0000, 0x1_0000))
    for size, alignment in wishes:
        address = layout.choose(size, alignment)
        assert address % alignment == 0
        layout.take(address, size)
        taken.append((address, size))
    taken.sort()
    assert all(one + size <= other for (one, size), (other, _) in pairwise(taken))


@pytest.mark.parametrize(
    ("start", "size"),
    [
        (0, 0x1000),
        (0xF000, 0x1000),
        (START + 1, 0x1000),
        (paging.USER_SPACE_END - 0x1000, 0x2000),
        (1 << 64, 0x1000),
        (START + 0xF000, 0x1_0000),
    ],
)
def test_addresses_that_cannot_be(start: int, size: int) -> None:
    layout = AddressLayout(START)
    layout.take(START, 0x1_0000)
    with pytest.raises(ScenarioError):
        layout.take(start, size)


def test_flags() -> None:
    assert page_flags(READ_WRITE) & paging.WRITABLE
    assert not page_flags(READ_ONLY) & (paging.WRITABLE | paging.DIRTY)
    assert page_flags(READ_ONLY) & paging.NO_EXECUTE
    assert not page_flags(EXECUTE_READ) & paging.NO_EXECUTE
    assert all(page_flags(protect) & paging.USER for protect in (READ_WRITE, READ_ONLY, EXECUTE_READ))
    assert software_protection(READ_WRITE) == 4 << 5


@settings(max_examples=20, deadline=None)
@given(st.data(), st.integers(0, 100))
def test_pages_are_in_the_states_of_the_scenario(data: st.DataObject, resident: int) -> None:
    states = data.draw(st.dictionaries(st.integers(0, 49), st.sampled_from(["transition", "paged_out", "prototype"])))

    def pages(state: str) -> tuple[int, ...]:
        return tuple(sorted(page for page, its in states.items() if its == state))

    how = Paging(
        resident=resident,
        transition=pages("transition"),
        paged_out=pages("paged_out"),
        prototype=pages("prototype"),
    )
    with kernel_space() as kernel:
        mapper = RegionMapper(kernel, kernel.space, {}, "seed")
        frames = mapper.map(START, 50, READ_WRITE, how)
        entries = [kernel.space.entry(START + (page << PAGE_SHIFT))[0] for page in range(50)]
        for page, state in states.items():
            entry = entries[page]
            assert not entry & paging.VALID
            assert bool(entry & paging.TRANSITION) == (state == "transition")
            assert bool(entry & paging.PROTOTYPE) == (state == "prototype")
            assert entry >> paging.PROTECTION_SHIFT & 0x1F == 4
            if state == "paged_out":
                assert entry >> paging.PAGEFILE_OFFSET_SHIFT
            if state == "prototype":
                behind = kernel.space.read(paging.canonical(entry >> paging.PROTOTYPE_ADDRESS_SHIFT), 8)
                assert int.from_bytes(behind, "little") & paging.VALID
        valid = sum(bool(entry & paging.VALID) for entry in entries)
        assert valid <= 50 - len(states)
        if not states:
            assert valid == 50 - 50 * (100 - resident) // 100
        assert len(set(frames.tolist())) == len(frames)


def test_shared_memory_has_the_same_frames() -> None:
    with kernel_space() as kernel:
        shared = {"s": kernel.memory.take(8)}
        mapper = RegionMapper(kernel, kernel.space, shared, "seed")
        one = mapper.map(START, 8, READ_WRITE, Paging(shared="s"))
        other = mapper.map(START + 0x10_0000, 4, READ_ONLY, Paging(shared="s"))
        assert np.array_equal(one[:4], other)
        assert kernel.space.physical(START)[0] == kernel.space.physical(START + 0x10_0000)[0]
        with pytest.raises(ScenarioError, match="9 pages maps shared memory 's' of 8"):
            mapper.map(START, 9, READ_WRITE, Paging(shared="s"))
