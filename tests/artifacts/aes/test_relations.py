"""Where the plain relations of AES schedules hold."""

from __future__ import annotations

import numpy as np
import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from hypothesis import given, settings
from hypothesis import strategies as st

from dumpscan.artifacts.aes.cipher import expand, invert, mixed, schedule_size, swap
from dumpscan.artifacts.aes.relations import RELATIONS, Relation, starts
from dumpscan.artifacts.aes.schedule import find, search
from dumpscan.memory.space import Region

# FIPS 197, appendix B and C: the key, the last round key of its inverse cipher is the key's own beginning.
KEYS = [bytes(range(size)) for size in (16, 24, 32)]
EVERY_KEY = st.sampled_from([16, 24, 32]).flatmap(lambda size: st.binary(min_size=size, max_size=size))


class Space:
    def __init__(self, buffer: bytes, *regions: Region) -> None:
        self.buffer = memoryview(buffer)
        self.regions = regions


def noise(size: int, seed: int = 1) -> bytes:
    return np.random.default_rng(seed).bytes(size)


@pytest.mark.parametrize("key", KEYS, ids=len)
def test_the_inverse_schedule_decrypts(key: bytes) -> None:
    """The equivalent inverse cipher, done with the schedule step by step, undoes what a library encrypts."""
    plain = bytes(range(0x30, 0x40))
    cipher = Cipher(algorithms.AES(key), modes.ECB()).encryptor()  # noqa: S305 - one block
    state = np.frombuffer(cipher.update(plain), np.uint8).copy()
    schedule = np.frombuffer(invert(expand(key)), np.uint8).reshape(-1, 16)
    box = np.array([_sub(value) for value in range(256)], np.uint8)
    inverse = np.argsort(box).astype(np.uint8)
    rows = np.array([(4 * ((column - row) % 4) + row) for column in range(4) for row in range(4)])
    state ^= schedule[0]
    for number, round_key in enumerate(schedule[1:], 1):
        state = inverse[state][rows]
        if number < len(schedule) - 1:
            state = mixed(state.view("<u4"), inverse=True).view(np.uint8)
        state = state ^ round_key
    assert state.tobytes() == plain


def _sub(value: int) -> int:
    """Read the S-box off a schedule: w[4] of AES-128 is w[0] ^ SubWord(RotWord(w[3])) ^ 1."""
    return expand(bytes(13) + bytes((value, 0, 0)))[16] ^ 1


@given(EVERY_KEY)
def test_the_certain_relations_hold_in_every_schedule(key: bytes) -> None:
    for relation in RELATIONS:
        if relation.key_words * 4 == len(key):
            schedule = invert(expand(key)) if relation.decryption else expand(key)
            words = np.frombuffer(schedule, "<u4")
            assert relation.words == len(words)
            for position, distance in relation.certain:
                assert words[position] ^ words[position - 1] == words[position + distance]


@settings(max_examples=300)
@given(
    key=EVERY_KEY,
    before=st.integers(0, 150),
    behind=st.integers(0, 150),
    decryption=st.booleans(),
    swapped=st.booleans(),
    filler=st.sampled_from([0, 0x55, None]),
)
def test_a_schedule_is_found_wherever_it_lies(
    *, key: bytes, before: int, behind: int, decryption: bool, swapped: bool, filler: int | None
) -> None:
    schedule = invert(expand(key)) if decryption else expand(key)
    schedule = swap(schedule) if swapped else schedule
    around = [noise(4 * size, size) if filler is None else bytes([filler]) * 4 * size for size in (before, behind)]
    found = find(around[0] + schedule + around[1], (0,))
    assert [(one.address, one.key, one.swapped, one.decryption) for one in found] == [
        (4 * before, key, swapped, decryption)
    ]


@pytest.mark.parametrize("decryption", [False, True])
@pytest.mark.parametrize(
    "key", [bytes(16), bytes(24), bytes(32), b"\xff" * 16, b"\1" * 24, bytes(31) + b"\1"], ids=repr
)
def test_keys_of_one_byte_wherever_they_lie(key: bytes, *, decryption: bool) -> None:
    schedule = invert(expand(key)) if decryption else expand(key)
    for before in range(60):
        for filler in (bytes(4 * before), noise(4 * before)):
            found = find(filler + schedule + bytes(100), (0,))
            assert [(one.address, one.key, one.decryption) for one in found] == [(4 * before, key, decryption)]


@pytest.mark.parametrize("decryption", [False, True])
@pytest.mark.parametrize("key", KEYS, ids=len)
def test_a_schedule_in_a_buffer_of_any_size(key: bytes, *, decryption: bool) -> None:
    schedule = invert(expand(key)) if decryption else expand(key)
    for behind in range(160):
        for before in (0, 1, 27, 28):
            found = find(noise(4 * before) + schedule + noise(4 * behind + 3, 2), (0,))
            assert [one.address for one in found] == [4 * before]


def test_schedules_across_chunks_are_found_once() -> None:
    data = bytearray(noise(3 << 20))
    places = {(1 << 20) - 4 * number: KEYS[number % 3] for number in range(1, 700, 67)}
    places |= {(2 << 20) + 4 * number: KEYS[number % 3] for number in range(0, 700, 67)}
    for at, key in places.items():
        data[at : at + schedule_size(len(key) // 4)] = expand(key)
    assert {one.address: one.key for one in find(bytes(data), (0,))} == places


@pytest.mark.parametrize("key", KEYS, ids=len)
def test_a_damaged_schedule_for_decryption_is_not_reported(key: bytes) -> None:
    schedule = invert(expand(key))
    for byte in range(0, len(schedule), 7):
        damaged = bytearray(schedule)
        damaged[byte] ^= 0x10
        assert find(bytes(damaged)) == []


@pytest.mark.parametrize("shift", range(4))
@pytest.mark.parametrize("offset", range(4))
def test_alignment_is_that_of_addresses(offset: int, shift: int) -> None:
    """A region may lie anywhere in the file; aligned means where the program saw it."""
    schedule = expand(KEYS[0])
    buffer = noise(offset) + noise(400 + shift, 2) + schedule + noise(100, 3)
    space = Space(buffer, Region(0x10000, len(buffer) - offset, offset))
    expected = [] if shift else [0x10000 + 400]
    assert [one.address for one in search(space, threads=1)] == expected
    assert [one.address for one in search(space, threads=1, unaligned=True)] == [0x10000 + 400 + shift]


def test_regions_that_lie_differently_in_the_file() -> None:
    schedule = expand(KEYS[1])
    first, second = noise(401) + schedule + noise(50), schedule + noise(7, 5)
    space = Space(first + second, Region(0x1003, len(first), 0), Region(0x9000, len(second), len(first)))
    assert sorted(one.address for one in search(space, threads=1)) == [0x1003 + 401, 0x9000]


def test_across_regions_only_words_of_addresses_count() -> None:
    schedule = expand(KEYS[2])
    cut = 101
    buffer = schedule[cut:] + noise(4001) + schedule[:cut]
    space = Space(buffer, Region(0x10000, cut, len(buffer) - cut), Region(0x10000 + cut, len(schedule) - cut, 0))
    assert [one.address for one in search(space, threads=1)] == [0x10000]


@pytest.mark.parametrize(
    "relation",
    [relation for relation in RELATIONS if len(relation.distances) == 1],
    ids=lambda each: f"{each.key_words}-{each.decryption}",
)
def test_memory_that_keeps_a_relation_everywhere_gives_nothing(relation: Relation) -> None:
    (distance,) = relation.distances
    words = list(range(1, 12))
    while len(words) < 1 << 14:
        if distance < 0:
            words.append(words[-1] ^ words[distance])
        else:  # w[i+distance] = w[i] ^ w[i-1]
            words.append(words[-distance] ^ words[-distance - 1])
    data = np.array(words, "<u4")
    assert any(each is relation for each, _ in starts(data))
    assert find(data.tobytes(), (0,)) == []
