"""QEMU migration streams: sections, of which those of memory come first, page by page.

The layouts are in `dumpscan.model.c_qemu`. See `docs/memory-layouts.md`, "QEMU migration streams". Sections do not say
how long they are, so that nothing behind an unknown one can be read; but memory comes before the state of devices.
"""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING

import numpy as np

from dumpscan.exceptions import InputError
from dumpscan.memory.physical.formats.codecs import zlib_pages
from dumpscan.memory.physical.image import ADDRESS_LIMIT, PhysicalImage
from dumpscan.memory.physical.unpacked import Room
from dumpscan.model import c_qemu as layout
from dumpscan.model.c_qemu import Ram, Section, c_libvirt
from dumpscan.model.windows.c_paging import PAGE_SHIFT, PAGE_SIZE

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from dumpscan.memory.mapped_file import MappedFile
    from dumpscan.memory.physical.formats.codecs import Unpack

    Numbers = NDArray[np.uint64]

FORMAT = "QEMU snapshot"
MAX_PAGES = 1 << 24
"""Pages that are read: 64 GiB."""
MAX_BLOCKS = 256
_LEAST_HOLE = min(start for _, _, start in layout.HOLES)
_FLAGS = PAGE_SIZE - 1
# Plain integers: operations on members of an enumeration take as long as all else that is done for a page.
_ZERO, _SIZES, _PAGE, _END, _CONTINUE, _PACKED = (
    int(flag) for flag in (Ram.ZERO, Ram.MEM_SIZE, Ram.PAGE, Ram.EOS, Ram.CONTINUE, Ram.COMPRESS_PAGE)
)
_UNKNOWN = _FLAGS & ~(_ZERO | _SIZES | _PAGE | _END | _CONTINUE | _PACKED | int(Ram.HOOK))
_SUBSECTIONS = (b"configuration/target-page-bits", b"configuration/capabilities")


def open_qemu(file: MappedFile, scratch: Path | None = None) -> PhysicalImage:
    """Open a migration stream, and copy its pages of memory to where they belong.

    Args:
        file: The file.
        scratch: Directory for a file with the memory; by default, it is kept in memory.

    Raises:
        InputError: It is of another version, damaged before its first page, uses what cannot be read, or there is no
            room for its memory.
    """
    return _Stream(file).image(scratch)


def open_libvirt(file: MappedFile, scratch: Path | None = None) -> PhysicalImage:
    """Open a machine that libvirt saved: a header, the machine's description, and a migration stream.

    Args:
        file: The file.
        scratch: As for `open_qemu`.

    Raises:
        InputError: As for `open_qemu`; also if its stream is packed.
    """
    form = c_libvirt.virQEMUSaveHeader
    header = form(bytes(file.buffer[: len(form)]).ljust(len(form), b"\0"))
    start = len(form) + int(header.data_len)
    if not 0 < header.version <= layout.LIBVIRT_VERSION:
        problem = f"is a saved machine of libvirt, of version {header.version}; expected 1 or 2"
        raise InputError(file.path, problem, offset=form.fields["version"].offset)
    if header.compressed:
        known = int(header.compressed) < len(layout.LIBVIRT_PACKED)
        how = layout.LIBVIRT_PACKED[header.compressed] if known else f"method {header.compressed}"
        problem = f"is a saved machine of libvirt, packed by {how}: unpack what lies from offset {start:#x} on"
        raise InputError(file.path, problem, offset=form.fields["compressed"].offset)
    return _Stream(file, start).image(scratch)


class _StreamError(Exception):
    """The stream cannot be read any further. Its text says why."""


class _Stream:
    """A migration stream, read from its beginning to the end of its memory."""

    def __init__(self, file: MappedFile, start: int = 0) -> None:
        self._file = file
        self._buffer = file.buffer
        self._at = min(start, file.size)
        self._machine = b""
        self._blocks: dict[bytes, int] = {}
        self._main = b""
        self._block = b""
        self._limit = 0
        self._pages = array("Q")
        self._places = array("Q")
        self._packed: dict[int, int] = {}
        self._problems: list[str] = []
        try:
            self._read()
        except _StreamError as error:
            if not self._pages:
                problem = f"is a QEMU snapshot that is damaged or of an unknown kind: {error}"
                raise InputError(file.path, problem, offset=self._at) from error
            self._problems.append(f"its memory is read only up to offset {self._at:#x}: {error}")

    # --- The image ----------------------------------------------------------------------------------------------------

    def image(self, scratch: Path | None) -> PhysicalImage:
        """Copy the pages."""
        pages, places = self._last_of_each()
        room = Room(self._file.path, len(pages) << PAGE_SHIFT, self._file.size, scratch)
        unpack = zlib_pages()
        readable = np.ones(len(pages), np.bool_)
        try:
            for slot in np.flatnonzero(places).tolist():
                page = self._content(int(places[slot]), unpack)
                if page is None:
                    readable[slot] = False
                else:
                    room.write(slot << PAGE_SHIFT, page)
            backing = room.finish()
        except BaseException:
            room.discard()
            raise
        if damaged := len(readable) - np.count_nonzero(readable):
            self._problems.append(f"{damaged} of {len(readable)} pages could not be read: they do not unpack to a page")
        slots = np.flatnonzero(readable).astype(np.uint64) << np.uint64(PAGE_SHIFT)
        runs = np.stack([self._addresses(pages[readable]), np.full(len(slots), PAGE_SIZE, np.uint64), slots], axis=1)
        image = PhysicalImage(backing, runs, image_format=FORMAT, path=self._file.path, in_file=False)
        image.problems[:0] = self._problems
        self._file.close()
        return image

    def _content(self, place: int, unpack: Unpack) -> bytes | memoryview | None:
        """Return a page by its place in the file; None if it is packed and damaged."""
        size = self._packed.get(place)
        return (
            self._buffer[place : place + PAGE_SIZE]
            if size is None
            else unpack(self._buffer[place : place + size], PAGE_SIZE)
        )

    def _last_of_each(self) -> tuple[Numbers, Numbers]:
        """Return the pages in ascending order, and where the last copy of each lies; 0 for pages of zeros."""
        pages = np.frombuffer(self._pages, np.uint64)[::-1]
        different, last = np.unique(pages, return_index=True)
        return different, np.frombuffer(self._places, np.uint64)[::-1][last]

    def _addresses(self, pages: Numbers) -> Numbers:
        """Return the physical addresses of pages of main memory: there may be a hole below 4 GiB."""
        addresses = pages << np.uint64(PAGE_SHIFT)
        size = self._blocks[self._main]
        found = next((rule for rule in layout.HOLES if rule[0].match(self._machine)), None)
        if found is None:
            if size > _LEAST_HOLE:
                machine = _shown(self._machine)
                self._problems.append(f"the machine {machine} is not known: memory above 2 GiB may lie elsewhere")
            return addresses
        _, least, start = found
        if size < least:
            return addresses
        return np.where(addresses < start, addresses, addresses + np.uint64(layout.FOUR_GIB - start))

    # --- Sections -----------------------------------------------------------------------------------------------------

    def _read(self) -> None:
        """Read sections up to the end of memory."""
        if (magic := self._bytes(4)) != layout.MAGIC or (version := self._number(4)) != layout.VERSION:
            found = f"version {version}" if magic == layout.MAGIC else repr(magic)
            raise _StreamError(f"expected version {layout.VERSION}, found {found}")
        memory = None
        while (kind := self._number(1)) != Section.EOF:
            if kind == Section.CONFIGURATION:
                self._machine = self._bytes(self._number(4))
            elif kind == Section.SUBSECTION:
                self._subsection()
            elif kind == Section.FOOTER:
                self._number(4)
            elif kind in {Section.START, Section.FULL}:
                number, name = self._number(4), self._bytes(self._number(1))
                self._bytes(8)  # instance and version
                if name != layout.RAM_SECTION:
                    raise _StreamError(
                        f"there is a section {name.decode('ascii', 'replace')!r} before the end of memory"
                    )
                memory = number
                self._records()
            elif kind in {Section.PART, Section.END} and self._number(4) == memory:
                self._records()
                if kind == Section.END:
                    return
            else:
                raise _StreamError(f"expected a section, found {kind:#x}")
        raise _StreamError("it ends before the end of memory")

    def _subsection(self) -> None:
        """Skip a part of the configuration."""
        name = self._bytes(self._number(1))
        self._number(4)
        if name not in _SUBSECTIONS:
            raise _StreamError(f"there is a part {_shown(name)} that is not known")
        count = self._number(4)
        if name == _SUBSECTIONS[1]:
            for _ in range(count):
                self._bytes(self._number(1))

    # --- Memory -------------------------------------------------------------------------------------------------------

    def _records(self) -> None:
        """Read the records of a section of memory."""
        while True:
            word = self._number(8)
            flags, address = word & _FLAGS, word & ~_FLAGS
            if flags & _UNKNOWN:
                unknown = flags & _UNKNOWN
                raise _StreamError(f"it uses {Ram(unknown).name or hex(unknown)}, which cannot be read")
            if flags & (_ZERO | _PAGE | _PACKED):
                self._page(flags, address)
            elif flags & _SIZES:
                self._read_blocks(address)
            elif flags & _END:
                return

    def _read_blocks(self, total: int) -> None:
        """Read the names and sizes of the blocks of memory."""
        while total > 0:
            name = self._bytes(self._number(1))
            size = self._number(8)
            if not name or not 0 < size <= total or len(self._blocks) >= MAX_BLOCKS:
                raise _StreamError("the list of blocks of memory is damaged")
            self._blocks[name] = size
            total -= size
        if not self._blocks:
            raise _StreamError("there are no blocks of memory")
        largest = max(self._blocks, key=lambda name: self._blocks[name])
        self._main = layout.MAIN_BLOCK if layout.MAIN_BLOCK in self._blocks else largest

    def _page(self, flags: int, address: int) -> None:
        if not flags & _CONTINUE:
            self._block = self._bytes(self._number(1))
            self._limit = min(self._blocks.get(self._block, 0), ADDRESS_LIMIT)
        if address >= self._limit:
            raise _StreamError(f"a page at {address:#x} lies outside of its block of memory, or above 16 TiB")
        place = 0
        if flags & _ZERO:
            if self._number(1):
                raise _StreamError("a page is filled with a byte other than zero")
        elif flags & _PAGE:
            place = self._at
            self._skip(PAGE_SIZE)
        else:
            place = self._packed_page()
        if self._block == self._main:
            if len(self._pages) >= MAX_PAGES:
                raise _StreamError(f"there are more than {MAX_PAGES} pages")
            self._pages.append(address >> PAGE_SHIFT)
            self._places.append(place)

    def _packed_page(self) -> int:
        """Skip a page that is packed, and return where it lies."""
        size = self._number(4)
        if not 0 < size <= 2 * PAGE_SIZE:
            raise _StreamError(f"a packed page has {size} bytes")
        self._packed[self._at] = size
        self._skip(size)
        return self._at - size

    # --- Reading ------------------------------------------------------------------------------------------------------

    def _skip(self, size: int) -> None:
        if size > self._file.size - self._at:
            raise _StreamError("it is cut short")
        self._at += size

    def _bytes(self, size: int) -> bytes:
        self._skip(size)
        return bytes(self._buffer[self._at - size : self._at])

    def _number(self, size: int) -> int:
        self._skip(size)
        return int.from_bytes(self._buffer[self._at - size : self._at], "big")


def _shown(name: bytes) -> str:
    return repr(name.decode("ascii", "replace"))
