"""The pass for headers of big numbers: a pointer, and counts of limbs beside it, tested a whole array at a time.

What fits is a candidate and no more: a number is read, and means something, only together with others (`numbers`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from dumpscan.model.c_big_numbers import LIMB, MAX_DMAX, MAX_FLAGS, MAX_LIMBS, MAX_POINTER, MIN_LIMBS
from dumpscan.scan.passes import EVERY_PHASE, aligned_matches
from dumpscan.scan.searcher import Matches
from dumpscan.scan.signature import Signature

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from dumpscan.scan.searcher import Scannable

    Words = NDArray[np.uint64]
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


class HeaderSearcher:
    """Finds where headers of big numbers may begin (see `dumpscan.scan.searcher.Searcher`)."""

    signatures = (OPENSSL, GMP, MBEDTLS, GO)

    def batches(
        self, space: Scannable, *, threads: int | None = None, progress: Callable[[int], None] | None = None
    ) -> Iterator[Matches]:
        """Search an address space at addresses that are multiples of 8."""
        yield from aligned_matches(space, self.signatures, _find, threads=threads, progress=progress)

    def scan_buffer(self, data: memoryview | bytes, *, threads: int | None = None) -> Matches:  # noqa: ARG002 - one thread will do
        """Search a contiguous buffer at every offset."""
        return _find(memoryview(data), EVERY_PHASE)


def _find(data: memoryview, phases: tuple[int, ...]) -> Matches:
    parts: list[tuple[NDArray[np.int64], NDArray[np.int64]]] = []
    for phase in phases:
        count = (len(data) - phase) // LIMB
        if count <= 0:
            continue
        words = np.frombuffer(data, "<u8", count, phase)
        for begin in range(0, count, _CHUNK):
            # a word before and two behind each, so that no header is cut
            first = max(begin - 1, 0)
            chunk = np.require(words[first : begin + _CHUNK + 2], requirements=("A",))
            own = range(begin - first, min(_CHUNK, count - begin) + begin - first)
            numbers, starts = _in_words(chunk, own)
            parts.append((numbers, (starts + first) * LIMB + phase))
    if not parts:
        return Matches(np.zeros(0, np.uint16), np.zeros(0, np.uint64))
    numbers, starts = (np.concatenate(column) for column in zip(*parts, strict=True))
    order = np.argsort(starts, kind="stable")
    return Matches(numbers[order].astype(np.uint16), starts[order].astype(np.uint64))


def _in_words(words: Words, own: range) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Find headers among words: which kind, and the index of the first word of each.

    Every header has a word whose lower half is a count of limbs and whose upper half is another one or zero. Few words
    are such; the rest is tested on those alone.
    """
    counts = words & _COUNTS
    counts -= np.uint64(MIN_LIMBS)
    at = np.flatnonzero(counts < np.uint64(MAX_DMAX - MIN_LIMBS + 1))
    at = at[(at >= own.start) & (at < own.stop) & (at + 1 < len(words))]
    if not len(at):
        return at, at
    low, high = words[at] & _LOW, words[at] >> _HALF
    before, after = words[np.maximum(at - 1, 0)], words[at + 1]
    has_before = at > 0
    pointer_before = _is_pointer(before) & has_before
    pointer_after = _is_pointer(after)
    limit = np.uint64(MAX_LIMBS)
    kinds = (
        # d | top, dmax | neg, flags
        (pointer_before & (low <= high) & (low <= limit) & (after & _LOW == 0) & (after >> _HALF <= MAX_FLAGS), 1),
        # alloc, size | d
        (pointer_after & (high <= low) & (high >= MIN_LIMBS) & (high <= limit), 0),
        # s | n | p
        (pointer_after & (high == 0) & (low <= limit) & (before & _LOW == 1) & has_before, 1),
        # array | len | cap
        (
            pointer_before & (high == 0) & (low <= limit) & (after >= low) & (after <= 2 * low + np.uint64(_MAX_SPARE)),
            1,
        ),
    )
    numbers = [np.full(int(fits.sum()), number) for number, (fits, _) in enumerate(kinds)]
    return np.concatenate(numbers), np.concatenate([at[fits] - ahead for fits, ahead in kinds])


def _is_pointer(words: Words) -> Found:
    """Say which words may be addresses of limbs."""
    fits: Found = (words >= _LEAST_POINTER) & (words < np.uint64(MAX_POINTER)) & (words & np.uint64(LIMB - 1) == 0)
    return fits
