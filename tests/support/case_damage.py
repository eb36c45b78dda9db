"""Case files with values in them that no dumpscan writes."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

from dumpscan.case.store.reader import Case
from support import output_samples as samples
from support.case_samples import result, write_case

if TYPE_CHECKING:
    from pathlib import Path

VALUES = (
    None,
    "",
    "\x1b[31m\u202e",
    "0x",
    "0x" + "f" * 5000,
    "2026-13-45T99:99:99Z",
    "9999-12-31T23:59:59.999999+14:00",
    "[1,2",
    "[" * 100_000,
    '[["a","b"],{}]',
    '{"environment": {"deep": [1e999]}}',
    b"\xff\x00",
    b"",
    -1,
    (1 << 63) - 1,
    -(1 << 63),
    0.5,
    1e308 * 10,
)
"""Every wrong type, size and sign."""


def whole_case(path: Path) -> Path:
    """Write a case with a row in every table that dumps fill."""
    found = (*samples.findings(), samples.symmetric_key(), samples.public_key(samples.rsa_key(), 0x1000))
    return write_case(
        path,
        result("/dumps/a.dmp", *found, problems=("cut short",)),
        result("/dumps/b.dmp", *found[:3]),
    )


def columns(path: Path) -> list[tuple[str, str]]:
    """List tables and their columns, but for generated ones."""
    with closing(sqlite3.connect(path)) as connection:
        tables = [row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        return [
            (table, column[1])
            for table in tables
            for column in connection.execute(f"PRAGMA table_xinfo({table})")
            if column[6] == 0 and connection.execute(f"SELECT 1 FROM {table}").fetchone()  # noqa: S608
        ]


def with_value(whole: Path, target: Path, table: str, column: str, value: object) -> Path | None:
    """Copy a case and put a value into one row, whatever the schema says; None if SQLite's format cannot hold it."""
    shutil.copyfile(whole, target)
    with closing(sqlite3.connect(target, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = DELETE")
        connection.execute("PRAGMA synchronous = OFF")
        schema = connection.execute("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL").fetchall()
        connection.execute("PRAGMA writable_schema = ON")
        connection.execute("UPDATE sqlite_master SET sql = replace(sql, ' NOT NULL', '')")
        connection.execute("PRAGMA writable_schema = RESET")
    with closing(sqlite3.connect(target, isolation_level=None)) as connection:
        connection.execute("PRAGMA synchronous = OFF")
        connection.execute("PRAGMA ignore_check_constraints = ON")
        row = column if _without_rowid(connection, table) else "rowid"
        try:
            sql = f"UPDATE {table} SET {column} = ? WHERE {row} = (SELECT min({row}) FROM {table})"  # noqa: S608
            connection.execute(sql, (value,))
        except sqlite3.Error:
            return None
        connection.execute("PRAGMA writable_schema = ON")
        connection.executemany("UPDATE sqlite_master SET sql = ?2 WHERE name = ?1", schema)
        connection.execute("PRAGMA writable_schema = RESET")
    return target


def _without_rowid(connection: sqlite3.Connection, table: str) -> bool:
    return any(row[1] == table and row[4] for row in connection.execute("PRAGMA table_list"))


def read_everything(path: Path) -> None:
    """Read all that a case offers."""
    with Case.open(path, secrets=True) as case:
        case.dumps()
        list(case.findings())
        case.exposed_keys(samples.NOW)
        case.summary(samples.NOW)
        case.keyed("")
        case.certificates("")
        case.identities(["/dumps/a.dmp"])
