"""Compressed files and archives, by their first bytes, read through the libraries that know them.

A new format is a function and a line in `PACKINGS`.
"""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import tarfile
import zipfile
import zlib
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from importlib import import_module
from typing import IO, TYPE_CHECKING, Any, Protocol, cast

from dumpscan.exceptions import PasswordError, UnpackError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

MAX_MEMBERS = 10_000
"""Files that are read of one archive."""
HEAD_SIZE = 512
"""Bytes of a file's beginning that tell how it is packed: a tar archive has its signature at offset 257."""
_TAR_MAGIC = (257, b"ustar")
_PIECE = 1 << 20
_TAR_BUFFER = 1 << 20
"""Bytes that are read of a tar archive at a time; tarfile's own 10 KiB make many calls of large files."""
_ZSTD_PIECE = 1 << 10
"""Bytes that are decompressed at a time: a block of four bytes may stand for 128 KiB (RFC 8878, 3.1.1.2)."""
_MAX_WINDOW = 1 << 31
"""Bytes of the largest window of a zstd frame: that of `zstd --long=31`."""


class Readable(Protocol):
    """What can be read on."""

    def read(self, size: int, /) -> bytes:
        """Return the next bytes, at most so many; none at the end."""


@dataclass(frozen=True, slots=True)
class Member:
    """A file in an archive, or the one file that a compressed file stands for.

    Attributes:
        name: Its name in the archive; None for the content of a compressed file.
        size: Bytes in it, as the archive claims; None where it does not say.
        head: Its first `HEAD_SIZE` bytes; None where they are not had without unpacking more.
        copy: Writes it with the given function, piece by piece.
        behind: Bytes that have to be unpacked before it, as the archive claims.
    """

    name: str | None
    size: int | None
    head: bytes | None
    copy: Callable[[Callable[[bytes], object]], None]
    behind: int = 0


@dataclass(frozen=True, slots=True)
class Packing:
    """A way in which files are packed.

    Attributes:
        name: What such a file is, in words.
        signature: Its first bytes.
        stream: Opens a compressed file for reading; None for archives.
        members: Yields the files of an archive, given its path and password, and perhaps a name: files of other names
            are not opened then. None for compressed files.
    """

    name: str
    signature: bytes
    stream: Callable[[Path], IO[bytes]] | None = None
    members: Callable[[Path, str | None, str | None], Iterator[Member]] | None = None


def packing_of(head: bytes) -> Packing | None:
    """Return how a file is packed, by its first `HEAD_SIZE` bytes; None if it is not."""
    for packing in PACKINGS:
        if packing.signature and head.startswith(packing.signature):
            return packing
    return TAR if is_tar(head) else None


def is_tar(head: bytes) -> bool:
    """Say whether a file's first `HEAD_SIZE` bytes are those of a tar archive."""
    at, magic = _TAR_MAGIC
    return head[at : at + len(magic)] == magic


@contextmanager
def said_of(path: Path | str, *, password: bool = False) -> Iterator[None]:
    """Turn what the libraries raise for damaged files into one error; `password` says whether one was given."""
    damaged = f"is packed and damaged{', or needs another password' if password else ''}"
    try:
        yield
    except (tarfile.TarError, zipfile.BadZipFile, lzma.LZMAError, zlib.error, EOFError) as error:
        raise UnpackError(path, f"{damaged}: {_words(error)}") from error
    except NotImplementedError as error:
        raise UnpackError(path, f"is packed in a way that cannot be read: {_words(error)}") from error
    except RuntimeError as error:  # how zipfile speaks of passwords
        needs = "another password" if "Bad password" in str(error) else "a password"
        raise PasswordError(path, f"needs {needs}: see --archive-password") from error
    except Exception as error:
        if type(error).__module__.split(".")[0] not in {"py7zr", "zstandard", "lz4", "_lzma", "gzip", "igzip_lib"}:
            raise
        if "password" in type(error).__name__.lower():
            raise PasswordError(path, "needs a password: see --archive-password") from error
        raise UnpackError(path, f"is packed and damaged, or needs another password: {_words(error)}") from error


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


def _gzip(path: Path) -> IO[bytes]:
    """Open a gzip file; isal, where it is installed, unpacks five times as fast as Python's own library."""
    try:
        library = import_module("isal.igzip")
    except ImportError:
        library = gzip
    return cast("IO[bytes]", library.open(path))


def _xz(path: Path) -> IO[bytes]:
    return lzma.open(path)


def _bzip2(path: Path) -> IO[bytes]:
    return bz2.open(path)


def _zstd(path: Path) -> IO[bytes]:
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


def _lz4(path: Path) -> IO[bytes]:
    stream: IO[bytes] = _library("lz4.frame", path, "an lz4 file").open(path, "rb")
    return stream


# --- Archives --------------------------------------------------------------------------------------------------------


def _zip(path: Path, password: str | None, wanted: str | None) -> Iterator[Member]:
    status = path.stat()
    archive = _last_zip(path, status.st_mtime_ns, status.st_size)
    for info in archive.infolist()[:MAX_MEMBERS]:
        if info.is_dir() or wanted not in {None, info.filename}:
            continue

        def copy(write: Callable[[bytes], object], info: zipfile.ZipInfo = info) -> None:
            with archive.open(info, pwd=password.encode() if password else None) as source:
                pour(source, write)

        with archive.open(info, pwd=password.encode() if password else None) as source:
            head = source.read(HEAD_SIZE)
        yield Member(info.filename, info.file_size, head, copy)


@lru_cache(maxsize=1)
def _last_zip(path: Path, _modified: int, _size: int) -> zipfile.ZipFile:
    """Open an archive, which stays open until another one is: its thousands of dumps are opened one after another."""
    return zipfile.ZipFile(path)


def tar_members(stream: Readable, wanted: str | None) -> Iterator[Member]:
    """Yield the files of a tar archive that is read from its beginning on; each must be copied before the next."""
    with tarfile.open(fileobj=cast("IO[bytes]", stream), mode="r|", bufsize=_TAR_BUFFER) as archive:
        for number, info in enumerate(archive):
            if number >= MAX_MEMBERS:
                break
            if not info.isreg() or wanted not in {None, info.name}:
                continue

            source = archive.extractfile(info)
            if source is None:
                continue
            head = source.read(HEAD_SIZE)

            def copy(
                write: Callable[[bytes], object], head: bytes = head, source: IO[bytes] = source
            ) -> None:  # what was read cannot be read again
                write(head)
                pour(source, write)

            yield Member(info.name, info.size, head, copy)


def _tar(path: Path, _password: str | None, wanted: str | None) -> Iterator[Member]:
    with path.open("rb") as stream:
        yield from tar_members(stream, wanted)


def _seven_zip(path: Path, password: str | None, wanted: str | None) -> Iterator[Member]:
    library = _library("py7zr", path, "a 7-Zip archive")
    with library.SevenZipFile(path, password=password) as archive:
        listed = [info for info in archive.list()[:MAX_MEMBERS] if not info.is_directory]
    behind = 0
    for info in listed:

        def copy(write: Callable[[bytes], object], name: str = info.filename) -> None:
            with library.SevenZipFile(path, password=password) as archive:
                archive.extract(targets=[name], factory=_one_file(library, write))

        if wanted in {None, info.filename}:
            yield Member(info.filename, info.uncompressed, None, copy, behind)  # the files are packed as one
        behind += info.uncompressed


def _one_file(library: Any, write: Callable[[bytes], object]) -> Any:  # noqa: ANN401 - of py7zr, which has none
    """Make what py7zr writes into hand each piece on."""

    class Sink(library.io.Py7zIO):  # type: ignore[misc]
        def __init__(self) -> None:
            self._size = 0

        def write(self, piece: bytes) -> int:
            write(bytes(piece))
            self._size += len(piece)
            return len(piece)

        def read(self, _size: int | None = None) -> bytes:
            return b""

        def seek(self, _offset: int, _whence: int = 0) -> int:
            return 0

        def flush(self) -> None:
            """Do nothing: every piece has been handed on."""

        def size(self) -> int:
            return self._size

    class Factory(library.io.WriterFactory):  # type: ignore[misc]
        def create(self, _name: str) -> Sink:
            return Sink()

    return Factory()


def pour(source: IO[bytes], write: Callable[[bytes], object]) -> None:
    """Copy a stream piece by piece."""
    while piece := source.read(_PIECE):
        write(piece)


TAR = Packing("a tar archive", b"", members=_tar)
PACKINGS = (
    Packing("an xz archive", b"\xfd7zXZ\x00", stream=_xz),
    Packing("a gzip archive", b"\x1f\x8b", stream=_gzip),
    Packing("a zstd archive", b"\x28\xb5\x2f\xfd", stream=_zstd),
    Packing("a bzip2 archive", b"BZh", stream=_bzip2),
    Packing("an lz4 archive", b"\x04\x22\x4d\x18", stream=_lz4),
    Packing("a zip archive", b"PK\x03\x04", members=_zip),
    Packing("a 7-Zip archive", b"7z\xbc\xaf\x27\x1c", members=_seven_zip),
    TAR,
)
"""All that can be unpacked."""
