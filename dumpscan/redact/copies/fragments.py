"""Fragments of random values, of which there may be millions of places where one could begin.

A file is not looked at byte by byte, but at every 16th: the eight bytes there are compared with the eight bytes from
each place of each value. A fragment of 23 bytes has eight such bytes, wherever it lies. What an engine for literals
takes longer for the more of them there are takes as long here for one value as for thousands.

Characters of UTF-16 are put together to bytes before they are looked up.
"""

from __future__ import annotations

from functools import cached_property, partial
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from dumpscan.redact.copies.extent import extent
from dumpscan.scan.ahead import in_order, threads_for
from dumpscan.scan.word_table import WordTable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from numpy.typing import NDArray

    from dumpscan.redact.secret import Secret
    from dumpscan.redact.values.forms import Form

    Words = NDArray[np.uint64]
    Indexes = NDArray[np.int64]

STEP = 16
WORD = 8
MIN_FRAGMENT = STEP + WORD - 1
"""Bytes of the shortest fragment of binary data that is sure to be found."""
MIN_TEXT = 24
"""Characters of the shortest fragment of hex or base64 that is taken for one; it is sure to be found, too."""
MIN_BINARY = 16
"""Bytes of the shortest fragment of binary data that is taken for one."""
MIN_VALUE = 32
"""Bytes of the shortest form of a value of which fragments are looked for in this way."""
MIN_DISTINCT = 6
"""Different bytes that a fragment has, at least. Others lie everywhere, and give nothing away."""
_MIN_REMAINDERS = 3
"""Different remainders modulo 64 of eight bytes that are compared. Of eight digits in hex, one in 100,000 has fewer."""
MAX_PLACES = 4 << 20
"""Places in values that are looked up in one pass over a file; each takes 40 bytes of memory while they are sorted."""
_MAX_ALIKE = 4
"""Places in values with the same eight bytes that are tried."""
_BLOCK = 8 << 20
_AT_ONCE = 1 << 16
"""Bytes of a task, and words looked up in one go."""
_ENDS = 2 * MIN_TEXT
"""Characters at either end of a form that few write, which are looked for instead of all of it."""
_UPPER_BYTES = np.uint64(0xFF00FF00FF00FF00)
_ONE_BYTE, _TWO_BYTES, _FOUR_BYTES = np.uint64(8), np.uint64(16), np.uint64(32)
_LOWER_PAIRS, _LOWER_HALF = np.uint64(0x0000FFFF0000FFFF), np.uint64(0x00000000FFFFFFFF)
_FOURTH_CHARACTER = np.uint64(1 << 48)


class Owner(NamedTuple):
    """A form of a secret's value of which fragments are looked for.

    Attributes:
        secret: The secret.
        form: The form.
        wide: The same in UTF-16; None if nobody writes that.
    """

    secret: Secret
    form: Form
    wide: Form | None


class Fragment(NamedTuple):
    """Part of a value in a file.

    Attributes:
        secret: Whose value it is.
        form: How it is written.
        begin: Offset of its first byte.
        end: Offset past its last byte.
    """

    secret: Secret
    form: Form
    begin: int
    end: int


class _Hits(NamedTuple):
    """Words of a file that are in values.

    Attributes:
        entries: Numbers of the first entries of the index that have these words.
        offsets: Offsets of their first characters in the file.
        width: Bytes from one character to the next.
    """

    entries: Indexes
    offsets: Indexes
    width: int


class Fragments:
    """Finds fragments of some values.

    Args:
        owners: The values; of each, any part may be found.
    """

    def __init__(self, owners: Sequence[Owner]) -> None:
        self._owners = owners

    @cached_property
    def _index(self) -> _Index:
        return _Index([owner.form for owner in self._owners])

    def find(self, data: memoryview, spans: Sequence[tuple[int, int]]) -> Iterator[Fragment]:
        """Yield the fragments of which eight bytes begin in some parts of a file, given as (offset, end)."""
        tasks = (
            (0, partial(self._hits, data, at, min(at + _BLOCK, end)))
            for begin, end in spans
            for at in range(begin - begin % STEP, end, _BLOCK)
        )
        threads = threads_for(sum(end - begin for begin, end in spans), None)
        passed: dict[int, int] = {}
        for found in in_order(tasks, threads=threads):
            for hits in found:
                yield from self._followed(data, hits, passed)

    def _followed(self, data: memoryview, hits: _Hits, passed: dict[int, int]) -> Iterator[Fragment]:
        """Follow fragments from the words by which they were found in both directions, each once."""
        index, width = self._index, hits.width
        for entry, offset, alike in zip(
            hits.entries.tolist(), hits.offsets.tolist(), index.alike[hits.entries].tolist(), strict=True
        ):
            for number, at in index.places(entry, alike):
                owner = self._owners[number]
                form = owner.form if width == 1 else owner.wide
                if form is None or offset < passed.get(number * 2 + width, 0):
                    continue
                begin, end = extent(data, form, at * width, offset, width * (WORD - 1) + 1)
                if _is_fragment(data[begin:end], form):
                    passed[number * 2 + width] = end
                    yield Fragment(owner.secret, form, begin, end)

    def _hits(self, data: memoryview, begin: int, end: int) -> list[_Hits]:
        """Look a part of a file up, in one of several threads."""
        hits = []
        for at in range(begin, end, _AT_ONCE * STEP):
            size = min(_AT_ONCE * STEP, end - at, len(data) - at) // WORD
            words = np.frombuffer(data, np.uint64, size, at)
            first = np.ascontiguousarray(words[::2])
            found, entries = self._index.among(first)
            hits.append(_Hits(entries, at + found * STEP, 1))
            hits += self._wide_hits(data, at, first)
        return [each for each in hits if len(each.entries)]

    def _wide_hits(self, data: memoryview, begin: int, first: Words) -> Iterator[_Hits]:
        """Look the words up that may be four characters of UTF-16, together with those behind them."""
        upper = first & _UPPER_BYTES
        lower = first ^ upper
        for parity, own, other in ((0, lower, upper), (1, upper >> _ONE_BYTE, lower)):
            at = np.flatnonzero((other == 0) & (own >= _FOURTH_CHARACTER))
            at = at[begin + at * STEP + STEP <= len(data)]
            if not len(at):
                continue
            behind = np.frombuffer(data, np.uint64, (int(at[-1]) + 1) * STEP // WORD, begin)[2 * at + 1]
            kept = behind & (_UPPER_BYTES if parity == 0 else ~_UPPER_BYTES) == 0
            at, behind = at[kept], behind[kept] >> (_ONE_BYTE * np.uint64(parity))
            found, entries = self._index.among(_narrow(own[at]) | _narrow(behind) << _FOUR_BYTES)
            yield _Hits(entries, begin + at[found] * STEP + parity, 2)


def _narrow(words: Words) -> Words:
    """Put the lower bytes of four characters together: the bytes at even places."""
    words = (words | words >> _ONE_BYTE) & _LOWER_PAIRS
    return (words | words >> _TWO_BYTES) & _LOWER_HALF


def _is_fragment(data: memoryview, form: Form) -> bool:
    """Say whether matching bytes are enough of a value, and more than a table or a row of equal bytes."""
    least = (MIN_TEXT if form.lines else MIN_BINARY) * (2 if form.wide else 1) - form.wide
    some = bytes(data[: 4 * MIN_TEXT])
    return len(data) >= least and len(set(some)) >= MIN_DISTINCT and not _counts(some)


def _counts(some: bytes) -> bool:
    """Return whether bytes count up or down evenly, as in tables and in the keys of self-tests."""
    return len({(after - before) % 256 for before, after in pairwise(some)}) == 1


class _Index:
    """The eight bytes from each place of some values.

    Args:
        forms: The values.

    Attributes:
        alike: For each entry, how many with the same bytes there are from it on, up to `_MAX_ALIKE`.
    """

    def __init__(self, forms: Sequence[Form]) -> None:
        lengths = np.array([len(form.data) for form in forms], np.int64)
        ends = np.cumsum(lengths)
        text = b"".join(form.data for form in forms) + bytes(WORD)
        every: Words = np.ndarray((int(ends[-1]),), "<u8", text, strides=(1,)).astype(np.uint64)
        number = np.repeat(np.arange(len(forms), dtype=np.int32), lengths)
        place = (np.arange(len(every)) - (ends - lengths)[number]).astype(np.int32)
        left = (lengths[number] - place).astype(np.int32)
        kept = (left >= WORD) & _telling(every, np.frombuffer(text, np.uint8))
        rare = np.array([form.rare for form in forms], np.bool_)
        kept &= ~rare[number] | (place <= _ENDS - WORD) | (left <= _ENDS)
        self._table = WordTable(every[kept])
        words, order = self._table.words, self._table.order
        self._number, self._place = number[kept][order], place[kept][order]
        self.alike = np.ones(len(words), np.int64)
        for distance in range(1, _MAX_ALIKE):
            self.alike[:-distance] += words[distance:] == words[:-distance]

    def among(self, words: Words) -> tuple[Indexes, Indexes]:
        """Return the indexes of those words that are in a value, and the first entry of each."""
        return self._table.among(words)

    def places(self, entry: int, alike: int) -> Iterable[tuple[int, int]]:
        """Return the numbers of values that the word of an entry is in, and where it begins there."""
        entries = slice(entry, entry + alike)
        return zip(self._number[entries].tolist(), self._place[entries].tolist(), strict=True)


def _telling(words: Words, text: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Say which words have bytes of several kinds, and do not count up or down evenly.

    Args:
        words: The words, one from each byte on.
        text: The bytes, with those behind them that the last word has.
    """
    sets = np.uint64(1) << (text & np.uint8(63)).astype(np.uint64)
    for step in (1, 2, 4):
        sets = sets[:-step] | sets[step:]
    kinds = np.bitwise_count(sets)[: len(words)]
    steps = np.diff(text)
    even = steps[1:] == steps[:-1]
    for step in (1, 2, 2):  # six steps after one another are as long as the one before
        even = even[:-step] & even[step:]
    counting = np.zeros(len(words), np.bool_)
    counting[: len(even)] = even[: len(words)]
    return np.asarray((kinds >= _MIN_REMAINDERS) & ~counting)
