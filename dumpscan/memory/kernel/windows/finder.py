"""Finds the Windows kernel in physical memory: its page tables, its base address, and the PDB that it names.

The marks are those that volatility3's automagic looks for: a top-level page table that points to itself once,
KUSER_SHARED_DATA at its two fixed addresses, `MZ`, and an RSDS record with the name of a kernel's PDB (sources:
docs/memory-layouts.md, "Windows kernel images"). Unlike volatility3, this module walks the kernel's own page tables, so
that it searches only the memory where kernels are loaded, not all of the image.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from itertools import islice, pairwise
from typing import TYPE_CHECKING

import numpy as np

from dumpscan.findings import Process
from dumpscan.memory.physical.page_map import Owner, PageMap
from dumpscan.memory.physical.page_tables import translate
from dumpscan.memory.physical.virtual_memory import VirtualMemory
from dumpscan.memory.symbols.pdb import PdbRecord
from dumpscan.memory.windows.values import windows_guid
from dumpscan.model.windows.c_kernel import DEBUG_DIRECTORY, DEBUG_TYPE_CODEVIEW, PE32_PLUS, c_kernel
from dumpscan.model.windows.c_paging import (
    ENTRIES_PER_TABLE,
    KERNEL_HALF,
    KUSER_SHARED_DATA_KERNEL,
    KUSER_SHARED_DATA_USER,
    LARGE,
    PAGE_SHIFT,
    PAGE_SIZE,
    VALID,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray

    from dumpscan.memory.physical.image import PhysicalImage

    Tables = NDArray[np.uint64]

_SYSTEM_TIME = 0x14
_NT_MAJOR_VERSION = 0x26C
"""Offsets in KUSER_SHARED_DATA, the same in every version (docs/memory-layouts.md, "KUSER_SHARED_DATA")."""
_MAJOR_VERSIONS = {3, 4, 5, 6, 10}

_SELF_MASK = 0x3FFFFFFFFFF000
_LOW_END = 0x6000000
"""Windows puts the first top-level table of a boot below this address, and volatility3 looks no further."""
_LOW_RANGES = ((0x150000, 0x2A0000), (0x550000, 0x6F0000), (0x900000, 0xA00000))
"""Where that table is most often."""
_SPAN = 2048
_LOWEST_32BIT = 0x30000 >> PAGE_SHIFT
_SPAN_32BIT = 0x1000000 >> PAGE_SHIFT
"""Frames in which volatility3 looks for 32-bit page directories."""

_KERNEL_INDEX = 0x1F0
"""Top-level index of 0xFFFFF80000000000, where the kernel and its drivers are loaded."""
_PDB_NAMES = rb"ntkrnlmp|ntoskrnl|ntkrnlpa|ntkrpamp"
_RSDS = re.compile(rb"RSDS(.{16})(.{4})((?:" + _PDB_NAMES + rb")\.pdb)\0", re.DOTALL)
_RSDS_LENGTH = 4 + 16 + 4 + 13
_RECORD_WITHIN = 4 << 20
"""The record lies within this distance of the kernel's base, according to volatility3."""
_MAX_RECORD_SEARCH = 512 << 20
"""Bytes searched for that record behind the bases of modules. The kernel is among the lowest ones."""
_MAX_TABLES = 256
_MAX_KERNELS = 8
_TRIES = 2
"""Top-level tables of all processes lead to the same kernel. If two do not, the others with the same page of
KUSER_SHARED_DATA will not either."""
_MAX_SEARCHES = 16
_MAX_PAGES = 4 << 20
"""Pages of the kernel's half that are searched for a program's header: 16 GiB, while drivers take some 100 MB."""
_MAX_MODULES = 8192
"""Windows loads a few hundred; the kernel is among the lowest."""


X64_LAYER = "WindowsIntel32e"
"""volatility3's layer for x64 page tables."""


@dataclass(frozen=True, slots=True)
class Kernel:
    """A Windows kernel found in an image.

    Attributes:
        root: Physical address of its top-level page table (DTB).
        self_index: Index of the entry in that table that points to the table; None if it has none.
        base: Virtual address at which the kernel is loaded.
        pdb: Its symbol file.
        system_time: KUSER_SHARED_DATA's clock, 100 ns since 1601; it tells which of several kernels ran last.
        layer: Name of volatility3's layer for its kind of page tables.
    """

    root: int
    self_index: int | None
    base: int
    pdb: PdbRecord
    system_time: int = 0
    layer: str = X64_LAYER


@dataclass(frozen=True, slots=True)
class TopTable:
    """A page table that points to itself.

    Attributes:
        frame: Its page frame.
        index: Index of the entry that points to the table.
    """

    frame: int
    index: int


def find_kernels(image: PhysicalImage) -> list[Kernel]:
    """Find the kernels whose page tables are in the image, the likeliest first.

    The kernel whose clock is latest is the likeliest: clocks of an earlier boot have stopped.

    Args:
        image: Physical memory.

    Returns:
        Each kernel once; none if there is no Windows x64 kernel or its page tables are damaged.
    """
    found: list[Kernel] = []
    low = sorted(
        top_tables(image, 0, _LOW_END >> PAGE_SHIFT), key=lambda top: (not _in_low_range(top.frame), top.frame)
    )
    found += _kernels_of(image, low)
    if not found:
        found += _kernels_of(image, top_tables(image, _LOW_END >> PAGE_SHIFT, None))
    return sorted(found, key=lambda kernel: -kernel.system_time)


def top_tables(image: PhysicalImage, first: int, past: int | None) -> Iterator[TopTable]:
    """Find tables in which exactly one entry of the kernel's half is valid and points to the table itself.

    Args:
        image: Physical memory.
        first: First frame to look at.
        past: Frame before which to stop; None for the end of the image.
    """
    for start, tables in image.spans(_SPAN):
        if start + len(tables) <= first:
            continue
        if past is not None:
            if start >= past:
                return
            tables = tables[: past - start]  # noqa: PLW2901 - the rest does not matter
        found = tables_pointing_to_themselves(start, tables)
        image.passed(tables.nbytes)
        yield from (table for table in found if table.frame >= first)


def tables_pointing_to_themselves(start: int, tables: Tables) -> list[TopTable]:
    """Return those of consecutive frames that may be top-level tables (see `top_tables`).

    Args:
        start: Number of the first frame.
        tables: The frames as 64-bit numbers, shape (n, 512).
    """
    mask = np.uint64(_SELF_MASK | VALID)
    impossible = np.uint64(VALID | LARGE)
    numbers = np.arange(start, start + len(tables), dtype=np.uint64)
    wanted = (numbers << np.uint64(PAGE_SHIFT)) | np.uint64(VALID)
    rows, columns = np.nonzero((tables[:, KERNEL_HALF : ENTRIES_PER_TABLE - 1] & mask) == wanted[:, None])
    once = np.bincount(rows, minlength=len(tables))[rows] == 1
    return [
        TopTable(start + row, KERNEL_HALF + column)
        for row, column in zip(rows[once].tolist(), columns[once].tolist(), strict=True)
        if start + row and not ((tables[row] & impossible) == impossible).any()
    ]


def tables_with_self_index(start: int, tables: Tables, index: int) -> list[int]:
    """Return which of consecutive frames are top-level tables with the entry for themselves at a known index.

    Args:
        start: Number of the first frame.
        tables: The frames as 64-bit numbers, shape (n, 512).
        index: Index of the entry.
    """
    numbers = np.arange(start, start + len(tables), dtype=np.uint64)
    wanted = (numbers << np.uint64(PAGE_SHIFT)) | np.uint64(VALID)
    rows = np.flatnonzero((tables[:, index] & np.uint64(_SELF_MASK | VALID)) == wanted)
    found = (tables_pointing_to_themselves(start + row, tables[row : row + 1]) for row in rows.tolist())
    return [table.frame for each in found for table in each]


def may_have_other_kernel(image: PhysicalImage) -> bool:
    """Return whether there is a reason to let volatility3 search, which takes seconds.

    There is one if the image may have a 32-bit system's page directory (it points to itself at index 0x300, with PAE at
    3, and lies low), or an x64 system's top-level table below which no kernel was found.
    """
    for start, tables in image.spans(_SPAN):
        if start >= _LOWEST_32BIT + _SPAN_32BIT:
            break
        tables = tables[: _LOWEST_32BIT + _SPAN_32BIT - start]  # noqa: PLW2901 - the rest does not matter
        wanted = (np.arange(start, start + len(tables), dtype=np.uint64) << np.uint64(PAGE_SHIFT)) | np.uint64(VALID)
        with_pae = tables[:, 3] & np.uint64(_SELF_MASK | VALID) == wanted
        without = tables[:, 0x300 // 2] & np.uint64(0xFFFFF000 | VALID) == wanted
        if bool((with_pae | without)[1 if start == 0 else 0 :].any()):
            return True
    tops = islice(top_tables(image, 0, _LOW_END >> PAGE_SHIFT), _MAX_TABLES)
    return any(
        (kuser := translate(image, top.frame, KUSER_SHARED_DATA_KERNEL)) is not None
        and _is_kuser(image, top.frame, kuser)
        for top in tops
    )


def self_reference(image: PhysicalImage, root: int) -> int | None:
    """Return the index of the entry in a top-level table, given by its frame, that points to the table, or None."""
    return next((top.index for top in top_tables(image, root, root + 1)), None)


def scan_records(image: PhysicalImage) -> list[PdbRecord]:
    """Search all of physical memory for PDB records of kernels; used if no page tables are found."""
    found: dict[PdbRecord, None] = {}
    step = 64 << 20
    for region in image.written:
        for first in range(0, region.size, step):
            offset = region.file_offset + first
            end = min(offset + step + _RSDS_LENGTH, region.file_offset + region.size)
            for match in _RSDS.finditer(image.buffer[offset:end]):
                found.setdefault(_record(match))
            image.passed(end - offset)
            if len(found) >= _MAX_KERNELS:
                return list(found)
    return list(found)


def _kernels_of(image: PhysicalImage, tables: Iterable[TopTable]) -> list[Kernel]:
    """Find the kernel behind each top-level table. Processes share their kernel, which is listed once."""
    found: dict[tuple[int, int | None], Kernel] = {}
    tried: Counter[int] = Counter()
    searches = 0
    for table in islice(tables, _MAX_TABLES):
        if len(found) >= _MAX_KERNELS or searches >= _MAX_SEARCHES:
            break
        kuser = translate(image, table.frame, KUSER_SHARED_DATA_KERNEL)
        if kuser is None or tried[kuser] >= _TRIES or not _is_kuser(image, table.frame, kuser):
            continue
        tried[kuser] += 1
        searches += 1
        kernel = _kernel_of(image, table, kuser)
        if kernel is not None:
            tried[kuser] = _TRIES
            found.setdefault((kernel.base, translate(image, table.frame, kernel.base)), kernel)
    return list(found.values())


def _in_low_range(frame: int) -> bool:
    return any(first <= frame << PAGE_SHIFT < past for first, past in _LOW_RANGES)


def _is_kuser(image: PhysicalImage, root: int, kuser: int) -> bool:
    """Return whether a page is KUSER_SHARED_DATA: it is mapped for processes too, or has a version of Windows."""
    if translate(image, root, KUSER_SHARED_DATA_USER) == kuser:
        return True
    return int.from_bytes(image.read(kuser + _NT_MAJOR_VERSION, 4), "little") in _MAJOR_VERSIONS


def _kernel_of(image: PhysicalImage, table: TopTable, kuser: int) -> Kernel | None:
    """Find the kernel that a top-level table maps, first where drivers lie, then in all of the kernel's half."""
    for indices in ((_KERNEL_INDEX,), tuple(i for i in range(KERNEL_HALF, ENTRIES_PER_TABLE) if i != _KERNEL_INDEX)):
        owner = Owner(Process(), table.frame, kernel=True)
        mapped = PageMap(image, [owner], self_index=table.index, kernel_indices=indices, most=_MAX_PAGES)
        space = VirtualMemory(mapped, 0)
        modules = _modules(image, mapped)
        base, record = _by_debug_directory(space, modules) or _by_record(space, modules) or (0, None)
        if record is not None:
            clock = image.read(kuser + _SYSTEM_TIME, 8)
            return Kernel(table.frame << PAGE_SHIFT, table.index, base, record, int.from_bytes(clock, "little"))
    return None


def _modules(image: PhysicalImage, mapped: PageMap) -> list[int]:
    """List the addresses of pages that begin with `MZ`, in ascending order."""
    found: list[int] = []
    for addresses, frames in mapped.pages(limit=_MAX_PAGES):
        heads = image.gather(frames, 0, 2)
        image.release()
        found += addresses[(heads[:, 0] == ord("M")) & (heads[:, 1] == ord("Z"))].tolist()
    return sorted(found)[:_MAX_MODULES]


def _by_debug_directory(space: VirtualMemory, modules: list[int]) -> tuple[int, PdbRecord] | None:
    """Find the module whose debug directory names a kernel's PDB."""
    for base in modules:
        record = _debug_record(space, base)
        if record is not None:
            return base, record
    return None


def _debug_record(space: VirtualMemory, base: int) -> PdbRecord | None:
    """Read a module's PDB record through its PE headers; return None if it is absent or not a kernel's."""
    header = space.read(base, PAGE_SIZE)
    try:
        pe = c_kernel.IMAGE_NT_HEADERS64(header[c_kernel.IMAGE_DOS_HEADER(header).e_lfanew :])
    except EOFError:
        return None
    if pe.Signature != b"PE\0\0" or pe.Magic != PE32_PLUS:
        return None
    where = pe.DataDirectory[DEBUG_DIRECTORY]
    directory = space.read(base + where.VirtualAddress, min(where.Size, PAGE_SIZE)) if where.VirtualAddress else b""
    for at in range(0, len(directory) - c_kernel.IMAGE_DEBUG_DIRECTORY.size + 1, c_kernel.IMAGE_DEBUG_DIRECTORY.size):
        entry = c_kernel.IMAGE_DEBUG_DIRECTORY(directory[at:])
        if entry.Type == DEBUG_TYPE_CODEVIEW:
            match = _RSDS.match(space.read(base + entry.AddressOfRawData, min(entry.SizeOfData, PAGE_SIZE)))
            if match:
                return _record(match)
    return None


def _by_record(space: VirtualMemory, modules: list[int]) -> tuple[int, PdbRecord] | None:
    """Find the module that has a kernel's PDB record between its base and the next module's."""
    left = _MAX_RECORD_SEARCH
    for base, end in pairwise([*modules, 1 << 64]):
        size = min(end - base, _RECORD_WITHIN, left)
        left -= size
        match = _RSDS.search(space.read_padded(base, size))
        if match:
            return base, _record(match)
    return None


def _record(match: re.Match[bytes]) -> PdbRecord:
    """Decode an RSDS record."""
    guid, age, name = match.groups()
    return PdbRecord(name.decode("ascii"), windows_guid(guid).replace("-", ""), int.from_bytes(age, "little"))
