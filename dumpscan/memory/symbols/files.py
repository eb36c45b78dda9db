"""Files that symbol tables come in: ISF (volatility3's JSON, often packed), PDB, and packs of either.

No file is unpacked past a fixed size, and no table is parsed before its shape is known to be within limits. A table is
stored under a name that its own content gives, never under a name from a pack.
"""

from __future__ import annotations

import base64
import bz2
import gc
import gzip
import io
import json
import lzma
import re
import tarfile
import warnings
import zipfile
import zlib
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from pathlib import Path, PureWindowsPath
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from dumpscan.exceptions import DumpscanError, ExportError, InputError, reason
from dumpscan.files import write_whole
from dumpscan.memory import volatility
from dumpscan.memory.packed.scratch import ScratchDirectory
from dumpscan.memory.symbols.json_limits import JsonLimits

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

EXTENSIONS = (".json.xz", ".json", ".json.gz", ".json.bz2")
"""Extensions of ISF files in volatility3."""

MAX_FILE_BYTES = 256 << 20
"""Largest file that is read: Microsoft's kernel PDBs have about 12 MiB."""
_MAX_TABLE_BYTES = 96 << 20
"""Largest table, unpacked. Those of Windows kernels have up to 7 MiB, those of Linux kernels up to 20 MiB. Parsing
can take four bytes for each character, and what `json_limits` allows."""
_CHUNK = 1 << 18
_MAX_PACK_BYTES = 4 << 30
_MAX_MEMBERS = 100_000
_PDB_MAGIC = b"Microsoft C/C++ MSF 7.00\r\n\x1aDS"
_UNPACKERS: dict[bytes, tuple[str, Callable[..., Any]]] = {
    # First bytes: the extension of such a file, and what opens it.
    b"\xfd7zXZ\0": (".json.xz", lzma.open),
    b"\x1f\x8b": (".json.gz", gzip.open),
    b"BZh": (".json.bz2", bz2.open),
}
_PACK_ERRORS = (
    *(lzma.LZMAError, zlib.error, EOFError, OSError, ValueError, RuntimeError),
    *(zipfile.BadZipFile, tarfile.TarError),
)
_GUID = re.compile(rb'"GUID"\s*:\s*"([0-9A-Fa-f]{32})"')
_AGE = re.compile(rb'"age"\s*:\s*(\d{1,10})')
_DATABASE = re.compile(rb'"database"\s*:\s*"([A-Za-z0-9_.-]{1,64})"')
_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]{0,63}")
_BLOCK_SIZES = tuple(1 << bits for bits in range(9, 17))
_NO_STREAM = 0xFFFFFFFF
_UNKNOWN = "unknown.pdb"
"""Name that volatility3 gives to a PDB without a name."""
_NEEDED = ("_EPROCESS", "_KPROCESS", "_PEB")


@dataclass(frozen=True, slots=True)
class TableIdentity:
    """Which kernel a table belongs to, according to its metadata."""

    guid: str
    age: int
    database: str | None


@dataclass(frozen=True, slots=True)
class LinuxIdentity:
    """Which Linux kernel a table belongs to, according to the banner in it.

    Attributes:
        banner: What the kernel says of itself when it starts, with newline and NUL.
    """

    banner: bytes

    @property
    def name(self) -> str:
        """The name of its file in a store, without extension."""
        return sha256(self.banner).hexdigest()[:32]


@dataclass(frozen=True, slots=True)
class AddedTable:
    """A table that was put into a store.

    Attributes:
        source: Where it came from: a file, or a pack and the name in it.
        path: The file in the store.
        identity: Which table it is.
        new: Whether it was not there before.
    """

    source: str
    path: Path
    identity: TableIdentity | LinuxIdentity
    new: bool


def read_table(path: Path) -> bytes:
    """Read an ISF file; its content, not its name, says how to unpack it.

    Raises:
        InputError: It cannot be read or unpacked, or is larger or deeper than any table.
    """
    try:
        with path.open("rb") as file:
            return _unpack(file, str(path))
    except OSError as error:
        raise InputError(path, f"cannot be read: {reason(error)}") from error


def identify(table: bytes) -> TableIdentity | None:
    """Find a table's GUID, age and PDB name in its text without parsing it; return None if it names no PDB."""
    guid, age, database = (pattern.search(table) for pattern in (_GUID, _AGE, _DATABASE))
    if guid is None or age is None:
        return None
    return TableIdentity(
        guid[1].decode("ascii").upper(), int(age[1]), database[1].decode("ascii") if database else None
    )


def add_tables(source: Path, store: Path) -> tuple[list[AddedTable], list[str]]:
    """Put a PDB, an ISF file, or all tables in a pack or directory into a store.

    Args:
        source: A file or directory.
        store: The store's directory; it is made if it is absent.

    Returns:
        The tables, and what could not be added, a sentence each.

    Raises:
        InputError: The source cannot be read, or holds no table at all.
        DumpscanError: The store cannot be written to.
    """
    added: list[AddedTable] = []
    problems: list[str] = []
    try:
        for name, read in _contents(source):
            try:
                content = read()
            except _PACK_ERRORS as error:  # of one file in a pack
                problems.append(f"{name}: cannot be read: {reason(error)}")
                continue
            except InputError as error:
                problems.append(str(error))
                continue
            try:
                added.append(_add(name, content, store))
            except InputError as error:
                problems.append(str(error))
    except InputError as error:  # of the pack as a whole
        problems.append(str(error))
    except _PACK_ERRORS as error:
        problems.append(f"{source}: cannot be read: {reason(error)}")
    if not added:
        raise InputError(source, problems[0].split(": ", 1)[-1] if len(problems) == 1 else _nothing(problems))
    return added, problems


def _nothing(problems: list[str]) -> str:
    return "holds no symbol table" + (f"; {len(problems)} files in it could not be added" if problems else "")


def _contents(source: Path) -> Iterator[tuple[str, Callable[[], bytes]]]:
    """Iterate over the tables and PDBs in a file, pack or directory: the name of each, and a function to read it."""
    if source.is_dir():
        for path in sorted(source.rglob("*")):
            if path.is_file() and not path.is_symlink() and _is_candidate(path.name):
                yield str(path), partial(_read_file, path)
        return
    with source.open("rb") as file:
        head = file.read(32)
    if zipfile.is_zipfile(source):
        yield from _zip_contents(source)
    elif not head.startswith(_PDB_MAGIC) and _is_tar(source):
        yield from _tar_contents(source)
    else:
        yield str(source), partial(_read_file, source)


def _read_file(path: Path) -> bytes:
    with path.open("rb") as file:
        return _limited(file, str(path))


def _is_tar(source: Path) -> bool:
    try:
        return tarfile.is_tarfile(source)
    except _PACK_ERRORS:
        return False


def _zip_contents(source: Path) -> Iterator[tuple[str, Callable[[], bytes]]]:
    total = 0
    with zipfile.ZipFile(source) as archive:
        for entry in archive.infolist()[:_MAX_MEMBERS]:
            # `is_dir` raises IndexError for an entry without a name.
            if entry.filename.endswith("/") or not _is_candidate(entry.filename):
                continue
            total += min(entry.file_size, MAX_FILE_BYTES)
            _require_room(total, source)
            with archive.open(entry) as member:
                yield f"{source}!{entry.filename}", partial(_limited, member, f"{source}!{entry.filename}")


def _tar_contents(source: Path) -> Iterator[tuple[str, Callable[[], bytes]]]:
    total = 0
    with tarfile.open(source) as archive:
        for number, entry in enumerate(archive):
            # Members that are passed over are unpacked as well, so they count.
            total += entry.size
            _require_room(total, source)
            if number >= _MAX_MEMBERS:
                return
            member = archive.extractfile(entry) if entry.isfile() and _is_candidate(entry.name) else None
            if member is not None:
                yield f"{source}!{entry.name}", partial(_limited, member, f"{source}!{entry.name}")


def _require_room(total: int, source: Path) -> None:
    if total > _MAX_PACK_BYTES:
        raise InputError(source, f"unpacks to more than {_MAX_PACK_BYTES >> 30} GiB; what follows was not looked at")


def _is_candidate(name: str) -> bool:
    lower = name.lower()
    return lower.endswith((*EXTENSIONS, ".pdb"))


def _limited(file: IO[bytes], name: str) -> bytes:
    """Read a file of bounded size."""
    data = file.read(MAX_FILE_BYTES + 1)
    if len(data) > MAX_FILE_BYTES:
        raise InputError(name, f"is larger than {MAX_FILE_BYTES >> 20} MiB")
    return data


def _limited_table(file: IO[bytes], name: str) -> bytes:
    """Read the text of a table, which must be within the limits for parsing it."""
    most = min(MAX_FILE_BYTES, _MAX_TABLE_BYTES)
    text = bytearray()
    limits = JsonLimits()
    while chunk := file.read(_CHUNK):
        text += chunk
        if len(text) > most:
            raise InputError(name, f"is larger than {most >> 20} MiB")
        exceeded = limits.exceeded_by(chunk)
        if exceeded:
            raise InputError(name, f"is no symbol table of a Windows program (ISF): it has {exceeded}")
    return bytes(text)


def _unpack(file: IO[bytes], name: str) -> bytes:
    head = file.read(6)
    file.seek(0)
    try:
        for magic, (_, unpacker) in _UNPACKERS.items():
            if head.startswith(magic):
                with unpacker(file) as unpacked:
                    return _limited_table(unpacked, name)
        return _limited_table(file, name)
    except _PACK_ERRORS as error:
        raise InputError(name, f"cannot be unpacked: {error}") from error


def _add(name: str, data: bytes, store: Path) -> AddedTable:
    """Check one table, converting it if it is a PDB, and put it into the store."""
    if data.startswith(_PDB_MAGIC):
        table, packed, extension = _convert(name, data), None, ".json.xz"
    else:
        table, packed = _unpack(io.BytesIO(data), name), data
        extension = next((end for magic, (end, _) in _UNPACKERS.items() if data.startswith(magic)), ".json")
    identity = _check(name, table)
    if isinstance(identity, LinuxIdentity):
        target = store / "linux" / f"{identity.name}{extension}"
    else:
        target = store / "windows" / str(identity.database) / f"{identity.guid}-{identity.age}{extension}"
    new = not target.exists()
    try:
        write_whole(target, packed if packed is not None else lzma.compress(table))
    except ExportError as error:
        raise DumpscanError(f"{store}: cannot be written to ({error})") from error
    return AddedTable(name, target, identity, new)


def _check(name: str, table: bytes) -> TableIdentity | LinuxIdentity:
    """Require that a table is a kernel's and that its names can be names of files."""
    try:
        parsed: Any = json.loads(table)
        if linux := _linux_identity(parsed):
            return linux
        pdb = parsed["metadata"]["windows"]["pdb"]
        identity = TableIdentity(str(pdb["GUID"]).upper(), int(pdb["age"]), str(pdb["database"]))
        missing = [kind for kind in _NEEDED if kind not in parsed["user_types"]]
    except (ValueError, TypeError, KeyError, OverflowError) as error:
        raise InputError(name, "is no symbol table of a Windows program (ISF) and no PDB") from error
    if not re.fullmatch("[0-9A-F]{32}", identity.guid) or not 0 <= identity.age < 1 << 32:
        raise InputError(name, "names no PDB that could be looked for: GUID or age make no sense")
    if not _NAME.fullmatch(identity.database or ""):
        raise InputError(name, "names a PDB that is no file name")
    if missing:
        raise InputError(name, f"is not a kernel's symbol table: {', '.join(missing)} are not in it")
    return identity


def _linux_identity(table: Any) -> LinuxIdentity | None:  # noqa: ANN401 - JSON's own types
    """Return which Linux kernel a table belongs to; None if it is not one of Linux."""
    if "task_struct" not in table["user_types"]:
        return None
    banner = base64.b64decode(table["symbols"]["linux_banner"]["constant_data"], validate=True)
    return LinuxIdentity(banner)


def _require_sound_container(name: str, data: bytes) -> None:
    """Refuse a PDB whose sizes do not fit together: the converter would follow them for hours.

    Source: "The MSF File Format" in LLVM's description: the superblock has the block size, the number of blocks, the
    directory's bytes and the block of the directory's map at 32, 40, 44 and 52.
    """
    block_size, blocks, size, map_block = (int.from_bytes(data[at : at + 4], "little") for at in (32, 40, 44, 52))
    if block_size in _BLOCK_SIZES and 0 < blocks * block_size <= len(data) and size <= len(data):
        begin = map_block * block_size
        listed = _words(data[begin : begin + 4 * -(-size // block_size)])
        directory = b"".join(data[at : at + block_size] for at in (listed * block_size).tolist())[:size]
        if len(directory) == size and _is_sound_directory(_words(directory), blocks, block_size):
            return
    raise InputError(name, "is a PDB that is damaged or cut short: its sizes do not fit the file")


def _is_sound_directory(words: NDArray[np.int64], blocks: int, block_size: int) -> bool:
    """Whether a directory has what it lists: the number of streams, their sizes, and the numbers of their blocks."""
    if not len(words):
        return False
    count = int(words[0])
    sizes = words[1 : 1 + count]
    in_blocks = int((-(-sizes[sizes != _NO_STREAM] // block_size)).sum())
    numbers = words[1 + count : 1 + count + in_blocks]
    return len(sizes) == count and len(numbers) == in_blocks and bool((numbers < blocks).all())


def _words(data: bytes) -> NDArray[np.int64]:
    """Return 32-bit numbers."""
    return np.frombuffer(data[: len(data) // 4 * 4], "<u4").astype(np.int64)


def _convert(name: str, data: bytes) -> bytes:
    """Make a table from a PDB with volatility3's converter."""
    _require_sound_container(name, data)
    volatility.load()
    heard: list[str] = []
    with ScratchDirectory() as directory, volatility.listening(heard):
        path = directory.path / "symbols.pdb"
        path.write_bytes(data)
        try:
            table, pdb = _table_of(path)
        except Exception as error:  # noqa: BLE001 - the converter may raise anything; it is the file's fault
            reason = " ".join(f"{type(error).__name__}: {error}".split())
        else:
            inside = PureWindowsPath(str(pdb.get("database") or _UNKNOWN)).name
            pdb["database"] = PureWindowsPath(name.rpartition("!")[2]).name if inside == _UNKNOWN else inside
            return json.dumps(table, sort_keys=True).encode("ascii")
        finally:
            # The converter never closes the file; collect it now, without the warning about that.
            with warnings.catch_warnings(action="ignore", category=ResourceWarning):
                gc.collect()
    raise InputError(name, f"is a PDB that volatility3 cannot convert: {reason[:200]}")


def _table_of(path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the table that the converter makes from a PDB, and the part of it that says which PDB it is."""
    context = volatility.module("framework.contexts").Context()
    reader = volatility.module("framework.symbols.windows.pdbconv").PdbReader(context, path.as_uri())
    table: dict[str, Any] = reader.get_json()
    return table, table["metadata"]["windows"]["pdb"]
