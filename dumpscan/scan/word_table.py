"""Many words of eight bytes, and which of many other words are among them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Words = NDArray[np.uint64]
    Indexes = NDArray[np.int64]

_HASH = np.array((0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F), np.uint64)
"""Odd factors: multiplied by one, words that differ anywhere differ in their upper bits. The first is 2^64 divided by
the golden ratio."""
_MIN_BITS, _MAX_BITS, _SPARSE = 16, 24, 4
"""Bits of the hashes: the tables have 16 times as many places as there are words, up to 16 MiB."""


class WordTable:
    """Words in ascending order, with two tables by hashes that say which others are surely not among them.

    Args:
        words: The words, in any order.

    Attributes:
        order: Indexes of the given words in ascending order; equal words stay as they were.
        words: The words in this order.
    """

    def __init__(self, words: Words) -> None:
        self.order: Indexes = np.argsort(words, kind="stable")
        self.words: Words = words[self.order]
        bits = min(max(len(words).bit_length() + _SPARSE, _MIN_BITS), _MAX_BITS)
        self._shift = np.uint64(64 - bits)
        self._tables = np.zeros((len(_HASH), 1 << bits), np.bool_)
        for table, factor in zip(self._tables, _HASH, strict=True):
            table[self._hashed(words, factor)] = True

    def _hashed(self, words: Words, factor: np.uint64) -> Indexes:
        return ((words * factor) >> self._shift).view(np.int64)

    def among(self, words: Words) -> tuple[Indexes, Indexes]:
        """Return the indexes of those of some words that are in the table, and where each is first in `self.words`."""
        found = np.flatnonzero(self._tables[0].take(self._hashed(words, _HASH[0])))
        found = found[self._tables[1].take(self._hashed(words[found], _HASH[1]))]
        own = words[found]
        entries = np.searchsorted(self.words, own)
        kept = np.flatnonzero(self.words[np.minimum(entries, len(self.words) - 1)] == own)
        return found[kept], entries[kept]
