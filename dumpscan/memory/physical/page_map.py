"""The reverse page map: which processes map a page frame, and at which virtual address.

All page tables of all processes are walked once. The pages are kept in an array ordered by owner and virtual page, to
read virtual memory, and in a second order by frame, to tell who sees a physical address. A page takes 21 bytes.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple, Self

import numpy as np

from dumpscan.memory.physical.page_tables import (
    ROOT_SHIFT,
    SPANS,
    VPN_BITS,
    WINDOWS,
    Walk,
    Walker,
    canonical,
    entry_frame,
    page_number,
    page_numbers,
)
from dumpscan.model.windows.c_paging import ENTRIES_PER_TABLE, KERNEL_HALF, PAGE_SHIFT, PAGE_SIZE, is_present

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from dumpscan.findings import Process
    from dumpscan.memory.physical.image import PhysicalImage
    from dumpscan.memory.physical.page_tables import EntryRules

    Entries = NDArray[np.uint64]
    Frames = NDArray[np.int64]

MAX_PAGES = 16 << 20
"""Pages listed, at most: 64 GiB of mapped memory in 4 KiB pages, for which the map takes 340 MB."""
_FIRST_PAGES = 1 << 20
_PAGES_PER_FRAME = 8
"""Pages listed of a small image: so many, and so many for each frame. Of real frames, most are mapped once or twice."""

_VPN_MASK = (1 << VPN_BITS) - 1

MAX_MAPPINGS = 1 << 14
"""Mappings listed of one frame. A real frame is mapped once or twice by each process."""

_HEADS_OF_A_TAIL = 8
"""Different frames that follow the same frame in virtual memory: in real memory one, or a few."""
_TOLERATED = 0.005
"""Share of the pages of processes that may lie outside of an image without a warning, such as graphics memory."""
_FEW_PAGES = 16
"""Up to so many pages are looked up one by one; for more, an array pays off."""


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose virtual memory it is.

    Attributes:
        process: The process; the kernel's half has a record of its own.
        root: Frame of its top-level page table.
        kernel: Whether it is the kernel's half.
    """

    process: Process
    root: int
    kernel: bool = False


class KnownPages(NamedTuple):
    """Pages of 4 KiB of the first owner that are known better than by its page tables, and take their place.

    Attributes:
        first: First virtual page number of the range that they lie in.
        past: The page number behind that range.
        pages: Virtual page numbers within the range, in ascending order, shape (n,).
        frames: Their frames, shape (n,).
    """

    first: int
    past: int
    pages: Frames
    frames: Frames


@dataclass(frozen=True, slots=True)
class Mapping:
    """One place where a physical byte is mapped.

    Attributes:
        owner: Index into `PageMap.owners`.
        address: Virtual address.
    """

    owner: int
    address: int


class PageMap:
    """Virtual memory of several owners: translates virtual to physical addresses and back.

    Args:
        image: Physical memory.
        owners: Whose tables to walk: their first half for processes, the second for the kernel. The first kernel owner
            is walked whole, the others only where their top-level entries differ from its entries.
        self_index: Index of the top-level entry that points to its own table; it maps the tables themselves.
        kernel_indices: Which entries of the kernel's half to follow; by default all.
        most: Pages to list, at most; by default as many as an image of this size can really have.
        rules: What entries mean.
        known: Pages of the first owner.

    Attributes:
        image: As given.
        owners: As given.
        problems: What is wrong with the tables, a sentence each.
        walk: The walk's statistics, without its pages.
        resolved: Pages whose frames were found after the walk: with Windows, through prototype entries.
    """

    def __init__(
        self,
        image: PhysicalImage,
        owners: Sequence[Owner],
        *,
        self_index: int | None = None,
        kernel_indices: Sequence[int] = range(KERNEL_HALF, ENTRIES_PER_TABLE),
        most: int | None = None,
        rules: EntryRules = WINDOWS,
        known: KnownPages | None = None,
    ) -> None:
        self.owners: tuple[Owner, ...] = tuple(owners)
        self._rules = rules
        self.problems: list[str] = []
        self.image = image
        roots = np.array([owner.root for owner in owners], np.int64)
        most = min(most or MAX_PAGES, _FIRST_PAGES + _PAGES_PER_FRAME * image.frames)
        walk = Walker(image, most, rules).walk(
            roots, self._indices(roots, [index for index in kernel_indices if index != self_index])
        )
        self._key, self._frame, self._span = walk.key, walk.frame, walk.span
        if known is not None:
            kept = (walk.key < known.first) | (walk.key >= known.past)  # the first owner's keys are its page numbers
            self._key, self._frame, self._span = walk.key[kept], walk.frame[kept], walk.span[kept]
            self._add(known.pages, known.frames)
        self.resolved = self._resolve_deferred(walk)
        self._orders = [self._by_frame(span) for span in SPANS]
        # Its pages are in the arrays above.
        self.walk = replace(walk, key=walk.key[:0], frame=walk.frame[:0], span=walk.span[:0], deferred=None)
        self._complain(walk, most)

    # --- Making ------------------------------------------------------------------------------------------------------

    @classmethod
    def of_pages(cls, image: PhysicalImage, owner: Owner, pages: Frames, frames: Frames) -> Self:
        """Make a map of pages of 4 KiB that are known without page tables.

        Args:
            image: Physical memory.
            owner: Whose they are.
            pages: Virtual page numbers in ascending order, shape (n,).
            frames: Their frames, shape (n,).
        """
        made = cls(image, [])
        made.owners = (owner,)
        made._key, made._frame = pages, frames.astype(np.uint32)
        made._span = np.zeros(len(pages), np.uint8)
        made._orders = [made._by_frame(span) for span in SPANS]
        return made

    def _indices(self, roots: Frames, kernel: Sequence[int]) -> list[NDArray[np.int64]]:
        """Choose the top-level entries to follow for each owner."""
        user = np.arange(KERNEL_HALF)
        there = self.image.present(roots)
        chosen: list[NDArray[np.int64]] = []
        known: set[tuple[int, int]] = set()
        for owner, present in zip(self.owners, there.tolist(), strict=True):
            if not owner.kernel:
                chosen.append(user)
                continue
            entries = (
                self.image.tables(np.array([owner.root], np.int64))[0].tolist() if present else [0] * ENTRIES_PER_TABLE
            )
            new = [i for i in kernel if is_present(entries[i]) and (i, entry_frame(entries[i])) not in known]
            known.update((i, entry_frame(entries[i])) for i in new)
            chosen.append(np.array(new, np.int64))
        return chosen

    def _resolve_deferred(self, walk: Walk) -> int:
        """Add the pages whose frames are known only now; return their number."""
        if walk.deferred is None:
            return 0
        root, vpn, values = walk.deferred
        frames = self._rules.resolve(values, self._kernel_words)
        kept = np.flatnonzero((frames >= 0) & self.image.present(frames))
        self._add((root[kept].astype(np.int64) << ROOT_SHIFT) | vpn[kept], frames[kept])
        return len(kept)

    def _add(self, keys: Frames, frames: Frames) -> None:
        """Add pages of 4 KiB."""
        key = np.concatenate((self._key, keys))
        order = np.argsort(key, kind="stable")
        self._key = key[order]
        self._frame = np.concatenate((self._frame, frames.astype(np.uint32)))[order]
        self._span = np.concatenate((self._span, np.zeros(len(keys), np.uint8)))[order]

    def _kernel_words(self, address: Entries) -> Entries:
        """Read 64-bit numbers at addresses of the kernel that are multiples of 8; 0 where nothing is mapped."""
        words = np.zeros(len(address), np.uint64)
        pages = page_numbers(address)
        for number, owner in enumerate(self.owners):
            if not owner.kernel:
                continue
            frames = self.frames(number, pages)
            found = np.flatnonzero((frames >= 0) & (words == 0))
            within = (address[found] & np.uint64(PAGE_SIZE - 1)).astype(np.int64)
            aligned = within % 8 == 0
            found, within = found[aligned], within[aligned]
            words[found] = self.image.gather(frames[found], within, 8).view("<u8")[:, 0]
        return words

    def _by_frame(self, span: int) -> tuple[NDArray[np.uint32], NDArray[np.uint32]]:
        """Order the pages of one size by frame; return their frames in that order, and their indexes."""
        chosen = np.flatnonzero(self._span == span).astype(np.uint64)
        # With frame and index in one number, sorting takes a tenth of the time of sorting through an index.
        both = (self._frame[chosen].astype(np.uint64) << np.uint64(32)) | chosen
        both.sort()
        return (both >> np.uint64(32)).astype(np.uint32), both.astype(np.uint32)

    def _complain(self, walk: Walk, most: int) -> None:
        if walk.truncated:
            self.problems.append(f"page tables list more than {most} pages: the others are not known to any process")
        if walk.too_many_tables:
            self.problems.append(
                "page tables of processes lead to more tables than the image can hold: what the others map is "
                "not known to any process"
            )
        # The kernel maps devices, which are in no image; processes hardly do.
        users = np.array([not owner.kernel for owner in self.owners], np.bool_)
        tables, absent = int(walk.absent_tables[users].sum()), int(walk.absent[users].sum())
        pages = int((np.bincount(walk.key >> ROOT_SHIFT, minlength=len(users))[users]).sum()) + absent
        if tables or absent > max(pages * _TOLERATED, _FEW_PAGES):
            self.problems.append(
                f"{tables} page tables and {absent} of {pages} pages of processes lie outside of the image: it is cut "
                "short, or memory changed while it was taken"
            )

    # --- Asking ------------------------------------------------------------------------------------------------------

    def __len__(self) -> int:
        return len(self._key)

    @property
    def names(self) -> tuple[str, str]:
        """What pages are called whose entries are not valid, and those that `resolved` counts."""
        return self._rules.invalid_name, self._rules.deferred_name

    @property
    def columns(self) -> tuple[NDArray[np.uint32], NDArray[np.uint8]]:
        """Frame and size (as in `SPANS`) of every page."""
        return self._frame, self._span

    def seen(self, physical: Frames, most: int = MAX_MAPPINGS) -> tuple[Frames, NDArray[np.int32], NDArray[np.uint64]]:
        """Find where physical bytes are mapped.

        Args:
            physical: Physical addresses, shape (n,).
            most: Mappings of one frame in pages of one size, at most; further ones are left out.

        Returns:
            Indexes into `physical`, owners (indexes into `owners`) and virtual addresses of every mapping, ordered by
            index, owner and address, each of shape (m,). A byte that nobody maps does not occur.
        """
        which: list[Frames] = []
        keys: list[Frames] = []
        wanted = physical >> PAGE_SHIFT
        for span, (frames, order) in zip(SPANS, self._orders, strict=True):
            base = (wanted >> span << span).astype(np.uint32)
            first = np.searchsorted(frames, base, "left")
            counts_of = np.minimum(np.searchsorted(frames, base, "right") - first, most)
            index = np.repeat(np.arange(len(physical)), counts_of)
            place = np.arange(len(index)) - np.repeat(np.cumsum(counts_of) - counts_of, counts_of) + first[index]
            which.append(index)
            keys.append(self._key[order[place]] + (wanted[index] - base[index].astype(np.int64)))
        index, key = np.concatenate(which), np.concatenate(keys)
        order_of = np.lexsort((key, index))
        index, key = index[order_of], key[order_of]
        owner = (key >> ROOT_SHIFT).astype(np.int32)
        addresses = _canonical(key & _VPN_MASK) + (physical[index] & (PAGE_SIZE - 1)).astype(np.uint64)
        return index, owner, addresses

    def mappings(self, physical: int) -> list[Mapping]:
        """List every place where a physical byte is mapped, by owner and address."""
        _, owner, address = self.seen(np.array([physical], np.int64))
        return [Mapping(*pair) for pair in zip(owner.tolist(), address.tolist(), strict=True)]

    def private(self, most: int, without: Frames) -> tuple[Frames, Frames]:
        """Find the frames that processes map, but no more than a few times, as runs in ascending order.

        Args:
            most: Mappings of a frame by processes, at most.
            without: Frames that are not wanted.

        Returns:
            The first frame of each run, and the frame past its last.
        """
        users = np.array([not owner.kernel for owner in self.owners], np.bool_)
        own = users[self._key >> ROOT_SHIFT]
        begins = self._frame[own].astype(np.int64)
        bounds = np.concatenate((begins, begins + (1 << self._span[own].astype(np.int64)), without, without + 1))
        weights = np.repeat((1, -1, most + 1, -most - 1), (len(begins), len(begins), len(without), len(without)))
        order = np.argsort(bounds, kind="stable")
        bounds = bounds[order]
        last = np.flatnonzero(np.diff(bounds, append=-1))  # all that begins and ends at one frame is counted together
        bounds, mappings = bounds[last], np.cumsum(weights[order])[last]
        wanted = (mappings > 0) & (mappings <= most)
        edges = np.diff(wanted.astype(np.int8), prepend=0)
        return bounds[edges == 1], bounds[edges == -1]

    def mapped(self, frames: Frames) -> NDArray[np.bool_]:
        """Return which frames some owner maps."""
        return self.mappers(frames) > 0

    def mappers(self, frames: Frames) -> Frames:
        """Return how many places there are where each of some frames is mapped."""
        count = np.zeros(len(frames), np.int64)
        for span, (known, _) in zip(SPANS, self._orders, strict=True):
            base = (frames >> span << span).astype(np.uint32)
            count += np.searchsorted(known, base, "right") - np.searchsorted(known, base, "left")
        return count

    def pages_of(self, owner: int, most: int) -> tuple[Frames, Frames]:
        """Return the pages of 4 KiB that an owner maps and the image holds: the first `most` of them.

        Returns:
            Virtual page numbers in ascending order, and their frames.
        """
        first, past = np.searchsorted(self._key, [owner << ROOT_SHIFT, (owner + 1) << ROOT_SHIFT]).tolist()
        past = min(past, first + most)
        sizes = 1 << self._span[first:past].astype(np.int64)
        ends = np.minimum(np.cumsum(sizes), most)
        return self._held(slice(first, past), np.diff(ends, prepend=0))

    def frames(self, owner: int, pages: Frames) -> Frames:
        """Translate virtual page numbers to frames.

        Args:
            owner: Index into `owners`.
            pages: Virtual page numbers, shape (n,).

        Returns:
            Frame numbers, -1 where nothing is mapped.
        """
        if not len(self._key):
            return np.full(len(pages), -1, np.int64)
        key = (owner << ROOT_SHIFT) | pages
        index = np.maximum(np.searchsorted(self._key, key, side="right") - 1, 0)
        inside = key - self._key[index]
        mapped = (inside >= 0) & (inside < (1 << self._span[index].astype(np.int64)))
        return np.where(mapped, self._frame[index].astype(np.int64) + inside, -1)

    def frame(self, owner: int, page: int) -> int:
        """Translate one virtual page number; -1 where nothing is mapped."""
        key = (owner << ROOT_SHIFT) | page
        index = int(self._key.searchsorted(key, "right")) - 1
        if index < 0:
            return -1
        inside = key - int(self._key[index])
        return int(self._frame[index]) + inside if inside < 1 << int(self._span[index]) else -1

    def span_frames(self, owner: int, address: int, size: int) -> tuple[int, ...]:
        """Return the frames of `size` bytes at a virtual address, one for each page, -1 where nothing is mapped."""
        first = page_number(address)
        count = ((address & (PAGE_SIZE - 1)) + max(size, 1) + PAGE_SIZE - 1) >> PAGE_SHIFT
        if count <= _FEW_PAGES:
            return tuple(self.frame(owner, first + number) for number in range(count))
        return tuple(self.frames(owner, first + np.arange(count)).tolist())

    def region(self, owner: int, address: int) -> tuple[int, int]:
        """Return (start, size in bytes) of the mapped pages around an address; (address, 0) if it is unmapped."""
        key = (owner << ROOT_SHIFT) | page_number(address)
        index = int(np.searchsorted(self._key, key, side="right")) - 1
        if index < 0 or key - int(self._key[index]) >= 1 << int(self._span[index]):
            return address, 0
        run = int(np.searchsorted(self._run_starts, index, side="right"))
        first = int(self._run_starts[run - 1])
        last = int(self._run_starts[run]) - 1 if run < len(self._run_starts) else len(self._key) - 1
        start = int(self._key[first])
        size = (int(self._key[last]) + (1 << int(self._span[last])) - start) << PAGE_SHIFT
        return canonical(start & _VPN_MASK), size

    @cached_property
    def _run_starts(self) -> Frames:
        """Indexes of the pages that do not follow the page before them."""
        joined = self._key[1:] == self._key[:-1] + (1 << self._span[:-1].astype(np.int64))
        return np.concatenate(([0], np.flatnonzero(~joined) + 1))

    def seams(self, most: int = 1 << 20) -> Iterator[tuple[Frames, Frames]]:
        """Iterate over the pairs of frames that follow one another in some virtual memory but not in physical memory.

        Args:
            most: Pairs in one step, at most.

        Yields:
            Frames that the image holds, and the frames that follow them; each pair once.
        """
        size = (
            1 << self._span[:-1].astype(np.int64) if self._span.any() else np.ones(max(len(self._key) - 1, 0), np.int64)
        )
        follows = np.flatnonzero(self._key[1:] - self._key[:-1] == size)
        tail = self._frame[follows].astype(np.int64) + (size[follows] - 1)
        head = self._frame[follows + 1].astype(np.int64)
        seam = (head != tail + 1) & self.image.present(tail) & self.image.present(head)
        tail, head = self.image.ordinals(tail[seam]), head[seam]
        # Shared memory gives the same pair for each process. Each round takes one pair for every tail and drops those
        # equal to it, which is far less work than sorting all pairs; what is left after some rounds is sorted.
        chosen = np.empty(int(tail.max()) + 1 if len(tail) else 0, np.int64)
        for _ in range(_HEADS_OF_A_TAIL):
            chosen.fill(-1)
            chosen[tail] = head
            tails = np.flatnonzero(chosen >= 0)
            for first in range(0, len(tails), most):
                step = tails[first : first + most]
                yield self.image.frames_at(step), chosen[step]
            others = chosen[tail] != head
            tail, head = tail[others], head[others]
            if not len(tail):
                return
        pairs = np.unique((tail << 32) | head)
        for first in range(0, len(pairs), most):
            step = pairs[first : first + most]
            yield self.image.frames_at(step >> 32), step & 0xFFFFFFFF

    def pages(self, most: int = 1 << 20, *, limit: int | None = None) -> Iterator[tuple[NDArray[np.uint64], Frames]]:
        """Iterate over all mapped pages that the image holds; large pages are cut into pages of 4 KiB.

        Args:
            most: Pages of 4 KiB in one step, at most; a large page is not divided.
            limit: Mapped pages of 4 KiB after which to stop, whether the image holds them or not.

        Yields:
            Virtual addresses and frames.
        """
        ends = np.cumsum(1 << self._span.astype(np.int64))
        first, done = 0, 0
        while first < len(ends) and (limit is None or done < limit):
            past = max(int(np.searchsorted(ends, done + most, side="right")), first + 1)
            step = slice(first, past)
            pages, frames = self._held(step, 1 << self._span[step].astype(np.int64))
            yield _canonical(pages), frames
            first, done = past, int(ends[past - 1])

    def _held(self, step: slice, sizes: Frames) -> tuple[Frames, Frames]:
        """Cut some of the pages into pages of 4 KiB, and return those that the image holds.

        Args:
            step: Which pages.
            sizes: How many pages of 4 KiB to take of each, from its first one on.

        Returns:
            Virtual page numbers, and their frames.
        """
        inside = np.arange(int(sizes.sum())) - np.repeat(np.cumsum(sizes) - sizes, sizes)
        pages = np.repeat(self._key[step] & _VPN_MASK, sizes) + inside
        frames = np.repeat(self._frame[step].astype(np.int64), sizes) + inside
        there = self.image.present(frames)
        return pages[there], frames[there]


def _canonical(pages: Frames) -> NDArray[np.uint64]:
    """Return the addresses of virtual pages; shifting to the top and back extends bit 47."""
    return ((pages << (64 - VPN_BITS)) >> (64 - VPN_BITS - PAGE_SHIFT)).view(np.uint64)
