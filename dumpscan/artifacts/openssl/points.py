"""Points of OpenSSL's curves among the words of memory, so that a key's point is found however far from its scalar."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from dumpscan.model.c_big_numbers import MAX_POINTER, NID_P256, NID_P384, NID_P521, NID_SECP256K1
from dumpscan.scan.signature import Signature

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Words = NDArray[np.uint64]
    Indexes = NDArray[np.int64]

EC_POINT = Signature("ec_point_st", b"", 40)
"""The fields meth, curve_name, X, Y and Z."""
_NIDS = tuple(map(np.uint64, (NID_P256, NID_P384, NID_P521, NID_SECP256K1)))
_LEAST_POINTER = np.uint64(0x10000)
_POINTERS = np.uint64(MAX_POINTER - 0x10000)
_FIELDS = (0, 2, 3, 4)
"""Words of the structure that are pointers."""


def ec_points(words: Words, at: Indexes, values: Words) -> Indexes:
    """Find points among words.

    Args:
        words: Words of memory.
        at: Indexes of those that may be `curve_name`, with a pointer behind them.
        values: Those words.

    Returns:
        Indexes of the fields `meth`.
    """
    found = at.take(np.flatnonzero(np.logical_or.reduce([values == nid for nid in _NIDS]))) - 1
    found = found[(found >= 0) & (found + _FIELDS[-1] < len(words))]
    for field in _FIELDS:
        pointer = words.take(found + field)
        found = found[(pointer - _LEAST_POINTER < _POINTERS) & (pointer & np.uint64(7) == 0)]
    return found
