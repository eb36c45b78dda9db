"""The one pass for keys as libraries hold them: a pointer, and small numbers beside it, tested a whole array at a time.

Most of what fits are headers of big numbers: a pointer and counts of limbs. What fits is a candidate and no more: a
number is read, and means something, only together with others (`numbers`).
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from dumpscan.artifacts.keys.ssh import shielded
from dumpscan.artifacts.openssl import ecx, headers32, points
from dumpscan.artifacts.openssl.beside import small_beside_pointers
from dumpscan.artifacts.openssl.header_pass import find_headers
from dumpscan.memory.space import ANYWHERE
from dumpscan.model.c_big_numbers import LIMB, MAX_DMAX, MAX_FLAGS, MAX_LIMBS, MIN_LIMBS
from dumpscan.scan.passes import AlignedSearcher, aligned_matches
from dumpscan.scan.signature import Signature

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from dumpscan.scan.passes import Find
    from dumpscan.scan.searcher import Matches, Scannable

    Words = NDArray[np.uint64]
    Indexes = NDArray[np.int64]
    Found = NDArray[np.bool_]

OPENSSL = Signature("bignum_st", b"", 24)
GMP = Signature("mpz_struct", b"", 16)
MBEDTLS = Signature("mbedtls_mpi", b"", 24)
MBEDTLS_3_5 = Signature("mbedtls_mpi", b"", 16)
GO = Signature("go_slice", b"", 24)

_LOW = np.uint64(0xFFFFFFFF)
_HALF = np.uint64(32)
_ONE = np.uint64(1)
_COUNT_OF_16 = np.uint64(0xFFFF)
_MIN = np.uint64(MIN_LIMBS)
_COUNTS = np.uint64(MAX_LIMBS - MIN_LIMBS)
_LEAST_SHORT = np.uint64(MIN_LIMBS << 16 | 1)
_SHORTS = np.uint64((MAX_LIMBS - MIN_LIMBS) << 16)
_MAX_SPARE = np.uint64(64)
"""Limbs that a slice of Go may have room for beyond twice its length."""


def _in_words(words: Words, reach: tuple[int, int] = ANYWHERE) -> tuple[Indexes, ...]:
    """Find headers among words: the index of the first word of each, by kind.

    Every header has a word whose halves are small, such as counts of limbs, and a pointer right before or behind it.
    Few words are like that. The other fields are tested on those alone.

    Args:
        words: Words of memory.
        reach: Where pointers may lead.
    """
    after_pointer, before_pointer = small_beside_pointers(words, reach)
    value, other = words.take(after_pointer), words.take(before_pointer)
    counted = _taken(value - _MIN <= _COUNTS, after_pointer, value)
    return (
        _openssl(words, *_taken(value > _LOW, after_pointer, value)),
        _gmp(before_pointer, other),
        _mbedtls(words, before_pointer.take(np.flatnonzero(other - _MIN <= _COUNTS))),
        _go(words, *counted),
        after_pointer.take(np.flatnonzero(_is_short(value))) - 1,
        ecx.ecx_keys(words, *counted),
        ecx.evp_keys(words, after_pointer.take(np.flatnonzero(value == _ONE))),
        shielded.shields(words, after_pointer.take(np.flatnonzero(value == shielded.MARK))),
        points.ec_points(words, before_pointer, other),
    )


def _taken(fits: Found, at: Indexes, value: Words) -> tuple[Indexes, Words]:
    index = np.flatnonzero(fits)
    return at.take(index), value.take(index)


def _openssl(words: Words, at: Indexes, value: Words) -> Indexes:
    """Find headers of OpenSSL, whose second word has the counts."""
    low, high = value & _LOW, value >> _HALF
    # d | top, dmax | neg, flags
    at = at.take(np.flatnonzero((low - _MIN <= _COUNTS) & (low <= high) & (high <= np.uint64(MAX_DMAX))))
    at = at[at < len(words) - 1]
    after = words.take(at + 1)
    return at.take(np.flatnonzero((after & _LOW == 0) & (after >> _HALF <= np.uint64(MAX_FLAGS)))) - 1


def _gmp(at: Indexes, value: Words) -> Indexes:
    """Find headers of GMP, which begin with the counts."""
    low, high = value & _LOW, value >> _HALF
    # alloc, size | d
    return at.take(np.flatnonzero((high - _MIN <= _COUNTS) & (high <= low) & (low <= np.uint64(MAX_DMAX))))


def _mbedtls(words: Words, at: Indexes) -> Indexes:
    """Find headers of mbedTLS before 3.5, whose second word is the count."""
    at = at[at > 0] - 1
    return at.take(np.flatnonzero(words.take(at) & _LOW == _ONE))  # s | n | p


def _go(words: Words, at: Indexes, length: Words) -> Indexes:
    """Find slices of Go, whose second word is the length."""
    at, length = _taken(at < len(words) - 1, at, length)
    spare = words.take(at + 1) - length  # array | len | cap, where a cap below len wraps round
    return at.take(np.flatnonzero(spare <= length + _MAX_SPARE)) - 1


def _is_short(value: Words) -> Found:
    """Say which words may be the second one of a header of mbedTLS since 3.5: sign and count in 16 bits each."""
    fits: Found = (value & _COUNT_OF_16 == _ONE) & (value - _LEAST_SHORT <= _SHORTS)
    return fits


def _finder(reach: tuple[int, int]) -> Find:
    return partial(find_headers, word=LIMB, in_words=partial(_in_words, reach=reach))


class HeaderSearcher(AlignedSearcher):
    """Finds where headers may begin, by the size of a program's pointers."""

    def batches(
        self, space: Scannable, *, threads: int | None = None, progress: Callable[[int], None] | None = None
    ) -> Iterator[Matches]:
        """Search an address space at addresses that are multiples of a pointer's size."""
        if space.pointer_size == LIMB:
            find = _finder(space.reach)
            yield from aligned_matches(space, self.signatures, find, threads=threads, progress=progress)
            return
        for found in headers32.SEARCHER.batches(space, threads=threads, progress=progress):
            yield found._replace(signatures=found.signatures + np.uint16(_KINDS))


_OF_64_BITS = (
    OPENSSL,
    GMP,
    MBEDTLS,
    GO,
    MBEDTLS_3_5,
    ecx.ECX_KEY,
    ecx.EVP_PKEY_1_1_1,
    shielded.SHIELD,
    points.EC_POINT,
)
_KINDS = len(_OF_64_BITS)
SEARCHER = HeaderSearcher((*_OF_64_BITS, *headers32.SEARCHER.signatures), _finder(ANYWHERE))
"""Finds where headers of big numbers, and what tells other keys, may begin."""
