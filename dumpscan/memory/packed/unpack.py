"""Unpacking into bounded scratch space: a file that is packed in another is named `lsass.zip!lsass.dmp`.

What a file claims of its content is an attacker's word: bytes are counted as they come. A run of zeros takes no space.
"""

from __future__ import annotations

import os
import shutil
import threading
from contextlib import closing, contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import IO, TYPE_CHECKING, NamedTuple

from dumpscan.exceptions import BombError, NoMemberError, PasswordError, SeveralFilesError, UnpackError, reason
from dumpscan.memory.packed.archive import HEAD_SIZE, pour
from dumpscan.memory.packed.bounds import BOMB, plausible_size
from dumpscan.memory.packed.formats import open_archive, packing_of, said_of
from dumpscan.memory.packed.scratch import ScratchDirectory

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dumpscan.memory.packed.archive import Archive, Member
    from dumpscan.memory.packed.formats import Packing


SEPARATOR = "!"
"""Between an archive and the name of a file in it."""
_SPARED = 64 << 20
"""Bytes of the scratch directory's file system that are left free."""
_MAX_NAMES = 5
"""Files of an archive that are named when it does not have the one that was asked for."""
_BLOCK = 64 << 10
_ZEROS = bytes(_BLOCK)


@dataclass(frozen=True, slots=True, kw_only=True)
class UnpackOptions:
    """How packed dumps are unpacked.

    Attributes:
        password: Of archives.
        scratch: Directory to unpack into; the system's by default.
        limit: Bytes that one unpacked file may have.
    """

    password: str | None = None
    scratch: Path | None = None
    limit: int = 64 << 30


class PackedFile(NamedTuple):
    """A file in an archive.

    Attributes:
        path: `archive!file`.
        size: Bytes in it, as the archive claims.
        head: Its first bytes; None where they are not had without unpacking more.
    """

    path: Path
    size: int
    head: bytes | None


class Listing(NamedTuple):
    """The files in an archive.

    Attributes:
        files: In the archive's order.
        problem: Why there may be more, if anything is wrong with the archive.
    """

    files: list[PackedFile]
    problem: str | None = None


def split(path: Path) -> tuple[Path, str | None]:
    """Split `archive!member`; a file that really has such a name is itself."""
    # Where pathlib raises an error for names that are too long, `os.path` says that there is no such file.
    text = str(path)
    at = len(text)
    while not os.path.exists(path) and (at := text.rfind(SEPARATOR, 0, at)) > 0:  # noqa: PTH110
        outer = Path(text[:at])
        if os.path.isfile(outer):  # noqa: PTH113
            return outer, text[at + 1 :]
    return path, None


def archives_of(path: str) -> list[str]:
    """Return the paths of the archives that a file lies in, the outermost first; none for one that lies in none."""
    file, member = split(Path(path)) if SEPARATOR in path else (path, None)
    parts = member.split(SEPARATOR) if member is not None else []
    return [SEPARATOR.join((str(file), *parts[:count])) for count in range(len(parts))]


def how_packed(path: Path) -> Packing | None:
    """Return how a file is packed; None if it is not, or is no regular file."""
    if not os.path.isfile(path):  # noqa: PTH113
        return None
    try:
        with path.open("rb") as file:
            return packing_of(file.read(HEAD_SIZE))
    except OSError:
        return None


def list_members(path: Path, options: UnpackOptions) -> Listing | None:
    """List the files in an archive, also in a compressed tar archive; None if it is not an archive.

    Of an archive that is damaged or too large, the files before that are listed.

    Raises:
        UnpackError: No file can be listed, it needs a password, or it is a bomb.
    """
    packing = how_packed(path)
    if packing is None:
        return None
    files: list[PackedFile] = []
    try:
        with said_of(path, password=options.password is not None):
            archive = open_archive(path, packing, options.password)
            if archive is None:
                return None
            with closing(archive):
                for each in archive.members():
                    files.append(PackedFile(Path(f"{path}{SEPARATOR}{each.name}"), each.size, each.head))  # noqa: PERF401 - those before an error are kept
    except (BombError, PasswordError):
        raise
    except OSError as error:
        raise UnpackError(path, f"cannot be read: {reason(error)}") from error
    except UnpackError as error:
        if not files:
            raise
        last = str(files[-1].path)[len(f"{path}{SEPARATOR}") :]
        return Listing(files, f"{error.problem}; files are read up to {last}, and no further")
    return Listing(files)


@contextmanager
def unpacked(path: Path, member: str | None, options: UnpackOptions) -> Iterator[Path]:
    """Unpack one file into scratch space for as long as the block lasts.

    Args:
        path: The packed file.
        member: Which file of an archive; by default its only one.
        options: How to unpack.

    Raises:
        UnpackError: There is no such file in it, it is damaged, or its content is larger than allowed.
    """
    packing = how_packed(path)
    shown = path if member is None else f"{path}{SEPARATOR}{member}"
    if packing is None:
        raise UnpackError(path, "is not an archive or compressed file", offset=0)
    try:
        directory = ScratchDirectory(options.scratch)
    except OSError as error:
        raise UnpackError(shown, f"cannot be unpacked: {reason(error)}") from error
    with directory:
        target = directory.path / "dump"
        try:
            with said_of(shown, password=options.password is not None), target.open("wb") as out:
                sink = _Sink(shown, out, options.limit, path.stat().st_size)
                if member is None:
                    _copy_only(path, packing, options.password, sink)
                else:
                    _copy_named(path, packing, member, options.password, sink)
                sink.finish()
        except OSError as error:
            raise UnpackError(shown, f"cannot be unpacked: {reason(error)}") from error
        yield target


@contextmanager
def stored(stream: IO[bytes], shown: str, options: UnpackOptions) -> Iterator[Path]:
    """Keep what comes from a stream in scratch space for as long as the block lasts.

    Raises:
        UnpackError: It is larger than allowed, or cannot be kept.
    """
    with ScratchDirectory(options.scratch) as directory:
        target = directory.path / "dump"
        try:
            with target.open("wb") as out:
                sink = _Sink(shown, out, options.limit, options.limit)
                pour(stream, sink.write)
                sink.finish()
        except OSError as error:
            raise UnpackError(shown, f"cannot be read: {reason(error)}") from error
        yield target


class _Sink:
    """Writes a file, counts its bytes, and leaves runs of zeros out of it: they take no space then."""

    def __init__(self, shown: Path | str, out: IO[bytes], limit: int, packed_size: int) -> None:
        self._shown = shown
        self._out = out
        self._size = 0
        self._limit = limit
        self._plausible = plausible_size(packed_size)
        self._checked = 0

    def expect(self, member: Member) -> None:
        """Refuse at once a file that is too large, or behind too much, by what its own archive claims.

        Raises:
            UnpackError: It is.
        """
        self._check(member.size, member.behind + member.size)

    def write(self, piece: bytes) -> None:
        self._size += len(piece)
        self._check(self._size, self._size)
        for at in range(0, len(piece), _BLOCK):
            block = piece[at : at + _BLOCK]
            if block == _ZEROS[: len(block)]:
                self._out.seek(len(block), 1)
            else:
                self._make_room(len(block))
                self._out.write(block)

    def _check(self, size: int, whole: int) -> None:
        if size > self._limit:
            problem = f"unpacks to more than the {self._limit:,} bytes that one file may have (--scratch-limit)"
            raise UnpackError(self._shown, problem)
        if whole > self._plausible:
            raise BombError(self._shown, BOMB)

    def _make_room(self, size: int) -> None:
        if self._checked <= 0:
            if shutil.disk_usage(Path(self._out.name).parent).free < _SPARED + 2 * _SPARED:
                raise UnpackError(self._shown, f"cannot be unpacked: no room in {Path(self._out.name).parent}")
            self._checked = _SPARED
        self._checked -= size

    def finish(self) -> None:
        """Give the file its size, if it ends with zeros."""
        self._out.truncate(self._size)


def _copy_only(path: Path, packing: Packing, password: str | None, sink: _Sink) -> None:
    """Copy the content of a compressed file, or the only file of an archive."""
    archive = open_archive(path, packing, password)
    if archive is None:
        if packing.stream is None:
            raise AssertionError
        with packing.stream(path) as stream:
            pour(stream, sink.write)
        return
    with closing(archive):
        copied = 0
        for each in archive.members():
            if copied:
                name = f"{path}{SEPARATOR}FILE"
                raise SeveralFilesError(path, f"is {packing.name} with several files: name one as {name}")
            sink.expect(each)
            each.copy(sink.write)
            copied += 1
    if not copied:
        raise UnpackError(path, f"is {packing.name}, and has no file")


def _copy_named(path: Path, packing: Packing, name: str, password: str | None, sink: _Sink) -> None:
    """Copy one file of an archive."""
    archive = _kept_open(path, packing, password)
    if archive is None:
        raise UnpackError(path, f"is {packing.name}, which holds one file without a name, not {name!r}")
    member = archive.member(name)
    if member is None:
        raise NoMemberError(path, f"is {packing.name}, and has no file {name}; {_names(path, packing, password)}")
    sink.expect(member)
    member.copy(sink.write)


_kept = threading.local()


def _kept_open(path: Path, packing: Packing, password: str | None) -> Archive | None:
    """Return an open archive. It stays open until this thread opens another, for its next file lies behind the last."""
    status = path.stat()
    key = (path, status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, password)
    archive: Archive | None = getattr(_kept, "archive", None)
    if archive is None or _kept.key != key:
        if archive is not None:
            archive.close()
        _kept.archive, _kept.key = None, key
        _kept.archive = archive = open_archive(path, packing, password)
    return archive


def _names(path: Path, packing: Packing, password: str | None) -> str:
    """Say which files an archive has."""
    archive = open_archive(path, packing, password)
    if archive is None:
        raise AssertionError
    with closing(archive):
        names = [each.name for each in islice(archive.members(), _MAX_NAMES + 1)]
    more = " and more" if len(names) > _MAX_NAMES else ""
    return f"it has {', '.join(names[:_MAX_NAMES])}{more}" if names else "it is empty"
