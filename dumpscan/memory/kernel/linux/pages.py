"""The kernel's array of `struct page`: what each frame of physical memory is used for.

Source: docs/memory-layouts.md, "Linux kernel images". The array is never copied whole: for a machine with 64 GiB it has
a GiB. It is gone through in steps, or asked about one frame.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from dumpscan.findings import Process
from dumpscan.memory.kernel.linux.addresses import FOUR_LEVELS
from dumpscan.memory.physical.page_map import KnownPages, Owner, PageMap
from dumpscan.memory.physical.page_tables import page_number, page_numbers
from dumpscan.model.linux.c_kernel import END_KERNEL_MAP, START_KERNEL_MAP, VMEMMAP_4, VMEMMAP_5
from dumpscan.model.windows.c_paging import ENTRIES_PER_TABLE, PAGE_SHIFT, PAGE_SIZE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from dumpscan.memory.kernel.linux.addresses import KernelMemory
    from dumpscan.memory.kernel.linux.symbols.types import KernelTypes
    from dumpscan.memory.physical.page_tables import EntryRules

    Frames = NDArray[np.int64]
    Words = NDArray[np.uint64]

_FRAMES_AT_ONCE = 1 << 16
_USUAL_SIZE = 64
_MAX_SIZE = 256
_MAX_IMAGE = END_KERNEL_MAP - START_KERNEL_MAP
_RELEASED_AFTER = 32
_ANY_TYPE = 0xF0
"""From 6.12 on, a page type is a number from here on in the top byte."""
_NO_MAPCOUNT = 0xFFFF_FFFF
_OLD_BUDDY, _OLD_TABLE = 0xFFFF_FF7F, 0xFFFF_FDFF
_TABLE_TYPE, _SLAB_TYPE = 0xF2, 0xF5


class Flags(NamedTuple):
    """Numbers of bits in a page's flags; -1 for those that a kernel does not have."""

    swap_cache: int
    swap_backed: int
    slab: int
    reserved: int


class PageArray:
    """All `struct page` of a kernel.

    Args:
        memory: The kernel's memory.
        types: Its types.
        rules: What entries of its page tables mean.
        numbers: Constants that VMCOREINFO gives.
    """

    def __init__(self, memory: KernelMemory, types: KernelTypes, rules: EntryRules, numbers: dict[str, int]) -> None:
        self._memory = memory
        self._image = memory.image
        self._types = types
        self._rules = rules
        self._numbers = numbers
        base = types.symbol("vmemmap_base")
        default = VMEMMAP_4 if memory.levels == FOUR_LEVELS else VMEMMAP_5
        self.start = default if base is None else memory.number(base)
        size = types.size("page") or _USUAL_SIZE
        self._size = size if size % 8 == 0 and size <= _MAX_SIZE else _USUAL_SIZE

    @cached_property
    def _map(self) -> PageMap:
        """Where the array lies in physical memory."""
        root, index = self._memory.table_of(self.start)
        owners = [Owner(Process(), (root or 0) >> PAGE_SHIFT, kernel=True)]
        return PageMap(self._image, owners, kernel_indices=range(index, ENTRIES_PER_TABLE), rules=self._rules)

    # --- Members -----------------------------------------------------------------------------------------------------

    def _word(self, *names: str) -> int:
        """Return which 64-bit word of a page a member is, by one of the names that it has had."""
        for name in names:
            found = self._types.find(name)
            if found is not None and found % 8 == 0 and found < self._size:
                return found // 8
        return -1

    @cached_property
    def mapping(self) -> int:
        """Word of the file or the anonymous memory that a page belongs to."""
        return self._word("page.mapping", "folio.mapping")

    @cached_property
    def index(self) -> int:
        """Word of the page's number in its file."""
        return self._word("page.index", "page.__folio_index", "folio.index")

    @cached_property
    def private(self) -> int:
        """Word of the swap entry of a page in the swap cache."""
        return self._word("folio.swap", "page.private", "folio.private")

    @cached_property
    def link(self) -> int:
        """Word that leads from a page to the head of its compound page."""
        return self._word("page.compound_head", "page.compound_info")

    def _count(self, words: list[int], *names: str) -> int | None:
        """Return a 32-bit member of a page, by one of the names that it has had; None if there is none."""
        for name in names:
            found = self._types.find(name)
            if found is not None and found + 4 <= self._size:
                return words[found // 8] >> 8 * (found % 8) & _NO_MAPCOUNT
        return None

    @cached_property
    def flags(self) -> Flags:
        """Which bits of a page's flags mean what."""

        def bit(name: str) -> int:
            found = self._numbers.get(name)
            return self._types.constant("pageflags", name) or -1 if found is None else found

        private = self._numbers.get("PG_private")
        # In all kernels so far, PG_reserved is the bit before PG_private.
        reserved = bit("PG_reserved") if private is None else private - 1
        return Flags(bit("PG_swapcache"), bit("PG_swapbacked"), bit("PG_slab") if self._old_types else -1, reserved)

    @cached_property
    def _old_types(self) -> bool:
        """Whether page types are bits that are cleared (before 6.12)."""
        buddy = self._numbers.get("PAGE_BUDDY_MAPCOUNT_VALUE")
        if buddy is None:
            return self._types.constant("pageflags", "PG_slab") is not None
        return bool(buddy & 0xFF_FFFF)

    # --- Reading -----------------------------------------------------------------------------------------------------

    def words(self, frames: Frames) -> Words:
        """Read the pages of some frames as 64-bit words, shape (n, words); 0 where the image does not hold them."""
        addresses = np.uint64(self.start) + frames.astype(np.uint64) * np.uint64(self._size)
        places = self._map.frames(0, page_numbers(addresses))
        found = np.zeros((len(frames), self._size // 8), np.uint64)
        within = (addresses & np.uint64(PAGE_SIZE - 1)).astype(np.int64)
        whole = within + self._size <= PAGE_SIZE  # with sizes that are no power of 2, some lie across a border
        there = np.flatnonzero((places >= 0) & whole & self._image.present(places))
        found[there] = self._image.gather(places[there], within[there], self._size).view("<u8")
        return found

    def heads(self, frames: Frames, words: Words) -> Frames:
        """Return the first frames of the compound pages that some frames belong to: themselves, if to none."""
        link = words[:, max(self.link, 0)]
        tail = link & np.uint64(1) != 0
        known = np.uint64(self.start)
        pointed = (link - np.uint64(1) - known) // np.uint64(self._size)
        addresses = known + frames.astype(np.uint64) * np.uint64(self._size)
        masked = ((addresses & (link - np.uint64(1))) - known) // np.uint64(self._size)
        own = frames.astype(np.uint64)
        head = np.where(pointed <= own, pointed, np.where(masked <= own, masked, own))
        return np.where(tail, head.astype(np.int64), frames)

    def steps(self) -> Iterator[tuple[Frames, Frames, Words]]:
        """Go through the pages of all frames of the image.

        Yields:
            Frames, the heads of their compound pages, and the words of the heads.
        """
        for number, (first, tables) in enumerate(self._image.spans(_FRAMES_AT_ONCE)):
            frames = np.arange(first, first + len(tables), dtype=np.int64)
            words = self.words(frames)
            heads = self.heads(frames, words)
            tails = np.flatnonzero(heads != frames)
            if len(tails):
                words[tails] = self.words(heads[tails])
            yield frames, heads, words
            if number % _RELEASED_AFTER == 0:
                self._image.release()

    def in_swap_cache(self, words: Words) -> NDArray[np.bool_]:
        """Return which heads are in the swap cache."""
        flags = self.flags
        if min(flags.swap_cache, flags.swap_backed) < 0:
            return np.zeros(len(words), np.bool_)
        wanted = np.uint64(1 << flags.swap_cache | 1 << flags.swap_backed)
        anonymous = words[:, self.mapping] & np.uint64(3) == np.uint64(1)
        return np.asarray(anonymous & (words[:, 0] & wanted == wanted))

    # --- One page ----------------------------------------------------------------------------------------------------

    def use(self, frame: int) -> tuple[str | None, int, int]:
        """Return what a frame is used for.

        Returns:
            As in `Location.page_owner`, but None for what may be a page of a file; then the address of its
            `address_space` and the number of the page in the file follow.
        """
        frames = np.array([frame], np.int64)
        own = self.words(frames)
        head = self.heads(frames, own)
        words = own[0].tolist()
        lead = self.words(head)[0].tolist() if int(head[0]) != frame else words
        if self._is_reserved(lead):
            return ("kernel image" if self._in_kernel_image(frame) else "kernel"), 0, 0
        kind = self._type(lead)
        if kind is not None:
            return kind, 0, 0
        mapping = lead[self.mapping] if self.mapping >= 0 else 0
        if mapping & 1:
            return ("swap cache" if bool(self.in_swap_cache(self.words(head))[0]) else "anonymous"), 0, 0
        if mapping:
            return None, mapping, lead[self.index] + frame - int(head[0])
        unused = self._count(words, "page._refcount", "folio._refcount") == 0
        return ("free" if unused and self._mapcount(words) == _NO_MAPCOUNT else "kernel"), 0, 0

    def _mapcount(self, words: list[int]) -> int | None:
        return self._count(words, "page._mapcount", "page.page_type", "folio._mapcount")

    def _is_reserved(self, words: list[int]) -> bool:
        return self.flags.reserved >= 0 and bool(words[0] >> self.flags.reserved & 1)

    def _type(self, words: list[int]) -> str | None:
        """Return what a page's type says, if it has one."""
        value = self._mapcount(words)
        if value is None:
            return None
        if self._old_types:
            if self.flags.slab >= 0 and words[0] >> self.flags.slab & 1:
                return "slab"
            return {_OLD_BUDDY: "free", _OLD_TABLE: "page table"}.get(value)
        kind = value >> 24
        return {_ANY_TYPE: "free", _TABLE_TYPE: "page table", _SLAB_TYPE: "slab"}.get(kind)

    def of_kernel_image(self) -> KnownPages | None:
        """Return the pages of the kernel's own image, without those that were given back once it had started.

        The kernel's tables map these still, though others use them now.
        """
        first, last = self._types.symbol("_text"), self._types.symbol("_end")
        start = None if first is None else self._memory.physical(first)
        if (
            first is None
            or last is None
            or start is None
            or self.flags.reserved < 0
            or not 0 < last - first < _MAX_IMAGE
        ):
            return None
        count = (last - first + PAGE_SIZE - 1) >> PAGE_SHIFT
        frames = (start >> PAGE_SHIFT) + np.arange(count, dtype=np.int64)
        numbers = page_number(first) + np.arange(count, dtype=np.int64)
        reserved = self.words(frames)[:, 0] & np.uint64(1 << self.flags.reserved) != 0
        kept = reserved & self._image.present(frames)
        return KnownPages(int(numbers[0]), int(numbers[-1]) + 1, numbers[kept], frames[kept])

    def _in_kernel_image(self, frame: int) -> bool:
        first, last = self._types.symbol("_text"), self._types.symbol("_end")
        if first is None or last is None:
            return False
        start, end = self._memory.physical(first), self._memory.physical(last - 1)
        return start is not None and end is not None and start <= frame << PAGE_SHIFT <= end
