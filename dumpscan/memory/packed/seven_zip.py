"""7-Zip archives. Files are packed one behind the other into folders (7zFormat.txt); each folder is one stream.

What lies behind a file of a folder is reached by reading on, so that thousands of files that are asked for in order
take one pass.
"""

from __future__ import annotations

import lzma
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dumpscan.memory.packed.archive import MAX_MEMBERS, Member, Names, too_many

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

_PIECE = 16 << 20
"""Bytes that are unpacked at a time."""
_SMALL_PIECE = 16 << 10
"""Bytes that are unpacked at a time where a piece is damaged."""
_DAMAGED = (lzma.LZMAError, zlib.error, EOFError, OSError, ValueError)
"""What the decompressors raise for damaged data."""


class SevenZipArchive:
    """An open 7-Zip archive (see `Archive`).

    Args:
        path: The file.
        password: Its password.
        library: The module `py7zr`.
    """

    def __init__(self, path: Path, password: str | None, library: Any) -> None:  # noqa: ANN401 - has no type hints
        self._path = path
        self._archive = library.SevenZipFile(path, password=password)
        self._files: dict[str, _File] = {}
        folders = self._folders()
        names = Names()
        behind = number = 0
        for number, each in enumerate(getattr(self._archive, "files", ())):
            if number >= MAX_MEMBERS:
                break
            folder = None if each.emptystream else folders[id(each.folder)]
            size = 0 if folder is None else each.uncompressed
            begin = 0 if folder is None else folder.add(size, each.compressed)
            if not each.is_directory:
                self._files[names.own(each.filename)] = _File(folder, begin, size, each.crc32, behind)
            behind += size
        self._is_whole = number < MAX_MEMBERS

    def _folders(self) -> dict[int, _Folder]:
        """Return the folders by the ids of the library's objects."""
        streams = getattr(getattr(self._archive, "header", None), "main_streams", None)
        if streams is None:
            return {}
        begin = self._archive.afterheader
        places = zip(streams.unpackinfo.folders, streams.packinfo.packpositions, strict=False)
        return {id(each): _Folder(self._archive.fp, begin + at, each) for each, at in places}

    def members(self) -> Iterator[Member]:
        """Yield all files (see `Archive`)."""
        yield from map(self._member, self._files)
        if not self._is_whole:
            raise too_many(self._path)

    def member(self, name: str) -> Member | None:
        """Return one file (see `Archive`)."""
        return self._member(name) if name in self._files else None

    def close(self) -> None:
        """Close the file."""
        self._archive.close()

    def _member(self, name: str) -> Member:
        file = self._files[name]
        return Member(name, file.size, None, file.copy, file.behind)


@dataclass(frozen=True, slots=True)
class _File:
    """A file.

    Attributes:
        folder: What holds it; None for an empty file.
        begin: Its offset in what the folder holds.
        size: Bytes in it.
        crc: CRC-32 of these bytes, if the archive has it.
        behind: As in `Member`.
    """

    folder: _Folder | None
    begin: int
    size: int
    crc: int | None
    behind: int

    def copy(self, write: Callable[[bytes], object]) -> None:
        """Write its bytes, piece by piece.

        Raises:
            EOFError: They are damaged, or end too soon.
        """
        if self.folder is None:
            return
        crc = 0
        for piece in self.folder.pieces(self.begin, self.size):
            crc = zlib.crc32(piece, crc)
            write(bytes(piece))
        if self.crc is not None and crc != self.crc:
            raise EOFError("its checksum is wrong")


class _Folder:
    """What a folder holds, read forward; from its beginning again for what lies before the last piece."""

    def __init__(self, file: Any, at: int, folder: Any) -> None:  # noqa: ANN401 - of py7zr, which has no type hints
        self._file = file
        self._begin = at
        self._folder = folder
        self._packed_size = 0
        self._size = 0
        self._careful_from = 1 << 63
        self._rewind()

    def _rewind(self) -> None:
        self._folder.decompressor = None
        self._at = self._begin  # of the next packed byte
        self._unpacked = 0
        self._ready = memoryview(b"")  # the last of the unpacked bytes, which nobody has taken
        self._is_damaged = False

    def add(self, size: int, packed_size: int | None) -> int:
        """Add a file; return its offset."""
        self._packed_size = self._packed_size or packed_size or 0
        self._size += size
        return self._size - size

    def pieces(self, begin: int, size: int) -> Iterator[memoryview]:
        """Yield bytes piece by piece.

        Raises:
            EOFError: The folder ends too soon, or is damaged before that.
        """
        if begin < self._position:
            self._rewind()
        while self._position < begin:
            self._take(begin - self._position)
        while self._position < begin + size:
            yield self._take(begin + size - self._position)

    @property
    def _position(self) -> int:
        return self._unpacked - len(self._ready)

    def _take(self, size: int) -> memoryview:
        if not self._ready:
            self._unpack()
        piece, self._ready = self._ready[:size], self._ready[size:]
        return piece

    def _unpack(self) -> None:
        """Unpack a piece, however small the files are: lzma keeps in memory what it is given and does not need yet.

        What a failing call would have returned is lost, so that piece is unpacked again in small ones.
        """
        decompressor = self._folder.get_decompressor(self._packed_size)
        if self._is_damaged:
            raise EOFError("it is damaged before that")
        most = _PIECE if self._unpacked < self._careful_from else _SMALL_PIECE
        try:
            self._is_damaged = True
            self._unpack_with(decompressor, most)
            self._is_damaged = False
        except _DAMAGED:
            if most == _SMALL_PIECE:
                raise
            self._careful_from = self._unpacked
            self._rewind()
            while self._unpacked < self._careful_from:
                self._unpack()
            self._unpack()

    def _unpack_with(self, decompressor: Any, most: int) -> None:  # noqa: ANN401 - of py7zr
        self._file.seek(self._at)
        piece = decompressor.decompress(self._file, min(self._size - self._unpacked, most))
        if not piece and self._file.tell() == self._at:
            raise EOFError("it ends too soon")
        self._at = self._file.tell()
        self._unpacked += len(piece)
        self._ready = memoryview(piece)
