"""Small files of physical memory: only those pages of a raw image that are not zero."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import numpy as np

from dumpscan.model.windows.c_crash_dump import c_crash_dump
from support.container_bytes import framed
from support.kdump_bytes import BLOCK, Kdump

if TYPE_CHECKING:
    from pathlib import Path


def pages_of(image: Path) -> dict[int, bytes]:
    """Return the page frames of a raw image that are not zero, with their content."""
    pages = np.fromfile(image, dtype=np.uint8).reshape(-1, BLOCK)
    return {int(frame): pages[frame].tobytes() for frame in np.flatnonzero(pages.any(axis=1))}


def runs(pages: dict[int, bytes]) -> list[tuple[int, bytes]]:
    """Return (physical address, content) of each stretch of frames that follow one another."""
    found: list[tuple[int, bytearray]] = []
    for frame, content in sorted(pages.items()):
        if found and found[-1][0] + len(found[-1][1]) == frame * BLOCK:
            found[-1][1].extend(content)
        else:
            found.append((frame * BLOCK, bytearray(content)))
    return [(address, bytes(content)) for address, content in found]


def lime(pages: dict[int, bytes]) -> bytes:
    """Write a LiME file: each run behind a header of its own."""
    return b"".join(
        struct.pack("<IIQQ8x", 0x4C694D45, 1, address, address + len(content) - 1) + content
        for address, content in runs(pages)
    )


def avml(pages: dict[int, bytes]) -> bytes:
    """Write an AVML file: each run compressed."""
    return b"".join(framed(address, content) for address, content in runs(pages))


def elf(pages: dict[int, bytes]) -> bytes:
    """Write an ELF core with a segment for each run."""
    stretches = runs(pages)
    offset = first = -(-(64 + 56 * len(stretches)) // BLOCK) * BLOCK
    ident = b"\x7fELF\x02\x01\x01".ljust(16, b"\0")
    head = ident + struct.pack("<HHIQQQIHHHHHH", 4, 62, 1, 0, 64, 0, 0, 64, 56, len(stretches), 0, 0, 0)
    for address, content in stretches:
        head += struct.pack("<IIQQQQQQ", 1, 6, offset, 0, address, len(content), len(content), BLOCK)
        offset += len(content)
    return head.ljust(first, b"\0") + b"".join(content for _, content in stretches)


def kdump(pages: dict[int, bytes]) -> bytes:
    """Write a kdump-compressed file."""
    return Kdump(pages).write()


WRITERS = (lime, avml, elf, kdump)


def crash(bitmap_dump: bytes) -> bytes:
    """Leave the pages that are zero out of a bitmap dump."""
    at = len(c_crash_dump.DUMP_HEADER64)
    summary = c_crash_dump.BITMAP_DUMP(bitmap_dump[at : at + len(c_crash_dump.BITMAP_DUMP)])
    bitmap = np.frombuffer(bitmap_dump, np.uint8, summary.BitmapSize // 8, at + len(summary))
    frames = np.flatnonzero(np.unpackbits(bitmap, bitorder="little"))
    pages = np.frombuffer(bitmap_dump, np.uint8, len(frames) * BLOCK, summary.HeaderSize).reshape(-1, BLOCK)
    kept = pages.any(axis=1)
    bits = np.zeros(summary.BitmapSize, dtype=bool)
    bits[frames[kept]] = True
    summary.Pages = int(kept.sum())
    head = bitmap_dump[:at] + bytes(summary) + np.packbits(bits, bitorder="little").tobytes()
    return head.ljust(summary.HeaderSize, b"\0") + pages[kept].tobytes()
