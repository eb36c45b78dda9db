"""RSA by modulus: any number of half its length that divides it is a prime of it, which is a proof."""

from __future__ import annotations

from collections import defaultdict
from itertools import product
from typing import TYPE_CHECKING

import numpy as np

from dumpscan.artifacts.decoded import RefusedError
from dumpscan.artifacts.keys.proof import MOST_RSA_BITS, rsa_key
from dumpscan.artifacts.openssl.known.exact import places_of
from dumpscan.artifacts.openssl.known.found import Names, number_found
from dumpscan.artifacts.openssl.known.randomness import has_even_words, has_many_bytes, without_small_factors
from dumpscan.artifacts.openssl.known.windows import FORMS, Numbers, Wanted, as_integers, matches_of
from dumpscan.artifacts.openssl.rsa import LOW_WORD, Partners
from dumpscan.memory.regions import total_size

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray

    from dumpscan.artifacts.decoded import Decoded
    from dumpscan.artifacts.openssl.known.effort import Effort
    from dumpscan.findings import PrivateKey
    from dumpscan.memory.space import Searchable

    Words = NDArray[np.uint64]

MAX_DIVIDED = 4
"""Moduli of one size that are divided by every number; others are found by their two primes together."""
MAX_JOINED = 2_000_000
"""Numbers that are kept to be joined for the other moduli."""
_WORD_BITS = 64
_MOST = 1 << MOST_RSA_BITS
_AT_ONCE = 1 << 14
_EDGES_PER_MIB = 150
_PASS_PER_MIB = 250
_PLACES_PER_MIB = 250
_DIVISION_2048 = 2
_JOIN = 0.2
"""Microseconds of the passes over a MiB, of dividing 2048 bits by a candidate, and of comparing a low word."""
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
    size = total_size(space.regions) / _MIB
    if not search.wanted:
        return
    if not effort.affords(_EDGES_PER_MIB * size):
        effort.skip("primes of RSA moduli: the dump is too large")
        return
    proved: dict[int, tuple[PrivateKey, int]] = {}
    first: list[tuple[int, Wanted, int]] = []
    for address, wanted, modulus, p in search.primes():
        if modulus not in proved:
            try:
                key = rsa_key(modulus=modulus, exponent=every[modulus], p=p, q=modulus // p)
            except RefusedError:
                continue
            proved[modulus] = key, p
            first.append((address, wanted, modulus))
    if first and effort.affords(_PLACES_PER_MIB * size):
        yield from _places(space, proved, effort)
    else:
        yield from (
            number_found(space, proved[modulus][0], address, wanted, PRIME) for address, wanted, modulus in first
        )


def _places(space: Searchable, proved: dict[int, tuple[PrivateKey, int]], effort: Effort) -> Iterator[Decoded]:
    """Yield all places of the primes of keys that were found."""
    kinds: list[tuple[PrivateKey, Wanted]] = []
    numbers: list[bytes] = []
    for modulus, (key, p) in proved.items():
        for prime, form in product({p, modulus // p}, FORMS):
            bits = 64 * -(-prime.bit_length() // 64)
            kinds.append((key, Wanted(form, bits // _WORD_BITS)))
            numbers.append(form.written(prime, bits))
    for index, address in places_of(space, numbers, threads=effort.threads):
        yield number_found(space, kinds[index][0], address, kinds[index][1], PRIME)


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
        moduli = *self._divided.get(count, ()), *self._joined.get(count, ())
        least: int = min(*moduli, _MOST)
        return least >> (2 * count - 1) * _WORD_BITS

    def primes(self) -> Iterator[tuple[int, Wanted, int, int]]:
        """Yield address, kind, modulus and number for a number that divides a modulus, once for most moduli.

        Numbers at the ends of random memory are tried first. What all others cost is spared if those suffice.
        """
        if self._divided:
            yield from self._among(edges=True)
        if not (any(self._divided.values()) or self._joined):
            return
        if not self._effort.affords(_PASS_PER_MIB * total_size(self._space.regions) / _MIB):
            self._effort.skip(_TOO_MANY)
            return
        yield from self._among(edges=False)
        for count, moduli in self._joined.items():
            yield from self._join(count, moduli)

    def _among(self, *, edges: bool) -> Iterator[tuple[int, Wanted, int, int]]:
        """Do so for the moduli that are divided; keep what the others need unless only edges are searched."""
        numbers = [Numbers(self._space, wanted) for wanted in self.wanted]
        for matches in matches_of(self._space, self.wanted, edges=edges, threads=self._effort.threads):
            for index, wanted in enumerate(self.wanted):
                starts = matches.starts[matches.signatures == index]
                for begin in range(0, len(starts), _AT_ONCE):
                    some = starts[begin : begin + _AT_ONCE]
                    if not (self._divided.get(wanted.count) or (wanted.count in self._joined and not edges)):
                        break
                    if self._effort.affords(_READING * len(some)):
                        yield from self._divide(wanted, *numbers[index].at(some), keep=not edges)
                    else:
                        self._effort.skip(_TOO_MANY)
            if edges and not any(self._divided.values()):
                return

    def _divide(
        self, wanted: Wanted, addresses: Words, values: Words, *, keep: bool
    ) -> Iterator[tuple[int, Wanted, int, int]]:
        """Divide by some numbers, and keep their lowest words for the moduli that are not divided."""
        for test in (has_even_words, without_small_factors, has_many_bytes):
            fits = test(values)
            addresses, values = addresses[fits], values[fits]
        if keep and wanted.count in self._joined and self._count < MAX_JOINED:
            self._count += len(addresses)
            self._kept[wanted.count].append((wanted, addresses, values[:, 0].copy()))
        moduli = self._divided.get(wanted.count, [])
        for modulus in moduli:
            cost = _DIVISION_2048 * (modulus.bit_length() / 2048) ** 2
            if not self._effort.affords(cost * len(addresses)):
                self._effort.skip(_TOO_MANY)
                return
            for address, p in zip(addresses.tolist(), as_integers(values), strict=True):
                if modulus % p == 0:
                    self._divided[wanted.count] = [each for each in self._divided[wanted.count] if each != modulus]
                    yield address, wanted, modulus, p
                    break

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
