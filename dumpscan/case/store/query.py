"""Questions in SQL to a case file: they change nothing, reach nothing else, see no key material, and end."""

from __future__ import annotations

import sqlite3
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dumpscan.case.records import CaseError
from dumpscan.case.store.database import open_for_reading

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    Value = str | int | float | bytes | None

_SECRET = "secrets"  # noqa: S105 - a table's name
_PRAGMAS = frozenset({"table_info", "table_xinfo", "table_list", "index_list", "index_info", "foreign_key_list"})
_ALLOWED = frozenset({sqlite3.SQLITE_SELECT, sqlite3.SQLITE_RECURSIVE})
_NOT_CALLED = frozenset({"load_extension", "writefile", "readfile", "edit", "zeroblob", "randomblob"})
"""Functions that reach outside, where they exist at all, or make memory of nothing."""
_STEPS = 10_000
"""Steps of SQLite's machine between two looks at the clock."""
_LONGEST_VALUE = 16 << 20
_MOST_BYTES = 256 << 20
"""Bytes of text and blobs in an answer."""


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer to a question.

    Attributes:
        columns: Their names, each once: a second `id` is `id_2`.
        rows: Values, as SQLite has them.
        cut: Whether there is more than was asked for, or than is good.
    """

    columns: tuple[str, ...]
    rows: tuple[tuple[Value, ...], ...]
    cut: bool


def query(path: Path, sql: str, *, most_rows: int = 10_000, seconds: float = 60.0) -> Answer:
    """Ask a case file in SQL.

    Args:
        path: The case file.
        sql: One statement that reads.
        most_rows: Rows to hand back at most.
        seconds: Time that it may take.

    Raises:
        CaseError: It is no case file, or the question cannot be answered, is not allowed, or takes too long.
    """
    connection = open_for_reading(path)
    try:
        connection.execute("PRAGMA query_only = ON")
        connection.execute("PRAGMA trusted_schema = OFF")
        connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, _LONGEST_VALUE)
        connection.setlimit(sqlite3.SQLITE_LIMIT_ATTACHED, 0)
        connection.set_authorizer(_authorise)
        deadline = time.monotonic() + seconds
        connection.set_progress_handler(lambda: int(time.monotonic() > deadline), _STEPS)
        cursor = connection.execute(sql)
        if cursor.description is None:
            raise CaseError("the question has no answer: expected one SELECT statement")
        rows: list[tuple[Value, ...]] = []
        held = 0
        for row in cursor:
            held += sum(len(value) for value in row if isinstance(value, str | bytes))
            if len(rows) == most_rows or held > _MOST_BYTES:
                break
            rows.append(row)
        else:
            return Answer(_distinct(column[0] for column in cursor.description), tuple(rows), cut=False)
        return Answer(_distinct(column[0] for column in cursor.description), tuple(rows), cut=True)
    except sqlite3.OperationalError as error:
        if str(error) == "interrupted":
            raise CaseError(f"the question takes more than {seconds:g} s to answer") from error
        raise CaseError(f"the question cannot be answered: {error}") from error
    except (sqlite3.Error, sqlite3.Warning, ValueError, OverflowError, UnicodeError) as error:
        raise CaseError(f"the question cannot be answered: {error}") from error
    except MemoryError as error:
        raise CaseError("the answer is too large for this machine's memory") from error
    finally:
        connection.close()


def _authorise(action: int, first: str | None, second: str | None, _database: str | None, _trigger: str | None) -> int:
    if action == sqlite3.SQLITE_READ:
        return sqlite3.SQLITE_IGNORE if first == _SECRET and second == "material" else sqlite3.SQLITE_OK
    if action == sqlite3.SQLITE_FUNCTION:
        return sqlite3.SQLITE_DENY if (second or "").lower() in _NOT_CALLED else sqlite3.SQLITE_OK
    if action == sqlite3.SQLITE_PRAGMA:
        return sqlite3.SQLITE_OK if (first or "").lower() in _PRAGMAS else sqlite3.SQLITE_DENY
    return sqlite3.SQLITE_OK if action in _ALLOWED else sqlite3.SQLITE_DENY


def _distinct(given: Iterable[str]) -> tuple[str, ...]:
    names: dict[str, None] = {}
    for name in given:
        number = 1
        unique = name
        while unique in names:
            number += 1
            unique = f"{name}_{number}"
        names[unique] = None
    return tuple(names)
