"""Bitmaps of page frames, as crash dumps have them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

_STEP = 1 << 20
"""Bytes of a bitmap that are taken apart at once."""


def set_bits(data: NDArray[np.uint8], bits: int) -> Iterator[NDArray[np.int64]]:
    """Yield the runs of set bits, in ascending order. One that goes on in the next step comes in two.

    Args:
        data: The bitmap, the lowest bit of each byte first.
        bits: How many of its bits count.

    Yields:
        Number of the first bit of each run, and of the bit past its last; shape (n, 2).
    """
    for step in range(0, (bits + 7) // 8, _STEP):
        part = np.unpackbits(data[step : step + _STEP], bitorder="little")[: bits - 8 * step]
        yield np.flatnonzero(np.diff(part, prepend=0, append=0)).reshape(-1, 2) + 8 * step
