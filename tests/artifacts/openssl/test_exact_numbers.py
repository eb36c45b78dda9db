"""Known numbers are found at every multiple of 8, of whatever length, and nowhere else."""

from __future__ import annotations

import numpy as np
import pytest

from dumpscan.artifacts.openssl.known.exact import places_of
from support.artifact_samples import Space

BASE = 0x5560_0000_0000


def _random(size: int, seed: int) -> bytes:
    return np.random.default_rng(seed).bytes(size)


@pytest.mark.parametrize("size", [8, 12, 32, 48, 66, 128, 136, 256])
def test_a_number_is_found_wherever_it_lies_at_a_multiple_of_8(size: int) -> None:
    number = _random(size, size)
    for at in range(0, 300, 8):
        memory = bytes(at) + number + bytes(400 - at)
        assert list(places_of(Space({BASE: memory}), [number])) == [(0, BASE + at)]
    for at in (1, 4, 7):
        assert not list(places_of(Space({BASE: bytes(at) + number + bytes(64)}), [number]))


def test_numbers_of_several_lengths_are_found_with_all_their_places_in_order() -> None:
    numbers = [_random(32, 1), _random(128, 2), _random(66, 3), _random(32, 1)]
    memory, expected = b"", []
    for index in (2, 0, 1, 1, 2):
        memory += bytes(24)
        expected += [(each, BASE + len(memory)) for each in ((0, 3) if index == 0 else (index,))]
        memory += numbers[index].ljust(-(-len(numbers[index]) // 8) * 8, b"\1")
    assert list(places_of(Space({BASE: memory}), numbers)) == expected


@pytest.mark.parametrize("change", [0, 31, 32, 127])
def test_what_differs_in_one_byte_is_not_the_number(change: int) -> None:
    number = _random(128, 4)
    other = bytearray(number)
    other[change] ^= 1
    assert not list(places_of(Space({BASE: bytes(64) + other + bytes(64)}), [number]))
    for cut in (8, 64, 120):  # at either end of memory
        assert not list(places_of(Space({BASE: number[:cut]}), [number]))
        assert not list(places_of(Space({BASE: number[cut:]}), [number]))


def test_a_number_across_regions_that_lie_apart_in_the_file_is_found() -> None:
    number = _random(128, 5)
    memory = bytes(64) + number + bytes(64)
    pieces = {BASE + 104: memory[104:], BASE: memory[:104]}  # the second one comes first in the file
    assert list(places_of(Space(pieces), [number])) == [(0, BASE + 64)]


def test_words_that_are_zero_in_part_are_found_too() -> None:
    for word in (0, 1, 1 << 16, 0xFFFF << 48):
        number = word.to_bytes(8, "little") + _random(24, 6)
        memory = bytes(256) + number + bytes(256)
        assert list(places_of(Space({BASE: memory}), [number])) == [(0, BASE + 256)]


def test_no_number_is_nowhere() -> None:
    assert not list(places_of(Space({BASE: bytes(64)}), []))
