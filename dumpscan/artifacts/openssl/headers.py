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

_CHUNK = 64 << 10
"""Words taken at a time: all arrays over them fit in a processor's second cache."""
_LOW = np.uint64(0xFFFFFFFF)
_HALF = np.uint64(32)
_ONE = np.uint64(1)
_SMALL = np.uint64(0xFFFFF800FE00F800)
"""Clears eleven bits of either half of a word, where two counts or types may lie, and nine more for mbedTLS 3.5."""
_COUNT_OF_16 = np.uint64(0xFFFF)
_SIXTEEN = np.uint64(16)
_MIN = np.uint64(MIN_LIMBS)
_MAX = np.uint64(MAX_LIMBS)
_COUNTS = np.uint64(MAX_LIMBS - MIN_LIMBS)
_LEAST_SHORT = np.uint64(MIN_LIMBS << 16 | 1)
_SHORTS = np.uint64((MAX_LIMBS - MIN_LIMBS) << 16)
_LEAST_POINTER = np.uint64(0x10000)
_POINTERS = np.uint64(MAX_POINTER - 0x10000)
_MAX_SPARE = np.uint64(64)
"""Limbs that a slice of Go may have room for beyond twice its length."""


def _in_words(words: Words) -> tuple[Indexes, ...]:
    """Find headers among words: the index of the first word of each, by kind.

    Every header of a number has a word whose lower half is a count of limbs, or a sign and a count in 16 bits each, and
    whose upper half is another count or zero. Few words are so small; the rest is tested on those alone. What is like
    that of other structures is looked for on the way.
    """
    if len(words) < 2:  # noqa: PLR2004 - no header is so short
        return (np.zeros(0, np.int64),) * _KINDS
    small, shields = _looked_at(words)
    # Those between two others, by the index of the word before.
    before = small[np.searchsorted(small, 1) : np.searchsorted(small, len(words) - 1)] - 1
    value = words[1:].take(before)
    counted = _taken(value - _MIN <= _COUNTS, before, value)
    others = _taken(value > _MAX, before, value)
    paired = _taken(others[1] > _LOW, *others)
    short = _taken(others[1] - _LEAST_SHORT <= _SHORTS, *others)
    # Nothing need be before the one, or behind the other.
    first, last = small[:1][small[:1] == 0], small[-1:][small[-1:] == len(words) - 1]
    pairs = np.concatenate((first, paired[0] + 1)), np.concatenate((words.take(first), paired[1]))
    short = np.concatenate((short[0], last - 1)), np.concatenate((short[1], words.take(last)))
    return (
        _openssl(words, *paired),
        _gmp(words, *pairs),
        *_single(words, *counted),
        _short(words, *short),
        ecx.ecx_keys(words, *counted),
        ecx.evp_keys(*pairs),
        shielded.shields(words, shields),
        points.ec_points(words, *others),
    )


def _taken(fits: Found, at: Indexes, value: Words) -> tuple[Indexes, Words]:
    index = np.flatnonzero(fits)
    return at.take(index), value.take(index)


def _looked_at(words: Words) -> tuple[Indexes, Indexes]:
    """Find words, not zero, that are small in both halves, and those that a shielded key of OpenSSH has."""
    small, shields = [], []
    rest, fits = np.empty(min(_CHUNK, len(words)), np.uint64), np.empty(min(_CHUNK, len(words)), np.bool_)
    for begin in range(0, len(words), _CHUNK):
        part = words[begin : begin + _CHUNK]
        out, found = rest[: len(part)], fits[: len(part)]
        np.subtract(part, _ONE, out=out)
        np.bitwise_and(out, _SMALL, out=out)
        np.equal(out, 0, out=found)
        small.append(np.flatnonzero(found) + begin)
        np.equal(part, shielded.MARK, out=found)
        shields.append(np.flatnonzero(found) + begin)
    return np.concatenate(small), np.concatenate(shields)


def _openssl(words: Words, before: Indexes, value: Words) -> Indexes:
    """Find headers of OpenSSL."""
    low, high = value & _LOW, value >> _HALF
    # d | top, dmax | neg, flags
    before = before.take(np.flatnonzero((low - _MIN <= _COUNTS) & (low <= high) & (high <= np.uint64(MAX_DMAX))))
    after = words[2:].take(before)
    before = before[(after & _LOW == 0) & (after >> _HALF <= np.uint64(MAX_FLAGS))]
    return before[_is_pointer(words.take(before))]


def _gmp(words: Words, at: Indexes, value: Words) -> Indexes:
    """Find headers of GMP, which begin with the counts."""
    low, high = value & _LOW, value >> _HALF
    # alloc, size | d
    at = at.take(np.flatnonzero((high - _MIN <= _COUNTS) & (high <= low) & (low <= np.uint64(MAX_DMAX))))
    return at[_is_pointer(words[1:].take(at))]


def _single(words: Words, before: Indexes, count: Words) -> tuple[Indexes, Indexes]:
    """Find headers that have one count in a word: those of mbedTLS and of Go."""
    # s | n | p
    sign = words.take(before)
    sign &= _LOW
    mbedtls = before.take(np.flatnonzero(sign == _ONE))
    # array | len | cap, where a cap below len wraps round
    spare = words[2:].take(before)
    spare -= count
    go = before.take(np.flatnonzero(spare <= count + _MAX_SPARE))
    return mbedtls[_is_pointer(words[2:].take(mbedtls))], go[_is_pointer(words.take(go))]


def _short(words: Words, before: Indexes, value: Words) -> Indexes:
    """Find headers of mbedTLS since 3.5, which has sign and count in 16 bits each."""
    before = before[(value & _COUNT_OF_16 == _ONE) & (value - _LEAST_SHORT <= _SHORTS)]
    return before[_is_pointer(words.take(before))]  # p | s, n


def _is_pointer(words: Words) -> Found:
    """Say which words may be addresses of limbs."""
    fits: Found = (words - _LEAST_POINTER < _POINTERS) & (words & np.uint64(LIMB - 1) == 0)
    return fits


class HeaderSearcher(AlignedSearcher):
    """Finds where headers may begin, by the size of a program's pointers."""

    def batches(
        self, space: Scannable, *, threads: int | None = None, progress: Callable[[int], None] | None = None
    ) -> Iterator[Matches]:
        """Search an address space at addresses that are multiples of a pointer's size."""
        if space.pointer_size == LIMB:
            yield from super().batches(space, threads=threads, progress=progress)
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
SEARCHER = HeaderSearcher(
    (*_OF_64_BITS, *headers32.SEARCHER.signatures), partial(find_headers, word=LIMB, in_words=_in_words)
)
"""Finds where headers of big numbers, and what tells other keys, may begin."""
