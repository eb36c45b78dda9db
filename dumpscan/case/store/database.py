"""How a case file is opened: for one writer, or for any number of readers that change nothing."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from typing import TYPE_CHECKING
from urllib.parse import quote

from dumpscan.case.records import CaseError
from dumpscan.case.store.schema import check_version, migrate
from dumpscan.exceptions import reason

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from dumpscan.case.store.rows import Row

PRIVATE = 0o600
_BUSY_SECONDS = 30.0
_MAGIC = b"SQLite format 3\x00"
"""SQLite's file format, section 1.3."""


def open_for_writing(path: Path) -> sqlite3.Connection:
    """Open or create a case file, for its owner's eyes only, at the newest version of its schema.

    Raises:
        CaseError: It cannot be opened or created, or is something else.
    """
    try:
        with contextlib.suppress(FileExistsError):
            os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, PRIVATE))
        if not path.is_file():
            raise CaseError(f"{path}: not a case file: no regular file")
        with path.open("rb") as file:
            head = file.read(len(_MAGIC))
        if head not in {b"", _MAGIC}:
            raise CaseError(f"{path}: not a case file: it holds something else, and is left as it is")
        path.chmod(PRIVATE)  # SQLite gives its journal the same mode
        connection = sqlite3.connect(path, timeout=_BUSY_SECONDS, isolation_level=None)
    except (OSError, ValueError, sqlite3.Error) as error:
        raise CaseError(f"{path}: the case file cannot be opened: {reason(error)}") from error
    try:
        check_version(connection, path)
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
    _decode_text(connection)
    return connection


def open_for_reading(path: Path) -> sqlite3.Connection:
    """Open a case file that may be written to meanwhile; also from a medium that cannot be written to.

    Raises:
        CaseError: It cannot be opened, is something else, or there is nothing in it.
    """
    try:
        path.stat()
    except FileNotFoundError as error:
        raise CaseError(f"{path}: there is no such case file") from error
    except (OSError, ValueError) as error:
        raise CaseError(f"{path}: the case file cannot be opened: {reason(error)}") from error
    if not path.is_file():
        raise CaseError(f"{path}: not a case file: no regular file")
    try:
        try:
            connection, version = _connect(path, "mode=ro")
        except CaseError as error:
            if not isinstance(error.__cause__, sqlite3.OperationalError) or path.with_name(f"{path.name}-wal").exists():
                raise
            # A WAL database on a medium that is read-only: nobody can be writing to it.
            connection, version = _connect(path, "mode=ro&immutable=1")
    except sqlite3.Error as error:
        raise CaseError(f"{path}: the case file cannot be opened: {reason(error)}") from error
    if version == 0:
        connection.close()
        raise CaseError(f"{path}: not a case file: there is nothing in it")
    _decode_text(connection)
    return connection


def _connect(path: Path, parameters: str) -> tuple[sqlite3.Connection, int]:
    """Open a case file, and say which version of the tables it has."""
    uri = f"file:{quote(os.fsencode(path.absolute()))}?{parameters}"
    connection = sqlite3.connect(uri, uri=True, timeout=_BUSY_SECONDS, isolation_level=None)
    try:
        return connection, check_version(connection, path)
    except BaseException:
        connection.close()
        raise


def insert(connection: sqlite3.Connection, table: str, row: Mapping[str, object]) -> int:
    """Insert a row; return its number.

    Names of tables and columns are ours. Lone surrogates of UTF-16, which SQLite's text can hold and Python's binding
    refuses, go in as bytes.
    """
    values = {name: stored_text(value) for name, value in row.items()}
    places = ", ".join("CAST(? AS TEXT)" if value is not row[name] else "?" for name, value in values.items())
    sql = f"INSERT INTO {table} ({', '.join(row)}) VALUES ({places})"  # noqa: S608 - see above
    return connection.execute(sql, tuple(values.values())).lastrowid or 0


def stored_text(value: object) -> object:
    """Return a value as it is bound; text that is no Unicode as the bytes that a CAST makes text of."""
    if isinstance(value, str) and not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:
            return value.encode("utf-8", "surrogatepass")
    return value


def rows(cursor: sqlite3.Cursor) -> list[Row]:
    """Return the rows of an answer, by column."""
    names = [column[0] for column in cursor.description]
    return [dict(zip(names, row, strict=True)) for row in cursor]


def _decode_text(connection: sqlite3.Connection) -> None:
    def decode(data: bytes) -> str:
        try:
            return data.decode("utf-8", "surrogatepass")
        except UnicodeDecodeError:  # of bytes that a query calls text
            return data.decode("utf-8", "backslashreplace")

    connection.text_factory = decode
