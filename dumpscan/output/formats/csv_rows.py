"""Records as CSV: a header, then one row for each place of each finding (process, variable, field).

Quoting follows RFC 4180. Control characters are escaped, so that each row is one line. Columns have the dotted names of
the JSON documents, with `location.` for the values of a place; lists are joined by "; ". Text that a spreadsheet would
take for a formula gets a leading apostrophe.
"""

from __future__ import annotations

import csv
import io
import itertools
from typing import TYPE_CHECKING, Any

from dumpscan.findings import KINDS, Finding, Process
from dumpscan.output.fields import element, hints, is_document, required
from dumpscan.output.formats.render import View
from dumpscan.output.records import SymbolsNeed, environment_entry, plain, value_at
from dumpscan.output.text import printable, write_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from typing import TextIO

    from _typeshed import DataclassInstance

    from dumpscan.findings import InputStatus
    from dumpscan.output.records import Record

_FORMULA = frozenset("=+-@\t\r\n＝＋－＠")  # noqa: RUF001 - spreadsheets take the full-width forms for formulas too
"""First characters that make a cell a formula (OWASP, "CSV Injection")."""

_NOT_IN_ROWS = frozenset({"process.env_vars", "process.notes"})
"""A process's environment has a row for each variable in a view of its own; its notes stand beside the process."""


def _columns(cls: type[DataclassInstance], group: str = "") -> list[str]:
    """Return the dotted name of every plain value in a dataclass's documents; `group` is where they stand."""
    names = []
    for name, hint in hints(cls).items():
        kind, _always = required(hint)
        kind = element(kind) or kind
        names += _columns(kind, f"{group}{name}.") if is_document(kind) else [group + name]
    return names


def _finding_columns() -> tuple[str, ...]:
    """Return the columns of what all findings have, of their places, and of what each kind has."""
    own = [*_columns(Finding), *(name for kind in KINDS for name in _columns(kind))]
    return tuple(dict.fromkeys(("kind", *(name.replace("locations.", "location.", 1) for name in own))))


_PROCESS = ("dump", *(name for name in _columns(Process, "process.") if name not in _NOT_IN_ROWS), "notes")

COLUMNS: dict[View, tuple[str, ...]] = {
    View.FINDINGS: _finding_columns(),
    View.SECRETS: _finding_columns(),
    View.EVERYTHING: _finding_columns(),
    View.PSLIST: _PROCESS,
    View.CMDLINE: _PROCESS,
    View.ENVARS: ("dump", "process.pid", "process.name", "variable.name", "variable.value"),
    View.INFO: ("dump", "field", "value"),
    View.SYMBOLS: ("dump", *_columns(SymbolsNeed, "symbols.")),
}
"""The columns of each view, in order. They do not depend on the records, so that files of many runs can be joined."""

_OWN: dict[View, tuple[str, ...]] = {
    View.FINDINGS: ("location.",),
    View.SECRETS: ("location.",),
    View.EVERYTHING: ("location.",),
    View.ENVARS: ("variable.",),
    View.INFO: ("field", "value"),
}
"""How the names of those columns begin that differ between the rows of one record."""


class CsvRenderer:
    """Writes CSV row by row, as records come."""

    def __init__(self, stream: TextIO, view: View, _command: str = "", **_options: object) -> None:
        self._stream = stream
        self._view = view
        self._columns = COLUMNS[view]
        self._started = False

    def add_input(self, status: InputStatus) -> None:
        """Do nothing: every row is a record of what was found."""

    def add(self, record: Record) -> None:
        """Write the record's rows."""
        self._start()
        own = _OWN.get(self._view, ())
        common = {name: cell(value_at(record, name)) for name in self._columns if not name.startswith(own)}
        for row in _rows(record, self._view):
            _write_line(
                self._stream, [common[name] if name in common else cell(value_at(row, name)) for name in self._columns]
            )

    def close(self) -> None:
        """Write the header if there was no record, and flush."""
        self._start()
        self._stream.flush()

    def _start(self) -> None:
        if not self._started:
            self._started = True
            _write_line(self._stream, self._columns)

    @staticmethod
    def write_rows(stream: TextIO, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
        """Write a header, then the rows."""
        for row in itertools.chain([columns], rows):
            _write_line(stream, [cell(plain(value)) for value in row])


def cell(value: object) -> str:
    """Return a JSON value as the text of a cell; text is made printable and is never a formula."""
    match value:
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case int() | float():
            return str(value)
        case list():
            return _inert("; ".join(str(item) for item in value))
        case dict():
            return _inert("; ".join(f"{name}={item}" for name, item in value.items()))
        case _:
            return _inert(str(value))


def fields(value: object, path: str = "") -> Iterator[tuple[str, Any]]:
    """Return every leaf of a document with its path, e.g. `modules[3].base`."""
    if isinstance(value, dict):
        for name, item in value.items():
            yield from fields(item, f"{path}.{name}" if path else name)
    elif isinstance(value, list):
        for number, item in enumerate(value):
            yield from fields(item, f"{path}[{number}]")
    else:
        yield path, value


def _write_line(stream: TextIO, cells: Iterable[str]) -> None:
    line = io.StringIO()
    csv.writer(line, lineterminator="\n").writerow(cells)
    write_text(stream, line.getvalue())


def _inert(text: str) -> str:
    opening = text.lstrip(" ")[:1]
    return ("'" if opening in _FORMULA else "") + printable(text)


def _rows(record: Record, view: View) -> Iterator[Record]:
    match view:
        case View.FINDINGS | View.SECRETS | View.EVERYTHING:
            for location in record["locations"] or [{}]:
                yield {"location": location}
        case View.PSLIST | View.CMDLINE | View.SYMBOLS:
            yield record
        case View.ENVARS:
            for entry in record["process"].get("env_vars", ()):
                name, value = environment_entry(entry)
                yield {"variable": {"name": name, "value": value}}
        case View.INFO:
            for path, value in fields(record[record["kind"]]):
                yield {"field": path, "value": value}
