"""The pass for headers of big numbers: a pointer, and counts of limbs beside it, tested a whole array at a time.

What fits is a candidate and no more: a number is read, and means something, only together with others (`numbers`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from dumpscan.model.c_big_numbers import LIMB, MAX_DMAX, MAX_FLAGS, MAX_LIMBS, MAX_POINTER, MIN_LIMBS
from dumpscan.scan.passes import AlignedSearcher
from dumpscan.scan.searcher import Matches
from dumpscan.scan.signature import Signature

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Words = NDArray[np.uint64]
    Indexes = NDArray[np.int64]
    Found = NDArray[np.bool_]

OPENSSL = Signature("bignum_st", b"", 24)
GMP = Signature("mpz_struct", b"", 16)
MBEDTLS = Signature("mbedtls_mpi", b"", 24)
GO = Signature("go_slice", b"", 24)

_CHUNK = 32 << 10
"""Words taken at a time: all arrays over them fit in a processor's second cache."""
_LOW = np.uint64(0xFFFFFFFF)
_HALF = np.uint64(32)
_COUNTS = np.uint64(0xFFFFFC00FFFFFFFF)
"""Clears ten bits of a word's upper half, where the second of two counts may lie."""
_LEAST_POINTER = np.uint64(0x10000)
_MAX_SPARE = 64
"""Limbs that a slice of Go may have room for beyond twice its length."""


def _find(data: memoryview, phases: tuple[int, ...]) -> Matches:
    parts = []
    for phase in phases:
        count = (len(data) - phase) // LIMB
        if count > 1:
            numbers, starts = _in_words(np.frombuffer(data, "<u8", count, phase))
            parts.append((numbers, starts * LIMB + phase))
    if not parts:
        return Matches(np.zeros(0, np.uint16), np.zeros(0, np.uint64))
    numbers, starts = (np.concatenate(column) for column in zip(*parts, strict=True))
    order = np.argsort(starts, kind="stable")
    return Matches(numbers[order].astype(np.uint16), starts[order].astype(np.uint64))


def _in_words(words: Words) -> tuple[Indexes, Indexes]:
    """Find headers among words: which kind, and the index of the first word of each.

    Every header has a word whose lower half is a count of limbs and whose upper half is another one or zero. Three
    words in a hundred are such; the rest is tested on those alone.
    """
    at = np.concatenate([_counts(words[begin : begin + _CHUNK]) + begin for begin in range(0, len(words), _CHUNK)])
    at = at[at < len(words) - 1]
    value = words[at]
    alone = value <= np.uint64(MAX_LIMBS)
    alone &= at > 0
    kinds = (*_pairs(words, at[value > _LOW]), *_single(words, at[alone], value[alone]))
    numbers = [np.full(len(starts), number) for number, starts in enumerate(kinds)]
    return np.concatenate(numbers), np.concatenate(kinds)


def _counts(words: Words) -> Indexes:
    """Find words whose lower half is a count and whose upper half is one or zero."""
    counts = words & _COUNTS
    counts -= np.uint64(MIN_LIMBS)
    return np.flatnonzero(counts < np.uint64(MAX_DMAX - MIN_LIMBS + 1))


def _pairs(words: Words, at: Indexes) -> tuple[Indexes, Indexes]:
    """Find headers that have two counts in one word: those of OpenSSL and of GMP."""
    low, high, after = words[at] & _LOW, words[at] >> _HALF, words[at + 1]
    limit = np.uint64(MAX_LIMBS)
    # d | top, dmax | neg, flags
    openssl = (low <= high) & (low <= limit) & (after & _LOW == 0) & (after >> _HALF <= np.uint64(MAX_FLAGS))
    openssl &= _is_pointer(words[at - 1]) & (at > 0)
    # alloc, size | d
    gmp = (high <= low) & (high >= np.uint64(MIN_LIMBS)) & (high <= limit) & _is_pointer(after)
    return at[openssl] - 1, at[gmp]


def _single(words: Words, at: Indexes, count: Words) -> tuple[Indexes, Indexes]:
    """Find headers that have one count in a word: those of mbedTLS and of Go."""
    # s | n | p
    mbedtls = at[words[at - 1] & _LOW == 1]
    mbedtls = mbedtls[_is_pointer(words[mbedtls + 1])]
    # array | len | cap, where a cap below len wraps round
    go = at[words[at + 1] - count <= count + np.uint64(_MAX_SPARE)]
    return mbedtls - 1, go[_is_pointer(words[go - 1])] - 1


def _is_pointer(words: Words) -> Found:
    """Say which words may be addresses of limbs."""
    fits: Found = (words >= _LEAST_POINTER) & (words < np.uint64(MAX_POINTER)) & (words & np.uint64(LIMB - 1) == 0)
    return fits


SEARCHER = AlignedSearcher((OPENSSL, GMP, MBEDTLS, GO), _find)
"""Finds where headers of big numbers may begin."""
