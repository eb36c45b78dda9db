"""Whether numbers look random: quick tests of many at once, which nearly all random numbers pass and few others do."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING

import numpy as np

from dumpscan.memory.regions import WORD

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Words = NDArray[np.uint64]
    Found = NDArray[np.bool_]

_BYTES = np.bitwise_or.reduce(
    [np.uint64(1) << (np.arange(1 << 16, dtype=np.uint64) >> np.uint64(shift) & np.uint64(63)) for shift in (0, 8)]
)
"""The set of both bytes of each 16-bit number."""
_HIGH = 7
_SMALL_PRIMES = (3, 5, 7, 11, 13, 17, 19)
_SMALL_PRODUCT = prod(_SMALL_PRIMES)


def looks_random(values: Words) -> Found:
    """Say which numbers, shape (n, count), look random: of 100,000 random numbers, one does not.

    Three bytes in four occur once, and one in seven or more has its highest bit set: code and text are not so.
    """
    even = has_even_words(values)
    data = values[even].view(np.uint8)
    size = data.shape[1]
    high = np.count_nonzero(data & np.uint8(0x80), axis=1) * _HIGH >= size
    ordered = np.sort(data, axis=1)
    distinct = np.count_nonzero(ordered[:, 1:] != ordered[:, :-1], axis=1) + 1
    even[even] = high & (distinct >= size * 3 // 4)
    return even


def has_even_words(values: Words) -> Found:
    """Say of which numbers, shape (n, count), all words have as many bits as random ones: of 100,000, one has not.

    Bits of a random word are 32, and its variance 16; the sum of their squared differences, divided by 16, is spread as
    chi-squared with `count` degrees of freedom.
    """
    differences = np.bitwise_count(values).view(np.int8) - np.int8(32)
    count = values.shape[1]
    squares = np.einsum("ij,ij->i", differences, differences, dtype=np.int32, casting="unsafe")
    even: Found = squares <= limit_of_even_words(count)
    return even


def has_many_bytes(values: Words) -> Found:
    """Say which numbers, shape (n, count), have as many different bytes as random ones: of a million, all have.

    Bytes are told apart by six of their bits, so that those of a number fit into one word as a set.
    """
    sets = np.bitwise_or.reduce(_BYTES.take(values.view(np.uint16)), axis=1)
    size = 8 * values.shape[1]
    one, two = 64 * (63 / 64) ** size, 64 * 63 * (62 / 64) ** size  # expected sets that lack a value, and two
    spread = (one + two - one**2) ** 0.5
    many: Found = np.bitwise_count(sets) >= 62 - one - 5.5 * spread
    return many


def without_small_factors(values: Words) -> Found:
    """Say which odd numbers, shape (n, count), no prime up to 19 divides: two in three have such a factor."""
    product = np.uint64(_SMALL_PRODUCT)
    total = np.zeros(len(values), np.uint64)
    for index in range(values.shape[1]):
        weight = np.uint64(pow(2, 8 * WORD * index, _SMALL_PRODUCT))
        total += values[:, index] % product * weight  # 46 bits each, and there are at most 2^14
    rest = total % product
    fits: Found = np.ones(len(values), np.bool_)
    for prime in _SMALL_PRIMES:
        fits &= rest % np.uint64(prime) != 0
    return fits


def limit_of_even_words(count: int) -> int:
    """Return the largest sum of squared differences of words with as many bits as random ones have."""
    return int(16 * (count + 7.5 * count**0.5 + 8))
