"""Random-looking bytes near an address: where a library keeps the other secrets of a session, and its randoms."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dumpscan.artifacts.tls.derive import RANDOM_SIZE
from dumpscan.artifacts.tls.sessions import Randoms
from dumpscan.memory.space import read_before
from dumpscan.model.libraries.c_tls import DOWNGRADE, DOWNGRADE_SIZE

if TYPE_CHECKING:
    from dumpscan.memory.space import Memory

PAIR_SIZE = 2 * RANDOM_SIZE
REACH_BEFORE = 1280
REACH_BEHIND = 512
STEP = 16
"""Secrets of one session lie in arrays of 64 bytes, or in pieces of an allocator: at distances that are multiples."""


def looks_random(data: bytes) -> bool:
    """Say whether bytes look random, as the windows of `windows` do: as many different ones, and enough above 127.

    Of a server's random that says at its end which version was chosen, what is before that.
    """
    if data[RANDOM_SIZE - DOWNGRADE_SIZE :].startswith(DOWNGRADE) and len(data) == RANDOM_SIZE:
        data = data[:-DOWNGRADE_SIZE]
    size = len(data)
    return len(set(data)) >= size * 3 // 4 and sum(byte >> 7 for byte in data) >= size // 6


def is_dull(word: bytes) -> bool:
    """Say whether the upper half of a 32-bit word has only equal bits; a word that is not there is dull too."""
    return word[2:] in {b"", b"\0\0", b"\xff\xff"}


def windows_near(memory: Memory, address: int, size: int) -> list[tuple[int, bytes]]:
    """Return random-looking windows around an address, at distances from it that are multiples of `STEP`."""
    head = read_before(memory, address, REACH_BEFORE)
    data = head + memory.read(address, REACH_BEHIND + size)
    start = address - len(head)
    return [
        (start + at, data[at : at + size])
        for at in range(len(head) % STEP, len(data) - size + 1, STEP)
        if looks_random(data[at : at + size])
    ]


def randoms_before(memory: Memory, address: int, reach: int) -> Randoms | None:
    """Return the nearest two randoms side by side before an address: a run of exactly 64 random-looking bytes.

    The server's is taken to come first.
    """
    data = read_before(memory, address, reach)
    start = address - len(data)
    begin = len(data) - PAIR_SIZE
    for at in range(begin - begin % 4 if start % 4 == 0 else begin, 3, -4):
        pair = data[at : at + PAIR_SIZE]
        if (
            is_dull(data[at - 4 : at])
            and is_dull(data[at + PAIR_SIZE : at + PAIR_SIZE + 4])
            and looks_random(pair[:RANDOM_SIZE])
            and looks_random(pair[RANDOM_SIZE:])
        ):
            return Randoms(pair[RANDOM_SIZE:], pair[:RANDOM_SIZE], address=start + at + RANDOM_SIZE)
    return None
