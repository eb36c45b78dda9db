"""Writes kdump-compressed files, byte by byte, without the layouts that the reader has."""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

BLOCK = 4096
ZLIB, LZO, SNAPPY, ZSTD = 1, 2, 4, 0x20


def stored(page: bytes) -> bytes:
    return page


@dataclass
class Kdump:
    """A file to be written.

    Attributes:
        pages: Page frames and their content.
        pack: Packs a page.
        flag: Of pages that were packed.
        changes: Fields to be overwritten in the end: file offset, format (of `struct`), number.
        descriptors: Page descriptors to be written instead of the true ones: number, (offset, size, flags).
    """

    pages: Mapping[int, bytes]
    pack: Callable[[bytes], bytes] = zlib.compress
    flag: int = ZLIB
    version: int = 6
    machine: bytes = b"x86_64"
    block: int = BLOCK
    status: int = 0
    bitmaps: int = 2
    vmcoreinfo: bytes = b""
    split: tuple[int, int] | None = None
    changes: tuple[tuple[int, str, int], ...] = ()
    descriptors: dict[int, tuple[int, int, int]] = field(default_factory=dict)

    def write(self) -> bytes:
        """Return the file."""
        block, most = self.block, max(self.pages) + 1
        bits = bytearray((most + 8 * block - 1) // (8 * block) * block)
        for frame in self.pages:
            bits[frame >> 3] |= 1 << (frame & 7)
        parts = [
            self._header(most, self.bitmaps * len(bits) // block),
            self._sub_header(most),
            bytes(bits) * self.bitmaps,
        ]
        data_at = sum(map(len, parts)) + 24 * len(self._written())
        data = bytearray()
        table = bytearray()
        places: dict[bytes, int] = {}
        for number, frame in enumerate(self._written()):
            page = self.pages[frame]
            packed, flag = self.pack(page), self.flag
            if len(packed) >= block:
                packed, flag = page, 0
            at = places.get(page, data_at + len(data))
            if page not in places:
                data += packed
            if not any(page):
                places[page] = at
            table += struct.pack("<QIIQ", *self.descriptors.get(number, (at, len(packed), flag)), 0)
        parts += [bytes(table), bytes(data), self.vmcoreinfo]
        if self.vmcoreinfo:
            where = data_at + len(data), len(self.vmcoreinfo)
            parts[1] = parts[1][:32] + struct.pack("<QQ", *where) + parts[1][48:]
        whole = bytearray(b"".join(parts))
        for at, form, number in self.changes:
            struct.pack_into(form, whole, at, number)
        return bytes(whole)

    def _written(self) -> list[int]:
        first, past = self.split or (0, max(self.pages) + 1)
        return [frame for frame in sorted(self.pages) if first <= frame < past]

    def _header(self, most: int, blocks: int) -> bytes:
        names = b"".join(name.ljust(65, b"\0") for name in (b"Linux", b"host", b"6.1", b"#1", self.machine, b""))
        head = struct.pack("<8si390s6xQQ", b"KDUMP   ", self.version, names, 1_700_000_000, 0)
        head += struct.pack("<IIIII", self.status or self.flag, self.block, 1, blocks, most)
        return head.ljust(self.block, b"\0")

    def _sub_header(self, most: int) -> bytes:
        first, past = self.split or (0, 0)
        head = struct.pack("<QiiQQ", 0xFFFF_FFFC_D6DA_D79C, 0, int(self.split is not None), first, past).ljust(
            80, b"\0"
        )
        if self.version >= 6:
            head += struct.pack("<QQQ", first, past, most)
        return head.ljust(self.block, b"\0")


def flattened(data: bytes, *, step: int = 1000) -> bytes:
    """Return a file in flattened form; its records come in reverse, and each byte of the first block twice."""
    head = struct.pack(">16sQQ", b"makedumpfile", 1, 1).ljust(4096, b"\0")
    records = [(at, data[at : at + step]) for at in range(0, len(data), step)]
    wrong = [(0, b"\xee" * min(len(data), 4096))]
    body = b"".join(struct.pack(">QQ", at, len(part)) + part for at, part in wrong + records[::-1])
    return head + body + struct.pack(">qq", -1, -1)
