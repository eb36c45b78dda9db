"""Kernel virtual memory: from an address of the kernel to physical memory.

Three mappings, from cheap to dear: the kernel's own image and the direct map of all memory are a subtraction each; the
rest (modules, `vmalloc`, `struct page`) is looked up in the kernel's page tables. Source: docs/memory-layouts.md,
"Linux kernel images".
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from dumpscan.model.linux.c_kernel import END_KERNEL_MAP, START_KERNEL_MAP
from dumpscan.model.windows.c_paging import FRAME_MASK, INDEX_BITS, LARGE, PAGE_SHIFT, PAGE_SIZE, VALID

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dumpscan.memory.physical.image import PhysicalImage

FOUR_LEVELS, FIVE_LEVELS = 4, 5
"""Levels of page tables."""
_MASK = (1 << 64) - 1
_TOP_SHIFT = PAGE_SHIFT + INDEX_BITS * 3
"""Bits of an address below its index in a table of the fourth level."""
_MAX_READ = 64 << 20
_MAX_REMEMBERED = 1 << 14


def physical_of_image(address: int, phys_base: int) -> int:
    """Return the physical address of an address in the kernel's own image.

    Args:
        address: Its virtual address.
        phys_base: As for `KernelMemory`.
    """
    return (address - START_KERNEL_MAP + phys_base) & _MASK


class KernelMemory:
    """The virtual memory of a Linux kernel (a `Memory`).

    Args:
        image: Physical memory.
        phys_base: What is added to an address of the kernel's image, less START_KERNEL_MAP, modulo 2^64.
        root: Physical address of the top-level page table.
        levels: Levels of page tables: 4 or 5.
        encryption: Bits of an entry that are no part of the frame (`sme_mask`).

    Attributes:
        image: As given.
        direct_map: Start of the mapping of all memory (`page_offset_base`); None until it is known.
        kernel_end: Address at which the kernel's own image ends.
    """

    def __init__(self, image: PhysicalImage, phys_base: int, root: int, levels: int, encryption: int = 0) -> None:
        self.image = image
        self.phys_base = phys_base
        self.root = root
        self.levels = levels
        self.frame_mask = FRAME_MASK & ~encryption
        self.direct_map: int | None = None
        self.kernel_end = END_KERNEL_MAP
        self._walked: dict[int, int | None] = {}

    @property
    def pointer_size(self) -> int:
        """8 bytes."""
        return 8

    def physical(self, address: int) -> int | None:
        """Translate an address of the kernel; return None where nothing is mapped."""
        if START_KERNEL_MAP <= address < self.kernel_end:
            return physical_of_image(address, self.phys_base)
        if self.direct_map is not None and 0 <= address - self.direct_map < self.image.end:
            return address - self.direct_map
        page = address >> PAGE_SHIFT
        if page not in self._walked:
            if len(self._walked) >= _MAX_REMEMBERED:
                self._walked.clear()
            self._walked[page] = self.walk(page << PAGE_SHIFT)
        start = self._walked[page]
        return None if start is None else start + (address & (PAGE_SIZE - 1))

    def walk(self, address: int) -> int | None:
        """Translate an address through the kernel's page tables alone."""
        table = self.root
        for level in range(self.levels, 0, -1):
            shift = PAGE_SHIFT + INDEX_BITS * (level - 1)
            index = (address >> shift) & ((1 << INDEX_BITS) - 1)
            entry = int.from_bytes(self.image.read(table + 8 * index, 8), "little")
            if not entry & VALID:
                return None
            table = entry & self.frame_mask
            if level == 1 or (level <= 3 and entry & LARGE):  # noqa: PLR2004 - pages of 2 MiB and 1 GiB
                inside = (1 << shift) - 1
                return (table & ~inside) | (address & inside)
        return None

    def table_of(self, address: int) -> tuple[int | None, int]:
        """Return the table of the fourth level that an address is looked up in, and the index of its entry there.

        Returns:
            The table's physical address, None if there is none; and the index.
        """
        index = (address >> _TOP_SHIFT) & ((1 << INDEX_BITS) - 1)
        if self.levels == FOUR_LEVELS:
            return self.root, index
        at = (address >> (_TOP_SHIFT + INDEX_BITS)) & ((1 << INDEX_BITS) - 1)
        entry = int.from_bytes(self.image.read(self.root + 8 * at, 8), "little")
        return (entry & self.frame_mask if entry & VALID else None), index

    def read(self, address: int, size: int) -> bytes:
        """Return up to `size` bytes at an address of the kernel; fewer where a page is missing."""
        size = min(size, _MAX_READ)
        parts: list[bytes] = []
        while size > 0:
            physical = self.physical(address)
            if physical is None:
                break
            length = min(self._contiguous(address), size)
            data = self.image.read(physical, length)
            parts.append(data)
            if len(data) < length:
                break
            address, size = address + length, size - length
        return b"".join(parts)

    def _contiguous(self, address: int) -> int:
        """Return how many bytes from a mapped address on are contiguous in physical memory, at least."""
        if START_KERNEL_MAP <= address < self.kernel_end:
            return self.kernel_end - address
        if self.direct_map is not None and 0 <= address - self.direct_map < self.image.end:
            return self.direct_map + self.image.end - address
        return PAGE_SIZE - (address & (PAGE_SIZE - 1))

    def number(self, address: int, size: int = 8) -> int:
        """Read an unsigned number; what is not in the image counts as 0."""
        data = self.read(address, size)
        return int.from_bytes(data, "little") if len(data) == size else 0

    def text(self, address: int, most: int) -> bytes:
        """Read bytes up to a NUL, at most so many."""
        return self.read(address, most).split(b"\0", 1)[0]

    def direct(self, addresses: NDArray[np.uint64]) -> NDArray[np.int64]:
        """Translate addresses in the direct map.

        Returns:
            Physical addresses; -1 for those that are not in it.
        """
        if self.direct_map is None:
            return np.full(len(addresses), -1, np.int64)
        inside = addresses - np.uint64(self.direct_map)
        return np.where(inside < np.uint64(self.image.end), inside.astype(np.int64), -1)
