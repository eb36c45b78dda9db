"""The words at which random-looking places of a process begin, in order: is a key, or what follows from it, there?"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from dumpscan.artifacts.tls import windows
from dumpscan.artifacts.tls.places import WORD, among

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from dumpscan.artifacts.tls.places import Addresses, Places

    Words = NDArray[np.uint64]

MAX_ALIKE = 64
"""Places with the same first word that are compared with what is looked for."""
_HASH = np.uint64(0x9E3779B97F4A7C15)
"""2^64 divided by the golden ratio: multiplied by it, words that differ anywhere differ in their upper bits."""
_HASHED_BITS = np.uint64(22)


class WordIndex:
    """All words at which 16 bytes may begin within random-looking places.

    In windows of 32 bytes, these are the first three words; blocks that are not part of a window have their own.

    Args:
        places: What was found in the process.
    """

    def __init__(self, places: Places) -> None:
        self._places = places
        self._words: Words | None = None
        self._addresses: Addresses = np.zeros(0, np.uint64)
        self._seen = np.zeros(0, np.bool_)

    def find(self, words: Words) -> Iterator[tuple[int, int]]:
        """Look words up.

        Args:
            words: What is looked for, as little-endian numbers.

        Yields:
            The number of a word that is there, and an address where it is.
        """
        if self._words is None:
            self._words = self._read()
        likely = np.flatnonzero(self._seen[_hashed(words)])
        begins = np.searchsorted(self._words, words[likely])
        ends = np.minimum(np.searchsorted(self._words, words[likely], "right"), begins + MAX_ALIKE)
        for at in np.flatnonzero(ends > begins).tolist():
            for address in self._addresses[begins[at] : ends[at]].tolist():
                yield int(likely[at]), address

    def _read(self) -> Words:
        parts = (self._places.of(each) for each in (windows.EDGE_32, windows.ALIGNED_32, windows.INNER_32))
        begins = np.sort(np.concatenate([*parts]))
        behind = [begins + np.uint64(distance) for distance in (WORD, 2 * WORD)]
        others = [self._places.of(windows.BLOCK), *(each[~among(each, begins)] for each in behind)]
        addresses, rows = self._places.read(np.concatenate((begins, *others)), WORD)
        words = rows.view("<u8")[:, 0]
        order = np.argsort(words)
        self._addresses = addresses[order]
        self._seen = np.zeros(1 << int(_HASHED_BITS), np.bool_)
        self._seen[_hashed(words)] = True
        return np.asarray(words[order])


def _hashed(words: Words) -> Words:
    return words * _HASH >> np.uint64(64) - _HASHED_BITS
