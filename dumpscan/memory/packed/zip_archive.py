"""Zip archives. Each file is packed by itself, and the directory says where it lies."""

from __future__ import annotations

import zipfile
import zlib
from typing import TYPE_CHECKING

from dumpscan.memory.packed.archive import HEAD_SIZE, MAX_MEMBERS, Member, Names, pour, too_many

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

_DAMAGED = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError)
"""What zipfile raises for files that are damaged, packed in an unknown way, or encrypted (RuntimeError)."""


class ZipArchive:
    """An open zip archive (see `Archive`)."""

    def __init__(self, path: Path, password: str | None) -> None:
        self._path = path
        self._password = password.encode() if password else None
        self._archive = zipfile.ZipFile(path)
        self._files: dict[str, tuple[zipfile.ZipInfo, int]] = {}
        names = Names()
        behind = 0
        listed = self._archive.infolist()
        for info in listed[:MAX_MEMBERS]:
            if not info.is_dir():
                self._files[names.own(info.filename)] = info, behind
                behind += info.file_size
        self._is_whole = len(listed) <= MAX_MEMBERS

    def members(self) -> Iterator[Member]:
        """Yield all files; only the whole archive is refused for what is wrong with all of them."""
        failed: Exception | None = None
        read = 0
        for name in self._files:
            head = None
            try:
                head = self._head(name)
                read += 1
            except _DAMAGED as error:
                failed = failed or error
            yield self._member(name, head)
        if failed is not None and not read:
            raise failed
        if not self._is_whole:
            raise too_many(self._path)

    def member(self, name: str) -> Member | None:
        """Return one file (see `Archive`)."""
        return self._member(name, None) if name in self._files else None

    def close(self) -> None:
        """Close the file."""
        self._archive.close()

    def _member(self, name: str, head: bytes | None) -> Member:
        info, behind = self._files[name]

        def copy(write: Callable[[bytes], object]) -> None:
            with self._archive.open(info, pwd=self._password) as source:
                pour(source, write)

        return Member(name, info.file_size, head, copy, behind)

    def _head(self, name: str) -> bytes:
        with self._archive.open(self._files[name][0], pwd=self._password) as source:
            return source.read(HEAD_SIZE)
