"""Words of memory at many addresses at once: what a thousand pointers lead to, without a thousand reads."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from dumpscan.memory.regions import columns_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from dumpscan.memory.space import Region

    Words = NDArray[np.uint64]

WORD = 8
"""Bytes of a word."""

ReadWords = Callable[["Words"], tuple["Words", "NDArray[np.bool_]"]]
"""Takes addresses, shape (n,); returns the word at each, and whether it is held. A word that lies across two regions,
or two pages, counts as not held."""


def read_words(buffer: memoryview, regions: Sequence[Region]) -> ReadWords:
    """Return a reader of words for memory whose regions lie in one mapped file.

    Args:
        buffer: The whole file.
        regions: By ascending address, not overlapping.
    """
    starts, sizes, offsets = columns_of(regions)
    data = np.frombuffer(buffer, np.uint8)

    def read(addresses: Words) -> tuple[Words, NDArray[np.bool_]]:
        if not len(starts) or not len(addresses):
            return np.zeros(len(addresses), np.uint64), np.zeros(len(addresses), np.bool_)
        region = np.maximum(np.searchsorted(starts, addresses, "right"), 1) - 1
        within = addresses - starts[region]  # wraps round before the first region, so that it is past its end
        size = sizes[region]
        held = (size >= np.uint64(WORD)) & (within <= size - np.uint64(WORD))
        places = (offsets[region] + within)[held].astype(np.int64)
        words = np.zeros(len(addresses), np.uint64)
        words[held] = gathered(data, places)
        return words, held

    return read


def gathered(data: NDArray[np.uint8], places: NDArray[np.int64]) -> Words:
    """Return the little-endian words at some offsets of an array, shape (n,)."""
    words: Words = data[places[:, np.newaxis] + np.arange(WORD)].view("<u8")[:, 0]
    return words
