"""Page tables of four levels in a synthetic image, as the processor reads them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from dumpscan.exceptions import ScenarioError
from dumpscan.model.windows import c_paging as paging
from dumpscan.model.windows.c_paging import ENTRIES_PER_TABLE, PAGE_SHIFT, PAGE_SIZE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from dumpscan.synth.physical.memory import PhysicalMemory

USER_DATA = paging.VALID | paging.WRITABLE | paging.USER | paging.ACCESSED | paging.DIRTY | paging.NO_EXECUTE
KERNEL_DATA = paging.VALID | paging.WRITABLE | paging.ACCESSED | paging.DIRTY | paging.GLOBAL | paging.NO_EXECUTE
_LINK = paging.VALID | paging.WRITABLE | paging.ACCESSED | paging.DIRTY
_TOP = 4


class PageTables:
    """The page tables below one top table (PML4): an address space.

    Args:
        memory: Physical memory, which holds the tables.
        root: Frame of the top table, which is zero.
        self_map: Index at which the top table refers to itself; None if it does not.
    """

    def __init__(self, memory: PhysicalMemory, root: int, self_map: int | None) -> None:
        self.memory = memory
        self.root = root
        self.self_map = self_map
        self._tables: dict[tuple[int, int], int] = {}
        if self_map is not None:
            memory.table(root)[self_map] = root << PAGE_SHIFT | _LINK | paging.NO_EXECUTE

    def share_kernel(self, system: PageTables) -> None:
        """Copy the system half of another top table, as systems do for every process."""
        half = slice(paging.KERNEL_HALF, ENTRIES_PER_TABLE)
        mine = self.memory.table(self.root)
        own = None if self.self_map is None else mine[self.self_map]
        mine[half] = self.memory.table(system.root)[half]
        if own is not None:
            mine[self.self_map] = own

    def _table_for(self, address: int, level: int) -> int:
        """Return the frame of the table of `level` (4 to 1) with the entry of an address. Missing tables are made."""
        if level == _TOP:
            return self.root
        span = address >> PAGE_SHIFT + paging.INDEX_BITS * level
        frame = self._tables.get((level, span))
        if frame is None:
            parent = self.memory.table(self._table_for(address, level + 1))
            slot = paging.index(address, level + 1)
            entry = int(parent[slot])
            if entry & paging.LARGE and level < _TOP - 1:
                raise ScenarioError(f"{address:#x} lies in a large page already")
            if entry & paging.VALID:
                frame = (entry & paging.FRAME_MASK) >> PAGE_SHIFT
            else:
                frame = self.memory.take_table()
                user = 0 if address >> 47 else paging.USER
                parent[slot] = frame << PAGE_SHIFT | _LINK | user
            self._tables[level, span] = frame
        return frame

    def ensure(self, address: int) -> None:
        """Make the tables that lead to an address, so that other address spaces can share them."""
        self._table_for(address, 1)

    def set_entries(self, address: int, entries: NDArray[np.uint64]) -> None:
        """Write last-level entries of consecutive pages from a page-aligned `address` on."""
        done = 0
        while done < len(entries):
            at = address + (done << PAGE_SHIFT)
            slot = paging.index(at, 1)
            count = min(ENTRIES_PER_TABLE - slot, len(entries) - done)
            self.memory.table(self._table_for(at, 1))[slot : slot + count] = entries[done : done + count]
            done += count

    def map_pages(self, address: int, frames: NDArray[np.uint64], flags: int) -> None:
        """Map 4 KiB frames at consecutive pages."""
        self.set_entries(address, frames << np.uint64(PAGE_SHIFT) | np.uint64(flags))

    def map_large(self, address: int, frame: int, size: int, flags: int) -> None:
        """Map one page of 2 MiB or 1 GiB at an address that is a multiple of its size."""
        level = 2 if size == paging.LARGE_PAGE_SIZE else 3
        table = self.memory.table(self._table_for(address, level))
        table[paging.index(address, level)] = frame << PAGE_SHIFT | flags | paging.LARGE

    def entry(self, address: int) -> tuple[int, int]:
        """Walk the tables and return the entry at which the walk for an address ends, and its level (4 to 1)."""
        frame = self.root
        for level in range(_TOP, 0, -1):
            entry = int(self.memory.table(frame)[paging.index(address, level)])
            if level == 1 or not paging.is_present(entry) or (level < _TOP and entry & paging.LARGE):
                return entry, level
            frame = (entry & paging.FRAME_MASK) >> PAGE_SHIFT
        raise AssertionError  # the last level returns

    def physical(self, address: int) -> tuple[int | None, int]:
        """Return (physical address, bytes to the end of the page). The address is None if no frame is known."""
        entry, level = self.entry(address)
        span = 1 << PAGE_SHIFT + paging.INDEX_BITS * (level - 1)
        if not paging.is_present(entry):
            return None, PAGE_SIZE - (address & PAGE_SIZE - 1)
        base = entry & paging.FRAME_MASK & ~(span - 1)
        return base + (address & span - 1), span - (address & span - 1)

    def extents(self, address: int, size: int) -> Iterator[tuple[int | None, int]]:
        """Yield the (physical address or None, bytes) of each piece of `size` bytes at an address."""
        while size:
            physical, rest = self.physical(address)
            piece = min(rest, size)
            yield physical, piece
            address += piece
            size -= piece

    def write(self, address: int, data: bytes | bytearray) -> None:
        """Write at a virtual address. Bytes on pages without a frame are dropped."""
        view = memoryview(data)
        done = 0
        for physical, piece in self.extents(address, len(data)):
            if physical is not None:
                self.memory.write(physical, view[done : done + piece])
            done += piece

    def read(self, address: int, size: int) -> bytes:
        """Read at a virtual address. Pages without a frame read as zeros."""
        pieces = self.extents(address, size)
        return b"".join(bytes(n) if physical is None else self.memory.read(physical, n) for physical, n in pieces)
