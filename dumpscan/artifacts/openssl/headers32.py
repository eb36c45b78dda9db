"""Headers of big numbers in 32-bit programs: the same fields as in 64-bit ones, and limbs of 32 bits."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from dumpscan.artifacts.openssl import ecx
from dumpscan.artifacts.openssl.header_pass import find_headers
from dumpscan.model.c_big_numbers import LIMB, LIMB_32, MAX_DMAX, MAX_FLAGS, MAX_LIMBS, MIN_LIMBS
from dumpscan.scan.passes import AlignedSearcher
from dumpscan.scan.signature import Signature

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Words = NDArray[np.uint32]
    Indexes = NDArray[np.int64]
    Found = NDArray[np.bool_]

OPENSSL = Signature("bignum_st", b"", 20)
GMP = Signature("mpz_struct", b"", 12)
MBEDTLS = Signature("mbedtls_mpi", b"", 12)
GO = Signature("go_slice", b"", 12)
MBEDTLS_3_5 = Signature("mbedtls_mpi", b"", 8)

_IN_64_BITS = LIMB // LIMB_32
_LEAST = np.uint32(MIN_LIMBS * _IN_64_BITS)
_MOST = np.uint32(MAX_LIMBS * _IN_64_BITS)
_MOST_ROOM = np.uint32(MAX_DMAX * _IN_64_BITS)
_SPAN = 4
"""Words from the count to the end of the longest header."""
_MAX_SPARE = np.uint32(64)
"""Limbs that a slice of Go may have room for beyond twice its length."""
_SIXTEEN = np.uint32(16)
_SIGN = np.uint32(0xFFFF)
_LEAST_POINTER = np.uint32(0x1000)


def _in_words(words: Words) -> tuple[Indexes, ...]:
    """Find headers among words: the index of the first word of each, by kind."""
    at = np.flatnonzero(words - _LEAST <= _MOST - _LEAST)
    at = at[at > 0]
    value, before, *after = (_at(words, at + step) for step in (0, -1, 1, 2, 3))
    has_pointer = _is_pointer(before)
    openssl = has_pointer & (after[0] >= value) & (after[0] <= _MOST_ROOM) & (after[1] == 0) & (after[2] <= MAX_FLAGS)
    gmp = (before >= value) & (before <= _MOST_ROOM) & _is_pointer(after[0])
    mbedtls = (before == 1) & _is_pointer(after[0])
    go = has_pointer & (after[0] - value <= value + _MAX_SPARE)
    return (
        at[openssl] - 1,
        at[gmp] - 1,
        at[mbedtls] - 1,
        at[go] - 1,
        _with_short_count(words),
        ecx.ecx_keys_32(words, at[has_pointer]),
    )


def _with_short_count(words: Words) -> Indexes:
    """Find headers of mbedTLS since 3.5: p | s, n."""
    at = np.flatnonzero((words & _SIGN == 1) & ((words >> _SIXTEEN) - _LEAST <= _MOST - _LEAST))
    at = at[at > 0]
    return at[_is_pointer(words[at - 1])] - 1


def _at(words: Words, indexes: Indexes) -> Words:
    """Return words; those behind the end are the last one."""
    found: Words = words[np.minimum(indexes, len(words) - 1)]
    return found


def _is_pointer(words: Words) -> Found:
    fits: Found = (words >= _LEAST_POINTER) & (words & np.uint32(LIMB_32 - 1) == 0)
    return fits


SEARCHER = AlignedSearcher(
    (OPENSSL, GMP, MBEDTLS, GO, MBEDTLS_3_5, ecx.ECX_KEY_32),
    partial(find_headers, word=LIMB_32, in_words=_in_words),
    LIMB_32,
)
"""Finds where headers of big numbers, and of keys of Curve25519 and Curve448, may begin in a 32-bit program."""
