"""Regions of a process's memory in a kernel image: their frames, page table entries, and absent pages."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from dumpscan.exceptions import ScenarioError
from dumpscan.model.windows import c_paging as paging
from dumpscan.model.windows.c_paging import PAGE_SHIFT, PAGE_SIZE
from dumpscan.synth.alignment import align
from dumpscan.synth.kernel.space import PAGED
from dumpscan.synth.kernel.vad import PROTECTION_INDEX, AddressRange
from dumpscan.synth.physical.memory import raw_words
from dumpscan.synth.physical.paging import USER_DATA

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from numpy.typing import NDArray

    from dumpscan.synth.kernel.scenario import Paging
    from dumpscan.synth.kernel.space import KernelSpace
    from dumpscan.synth.physical.paging import PageTables

READ_WRITE, READ_ONLY, EXECUTE_READ, EXECUTE_WRITE_COPY = 0x04, 0x02, 0x20, 0x80
"""PAGE_* constants (winnt.h)."""
GRANULARITY = 0x1_0000
"""Windows gives out address ranges in multiples of this many bytes."""
_WRITABLE_PROTECTIONS = frozenset({0x04, 0x08, 0x40, 0x80})
_EXECUTABLE_PROTECTIONS = frozenset({0x10, 0x20, 0x40, 0x80})
_PAGEFILE_FIRST = 0x1_0000
"""Number of the first page in the page file that is used."""


def page_flags(protect: int) -> int:
    """Return the flags of a valid entry with a PAGE_* protection."""
    flags = USER_DATA
    if protect not in _WRITABLE_PROTECTIONS:
        flags &= ~(paging.WRITABLE | paging.DIRTY)
    if protect in _EXECUTABLE_PROTECTIONS:
        flags &= ~paging.NO_EXECUTE
    return flags


def software_protection(protect: int) -> int:
    """Return the protection bits of an invalid entry."""
    return PROTECTION_INDEX[protect] << paging.PROTECTION_SHIFT


@dataclass(frozen=True, slots=True)
class MappedRegion:
    """A mapped region.

    Attributes:
        name: Name in the scenario.
        range: The addresses.
        page_size: Bytes of a page.
        shared: Name of the shared memory that it maps.
    """

    name: str
    range: AddressRange
    page_size: int = PAGE_SIZE
    shared: str | None = None


class RegionMapper:
    """Maps regions into a process.

    Args:
        kernel: System space, which holds prototype entries.
        space: The process's address space.
        shared: Frames of shared memory, by name.
        seed: Determines which pages are absent.
    """

    def __init__(
        self, kernel: KernelSpace, space: PageTables, shared: Mapping[str, NDArray[np.uint64]], seed: str
    ) -> None:
        self._kernel = kernel
        self._space = space
        self._shared = shared
        self._seed = seed
        self._pagefile = _PAGEFILE_FIRST + int(raw_words(seed, "pagefile", 1)[0] & np.uint64(0xFFFFF))

    def map(self, start: int, pages: int, protect: int, how: Paging) -> NDArray[np.uint64]:
        """Map `pages` 4 KiB pages at `start` and return the frames of those that are in memory."""
        if how.page_size != PAGE_SIZE:
            return self._map_large(start, pages, protect, how.page_size)
        memory = self._kernel.memory
        absent = self._absent(pages, how)
        if how.shared is not None:
            frames = self._shared[how.shared]
            if pages > len(frames):
                raise ScenarioError(f"a region of {pages} pages maps shared memory {how.shared!r} of {len(frames)}")
            frames = frames[:pages]
        else:
            frames = np.zeros(pages, dtype=np.uint64)
            frames[~absent] = memory.take(int((~absent).sum()))
        entries = frames << np.uint64(PAGE_SHIFT) | np.uint64(page_flags(protect))
        software = np.uint64(software_protection(protect))
        if how.transition:
            chosen = list(how.transition)
            entries[chosen] = frames[chosen] << np.uint64(PAGE_SHIFT) | software | np.uint64(paging.TRANSITION)
        if how.prototype:
            self._use_prototypes(entries, list(how.prototype), software)
        count = int(absent.sum())
        numbers = np.arange(self._pagefile, self._pagefile + count, dtype=np.uint64)
        self._pagefile += count
        entries[absent] = numbers << np.uint64(paging.PAGEFILE_OFFSET_SHIFT) | software
        self._space.set_entries(start, entries)
        return frames[~absent]

    def _absent(self, pages: int, how: Paging) -> NDArray[np.bool_]:
        absent = np.zeros(pages, dtype=bool)
        count = pages * (100 - how.resident) // 100
        if count:
            absent[np.argsort(raw_words(self._seed, f"absent-{pages}", pages), kind="stable")[:count]] = True
            absent[list(how.transition + how.prototype)] = False
        absent[list(how.paged_out)] = True
        return absent

    def _use_prototypes(self, entries: NDArray[np.uint64], pages: list[int], software: np.uint64) -> None:
        """Move the entries of pages to an array of prototype entries in paged pool, and refer to these instead."""
        array = self._kernel.store(b"MmSt", entries[pages].tobytes(), pool=PAGED)
        addresses = np.arange(len(pages), dtype=np.uint64) * np.uint64(8) + np.uint64(array & (1 << 48) - 1)
        entries[pages] = addresses << np.uint64(paging.PROTOTYPE_ADDRESS_SHIFT) | software | np.uint64(paging.PROTOTYPE)

    def _map_large(self, start: int, pages: int, protect: int, size: int) -> NDArray[np.uint64]:
        memory = self._kernel.memory
        each = size >> PAGE_SHIFT
        first = []
        for page in range(0, pages, each):
            frame = memory.take_contiguous(size)
            self._space.map_large(start + (page << PAGE_SHIFT), frame, size, page_flags(protect))
            first.append(frame)
        return (np.repeat(np.array(first), each) + np.tile(np.arange(each), len(first))).astype(np.uint64)


class AddressLayout:
    """The addresses of a process that are in use.

    Args:
        floor: Lowest address for ranges whose address is not given.
    """

    def __init__(self, floor: int) -> None:
        self._next = floor
        self._taken: list[tuple[int, int]] = []

    def take(self, start: int, size: int) -> None:
        """Mark a range as in use.

        Raises:
            ScenarioError: If it lies outside user space or overlaps another.
        """
        end = start + size
        if start % PAGE_SIZE or start < GRANULARITY or end > paging.USER_SPACE_END:
            raise ScenarioError(
                f"{start:#x}: expected a page-aligned address from {GRANULARITY:#x} to {paging.USER_SPACE_END:#x}"
            )
        for other_start, other_end in self._taken:
            if start < other_end and other_start < end:
                raise ScenarioError(f"{start:#x} to {end:#x} overlaps {other_start:#x} to {other_end:#x}")
        self._taken.append((start, end))

    def choose(self, size: int, alignment: int = GRANULARITY) -> int:
        """Return the address of a free range, without taking it. The next call looks behind it."""
        start = align(self._next, alignment)
        moved = True
        while moved:
            moved = False
            for other_start, other_end in self._taken:
                if start < other_end and other_start < start + size:
                    start, moved = align(other_end, alignment), True
        self._next = start + size + GRANULARITY
        return start

    def sorted_ranges(self, ranges: Iterable[AddressRange]) -> list[AddressRange]:
        """Return ranges in ascending order."""
        return sorted(ranges, key=lambda entry: entry.start)
