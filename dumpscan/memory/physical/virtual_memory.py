"""One owner's virtual memory, read through a page map frame by frame."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from dumpscan.memory.physical.page_tables import page_numbers
from dumpscan.memory.regions import WORD
from dumpscan.model.windows.c_paging import PAGE_SHIFT, PAGE_SIZE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from dumpscan.memory.physical.page_map import PageMap

_MAX_ACROSS = 4096
"""Words across two pages that are read in one call: they are read one by one. In 32-bit programs one in 1,024 is so."""
_MAX_READ = 64 << 20
"""Bytes that one read returns, at most."""


class VirtualMemory:
    """One owner's memory (a `Memory`, as decoders take it).

    Args:
        page_map: The page map.
        owner: Index into its owners.
    """

    def __init__(self, page_map: PageMap, owner: int) -> None:
        self._map = page_map
        self._image = page_map.image
        self._owner = owner

    @property
    def pointer_size(self) -> int:
        """8 bytes, also for 32-bit processes, which have page tables of the same kind."""
        return 8

    def read(self, address: int, size: int) -> bytes:
        """Return up to `size` bytes at a virtual address; fewer if a page is missing, b"" if it is the first."""
        parts: list[bytes] = []
        for physical, length in self._pieces(address, min(size, _MAX_READ)):
            if physical is None:
                break
            data = self._image.read(physical, length)
            parts.append(data)
            if len(data) < length:
                break
        return b"".join(parts)

    def words_at(self, addresses: NDArray[np.uint64]) -> tuple[NDArray[np.uint64], NDArray[np.bool_]]:
        """Return the words at many virtual addresses (see `dumpscan.memory.regions.ReadWords`)."""
        within = (addresses & np.uint64(PAGE_SIZE - 1)).astype(np.int64)
        frames = self._map.frames(self._owner, page_numbers(addresses))
        held = (frames >= 0) & self._image.present(frames) & (within <= PAGE_SIZE - WORD)
        words = np.zeros(len(addresses), np.uint64)
        if held.any():
            words[held] = self._image.gather(frames[held], within[held], WORD).view("<u8")[:, 0]
        across = np.flatnonzero(within > PAGE_SIZE - WORD)[:_MAX_ACROSS]
        for index, address in zip(across.tolist(), addresses[across].tolist(), strict=True):
            data = self.read(address, WORD)
            if len(data) == WORD:
                words[index], held[index] = int.from_bytes(data, "little"), True
        return words, held

    def read_padded(self, address: int, size: int) -> bytes:
        """Return `size` bytes at a virtual address (at most 64 MiB), zeros where pages are missing."""
        return b"".join(
            (self._image.read(physical, length) if physical is not None else b"").ljust(length, b"\0")
            for physical, length in self._pieces(address, min(size, _MAX_READ))
        )

    def extents(self, address: int, size: int) -> tuple[tuple[int, int], ...]:
        """Return where bytes at a virtual address lie in the file, as (file offset, length) pairs, up to a gap."""
        found: list[tuple[int, int]] = []
        for physical, length in self._pieces(address, min(size, _MAX_READ)):
            if physical is None:
                break
            for offset, there in self._image.extents(physical, length):
                if found and sum(found[-1]) == offset:
                    found[-1] = (found[-1][0], found[-1][1] + there)
                else:
                    found.append((offset, there))
        return tuple(found)

    def _pieces(self, address: int, size: int) -> Iterator[tuple[int | None, int]]:
        """Cut a virtual range into pieces that are contiguous in physical memory.

        Yields:
            The physical address (None where nothing is mapped) and the length in bytes of each piece.
        """
        if size <= 0 or address < 0:
            return
        within = address & (PAGE_SIZE - 1)
        start, length, expected = -1, 0, -2
        for frame in self._map.span_frames(self._owner, address, size):
            step = min(PAGE_SIZE - within, size)
            if frame != expected:
                if length:
                    yield (start if start >= 0 else None), length
                start, length = (frame << PAGE_SHIFT) + within if frame >= 0 else -1, 0
            length += step
            size -= step
            within = 0
            expected = frame + 1 if frame >= 0 else -1
        yield (start if start >= 0 else None), length
