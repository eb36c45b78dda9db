"""A dump's file: opened without risk, recognised by its first bytes, mapped into memory and never copied whole."""

from __future__ import annotations

import contextlib
import mmap
import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Self

from dumpscan.exceptions import InputError

if TYPE_CHECKING:
    from types import TracebackType

_FILE_TYPES = (
    (stat.S_ISDIR, "a directory"),
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISCHR, "a character device"),
    (stat.S_ISBLK, "a block device"),
    (stat.S_ISSOCK, "a socket"),
)

_PACKED = "unpack it first"
_SIGNATURES = (
    # First bytes, what begins so, what to do with it. Kernel dumps: the signatures of Windows' DUMP_HEADER.
    (b"MDMP", "a minidump", "use `dumpscan minidump`"),
    (b"PMDM", "a big-endian minidump", ""),
    (b"PAGEDU64", "a kernel crash dump", "use `dumpscan kernel`"),
    (b"PAGEDUMP", "a 32-bit kernel crash dump", "use `dumpscan kernel`"),
    (b"EMiL", "a LiME memory image", "use `dumpscan kernel`"),
    (b"AVML", "an AVML memory image", "use `dumpscan kernel`"),
    (b"\x7fELF", "an ELF file, such as a program or a core dump", ""),
    (b"USERDUMP", "a user dump from before Windows XP", ""),
    (b"HIBR", "a Windows hibernation file", ""),
    (b"hibr", "a Windows hibernation file", ""),
    (b"\xcf\xfa\xed\xfe", "a Mach-O file", ""),
    (b"\xfd7zXZ\x00", "an xz archive", _PACKED),
    (b"\x1f\x8b", "a gzip archive", _PACKED),
    (b"PK\x03\x04", "a zip archive", _PACKED),
    (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive", _PACKED),
    (b"\x28\xb5\x2f\xfd", "a zstd archive", _PACKED),
    (b"BZh", "a bzip2 archive", _PACKED),
    (b"MSCF", "a cabinet archive", _PACKED),
    (b"Rar!", "a RAR archive", _PACKED),
    (b"MZ", "a Windows program", ""),
    (b"SQLite format 3\x00", "an SQLite database", ""),
    (b"-----BEGIN ", "a PEM file", ""),
)

IMAGE_CONTAINERS = (
    (b"EMiL", "a LiME image whose headers are damaged"),
    (b"\x7fELF", "an ELF file, but no core dump of physical memory"),
    (b"PAGE", "a Windows crash dump without all of physical memory (only full and active dumps hold it), or damaged"),
    (b"AVML", "an AVML image that is damaged, or needs the snappy library (libsnappy) to be unpacked"),
    (b"QEVM", "a QEMU snapshot that is damaged or of an unknown version"),
)
"""First bytes of files that hold images of physical memory (an ELF file may be a program, too), and why such a file
cannot be read when volatility3 does not take it."""


def recognise(head: bytes) -> str | None:
    """Name the format that a file's first bytes announce, with what to do about it; None if they say nothing."""
    for signature, name, advice in _SIGNATURES:
        if head.startswith(signature):
            return f"{name}: {advice}" if advice else name
    if head and not any(head):
        return "nothing but zeros at its beginning"
    return None


class MappedFile:
    """A regular file, mapped read-only. Other kinds of file are refused without waiting for them.

    Attributes:
        path: The file, as it was given.
        size: Bytes in it.
        buffer: All of it; slices of it share the mapping and copy nothing.

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
            raise InputError(self.path, f"cannot be opened: {_reason(error)}") from error
        try:
            status = os.fstat(descriptor)
            _require_file(self.path, status.st_mode)
            if status.st_size == 0:
                raise InputError(self.path, "is empty", offset=0)
            self._map = mmap.mmap(descriptor, 0, access=mmap.ACCESS_READ)
        except (OSError, ValueError, OverflowError) as error:
            raise InputError(self.path, f"cannot be mapped into memory: {_reason(error)}") from error
        finally:
            os.close(descriptor)
        self.size = len(self._map)
        self.buffer = memoryview(self._map)

    def close(self) -> None:
        """Unmap the file; if something still holds a slice of it, as soon as that lets go."""
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


def _require_file(path: Path, mode: int) -> None:
    """Refuse anything but a regular file."""
    for is_type, name in _FILE_TYPES:
        if is_type(mode):
            raise InputError(path, f"is {name}; expected a file")


def _reason(error: Exception) -> str:
    """The operating system's own words for what it refused."""
    return (error.strerror if isinstance(error, OSError) else None) or str(error)
