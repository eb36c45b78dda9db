"""What can be asked of a case file: its tables, their columns, and questions to begin with."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from dumpscan.case.records import CaseError
from dumpscan.case.store.query import Answer, query
from dumpscan.case.store.reader import Case

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MEANINGS = {
    "dumps": "The files that were read: what each is, what is wrong with it, when it was made and read.",
    "processes": "The processes of each dump, with their command lines.",
    "environment": "The variables of each process.",
    "findings": "One row for each object, however often it lies somewhere.",
    "certificates": "The findings that are certificates.",
    "keys": "The findings that are keys: private, public and symmetric ones.",
    "containers": "The findings that are encrypted containers.",
    "tls_secrets": "The findings that are secrets of TLS sessions.",
    "others": "Findings of other kinds, as JSON.",
    "sightings": "That a finding lies in a dump: how often, and what was proved of it there.",
    "locations": "Each place of a finding: addresses, file offset, process.",
    "missing_symbols": "Symbol tables that a kernel image needs and that were not there.",
    "secrets": "Key material, with `triage --store-keys` only; it reads as NULL here.",
    "case_info": "When the case was begun.",
    "pairs": "Private keys with the certificates that bear their public keys, over all dumps.",
    "evidence": "Each place, with the dump's path and what lies there.",
}
"""What the tables and views hold, by their names."""


class Question(NamedTuple):
    """A question to begin with."""

    text: str
    sql: str


QUESTIONS = (
    Question(
        "Which private keys lie in the memory of which processes?",
        "SELECT DISTINCT algorithm, bits, path, process_name, pid, keys.key_id FROM evidence JOIN keys "
        "ON keys.key_id = evidence.identity WHERE evidence.kind = 'private_key' ORDER BY path, pid",
    ),
    Question(
        "Which certificates can be used by whoever has the dumps?",
        "SELECT * FROM pairs ORDER BY not_after DESC",
    ),
    Question(
        "Which certificates end within the next 90 days?",
        "SELECT subject, not_after, thumbprint FROM certificates "
        "WHERE not_after BETWEEN strftime('%Y-%m-%dT%H:%M:%SZ', 'now') "
        "AND strftime('%Y-%m-%dT%H:%M:%SZ', 'now', '+90 days') ORDER BY not_after",
    ),
    Question(
        "Which key lies in more than one dump?",
        "SELECT identity AS key_id, count(DISTINCT dump_id) AS dumps FROM findings JOIN sightings "
        "ON finding_id = findings.id WHERE kind = 'private_key' GROUP BY identity HAVING dumps > 1",
    ),
    Question(
        "Which files were not read whole, and why?",
        "SELECT path, status, problems FROM dumps WHERE status <> 'ok' ORDER BY status, path",
    ),
)


_STATEMENTS = "SELECT sql FROM sqlite_master WHERE sql IS NOT NULL"


def command(path: Path, text: str) -> Answer:
    """Answer what begins with a dot, as SQLite's own program has it: `.tables`, `.schema`.

    Raises:
        CaseError: It is not a case file, or the command is another one.
    """
    match text.split():
        case [".tables"]:
            tables = dict.fromkeys(row[0] for row in columns(path).rows)
            return Answer(("table",), tuple((table,) for table in tables), cut=False)
        case [".schema"]:
            return query(path, f"{_STATEMENTS} ORDER BY type DESC, name")
        case [".schema", table]:
            literal = table.replace("'", "''")
            return query(path, f"{_STATEMENTS} AND tbl_name = '{literal}' ORDER BY type DESC, name")
        case _:
            raise CaseError(f"{text}: expected .tables, .schema, .schema TABLE, or a SELECT statement")


def columns(path: Path) -> Answer:
    """Return every column of every table and view.

    Raises:
        CaseError: It is not a case file.
    """
    with Case.open(path) as case:
        rows = [(table, column, kind) for table, found in case.columns().items() for column, kind in found]
    return Answer(("table", "column", "type"), tuple(rows), cut=False)


def guide(path: Path) -> Iterator[str]:
    """Yield the lines of an overview.

    Raises:
        CaseError: It is not a case file.
    """
    tables: dict[str, list[str]] = {}
    for table, column, _ in columns(path).rows:
        tables.setdefault(str(table), []).append(str(column))
    yield "Tables and views:"
    for name, names in tables.items():
        yield f"  {name}: {MEANINGS.get(name, 'not made by dumpscan')}"
        yield f"      {', '.join(names)}"
    yield ""
    yield "Questions to begin with:"
    for question in QUESTIONS:
        yield f"  {question.text}"
        yield f"      {question.sql}"
