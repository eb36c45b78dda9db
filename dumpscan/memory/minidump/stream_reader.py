"""Bounded reading of a minidump's streams: whatever a count, size or RVA claims, no more is read than the file has.

What is wrong is written down, a sentence each, and the rest is handed over.
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
_MOST_NAME_BYTES = 0x10000
"""Longest string read: Windows' own strings (UNICODE_STRING) have a 16-bit length in bytes."""

MISSING_DATA = "past the end of the file"


@dataclass(frozen=True, slots=True)
class Stream:
    """An entry of the stream directory.

    Attributes:
        type: Stream type as a number.
        name: Its name as Windows, Breakpad or Crashpad call it, without `Stream`; hexadecimal if it is unknown.
        size: Claimed bytes.
        offset: Offset in the file (RVA).
        present: Bytes of it that lie within the file.
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
        """Whether the entry stands for nothing: unused, or without any bytes."""
        return self.size == 0 or self.type == c_minidump.MINIDUMP_STREAM_TYPE.UnusedStream


class StreamReader:
    """The file that streams are read from, and what is wrong with them.

    Attributes:
        buffer: The whole file.
        size: Bytes in it.
        problems: Sentences by the offset in the file of the stream that they are about.
    """

    def __init__(self, buffer: memoryview) -> None:
        self.buffer = buffer
        self.size = len(buffer)
        self.problems: dict[int, list[str]] = {}
        # Strings of a real dump do not overlap, so that together they cannot be larger than the file. Of a forged one,
        # a million names may all be the same long string.
        self._strings_left = self.size + _MOST_NAME_BYTES

    def bytes_at(self, offset: int, size: int) -> bytes:
        """Return up to `size` bytes at `offset` in the file; fewer where the file ends."""
        return bytes(self.buffer[offset : offset + size]) if offset >= 0 and size > 0 else b""

    def integer_at(self, offset: int) -> int | None:
        """Return the 32-bit number at `offset` in the file; None past its end."""
        data = self.bytes_at(offset, _COUNT_SIZE)
        return int.from_bytes(data, "little") if len(data) == _COUNT_SIZE else None

    def string16(self, offset: int) -> str | None:
        """Return the MINIDUMP_STRING (byte length, UTF-16LE) at `offset`; None if it is not there whole, or is none."""
        data = self._counted(offset)
        return None if data is None else decode_utf16(data)

    def string8(self, offset: int) -> str | None:
        """Return the string of UTF-8 (byte length, bytes) at `offset`; None if it is not there whole, or is none."""
        data = self._counted(offset)
        return None if data is None else decode_utf8(data)

    def text_at(self, offset: int, size: int) -> str:
        """Return up to `size` bytes of UTF-8 at `offset`, as far as a NUL."""
        return decode_utf8(self._charged(offset, size).split(b"\0", 1)[0])

    def _counted(self, offset: int) -> bytes | None:
        size = self.integer_at(offset) if offset else None
        if size is None or size > _MOST_NAME_BYTES:
            return None
        data = self._charged(offset + _COUNT_SIZE, size)
        return data if len(data) == size else None

    def _charged(self, offset: int, size: int) -> bytes:
        data = self.bytes_at(offset, min(size, _MOST_NAME_BYTES, self._strings_left))
        self._strings_left -= len(data)
        return data

    def afford(self, text: str) -> bool:
        """Whether a string that was read before may be handed out once more."""
        affordable = 2 * len(text) <= self._strings_left
        self._strings_left -= 2 * len(text) if affordable else 0
        return affordable

    def stream(self, kind: int, name: str, offset: int, size: int, *, known: bool = True) -> Stream:
        """Describe `size` bytes at `offset` in the file, of which some may not be there."""
        present = max(min(size, self.size - offset), 0)
        return Stream(type=kind, name=name, size=size, offset=offset, present=present, known=known)

    def complain(self, stream: Stream, problem: str) -> None:
        """Write down what is wrong with a stream."""
        sentences = self.problems.setdefault(stream.offset, [])
        sentence = f"{stream.name} at offset {stream.offset:#x}: {problem}"
        if sentence not in sentences:
            sentences.append(sentence)

    def structure(self, stream: Stream, layout: Layout, least: int) -> Structure | None:
        """Read the structure that a stream opens with; what a shorter, older one lacks is zero.

        Args:
            stream: The stream.
            layout: The structure in the model.
            least: Bytes without which it is of no use.

        Returns:
            The structure; None, with a complaint, if there are too few bytes of it.
        """
        data = self.bytes_at(stream.offset, min(stream.present, layout.size))
        if len(data) < least:
            self.complain(stream, f"expected at least {least} bytes, {len(data)} are there")
            return None
        return layout(data.ljust(layout.size, b"\0"))

    def counted_records(self, stream: Stream, layout: Layout, most: int) -> Records:
        """Read a list that is a 32-bit count and that many records.

        Breakpad may put 4 bytes of padding after the count; then the stream is just that much larger.

        Args:
            stream: The stream.
            layout: The record in the model.
            most: No more records than this are read.

        Returns:
            The records that are there; a complaint tells of the others.
        """
        count = self.integer_at(stream.offset) if stream.present >= _COUNT_SIZE else None
        if count is None:
            self.complain(stream, f"expected a count, {stream.present} bytes are there")
            return self.no_records(layout)
        padded = stream.size == 2 * _COUNT_SIZE + count * layout.size
        skip = _COUNT_SIZE * (2 if padded else 1)
        return self.records(stream, layout, count=count, skip=skip, most=most)

    def sized_records(self, stream: Stream, header: Layout, layout: Layout, count_field: str, most: int) -> Records:
        """Read a list with a header that gives its own size, that of an entry, and their number.

        Args:
            stream: The stream.
            header: The header in the model; its first two fields are the sizes.
            layout: The record in the model; the entries may be larger.
            count_field: Name of the header's field that counts the entries.
            most: No more records than this are read.

        Returns:
            The records that are there; a complaint tells of the others.
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
        """Read `count` records that begin `skip` bytes into a stream, as far as they are there; complain of others."""
        size = entry_size or layout.size
        claimed = max(stream.size - skip, 0) // size
        there = max(stream.present - skip, 0) // size
        taken = min(count, there, most)
        if count > claimed:
            self.complain(stream, f"{count} entries are claimed, there is room for {claimed}")
        elif count > there:
            self.complain(stream, f"cut short: {count - there} of {count} entries lie {MISSING_DATA}")
        if min(count, there) > most:
            self.complain(stream, f"{count} entries are claimed; only the first {most} were read")
        if not taken:
            return self.no_records(layout)
        # Entries may be far larger than the layout, so only the layout's bytes of each are copied.
        entries = np.ndarray((taken,), record_type(layout), self.buffer, stream.offset + skip, (size,))
        return entries.copy()

    @staticmethod
    def no_records(layout: Layout) -> Records:
        """Return an empty list of such records."""
        return np.zeros(0, record_type(layout))
