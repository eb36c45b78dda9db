"""RSA keys among big numbers: a modulus that two of the others make, and an exponent that goes with them."""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from dumpscan.artifacts import effort
from dumpscan.artifacts.decoded import RefusedError
from dumpscan.artifacts.keys.proof import LEAST_RSA_BITS, MOST_EXPONENT_BITS, MOST_RSA_BITS, rsa_key

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from numpy.typing import NDArray

    from dumpscan.artifacts.openssl.numbers import Numbers
    from dumpscan.findings import PrivateKey

COMMON_EXPONENTS = (65537, 3, 17, 5, 7, 257, 35, 37, 41)
MAX_UNCOMMON = 32
"""Private exponents from which a public one that is not common is computed, for each modulus."""
MAX_DIVISIONS = 1024
"""Divisions of moduli of one size by numbers that may be public ones; more are done by private ones only."""
LOW_WORD = (1 << 64) - 1
_JOINING = 0.2
"""Microseconds to compare a low word with the others."""
_MAX_DULL = 2
"""Limbs of a random number whose upper 16 bits are all equal, at most: of 256 limbs, three are so once in 10^7."""
_MIXING = 4
"""Microseconds to look at all limbs."""
_DIVISION_2048 = 2
"""Microseconds of a division of 2048 bits by 1024."""


@dataclass(frozen=True, slots=True)
class RsaKey:
    """A key, and which of its numbers were there.

    Attributes:
        key: The proven key.
        modulus: n.
        primes: p and q, in the order of the CRT coefficient where that is known.
        private_exponent: d; None where it was not there.
        missing_parts: Names of the numbers that were not there.
    """

    key: PrivateKey
    modulus: int = field(repr=False)
    primes: tuple[int, int] = field(repr=False)
    private_exponent: int | None = field(repr=False)
    missing_parts: tuple[str, ...]


def rsa_keys(numbers: Numbers) -> Iterator[RsaKey]:
    """Tie numbers to keys.

    Raises:
        TooCostlyError: There are too many numbers.
    """
    values = numbers.headers.keys()
    for modulus, p, q in _products(numbers):
        found = _key_of(values, modulus, p, q)
        if found is not None:
            yield found


def _products(numbers: Numbers) -> Iterator[tuple[int, int, int]]:
    """Yield (n, p, q) for each value that is the product of another one, half as long, and a third number."""
    lengths: dict[int, list[int]] = defaultdict(list)
    for value in numbers.headers:
        if value & 1:
            lengths[value.bit_length()].append(value)
    for bits in sorted(lengths):
        half = (bits + 1) // 2
        primes = [*lengths.get(half, ()), *lengths.get(half - 1, ())]
        if not (primes and LEAST_RSA_BITS <= bits <= MOST_RSA_BITS):
            continue
        moduli, primes = _mixed(lengths[bits]), _mixed(primes)
        divisors = primes
        if len(moduli) * len(primes) > MAX_DIVISIONS:  # certificates' moduli of two sizes, by the hundred
            divisors = [value for value in primes if numbers.is_private(value)]
        effort.charge(_JOINING * len(moduli) * len(primes))
        lows = Partners(np.array([value & LOW_WORD for value in primes], np.uint64))
        cost = _DIVISION_2048 * (bits / 2048) ** 2
        for modulus in moduli:
            paired = [primes[index] for index in lows.of(modulus & LOW_WORD)] if len(primes) > 1 else []
            for p in (*paired, *divisors):
                effort.charge(cost)
                if modulus % p == 0 and p * p != modulus:
                    yield modulus, p, modulus // p
                    break


def _mixed(values: list[int]) -> list[int]:
    """Return the numbers that may be random: few of their limbs have 16 equal bits at the upper end."""
    return [value for value in values if _dull_limbs(value) <= _MAX_DULL]


def _dull_limbs(value: int) -> int:
    """Count the limbs whose upper 16 bits are all equal; where there are few, it may be some too many of those."""
    effort.charge(_MIXING)
    data = value.to_bytes(-(-value.bit_length() // 64) * 8, "little")[:-8]  # of the highest, not all bits are used
    ends = data[7::8]
    if (most := ends.count(0) + ends.count(0xFF)) <= _MAX_DULL:  # nearly all random numbers
        return most
    return sum(data[at : at + 2] in (b"\0\0", b"\xff\xff") for at in range(6, len(data), 8))


_SPARSE = 4
_MOST_BITS = 24
"""Bits by which words are told apart before they are looked up, beyond those that number them, and at most."""


class Partners:
    """Odd words among which two may have a certain product.

    The lowest word of a modulus is the product of its primes' lowest words, modulo 2^64; few other numbers are.

    Args:
        words: Shape (n,).
    """

    def __init__(self, words: NDArray[np.uint64]) -> None:
        self._sorted = np.sort(words)
        self._shift = np.uint64(64 - min(len(words).bit_length() + _SPARSE, _MOST_BITS))
        self._begins = np.zeros(1 << (64 - int(self._shift)), np.bool_)
        self._begins[words >> self._shift] = True
        self._inverse = words.copy()  # right to 3 bits; each step doubles them
        for _ in range(5):
            self._inverse *= np.uint64(2) - words * self._inverse

    def of(self, product: int) -> list[int]:
        """Return the indexes of the words whose product with another one is `product`, modulo 2^64."""
        wanted = self._inverse * np.uint64(product)
        likely = np.flatnonzero(self._begins.take(wanted >> self._shift))
        wanted = wanted[likely]
        at = np.minimum(np.searchsorted(self._sorted, wanted), len(self._sorted) - 1)
        indexes: list[int] = likely[self._sorted[at] == wanted].tolist()
        return indexes


def _key_of(values: Collection[int], modulus: int, p: int, q: int) -> RsaKey | None:
    """Find the exponents of a modulus among the numbers; None if there are none."""
    if math.gcd(p, q) > 1:
        return None
    effort.charge_inverse(q.bit_length())
    if pow(p, -1, q) in values:  # the coefficient is that of the second prime
        p, q = q, p
    exponent, private = _exponents(values, modulus, p, q)
    if exponent is None:
        return None
    right = pow(exponent, -1, p - 1), pow(exponent, -1, q - 1), pow(q, -1, p)
    crt = tuple(value if value in values else None for value in right)
    names = "private exponent", "CRT exponent 1", "CRT exponent 2", "CRT coefficient", "prime 2"
    there = (private, *crt, q if q in values else None)
    try:
        key = rsa_key(
            modulus=modulus, exponent=exponent, p=p, q=q, private_exponent=private, crt=(crt[0], crt[1], crt[2])
        )
    except RefusedError:
        return None
    missing = tuple(name for name, value in zip(names, there, strict=True) if value is None)
    return RsaKey(key, modulus, (p, q), private, missing)


def _exponents(values: Collection[int], modulus: int, p: int, q: int) -> tuple[int | None, int | None]:
    """Return the public exponent and the private one; None for each that cannot be had."""
    both = math.lcm(p - 1, q - 1)
    product = (p - 1) * (q - 1)
    usable = [exponent for exponent in COMMON_EXPONENTS if math.gcd(exponent, both) == 1]
    for exponent in usable:
        effort.charge_power(128, 1024)
        for order in (product, both):
            private = pow(exponent, -1, order)
            if private in values:
                return exponent, private
    for exponent in usable:  # without d, either of its remainders tells the public exponent
        if pow(exponent, -1, p - 1) in values or pow(exponent, -1, q - 1) in values:
            return exponent, None
    bits = modulus.bit_length()
    others = [value for value in values if bits - 64 < value.bit_length() <= bits and value not in (modulus, product)]
    for private in others[:MAX_UNCOMMON]:
        effort.charge_inverse(modulus.bit_length())
        if math.gcd(private, both) == 1:
            exponent = pow(private, -1, both)
            if exponent.bit_length() <= MOST_EXPONENT_BITS:
                return exponent, private
    return None, None
