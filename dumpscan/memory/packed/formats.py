"""Compressed files and archives, by their first bytes, read through the libraries that know them.

A new format is a function and a line in `PACKINGS`.
"""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import zlib
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any, cast

from dumpscan.exceptions import PasswordError, UnpackError
from dumpscan.memory.packed.archive import HEAD_SIZE
from dumpscan.memory.packed.seven_zip import SevenZipArchive
from dumpscan.memory.packed.tar_archive import TarArchive, is_tar
from dumpscan.memory.packed.zip_archive import ZipArchive

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from io import BufferedIOBase
    from pathlib import Path

    from dumpscan.memory.packed.archive import Archive

_PIECE = 1 << 20
_ZSTD_PIECE = 1 << 10
"""Bytes that are decompressed at a time: a block of four bytes may stand for 128 KiB (RFC 8878, 3.1.1.2)."""
_MAX_WINDOW = 1 << 31
"""Bytes of the largest window of a zstd frame: that of `zstd --long=31`."""


@dataclass(frozen=True, slots=True)
class Packing:
    """A way in which files are packed.

    Attributes:
        name: What such a file is, in words.
        signature: Its first bytes.
        stream: Opens a compressed file for reading; None for archives.
        archive: Opens an archive, given its path and password. None for compressed files.
    """

    name: str
    signature: bytes
    stream: Callable[[Path], BufferedIOBase] | None = None
    archive: Callable[[Path, str | None], Archive] | None = None


def packing_of(head: bytes) -> Packing | None:
    """Return how a file is packed, by its first `HEAD_SIZE` bytes; None if it is not."""
    for packing in PACKINGS:
        if packing.signature and head.startswith(packing.signature):
            return packing
    return TAR if is_tar(head) else None


def open_archive(path: Path, packing: Packing, password: str | None) -> Archive | None:
    """Open an archive, also a compressed tar archive; None for a compressed file that holds no archive."""
    if packing.archive is not None:
        return packing.archive(path, password)
    stream = packing.stream
    if stream is None:
        raise AssertionError
    with stream(path) as content:
        if not is_tar(content.read(HEAD_SIZE)):
            return None
    return TarArchive(path, lambda: stream(path))


_LIBRARIES = frozenset(
    {
        "py7zr",
        "zstandard",
        "lz4",
        "isal",
        "igzip_lib",
        "lzma",
        "_lzma",
        "gzip",
        "bz2",
        "_compression",
        "tarfile",
        "zipfile",
    }
)
"""Modules whose exceptions are about what they read."""


@contextmanager
def said_of(path: Path | str, *, password: bool = False) -> Iterator[None]:
    """Turn what the libraries raise for damaged files into one error.

    Args:
        path: What was read, for the message.
        password: Whether a password was given.

    Raises:
        UnpackError: In place of any exception by a library; a `PasswordError` if it asks for a password.
    """
    try:
        yield
    except MemoryError:
        raise
    except NotImplementedError as error:
        raise UnpackError(path, f"is packed in a way that cannot be read: {_words(error)}") from error
    except Exception as error:
        if not isinstance(error, EOFError | zlib.error) and not _is_by_library(error):
            raise
        if "password" in f"{type(error).__name__} {error}".lower():  # zipfile raises a RuntimeError
            needs = "another password" if "Bad password" in str(error) else "a password"
            raise PasswordError(path, f"needs {needs}: see --archive-password") from error
        guess = ", or needs another password" if password else ""
        raise UnpackError(path, f"is packed and damaged{guess}: {_words(error)}") from error


def _is_by_library(error: Exception) -> bool:
    """Whether one of the libraries raised an exception, or the system's error is about content: it has no number."""
    raised = error.__traceback__
    while raised is not None and raised.tb_next is not None:
        raised = raised.tb_next
    within = "" if raised is None else raised.tb_frame.f_globals.get("__name__", "")
    if isinstance(error, OSError):
        return error.errno is None
    return not _LIBRARIES.isdisjoint(name.partition(".")[0] for name in (type(error).__module__, within))


def _words(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__


def _library(name: str, path: Path, what: str) -> Any:  # noqa: ANN401 - a module without type hints
    try:
        return import_module(name)
    except ImportError as error:
        raise UnpackError(
            path, f"is {what}, which needs the library {name.split('.', maxsplit=1)[0]} to be unpacked"
        ) from error


# --- Compressed files ------------------------------------------------------------------------------------------------


def _gzip(path: Path) -> BufferedIOBase:
    """Open a gzip file; isal, where it is installed, unpacks five times as fast as Python's own library."""
    try:
        library = import_module("isal.igzip")
    except ImportError:
        library = gzip
    return cast("BufferedIOBase", library.open(path))


def _xz(path: Path) -> BufferedIOBase:
    return lzma.open(path)


def _bzip2(path: Path) -> BufferedIOBase:
    return bz2.open(path)


def _zstd(path: Path) -> BufferedIOBase:
    library = _library("zstandard", path, "a zstd archive")
    return io.BufferedReader(_ZstdFrames(path, library.ZstdDecompressor(max_window_size=_MAX_WINDOW)), _PIECE)


class _ZstdFrames(io.RawIOBase):
    """The content of a zstd file, frame after frame. The library's own reader takes a file cut short for whole."""

    def __init__(self, path: Path, decompressor: Any) -> None:  # noqa: ANN401 - a library without type hints
        self._file = path.open("rb")
        self._decompressor = decompressor
        self._frame: Any = None
        self._ready = memoryview(b"")  # a view: to cut the front off 128 MiB copies nothing

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: Any) -> int:  # noqa: ANN401 - of the base class
        """Fill a buffer as far as there is something; 0 at the end.

        Raises:
            EOFError: The file ends within a frame.
        """
        while not self._ready:
            packed = self._file.read(_ZSTD_PIECE)
            if not packed:
                if self._frame is not None:
                    raise EOFError("it ends within a frame")
                return 0
            self._feed(packed)
        size = min(len(buffer), len(self._ready))
        buffer[:size] = self._ready[:size]
        self._ready = self._ready[size:]
        return size

    def _feed(self, packed: bytes) -> None:
        pieces = []
        while packed:
            self._frame = self._frame or self._decompressor.decompressobj()
            pieces.append(self._frame.decompress(packed))
            packed = b""
            if self._frame.eof:
                packed, self._frame = self._frame.unused_data, None
        self._ready = memoryview(pieces[0] if len(pieces) == 1 else b"".join(pieces))

    def close(self) -> None:
        """Close the file."""
        self._file.close()
        super().close()


def _lz4(path: Path) -> BufferedIOBase:
    stream: BufferedIOBase = _library("lz4.frame", path, "an lz4 file").open(path, "rb")
    return stream


# --- Archives --------------------------------------------------------------------------------------------------------


def _tar(path: Path, _password: str | None) -> Archive:
    return TarArchive(path, lambda: path.open("rb"))


def _seven_zip(path: Path, password: str | None) -> Archive:
    return SevenZipArchive(path, password, _library("py7zr", path, "a 7-Zip archive"))


TAR = Packing("a tar archive", b"", archive=_tar)
PACKINGS = (
    Packing("an xz archive", b"\xfd7zXZ\x00", stream=_xz),
    Packing("a gzip archive", b"\x1f\x8b", stream=_gzip),
    Packing("a zstd archive", b"\x28\xb5\x2f\xfd", stream=_zstd),
    Packing("a bzip2 archive", b"BZh", stream=_bzip2),
    Packing("an lz4 archive", b"\x04\x22\x4d\x18", stream=_lz4),
    Packing("a zip archive", b"PK\x03\x04", archive=ZipArchive),
    Packing("a 7-Zip archive", b"7z\xbc\xaf\x27\x1c", archive=_seven_zip),
    TAR,
)
"""All that can be unpacked."""
