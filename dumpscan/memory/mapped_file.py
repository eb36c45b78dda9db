"""Files mapped into memory: opened without side effects, never copied whole."""

from __future__ import annotations

import contextlib
import mmap
import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Self

from dumpscan.exceptions import InputError, reason

if TYPE_CHECKING:
    from types import TracebackType

_BLOCK = 512
"""Bytes of a block in which `st_blocks` counts (POSIX, sys/stat.h)."""
_MAX_HOLES = 1 << 16

_FILE_TYPES = (
    (stat.S_ISDIR, "a directory"),
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISCHR, "a character device"),
    (stat.S_ISBLK, "a block device"),
    (stat.S_ISSOCK, "a socket"),
)


class MappedFile:
    """A regular file, mapped read-only. Other kinds of file, such as pipes, are refused without opening them.

    Attributes:
        path: The file, as it was given.
        size: Bytes in it.
        buffer: All of it; slices of it share the mapping and copy nothing.
        holes: Parts that were never written, which read as zeros, as offsets of the first byte and past the last; those
            that the file system tells, in ascending order.

    Raises:
        InputError: It is absent, unreadable, empty, or no regular file.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        try:
            # Before opening: to open a device can already do something to it.
            _require_file(self.path, self.path.stat().st_mode)
            # Without O_NONBLOCK, opening a named pipe (put there just now) would wait for its writer.
            flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
            descriptor = os.open(self.path, flags)
        except (OSError, ValueError) as error:
            raise InputError(self.path, f"cannot be opened: {reason(error)}") from error
        try:
            status = os.fstat(descriptor)
            _require_file(self.path, status.st_mode)
            if status.st_size == 0:
                raise InputError(self.path, "is empty", offset=0)
            self._map = mmap.mmap(descriptor, 0, access=mmap.ACCESS_READ)
            self.holes = holes_of(descriptor, status)
        except (OSError, ValueError, OverflowError) as error:
            raise InputError(self.path, f"cannot be mapped into memory: {reason(error)}") from error
        finally:
            os.close(descriptor)
        self.size = len(self._map)
        self.buffer = memoryview(self._map)

    def release(self) -> None:
        """Give the mapping's pages back to the system's page cache; touching them maps them again."""
        if hasattr(mmap, "MADV_DONTNEED"):
            self._map.madvise(mmap.MADV_DONTNEED)

    def close(self) -> None:
        """Unmap the file, or leave that to the last holder of a slice of it."""
        # While a slice is held, closing is refused; then the mapping goes with its last holder.
        with contextlib.suppress(BufferError):
            self.buffer.release()
            self._map.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def holes_of(descriptor: int, status: os.stat_result) -> tuple[tuple[int, int], ...]:
    """List the holes of an open file, as long as there are not too many; none where the system does not tell them.

    Returns:
        Offsets of the first byte and past the last of each, in ascending order.
    """
    if not hasattr(os, "SEEK_HOLE") or status.st_blocks * _BLOCK >= status.st_size:
        return ()
    found: list[tuple[int, int]] = []
    end = 0
    with contextlib.suppress(OSError):  # there is no more data, or the file system does not know
        while len(found) < _MAX_HOLES:
            begin = os.lseek(descriptor, end, os.SEEK_HOLE)
            if begin >= status.st_size:
                break
            try:
                end = os.lseek(descriptor, begin, os.SEEK_DATA)
            except OSError:  # the rest is a hole
                end = status.st_size
            found.append((begin, end))
    return tuple(found)


def _require_file(path: Path, mode: int) -> None:
    """Refuse anything but a regular file."""
    for is_type, name in _FILE_TYPES:
        if is_type(mode):
            raise InputError(path, f"is {name}; expected a file")
