"""The plain relations between the words of AES key schedules, and where in memory they hold.

In a schedule every word w[i] is the exclusive or of w[i-1] and w[i-Nk], except one in Nk (for AES-256 two), which goes
through the S-box (FIPS 197, 5.2). InvMixColumns is linear, so in a schedule for decryption, whose round keys stand in
reverse, a relation of the same kind holds with a word further on, of other round keys than the first and the last.

It need not be looked for at every word. The plain relations of a schedule reach over 31 words at least, and of two
neighbours in them at most one is another. So two neighbours in each 28 words are looked at, and where the relation
holds for one of them, and in the round keys beside it too, all schedules are tried that could begin before it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from dumpscan.artifacts.aes.cipher import KEY_WORDS, WORD, schedule_size

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from dumpscan.artifacts.aes.cipher import Words

    Indexes = NDArray[np.intp]

_STEP = 28
"""Words from one pair of neighbours to the next. It is a multiple of four, so that pairs lie alike in round keys; the
shortest reach, that of AES-128 for decryption, has 31."""
_FIRST_PAIR = 21
"""Where the first pair is: the relations of a schedule that begins with the first word reach over it."""
_LAST_PAIR = 24
"""Words from the last pair to the end, likewise."""
_ALIKE = ((-2, -1), (-1, 1), (1, 2))
"""Where a relation holds, it holds for the same word of the round keys before and behind, of two of them at least."""
_CHUNK = 1 << 18
"""Words whose pairs are looked at in one go: they fit in a processor's second cache, and are many beside the cost of a
call of numpy."""
_AT_ONCE = 1 << 12
"""Words of which all schedules are tried at a time, some fifty of each."""


@dataclass(frozen=True, slots=True)
class Relation:
    """What holds in schedules of one kind.

    Attributes:
        key_words: Nk.
        decryption: Whether it is the schedule for decryption.
        distances: w[i] ^ w[i-1] is the word at one of these distances from i.
        first: The first i for which that can be, in words from the schedule's beginning.
        last: The last i.
        certain: Pairs (i, distance) for which it is, in every schedule.
    """

    key_words: int
    decryption: bool
    distances: tuple[int, ...]
    first: int
    last: int
    certain: tuple[tuple[int, int], ...]

    @property
    def words(self) -> int:
        """Words of the whole schedule."""
        return schedule_size(self.key_words) // WORD


def _of_encryption(key_words: int) -> Relation:
    offsets = (1, 2, 3, key_words + 1, key_words + 2, 2 * key_words + 1)
    certain = tuple((key_words + offset, -key_words) for offset in offsets)
    last = schedule_size(key_words) // WORD - 1
    return Relation(key_words, False, (-key_words,), key_words + 1, last, certain)  # noqa: FBT003


def _of_decryption(key_words: int, last: int) -> Relation:
    """Make the relation of AES-128 or AES-256: a word is in another round key than w[i-Nk], at the same place."""
    certain = tuple((position, key_words) for position in (5, 6, 7, 9, 10, 13))
    return Relation(key_words, True, (key_words,), 5, last, certain)  # noqa: FBT003


RELATIONS = (
    *map(_of_encryption, KEY_WORDS),
    _of_decryption(4, 35),
    _of_decryption(8, 47),
    # w[i-6] is in the round key before, or in the one before that: behind it two words further on, or ten.
    Relation(6, True, (2, 10), 5, 43, ((7, 2), (11, 2), (15, 2), (19, 2), (5, 10), (9, 10))),  # noqa: FBT003
)


_DISTANCES = tuple({distance: None for relation in RELATIONS for distance in relation.distances})
_SAME_WORD = {distance: 6 if distance == -KEY_WORDS[1] else 4 for distance in _DISTANCES}
"""Words from one of which the relation holds to the next that is like it: those of AES-192 are alike every six."""


def starts(words: Words) -> Iterator[tuple[Relation, Indexes]]:
    """Find where schedules can begin.

    Args:
        words: Words of memory.

    Yields:
        A relation and indexes into `words`, each once, at which its `certain` pairs hold.
    """
    if len(words) < min(relation.words for relation in RELATIONS):
        return
    looked_at = _looked_at(words)
    if not len(looked_at):
        return
    held = {distance: looked_at[_is_one_of_many(words, looked_at, distance)] for distance in _DISTANCES}
    for relation in RELATIONS:
        found = np.unique(np.concatenate([held[distance] for distance in relation.distances]))
        for first in range(0, len(found), _AT_ONCE):
            some = _tried(words, relation, found[first : first + _AT_ONCE])
            if len(some):
                yield relation, some


def _looked_at(words: Words) -> Indexes:
    """Return the words of pairs for which the relation holds at any distance."""
    last = len(words) - _LAST_PAIR
    found = [word + np.flatnonzero(_hits(words, word, 1)) for word in (last, last + 1)]
    for begin in range(_FIRST_PAIR, last, _CHUNK // _STEP * _STEP):
        count = min(_CHUNK // _STEP, -(-(last - begin) // _STEP))
        found += [word + _STEP * np.flatnonzero(_hits(words, word, count)) for word in (begin, begin + 1)]
    return np.concatenate(found)


def _hits(words: Words, begin: int, count: int) -> NDArray[np.bool_]:
    """Look at `count` words, `_STEP` apart."""

    def at(distance: int) -> Words:
        return words[begin + distance : begin + distance + _STEP * (count - 1) + 1 : _STEP]

    change = at(0) ^ at(-1)
    found = np.asarray(change == at(_DISTANCES[0]))
    held = np.empty_like(found)
    for distance in _DISTANCES[1:]:
        found |= np.equal(change, at(distance), out=held)
    found &= np.not_equal(change, 0, out=held)  # memory has many zeros
    return found


def _is_one_of_many(words: Words, index: Indexes, distance: int) -> NDArray[np.bool_]:
    """Tell the words for which the relation holds, and for those like it in two of the round keys around it."""

    def at(index: Indexes) -> Words:
        return words.take(index, mode="clip")

    def holds(index: Indexes) -> NDArray[np.bool_]:
        return np.asarray(at(index) ^ at(index - 1) == at(index + distance))

    found = holds(index)
    some = index[found]
    around = {offset: holds(some + offset * _SAME_WORD[distance]) for offset in (-2, -1, 1, 2)}
    found[found] = np.logical_or.reduce([around[one] & around[other] for one, other in _ALIKE])
    return found


def _tried(words: Words, relation: Relation, held: Indexes) -> Indexes:
    """Return the starts of the schedules that reach over a word and for which the relation holds where it must."""
    count = relation.last - relation.first + 1
    reach = max(position + max(distance, 0) for position, distance in relation.certain)
    begins = held - relation.last
    window = words.take(begins[:, None] + np.arange(count + reach), mode="clip")
    possible = np.ones((len(held), count), np.bool_)
    for position, distance in relation.certain:
        here, before, other = (window[:, at : at + count] for at in (position, position - 1, position + distance))
        possible &= here ^ before == other
    row, offset = np.nonzero(possible)
    found = np.unique(begins[row] + offset)
    return found[(found >= 0) & (found + relation.words <= len(words))]
