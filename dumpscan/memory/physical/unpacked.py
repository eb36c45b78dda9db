"""Where compressed images are unpacked to: memory, within bounds; or a file, if the user names a directory for it.

What a page unpacks to is an attacker's choice, so bytes are counted as they come. Bytes that are never written are zero
and take no room.
"""

from __future__ import annotations

import mmap
import threading
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from dumpscan.exceptions import InputError, reason
from dumpscan.memory.mapped_file import MappedFile
from dumpscan.memory.packed.scratch import ScratchDirectory

if TYPE_CHECKING:
    from typing import IO

UNPACKED_AT_FIRST = 512 << 20
UNPACKED_PER_BYTE = 64
"""Bytes other than pages of zeros that an image may unpack to: so many, and so many for each byte of the file. Snappy
packs to a twentieth at best."""
_FALLBACK_MEMORY = 8 << 30
"""Bytes of memory that are taken to be free where the system does not tell."""
_ZEROS = bytes(4096)
_MEMINFO = Path("/proc/meminfo")
_CGROUP = Path("/sys/fs/cgroup")


class Backing(Protocol):
    """The bytes behind an image: a mapped file, or what a file was unpacked to.

    Attributes:
        size: Bytes in it.
        buffer: All of it.
        holes: Parts that are zeros because nothing was written there (see `MappedFile`).
    """

    size: int
    buffer: memoryview
    holes: tuple[tuple[int, int], ...]

    def release(self) -> None:
        """Let the system take back pages that it can read again."""

    def close(self) -> None:
        """Let go of it."""


class Room:
    """Room for an image's memory, all zeros at first. Several threads may write to it.

    Args:
        path: The image, for messages.
        size: Bytes.
        packed: Bytes of the file that is unpacked.
        scratch: Directory for a file that has the room; by default, memory has it.

    Raises:
        InputError: There is not so much room.
    """

    def __init__(self, path: Path, size: int, packed: int, scratch: Path | None) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._plausible = UNPACKED_AT_FIRST + UNPACKED_PER_BYTE * packed
        self._free = free_memory() // 2 if scratch is None else None
        self._unpacked = 0
        try:
            self._place: _Memory | _File = _Memory(size) if scratch is None else _File(size, scratch)
        except (OSError, ValueError, OverflowError) as error:
            raise self._no_room(reason(error)) from error

    def charge(self, size: int) -> None:
        """Count bytes that something unpacked to.

        Raises:
            InputError: There are more of them than is plausible.
        """
        with self._lock:
            self._unpacked += size
        if self._unpacked > self._plausible:
            problem = f"unpacks to more than {UNPACKED_PER_BYTE} times its size: taken for a bomb, and not read"
            raise InputError(self._path, problem)

    def write(self, offset: int, data: bytes | memoryview) -> None:
        """Put bytes at an offset; each byte is written once, so that they can be counted.

        Raises:
            InputError: There are more bytes than is plausible or than there is room for.
        """
        self.charge(len(data))
        if self._free is not None and self._unpacked > self._free:
            raise self._no_room(f"it needs more than {self._free >> 20} MiB, half of the memory that is free")
        try:
            self._place.write(offset, data)
        except OSError as error:
            raise self._no_room(reason(error)) from error

    def write_pages(self, offset: int, data: bytes) -> None:
        """Put bytes at an offset, and leave out pages of zeros.

        Raises:
            InputError: As for `write`.
        """
        for at in range(0, len(data), len(_ZEROS)):
            page = data[at : at + len(_ZEROS)]
            if page != _ZEROS:
                self.write(offset + at, page)

    def finish(self) -> Backing:
        """Return what was written, to be read. The room is the caller's no longer.

        Raises:
            InputError: There is no room for the last of it.
        """
        try:
            return self._place.finish()
        except OSError as error:
            raise self._no_room(reason(error)) from error

    def discard(self) -> None:
        """Give the room back unread."""
        self._place.discard()

    def _no_room(self, why: str) -> InputError:
        advice = "" if self._free is None else " (--scratch DIR unpacks it into a file)"
        return InputError(self._path, f"cannot be unpacked: {why}{advice}")


class _Memory:
    """Memory that no file stands for: pages that are not written share the system's page of zeros."""

    holes: tuple[tuple[int, int], ...] = ()

    def __init__(self, size: int) -> None:
        flags = getattr(mmap, "MAP_PRIVATE", 0) | getattr(mmap, "MAP_ANONYMOUS", 0) | getattr(mmap, "MAP_NORESERVE", 0)
        self._map = mmap.mmap(-1, size, flags=flags) if flags else mmap.mmap(-1, size)
        self.size = size
        self.buffer = memoryview(self._map)

    def write(self, offset: int, data: bytes | memoryview) -> None:
        self.buffer[offset : offset + len(data)] = data

    def finish(self) -> Backing:
        self.buffer = self.buffer.toreadonly()
        return self

    def release(self) -> None:
        """Do nothing: there is no file to read the pages from again."""

    def close(self) -> None:
        with suppress(BufferError):  # while a slice is held; then the memory goes with its last holder
            self.buffer.release()
            self._map.close()

    discard = close


class _File:
    """A file in a scratch directory, with holes in place of zeros."""

    def __init__(self, size: int, parent: Path) -> None:
        self._lock = threading.Lock()
        self._directory = ScratchDirectory(parent)
        self._path = self._directory.path / "physical.raw"
        self._out: IO[bytes] = self._path.open("wb")
        self._out.truncate(size)

    def write(self, offset: int, data: bytes | memoryview) -> None:
        with self._lock:
            self._out.seek(offset)
            self._out.write(data)

    def finish(self) -> Backing:
        self._out.close()
        return _ScratchFile(self._path, self._directory)

    def discard(self) -> None:
        self._out.close()
        self._directory.cleanup()


class _ScratchFile(MappedFile):
    """A mapped file that is removed with its directory when it is closed."""

    def __init__(self, path: Path, directory: ScratchDirectory) -> None:
        self._directory = directory
        super().__init__(path)

    def close(self) -> None:
        """Unmap the file, and remove it."""
        super().close()
        self._directory.cleanup()


def free_memory() -> int:
    """Return how many bytes of memory the machine, or the container that this runs in, could give to programs."""
    free = _FALLBACK_MEMORY
    with suppress(OSError, ValueError, IndexError):
        for line in _MEMINFO.read_text(encoding="ascii").splitlines():
            name, _, value = line.partition(":")
            if name == "MemAvailable":
                free = int(value.split()[0]) << 10
    with suppress(OSError, ValueError):  # there is no such file, or no limit (`max`)
        limit, used = (int((_CGROUP / name).read_text(encoding="ascii")) for name in ("memory.max", "memory.current"))
        free = min(free, max(limit - used, 0))
    return free
