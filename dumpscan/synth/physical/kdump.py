"""Writes kdump-compressed files, as makedumpfile does. Layouts: `dumpscan.model.c_kdump`."""

from __future__ import annotations

import zlib
from typing import IO, TYPE_CHECKING

import numpy as np

from dumpscan.model import c_kdump as layout
from dumpscan.model.c_kdump import Packed, c_kdump
from dumpscan.model.windows.c_paging import PAGE_SHIFT, PAGE_SIZE
from dumpscan.synth.alignment import page_align

if TYPE_CHECKING:
    from dumpscan.synth.physical.memory import PhysicalMemory

_LEVEL = 1
"""Of zlib: the fastest, as makedumpfile has it."""


def write_kdump(memory: PhysicalMemory, file: IO[bytes]) -> None:
    """Write all of physical memory, each page packed by zlib; pages of zeros share one place in the file."""
    frames = np.concatenate([np.arange(start, start + size, PAGE_SIZE) for start, size in memory.runs]) >> PAGE_SHIFT
    most = memory.size >> PAGE_SHIFT
    bitmap = _bitmap(frames, most)
    file.write(_headers(most, 2 * len(bitmap) >> PAGE_SHIFT))
    file.write(2 * bitmap)
    table_at = file.tell()
    at = table_at + len(frames) * len(c_kdump.page_desc)
    file.seek(at)
    places: dict[bytes, tuple[int, int, int]] = {}
    zeros = bytes(PAGE_SIZE)
    table = []
    for frame in frames.tolist():
        page = memory.read(frame << PAGE_SHIFT, PAGE_SIZE)
        place = places.get(page)
        if place is None:
            packed, flag = zlib.compress(page, _LEVEL), Packed.ZLIB
            if len(packed) >= PAGE_SIZE:
                packed, flag = page, Packed(0)
            file.write(packed)
            place = (at, len(packed), int(flag))
            at += len(packed)
            if page == zeros:
                places[page] = place
        table.append(bytes(c_kdump.page_desc(offset=place[0], size=place[1], flags=place[2])))
    file.seek(table_at)
    file.write(b"".join(table))
    file.seek(at)


def _bitmap(frames: np.ndarray[tuple[int], np.dtype[np.int64]], most: int) -> bytes:
    """Return a bitmap of page frames, in whole blocks."""
    bits = np.zeros(most, np.bool_)
    bits[frames] = True
    data = np.packbits(bits, bitorder="little").tobytes()
    return data.ljust(page_align(len(data)), b"\0")


def _headers(most: int, bitmap_blocks: int) -> bytes:
    """Return the header and the sub-header, a block each."""
    names = (b"Linux", b"synthetic", b"", b"", b"x86_64", b"")
    header = c_kdump.disk_dump_header(
        signature=layout.SIGNATURE,
        header_version=layout.VERSION_WITH_64_BIT_FRAMES,
        utsname=[name.ljust(65, b"\0") for name in names],
        status=int(Packed.ZLIB),
        block_size=PAGE_SIZE,
        sub_hdr_size=1,
        bitmap_blocks=bitmap_blocks,
        max_mapnr=most,
        nr_cpus=1,
    )
    sub_header = c_kdump.kdump_sub_header(max_mapnr_64=most)
    return b"".join(bytes(part).ljust(PAGE_SIZE, b"\0") for part in (header, sub_header))
