"""Symbol tables of kernels: where they are looked for, and what to tell the user if one is missing.

A directory of tables has volatility3's layout, `windows/PDB/GUID-AGE.json.xz`. The folder `windows` may be absent, the
files may lie flat, or in a zip file. Nothing here uses the network.
"""

from __future__ import annotations

import base64
import os
import re
import zipfile
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from dumpscan.exceptions import DumpscanError, ExportError, reason
from dumpscan.files import write_whole
from dumpscan.memory.symbols.errors import MissingTable, SymbolsError
from dumpscan.memory.symbols.files import (
    EXTENSIONS,
    MAX_FILE_BYTES,
    identify,
    read_table,
)
from dumpscan.memory.symbols.user_dirs import cache_directory, data_directory

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from dumpscan.memory.symbols.pdb import PdbRecord

VARIABLE = "DUMPSCAN_SYMBOLS"
"""Environment variable: directories of symbol tables, separated as in PATH. `symbols add` writes into the first."""

_TABLE_NAME = re.compile(r"([0-9A-Fa-f]{32})-(\d{1,9})")
_MAX_PACKS = 64
_MAX_LINUX_TABLES = 64


class SymbolsMissingError(SymbolsError):
    """The symbol table of an image's kernel is not on this machine.

    Args:
        path: The image.
        pdb: The table of the kernel that would be used.
        refused: What is wrong with tables that are there, a sentence each.
        missing: All tables that were looked for; by default, that of `pdb`.

    Attributes:
        pdb: As given.
    """

    def __init__(
        self, path: Path | str, pdb: PdbRecord, refused: Sequence[str] = (), missing: Sequence[MissingTable] = ()
    ) -> None:
        self.pdb = pdb
        super().__init__(
            path,
            f"the symbol table of its kernel is not here: {pdb.name}, GUID {pdb.guid}, age {pdb.age}. Three ways to "
            f"get it: (1) online: run again with --online, or fetch {pdb.url} and give the "
            f"file to `dumpscan symbols add`; (2) a symbols directory with "
            f"windows/{pdb.name}/{pdb.table_name}.json.xz: name it with --symbols DIR or {VARIABLE}; "
            "(3) a symbol pack (zip or tar): `dumpscan symbols add PACK`"
            + "".join(f". {sentence}" for sentence in refused),
            missing or (MissingTable(pdb),),
        )


@dataclass(frozen=True, slots=True)
class SymbolsState:
    """Which symbol table an image needs, and whether it is there.

    Attributes:
        image: The image's path.
        pdb: The symbol file that its kernel names; None if no kernel was found.
        table: The table on this machine; None if it is missing.
        problem: Why nothing is known, or what is doubtful.
    """

    image: Path
    pdb: PdbRecord | None
    table: Path | None = None
    problem: str | None = None

    @property
    def state(self) -> str:
        """`present`, `missing`, or `unknown` where no kernel was found."""
        if self.pdb is None:
            return "unknown"
        return "present" if self.table else "missing"

    @property
    def url(self) -> str | None:
        """Address of the PDB on Microsoft's symbol server."""
        return self.pdb.url if self.pdb else None

    @property
    def server_path(self) -> str | None:
        """Path of the PDB below a symbol server's address."""
        return self.pdb.server_path if self.pdb else None


class SymbolStore:
    """All places where tables may lie, in order of precedence.

    Args:
        named: Directories or files that the user named. After them come those in `DUMPSCAN_SYMBOLS`, the user's own
            store, and volatility3's directories.
        cache: Directory for tables taken out of packs; by default one in dumpscan's cache.

    Attributes:
        problems: Places that could not be read, a sentence each.
    """

    def __init__(self, named: Sequence[Path] = (), cache: Path | None = None) -> None:
        self.problems: list[str] = []
        self._cache = (cache or cache_directory()) / "symbols"
        self._places = [Path(place) for place in named]
        for place in self._places:
            if not place.exists():
                self._complain(place, "is not there")
        self._places += [*_from_environment(), user_store(), *_volatility_places()]

    def find(self, pdb: PdbRecord) -> Path | None:
        """Return the file of a kernel's table, or None if there is none.

        A file whose content says that it is the table of another kernel is skipped, with a complaint.
        """
        seen: set[Path] = set()
        for place in self._places:
            for found in self._in_place(place, pdb):
                if found in seen:
                    continue
                seen.add(found)
                if self._fits(found, pdb):
                    return found
        return None

    def find_linux(self, banner: bytes) -> Path | None:
        """Return the file of the table of a Linux kernel, or None if there is none.

        Args:
            banner: What the kernel says of itself, with newline and NUL, as its table has it in base64.
        """
        wanted = base64.b64encode(banner)
        for place in self._places:
            for found in _linux_tables(place):
                try:
                    if wanted in read_table(found):
                        return found
                except DumpscanError as error:
                    self.problems.append(str(error))
        return None

    def _in_place(self, place: Path, pdb: PdbRecord) -> Iterator[Path]:
        try:
            if place.is_file():
                if place.suffix.lower() == ".zip":
                    yield from self._in_pack(place, pdb)
                else:
                    yield place
                return
            if not place.is_dir():
                return
            for directory in (place / "windows" / pdb.name, place / pdb.name, place):
                for name in _names(pdb):
                    if (directory / name).is_file():
                        yield directory / name
            for name in _names(pdb):  # in another folder: a PDB without a name was converted under its file's name
                yield from sorted(place.glob(f"windows/*/{name}"))
            packs = sorted([*place.glob("*.zip"), *place.glob("windows/*.zip")])
        except OSError as error:
            self._complain(place, f"cannot be read: {reason(error)}")
            return
        for pack in packs[:_MAX_PACKS]:
            yield from self._in_pack(pack, pdb)

    def _in_pack(self, pack: Path, pdb: PdbRecord) -> Iterator[Path]:
        """Unpack a table from a zip file into the cache."""
        wanted = set(_names(pdb))
        try:
            with zipfile.ZipFile(pack) as archive:
                for entry in archive.infolist():
                    name = PurePosixPath(entry.filename).name
                    if name not in wanted or entry.is_dir() or entry.file_size > MAX_FILE_BYTES:
                        continue
                    with archive.open(entry) as member:
                        data = member.read(MAX_FILE_BYTES + 1)
                    target = self._cache / pdb.name / name
                    write_whole(target, data)
                    yield target
        except (ExportError, OSError, zipfile.BadZipFile, RuntimeError, ValueError, EOFError) as error:
            self._complain(pack, f"cannot be read: {error}")

    def _fits(self, table: Path, pdb: PdbRecord) -> bool:
        try:
            found = identify(read_table(table))
        except DumpscanError as error:
            self.problems.append(str(error))
            return False
        if found is None:
            self._complain(table, "is no symbol table: it names no PDB")
        elif (found.guid, found.age) == (pdb.guid, pdb.age):
            return True
        elif pdb.table_name.lower() in table.name.lower():
            self._complain(table, f"is the table of another kernel, GUID {found.guid}, age {found.age}")
        return False

    def _complain(self, place: Path, problem: str) -> None:
        sentence = f"{place}: {problem}"
        if sentence not in self.problems:
            self.problems.append(sentence)


@dataclass(frozen=True, slots=True)
class StoredTable:
    """A symbol table in a store.

    Attributes:
        name: Name of the PDB, or of the table of a Linux kernel.
        guid: GUID of the PDB; None for a Linux kernel.
        age: Age of the PDB, likewise.
        size: Bytes of the file.
        path: The file.
    """

    name: str
    guid: str | None
    age: int | None
    size: int
    path: Path

    def is_called(self, word: str) -> bool:
        """Whether a word means this table: its GUID, with or without its age, its name, or its file."""
        stem = self.path.name.partition(".")[0]
        return word.lower() in {name.lower() for name in (self.guid, stem, self.name, str(self.path)) if name}


def stored_tables(store: Path) -> list[StoredTable]:
    """Return the tables in a store, by name.

    Raises:
        DumpscanError: The store cannot be read.
    """
    try:
        files = [path for pattern in ("windows/*/*", "linux/*") for path in store.glob(pattern)]
        return [_stored(path) for path in sorted(files) if path.name.endswith(EXTENSIONS) and path.is_file()]
    except OSError as error:
        raise DumpscanError(f"{store}: cannot be read: {reason(error)}") from error


def _stored(path: Path) -> StoredTable:
    size = path.stat().st_size
    found = _TABLE_NAME.fullmatch(path.name.partition(".")[0])
    if found is None:
        return StoredTable(path.name, None, None, size, path)
    return StoredTable(path.parent.name, found[1].upper(), int(found[2]), size, path)


def remove_table(table: StoredTable) -> None:
    """Remove a table, and the folder of its PDB if nothing else is in it.

    Raises:
        DumpscanError: It cannot be removed.
    """
    try:
        table.path.unlink()
        if table.guid is not None and not any(table.path.parent.iterdir()):
            table.path.parent.rmdir()
    except OSError as error:
        raise DumpscanError(f"{table.path}: cannot be removed: {reason(error)}") from error


def user_store() -> Path:
    """Return the directory that `symbols add` writes into: the first of `DUMPSCAN_SYMBOLS`, or one for the user."""
    return next(iter(_from_environment()), data_directory() / "symbols")


def _from_environment() -> list[Path]:
    return [Path(part) for part in os.environ.get(VARIABLE, "").split(os.pathsep) if part]


def _volatility_places() -> Iterator[Path]:
    """List where volatility3 itself looks: in its package, and in its own cache."""
    package = find_spec("volatility3")
    for base in (package.submodule_search_locations or []) if package else []:
        yield Path(base) / "symbols"
        yield Path(base) / "framework" / "symbols"
    yield cache_directory().parent / "volatility3" / "symbols"


def _linux_tables(place: Path) -> list[Path]:
    """List the files that may be tables of Linux kernels: one that was named, or those in a directory."""
    try:
        if place.is_file():
            return [place] if place.name.endswith(EXTENSIONS) else []
        found = [each for directory in (place / "linux", place) if directory.is_dir() for each in directory.iterdir()]
    except OSError:
        return []
    return sorted(each for each in found if each.name.endswith(EXTENSIONS) and each.is_file())[:_MAX_LINUX_TABLES]


def _names(pdb: PdbRecord) -> list[str]:
    """File names under which a table may lie."""
    stem = pdb.table_name
    return [name + extension for name in dict.fromkeys((stem, stem.lower())) for extension in EXTENSIONS]
