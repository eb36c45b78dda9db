"""Tar archives, also compressed ones. They have no directory: a file is found by reading on from where one is.

A compressed archive can only be read from its beginning. What lies behind a file is reached by reading on, so that
thousands of files that are asked for in order take one pass.
"""

from __future__ import annotations

import tarfile
from contextlib import closing
from typing import IO, TYPE_CHECKING, Self, cast

from dumpscan.exceptions import BombError
from dumpscan.memory.packed.archive import HEAD_SIZE, MAX_MEMBERS, Member, Names, pour, too_many
from dumpscan.memory.packed.bounds import BOMB, plausible_size

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from io import BufferedIOBase
    from pathlib import Path

    from dumpscan.memory.packed.archive import Readable

_MAGIC = (257, b"ustar")
_PIECE = 1 << 14
"""Bytes that are unpacked at a time: what a failing call would have returned is lost."""
_MAX_EMPTY = 16
"""How often nothing is read: a few times, where an archive ends."""
_MAX_EXTENDED = 1 << 20
"""Bytes of a header that says more about the next file, which tarfile reads into memory: its name, for instance."""
_EXTENDED = (
    tarfile.XHDTYPE,
    tarfile.XGLTYPE,
    tarfile.SOLARIS_XHDTYPE,
    tarfile.GNUTYPE_LONGNAME,
    tarfile.GNUTYPE_LONGLINK,
)


def is_tar(head: bytes) -> bool:
    """Say whether a file's first `HEAD_SIZE` bytes are those of a tar archive."""
    at, magic = _MAGIC
    return head[at : at + len(magic)] == magic


class TarArchive:
    """An open tar archive (see `Archive`).

    Args:
        path: The file.
        stream: Opens its content for reading, from the beginning.
    """

    def __init__(self, path: Path, stream: Callable[[], BufferedIOBase]) -> None:
        self._path = path
        self._stream = stream
        self._ahead: Generator[Member] | None = None
        self._passed: set[str] = set()
        self._is_whole = False

    def members(self) -> Generator[Member]:
        """Yield all files (see `Archive`)."""
        self._is_whole = False
        names = Names()
        behind = 0
        with (
            closing(_Content(self._path, self._stream())) as content,
            tarfile.open(fileobj=cast("IO[bytes]", content), mode="r|", bufsize=_PIECE, tarinfo=_Header) as archive,
        ):
            for number, info in enumerate(archive):
                if number >= MAX_MEMBERS:
                    raise too_many(self._path)
                source = archive.extractfile(info) if info.isreg() else None
                if source is not None:
                    yield _member(names.own(info.name), info.size, source, behind)
                    behind += info.size
                vars(archive)["members"].clear()  # tarfile keeps what it has read
            _expect_end(cast("Readable", archive.fileobj))
        self._is_whole = True

    def member(self, name: str) -> Member | None:
        """Return one file (see `Archive`); one that lies before the last is looked for from the beginning."""
        if self._ahead is None or name in self._passed:
            self.close()
            self._ahead = self.members()
        for member in self._ahead:
            self._passed.add(member.name)
            if member.name == name:
                return member
        if not self._is_whole:
            raise tarfile.ReadError(f"it is damaged behind {len(self._passed)} files")
        return None

    def close(self) -> None:
        """Close the file."""
        if self._ahead is not None:
            self._ahead.close()
        self._ahead = None
        self._passed.clear()


def _member(name: str, size: int, source: IO[bytes], behind: int) -> Member:
    head = source.read(HEAD_SIZE)

    def copy(write: Callable[[bytes], object]) -> None:
        write(head)  # what was read cannot be read again
        pour(source, write)

    return Member(name, size, head, copy, behind)


def _expect_end(content: Readable) -> None:
    """Read what lies behind the mark of an archive's end, so that a compressed file's checksum is compared.

    Raises:
        tarfile.ReadError: There is something, another archive for instance.
    """
    while piece := content.read(_PIECE):
        if piece.count(0) != len(piece):
            raise tarfile.ReadError("something lies behind the archive's end")


class _Header(tarfile.TarInfo):
    """A file's header. tarfile takes a damaged one for the end of the archive, and hides what lies behind it."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Self:
        """Read a header.

        Raises:
            tarfile.ReadError: It is damaged, or there is none and no mark of the end either.
        """
        if not any(buf) and len(buf) == tarfile.BLOCKSIZE:
            return super().frombuf(buf, encoding, errors)  # the end, which it says by an exception
        try:
            header = super().frombuf(buf, encoding, errors)
        except tarfile.HeaderError as error:
            raise tarfile.ReadError(f"expected the header of a file, or the end of the archive: {error}") from error
        if header.type in _EXTENDED and not 0 <= header.size <= _MAX_EXTENDED:
            raise tarfile.ReadError(f"a header of {header.size:,} bytes; no more than {_MAX_EXTENDED:,} are read")
        return header


class _Content:
    """The content of a tar archive, read up to where it is damaged, and no further than is plausible."""

    def __init__(self, path: Path, stream: BufferedIOBase) -> None:
        self._path = path
        self._stream = stream
        self._left = plausible_size(path.stat().st_size)
        self._is_damaged = False
        self._empty = 0

    def read(self, size: int) -> bytes:
        """Return the next bytes, at most `size`; none at the end.

        Raises:
            BombError: There is more than is plausible.
            EOFError: An earlier call has failed: what a damaged stream yields after that is not its content. Or the end
                was reached long ago: tarfile goes on for ever where a file claims to be very large.
        """
        if self._is_damaged:
            raise EOFError("it is damaged before that")
        self._is_damaged = True
        piece = self._stream.read1(min(size, _PIECE))
        self._is_damaged = False
        self._left -= len(piece)
        self._empty += not piece
        if self._empty > _MAX_EMPTY:
            raise EOFError("it ends within a file")
        if self._left < 0:
            raise BombError(self._path, BOMB)
        return piece

    def close(self) -> None:
        """Close it."""
        self._stream.close()
