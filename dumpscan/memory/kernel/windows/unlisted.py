"""Processes that the kernel's list does not have: ended ones whose record is still there, and hidden ones.

A program that hides a process takes it out of the list. Its record (EPROCESS) stays in the pool, as does the top-level
page table without which it cannot run. Both are looked for in all of physical memory: pool blocks by their tag, as
volatility3's `windows.psscan` does, and tables by the entry that points to themselves. A table to which no record from
the list or the pool leads is looked for in turn: as the value of a record's DirectoryTableBase.

Layouts are in docs/memory-layouts.md, "Windows kernel images".
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from dumpscan.findings import Process
from dumpscan.memory.kernel.cache import ImageCache
from dumpscan.memory.kernel.profile import ListedProcess
from dumpscan.memory.kernel.windows.finder import tables_with_self_index
from dumpscan.memory.kernel.windows.processes import ProcessRecords, is_plausible, max_processes
from dumpscan.memory.kernel.windows.session import ADDRESS_MASK
from dumpscan.memory.physical.page_tables import entry_frame, translate
from dumpscan.model.windows.c_paging import (
    CR3_FRAME_MASK,
    KERNEL_HALF,
    KUSER_SHARED_DATA_KERNEL,
    PAGE_SHIFT,
    is_present,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from datetime import datetime
    from pathlib import Path

    from dumpscan.memory.kernel.windows.finder import Kernel
    from dumpscan.memory.kernel.windows.session import KernelSession
    from dumpscan.memory.physical.image import PhysicalImage

MAX_TABLES = 4096
"""Top-level tables that are looked at."""
MAX_RECORDS = 1 << 14
"""Records of processes that are looked at, those that turn out to be none included."""
_SPAN = 2048
_POOL_TAG = np.uint32(int.from_bytes(b"Proc", "little"))
_WITHOUT_PROTECTION = np.uint32(0x7FFF_FFFF)
"""Tag of pool blocks with an EPROCESS; before Windows 8, its highest bit says that the block is protected."""
_POOL_HEADER = 16
_MAX_HEADERS = 0x100
"""Bytes that the headers of an object take at most."""
_PROCESS_OBJECT = 3
"""Type of a process in a dispatcher header (KOBJECTS)."""
_SELF_POINTERS = ("ProfileListHead", "ReadyListHead", "ThreadListHead")
"""Lists in KPROCESS that are mostly empty: they then hold their own virtual address."""
_PID_STEP = 4


@dataclass(frozen=True, slots=True)
class Remains:
    """What was found in physical memory.

    Attributes:
        blocks: Physical addresses of pool blocks that may hold an EPROCESS.
        tables: Frames of top-level tables.
    """

    blocks: tuple[int, ...]
    tables: tuple[int, ...]


def find_remains(image: PhysicalImage, self_index: int) -> Remains:
    """Search physical memory, once, for pool blocks of processes and for top-level page tables.

    Args:
        image: Physical memory.
        self_index: Index of the entry that points to its own table.
    """
    blocks: list[int] = []
    tables: list[int] = []
    for start, words in image.spans(_SPAN):
        if len(blocks) < MAX_RECORDS:
            tags = words.reshape(-1).view("<u4")[1::4]  # blocks lie at multiples of 16, their tag is at offset 4
            found = np.flatnonzero((tags & _WITHOUT_PROTECTION) == _POOL_TAG)
            blocks += ((start << PAGE_SHIFT) + found * _POOL_HEADER).tolist()
        if len(tables) < MAX_TABLES:
            tables += tables_with_self_index(start, words, self_index)
        image.passed(words.nbytes)
    return Remains(tuple(blocks[:MAX_RECORDS]), tuple(tables[:MAX_TABLES]))


def find_values(image: PhysicalImage, frames: Iterable[int]) -> Iterator[tuple[int, int]]:
    """Search physical memory for values of CR3 that name a table.

    Args:
        image: Physical memory.
        frames: Frames of the tables.

    Yields:
        The physical address of a value, and the frame that it names.
    """
    wanted = np.array(sorted(frames), np.uint64) << np.uint64(PAGE_SHIFT)
    count = 0
    for start, words in image.spans(_SPAN):
        masked = words & np.uint64(CR3_FRAME_MASK)
        rows, columns = np.nonzero(np.isin(masked, wanted))
        for row, column in zip(rows.tolist(), columns.tolist(), strict=True):
            yield ((start + row) << PAGE_SHIFT) + column * 8, int(masked[row, column]) >> PAGE_SHIFT
            count += 1
            if count == MAX_RECORDS:
                return
        image.passed(words.nbytes)


class UnlistedProcesses:
    """Finds processes that are not in the kernel's list.

    Args:
        image: Physical memory.
        kernel: The kernel, of which the page tables are x64 ones.
        session: A session with its symbol table.
        cache_dir: As for `ImageCache`.
    """

    def __init__(
        self, image: PhysicalImage, kernel: Kernel, session: KernelSession, cache_dir: Path | None = None
    ) -> None:
        self._image = image
        self._kernel = kernel
        self._session = session
        self._records = ProcessRecords(session)
        self._most = max_processes(image.size)
        self._cache = ImageCache(image.path, "windows-unlisted", cache_dir)
        self._base = session.offset("_EPROCESS", "Pcb") + session.offset("_KPROCESS", "DirectoryTableBase")

    def find(self, listed: Sequence[ListedProcess]) -> tuple[ListedProcess, ...]:
        """Return the processes that are not among the listed ones, by process id, then those without a record."""
        remains = self._remains()
        found: dict[int, ListedProcess] = {}
        known = {entry.address & ADDRESS_MASK for entry in listed}
        seen = {(entry.process.pid, entry.process.created) for entry in listed}
        for block in remains.blocks:
            self._add(self._in_block(block), found, known, seen)
        orphans = self._orphans(remains.tables, (*listed, *found.values()))
        if orphans:
            for at, _frame in find_values(self._image, orphans):
                self._add(self._entry_at(at - self._base), found, known, seen)
            owned = {entry.root for entry in found.values()}
            orphans = [frame for frame in orphans if frame not in owned]
        entries = sorted(found.values(), key=lambda entry: (entry.process.pid or 0, entry.address))
        return (*entries, *map(_without_record, orphans))

    def _remains(self) -> Remains:
        known: Any = self._cache.load()
        if isinstance(known, dict) and all(_are_numbers(known.get(name)) for name in ("blocks", "tables")):
            return Remains(tuple(known["blocks"]), tuple(known["tables"]))
        index = self._kernel.self_index
        remains = Remains((), ()) if index is None else find_remains(self._image, index)
        self._cache.save({"blocks": list(remains.blocks), "tables": list(remains.tables)})
        return remains

    # --- Records -----------------------------------------------------------------------------------------------------

    def _add(
        self,
        entry: ListedProcess | None,
        found: dict[int, ListedProcess],
        known: set[int],
        seen: set[tuple[int | None, datetime | None]],
    ) -> None:
        """Add a process unless it is listed, or a copy of one that is."""
        if entry is None or entry.address & ADDRESS_MASK in known:
            return
        identity = (entry.process.pid, entry.process.created)
        if identity not in seen and len(found) < self._most:
            seen.add(identity)
            found[entry.address] = entry

    def _in_block(self, block: int) -> ListedProcess | None:
        """Return the process whose EPROCESS is in a pool block, behind headers whose size is not known."""
        for at in range(block + _POOL_HEADER, block + _POOL_HEADER + _MAX_HEADERS, _POOL_HEADER):
            if self._image.read(at, 1) == bytes((_PROCESS_OBJECT,)):
                entry = self._entry_at(at)
                if entry is not None:
                    return entry
        return None

    def _entry_at(self, physical: int) -> ListedProcess | None:
        """Return the process whose EPROCESS begins at a physical address; None if there is none."""
        if physical < 0 or self._image.read(physical, 1) != bytes((_PROCESS_OBJECT,)):
            return None
        address = self._virtual(physical)
        if address is None:
            return None
        entry = self._records.at(address)
        if entry is None or not self._makes_sense(entry):
            return None
        return replace(entry, process=replace(entry.process, unlisted=True))

    def _virtual(self, physical: int) -> int | None:
        """Return the virtual address of an EPROCESS: it holds pointers to itself, and the kernel's tables agree."""
        process = self._session.offset("_EPROCESS", "Pcb")
        for name in _SELF_POINTERS:
            if not self._session.has("_KPROCESS", name):
                continue
            at = process + self._session.offset("_KPROCESS", name)
            pointer = int.from_bytes(self._image.read(physical + at, 8), "little")
            for candidate in (pointer - at, self._by_thread(pointer) if name == "ThreadListHead" else 0):
                if candidate > 0 and translate(self._image, self._kernel.root >> PAGE_SHIFT, candidate) == physical:
                    return candidate & ADDRESS_MASK
        return None

    def _by_thread(self, pointer: int) -> int:
        """Return the process that the first thread in a process's list belongs to; 0 if it cannot be told."""
        if not (self._session.has("_KTHREAD", "ThreadListEntry") and self._session.has("_KTHREAD", "Process")):
            return 0
        thread = (pointer & ADDRESS_MASK) - self._session.offset("_KTHREAD", "ThreadListEntry")
        owner = self._session.number(thread + self._session.offset("_KTHREAD", "Process")) if thread > 0 else None
        return owner or 0

    def _makes_sense(self, entry: ListedProcess) -> bool:
        process = entry.process
        if not is_plausible(process) or process.pid is None or process.pid <= 0 or process.pid % _PID_STEP:
            return False
        ended_before = process.exited is not None and process.created is not None and process.exited < process.created
        return not ended_before and (process.name or "").isascii()

    # --- Tables ------------------------------------------------------------------------------------------------------

    def _orphans(self, tables: Iterable[int], entries: Iterable[ListedProcess]) -> list[int]:
        """Return the tables that no process owns and that are in use: of this kernel, with memory of a process."""
        owned = {self._kernel.root >> PAGE_SHIFT}
        for entry in entries:
            owned |= {entry.root or 0, self._shadow(entry.address)}
        shared = translate(self._image, self._kernel.root >> PAGE_SHIFT, KUSER_SHARED_DATA_KERNEL)
        return [
            frame
            for frame in tables
            if frame not in owned
            and translate(self._image, frame, KUSER_SHARED_DATA_KERNEL) == shared
            and self._has_memory(frame)
        ]

    def _shadow(self, address: int) -> int:
        """Return the frame of the second table that a process has where the kernel hides from it; 0 if it has none."""
        if not address or not self._session.has("_KPROCESS", "UserDirectoryTableBase"):
            return 0
        at = self._session.offset("_EPROCESS", "Pcb") + self._session.offset("_KPROCESS", "UserDirectoryTableBase")
        return ((self._session.number(address + at) or 0) & CR3_FRAME_MASK) >> PAGE_SHIFT

    def _has_memory(self, frame: int) -> bool:
        if not self._image.present(np.array([frame], np.int64))[0]:
            return False
        user = self._image.tables(np.array([frame], np.int64))[0][:KERNEL_HALF].tolist()
        frames = [entry_frame(entry) for entry in user if is_present(entry)]
        return bool(frames) and bool(self._image.present(np.array(frames, np.int64)).all())


def _are_numbers(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(each, int) and each >= 0 for each in value)


def _without_record(frame: int) -> ListedProcess:
    note = f"known only by its page tables at {frame << PAGE_SHIFT:#x}: no record of it was found"
    return ListedProcess(Process(unlisted=True, architecture="x64", notes=(note,)), frame, 0, 0)
