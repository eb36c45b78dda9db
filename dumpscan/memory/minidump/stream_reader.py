"""Bounded reading of a minidump's streams: whatever a count, size or RVA claims, only bytes of the file are read.

Readers return what is there and note what is wrong, a sentence each.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from dumpscan.memory.records import decode_utf8, decode_utf16, record_type
from dumpscan.model.c_minidump import c_minidump

if TYPE_CHECKING:
    from dumpscan.memory.records import Layout, Records

    Structure = Any  # of dissect.cstruct, which has no type hints

_COUNT_SIZE = 4
_MAX_NAME_BYTES = 0x10000
"""Longest string that is read: Windows' own strings (UNICODE_STRING) have a 16-bit length in bytes."""
_MAX_RECORD_BYTES = 256 << 20
"""Bytes of list entries that are copied, over all lists of a dump. Real dumps have a few MiB; the largest memory maps
have a million entries of 48 bytes."""

MISSING_DATA = "past the end of the file"


@dataclass(frozen=True, slots=True)
class Stream:
    """An entry of the stream directory.

    Attributes:
        type: Stream type as a number.
        name: Its name in the headers of Windows, Breakpad or Crashpad, without `Stream`; hexadecimal if unknown.
        size: Claimed bytes.
        offset: Offset in the file (RVA).
        present: How many of these bytes lie within the file.
        known: Whether the type has a name.
    """

    type: int
    name: str
    size: int
    offset: int
    present: int
    known: bool

    @property
    def empty(self) -> bool:
        """Whether the entry stands for nothing: it is unused or has no bytes."""
        return self.size == 0 or self.type == c_minidump.MINIDUMP_STREAM_TYPE.UnusedStream


class StreamReader:
    """Reads streams from a minidump file and notes what is wrong with them.

    Args:
        buffer: The whole file.

    Attributes:
        buffer: As given.
        size: Bytes in the file.
        problems: Sentences, by the file offset of the stream that they are about.
        places: Where bytes were read, beside the records of lists, as (offset, bytes) in the file.
    """

    def __init__(self, buffer: memoryview) -> None:
        self.buffer = buffer
        self.size = len(buffer)
        self.problems: dict[int, list[str]] = {}
        self.places: list[tuple[int, int]] = []
        # The strings of a real dump do not overlap, so together they are no larger than the file. In a forged one, a
        # million names may all be the same long string.
        self._strings_left = self.size + _MAX_NAME_BYTES
        self._record_bytes_left = _MAX_RECORD_BYTES

    def bytes_at(self, offset: int, size: int) -> bytes:
        """Return up to `size` bytes at a file offset; fewer where the file ends."""
        if offset < 0 or size <= 0:
            return b""
        self.places.append((offset, size))
        return bytes(self.buffer[offset : offset + size])

    def integer_at(self, offset: int) -> int | None:
        """Return the 32-bit integer at a file offset, or None if the file ends before."""
        data = self.bytes_at(offset, _COUNT_SIZE)
        return int.from_bytes(data, "little") if len(data) == _COUNT_SIZE else None

    def string16(self, offset: int) -> str | None:
        """Return the MINIDUMP_STRING (byte length, UTF-16LE) at a file offset, or None if it is not there whole."""
        data = self._counted(offset)
        return None if data is None else decode_utf16(data)

    def string8(self, offset: int) -> str | None:
        """Return the UTF-8 string (byte length, bytes) at a file offset, or None if it is not there whole."""
        data = self._counted(offset)
        return None if data is None else decode_utf8(data)

    def text_at(self, offset: int, size: int) -> str:
        """Return up to `size` bytes of UTF-8 at a file offset, up to a NUL."""
        return decode_utf8(self._charged(offset, size).split(b"\0", 1)[0])

    def _counted(self, offset: int) -> bytes | None:
        size = self.integer_at(offset) if offset else None
        if size is None or size > _MAX_NAME_BYTES:
            return None
        data = self._charged(offset + _COUNT_SIZE, size)
        return data if len(data) == size else None

    def _charged(self, offset: int, size: int) -> bytes:
        data = self.bytes_at(offset, min(size, _MAX_NAME_BYTES, self._strings_left))
        self._strings_left -= len(data)
        return data

    def afford(self, text: str) -> bool:
        """Charge for handing out a string once more that was read before; return whether the budget allows it."""
        affordable = 2 * len(text) <= self._strings_left
        self._strings_left -= 2 * len(text) if affordable else 0
        return affordable

    def stream(self, kind: int, name: str, offset: int, size: int, *, known: bool = True) -> Stream:
        """Describe `size` bytes at a file offset as a stream; some of them may lie past the end of the file."""
        present = max(min(size, self.size - offset), 0)
        return Stream(type=kind, name=name, size=size, offset=offset, present=present, known=known)

    def complain(self, stream: Stream, problem: str) -> None:
        """Note what is wrong with a stream, once."""
        sentences = self.problems.setdefault(stream.offset, [])
        sentence = f"{stream.name} at offset {stream.offset:#x}: {problem}"
        if sentence not in sentences:
            sentences.append(sentence)

    def structure(self, stream: Stream, layout: Layout, least: int) -> Structure | None:
        """Read the structure at the beginning of a stream. Fields that a shorter, older version lacks are zero.

        Args:
            stream: The stream.
            layout: The structure in the model.
            least: Bytes that must be there for the structure to be of use.

        Returns:
            The structure, or None, with a complaint, if there are too few bytes.
        """
        data = self.bytes_at(stream.offset, min(stream.present, layout.size))
        if len(data) < least:
            self.complain(stream, f"expected at least {least} bytes, {len(data)} are there")
            return None
        return layout(data.ljust(layout.size, b"\0"))

    def counted_records(self, stream: Stream, layout: Layout, most: int) -> Records:
        """Read a list that consists of a 32-bit count and that many records.

        Breakpad may put 4 bytes of padding after the count; the stream is then larger by that much.

        Args:
            stream: The stream.
            layout: The record in the model.
            most: Records to read, at most.

        Returns:
            The records that are there. A complaint says what is missing or left out.
        """
        count = self.integer_at(stream.offset) if stream.present >= _COUNT_SIZE else None
        if count is None:
            self.complain(stream, f"expected a count, {stream.present} bytes are there")
            return self.no_records(layout)
        padded = stream.size == 2 * _COUNT_SIZE + count * layout.size
        skip = _COUNT_SIZE * (2 if padded else 1)
        return self.records(stream, layout, count=count, skip=skip, most=most)

    def sized_records(self, stream: Stream, header: Layout, layout: Layout, count_field: str, most: int) -> Records:
        """Read a list whose header gives its own size, the size of an entry, and the number of entries.

        Args:
            stream: The stream.
            header: The header in the model; its first two fields are the sizes.
            layout: The record in the model; the entries may be larger.
            count_field: Name of the header field that counts the entries.
            most: Records to read, at most.

        Returns:
            The records that are there. A complaint says what is missing or left out.
        """
        head = self.structure(stream, header, header.size)
        if head is None:
            return self.no_records(layout)
        header_size, entry_size = (int(getattr(head, name)) for name in list(header.fields)[:2])
        if header_size < header.size or entry_size < layout.size:
            self.complain(
                stream,
                f"expected a header of {header.size} and entries of {layout.size} bytes, "
                f"found {header_size} and {entry_size}",
            )
            return self.no_records(layout)
        count = int(getattr(head, count_field))
        return self.records(stream, layout, count=count, skip=header_size, most=most, entry_size=entry_size)

    def records(
        self, stream: Stream, layout: Layout, *, count: int, skip: int, most: int, entry_size: int | None = None
    ) -> Records:
        """Read up to `count` records that begin `skip` bytes into a stream; complain about those that are not read.

        Args:
            stream: The stream.
            layout: The record in the model.
            count: Claimed number of records.
            skip: Bytes of the stream before the first one.
            most: Records to read, at most.
            entry_size: Bytes from one record to the next, at least those of the layout; by default the layout's. Only
                the layout's bytes are copied, so a large value costs nothing.
        """
        size = entry_size or layout.size
        claimed = max(stream.size - skip, 0) // size
        there = max(stream.present - skip, 0) // size
        most = min(most, self._record_bytes_left // layout.size)
        taken = min(count, there, most)
        if count > claimed:
            self.complain(stream, f"{count} entries are claimed, there is room for {claimed}")
        elif count > there:
            self.complain(stream, f"cut short: {count - there} of {count} entries lie {MISSING_DATA}")
        if min(count, there) > most:
            read = f"only the first {most} were read" if most else "none was read: the lists before it are too long"
            self.complain(stream, f"{count} entries are claimed; {read}")
        if not taken:
            return self.no_records(layout)
        self._record_bytes_left -= taken * layout.size
        return np.ndarray((taken,), record_type(layout), self.buffer, stream.offset + skip, (size,)).copy()

    @staticmethod
    def no_records(layout: Layout) -> Records:
        """Return an empty list of such records."""
        return np.zeros(0, record_type(layout))
