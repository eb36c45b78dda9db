"""The page cache: which frames hold the contents of files, whether or not a process maps them.

All cached files lie one behind another in an address space of our own, so that an object is read on from one page of a
file to the next, wherever that lies in physical memory. Where pages of a file are missing, there is a gap.
"""

from __future__ import annotations

from functools import cached_property, lru_cache
from typing import TYPE_CHECKING

import numpy as np

from dumpscan.findings import Process
from dumpscan.memory.dump import PageUse
from dumpscan.memory.kernel.linux.entries import nothing_cached
from dumpscan.memory.physical.page_map import MAX_PAGES, Owner, PageMap
from dumpscan.model.windows.c_paging import PAGE_SHIFT, PAGE_SIZE

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dumpscan.memory.kernel.linux.addresses import KernelMemory
    from dumpscan.memory.kernel.linux.entries import SwapCache
    from dumpscan.memory.kernel.linux.pages import PageArray
    from dumpscan.memory.kernel.linux.paths import FileName, Paths
    from dumpscan.memory.kernel.linux.symbols.types import KernelTypes

    Bools = NDArray[np.bool_]
    Frames = NDArray[np.int64]
    Words = NDArray[np.uint64]

_MAX_INDEX = np.uint64(1 << 51)
"""Pages of the largest file."""
_ALIGNMENT = np.uint64(7)


class PageCache:
    """The files in the page cache (see `dumpscan.memory.dump.CachedFiles`).

    Args:
        memory: The kernel's memory.
        types: Its types.
        pages: Its array of pages.
        paths: Names files.
    """

    def __init__(self, memory: KernelMemory, types: KernelTypes, pages: PageArray, paths: Paths) -> None:
        self._memory = memory
        self._types = types
        self._pages = pages
        self._paths = paths

    # --- All pages ---------------------------------------------------------------------------------------------------

    @cached_property
    def _found(self) -> tuple[Words, Words, Frames, SwapCache]:
        """Go through all pages once.

        Returns:
            Of each page of a file, ordered by file and place in it: the address of the file's `address_space`, the
            number of the page in the file, and the frame. Then what is in the swap cache.
        """
        files: list[tuple[Words, Words, Frames]] = []
        swapped: list[tuple[Words, Frames]] = []
        count = 0
        pages = self._pages
        if min(pages.mapping, pages.index) < 0:
            return (*_ordered([]), _swap_cache([]))
        for frames, heads, words in pages.steps():
            mapping = words[:, pages.mapping]
            index = words[:, pages.index] + (frames - heads).astype(np.uint64)
            chosen = np.flatnonzero((mapping != 0) & (mapping & _ALIGNMENT == 0) & (index < _MAX_INDEX))
            kept = chosen[self._are_files(mapping[chosen])]
            if len(kept) and count < MAX_PAGES:
                files.append((mapping[kept], index[kept], frames[kept]))
                count += len(kept)
            if pages.private >= 0:
                held = np.flatnonzero(pages.in_swap_cache(words))
                value = words[held, pages.private] + (frames[held] - heads[held]).astype(np.uint64)
                swapped.append((value, frames[held]))
        return (*_ordered(files), _swap_cache(swapped))

    def _are_files(self, mappings: Words) -> Bools:
        """Return which addresses are those of an `address_space` whose inode points back to it."""
        different, which = np.unique(mappings, return_inverse=True)
        hosts = self._pointers(different + np.uint64(self._types.offset("address_space.host")))
        back = self._pointers(hosts + np.uint64(self._types.offset("inode.i_mapping")))
        return np.asarray(((hosts != 0) & (back == different))[which])

    def _pointers(self, addresses: Words) -> Words:
        """Read 64-bit numbers in the direct map; 0 where nothing is."""
        physical = self._memory.direct(addresses)
        found = np.zeros(len(addresses), np.uint64)
        image = self._memory.image
        usable = (physical >= 0) & (physical % 8 == 0)
        usable[usable] = image.present(physical[usable] >> PAGE_SHIFT)
        there = np.flatnonzero(usable)
        places = physical[there]
        found[there] = image.gather(places >> PAGE_SHIFT, places & (PAGE_SIZE - 1), 8).view("<u8")[:, 0]
        return found

    @property
    def swap_cache(self) -> SwapCache:
        """What is in the swap cache."""
        return self._found[3]

    # --- As an address space -----------------------------------------------------------------------------------------

    @cached_property
    def _numbers(self) -> Frames:
        """Number of each page in the address space of our own."""
        mapping, index, frames, _ = self._found
        follows = (mapping[1:] == mapping[:-1]) & (index[1:] == index[:-1] + np.uint64(1))
        steps = np.concatenate((np.ones(min(len(frames), 1), np.int64), np.where(follows, 1, 2)))
        numbers: Frames = np.cumsum(steps)
        return numbers

    @cached_property
    def page_map(self) -> PageMap:
        """The pages of all files, of a single owner."""
        return PageMap.of_pages(self._memory.image, Owner(Process(), 0), self._numbers, self._found[2])

    def use(self, address: int) -> PageUse:
        """Return which file an address in the page map belongs to, and where in it."""
        row = int(np.searchsorted(self._numbers, address >> PAGE_SHIFT))
        mapping, index, _, _ = self._found
        return self.file_use(int(mapping[row]), int(index[row]), address % PAGE_SIZE)

    # --- One page ----------------------------------------------------------------------------------------------------

    def frame_use(self, physical: int) -> PageUse:
        """Return what the page at a physical address is used for."""
        owner, mapping, index = self._pages.use(physical >> PAGE_SHIFT)
        if owner is not None:
            return PageUse(owner)
        if not self._are_files(np.array([mapping], np.uint64))[0]:
            return PageUse("kernel")
        return self.file_use(mapping, index, physical % PAGE_SIZE)

    def file_use(self, mapping: int, index: int, within: int) -> PageUse:
        """Return what a page of a file is used for.

        Args:
            mapping: Address of the file's `address_space`.
            index: Number of the page in the file.
            within: Offset in the page in bytes.
        """
        name = self._name(mapping)
        return PageUse(
            "deleted file" if name.deleted else "page cache",
            name.path,
            (index << PAGE_SHIFT) + within,
            name.number,
            " on ".join(each for each in (name.filesystem, name.device) if each) or None,
        )

    @lru_cache(maxsize=4096)  # noqa: B019 - there is one for an image, which lives as long as the search
    def _name(self, mapping: int) -> FileName:
        return self._paths.of_inode(self._types.field(mapping, "address_space.host"))


def _ordered(parts: list[tuple[Words, Words, Frames]]) -> tuple[Words, Words, Frames]:
    """Join pages of files, and order them by file and place."""
    if not parts:
        return np.empty(0, np.uint64), np.empty(0, np.uint64), np.empty(0, np.int64)
    mapping, index, frames = (np.concatenate(column) for column in zip(*parts, strict=True))
    order = np.lexsort((index, mapping))
    mapping, index, frames = mapping[order], index[order], frames[order]
    # A place that two frames claim is the first one's: one of them is about to be freed, or the image is forged.
    first = np.concatenate(
        (np.ones(min(len(frames), 1), np.bool_), (mapping[1:] != mapping[:-1]) | (index[1:] != index[:-1]))
    )
    return mapping[first], index[first], frames[first]


def _swap_cache(parts: list[tuple[Words, Frames]]) -> SwapCache:
    if not parts:
        return nothing_cached()
    values, frames = (np.concatenate(column) for column in zip(*parts, strict=True))
    order = np.argsort(values, kind="stable")
    return values[order], frames[order]
