"""File-backed memory that a core leaves out, read from the files themselves: `--sysroot DIR`.

A file is used only if its build id is that of the mapped program or library, as its first page in the core tells, and
if it is large enough for the mapping. It is read to follow pointers and to complete objects; it is not searched.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dumpscan.exceptions import InputError
from dumpscan.memory.core.modules import read_build_id
from dumpscan.memory.mapped_file import MappedFile

if TYPE_CHECKING:
    from pathlib import Path

    from dumpscan.memory.core.elf import ElfCore
    from dumpscan.memory.core.notes import FileMapping

_PAGE = 4096
_MAX_FILES = 1024
"""Files that are kept open for one core."""


class _FileMemory:
    """A file as a module that lies at address 0, for reading its build id."""

    def __init__(self, elf: ElfCore, buffer: memoryview) -> None:
        self.elf = elf
        self._buffer = buffer

    def read(self, address: int, size: int) -> bytes:
        return bytes(self._buffer[address : address + size]) if address >= 0 else b""


class Sysroot:
    """The files below a directory, in place of those that the process had mapped.

    Args:
        root: The directory; a path of the core is taken from there.
        elf: The core's headers.
        build_ids: The build ids of mapped files, by path, as far as the core holds them.
    """

    def __init__(self, root: Path, elf: ElfCore, build_ids: dict[str, str]) -> None:
        self._root = root
        self._elf = elf
        self._build_ids = build_ids
        self._files: dict[str, MappedFile | None] = {}
        self.refused: dict[str, str] = {}

    @property
    def used(self) -> list[str]:
        """Paths of the files that were read."""
        return [path for path, file in self._files.items() if file is not None]

    def read(self, mapping: FileMapping, address: int, size: int) -> bytes:
        """Return up to `size` bytes of a mapped file at a virtual address in its mapping."""
        file = self._file(mapping)
        if file is None:
            return b""
        offset = mapping.offset + address - mapping.start
        return bytes(file.buffer[offset : offset + min(size, mapping.end - address)])

    def close(self) -> None:
        """Close the files."""
        for file in self._files.values():
            if file is not None:
                file.close()
        self._files.clear()

    def _file(self, mapping: FileMapping) -> MappedFile | None:
        if mapping.path not in self._files:
            if len(self._files) >= _MAX_FILES:
                return None
            file, problem = self._opened(mapping)
            self._files[mapping.path] = file
            if problem:
                self.refused[mapping.path] = problem
        return self._files[mapping.path]

    def _opened(self, mapping: FileMapping) -> tuple[MappedFile | None, str | None]:
        """Open the file of a mapping, or say why it is not used."""
        wanted = self._build_ids.get(mapping.path)
        if wanted is None:
            return None, "the core does not hold its build id"
        try:
            path = (self._root / mapping.path.lstrip("/")).resolve()
            if not path.is_relative_to(self._root.resolve()):
                return None, "it leads out of the directory"
            file = MappedFile(path)
        except (InputError, OSError, ValueError) as error:
            return None, error.problem if isinstance(error, InputError) else "it cannot be opened"
        needed = mapping.offset + mapping.end - mapping.start
        if -(-file.size // _PAGE) * _PAGE < needed:
            file.close()
            return None, f"it has {file.size} bytes, the mapping needs {needed}"
        if read_build_id(_FileMemory(self._elf, file.buffer), 0) != wanted:
            file.close()
            return None, "its build id is another"
        return file, None
