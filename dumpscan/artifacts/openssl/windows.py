"""Plain numbers in memory, in any form: whatever lies there and looks random is a candidate.

What a candidate is can only be told by a public key that is known (`dumpscan.search.known_keys`). Numbers lie at
addresses that are multiples of 8, in one of three orders of their words.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from dumpscan.scan.passes import aligned_matches
from dumpscan.scan.searcher import Matches
from dumpscan.scan.signature import Signature

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from dumpscan.scan.searcher import Scannable

    Words = NDArray[np.uint64]
    Indexes = NDArray[np.intp]

WORD = 8
_CHUNK = 64 << 10
"""Words taken at a time: all arrays over them fit in a processor's second cache."""
_TOP = np.uint64(48)
_HALF = np.uint64(32)


@dataclass(frozen=True, slots=True)
class Form:
    """An order in which the words of a number may lie.

    Attributes:
        name: As in `Location.encoding`, behind the kind of number.
        words: Turns words of memory into those of the number.
        top_first: Whether the word of the highest bits comes first.
    """

    name: str
    words: Callable[[Words], Words]
    top_first: bool

    def number(self, data: bytes) -> int:
        """Read a number."""
        words = self.words(np.frombuffer(data, "<u8")).astype("<u8")
        return int.from_bytes((words[::-1] if self.top_first else words).tobytes(), "little")


LITTLE = Form("le", lambda words: words, top_first=False)
BIG = Form("be", lambda words: words.byteswap(), top_first=True)
JAVA = Form("be32", lambda words: words << _HALF | words >> _HALF, top_first=True)
"""Java's BigInteger: an array of the machine's 32-bit numbers, the highest first."""
FORMS = (LITTLE, BIG, JAVA)


@dataclass(frozen=True, slots=True)
class Wanted:
    """Numbers that are looked for.

    Attributes:
        form: The order of their words.
        count: Words of each.
        least_top: Least value of the highest word; 0 if any is possible.
        most_top: Highest value of it.
        odd: Whether the number is odd.
    """

    form: Form
    count: int
    least_top: int = 0
    most_top: int = (1 << 64) - 1
    odd: bool = False

    @property
    def signature(self) -> Signature:
        """What matches announce."""
        return Signature(f"number-{self.form.name}-{self.count}", b"", self.count * WORD)


def finder(wanted: tuple[Wanted, ...]) -> Callable[[memoryview, tuple[int, ...]], Matches]:
    """Return a function that searches a buffer for numbers (see `dumpscan.scan.passes.aligned_matches`)."""

    def find(data: memoryview, phases: tuple[int, ...]) -> Matches:
        numbers, starts = [np.zeros(0, np.uint16)], [np.zeros(0, np.uint64)]
        for phase in phases:
            count = max(len(data) - phase, 0) // WORD
            words = np.frombuffer(data, "<u8", count, min(phase, len(data)))
            for number, each in enumerate(wanted):
                found = _starts(words, each)
                numbers.append(np.full(len(found), number, np.uint16))
                starts.append((found * WORD + phase).astype(np.uint64))
        return Matches(np.concatenate(numbers), np.concatenate(starts))

    return find


def _starts(words: Words, wanted: Wanted) -> Indexes:
    """Return the indexes of the first words of numbers.

    In a number that is random, no word has 16 bits at an end that are all equal, but once in 16,000 words; in other
    memory most have. The highest word is tested first, and alone in full: it leaves little for the others.
    """
    parts = [np.zeros(0, np.intp)]
    for begin in range(0, len(words), _CHUNK):
        tops = wanted.form.words(words[begin : begin + _CHUNK])
        if wanted.least_top:
            fits = tops >= np.uint64(wanted.least_top)
        else:
            fits = (tops >> _TOP) - np.uint64(1) < np.uint64(0xFFFE)
        parts.append(np.flatnonzero(fits) + begin)
    last = wanted.count - 1
    found = np.concatenate(parts)
    if not wanted.form.top_first:
        found = found - last
    found = found[(found >= 0) & (found + last < len(words))]
    lowest = last if wanted.form.top_first else 0
    if wanted.odd:
        found = found[wanted.form.words(words[found + lowest]) & np.uint64(1) == 1]
    top = 0 if wanted.form.top_first else last
    for index in range(wanted.count):
        if not len(found):
            break
        value = wanted.form.words(words[found + index])
        mixed = (words[found + index] >> _TOP) - np.uint64(1) < np.uint64(0xFFFE)
        if index != top or not wanted.least_top:
            mixed &= (value >> _TOP) - np.uint64(1) < np.uint64(0xFFFE)
        found = found[mixed]
    return found


def pointed_to(space: Scannable, addresses: NDArray[np.uint64], *, threads: int | None = None) -> NDArray[np.uint64]:
    """Return those of some addresses that a word of memory is.

    Args:
        space: The memory.
        addresses: In ascending order, each once.
        threads: As for `aligned_matches`.
    """
    if not len(addresses):
        return addresses
    least, most = addresses[0], addresses[-1]
    hit = np.zeros(len(addresses), np.bool_)

    def find(data: memoryview, phases: tuple[int, ...]) -> Matches:
        for phase in phases:
            words = np.frombuffer(data, "<u8", max(len(data) - phase, 0) // WORD, min(phase, len(data)))
            for begin in range(0, len(words), _CHUNK):
                some = words[begin : begin + _CHUNK]
                some = some[(some >= least) & (some <= most)]
                at = np.searchsorted(addresses, some)
                hit[at[addresses[at] == some]] = True
        return Matches(np.zeros(0, np.uint16), np.zeros(0, np.uint64))

    for _ in aligned_matches(space, [_POINTER], find, threads=threads):
        pass
    return addresses[hit]


_POINTER = Signature("pointer", b"", WORD)
