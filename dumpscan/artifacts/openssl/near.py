"""Memory around an address as words, to find what points there: objects of one key are allocated near each other."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from dumpscan.artifacts import effort
from dumpscan.memory.space import read_before
from dumpscan.model.c_big_numbers import LIMB

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from dumpscan.memory.space import Memory

NEAR = 128 << 10
FAR = 2 << 20
"""Bytes before and after an address that are searched: for any number, and for one that is known to be private."""
MAX_KEPT = 16 << 20
"""Bytes of windows that are kept at a time."""
MAX_REMEMBERED = 4096
"""Words of which it is remembered where they lie: numbers are tried on two curves of their size."""
MAX_PLACES = 64
"""Places of a word in one window that are looked at."""
_READING = 400
_SEARCHING = 100
"""Microseconds to read a MiB, and to search it for one word."""
_MIB = 1 << 20


class Surroundings:
    """Windows of one process's memory.

    Args:
        memory: The memory.
        reach: Bytes before and after an address that are searched, at least.

    Attributes:
        memory: As given.
        word: Bytes of a word: of a pointer.
    """

    def __init__(self, memory: Memory, reach: int = NEAR) -> None:
        self.memory = memory
        self._reach = reach
        self.word = memory.pointer_size
        self._windows: dict[int, tuple[int, NDArray[np.unsignedinteger]]] = {}
        self._found: dict[tuple[int, int], list[int]] = {}

    def places(self, word: int, near: int) -> list[int]:
        """Return the addresses, multiples of a word's size, where one lies near an address; at most `MAX_PLACES`."""
        key = word, near // self._reach
        if key not in self._found:
            start, words = self._window(near)
            effort.charge(_SEARCHING * words.nbytes / _MIB)
            found = np.flatnonzero(words == words.dtype.type(word))[:MAX_PLACES]
            if len(self._found) >= MAX_REMEMBERED:
                self._found.clear()
            self._found[key] = [start + self.word * index for index in found.tolist()]
        return self._found[key]

    def number_at(self, value: int, limbs: int, near: Iterable[int]) -> int | None:
        """Return where a number lies near one of some addresses, as so many limbs; None if it does not."""
        data = value.to_bytes(limbs * LIMB, "little")
        first = int.from_bytes(data[: self.word], "little")
        for address in near:
            for place in self.places(first, address):
                if self.memory.read(place, len(data)) == data:
                    return place
        return None

    def _window(self, address: int) -> tuple[int, NDArray[np.unsignedinteger]]:
        """Return the address of a window's first word, and its words; addresses in the same stretch share a window."""
        stretch = address // self._reach
        if stretch not in self._windows:
            effort.charge(3 * _READING * self._reach / _MIB)
            if len(self._windows) >= max(MAX_KEPT // (3 * self._reach), 1):
                self._windows.pop(next(iter(self._windows)))
            middle = address // self.word * self.word
            before = read_before(self.memory, middle, middle - max(stretch - 1, 0) * self._reach)
            start = -(-(middle - len(before)) // self.word) * self.word
            after = self.memory.read(middle, (stretch + 2) * self._reach - middle)
            data = before[start - middle + len(before) :] + after
            self._windows[stretch] = (start, np.frombuffer(data, f"<u{self.word}", len(data) // self.word))
        return self._windows[stretch]
