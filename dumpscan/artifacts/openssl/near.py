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

REACH = 128 << 10
"""Bytes before and after an address that are searched."""
MAX_WINDOWS = 16
"""Windows that are kept at a time."""
MAX_PLACES = 64
"""Places of a word in one window that are looked at."""
_READING = 100
_SEARCHING = 25
"""Microseconds to read a window, and to search it for one word."""


class Surroundings:
    """Windows of one process's memory.

    Args:
        memory: The memory.
    """

    def __init__(self, memory: Memory) -> None:
        self.memory = memory
        self._windows: dict[int, tuple[int, NDArray[np.uint64]]] = {}

    def places(self, word: int, near: int) -> list[int]:
        """Return the addresses, multiples of 8, where a word lies near an address; at most `MAX_PLACES`."""
        start, words = self._window(near)
        effort.charge(_SEARCHING)
        found = np.flatnonzero(words == np.uint64(word))[:MAX_PLACES]
        return [start + LIMB * index for index in found.tolist()]

    def number_at(self, value: int, limbs: int, near: Iterable[int]) -> int | None:
        """Return where a number lies near one of some addresses, as so many limbs; None if it does not."""
        data = value.to_bytes(limbs * LIMB, "little")
        first = int.from_bytes(data[:LIMB], "little")
        for address in near:
            for place in self.places(first, address):
                if self.memory.read(place, len(data)) == data:
                    return place
        return None

    def _window(self, address: int) -> tuple[int, NDArray[np.uint64]]:
        """Return the address of a window's first word, and its words; addresses in the same stretch share a window."""
        stretch = address // REACH
        if stretch not in self._windows:
            effort.charge(_READING)
            if len(self._windows) >= MAX_WINDOWS:
                self._windows.pop(next(iter(self._windows)))
            middle = address // LIMB * LIMB
            before = read_before(self.memory, middle, middle - max(stretch - 1, 0) * REACH)
            start = -(-(middle - len(before)) // LIMB) * LIMB
            data = before[start - middle + len(before) :] + self.memory.read(middle, (stretch + 2) * REACH - middle)
            self._windows[stretch] = (start, np.frombuffer(data, "<u8", len(data) // LIMB))
        return self._windows[stretch]
