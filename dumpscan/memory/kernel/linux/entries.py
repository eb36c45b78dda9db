"""What Linux makes of page table entries that the hardware does not look at.

Source: docs/memory-layouts.md, "Linux kernel images". A page under PROT_NONE keeps its frame with all bits inverted; a
page that was swapped out has the number of the swap area and the page in it instead. Its contents may be in memory
still, in the swap cache.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from dumpscan.memory.physical.image import FRAME_LIMIT
from dumpscan.model.linux.c_kernel import (
    PROTNONE,
    SWAP_OFFSET_BITS,
    SWAP_OFFSET_SHIFT,
    SWAP_TYPE_SHIFT,
    SWAP_VALUE_SHIFT,
)
from dumpscan.model.windows.c_paging import FRAME_MASK, INDEX_BITS, LARGE, PAGE_SHIFT, PAGE_SIZE, VALID

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from dumpscan.memory.physical.image import PhysicalImage

    Bools = NDArray[np.bool_]
    Entries = NDArray[np.uint64]
    Frames = NDArray[np.int64]

SwapCache = tuple["Entries", "Frames"]
"""Values of `swp_entry_t` in ascending order, and the frames that hold the contents of those pages."""

_SWAP_OFFSETS = (1 << SWAP_OFFSET_BITS) - 1


def nothing_cached() -> SwapCache:
    """Return an empty swap cache."""
    return np.empty(0, np.uint64), np.empty(0, np.int64)


class LinuxEntries:
    """The entries of a Linux kernel's page tables (an `EntryRules`).

    Args:
        encryption: Bits of an entry that are no part of the frame.
        swap_cache: What is in the swap cache; asked once, when the first page was swapped out.
    """

    invalid_name = "protected"
    deferred_name = "swap_cache"

    def __init__(self, encryption: int, swap_cache: Callable[[], SwapCache]) -> None:
        self._mask = FRAME_MASK & ~encryption
        self._swap_cache = swap_cache

    def useful(self, tables: Entries) -> Bools:
        """Return which tables are not empty."""
        return np.asarray(tables.any(axis=1))

    def leads(self, entries: Entries, *, last: bool) -> Bools:
        """Return which entries are present, or of a page under PROT_NONE; above the last level, only of a large one."""
        untouchable = np.uint64(PROTNONE if last else PROTNONE | LARGE)
        return np.asarray((entries & np.uint64(VALID) != 0) | (entries & untouchable == untouchable))

    def is_large(self, entries: Entries) -> Bools:
        """Return which entries are of a large page."""
        return np.asarray(entries & np.uint64(LARGE) != 0)

    def frames(self, entries: Entries) -> Frames:
        """Return the frames in entries; those of pages that are not present are inverted."""
        turned = np.where(entries & np.uint64(VALID) != 0, entries, ~entries)
        frames = (turned & np.uint64(self._mask)) >> np.uint64(PAGE_SHIFT)
        limited: Frames = np.minimum(frames, np.uint64(FRAME_LIMIT)).astype(np.int64)
        return limited

    def deferred(self, tables: Entries) -> tuple[Frames, Frames, Entries]:
        """Return the entries of pages that were swapped out, as `swp_entry_t`."""
        rows, columns = np.nonzero((tables != 0) & (tables & np.uint64(VALID | PROTNONE) == 0))
        return rows, columns, swap_values(tables[rows, columns])

    def resolve(self, values: Entries, read: Callable[[Entries], Entries]) -> Frames:  # noqa: ARG002 - the Protocol's
        """Look the pages up in the swap cache."""
        known, frames = self._swap_cache()
        if not len(known):
            return np.full(len(values), -1, np.int64)
        at = np.minimum(np.searchsorted(known, values), len(known) - 1)
        return np.where(known[at] == values, frames[at], -1)

    # --- One address -------------------------------------------------------------------------------------------------

    def translate(self, image: PhysicalImage, root: int, address: int) -> tuple[int | None, bool]:
        """Translate one virtual address through four levels.

        Args:
            image: Physical memory.
            root: Frame of the top-level table.
            address: Virtual address.

        Returns:
            The physical address, None where there is none; and whether the page was swapped out.
        """
        frame = root
        for level in (4, 3, 2, 1):
            shift = PAGE_SHIFT + INDEX_BITS * (level - 1)
            index = (address >> shift) & ((1 << INDEX_BITS) - 1)
            data = image.read((frame << PAGE_SHIFT) + 8 * index, 8)
            entry = np.frombuffer(data.ljust(8, b"\0"), "<u8")
            if not self.leads(entry, last=level == 1)[0]:
                if level > 1 or not int(entry[0]):
                    return None, False
                frame = int(self.resolve(swap_values(entry), np.zeros_like)[0])
                return ((frame << PAGE_SHIFT) + address % PAGE_SIZE if frame >= 0 else None), True
            frame = int(self.frames(entry)[0])
            if level == 1 or (level < 4 and self.is_large(entry)[0]):  # noqa: PLR2004 - no page has 512 GiB
                inside = (1 << shift) - 1
                return ((frame << PAGE_SHIFT) & ~inside) | (address & inside), False
        return None, False


def swap_values(entries: Entries) -> Entries:
    """Return the `swp_entry_t` of page table entries of pages that were swapped out."""
    offsets = (~entries >> np.uint64(SWAP_OFFSET_SHIFT)) & np.uint64(_SWAP_OFFSETS)
    types = entries >> np.uint64(SWAP_TYPE_SHIFT)
    values: Entries = (types << np.uint64(SWAP_VALUE_SHIFT)) | offsets
    return values


class UserMemory:
    """The memory of one process, read page by page: for command lines and environments.

    Args:
        image: Physical memory.
        rules: What entries mean.
        root: Frame of the top-level table of four levels.

    Attributes:
        swapped: Pages that were swapped out and are not in memory, among those that were read.
    """

    def __init__(self, image: PhysicalImage, rules: LinuxEntries, root: int) -> None:
        self._image = image
        self._rules = rules
        self._root = root
        self.swapped = 0

    def read(self, address: int, size: int) -> bytes:
        """Return up to `size` bytes at a virtual address; fewer where a page is missing."""
        parts: list[bytes] = []
        while size > 0:
            length = min(PAGE_SIZE - address % PAGE_SIZE, size)
            physical, swapped = self._rules.translate(self._image, self._root, address)
            data = b"" if physical is None else self._image.read(physical, length)
            self.swapped += swapped and not data
            parts.append(data)
            if len(data) < length:
                break
            address, size = address + length, size - length
        return b"".join(parts)
