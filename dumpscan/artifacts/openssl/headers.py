"""The pass for headers of big numbers: a pointer, and counts of limbs beside it, tested a whole array at a time.

What fits is a candidate and no more: a number is read, and means something, only together with others (`numbers`).
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from dumpscan.artifacts.openssl import headers32
from dumpscan.artifacts.openssl.header_pass import find_headers
from dumpscan.model.c_big_numbers import LIMB, MAX_DMAX, MAX_FLAGS, MAX_LIMBS, MAX_POINTER, MIN_LIMBS
from dumpscan.scan.passes import AlignedSearcher
from dumpscan.scan.signature import Signature

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from dumpscan.scan.searcher import Matches, Scannable

    Words = NDArray[np.uint64]
    Indexes = NDArray[np.int64]
    Found = NDArray[np.bool_]

OPENSSL = Signature("bignum_st", b"", 24)
GMP = Signature("mpz_struct", b"", 16)
MBEDTLS = Signature("mbedtls_mpi", b"", 24)
MBEDTLS_3_5 = Signature("mbedtls_mpi", b"", 16)
GO = Signature("go_slice", b"", 24)

_CHUNK = 32 << 10
"""Words taken at a time: all arrays over them fit in a processor's second cache."""
_LOW = np.uint64(0xFFFFFFFF)
_HALF = np.uint64(32)
_COUNTS = np.uint64(0xFFFFFC00FE00FC00)
"""Clears ten bits of either half of a word, where two counts may lie, and nine more for the count of mbedTLS 3.5."""
_COUNT_OF_16 = np.uint64(0xFFFF)
_SIXTEEN = np.uint64(16)
_LEAST_POINTER = np.uint64(0x10000)
_MAX_SPARE = 64
"""Limbs that a slice of Go may have room for beyond twice its length."""


def _in_words(words: Words) -> tuple[Indexes, ...]:
    """Find headers among words: the index of the first word of each, by kind.

    Every header has a word whose lower half is a count of limbs, or a sign and a count in 16 bits each, and whose upper
    half is another count or zero. Few words are such; the rest is tested on those alone.
    """
    at = np.concatenate([_counts(words[begin : begin + _CHUNK]) + begin for begin in range(0, len(words), _CHUNK)])
    at = at[at < len(words) - 1]
    value = words[at]
    low = value & _LOW
    count = (low >= np.uint64(MIN_LIMBS)) & (low <= np.uint64(MAX_DMAX))
    alone = count & (value <= np.uint64(MAX_LIMBS)) & (at > 0)
    short = (value & ~(_COUNT_OF_16 << _SIXTEEN) == 1) & (value >> _SIXTEEN >= np.uint64(MIN_LIMBS)) & (at > 0)
    short &= value >> _SIXTEEN <= np.uint64(MAX_LIMBS)
    return (
        *_pairs(words, at[count & (value > _LOW)]),
        *_single(words, at[alone], value[alone]),
        _short(words, at[short]),
    )


def _counts(words: Words) -> Indexes:
    """Find words, not zero, that may be counts."""
    counts = words - np.uint64(1)
    counts &= _COUNTS
    return np.flatnonzero(counts == 0)


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


def _short(words: Words, at: Indexes) -> Indexes:
    """Find headers of mbedTLS since 3.5, which has sign and count in 16 bits each."""
    return at[_is_pointer(words[at - 1])] - 1  # p | s, n


def _is_pointer(words: Words) -> Found:
    """Say which words may be addresses of limbs."""
    fits: Found = (words >= _LEAST_POINTER) & (words < np.uint64(MAX_POINTER)) & (words & np.uint64(LIMB - 1) == 0)
    return fits


class _Searcher(AlignedSearcher):
    """Finds where headers of big numbers may begin, by the size of a program's pointers."""

    def batches(
        self, space: Scannable, *, threads: int | None = None, progress: Callable[[int], None] | None = None
    ) -> Iterator[Matches]:
        """Search an address space at addresses that are multiples of a pointer's size."""
        if space.pointer_size == LIMB:
            yield from super().batches(space, threads=threads, progress=progress)
            return
        for found in headers32.SEARCHER.batches(space, threads=threads, progress=progress):
            yield found._replace(signatures=found.signatures + np.uint16(_KINDS))


_OF_64_BITS = (OPENSSL, GMP, MBEDTLS, GO, MBEDTLS_3_5)
_KINDS = len(_OF_64_BITS)
SEARCHER = _Searcher(
    (*_OF_64_BITS, *headers32.SEARCHER.signatures), partial(find_headers, word=LIMB, in_words=_in_words)
)
"""Finds where headers of big numbers may begin."""
