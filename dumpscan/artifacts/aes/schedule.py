"""AES key schedules in plain memory, of any library: found by the relation between their words, and by nothing else.

Where the plain relation holds (`dumpscan.artifacts.aes.relations`), the key is read off and expanded, and the whole
schedule compared. Its words may be those of FIPS 197 byte for byte, or numbers (`swapped`: the portable C code of
several libraries loads them as big-endian numbers and keeps them so on a little-endian machine). It may be the schedule
for decryption alone.

Programs keep schedules at addresses that are multiples of four; to look at all others takes four times as long.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from dumpscan.artifacts.aes.cipher import (
    BLOCK_WORDS,
    WORD,
    expand,
    invert,
    mixed,
    rounds,
    schedule_size,
    substituted,
    swap,
)
from dumpscan.artifacts.aes.relations import starts
from dumpscan.scan.ahead import in_order, threads_for
from dumpscan.scan.gathered import lines_of
from dumpscan.scan.stretches import Pieces

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from numpy.typing import NDArray

    from dumpscan.artifacts.aes.cipher import Words
    from dumpscan.artifacts.aes.relations import Indexes, Relation
    from dumpscan.scan.searcher import Scannable
    from dumpscan.scan.stretches import Block, Line

LONGEST = schedule_size(8)
"""Bytes of the schedule of AES-256."""
ALL_PHASES = range(WORD)


@dataclass(frozen=True, slots=True)
class Schedule:
    """A key schedule.

    Attributes:
        address: Of its first byte (or offset, in a plain buffer).
        key: The key: 16, 24 or 32 bytes.
        swapped: Whether its words are numbers in the machine's own order.
        decryption: Whether it is the schedule for decryption.
    """

    address: int
    key: bytes = field(repr=False)
    swapped: bool
    decryption: bool = False

    @property
    def size(self) -> int:
        """Bytes of the schedule."""
        return schedule_size(len(self.key) // WORD)


def find(data: memoryview | bytes | NDArray[np.uint8], phases: Iterable[int] = ALL_PHASES) -> list[Schedule]:
    """Find schedules in a buffer, by ascending offset.

    Args:
        data: The buffer.
        phases: Where they may begin: offsets that are these numbers modulo 4.
    """
    whole = data if isinstance(data, np.ndarray) else np.frombuffer(data, np.uint8)
    found = [
        replace(schedule, address=phase + schedule.address)
        for phase in phases
        for schedule in _in_words(_words(whole[phase:]))
    ]
    return sorted(found, key=lambda schedule: schedule.address)


def _words(data: NDArray[np.uint8]) -> Words:
    """Return bytes as words; they are copied where the processor would have to put words together."""
    data = data[: len(data) // WORD * WORD]
    return (data.copy() if data.ctypes.data % WORD else data).view("<u4")


def _in_words(words: Words) -> Iterator[Schedule]:
    """Find the schedules among words; their addresses count bytes from the first word."""
    for relation, possible in starts(words):
        for swapped in (False, True):
            for index in possible[_substitution_holds(words, possible, relation, swapped=swapped)].tolist():
                stored = words[index : index + relation.words].tobytes()
                key = _proven_key(swap(stored) if swapped else stored, relation)
                if key is not None:
                    yield Schedule(index * WORD, key, swapped, relation.decryption)


def _substitution_holds(words: Words, possible: Indexes, relation: Relation, *, swapped: bool) -> NDArray[np.bool_]:
    """Test the first relation that goes through the S-box: w[Nk] follows from w[0] and w[Nk-1]."""
    first, last, target = (
        _word(words, possible, relation, number, swapped=swapped)
        for number in (0, relation.key_words - 1, relation.key_words)
    )
    return np.asarray(target == first ^ substituted(last))


def _word(words: Words, possible: Indexes, relation: Relation, number: int, *, swapped: bool) -> Words:
    """Return a word of each schedule for encryption, made of that for decryption where it is one."""
    place, mixing = number, False
    if relation.decryption:
        round_number, column = divmod(number, BLOCK_WORDS)
        place, mixing = BLOCK_WORDS * (rounds(relation.key_words) - round_number) + column, round_number > 0
    found = words[possible + place]
    found = found.byteswap() if swapped else found
    return mixed(found) if mixing else found


def _proven_key(stored: bytes, relation: Relation) -> bytes | None:
    """Return the key of a schedule, if all of it follows from the key."""
    key_size = relation.key_words * WORD
    if not relation.decryption:
        key = stored[:key_size]
        return key if expand(key) == stored else None
    # To mix the round keys of a schedule for decryption is what undoes its making.
    round_keys = np.frombuffer(stored, "<u4").reshape(-1, BLOCK_WORDS)[::-1].copy()
    round_keys[1:-1] = mixed(round_keys[1:-1].reshape(-1)).reshape(-1, BLOCK_WORDS)
    key = round_keys.tobytes()[:key_size]
    return key if invert(expand(key)) == stored else None


def search(
    space: Scannable,
    *,
    unaligned: bool = False,
    threads: int | None = None,
    progress: Callable[[int], None] | None = None,
) -> Iterator[Schedule]:
    """Find schedules in an address space, across adjacent regions too, each place once.

    Args:
        space: The mapped file and its regions.
        unaligned: Whether to look at addresses that are no multiples of four too.
        threads: Threads to search with; by default as many as there are processors, up to four.
        progress: Called with a number of bytes when so many more have been searched.

    Yields:
        Schedules, in the order of the file block by block, then those across seams.
    """
    pieces = Pieces.of(space.regions)
    lines = lines_of(space.buffer, pieces, LONGEST)
    tasks = (
        (block.size, partial(_block, line, block, unaligned=unaligned)) for line in lines for block in line.blocks()
    )
    threads = threads_for(int(pieces.sizes.sum()), threads)
    for found in in_order(tasks, threads=threads, progress=progress):
        yield from found


def _block(line: Line, block: Block, *, unaligned: bool) -> list[Schedule]:
    """Search one block, in a thread of the pool."""
    schedules = find(line.data(block), ALL_PHASES if unaligned else line.phases(block, WORD))
    if not schedules:
        return []
    begins = np.array([schedule.address + block.first for schedule in schedules], np.int64)
    ends = begins + np.array([schedule.size for schedule in schedules], np.int64)
    own = np.flatnonzero(ends > block.begin)  # the others ended in the block before
    indexes, addresses = line.locate(begins[own], ends[own])
    return [
        replace(schedules[index], address=address)
        for index, address in zip(own[indexes].tolist(), addresses.tolist(), strict=True)
    ]
