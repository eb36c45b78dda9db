"""Unpacking into bounded scratch space: a file that is packed in another is named `lsass.zip!lsass.dmp`.

What a file claims of its content is an attacker's word: bytes are counted as they come. A run of zeros takes no space.
"""

from __future__ import annotations

import os
import shutil
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import IO, TYPE_CHECKING, NamedTuple

from dumpscan.exceptions import BombError, NoMemberError, UnpackError, reason
from dumpscan.memory.packed.formats import HEAD_SIZE, Member, is_tar, packing_of, pour, said_of, tar_members
from dumpscan.memory.packed.scratch import ScratchDirectory

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dumpscan.memory.packed.formats import Packing


SEPARATOR = "!"
"""Between an archive and the name of a file in it."""
MAX_RATIO = 1000
"""How much larger than the packed file its content may be, once it is larger than `_FREE_SIZE`. A memory image of which
nine tenths are zeros is packed by zstd to a fortieth."""
_FREE_SIZE = 256 << 20
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
        size: Bytes in it, as the archive claims; None where it does not say.
        head: Its first bytes; None where they are not had without unpacking more.
    """

    path: Path
    size: int | None
    head: bytes | None


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


def how_packed(path: Path) -> Packing | None:
    """Return how a file is packed; None if it is not, or is no regular file."""
    if not os.path.isfile(path):  # noqa: PTH113
        return None
    try:
        with path.open("rb") as file:
            return packing_of(file.read(HEAD_SIZE))
    except OSError:
        return None


def list_members(path: Path, options: UnpackOptions) -> list[PackedFile] | None:
    """List the files in an archive, also in a compressed tar archive; None if it is not an archive.

    Raises:
        UnpackError: It is damaged, or cannot be read.
    """
    packing = how_packed(path)
    if packing is None:
        return None
    with said_of(path, password=options.password is not None):
        members = _members(path, packing, options.password)
        if members is None:
            return None
        return [PackedFile(Path(f"{path}{SEPARATOR}{each.name}"), each.size, each.head) for each in members]


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
                _copy(path, packing, member, options.password, sink)
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


_BOMB = f"unpacks to more than {MAX_RATIO} times its size: taken for a bomb, and not read"


def _plausible(packed_size: int) -> int:
    """Return to how many bytes a file of a size may unpack."""
    return max(packed_size * MAX_RATIO, _FREE_SIZE)


class _Metered:
    """The content of a compressed tar archive, of which no more is read than is plausible: to list it reads it all."""

    def __init__(self, path: Path, stream: IO[bytes]) -> None:
        self._path = path
        self._stream = stream
        self._left = _plausible(path.stat().st_size)

    def read(self, size: int) -> bytes:
        """Read on.

        Raises:
            BombError: There is more than is plausible.
        """
        data = self._stream.read(size)
        self._left -= len(data)
        if self._left < 0:
            raise BombError(self._path, _BOMB)
        return data


class _Sink:
    """Writes a file, counts its bytes, and leaves runs of zeros out of it: they take no space then."""

    def __init__(self, shown: Path | str, out: IO[bytes], limit: int, packed_size: int) -> None:
        self._shown = shown
        self._out = out
        self._size = 0
        self._limit = limit
        self._plausible = _plausible(packed_size)
        self._checked = 0

    def expect(self, claimed: int) -> None:
        """Refuse at once a file for which too much would be unpacked, by what its own archive claims.

        Raises:
            BombError: It is.
        """
        if claimed > self._plausible:
            raise BombError(self._shown, _BOMB)

    def write(self, piece: bytes) -> None:
        self._size += len(piece)
        if self._size > self._limit:
            problem = f"unpacks to more than the {self._limit:,} bytes that one file may have (--scratch-limit)"
            raise UnpackError(self._shown, problem)
        if self._size > self._plausible:
            raise BombError(self._shown, _BOMB)
        for at in range(0, len(piece), _BLOCK):
            block = piece[at : at + _BLOCK]
            if block == _ZEROS[: len(block)]:
                self._out.seek(len(block), 1)
            else:
                self._make_room(len(block))
                self._out.write(block)

    def _make_room(self, size: int) -> None:
        if self._checked <= 0:
            if shutil.disk_usage(Path(self._out.name).parent).free < _SPARED + 2 * _SPARED:
                raise UnpackError(self._shown, f"cannot be unpacked: no room in {Path(self._out.name).parent}")
            self._checked = _SPARED
        self._checked -= size

    def finish(self) -> None:
        """Give the file its size, if it ends with zeros."""
        self._out.truncate(self._size)


def _members(path: Path, packing: Packing, password: str | None, wanted: str | None = None) -> Iterator[Member] | None:
    """Yield the files of an archive, or those of one name; None if the file is compressed, and no tar archive."""
    if packing.members is not None:
        return packing.members(path, password, wanted)
    if packing.stream is None:
        raise AssertionError
    with packing.stream(path) as stream:
        if not is_tar(stream.read(HEAD_SIZE)):
            return None
    return tar_members(_Metered(path, packing.stream(path)), wanted)


def _copy(path: Path, packing: Packing, member: str | None, password: str | None, sink: _Sink) -> None:
    members = _members(path, packing, password, member)
    if members is None:
        if member is not None:
            raise UnpackError(path, f"is {packing.name}, which holds one file without a name, not {member!r}")
        if packing.stream is None:
            raise AssertionError
        with packing.stream(path) as stream:
            pour(stream, sink.write)
        sink.finish()
        return
    copied = 0
    for each in members:
        if copied:
            raise UnpackError(path, f"is {packing.name} with several files: name one as {path}{SEPARATOR}FILE")
        sink.expect(each.behind + (each.size or 0))
        each.copy(sink.write)
        copied += 1
        if member is not None:
            break
    if not copied and member is not None:
        raise NoMemberError(path, f"is {packing.name}, and has no file {member}; {_names(path, packing, password)}")
    if not copied:
        raise UnpackError(path, f"is {packing.name}, and has no file")
    sink.finish()


def _names(path: Path, packing: Packing, password: str | None) -> str:
    """Say which files an archive has."""
    names = [str(each.name) for each in islice(_members(path, packing, password) or (), _MAX_NAMES + 1)]
    more = " and more" if len(names) > _MAX_NAMES else ""
    return f"it has {', '.join(names[:_MAX_NAMES])}{more}" if names else "it is empty"
