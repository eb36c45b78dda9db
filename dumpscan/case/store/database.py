"""Opens case files: for one writer, or for any number of readers, which change nothing.

A file that is not a case file is refused by its first bytes, before SQLite opens it: opening a database can be enough
to change it, and to create or delete files beside it.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import stat
import sys
from functools import lru_cache, partial
from operator import is_not
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from dumpscan.case.records import CaseError
from dumpscan.case.store.schema import APPLICATION_ID, check_structure, check_version, migrate
from dumpscan.case.store.values import Row
from dumpscan.exceptions import reason

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

PRIVATE = 0o600
MAX_VALUE_BYTES = 16 << 20
"""Bytes of one value. The largest that are written are certificates and containers of a MiB."""
_BUSY_SECONDS = 30.0
_TEXT = partial(str, encoding="utf-8", errors="surrogatepass")
"""Decodes text: lone surrogates of UTF-16 are kept, and what is not text is an error."""
_HEADER_BYTES = 100
_MAGIC = b"SQLite format 3\x00"
_ID = slice(68, 72)
"""Where the header has the application id (SQLite's file format, section 1.3)."""
_BESIDE: Mapping[str, tuple[bytes, ...]] = {
    "-journal": (bytes.fromhex("d9d505f920a163d7"),),
    "-wal": (bytes.fromhex("377f0682"), bytes.fromhex("377f0683")),
    "-shm": (int.to_bytes(3007000, 4, sys.byteorder),),
}
"""Files that SQLite keeps beside a database, and how they begin (file format, sections 3 and 4; walformat.html)."""


def is_case_file(path: Path) -> bool:
    """Whether a file begins like a case file; False also if it cannot be read."""
    try:
        if not path.is_file():
            return False
        with path.open("rb") as file:
            header = file.read(_HEADER_BYTES)
    except (OSError, ValueError):
        return False
    return header.startswith(_MAGIC) and header[_ID] == APPLICATION_ID.to_bytes(4, "big")


def resolve(path: Path) -> Path:
    """Return the one name of a case file: without links, so that two names of one case are the same.

    Raises:
        CaseError: It cannot be the name of a file.
    """
    try:
        real = Path(os.path.realpath(path))
        if real.is_dir():
            raise CaseError(f"{path}: is a directory; expected the name of a case file")
    except (OSError, ValueError) as error:
        raise CaseError(f"{path}: cannot be a case file: {reason(error)}") from error
    return real


def open_for_writing(path: Path) -> sqlite3.Connection:
    """Open or create a case file, readable by its owner only, at the newest version of its schema.

    Args:
        path: As `resolve` returns it.

    Raises:
        CaseError: It cannot be opened or created, or is something else, which is then left as it is.
    """
    try:
        created = False
        with contextlib.suppress(FileExistsError):
            os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, PRIVATE))
            created = True
        try:
            _check_beside(path, created=created)
        except BaseException:
            if created:
                path.unlink()
            raise
        _check_file(path, writing=True)
        path.chmod(PRIVATE)  # SQLite gives its journal the same mode
        connection = sqlite3.connect(path, timeout=_BUSY_SECONDS, isolation_level=None)
    except (OSError, ValueError, sqlite3.Error) as error:
        raise CaseError(f"{path}: the case file cannot be opened: {reason(error)}") from error
    try:
        connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, MAX_VALUE_BYTES)
        if check_version(connection, path) == 0:
            connection.execute(
                f"PRAGMA application_id = {APPLICATION_ID}"
            )  # before all else: `_check_file` looks at it
        else:
            check_structure(connection, path)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("PRAGMA secure_delete = ON")  # key material that is dropped is overwritten
        migrate(connection, path)
    except sqlite3.Error as error:
        connection.close()
        raise CaseError(f"{path}: the case file cannot be used: {reason(error)}") from error
    except BaseException:
        connection.close()
        raise
    connection.text_factory = _TEXT
    return connection


def open_for_reading(path: Path) -> sqlite3.Connection:
    """Open a case file that may be written to meanwhile; also from a medium that cannot be written to.

    Raises:
        CaseError: It cannot be opened, is something else, or there is nothing in it.
    """
    real = resolve(path)
    try:
        if _check_file(real) == 0:
            raise CaseError(f"{path}: not a case file: it is empty")
        try:
            connection, version = _connect(real, "mode=ro")
        except CaseError as error:
            if not isinstance(error.__cause__, sqlite3.OperationalError) or _beside(real, "-wal").exists():
                raise
            # A WAL database on a medium that is read-only: nobody can be writing to it.
            connection, version = _connect(real, "mode=ro&immutable=1")
    except FileNotFoundError as error:
        raise CaseError(f"{path}: there is no such case file") from error
    except (OSError, ValueError, sqlite3.Error) as error:
        raise CaseError(f"{path}: the case file cannot be opened: {reason(error)}") from error
    if version == 0:
        connection.close()
        raise CaseError(f"{path}: not a case file: there is nothing in it")
    connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, MAX_VALUE_BYTES)
    connection.text_factory = _TEXT
    return connection


def _connect(path: Path, parameters: str) -> tuple[sqlite3.Connection, int]:
    """Open a case file, and return the version of its schema."""
    uri = f"file:{quote(os.fsencode(path))}?{parameters}"
    connection = sqlite3.connect(uri, uri=True, timeout=_BUSY_SECONDS, isolation_level=None)
    try:
        return connection, check_version(connection, path)
    except BaseException:
        connection.close()
        raise


def _check_file(path: Path, *, writing: bool = False) -> int:
    """Refuse what is not a case file, and return the size of one.

    Raises:
        OSError: It cannot be read.
        CaseError: It is something else.
    """
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):
        raise CaseError(f"{path}: not a case file: expected a regular file")
    if writing and status.st_nlink > 1:
        # SQLite would keep a journal for each name (How To Corrupt An SQLite Database File, section 2.5).
        raise CaseError(f"{path}: cannot be written: the file has {status.st_nlink} names (hard links), expected one")
    with path.open("rb") as file:
        header = file.read(_HEADER_BYTES)
    if header and not header.startswith(_MAGIC):
        raise CaseError(f"{path}: not a case file: it holds something else, and is left as it is")
    if header and header[_ID] != APPLICATION_ID.to_bytes(4, "big"):
        raise CaseError(f"{path}: not a case file: it is a database of another program, and is left as it is")
    return status.st_size


def _check_beside(path: Path, *, created: bool) -> None:
    """Refuse to let SQLite use or delete files beside the case that are not the case's.

    Raises:
        OSError: One cannot be read.
        CaseError: There is one.
    """
    for ending, beginnings in _BESIDE.items():
        beside = _beside(path, ending)
        try:
            status = beside.lstat()
        except FileNotFoundError:
            continue
        ours = stat.S_ISREG(status.st_mode) and status.st_nlink == 1 and not created
        if ours and status.st_size:
            with beside.open("rb") as file:
                head = file.read(len(beginnings[0]))
            ours = head in beginnings or not any(head)  # zeros: SQLite has not got further, or is done with it
        if not ours:
            raise CaseError(f"{beside}: is not this case's; SQLite would use it as such: move it, or name another case")


def _beside(path: Path, ending: str) -> Path:
    return path.with_name(path.name + ending)


def own_files(path: Path) -> frozenset[str]:
    """Return the paths of the files that SQLite keeps a case in."""
    return frozenset((str(path), *(str(_beside(path, ending)) for ending in _BESIDE)))


# --- Questions and rows ----------------------------------------------------------------------------------------------


def ask(connection: sqlite3.Connection, path: Path, table: str, question: str, *values: object) -> Iterator[Row]:
    """Yield the rows that answer a question in SQL.

    Args:
        connection: The case.
        path: Its file, for messages.
        table: The table that is asked, for messages.
        question: The question.
        values: The values of its parameters.

    Raises:
        CaseError: SQLite cannot answer: the file is damaged.
    """
    where = f"{path}: {table}"
    try:
        cursor = connection.execute(question, values)
        names = [column[0] for column in cursor.description]
        for row in cursor:
            yield Row(zip(names, row, strict=True), where)
    except (sqlite3.Error, UnicodeError) as error:
        raise CaseError(f"{path}: the case file is damaged: {error}") from error


def insert(connection: sqlite3.Connection, table: str, row: Mapping[str, object]) -> int:
    """Insert a row, and return its number.

    The names of the table and of the columns must be constants.
    """
    values = tuple(map(stored_text, row.values()))
    as_bytes = tuple(map(is_not, values, row.values()))
    return connection.execute(_insertion(table, tuple(row), as_bytes), values).lastrowid or 0


@lru_cache(maxsize=256)
def _insertion(table: str, columns: tuple[str, ...], as_bytes: tuple[bool, ...]) -> str:
    """Return the statement that inserts a row, of which some values are text that is passed as bytes."""
    places = ", ".join("CAST(? AS TEXT)" if each else "?" for each in as_bytes)
    return f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({places})"  # noqa: S608 - see `insert`


def stored_text(value: object) -> object:
    """Return a value as SQLite takes it.

    Lone surrogates of UTF-16, which SQLite's text can hold and Python's binding refuses, are passed as bytes; a CAST in
    the statement makes text of them.
    """
    if isinstance(value, str) and not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:
            return value.encode("utf-8", "surrogatepass")
    return value
