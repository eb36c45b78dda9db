"""What may be a private value, and what is certainly something else."""

from __future__ import annotations

import struct
from math import comb

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dumpscan.artifacts.keys import randomness
from dumpscan.artifacts.keys.randomness import looks_random
from dumpscan.synth.seeded import SeededBytes

SIZES = (20, 24, 28, 32, 48, 56, 57, 64, 66, 72)
SEEDED = SeededBytes("randomness")


@pytest.mark.parametrize("size", SIZES)
def test_random_values_are_taken(size: int) -> None:
    assert all(looks_random(SEEDED.take(size)) for _ in range(500))


@given(st.integers(1, 255), st.sampled_from(SIZES))
def test_equal_bytes_are_refused(value: int, size: int) -> None:
    assert not looks_random(bytes((value,)) * size)
    assert not looks_random(bytes((value,)) + bytes(size - 1))


@given(st.integers(0, 255), st.integers(0, 255), st.sampled_from(SIZES))
def test_tables_that_count_are_refused(first: int, step: int, size: int) -> None:
    assert not looks_random(bytes((first + step * number) % 256 for number in range(size)))


@given(
    st.text(st.characters(codec="ascii", exclude_categories=("C",)), min_size=72, max_size=72), st.sampled_from(SIZES)
)
def test_text_is_refused(text: str, size: int) -> None:
    assert not looks_random(text.encode()[:size])
    assert not looks_random(text.encode("utf-16-le")[:size])
    assert not looks_random(text[: size // 2].encode() + b"\0" * (size - size // 2))


@given(
    st.lists(st.integers(0x10000, 0x7FFF_FFFF_FFFF), min_size=9, max_size=9), st.integers(0, 7), st.sampled_from(SIZES)
)
def test_pointers_are_refused_at_any_alignment(pointers: list[int], phase: int, size: int) -> None:
    assert not looks_random(struct.pack("<9Q", *pointers)[phase : phase + min(size, 64)])


@given(st.lists(st.integers(0, 1 << 16), min_size=18, max_size=18), st.sampled_from(SIZES))
def test_small_numbers_are_refused(numbers: list[int], size: int) -> None:
    assert not looks_random(struct.pack("<18I", *numbers)[:size])


@pytest.mark.parametrize("size", SIZES)
def test_a_repeated_word_is_refused(size: int) -> None:
    value = bytearray(SEEDED.take(size))
    value[12:16] = value[4:8]
    assert not looks_random(bytes(value))


@pytest.mark.parametrize(
    "other",
    ["302e020100300506032b657004220420", "302a300506032b6570032100", "301306072a8648ce3d020106082a8648ce3d030107"],
)
def test_another_constant_of_the_program_is_refused(other: str) -> None:
    for at in (0, 5):
        value = bytearray(SEEDED.take(32))
        value[at : at + len(other) // 2] = bytes.fromhex(other)
        assert not looks_random(bytes(value[:32]))


def test_code_is_refused() -> None:
    """The first bytes of a function as GCC and as Microsoft's compiler begin it."""
    for code in (
        "f30f1efa5548 89e5 4157 4156 4155 4154 53 4883ec28 48897dc8 488975c0 8955bc 488b45c8 488b00",
        "48895c2408 4889742410 57 4883ec20 488bf2 488bf9 e8 00104200 488bd8 4885c0 7408 488bcb",
    ):
        assert not looks_random(bytes.fromhex(code)[:32])


def test_short_values_are_not_judged() -> None:
    assert not looks_random(SEEDED.take(randomness.MIN_SIZE - 1))
    assert not looks_random(b"")


def _values_of_kinds(size: int, kinds: int) -> int:
    """Return how many values of a size have so many different bytes, by inclusion and exclusion."""
    chosen = sum((-1) ** left_out * comb(kinds, left_out) * (kinds - left_out) ** size for left_out in range(kinds + 1))
    return comb(256, kinds) * chosen


@pytest.mark.parametrize("size", SIZES)
def test_thresholds_refuse_less_than_one_in_a_million(size: int) -> None:
    """The bounds that the rules are made for, computed another way: from the counts of all values of that size."""
    different = randomness._fewest_different(size)
    few = sum(_values_of_kinds(size, kinds) for kinds in range(1, different)) / 256**size
    assert few < randomness._RARE < few + _values_of_kinds(size, different) / 256**size
    text = randomness._many(size, 98 / 256)
    printable = (
        sum(comb(size, count) * 98**count * 158 ** (size - count) for count in range(text, size + 1)) / 256**size
    )
    words = comb(size // 4, 2) / 2**32
    run = (size - 15) * (69 / 256) ** 16
    identifiers = (size - 4) * 3 / 2**32
    pointers = sum(
        comb(size // 8, count) * 2.0 ** (-15 * count) for count in range(randomness._many(size // 8, 2**-15), 10)
    )
    steps = randomness._many(size - 1, 1 / 256, randomness._RARE / 256)
    counting = 256 * comb(size - 1, steps) / 256**steps
    scores = 2 * randomness._RARE
    assert few + printable + words + run + identifiers + 8 * pointers + counting + scores < 1e-6
