"""Whether bytes may be a private value, where nothing else tells.

A program that writes keys holds the bytes that such a key begins with as a constant, and whatever lies behind them in
memory is then read as the private value: text, zeros, pointers, code. `looks_random` refuses what is not random beyond
doubt. Each of its rules asks for a property that random bytes have less than once in 10^7, so that with all of them it
refuses less than one in 10^6 real private values; thresholds are computed from the exact distribution of each property
in uniformly distributed bytes.

Text that encodes a whole key is no accident. There a value that nobody chose at random is a bad key, but a key: it is
enough that its bytes are not all equal (`is_not_constant`).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from functools import cache
from itertools import pairwise
from math import comb

import numpy as np

from dumpscan.artifacts import effort
from dumpscan.scan.anchors import COMMON_BYTES

_RARE = 1e-8
"""Probability with which random bytes may have a property that is refused."""
_JUDGING = 30
"""Microseconds to see whether a value looks random."""
MIN_SIZE = 14
"""Bytes of a value that can be judged: the order of the smallest curve with a name has 112 bits."""

_CODE_BYTES = (
    "36787899799a89a479aa99aa8bbbaaa78abb59bb88baaa9b87baa9bb88ba99ba"
    "869967a947aa68aa9bb988aa9ab988aa9aa99b6baabb9ba89baa78aa9bba8aaa"
    "89a676aa95b5a6ab8bbbaabbabcbabbbabcbbbcbabbbabbaabbbab8a9a9aaa99"
    "67878887999aaaaa8989aaaa99a9aaa89a9aaa99679899989988aa8989988874"
)
"""How common each byte value is in x86-64 code, in the form of `COMMON_BYTES`: 11 MB of programs and libraries."""
_MODELS = tuple(tuple(int(digit, 16) for digit in shares) for shares in (COMMON_BYTES, _CODE_BYTES))
"""What fills memory that is not random: data of all kinds, and code. A digit is -log2 of a byte value's share."""

_TEXT = frozenset((*range(0x20, 0x7F), *b"\t\r\n"))
_WORD = re.compile(rb"[A-Za-z0-9 _./+=-]{16}")
"""A random value of 72 bytes has so long a run of these 69 characters once in 4 * 10^7."""
_OBJECT_IDENTIFIER = re.compile(
    rb"\x06(?:\x03\x2b\x65|\x05\x2b\x81\x04|\x07\x2a\x86\x48|\x08\x2a\x86\x48|\x09\x2a\x86\x48)"
)
"""One of an algorithm or a curve: the next constant of the program lies there."""
_WORD_SIZE, _POINTER_SIZE = 4, 8
_CANONICAL = (b"\x00\x00", b"\xff\xff")
"""The upper bytes of every pointer on x86-64 and ARM64."""


Plausible = Callable[[bytes], bool]
"""Says whether bytes may be a private value."""


def looks_random(value: bytes) -> bool:
    """Return whether bytes may come from a random generator, all of them.

    Args:
        value: The bytes, at least `MIN_SIZE` of them.
    """
    effort.charge(_JUDGING)
    return len(value) >= MIN_SIZE and not (
        len(set(value)) < _fewest_different(len(value))
        or any(sum(map(model.__getitem__, value)) < _least_score(model, len(value)) for model in _MODELS)
        or sum(map(_TEXT.__contains__, value)) >= _many(len(value), len(_TEXT) / 256)
        or _WORD.search(value)
        or _OBJECT_IDENTIFIER.search(value)
        or _has_repeated_words(value)
        or _has_steps(value)
        or _has_pointers(value)
    )


def is_not_constant(value: bytes) -> bool:
    """Return whether bytes are more than one value repeated."""
    return len(set(value)) > 1


def _has_repeated_words(value: bytes) -> bool:
    """Whether two aligned words of four bytes are equal: in 72 random bytes with a probability of 4 * 10^-8."""
    words = [value[at : at + _WORD_SIZE] for at in range(0, len(value) - _WORD_SIZE + 1, _WORD_SIZE)]
    return len(set(words)) < len(words)


def _has_steps(value: bytes) -> bool:
    """Whether one difference between neighbours is so frequent as in a table that counts up or down."""
    steps = Counter((after - before) % 256 for before, after in pairwise(value))
    return max(steps.values()) >= _many(len(value) - 1, 1 / 256, _RARE / 256)


def _has_pointers(value: bytes) -> bool:
    """Whether several words of eight bytes, at any one alignment, are pointers or small numbers."""
    for first in range(_POINTER_SIZE):
        ends = range(first + _POINTER_SIZE, len(value) + 1, _POINTER_SIZE)
        if sum(value[end - 2 : end] in _CANONICAL for end in ends) >= _many(len(ends), 2**-15, 1e-8):
            return True
    return False


@cache
def _fewest_different(size: int) -> int:
    """Return how many different byte values random bytes have at least, but for one in 10^8 of them."""
    chances = [1.0]
    for _ in range(size):
        longer = [0.0] * (len(chances) + 1)
        for different, chance in enumerate(chances):
            longer[different] += chance * different / 256
            longer[different + 1] += chance * (256 - different) / 256
        chances = longer
    return _quantile(chances)


@cache
def _least_score(model: tuple[int, ...], size: int) -> int:
    """Return the least sum of a model's digits that random bytes have, but for one in 10^8 of them."""
    shares = np.bincount(model) / len(model)
    chances = np.ones(1)
    for _ in range(size):
        chances = np.convolve(chances, shares)
    return _quantile(chances.tolist())


@cache
def _many(trials: int, chance: float, rare: float = _RARE) -> int:
    """Return the least number of successes that is rare in independent trials."""
    tail = 0.0
    for successes in range(trials, -1, -1):
        tail += comb(trials, successes) * chance**successes * (1 - chance) ** (trials - successes)
        if tail > rare:
            return successes + 1
    return 0


def _quantile(chances: list[float]) -> int:
    """Return the least value that is not rare, given the chances of 0, 1, 2 and so on."""
    total = 0.0
    for value, chance in enumerate(chances):
        total += chance
        if total > _RARE:
            return value
    raise AssertionError
