"""Windows of memory that look random, as secrets of TLS do.

A word is dull if its upper 16 bits are all equal, as in small numbers and in halves of pointers. One random word in
32,768 is. A window has no dull word; a dull word just before it or just behind it is an edge.
"""

from __future__ import annotations

import functools
from enum import Enum
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from dumpscan.model.libraries.c_tls import DOWNGRADE

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    Words = NDArray[np.uint32]
    Indexes = NDArray[np.int64]
    Flags = NDArray[np.bool_]

WORD = 4
SIZES = (32, 48)
"""Bytes of the secrets: as many as SHA-256 and SHA-384 have; 48 is also the master secret of TLS 1.2."""
MAX_RUN = 1 << 12
"""Words in a row, none of them dull, within which windows are tried; more are compressed or encrypted data mostly."""
_PART_OF_RUN = MAX_RUN // 2
"""Words of which one multiple at least is whole in each longer run."""
AT_ONCE = 1 << 15
"""Words looked at in one go: all arrays over them fit in a processor's second cache."""
_LEAST_WORDS, _MOST_WORDS = (size // WORD for size in SIZES)
BLOCK = 16
"""Bytes of a block of AES."""
_LEAST_HIGH, _LEAST_DIFFERENT = 2, 12
"""Bytes of a block that are above 127, and that are different from each other; one block in 4,000 has fewer."""
_MIN_HIGH = 6
"""Of so many bytes, one at least is above 127."""
_ONE_UP, _MOST_DULL = np.uint32(0x10000), np.uint32(0x1FFFF)
"""With the first added, dull words, and no others, are at most the second: their upper bits are 0 or 1 then."""
HIGH_BITS = np.uint32(0x80808080)
_SUM_OF_BYTES, _HIGHER_BYTE = np.uint16(0x0101), np.uint16(8)
"""Multiplied by the first, half a word has the sum of its bytes in the higher one."""
_MIN_KINDS, _MAX_ZEROS = {32: 21, 48: 31}, {32: 3, 48: 4}
"""Kinds of bytes, by their upper seven bits, and zeros that a window has. Of random ones, one in 60,000 has other
numbers. To count different bytes takes five times as long, and lets as many windows pass."""
_DOWNGRADE = np.frombuffer(DOWNGRADE, "<u4", 1)[0]


class Wanted(Enum):
    """Which windows are wanted."""

    ALL = "all"
    EDGES = "with an edge"
    NONE = "none"


class Windows(NamedTuple):
    """Windows of one size.

    Attributes:
        size: Bytes of each.
        first: The indexes of their first words.
        edge: Whether each has an edge.
    """

    size: int
    first: Indexes
    edge: Flags


def find_windows(words: Words, wanted: Wanted = Wanted.ALL) -> Iterator[tuple[tuple[Windows, ...], int]]:
    """Find the windows that look random.

    Args:
        words: The words of a buffer.
        wanted: Which of them.

    Yields:
        For some words at a time, the windows of each size, and how many were left out: those within long runs, and
        those that are not wanted.
    """
    for begin in range(0, len(words), AT_ONCE):
        first = max(begin - 1, 0)
        some = words[first : begin + AT_ONCE + _MOST_WORDS]
        flags = lively(some)
        if np.count_nonzero(flags) < _LEAST_WORDS:
            continue
        # What lies before or behind a buffer is not known; that it is an edge costs little.
        around = np.concatenate(([False], flags, [False]))
        edges = [~(around[: -count - 1] & around[count + 1 :]) for count in (_LEAST_WORDS, _MOST_WORDS)]
        left_out = _hide_long_runs(flags)
        own = slice(begin - first, begin - first + AT_ONCE)
        fits = [_only(own, fit) for fit in over(np.logical_and, flags)]
        if wanted is not Wanted.ALL:
            every = int(np.count_nonzero(fits[0]))
            fits = [fit & edge for fit, edge in zip(fits, edges, strict=True)] if wanted is Wanted.EDGES else []
            left_out += every - sum(int(np.count_nonzero(fit)) for fit in fits[:1])
        if not fits:
            yield (), left_out
            continue
        high = np.bitwise_count(some & HIGH_BITS)
        high[some == _DOWNGRADE] = WORD  # a quarter of a server's random that is text says nothing against it
        likely = [
            fit & (count >= -(-size // _MIN_HIGH))
            for fit, count, size in zip(fits, over(np.add, high), SIZES, strict=True)
        ]
        found = _with_kinds_of_bytes(some, likely)
        windows = (Windows(size, at + first, edge[at]) for size, at, edge in zip(SIZES, found, edges, strict=True))
        yield tuple(windows), left_out


def _only(part: slice, flags: Flags) -> Flags:
    """Return the flags of a part; the others are not set."""
    flags[: part.start] = False
    flags[part.stop :] = False
    return flags


def find_blocks(words: Words) -> Indexes:
    """Find 16 random-looking bytes that are not part of 32: where they begin, as indexes of words."""
    count, parts = BLOCK // WORD, [np.zeros(0, np.int64)]
    for begin in range(0, len(words), AT_ONCE):
        first = max(begin - count, 0)
        flags = lively(words[first : begin + AT_ONCE + 2 * count])
        fours = flags[:-1] & flags[1:]
        fours = fours[:-2] & fours[2:]
        if not fours.any():
            continue
        fours &= ~covered(SIZES[0], fours[:-count] & fours[count:], len(flags))[: len(fours)]
        found = np.flatnonzero(fours) + first
        parts.append(found[(found >= begin) & (found < begin + AT_ONCE)])
    found = np.concatenate(parts)
    held = words[found[:, np.newaxis] + np.arange(count)]
    likely = np.bitwise_count(held & HIGH_BITS).sum(axis=1) >= _LEAST_HIGH
    values = np.sort(held[likely].view(np.uint8), axis=1)
    different = np.count_nonzero(values[:, 1:] != values[:, :-1], axis=1) + 1
    return np.asarray(found[likely][different >= _LEAST_DIFFERENT])


def lively(words: Words) -> Flags:
    """Say which words are not dull."""
    return np.asarray(words + _ONE_UP > _MOST_DULL)


def _hide_long_runs(flags: Flags) -> int:
    """Make the inside of long runs look dull; return how many words that are."""
    parts = flags[: len(flags) // _PART_OF_RUN * _PART_OF_RUN].reshape(-1, _PART_OF_RUN)
    if not parts.all(axis=1).any():
        return 0
    bounds = np.concatenate(([-1], np.flatnonzero(~flags), [len(flags)]))
    hidden = 0
    for number in np.flatnonzero(np.diff(bounds) > MAX_RUN).tolist():
        begin, end = int(bounds[number]) + 1 + 2 * _MOST_WORDS, int(bounds[number + 1]) - 2 * _MOST_WORDS
        flags[begin:end] = False
        hidden += end - begin
    return hidden


def over(operation: np.ufunc, values: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Combine each value with those behind it: 8 in all, and 12. There are as many results as such runs of values."""
    count = len(values)
    if count < _MOST_WORDS:
        values = np.concatenate((values, np.zeros((_MOST_WORDS, *values.shape[1:]), values.dtype)))
    pairs = operation(values[:-1], values[1:])
    fours = operation(pairs[:-2], pairs[2:])
    eights = operation(fours[:-4], fours[4:])
    twelves = operation(eights[:-4], fours[8:])
    return eights[: max(count - _LEAST_WORDS + 1, 0)], twelves[: max(count - _MOST_WORDS + 1, 0)]


def covered(size: int, begins: Flags, count: int) -> Flags:
    """Say which of so many words are in windows of a size, given at which words these begin."""
    before = np.zeros(count + _MOST_WORDS, np.bool_)
    before[_MOST_WORDS : _MOST_WORDS + len(begins)] = begins
    eights, twelves = over(np.logical_or, before)
    return twelves[1:] if size == SIZES[1] else eights[_MOST_WORDS - _LEAST_WORDS + 1 :][:count]


def _with_kinds_of_bytes(words: Words, fits: Sequence[Flags]) -> list[Indexes]:
    """Return those windows that have enough kinds of bytes, and few zeros.

    Args:
        words: The words that the windows are in.
        fits: For each size, whether a window begins at a word.
    """
    counts = (len(words),) * len(SIZES)
    inside = np.flatnonzero(functools.reduce(np.logical_or, map(covered, SIZES, fits, counts)))
    held = words[inside]
    zeros = np.bitwise_count((held.view(np.uint8) == 0).view(np.uint32))
    pairs = held.view(np.uint16).astype(np.intp)
    kinds = _kinds().take(pairs[::2], axis=0, mode="wrap")
    kinds |= _kinds().take(pairs[1::2], axis=0, mode="wrap")
    found = []
    for size, fit, zero, each in zip(SIZES, fits, over(np.add, zeros), over(np.bitwise_or, kinds), strict=True):
        count = np.bitwise_count(each).view(np.uint16).reshape(-1) * _SUM_OF_BYTES >> _HIGHER_BYTE
        likely = (count >= _MIN_KINDS[size]) & (zero <= _MAX_ZEROS[size])
        at = inside[np.flatnonzero(likely)]
        at = at[at < len(fit)]  # the last words begin no window
        found.append(at[fit[at]])
    return found


@functools.cache
def _kinds() -> NDArray[np.uint64]:
    """Return the kinds of each pair of bytes as a set: one bit of 128, in two words."""
    byte = np.arange(256)
    table = np.zeros((256, 2), np.uint64)
    table[byte, byte >> 7] = np.uint64(1) << (byte >> 1 & 63).astype(np.uint64)
    return (table[:, np.newaxis] | table).reshape(-1, 2)
