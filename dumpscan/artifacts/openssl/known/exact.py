"""Where numbers of which every byte is known lie at multiples of 8.

One word in four, or in up to sixteen if the numbers are longer, is looked at: one of each number's is among those.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

import numpy as np

from dumpscan.memory.regions import WORD
from dumpscan.scan.passes import aligned_matches
from dumpscan.scan.searcher import Matches
from dumpscan.scan.signature import Signature
from dumpscan.scan.word_table import WordTable

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from dumpscan.scan.searcher import Scannable

    Words = NDArray[np.uint64]
    Indexes = NDArray[np.int64]

_MAX_STEP = 16
_COMPARED = 4
"""Words of a number that are compared at all places at once, before the rest is."""


def places_of(space: Scannable, numbers: Sequence[bytes], *, threads: int | None = None) -> Iterator[tuple[int, int]]:
    """Yield an index into `numbers` and an address, at a multiple of 8, for each place of each number.

    Args:
        space: Where to look.
        numbers: As they lie in memory, each with a word at least.
        threads: As for `aligned_matches`.
    """
    if not numbers:
        return
    signatures = [Signature(f"number-{index}", b"", len(number)) for index, number in enumerate(numbers)]
    for matches in aligned_matches(space, signatures, _Numbers(numbers).find, threads=threads):
        yield from zip(matches.signatures.tolist(), matches.starts.tolist(), strict=True)


class _Numbers:
    """Numbers to look for.

    Args:
        numbers: As they lie in memory.
    """

    def __init__(self, numbers: Sequence[bytes]) -> None:
        self._numbers = numbers
        self._words = [np.frombuffer(number, "<u8", len(number) // WORD) for number in numbers]
        shortest = min(map(len, self._words))
        self._step = min(1 << (shortest.bit_length() - 1), _MAX_STEP)
        self._owners: dict[int, list[tuple[int, int]]] = defaultdict(list)
        for index, words in enumerate(self._words):
            for at, word in enumerate(words[: self._step].tolist()):
                self._owners[word].append((index, at))
        self._table = WordTable(np.array(sorted(self._owners), np.uint64))

    def find(self, data: memoryview, phases: tuple[int, ...]) -> Matches:
        """Search a buffer (see `dumpscan.scan.passes.aligned_matches`)."""
        numbers, starts = [np.zeros(0, np.uint16)], [np.zeros(0, np.uint64)]
        for phase in phases:
            words = np.frombuffer(data, "<u8", max(len(data) - phase, 0) // WORD, min(phase, len(data)))
            for index, at in self._in_words(words):
                whole = at * WORD + phase
                whole = whole[[data[each : each + len(self._numbers[index])] == self._numbers[index] for each in whole]]
                numbers.append(np.full(len(whole), index, np.uint16))
                starts.append(whole.astype(np.uint64))
        found = Matches(np.concatenate(numbers), np.concatenate(starts))
        order = np.argsort(found.starts, kind="stable")
        return Matches(found.signatures[order], found.starts[order])

    def _in_words(self, words: Words) -> Iterator[tuple[int, Indexes]]:
        """Yield the index of a number, and where among words its first ones are."""
        found, entries = self._table.among(words[:: self._step])
        for entry in sorted(set(entries.tolist())):
            places = found[entries == entry] * self._step
            value = int(self._table.words[entry])
            for index, before in self._owners[value]:
                begins = places - before
                begins = begins[(begins >= 0) & (begins + len(self._words[index]) <= len(words))]
                for number, word in enumerate(self._words[index][:_COMPARED]):
                    begins = begins[words.take(begins + number) == word]
                if len(begins):
                    yield index, begins
