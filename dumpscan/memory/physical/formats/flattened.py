"""A file in makedumpfile's flattened form: records, each with its place in the file that they make up together.

The form is for pipes, which cannot be sought in. It is read where it lies; nothing is written anew.
"""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING, Protocol

import numpy as np

from dumpscan.exceptions import InputError
from dumpscan.memory.regions import RegionTable, without_overlaps
from dumpscan.model import c_kdump as layout
from dumpscan.model.c_kdump import c_flat

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dumpscan.memory.mapped_file import MappedFile

    Numbers = NDArray[np.uint64]

MAX_RECORDS = 1 << 22
"""Records that are read. QEMU's have 16 KiB each: 64 GiB of them."""
MAX_OFFSET = 1 << 62
"""Offsets end here."""


class Content(Protocol):
    """The bytes of a file, however they are stored.

    Attributes:
        size: Bytes in it.
        problems: What is wrong with how they are stored, a sentence each.
    """

    size: int
    problems: list[str]

    def read(self, offset: int, size: int) -> bytes | memoryview:
        """Return up to `size` bytes; fewer where some are missing."""

    def places(self, offsets: Numbers, sizes: Numbers) -> NDArray[np.int64]:
        """Return where ranges of bytes lie in the mapped file; -1 for those that do not lie there in one piece."""


class PlainContent:
    """A file that is stored as it is."""

    def __init__(self, file: MappedFile) -> None:
        self._buffer = file.buffer
        self.size = file.size
        self.problems: list[str] = []

    def read(self, offset: int, size: int) -> memoryview:
        """Return up to `size` bytes."""
        return self._buffer[min(offset, self.size) : min(offset + size, self.size)]

    def places(self, offsets: Numbers, sizes: Numbers) -> NDArray[np.int64]:
        """Return the offsets, as far as the file holds the ranges."""
        there = (offsets <= self.size) & (sizes <= self.size - np.minimum(offsets, self.size))
        return _where(there, offsets)


class FlattenedContent:
    """A file that is stored flattened. Where records overlap, the later one counts.

    Raises:
        InputError: Its header is of another version, or it has no records.
    """

    def __init__(self, file: MappedFile) -> None:
        self._file = file
        self.problems: list[str] = []
        head = c_flat().makedumpfile_header(bytes(file.buffer[: len(c_flat().makedumpfile_header)]).ljust(32, b"\0"))
        if (head.type, head.version) != (layout.FLAT_TYPE, layout.FLAT_VERSION):
            problem = f"is a flattened file of type {head.type} and version {head.version}; expected 1 and 1"
            raise InputError(file.path, problem, offset=16)
        records = self._records()
        if not len(records):
            raise InputError(file.path, "is a flattened file without records", offset=layout.FLAT_HEADER_SIZE)
        starts, sizes, at = records[::-1].T
        pieces, lengths, owners = without_overlaps(starts, sizes)
        places = at[owners] + pieces - starts[owners]
        self._starts, self._ends, self._places = pieces, pieces + lengths, places
        self._table = RegionTable(pieces, lengths, places)
        self.size = int(self._ends[-1])

    def _records(self) -> Numbers:
        """Return offset, size and file offset of each record, shape (n, 3)."""
        form, buffer, size = c_flat().makedumpfile_data_header, self._file.buffer, self._file.size
        width = len(form)
        found = array("Q")
        at = layout.FLAT_HEADER_SIZE
        while at + width <= size and len(found) < 3 * MAX_RECORDS:
            start, length = divmod(int.from_bytes(buffer[at : at + width], "big"), 1 << 64)
            at += width
            if start >= MAX_OFFSET or not 0 < length < MAX_OFFSET:
                if start != 2**64 - 1:
                    self.problems.append(f"the flattened file is damaged at offset {at - width:#x}")
                break
            held = min(length, size - at)
            if held:  # none of a record that is cut off behind its header
                found.extend((start, held, at))
            if held < length:
                self.problems.append(f"cut short: {length - held} bytes of its last record are missing")
                break
            at += length
        else:
            limit = f", or more than {MAX_RECORDS} records" if at + width <= size else ""
            self.problems.append(f"cut short: the flattened file has no end{limit}")
        return np.frombuffer(found, np.uint64).reshape(-1, 3)

    def read(self, offset: int, size: int) -> bytes:
        """Return up to `size` bytes, from as many records as hold them."""
        buffer = self._file.buffer
        return b"".join(buffer[at : at + length] for at, length in self._table.extents(offset, size))

    def places(self, offsets: Numbers, sizes: Numbers) -> NDArray[np.int64]:
        """Look up ranges in the records."""
        number = np.searchsorted(self._starts, offsets, side="right").astype(np.int64) - 1
        number = np.maximum(number, 0)
        ends = self._ends[number]
        there = (self._starts[number] <= offsets) & (offsets <= ends) & (sizes <= ends - np.minimum(offsets, ends))
        return _where(there, self._places[number] + offsets - self._starts[number])


def _where(there: NDArray[np.bool_], places: Numbers) -> NDArray[np.int64]:
    """Return places, and -1 for those that are not there."""
    found = np.where(there, places, np.uint64(0)).astype(np.int64)
    found[~there] = -1
    return found


def content_of(file: MappedFile) -> Content:
    """Return the content of a file, which may be flattened.

    Raises:
        InputError: It is flattened and damaged.
    """
    if bytes(file.buffer[: len(layout.FLAT_SIGNATURE)]) == layout.FLAT_SIGNATURE:
        return FlattenedContent(file)
    return PlainContent(file)
