"""The words at which random-looking places of a process begin, in order: is a key, or what follows from it, there?"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from dumpscan.artifacts.tls import windows
from dumpscan.artifacts.tls.places import WORD, among
from dumpscan.scan.word_table import WordTable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from dumpscan.artifacts.tls.places import Addresses, Places

    Words = NDArray[np.uint64]

MAX_ALIKE = 64
"""Places with the same first word that are compared with what is looked for."""


class WordIndex:
    """All words at which 16 bytes may begin within random-looking places.

    In windows of 32 bytes, these are the first three words; blocks that are not part of a window have their own.

    Args:
        places: What was found in the process.
    """

    def __init__(self, places: Places) -> None:
        self._places = places
        self._addresses: Addresses = np.zeros(0, np.uint64)

    @cached_property
    def _table(self) -> WordTable:
        """The words, read when one is first looked up; their addresses are in the same order."""
        parts = (self._places.of(each) for each in (windows.EDGE_32, windows.ALIGNED_32, windows.INNER_32))
        begins = np.sort(np.concatenate([*parts]))
        behind = [begins + np.uint64(distance) for distance in (WORD, 2 * WORD)]
        others = [self._places.of(windows.BLOCK), *(each[~among(each, begins)] for each in behind)]
        addresses, rows = self._places.read(np.concatenate((begins, *others)), WORD)
        table = WordTable(rows.view("<u8")[:, 0])
        self._addresses = addresses[table.order]
        return table

    def find(self, words: Words) -> Iterator[tuple[int, int]]:
        """Look words up.

        Args:
            words: What is looked for, as little-endian numbers.

        Yields:
            The number of a word that is there, and an address where it is.
        """
        found, begins = self._table.among(words)
        ends = np.minimum(np.searchsorted(self._table.words, words[found], "right"), begins + MAX_ALIKE)
        for number, begin, end in zip(found.tolist(), begins.tolist(), ends.tolist(), strict=True):
            for address in self._addresses[begin:end].tolist():
                yield number, address
