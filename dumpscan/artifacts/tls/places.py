"""What a search for TLS secrets found in one process: windows in the order of their promise, and the traffic keys."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from dumpscan.artifacts.aes import schedule as aes_schedule
from dumpscan.artifacts.tls import windows

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from dumpscan.memory.regions import ReadWords
    from dumpscan.memory.space import Memory
    from dumpscan.scan.searcher import Matches
    from dumpscan.scan.signature import Signature

    Addresses = NDArray[np.uint64]

WORD = 8
MAX_SCHEDULES = 1 << 16
"""Key schedules of one process that are read."""
_SCHEDULES_AT_ONCE = 1 << 10
MAX_SIZED = 1 << 14
"""Windows of one size that have their own length before them, and are remembered."""


def among(addresses: Addresses, others: Addresses) -> NDArray[np.bool_]:
    """Say which addresses are among others, which are in ascending order."""
    if not len(others):
        return np.zeros(len(addresses), np.bool_)
    at = np.minimum(np.searchsorted(others, addresses), len(others) - 1)
    return np.asarray(others[at] == addresses)


class Places:
    """The places in one address space.

    Args:
        memory: The memory of the process.
        words: Reads many words of it at once.
        matches: What `TlsSearcher` found there, by address.

    Attributes:
        memory: As given.
        aes_keys: Keys whose schedules are there, each once.
    """

    def __init__(self, memory: Memory, words: ReadWords, matches: Matches) -> None:
        self.memory = memory
        self._words = words
        self._found: dict[str, Addresses] = {
            signature.name: matches.starts[matches.signatures == number]
            for number, signature in enumerate(windows.SIGNATURES)
        }
        self._sized: dict[int, dict[bytes, int]] = {}
        self.aes_keys = self._read_keys()

    def of(self, signature: Signature) -> Addresses:
        """Return the addresses of what a signature announces, in ascending order."""
        return self._found[signature.name]

    def word(self, addresses: Addresses) -> Addresses:
        """Return the word at each address, 0 where it is not held."""
        return self._words(addresses)[0]

    def with_length(self, signature: Signature) -> NDArray[np.bool_]:
        """Say which windows that a signature announces have their own length before them.

        It is a word before values of NSS and half of one before arrays of Java.
        """
        size = np.uint64(signature.length)
        before = self.word(self.of(signature) - np.uint64(WORD))
        return np.asarray((before == size) | (before >> np.uint64(32) == size))

    def sized(self, size: int) -> Mapping[bytes, int]:
        """Return the windows of a size that have their own length before them, and where each lies first."""
        if size not in self._sized:
            signature = windows.EDGE_32 if size == windows.EDGE_32.length else windows.EDGE_48
            addresses = self.of(signature)[self.with_length(signature)][:MAX_SIZED]
            found: dict[bytes, int] = {}
            for address, row in zip(*self.read(addresses, size), strict=True):
                found.setdefault(row.tobytes(), int(address))
            self._sized[size] = found
        return self._sized[size]

    def random_pairs(self) -> Addresses:
        """Return where exactly 64 random-looking bytes lie between dull words: two randoms side by side, as a rule.

        The first half is a window with an edge before it, the second one with an edge behind it.
        """
        edges = self.of(windows.EDGE_32)
        return edges[among(edges + np.uint64(32), edges)]

    def read(self, addresses: Addresses, size: int) -> tuple[Addresses, NDArray[np.uint8]]:
        """Read so many bytes, a multiple of 8, at each address.

        Returns:
            The addresses at which all of them are held, and the bytes, of shape (n, size).
        """
        data = np.zeros((len(addresses), size // WORD), np.uint64)
        held = np.ones(len(addresses), np.bool_)
        for number in range(size // WORD):
            data[:, number], there = self._words(addresses + np.uint64(number * WORD))
            held &= there
        return addresses[held], np.ascontiguousarray(data[held]).view(np.uint8).reshape(-1, size)

    def _read_keys(self) -> frozenset[bytes]:
        """Return the keys of schedules, which are looked at side by side, each in a place as large as the longest."""
        size = aes_schedule.LONGEST
        addresses = self.of(windows.SCHEDULE)[:MAX_SCHEDULES].tolist()
        keys: set[bytes] = set()
        for begin in range(0, len(addresses), _SCHEDULES_AT_ONCE):
            some = addresses[begin : begin + _SCHEDULES_AT_ONCE]
            data = b"".join(self.memory.read(address, size).ljust(size, b"\0") for address in some)
            keys.update(each.key for each in aes_schedule.find(data, (0,)) if each.address % size == 0)
        return frozenset(keys)
