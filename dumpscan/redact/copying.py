"""A copy of a dump's file, and writing over parts of it."""

from __future__ import annotations

import errno
import io
import os
from typing import TYPE_CHECKING

import numpy as np

from dumpscan.memory.mapped_file import holes_of
from dumpscan.memory.regions import common
from dumpscan.redact.filling import filling
from dumpscan.redact.secret import merged

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from dumpscan.redact.filling import Fill
    from dumpscan.redact.secret import Place

_FICLONE = 0x40049409
"""`ioctl_ficlonerange(2)`: let one file share all blocks of another, until either is changed."""
_CHUNK = 8 << 20
_PIECE = 64 << 10
_WORD = 8


def copy_file(path: Path, data: memoryview, descriptor: int) -> None:
    """Make a new file the copy of another: sharing its blocks, or with its holes, where the file system can.

    Args:
        path: The file, if its bytes are those of `data`: a packed one is not.
        data: The bytes.
        descriptor: The new file, empty.

    Raises:
        OSError: It cannot be written.
    """
    try:
        source = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
    except OSError:
        write_bytes(data, descriptor)
        return
    try:
        status = os.fstat(source)
        if status.st_size != len(data):
            write_bytes(data, descriptor)
        elif not _cloned(source, descriptor):
            os.ftruncate(descriptor, len(data))
            begin = 0
            for hole, end in (*holes_of(source, status), (len(data), len(data))):
                write_at(descriptor, data[begin:hole], begin)
                begin = end
    finally:
        os.close(source)


def _cloned(source: int, descriptor: int) -> bool:
    try:
        return fcntl is not None and fcntl.ioctl(descriptor, _FICLONE, source) == 0
    except OSError:
        return False


def write_bytes(data: memoryview, descriptor: int) -> None:
    """Write all of a new file; zeros become holes.

    Raises:
        OSError: It cannot be written.
    """
    os.ftruncate(descriptor, len(data))
    write_at(descriptor, data, 0)


def write_at(descriptor: int, data: memoryview, offset: int) -> None:
    """Write bytes at an offset of a new file, all but long runs of zeros, which are there already.

    Raises:
        OSError: It cannot be written.
    """
    for start in range(0, len(data), _CHUNK):
        chunk = data[start : start + _CHUNK]
        if np.frombuffer(chunk[:_PIECE], np.uint8).any() and np.frombuffer(chunk[-_PIECE:], np.uint8).any():
            _write(descriptor, chunk, offset + start)
            continue
        for at in range(0, len(chunk), _PIECE):
            piece = chunk[at : at + _PIECE]
            if np.frombuffer(piece, np.uint8).any():
                _write(descriptor, piece, offset + start + at)


def overwrite(descriptor: int, places: Iterable[Place], fill: Fill) -> int:
    """Write over places of a file; return how many bytes these are.

    Raises:
        OSError: It cannot be written.
    """
    count = 0
    for place in merged(places):
        for at in range(0, place.length, _CHUNK):
            size = min(_CHUNK, place.length - at)
            _write(descriptor, memoryview(filling(fill, size, wide=place.wide)), place.offset + at)
        count += place.length
    return count


class Overwritten:
    """Which bytes of a copy may differ from those of the dump.

    Args:
        places: What was written over.
    """

    def __init__(self, places: Iterable[Place]) -> None:
        joined = [(place.offset, place.offset + place.length) for place in merged(places)]
        self._begins, self._ends = np.array(joined, np.int64).reshape(-1, 2).T

    def explains(self, data: memoryview, copied: memoryview, offset: int) -> bool:
        """Say whether bytes of a copy, from an offset on, differ from those of the dump at such places only."""
        before, after = np.frombuffer(data[offset : offset + len(copied)], np.uint8), np.frombuffer(copied, np.uint8)
        if len(before) != len(after):
            return False
        words = len(before) // _WORD * _WORD
        if not (before[:words].view(np.uint64) != after[:words].view(np.uint64)).any() and words == len(before):
            return True
        different = np.flatnonzero(before != after) + offset
        at = np.searchsorted(self._begins, different, "right") - 1
        return bool(np.all((at >= 0) & (different < self._ends[at]))) if len(self._ends) else not len(different)


def _write(descriptor: int, data: memoryview, offset: int) -> None:
    os.lseek(descriptor, offset, os.SEEK_SET)
    while data:
        written = os.write(descriptor, data)
        if not written:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        data = data[written:]


def read_chunks(descriptor: int, skipped: Iterable[tuple[int, int]] = ()) -> Iterator[tuple[int, memoryview]]:
    """Yield the bytes of a file with their offsets; the buffer is the same each time.

    Args:
        descriptor: The file.
        skipped: Parts that are not read, as (offset, end), ascending and apart.
    """
    size = os.fstat(descriptor).st_size
    buffer = memoryview(bytearray(min(_CHUNK, size)))
    with io.FileIO(descriptor, closefd=False) as file:
        offset = 0
        for begin, after in (*skipped, (size, size)):
            file.seek(offset)
            while offset < begin and (count := file.readinto(buffer[: begin - offset])):
                yield offset, buffer[:count]
                offset += count
            offset = max(offset, after)


def common_holes(path: Path, size: int, descriptor: int) -> Iterator[tuple[int, int]]:
    """Yield the holes that two files of one size have in common, which are zeros in both, as (offset, end).

    Args:
        path: One file; if it is not of that size, there are none.
        size: Bytes of both.
        descriptor: The other file.
    """
    try:
        other = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
    except OSError:
        return
    try:
        files = [(each, os.fstat(each)) for each in (other, descriptor)]
        if all(status.st_size == size for _, status in files):
            holes = (np.array(holes_of(each, status), np.uint64).reshape(-1, 2) for each, status in files)
            _, begins, lengths = common(*((each[:, 0], each[:, 1]) for each in holes))
            yield from zip(begins.tolist(), (begins + lengths).tolist(), strict=True)
    finally:
        os.close(other)
