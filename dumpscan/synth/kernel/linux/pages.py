"""The array of `struct page`: what each frame of the synthetic image is used for.

Source: docs/memory-layouts.md, "Linux kernel images"; flags and page types are those of Linux 6.1.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from dumpscan.model.windows.c_paging import PAGE_SHIFT
from dumpscan.synth.kernel.linux.layouts import KERNEL
from dumpscan.synth.kernel.linux.space import IMAGE_SIZE, PAGE_STRUCT
from dumpscan.synth.physical.memory import FIRST_FREE

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from dumpscan.synth.kernel.linux.files import CachedFile
    from dumpscan.synth.kernel.linux.space import KernelSpace
    from dumpscan.synth.kernel.linux.tasks import UserSpace

    Pages = NDArray[Any]

_FREE, _PAGE_TABLE = 0xFFFF_FFFF, 0xFFFF_FDFF
"""`_mapcount` of a page that nothing maps, and the type of a page table (PG_table is cleared)."""
_ANONYMOUS = 1
_MAPPED_BY_ONE = 0


class PageStructs:
    """The array, at first with all RAM free.

    Args:
        space: The kernel's memory.
    """

    def __init__(self, space: KernelSpace) -> None:
        self._space = space
        memory = space.memory
        self._bits = {name: 1 << bit for name, bit in KERNEL.types["pageflags"].values.items()}  # type: ignore[union-attr]
        first = space.pages_frame << PAGE_SHIFT
        self._pages: Pages = memory.bytes[first : first + (memory.size >> PAGE_SHIFT) * PAGE_STRUCT].view(_PAGE)
        self._pages["_mapcount"] = _FREE
        ram = np.zeros(len(self._pages), np.bool_)
        for start, size in memory.runs:
            ram[start >> PAGE_SHIFT : (start + size) >> PAGE_SHIFT] = True
        ram[: FIRST_FREE >> PAGE_SHIFT] = False
        self._use(np.flatnonzero(~ram), flags=self._flags("PG_reserved"))
        for frame, size in ((space.image_frame, IMAGE_SIZE), (space.pages_frame, self._pages.nbytes)):
            self._use(range(frame, frame + -(-size >> PAGE_SHIFT)), flags=self._flags("PG_reserved"))

    def _flags(self, *names: str) -> int:
        return sum(self._bits[name] for name in names)

    def _use(self, frames: Iterable[int] | NDArray[np.int64], **values: int | Sequence[int]) -> None:
        chosen = np.fromiter(frames, np.int64)
        self._pages["_refcount"][chosen] = 1
        for name, value in values.items():
            self._pages[name][chosen] = value

    def slabs(self) -> None:
        """Mark the frames in which the kernel's objects lie; and page tables."""
        self._use(self._space.slabs, flags=self._flags("PG_slab"))
        self._use(self._space.memory.table_frames.astype(np.int64), _mapcount=_PAGE_TABLE)

    def anonymous(self, user: UserSpace) -> None:
        """Mark the memory of a process."""
        owner = user.memory | _ANONYMOUS  # a real one points to an `anon_vma`
        flags = self._flags("PG_uptodate", "PG_lru", "PG_swapbacked")
        pages, frames = list(user.frames), list(user.frames.values())
        self._use(frames, flags=flags, mapping=owner, index=pages, _mapcount=_MAPPED_BY_ONE)
        swapped = list(user.swapped)
        self._use(
            swapped,
            flags=flags | self._flags("PG_swapcache"),
            private=list(user.swapped.values()),
            _mapcount=_FREE,
        )

    def file(self, cached: CachedFile) -> None:
        """Mark the pages of a file."""
        flags = self._flags("PG_uptodate", "PG_lru")
        self._use(cached.frames, flags=flags, mapping=cached.mapping, index=range(len(cached.frames)))


def _page() -> np.dtype[Any]:
    """Return `struct page` as a type of numpy."""
    members = ("flags", "mapping", "index", "private", "_mapcount", "_refcount")
    found = [KERNEL.member(f"page.{name}") for name in members]
    return np.dtype(
        {
            "names": list(members),
            "formats": [f"<u{member.type.size}" for member in found],
            "offsets": [member.offset for member in found],
            "itemsize": PAGE_STRUCT,
        }
    )


_PAGE = _page()
