"""Memory of one process, and memory of nobody, as searchers see it: regions of the image's file."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from dumpscan.memory.physical.virtual_memory import VirtualMemory
from dumpscan.memory.regions import RegionTable
from dumpscan.memory.space import ANYWHERE
from dumpscan.model.windows.c_paging import PAGE_SHIFT, PAGE_SIZE

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dumpscan.memory.physical.page_map import PageMap

    Frames = NDArray[np.int64]

MAX_PAGES = 4 << 20
"""Pages of one process that are searched, at most: 16 GiB."""
_FRAMES_AT_ONCE = 1 << 18


class OwnMemory(VirtualMemory):
    """What one process has for itself, or shares with a few (a `Searchable`).

    Args:
        page_map: The page map.
        owner: Index into its owners, of a process.
        most_sharers: Mappings of a frame that is searched, at most: programs and libraries have more.
        pointer_size: Bytes of a pointer of its program.
    """

    def __init__(self, page_map: PageMap, owner: int, most_sharers: int, *, pointer_size: int = 8) -> None:
        super().__init__(page_map, owner)
        self._most_sharers = most_sharers
        self._pointer_size = pointer_size

    @property
    def pointer_size(self) -> int:
        """As given."""
        return self._pointer_size

    @cached_property
    def regions(self) -> RegionTable:
        """Runs of its pages that follow one another in virtual memory and in the file too."""
        pages, frames = self._map.pages_of(self._owner, MAX_PAGES)
        own = self._map.mappers(frames) <= self._most_sharers
        return _joined(pages[own], self._image.offsets(frames[own]))

    @property
    def reach(self) -> tuple[int, int]:
        """Anywhere: what the process shares with others is not among the regions."""
        return ANYWHERE

    @property
    def buffer(self) -> memoryview:
        """The image's file, mapped."""
        return self._image.buffer


def unmapped(page_map: PageMap) -> RegionTable:
    """Return the frames that no owner maps, as regions of physical memory, as far as they were written."""
    free = [np.zeros(0, np.int64)]
    for first, words in page_map.image.spans(_FRAMES_AT_ONCE):
        frames = np.arange(first, first + len(words))
        free.append(frames[~page_map.mapped(frames)])
    frames = np.concatenate(free)
    return _joined(frames, page_map.image.offsets(frames))


def _joined(pages: Frames, offsets: Frames) -> RegionTable:
    """Join pages, in ascending order, that follow one another in the address space and in the file."""
    first = np.ones(len(pages), np.bool_)
    first[1:] = (pages[1:] != pages[:-1] + 1) | (offsets[1:] != offsets[:-1] + PAGE_SIZE)
    begins = np.flatnonzero(first)
    counts = np.diff(begins, append=len(pages))
    columns = pages[begins] << PAGE_SHIFT, counts << PAGE_SHIFT, offsets[begins]
    return RegionTable(*(column.astype(np.uint64) for column in columns))
