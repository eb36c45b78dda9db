"""Windows crash dumps of every type that holds physical memory: which runs of the file are which physical addresses.

volatility3 reads full dumps and full bitmaps only. The layouts, with their sources, are in
`dumpscan.model.windows.c_crash_dump`.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from dumpscan.exceptions import InputError
from dumpscan.memory.physical.bitmaps import set_bits
from dumpscan.memory.physical.image import FRAME_LIMIT, PhysicalImage
from dumpscan.memory.windows.values import file_time
from dumpscan.model.windows import c_crash_dump as layout
from dumpscan.model.windows.c_crash_dump import DumpType, c_crash_dump
from dumpscan.model.windows.c_paging import PAGE_SHIFT

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from dumpscan.memory.mapped_file import MappedFile

    Structure = Any  # of dissect.cstruct, which has no type hints
    Layout = Any

_KERNEL_ONLY = (DumpType.SUMMARY, DumpType.BITMAP_KERNEL, DumpType.AUTOMATIC, DumpType.KERNEL_RANGES)
_WITHOUT_MEMORY: dict[int, str] = {
    DumpType.HEADER: "a header alone (type 3)",
    DumpType.TRIAGE: "a small memory dump, or triage dump (type 4)",
}
_RANGES = (DumpType.KERNEL_RANGES, DumpType.KERNEL_AND_USER_RANGES, DumpType.FULL_RANGES)

_MAX_RUNS = 1 << 20
"""Runs that are taken from a bitmap or a list of ranges. One for every other page of 8 GiB are so many."""

_Run = tuple[int, int, int]
"""Physical address, size in bytes, file offset."""


class _Bitmap(NamedTuple):
    """Which page frames are in the file.

    Attributes:
        offset: File offset of the bits.
        bits: How many there are.
        first: File offset of the first page.
    """

    offset: int
    bits: int
    first: int


def open_crash_dump(file: MappedFile) -> PhysicalImage:
    """Open a file that begins with `PAGE`.

    Raises:
        InputError: Its header is cut off or damaged, it is encrypted, or of a type that holds no physical memory.
    """
    return _CrashDump(file).image()


class _CrashDump:
    """A crash dump's header, and the lists behind it."""

    def __init__(self, file: MappedFile) -> None:
        self._file = file
        self._wide = bytes(file.buffer[4:8]) != layout.VALID_DUMP_32
        self._form = c_crash_dump.DUMP_HEADER64 if self._wide else c_crash_dump.DUMP_HEADER32
        self._header = self._read(self._form, 0)
        self._type = int(self._header.DumpType)
        self._problems: list[str] = []

    def image(self) -> PhysicalImage:
        """Return the physical memory."""
        if self._type in _WITHOUT_MEMORY or self._type not in {int(kind) for kind in DumpType}:
            raise self._refused(_WITHOUT_MEMORY.get(self._type, f"its type, {self._type}, is unknown"))
        attributes = int(self._header.Attributes)  # where they are not written there is `PAGE` all over
        if attributes < layout.MAX_ATTRIBUTES and attributes & layout.ENCRYPTED:
            raise InputError(self._file.path, "is a Windows crash dump whose memory is encrypted", offset=0)
        runs = list(islice(self._runs(), _MAX_RUNS + 1))
        if len(runs) > _MAX_RUNS:
            raise InputError(self._file.path, f"lists more than {_MAX_RUNS} runs of memory: it is damaged")
        if not runs:
            raise self._damaged("it lists no runs of memory", len(self._form))
        image = PhysicalImage(self._file, runs, image_format=self._name(), path=self._file.path)
        image.problems[:0] = self._problems
        if self._wide:  # the other header has no such field where it is known
            image.captured = file_time(int(self._header.SystemTime))
        return image

    def _name(self) -> str:
        parts = ["Windows crash dump"]
        if self._type in _KERNEL_ONLY:
            parts.append("kernel memory")
        if not self._wide:
            parts.append("32-bit")
        return ", ".join(parts)

    def _runs(self) -> Iterator[_Run]:
        if self._type == DumpType.FULL:
            return self._following(self._listed_runs(), len(self._form))
        if self._type in _RANGES:
            return self._ranges()
        return self._bitmap_runs(self._summary() if self._type == DumpType.SUMMARY else self._bitmap())

    # --- Runs in the header -------------------------------------------------------------------------------------------

    def _listed_runs(self) -> Iterator[tuple[int, int]]:
        listed, count = self._header.Run, int(self._header.NumberOfRuns)
        if count > len(listed):
            self._problems.append(f"the header claims {count} runs of memory; it has room for {len(listed)}")
        for run in listed[:count]:
            yield int(run.BasePage), int(run.PageCount)

    def _following(self, runs: Iterable[tuple[int, int]], offset: int) -> Iterator[_Run]:
        """Place runs of pages one behind the other in the file."""
        for page, count in runs:
            yield page << PAGE_SHIFT, count << PAGE_SHIFT, offset
            offset += count << PAGE_SHIFT

    # --- Ranges -------------------------------------------------------------------------------------------------------

    def _ranges(self) -> Iterator[_Run]:
        """Read the list that the debugger writes; an entry of no pages ends it."""
        at = len(self._form)
        head = self._read(c_crash_dump.RANGES_DUMP, at)
        if (int(head.Marker), head.Signature, head.ValidDump) != (
            layout.RANGES_MARKER,
            layout.RANGES_SIGNATURE,
            layout.PART_VALID_DUMP,
        ):
            raise self._damaged("the header of its list of ranges is damaged", at)
        first = int(head.FirstPageOffset)
        return self._following(self._listed_ranges(at + len(head), first), first)

    def _listed_ranges(self, at: int, end: int) -> Iterator[tuple[int, int]]:
        form = c_crash_dump.PHYSICAL_MEMORY_RUN64
        room = max(min(end, self._file.size) - at, 0) // len(form)
        table = np.frombuffer(self._file.buffer, "<u8", 2 * min(room, _MAX_RUNS + 1), at).reshape(-1, 2)
        for page, count in table.tolist():
            if not count:
                return
            yield page, count

    # --- Bitmaps ------------------------------------------------------------------------------------------------------

    def _summary(self) -> _Bitmap:
        """Read the header of a kernel dump of Windows 2000 to 7; later ones may have the newer header."""
        at = len(self._form)
        head = self._read(c_crash_dump.SUMMARY_DUMP, at)
        if not int(head.BitmapSize) or head.BitmapSize != head.SizeOfBitMap:
            return self._bitmap()
        self._check_bitmap(head, at)
        behind = at + len(head) + (8 if self._wide else 0)
        return self._within_file(_Bitmap(behind, int(head.BitmapSize), int(head.HeaderSize)))

    def _bitmap(self) -> _Bitmap:
        at = len(self._form)
        head = self._read(c_crash_dump.BITMAP_DUMP, at)
        self._check_bitmap(head, at)
        return self._within_file(_Bitmap(at + len(head), int(head.BitmapSize), int(head.HeaderSize)))

    def _check_bitmap(self, head: Structure, at: int) -> None:
        if head.Signature not in layout.BITMAP_SIGNATURES or head.ValidDump != layout.PART_VALID_DUMP:
            raise self._damaged("the header of its bitmap is damaged", at)

    def _within_file(self, found: _Bitmap) -> _Bitmap:
        room = max(min(found.first, self._file.size) - found.offset, 0) * 8
        bits = min(found.bits, room, FRAME_LIMIT)
        if bits < found.bits:
            self._problems.append(f"the bitmap of pages claims {found.bits} bits; {bits} were read")
        return found._replace(bits=bits)

    def _bitmap_runs(self, bitmap: _Bitmap) -> Iterator[_Run]:
        return self._following(self._set_bits(bitmap), bitmap.first)

    def _set_bits(self, bitmap: _Bitmap) -> Iterator[tuple[int, int]]:
        """Yield the runs of set bits: first frame, frames. One that goes on in the next step comes in two."""
        size = (bitmap.bits + 7) // 8
        data = np.frombuffer(self._file.buffer, np.uint8, size, bitmap.offset)
        for edges in set_bits(data, bitmap.bits):
            for first, past in edges.tolist():
                yield first, past - first

    # --- Reading ------------------------------------------------------------------------------------------------------

    def _read(self, form: Layout, offset: int) -> Structure:
        data = bytes(self._file.buffer[offset : offset + len(form)])
        if len(data) < len(form):
            raise self._refused(f"its header is cut off: the file has {self._file.size} bytes")
        return form(data)

    def _refused(self, why: str) -> InputError:
        return InputError(self._file.path, f"is a Windows crash dump without all of physical memory: {why}", offset=0)

    def _damaged(self, why: str, offset: int) -> InputError:
        kind = f"{DumpType(self._type).name}, {self._type}"
        return InputError(self._file.path, f"is a damaged Windows crash dump of type {kind}: {why}", offset=offset)
