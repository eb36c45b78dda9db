"""RSA by modulus: any number of half its length that divides it is a prime of it, which is a proof."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

import numpy as np

from dumpscan.artifacts.decoded import RefusedError
from dumpscan.artifacts.keys.proof import MOST_RSA_BITS, rsa_key
from dumpscan.artifacts.openssl.known.found import Names, number_found
from dumpscan.artifacts.openssl.known.windows import (
    FORMS,
    Numbers,
    Wanted,
    as_integers,
    has_even_words,
    matches_of,
    without_small_factors,
)
from dumpscan.artifacts.openssl.rsa import LOW_WORD, Partners
from dumpscan.memory.regions import total_size

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray

    from dumpscan.artifacts.decoded import Decoded
    from dumpscan.artifacts.openssl.known.effort import Effort
    from dumpscan.memory.space import Searchable

    Words = NDArray[np.uint64]

MAX_DIVIDED = 4
"""Moduli of one size that are divided by every number; others are found by their two primes together."""
MAX_JOINED = 2_000_000
"""Numbers that are kept to be joined for the other moduli."""
_WORD_BITS = 64
_MOST = 1 << MOST_RSA_BITS
_AT_ONCE = 1 << 14
_PASS_PER_MIB = 400
_DIVISION_2048 = 2
_JOIN = 0.2
"""Microseconds of a pass over a MiB, of dividing 2048 bits by a candidate, and of comparing a low word."""
_MIB = 1 << 20
_READING = 1
"""Microseconds to read a candidate."""
_TOO_MANY = "some numbers as primes of RSA moduli: there are too many"
PRIME = Names("rsa-prime", "prime")


def find_rsa(
    space: Searchable, exponents: dict[int, int], authorities: dict[int, int], effort: Effort
) -> Iterator[Decoded]:
    """Yield the places of primes.

    Args:
        space: The memory of a process.
        exponents: Public exponents by modulus; the first `MAX_DIVIDED` moduli of a size are divided by all numbers.
        authorities: Further moduli, which are found only if both of their primes are there.
        effort: How far to go.
    """
    every = authorities | exponents
    search = _Search(space, effort, exponents, authorities)
    if not search.wanted:
        return
    if not effort.affords(_PASS_PER_MIB * total_size(space.regions) / _MIB):
        effort.skip("primes of RSA moduli: the dump is too large")
        return
    for address, wanted, modulus, p in search.primes():
        try:
            key = rsa_key(modulus=modulus, exponent=every[modulus], p=p, q=modulus // p)
        except RefusedError:
            continue
        yield number_found(space, key, address, wanted, PRIME)


class _Search:
    """The candidates of one search, and the moduli that they are tried on.

    Attributes:
        wanted: What is looked for.
    """

    def __init__(self, space: Searchable, effort: Effort, moduli: Iterable[int], authorities: Iterable[int]) -> None:
        self._space = space
        self._effort = effort
        self._divided, rest = _by_size(moduli, MAX_DIVIDED)
        self._joined, _ = _by_size((*rest, *authorities))
        self._kept: dict[int, list[tuple[Wanted, Words, Words]]] = defaultdict(list)
        self._count = 0
        self.wanted = tuple(
            Wanted(form, count, self._least_top(count), odd=True)
            for count in sorted({*self._divided, *self._joined})
            for form in FORMS
        )

    def _least_top(self, count: int) -> int:
        """Return the least highest word of a prime of so many words: p = n/q > n / 2^(64 * count)."""
        return min(*self._divided[count], *self._joined[count], _MOST) >> (2 * count - 1) * _WORD_BITS

    def primes(self) -> Iterator[tuple[int, Wanted, int, int]]:
        """Yield address, kind, modulus and number for each number that divides a modulus."""
        numbers = [Numbers(self._space, wanted) for wanted in self.wanted]
        for matches in matches_of(self._space, self.wanted, threads=self._effort.threads):
            for index, wanted in enumerate(self.wanted):
                starts = matches.starts[matches.signatures == index]
                for begin in range(0, len(starts), _AT_ONCE):
                    some = starts[begin : begin + _AT_ONCE]
                    if self._effort.affords(_READING * len(some)):
                        yield from self._divide(wanted, *numbers[index].at(some))
                    else:
                        self._effort.skip(_TOO_MANY)
        for count, moduli in self._joined.items():
            yield from self._join(count, moduli)

    def _divide(self, wanted: Wanted, addresses: Words, values: Words) -> Iterator[tuple[int, Wanted, int, int]]:
        """Divide by some numbers, and keep their lowest words for the moduli that are not divided."""
        even = has_even_words(values)
        addresses, values = addresses[even], values[even]
        if self._joined[wanted.count] and self._count < MAX_JOINED:
            self._count += len(addresses)
            self._kept[wanted.count].append((wanted, addresses, values[:, 0].copy()))
        prime = without_small_factors(values) if self._divided[wanted.count] else np.zeros(0, np.intp)
        addresses, values = addresses[prime], values[prime]
        for modulus in self._divided[wanted.count]:
            cost = _DIVISION_2048 * (modulus.bit_length() / 2048) ** 2
            if not self._effort.affords(cost * len(addresses)):
                self._effort.skip(_TOO_MANY)
                return
            for address, p in zip(addresses.tolist(), as_integers(values), strict=True):
                if modulus % p == 0:
                    yield address, wanted, modulus, p

    def _join(self, count: int, moduli: list[int]) -> Iterator[tuple[int, Wanted, int, int]]:
        """Find the moduli that two of the kept numbers make."""
        kept = self._kept[count]
        if not kept or not moduli:
            return
        lows, addresses = (np.concatenate([part[index] for part in kept]) for index in (2, 1))
        partners = Partners(lows)
        borders = np.cumsum([len(part[1]) for part in kept])
        for modulus in moduli:
            if not self._effort.affords(_JOIN * len(lows)):
                self._effort.skip("some RSA moduli: there are too many")
                return
            for index in partners.of(modulus & LOW_WORD):
                wanted = kept[int(np.searchsorted(borders, index, "right"))][0]
                _, values = Numbers(self._space, wanted).at(addresses[index : index + 1])
                for p in as_integers(values):
                    if modulus % p == 0:
                        yield int(addresses[index]), wanted, modulus, p


def _by_size(moduli: Iterable[int], most: int | None = None) -> tuple[dict[int, list[int]], list[int]]:
    """Sort moduli by the words of their primes, up to so many of a size; return the others beside them."""
    sizes: dict[int, list[int]] = defaultdict(list)
    rest = []
    for modulus in moduli:
        size, odd = divmod(modulus.bit_length(), 2 * _WORD_BITS)
        if odd or modulus.bit_length() > MOST_RSA_BITS:
            continue
        if most is not None and len(sizes[size]) >= most:
            rest.append(modulus)
        else:
            sizes[size].append(modulus)
    return sizes, rest
