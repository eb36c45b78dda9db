from __future__ import annotations

from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dumpscan.artifacts.aes.cipher import expand, schedule_size, swap
from dumpscan.artifacts.aes.schedule import find, search
from dumpscan.memory.space import Region

# FIPS 197, appendix A: key, last word of the schedule.
VECTORS = [
    ("2b7e151628aed2a6abf7158809cf4f3c", "b6630ca6"),
    ("8e73b0f7da0e6452c810f32b809079e562f8ead2522c6b7b", "01002202"),
    ("603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4", "706c631e"),
]
KEYS = [bytes.fromhex(key) for key, _ in VECTORS]


class Space:
    """Regions over one buffer."""

    path = Path("space")
    pointer_size = 8
    process = None

    def __init__(self, buffer: bytes, regions: list[Region]) -> None:
        self.buffer = memoryview(buffer)
        self.regions = regions

    def read(self, address: int, size: int) -> bytes:
        raise NotImplementedError

    def extents(self, address: int, size: int) -> tuple[tuple[int, int], ...]:
        raise NotImplementedError

    def module_at(self, address: int) -> str | None:
        raise NotImplementedError


def noise(size: int, seed: int = 1) -> bytes:
    return np.random.default_rng(seed).bytes(size)


@pytest.mark.parametrize(("key", "last"), VECTORS)
def test_expansion_is_that_of_fips_197(key: str, last: str) -> None:
    schedule = expand(bytes.fromhex(key))
    assert len(schedule) == schedule_size(len(key) // 8)
    assert schedule[-4:].hex() == last


@pytest.mark.parametrize("key", KEYS, ids=len)
@pytest.mark.parametrize("offset", [0, 1, 2, 3, 4, 1023])
@pytest.mark.parametrize("swapped", [False, True])
def test_a_schedule_is_found_at_any_byte(key: bytes, offset: int, swapped: bool) -> None:  # noqa: FBT001 - a parameter
    schedule = swap(expand(key)) if swapped else expand(key)
    found = find(noise(offset) + schedule + noise(77, 2))
    assert [(one.address, one.key, one.swapped) for one in found] == [(offset, key, swapped)]


@pytest.mark.parametrize("key", KEYS, ids=len)
def test_a_schedule_is_found_at_the_very_end_and_among_zeros(key: bytes) -> None:
    assert [one.address for one in find(bytes(512) + expand(key))] == [512]
    assert [one.address for one in find(bytes(512) + expand(key) + bytes(512))] == [512]


@pytest.mark.parametrize("key", [bytes(16), bytes(24), bytes(32), b"\xff" * 16, bytes(range(32))], ids=repr)
def test_keys_of_one_byte_or_of_a_pattern_are_found(key: bytes) -> None:
    assert [one.key for one in find(b"\x55" * 40 + expand(key) + b"\x55" * 40)] == [key]


def test_a_schedule_across_the_edge_of_what_is_taken_at_a_time_is_found_once() -> None:
    for begin in ((256 << 10) - 100, (256 << 10) - 1, 256 << 10):
        data = bytearray(noise(600 << 10))
        data[begin : begin + 240] = expand(KEYS[2])
        assert [one.address for one in find(bytes(data))] == [begin]


@pytest.mark.parametrize("key", KEYS, ids=len)
def test_a_schedule_with_one_wrong_bit_is_not_reported(key: bytes) -> None:
    schedule = expand(key)
    for byte in range(len(key), len(schedule), 7):
        damaged = bytearray(schedule)
        damaged[byte] ^= 0x10
        assert find(bytes(damaged)) == []


def test_nothing_is_found_where_nothing_is() -> None:
    assert find(b"") == []
    assert find(bytes(1 << 20)) == []
    assert find(noise(1 << 20)) == []
    assert find(b"\x01\x02\x03\x04" * (1 << 18)) == []


@pytest.mark.parametrize("key_words", [4, 6, 8])
def test_words_that_keep_the_plain_relation_everywhere_are_no_schedule(key_words: int) -> None:
    words = list(range(1, key_words + 1))
    while len(words) < 1 << 15:
        words.append(words[-1] ^ words[-key_words])
    assert find(np.array(words, "<u4").tobytes()) == []


@given(st.binary(max_size=900))
def test_any_bytes_are_taken(data: bytes) -> None:
    assert all(expand(one.key) in data or swap(expand(one.key)) in data for one in find(data))


def test_a_schedule_that_crosses_regions_is_found_at_its_address() -> None:
    schedule = expand(KEYS[0])
    other = expand(KEYS[2])
    buffer = noise(300) + schedule[100:] + noise(4096, 3) + other + noise(512, 4) + schedule[:100]
    regions = [  # the first two follow one another in the address space and not in the file
        Region(0x10000, 100, len(buffer) - 100),
        Region(0x10064, len(schedule) - 100, 300),
        Region(0x90000, 4096 + len(other), 300 + len(schedule) - 100),
    ]
    found = sorted((one.address, len(one.key)) for one in search(Space(buffer, regions), threads=2))
    assert found == [(0x10000, 16), (0x90000 + 4096, 32)]


def test_a_schedule_that_ends_right_before_a_block_does_is_found_once() -> None:
    buffer = bytearray(noise(9 << 20))
    places = [(4 << 20) - 200, (8 << 20) - 100]
    for at in places:
        buffer[at : at + 176] = expand(KEYS[0])
    found = [one.address for one in search(Space(bytes(buffer), [Region(0, len(buffer), 0)]))]
    assert found == places


def test_progress_adds_up_to_the_size_of_the_regions() -> None:
    buffer = noise(9 << 20)
    counts: list[int] = []
    assert list(search(Space(buffer, [Region(0x1000, len(buffer), 0)]), threads=1, progress=counts.append)) == []
    assert sum(counts) == len(buffer)


def test_a_search_that_is_given_up_ends() -> None:
    buffer = expand(KEYS[0]) + noise(12 << 20)
    search_under_way = search(Space(buffer, [Region(0, len(buffer), 0)]))
    assert [one.key for one in islice(search_under_way, 1)] == KEYS[:1]
    search_under_way.close()  # type: ignore[attr-defined]


def test_the_key_is_not_shown() -> None:
    found = find(expand(KEYS[0]))[0]
    assert KEYS[0].hex() not in repr(found)
    assert repr(KEYS[0]) not in repr(found)
