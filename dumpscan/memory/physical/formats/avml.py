"""AVML images: ranges of physical memory, each packed by snappy in chunks of 64 KiB.

Layouts and their sources are in `dumpscan.model.c_lime`. See `docs/memory-layouts.md`, "LiME and AVML".
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, NamedTuple

from dumpscan.exceptions import InputError
from dumpscan.memory.physical.formats.codecs import MissingLibraryError, snappy_pages
from dumpscan.memory.physical.image import ADDRESS_LIMIT, PhysicalImage
from dumpscan.memory.physical.unpacked import Room
from dumpscan.model import c_lime as layout
from dumpscan.model.c_lime import c_lime

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from dumpscan.memory.mapped_file import MappedFile

    Run = tuple[int, int, int]

FORMAT = "AVML, compressed"
MAX_CHUNKS = 1 << 22
"""Chunks that are read: 256 GiB of memory."""
_AT_ONCE = 64
"""Chunks that a thread unpacks before it takes the next ones."""
_THREADS = min(os.cpu_count() or 1, 8)


class _Chunk(NamedTuple):
    """A part of a range.

    Attributes:
        address: Physical address of its first byte.
        size: Bytes that it stands for.
        offset: File offset of its data.
        length: Bytes of its data.
        packed: Whether they are packed.
        slot: Where it belongs in the unpacked memory.
    """

    address: int
    size: int
    offset: int
    length: int
    packed: bool
    slot: int


def open_avml(file: MappedFile, scratch: Path | None = None) -> PhysicalImage:
    """Open an AVML image of version 2, and unpack it.

    Args:
        file: The file.
        scratch: Directory to unpack into; by default, it is unpacked into memory.

    Raises:
        InputError: Its first range is damaged, there is no room for it, or the library that unpacks it is missing.
    """
    return _Avml(file).image(scratch)


class _Avml:
    """The ranges of an AVML image."""

    def __init__(self, file: MappedFile) -> None:
        self._file = file
        self._problems: list[str] = []
        self._chunks = list(self._listed())
        if not self._chunks:
            why = self._problems[0] if self._problems else "it has no memory"
            raise InputError(file.path, f"is an AVML image that is damaged: {why}", offset=0)

    def image(self, scratch: Path | None) -> PhysicalImage:
        """Unpack the chunks."""
        last = self._chunks[-1]
        room = Room(self._file.path, last.slot + last.size, self._file.size, scratch)
        steps = [self._chunks[at : at + _AT_ONCE] for at in range(0, len(self._chunks), _AT_ONCE)]
        try:
            with ThreadPoolExecutor(_THREADS, thread_name_prefix="dumpscan-unpack") as pool:
                try:
                    runs = [run for some in pool.map(lambda step: self._unpack(room, step), steps) for run in some]
                except BaseException:
                    pool.shutdown(cancel_futures=True)
                    raise
            backing = room.finish()
        except MissingLibraryError as error:
            room.discard()
            problem = f"is an AVML image, which needs the library {error} to be unpacked"
            raise InputError(self._file.path, problem, offset=0) from error
        except BaseException:
            room.discard()
            raise
        image = PhysicalImage(backing, runs, image_format=FORMAT, path=self._file.path, in_file=False)
        if damaged := len(self._chunks) - len(runs):
            self._problems.append(f"{damaged} of {len(self._chunks)} chunks of memory do not unpack")
        image.problems[:0] = self._problems
        self._file.close()
        return image

    def _unpack(self, room: Room, chunks: list[_Chunk]) -> list[Run]:
        """Unpack some chunks; return where those that could be are."""
        unpack = snappy_pages()
        done = []
        for chunk in chunks:
            data = self._file.buffer[chunk.offset : chunk.offset + chunk.length]
            content = unpack(data, chunk.size) if chunk.packed else bytes(data)
            if content is not None:
                room.write_pages(chunk.slot, content)
                done.append((chunk.address, chunk.size, chunk.slot))
        return done

    # --- The list -----------------------------------------------------------------------------------------------------

    def _listed(self) -> Iterator[_Chunk]:
        """Yield the chunks of all ranges; what is wrong with the rest of the file goes into the problems."""
        form, at, slot, count = c_lime.LIME_RANGE, 0, 0, 0
        while at < self._file.size:
            head = form(bytes(self._file.buffer[at : at + len(form)]).ljust(len(form), b"\0"))
            size = int(head.e_addr) - int(head.s_addr) + 1
            if (head.magic, head.version) != (layout.AVML_MAGIC, layout.AVML_VERSION) or size <= 0:
                self._problems.append(f"expected the header of a range at offset {at:#x}")
                return
            address = int(head.s_addr)
            if address + size > ADDRESS_LIMIT:
                self._problems.append(f"a range of memory at {address:#x} ends above {ADDRESS_LIMIT >> 40} TiB")
                return
            at += len(form)
            end = address + size
            while address < end:
                chunk, at = self._next_chunk(at, address, end, slot)
                count += 1
                if chunk is None or count > MAX_CHUNKS:
                    self._problems.append(f"cut short or damaged: memory from {address:#x} to {end:#x} is missing")
                    return
                yield chunk
                address += chunk.size
                slot += chunk.size
            at += layout.AVML_TRAILER_SIZE

    def _next_chunk(self, at: int, address: int, end: int, slot: int) -> tuple[_Chunk | None, int]:
        """Return the chunk of memory that is next from a file offset on, and the offset behind it."""
        buffer = self._file.buffer
        while at + layout.CHUNK_HEADER_SIZE <= self._file.size:
            kind = buffer[at]
            length = int.from_bytes(buffer[at + 1 : at + layout.CHUNK_HEADER_SIZE], "little")
            at += layout.CHUNK_HEADER_SIZE
            if kind >= layout.CHUNK_SKIPPED_FROM:
                at += length
                continue
            data, past = at + layout.CHUNK_CHECKSUM_SIZE, at + length
            if kind not in {layout.CHUNK_PACKED, layout.CHUNK_STORED} or not data < past <= self._file.size:
                break
            packed = kind == layout.CHUNK_PACKED
            size = _snappy_size(buffer[data : data + 5]) if packed else past - data
            if not 0 < size <= min(layout.MAX_CHUNK, end - address):
                break
            return _Chunk(address, size, data, past - data, packed, slot), past
        return None, at


def _snappy_size(data: memoryview) -> int:
    """Return how many bytes a raw snappy block unpacks to: its first bytes have seven bits each, the lowest first."""
    size = 0
    for number, byte in enumerate(data):
        size |= (byte & 0x7F) << (7 * number)
        if byte < 0x80:  # noqa: PLR2004 - no more follow
            break
    return size
