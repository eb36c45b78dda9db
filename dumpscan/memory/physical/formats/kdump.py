"""kdump-compressed files, as makedumpfile and QEMU write them: a bitmap of page frames, and packed pages.

Layouts and their sources are in `dumpscan.model.c_kdump`. See `docs/memory-layouts.md`, "kdump-compressed files".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from dumpscan.exceptions import InputError
from dumpscan.memory.physical.bitmaps import set_bits
from dumpscan.memory.physical.formats.elf import MAX_VMCOREINFO
from dumpscan.memory.physical.formats.flattened import FlattenedContent, content_of
from dumpscan.memory.physical.formats.packed_pages import PackedPages, PageTable
from dumpscan.memory.physical.image import FRAME_LIMIT, PhysicalImage
from dumpscan.memory.records import record_type, unix_time
from dumpscan.model import c_kdump as layout
from dumpscan.model.c_kdump import LeftOut, c_kdump

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from dumpscan.memory.mapped_file import MappedFile

    Structure = Any  # of dissect.cstruct, which has no type hints
    Layout = Any
    Frames = NDArray[np.int64]

FORMAT = "kdump-compressed"
MAX_VERSION = 16
"""Header versions end here; 6 is the newest that is known. Numbers of the other byte order are far above."""
# Pages of zeros are not left out of this format: they share one place in the file.
_LEFT_OUT = (
    (LeftOut.CACHE | LeftOut.CACHE_PRIVATE, "page cache"),
    (LeftOut.USER, "user memory"),
    (LeftOut.FREE, "free memory"),
)
_BLOCK_SIZES = tuple(1 << bits for bits in range(12, 17))
_MACHINES_OF_32_BITS = (b"i386", b"i486", b"i586", b"i686", b"arm", b"armv6l", b"armv7l", b"ppc", b"mips")


@dataclass(frozen=True, slots=True)
class _Stored:
    """Which page frames are in the file.

    Attributes:
        runs: First frame, and number of frames, of each run; shape (n, 2).
        count: Frames that the file should have. If the file is too short for all of them, some runs are left out.
    """

    runs: Frames
    count: int

    def frames(self) -> Frames:
        """Return all of them, in ascending order."""
        first, counts = self.runs.T
        before = np.cumsum(counts) - counts
        return np.repeat(first - before, counts) + np.arange(counts.sum())


def open_kdump(file: MappedFile, scratch: Path | None = None) -> PhysicalImage:
    """Open a kdump-compressed file, flattened or not. Its pages are unpacked, each once.

    Args:
        file: The file.
        scratch: Directory to unpack into; by default, pages are unpacked into memory.

    Raises:
        InputError: It is cut off before its first page, damaged, of a 32-bit machine, or larger than there is room for.
    """
    return _Kdump(file).image(scratch)


class _Kdump:
    """The headers of a kdump-compressed file, and what they say where its parts are."""

    def __init__(self, file: MappedFile) -> None:
        self._file = file
        self._content = content_of(file)
        self._problems = self._content.problems
        self._header = self._read(c_kdump.disk_dump_header, 0)
        self._block = self._checked_block_size()
        self._sub = self._read(c_kdump.kdump_sub_header, self._block)
        self._wide = self._header.header_version >= layout.VERSION_WITH_64_BIT_FRAMES
        self._bitmaps = (1 + int(self._header.sub_hdr_size)) * self._block
        self._descriptors = self._bitmaps + int(self._header.bitmap_blocks) * self._block

    def image(self, scratch: Path | None) -> PhysicalImage:
        """Unpack the pages."""
        stored = self._stored()
        pages = PackedPages(self._file, self._content, self._pages(stored.count), self._block)
        backing = pages.unpack(scratch)
        runs = self._runs(stored, pages.readable)
        image = PhysicalImage(backing, runs, image_format=self._name(), path=self._file.path, in_file=False)
        image.problems[:0] = self._problems + pages.problems
        image.vmcoreinfo = self._vmcoreinfo()
        image.captured = unix_time(int(self._header.timestamp[0]))  # many writers leave it at 0
        self._file.close()
        return image

    def _name(self) -> str:
        """Name the format, and what its writer was told to leave out."""
        level = LeftOut(max(int(self._sub.dump_level), 0))
        left_out = [name for flags, name in _LEFT_OUT if level & flags]
        parts = [FORMAT]
        if isinstance(self._content, FlattenedContent):
            parts.append("flattened")
        if left_out:
            *others, last = left_out
            parts.append(f"without {', '.join(others)} and {last}" if others else f"without {last}")
        return ", ".join(parts)

    def _checked_block_size(self) -> int:
        header = self._header
        machine = bytes(header.utsname[4]).split(b"\0")[0]
        if not 0 < header.header_version <= MAX_VERSION:
            raise self._damaged(f"its version is {header.header_version}; 1 to 6 are known", 8)
        if machine in _MACHINES_OF_32_BITS:
            problem = f"is a kdump-compressed file of a 32-bit machine ({machine.decode()}), which cannot be read"
            raise InputError(self._file.path, problem, offset=0)
        size = int(header.block_size)
        if size not in _BLOCK_SIZES:
            raise self._damaged(f"expected blocks of 4 to 64 KiB, found {size} bytes", 0x1AC)
        if header.status & layout.INCOMPLETE:
            self._problems.append("the writer of the file had no room for all of memory")
        return size

    # --- The bitmap ---------------------------------------------------------------------------------------------------

    def _stored(self) -> _Stored:
        """Read the second bitmap, which says what pages are in the file; there may be only one."""
        claimed = int(self._sub.max_mapnr_64) if self._wide else 0
        claimed = claimed or int(self._header.max_mapnr)
        size = -(-claimed // 8)
        blocks = int(self._header.bitmap_blocks)
        half = blocks // 2 if blocks >= 2 * -(-size // self._block) else blocks
        at = self._bitmaps + (blocks - half) * self._block
        data = self._content.read(at, min(half * self._block, size, FRAME_LIMIT // 8))
        bits = min(claimed, 8 * len(data))
        if bits < claimed:
            self._problems.append(f"the bitmap of pages should have {claimed} bits; {bits} were read")
        stored = self._runs_of(data, bits)
        if not stored.count and self._sub.split == 1:
            raise InputError(self._file.path, "is one of several files of a kdump, and has no pages", offset=at)
        if not stored.count:
            raise self._damaged("its bitmap has no pages", at)
        return stored

    def _runs_of(self, data: bytes | memoryview, bits: int) -> _Stored:
        """Take the bitmap apart, as far as there are page descriptors."""
        first, past = self._range(bits)
        most = max(self._content.size - self._descriptors, 0) // len(c_kdump.page_desc)
        runs = [np.empty((0, 2), np.int64)]
        count = 0
        for edges in set_bits(np.frombuffer(data, np.uint8), bits):
            clipped = np.clip(edges, first, past)
            lengths = clipped[:, 1] - clipped[:, 0]
            if count < most:
                runs.append(np.stack([clipped[:, 0], lengths], axis=1)[lengths > 0])
            count += int(lengths.sum())
        return _Stored(np.concatenate(runs), count)

    def _range(self, bits: int) -> tuple[int, int]:
        """Return first frame, and frame past the last, of a file that is one of several; of others, all."""
        if self._sub.split != 1:
            return 0, bits
        names = ("start_pfn_64", "end_pfn_64") if self._wide else ("start_pfn", "end_pfn")
        first, past = (min(int(self._sub[name]), bits) for name in names)
        self._problems.append(f"this is one of several files; it holds the page frames {first:#x} to {past:#x}")
        return first, past

    # --- Pages --------------------------------------------------------------------------------------------------------

    def _pages(self, count: int) -> PageTable:
        """Read as many page descriptors as there are pages, or as the file holds."""
        form = c_kdump.page_desc
        data = self._content.read(self._descriptors, count * len(form))
        held = len(data) // len(form)
        if held < count:
            self._problems.append(f"cut short: {count - held} of {count} page descriptors are missing")
        table = np.frombuffer(data, record_type(form), held)
        return PageTable(table["offset"], table["size"], table["flags"])

    def _runs(self, stored: _Stored, readable: NDArray[np.bool_]) -> NDArray[np.uint64]:
        """Return the image's runs: pages lie in the unpacked memory one after another, as the bitmap has them."""
        if len(readable) == stored.count and readable.all():
            first, counts = stored.runs.T
            slots = np.cumsum(counts) - counts
        else:
            slots = np.flatnonzero(readable)
            first, counts = stored.frames()[slots], np.ones(len(slots), np.int64)
        return (np.stack([first, counts, slots], axis=1) * self._block).astype(np.uint64)

    def _vmcoreinfo(self) -> bytes | None:
        size = int(self._sub.size_vmcoreinfo)
        if self._header.header_version < layout.VERSION_WITH_VMCOREINFO or not size:
            return None
        return bytes(self._content.read(int(self._sub.offset_vmcoreinfo), min(size, MAX_VMCOREINFO))) or None

    # --- Reading ------------------------------------------------------------------------------------------------------

    def _read(self, form: Layout, offset: int) -> Structure:
        data = bytes(self._content.read(offset, len(form)))
        if len(data) < len(form):
            raise self._damaged(f"expected {len(form)} bytes of header, found {len(data)}", offset)
        return form(data)

    def _damaged(self, why: str, offset: int) -> InputError:
        return InputError(self._file.path, f"is a damaged kdump-compressed file: {why}", offset=offset)
