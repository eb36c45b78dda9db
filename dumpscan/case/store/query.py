"""Answers questions in SQL to a case file. They change nothing, see nothing else and no key material, and end.

A process of its own answers the question, and is killed when its time is over. SQLite can be interrupted only between
two steps of its virtual machine, and one step can take hours: `instr` of 8 MB in 16 MB, for example.
"""

from __future__ import annotations

import json
import os
import pickle
import sqlite3
import subprocess
import sys
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from dumpscan.case.records import CaseError
from dumpscan.case.store.database import open_for_reading

if TYPE_CHECKING:
    from collections.abc import Iterable

    from dumpscan.case.store.values import Value

_SECRET = "secrets"  # noqa: S105 - a table's name
_RAW_PAGES = frozenset({"sqlite_dbpage", "dbstat"})
"""Tables of some builds of SQLite that show the pages of the file, with the key material in them."""
_PRAGMAS = frozenset({"table_info", "table_xinfo", "table_list", "index_list", "index_info", "foreign_key_list"})
_ALLOWED = frozenset({sqlite3.SQLITE_SELECT, sqlite3.SQLITE_RECURSIVE})
_NOT_CALLED = frozenset({"load_extension", "writefile", "readfile", "edit", "zeroblob", "randomblob"})
"""Functions that access other files, where they exist, or that allocate memory of any size."""
MAX_SECONDS = 86_400.0
MAX_ANSWER_BYTES = 64 << 20
_VALUE_BYTES = 64
"""Memory that a value takes beside its text or bytes, roughly."""
_MAX_HEAP_BYTES = 1 << 30
"""Memory that SQLite may use. It may not use temporary files instead."""
_GRACE_SECONDS = 2.0
"""How much later the process that answers ends by itself, if this process is gone and cannot kill it."""
_PROGRAM = f"import sys; sys.path.append(sys.argv[1]); from {__name__} import main; main()"
_ROOT = str(Path(__file__).parents[3])


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to a question.

    Attributes:
        columns: The names of the columns, each once: a second `id` is `id_2`.
        rows: The values of each row, as SQLite returns them.
        cut: Whether there are more rows than were asked for, or than `MAX_ANSWER_BYTES` allows.
    """

    columns: tuple[str, ...]
    rows: tuple[tuple[Value, ...], ...]
    cut: bool


def query(path: Path, sql: str, *, most_rows: int = 10_000, seconds: float = 60.0) -> Answer:
    """Ask a case file a question in SQL.

    Args:
        path: The case file.
        sql: One statement that only reads.
        most_rows: How many rows to return at most.
        seconds: How long it may take, up to a day.

    Raises:
        CaseError: It is not a case file, or the question cannot be answered, is not allowed, or takes too long.
    """
    seconds = min(MAX_SECONDS, seconds)
    request = json.dumps({"path": os.fspath(path), "sql": sql, "most_rows": most_rows, "seconds": seconds})
    # Isolated, so that no module is imported from the current directory, which may hold evidence.
    command = [sys.executable, "-I", "-S", "-c", _PROGRAM, _ROOT]
    pipe = subprocess.PIPE
    with subprocess.Popen(  # noqa: S603 - our own program
        command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, bufsize=0
    ) as process:
        try:
            if process.stdout is not None:
                process.stdout.read(1)  # sent when it is ready: the time limit begins then
            output, _ = process.communicate(request.encode(), timeout=seconds)
        except subprocess.TimeoutExpired as error:
            process.kill()
            raise CaseError(f"the question takes more than {seconds:g} s to answer") from error
        except BaseException:
            process.kill()
            raise
    if process.returncode:
        raise CaseError("the question cannot be answered: the process that should answer it died")
    answer = pickle.loads(output)  # noqa: S301 - of our own process
    if isinstance(answer, str):
        raise CaseError(answer)
    return Answer(*answer)


def main() -> None:
    """Answer the question on standard input. This is the program of the process that answers."""
    sys.stdout.buffer.write(b"\n")
    sys.stdout.buffer.flush()
    request = json.load(sys.stdin)
    timer = threading.Timer(request["seconds"] + _GRACE_SECONDS, os._exit, (1,))
    timer.daemon = True
    timer.start()
    answer: str | tuple[object, ...]
    try:
        answer = _answer(Path(request["path"]), request["sql"], request["most_rows"])
    except CaseError as error:
        answer = str(error)
    pickle.dump(answer, sys.stdout.buffer)
    sys.stdout.buffer.flush()


def _answer(path: Path, sql: str, most_rows: int) -> tuple[object, ...]:
    """Return the members of an `Answer`.

    Raises:
        CaseError: As for `query`.
    """
    connection = open_for_reading(path)
    try:
        connection.execute("PRAGMA query_only = ON")
        connection.execute("PRAGMA trusted_schema = OFF")
        connection.execute("PRAGMA temp_store = MEMORY")
        connection.execute(f"PRAGMA hard_heap_limit = {_MAX_HEAP_BYTES}")
        connection.setlimit(sqlite3.SQLITE_LIMIT_ATTACHED, 0)
        connection.set_authorizer(_authorise)
        connection.text_factory = _decoded
        cursor = connection.execute(sql)
        if cursor.description is None:
            raise CaseError("the question has no answer: expected one SELECT statement")
        columns = _distinct(column[0] for column in cursor.description)
        rows: list[tuple[Value, ...]] = []
        held = 0
        for row in cursor:
            held += sum(_VALUE_BYTES + (len(value) if isinstance(value, str | bytes) else 0) for value in row)
            if len(rows) == most_rows or held > MAX_ANSWER_BYTES:
                return columns, tuple(rows), True
            rows.append(row)
        return columns, tuple(rows), False
    except sqlite3.DatabaseError as error:
        _, _, function = str(error).partition("not authorized to use function: ")
        if function:
            raise CaseError(f"not allowed: a question may not call {function}") from error
        if "not authorized" in str(error):
            raise CaseError("not allowed, a case is only read: expected one SELECT statement") from error
        raise CaseError(f"the question cannot be answered: {error}{_hint(str(error))}") from error
    except (sqlite3.Error, sqlite3.Warning, ValueError, OverflowError) as error:
        raise CaseError(f"the question cannot be answered: {error}") from error
    except MemoryError as error:
        raise CaseError("the question takes too much memory to answer") from error
    finally:
        connection.close()


def _hint(complaint: str) -> str:
    absent = complaint.startswith(("no such table", "no such column"))
    return "; `dumpscan case query CASE` lists tables and columns" if absent else ""


def _authorise(action: int, first: str | None, second: str | None, _database: str | None, _trigger: str | None) -> int:
    if action == sqlite3.SQLITE_READ:
        if (first or "").lower() in _RAW_PAGES:
            return sqlite3.SQLITE_DENY
        return sqlite3.SQLITE_IGNORE if first == _SECRET and second == "material" else sqlite3.SQLITE_OK
    if action == sqlite3.SQLITE_FUNCTION:
        return sqlite3.SQLITE_DENY if (second or "").lower() in _NOT_CALLED else sqlite3.SQLITE_OK
    if action == sqlite3.SQLITE_PRAGMA:
        return sqlite3.SQLITE_OK if (first or "").lower() in _PRAGMAS else sqlite3.SQLITE_DENY
    return sqlite3.SQLITE_OK if action in _ALLOWED else sqlite3.SQLITE_DENY


def _decoded(data: bytes) -> str:
    """Return text, whatever the bytes are: a question may cast any bytes to text."""
    try:
        return data.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        return data.decode("utf-8", "backslashreplace")


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
