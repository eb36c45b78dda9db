"""Small words beside pointers: what every header of a number has, and little other memory.

A small word has two counts of limbs, a length or a type, or the like, and is not zero.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from dumpscan.model.c_big_numbers import LIMB, MAX_POINTER

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Words = NDArray[np.uint64]
    Indexes = NDArray[np.int64]
    Found = NDArray[np.bool_]
    Range = tuple[np.uint64, np.uint64]

_CHUNK = 64 << 10
"""Words taken at a time: all arrays over them fit in a processor's second cache."""
_ONE = np.uint64(1)
_NOT_SMALL = np.uint64(0xFFFFF800FE00C000)
"""Bits that are clear in a small word less one. Eleven bits of the upper half are left, 14 of the lower half for the
size of OpenSSH's prekey, and nine more of it for the count of mbedTLS 3.5."""
_LEAST_POINTER = 0x10000
_LIMB_MASK = np.uint64(LIMB - 1)
_MANY = 25
"""One word in so many is a pointer where there are many pointers."""
_FEW = 16
"""One small word in so many is beside a pointer where there are few."""


def small_beside_pointers(words: Words, reach: tuple[int, int]) -> tuple[Indexes, Indexes]:
    """Find the small words of memory that are beside a pointer to something aligned.

    Args:
        words: Words of memory.
        reach: Where pointers may lead.

    Returns:
        Indexes of those that a pointer comes before, and of those that a pointer follows.
    """
    pass_ = _Pass(words, reach)
    behind, before = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    for begin in range(0, len(words), _CHUNK):
        for places, found in zip((behind, before), pass_.chunk(begin, min(begin + _CHUNK, len(words))), strict=True):
            places.append(found)
    return pass_.aligned(np.concatenate(behind), -1), pass_.aligned(np.concatenate(before), 1)


class _Pass:
    """A pass over words, chunk by chunk.

    Either small words are looked for, and then pointers beside them, or the other way round: whichever of both was
    rarer in the chunk before. Files have few pointers, heaps many.
    """

    def __init__(self, words: Words, reach: tuple[int, int]) -> None:
        least = max(reach[0], _LEAST_POINTER)
        self._words = words
        self._pointers = np.uint64(least), np.uint64(max(min(reach[1], MAX_POINTER) - least, 0))
        size = min(_CHUNK, len(words)) + 2
        self._room = np.empty(size, np.uint64), np.empty(size, np.bool_)
        self._pointers_first = True

    def chunk(self, begin: int, end: int) -> list[Indexes]:
        """Find the small words from `begin` to `end` that have a pointer before or behind them, aligned or not."""
        if not self._pointers_first:
            small = self._small_in(begin, end)
            found = [small.take(np.flatnonzero(self._are_pointers(small - step))) for step in (1, -1)]
            self._pointers_first = len(found[0]) + len(found[1]) < len(small) // _FEW
            return found
        pointers = self._pointers_in(max(begin - 1, 0), end + 1)
        if not len(pointers):
            return [pointers, pointers]
        self._pointers_first = len(pointers) < (end - begin) // _MANY
        return [self._small_ones(pointers + step, begin, end) for step in (1, -1)]

    def aligned(self, at: Indexes, step: int) -> Indexes:
        """Keep those indexes beside which there is a multiple of a limb's size."""
        beside = at + step
        held = (beside >= 0) & (beside < len(self._words))
        return at.take(np.flatnonzero(held & (self._words.take(beside, mode="clip") & _LIMB_MASK == 0)))

    def _pointers_in(self, begin: int, end: int) -> Indexes:
        part = self._words[begin:end]
        rest, fits = (each[: len(part)] for each in self._room)
        np.subtract(part, self._pointers[0], out=rest)
        if not len(rest) or rest.min() >= self._pointers[1]:  # told sooner than by the comparison
            return np.zeros(0, np.int64)
        np.less(rest, self._pointers[1], out=fits)
        return fits.nonzero()[0] + begin

    def _small_in(self, begin: int, end: int) -> Indexes:
        part = self._words[begin:end]
        rest, fits = (each[: len(part)] for each in self._room)
        np.subtract(part, _ONE, out=rest)
        np.bitwise_and(rest, _NOT_SMALL, out=rest)
        np.equal(rest, 0, out=fits)
        return fits.nonzero()[0] + begin

    def _small_ones(self, at: Indexes, begin: int, end: int) -> Indexes:
        """Keep those indexes from `begin` to `end` whose words are small."""
        at = at[slice(*np.searchsorted(at, (begin, end)).tolist())]
        values = self._words.take(at)
        values -= _ONE
        values &= _NOT_SMALL
        return at.take(np.flatnonzero(values == 0))

    def _are_pointers(self, at: Indexes) -> Found:
        """Say which words are pointers; instead of one past either end, the last one there is looked at."""
        values = self._words.take(at, mode="clip")
        values -= self._pointers[0]
        return values < self._pointers[1]
