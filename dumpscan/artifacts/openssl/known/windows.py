"""Plain numbers in memory, in any form: whatever lies there and looks random is a candidate.

What a candidate is can only be told by a public key that is known. Numbers lie at addresses that are multiples of 8, in
one of three orders of their words.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from dumpscan.artifacts.openssl.known.randomness import limit_of_even_words
from dumpscan.memory.regions import WORD, read_runs
from dumpscan.scan.passes import aligned_matches
from dumpscan.scan.searcher import Matches
from dumpscan.scan.signature import Signature

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from dumpscan.memory.space import Searchable
    from dumpscan.scan.searcher import Scannable

    Words = NDArray[np.uint64]
    Indexes = NDArray[np.intp]
    Found = NDArray[np.bool_]

MAX_ACROSS = 1024
"""Numbers that are read at once across the borders of regions: each takes some microseconds."""
_CHUNK = 32 << 10
"""Words taken at a time: all arrays over them fit in a processor's second cache."""
_TOP = np.uint64(48)
_LEAST_MIXED = np.uint64(1 << 48)
_MIXED = np.uint64(0xFFFE << 48)
_EDGE = 3
"""Words from the end of a run within which a number begins or ends: the heap of Windows has random headers of two."""
_FEW = 256
"""Where fewer than one word in so many begins a run, it is cheaper to look at the numbers that were read."""
_DIFFERENCES = np.array([(bits - 32) ** 2 for bits in range(65)], np.int32)
_HALF = np.uint64(32)
_ENDS = np.uint64(0xFFFE)
_HIGH_BITS = np.uint64(0x8080808080808080)
_NOISE = 0.9
"""Where more than this share of numbers passes a test, memory is as random as they are."""


@dataclass(frozen=True, slots=True)
class Form:
    """An order in which the words of a number may lie.

    Attributes:
        name: As in `Location.encoding`, behind the kind of number.
        words: Turns words of memory into those of the number.
        top_first: Whether the word of the highest bits comes first.
        step: Bytes of the units that a number's length is a multiple of.
    """

    name: str
    words: Callable[[Words], Words]
    top_first: bool
    step: int = WORD

    def size(self, bits: int) -> int:
        """Return the bytes that a number of so many bits takes."""
        return -(-bits // (8 * self.step)) * self.step

    def written(self, number: int, bits: int) -> bytes:
        """Return a number of so many bits as it lies in memory."""
        data = number.to_bytes(self.size(bits), "little")
        if not self.top_first:
            return data
        return np.frombuffer(data, f"<u{self.step}")[::-1].tobytes()

    def numbers(self, data: NDArray[np.uint8]) -> Words:
        """Return the numbers that lie in bytes, shape (n, size): their words, the lowest first, shape (n, count)."""
        if self.top_first:
            data = np.ascontiguousarray(data).view(f"<u{self.step}")[:, ::-1].copy().view(np.uint8)
        padded = np.zeros((len(data), -(-data.shape[1] // WORD) * WORD), np.uint8)
        padded[:, : data.shape[1]] = data
        return padded.view("<u8")


LITTLE = Form("le", lambda words: words, top_first=False)
BIG = Form("be", lambda words: words.byteswap(), top_first=True, step=1)
JAVA = Form("be32", lambda words: words << _HALF | words >> _HALF, top_first=True, step=4)
"""Java's BigInteger: an array of the machine's 32-bit numbers, the highest first."""
FORMS = (LITTLE, BIG, JAVA)


@dataclass(frozen=True, slots=True)
class Wanted:
    """Numbers that are looked for.

    Attributes:
        form: The order of their words.
        count: Whole words of each.
        extra: Bits of the highest word beyond those; 0 if all words are whole.
        least_top: Least value of the highest word; 0 if any is possible.
        odd: Whether the number is odd.
        array: Length that Java's header before it tells, if it is the content of an array; 0 for other numbers.
    """

    form: Form
    count: int
    least_top: int = 0
    odd: bool = False
    array: int = 0
    extra: int = 0

    @property
    def bits(self) -> int:
        """Bits of each."""
        return self.count * WORD * 8 + self.extra

    @property
    def size(self) -> int:
        """Bytes that each takes."""
        return self.form.size(self.bits)

    @property
    def lead(self) -> int:
        """Bytes of a match before the number."""
        return WORD if self.array else 0

    @property
    def signature(self) -> Signature:
        """What matches announce."""
        name = f"number-{self.form.name}-{self.bits}-{self.array}"
        return Signature(name, b"", self.lead + self.size)


def matches_of(
    space: Scannable, wanted: tuple[Wanted, ...], *, edges: bool = False, threads: int | None = None
) -> Iterator[Matches]:
    """Search memory for numbers.

    Args:
        space: The memory.
        wanted: What to look for.
        edges: As for `finder`.
        threads: As for `aligned_matches`.

    Yields:
        Which number (an index into `wanted`) may lie where, block by block.
    """
    if not wanted:
        return
    leads = np.array([each.lead for each in wanted], np.uint64)
    signatures = [each.signature for each in wanted]
    for found in aligned_matches(space, signatures, finder(wanted, edges=edges), threads=threads):
        yield Matches(found.signatures, found.starts + leads[found.signatures])


def finder(wanted: tuple[Wanted, ...], *, edges: bool = False) -> Callable[[memoryview, tuple[int, ...]], Matches]:
    """Return a function that searches a buffer for numbers (see `dumpscan.scan.passes.aligned_matches`).

    Args:
        wanted: What to look for.
        edges: Whether to look only near the ends of runs of words that may be random: there nearly all numbers lie, as
            allocators put a size or a pointer before each. Of a hundred places few are such.
    """
    sizes: dict[int, list[tuple[int, Wanted]]] = defaultdict(list)
    for number, each in enumerate(wanted):
        sizes[each.count].append((number, each))

    def find(data: memoryview, phases: tuple[int, ...]) -> Matches:
        numbers, starts = [np.zeros(0, np.uint16)], [np.zeros(0, np.uint64)]
        for phase in phases:
            words = np.frombuffer(data, "<u8", max(len(data) - phase, 0) // WORD, min(phase, len(data)))
            mixed = _mixed_words(words)
            above = None if edges else _words_above_text(words)
            for count, group in sizes.items():
                fits = _in_a_row(np.logical_and, mixed, count)
                fits = _at_edges(fits) if above is None else fits & _in_a_row(np.logical_or, above, count)
                runs = np.flatnonzero(fits)
                whole = runs if edges else _evenly_mixed(words, runs, count)
                for number, each in group:
                    found = _fitting(words, runs if each.extra else whole, each)
                    numbers.append(np.full(len(found), number, np.uint16))
                    starts.append((found * WORD + phase - each.lead).astype(np.uint64))
        return Matches(np.concatenate(numbers), np.concatenate(starts))

    return find


def arrays_of(space: Scannable, wanted: tuple[Wanted, ...], *, threads: int | None = None) -> Iterator[Matches]:
    """Search memory for numbers that are contents of arrays, by their lengths; yield what `matches_of` does."""
    leads = np.array([each.lead for each in wanted], np.uint64)
    signatures = [each.signature for each in wanted]
    for found in aligned_matches(space, signatures, partial(_find_arrays, wanted), threads=threads):
        yield Matches(found.signatures, found.starts + leads[found.signatures])


def _find_arrays(wanted: tuple[Wanted, ...], data: memoryview, phases: tuple[int, ...]) -> Matches:
    of_length: dict[int, list[tuple[int, Wanted]]] = defaultdict(list)
    for number, each in enumerate(wanted):
        of_length[each.array].append((number, each))
    numbers, starts = [np.zeros(0, np.uint16)], [np.zeros(0, np.uint64)]
    for phase in phases:
        words = np.frombuffer(data, "<u8", max(len(data) - phase, 0) // WORD, min(phase, len(data)))
        for length, places in _behind_lengths(words, list(of_length)):
            for number, each in of_length[length]:
                at = places[places + each.count <= len(words)]
                at = at[may_be_numbers(words[at[:, None] + np.arange(each.count)])]
                found = _fitting(words, at, each) if len(at) else at
                numbers.append(np.full(len(found), number, np.uint16))
                starts.append((found * WORD + phase - each.lead).astype(np.uint64))
    return Matches(np.concatenate(numbers), np.concatenate(starts))


def _behind_lengths(words: Words, lengths: list[int]) -> Iterator[tuple[int, Indexes]]:
    """Yield those of some lengths that lie in the upper half of words, with the indexes of the words behind those."""
    least, span = np.uint64(min(lengths)), np.uint64(max(lengths) - min(lengths))
    before = [np.zeros(0, np.intp)]
    for begin in range(0, len(words), _CHUNK):
        upper = words[begin : begin + _CHUNK] >> _HALF
        upper -= least
        before.append(np.flatnonzero(upper <= span) + begin)
    places = np.concatenate(before)
    there = words[places] >> _HALF
    for length in lengths if len(places) else ():
        found = places[there == np.uint64(length)]
        if len(found):
            yield length, found + 1


def may_be_numbers(values: Words) -> Found:
    """Say which words of memory, shape (n, count), may be random numbers: the quick test, whatever their order."""
    mixed: Found = np.logical_and.reduce(values - _LEAST_MIXED < _MIXED, axis=1)
    above: Found = np.bitwise_or.reduce(values, axis=1) & _HIGH_BITS != 0
    return mixed & above


def _mixed_words(words: Words) -> Found:
    """Say which words have bits of both kinds among their upper 16.

    In a number that is random all words do, but one in 32,768, whatever their order; in other memory few do.
    """
    mixed = np.empty(len(words), np.bool_)
    rest = np.empty(min(_CHUNK, len(words)), np.uint64)
    for begin in range(0, len(words), _CHUNK):
        chunk = slice(begin, begin + _CHUNK)
        part = words[chunk]
        np.less(np.subtract(part, _LEAST_MIXED, out=rest[: len(part)]), _MIXED, out=mixed[chunk])
    return mixed


def _words_above_text(words: Words) -> Found:
    """Say which words have a byte above 0x7f: text has none, and of 2^32 random numbers of four words, one."""
    above = np.empty(len(words), np.bool_)
    rest = np.empty(min(_CHUNK, len(words)), np.uint64)
    for begin in range(0, len(words), _CHUNK):
        chunk = slice(begin, begin + _CHUNK)
        part = words[chunk]
        np.not_equal(np.bitwise_and(part, _HIGH_BITS, out=rest[: len(part)]), 0, out=above[chunk])
    return above


def _at_edges(fits: Found) -> Found:
    """Keep places that fit unless those some words before and behind fit too."""
    deep = fits[: -2 * _EDGE] & fits[2 * _EDGE :]
    if len(deep):
        np.greater(fits[_EDGE:-_EDGE], deep, out=fits[_EDGE:-_EDGE])
    return fits


def _in_a_row(combine: np.ufunc, found: Found, count: int) -> Found:
    """Combine what was found of each word with that of the `count` - 1 words behind it."""
    length = 1
    while len(found) and length < count:
        step = min(length, count - length)
        found = combine(found[:-step], found[step:])
        length += step
    return found


def _sums(values: NDArray[np.signedinteger], count: int) -> NDArray[np.signedinteger]:
    """Add up the values of each word and the `count` - 1 words behind it, by the binary digits of `count`."""
    total, length = values, 1
    for digit in f"{count:b}"[1:]:
        total = total[:-length] + total[length:]
        length *= 2
        if digit == "1":
            total = total[:-1] + values[length:]
            length += 1
    return total


def _evenly_mixed(words: Words, found: Indexes, count: int) -> Indexes:
    """Keep those runs of words that `has_even_words` keeps, whatever their order, where there are many of them."""
    if len(found) * _FEW < len(words):
        return found
    sums = np.zeros(len(words) + 1, np.int32)
    np.cumsum(_DIFFERENCES.take(np.bitwise_count(words)), out=sums[1:])
    return found[sums.take(found + count) - sums.take(found) <= limit_of_even_words(count)]


def _fitting(words: Words, found: Indexes, wanted: Wanted) -> Indexes:
    """Keep those runs of mixed words that can be a number, as indexes of their first words."""
    last = wanted.count - 1
    top, lowest = (0, last) if wanted.form.top_first else (last, 0)
    if wanted.array:
        found = found[found > 0]
        found = found[words[found - 1] >> _HALF == np.uint64(wanted.array)]
    if wanted.extra:
        return _with_extra(words, found, wanted)
    if wanted.least_top:
        found = found[wanted.form.words(words[found + top]) >= np.uint64(wanted.least_top)]
    if wanted.odd:
        found = found[wanted.form.words(words[found + lowest]) & np.uint64(1) == 1]
    for index in range(wanted.count) if wanted.form is not LITTLE else ():  # at the other ends of the words
        fits = (wanted.form.words(words[found + index]) >> _TOP) - np.uint64(1) < _ENDS
        found = found[fits]
        if len(found) > _NOISE * len(fits):  # the other words would tell as little
            break
    return found


def _with_extra(words: Words, found: Indexes, wanted: Wanted) -> Indexes:
    """Keep those that have no more than the extra bits above their whole words.

    Those are in a part of a word at the beginning, or in a word of their own at the end.
    """
    if wanted.form.top_first:
        part = 8 * (wanted.size - wanted.count * WORD)
        highest = wanted.form.words(words[found]) >> np.uint64(64 - part)
    else:
        found = found[found + wanted.count < len(words)]
        highest = words[found + wanted.count]
    fits: Found = highest >> np.uint64(wanted.extra) == 0
    return found[fits]


class Numbers:
    """Reads numbers that were found.

    Args:
        space: The memory that they are in.
        wanted: What they were looked for as.
    """

    def __init__(self, space: Searchable, wanted: Wanted) -> None:
        self._space = space
        self._form = wanted.form
        self._size = wanted.size
        self._read = read_runs(space.buffer, space.regions, self._size)

    def at(self, addresses: Words) -> tuple[Words, Words]:
        """Read the numbers at some addresses, shape (n,), as far as they are held.

        Returns:
            The addresses of those, shape (m,), and their words, the lowest first, shape (m, count).
        """
        runs, held = self._read(addresses)
        across, others = self._across(addresses[~held])
        return np.concatenate((addresses[held], across)), self._form.numbers(np.concatenate((runs, others)))

    def _across(self, addresses: Words) -> tuple[Words, NDArray[np.uint8]]:
        """Read numbers that lie in several regions: in memory of a kernel image, pages that follow one another."""
        data = [(address, self._space.read(address, self._size)) for address in addresses[:MAX_ACROSS].tolist()]
        whole = [each for each in data if len(each[1]) == self._size]
        kept = np.array([address for address, _ in whole], np.uint64)
        return kept, np.frombuffer(b"".join(read for _, read in whole), np.uint8).reshape(-1, self._size)


def as_integers(values: Words) -> Iterator[int]:
    """Turn numbers, shape (n, count), the lowest word first, into Python's."""
    size = values.shape[1] * WORD
    data = values.astype("<u8", copy=False).tobytes()
    return (int.from_bytes(data[at : at + size], "little") for at in range(0, len(data), size))
