"""Records as CSV: a header, then one row for each place of each finding (process, variable, field).

Quoting follows RFC 4180; a row is one line, since control characters are escaped. Columns have the dotted names of the
JSON documents, those of a place under `location.`; lists are joined by "; ". Text that a spreadsheet would take for a
formula gets a leading apostrophe.
"""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING, Any

from dumpscan.output.formats.render import View
from dumpscan.output.records import environment_entry
from dumpscan.output.text import printable, write_text

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import TextIO

    from dumpscan.output.records import InputStatus, Record

_FORMULA = frozenset("=+-@\t\r\n＝＋－＠")  # noqa: RUF001 - spreadsheets take the full-width forms for formulas too
"""First characters that make a cell a formula (OWASP, "CSV Injection")."""

_FINDING = (
    "kind",
    "sha256",
    "size",
    "location_count",
    "location.file",
    "location.file_offset",
    "location.virtual_address",
    "location.address",
    "location.physical_address",
    "location.length",
    "location.missing",
    "location.encoding",
    "location.sha256",
    "location.extents.file_offset",
    "location.extents.length",
    "location.region.start",
    "location.region.size",
    "location.module",
    "location.process.pid",
    "location.process.name",
    "location.key_object.library",
    "location.key_object.structure",
    "location.key_object.layout",
    "location.key_object.architecture",
    "location.key_object.has_private",
    "location.key_object.whole",
    "location.key_object.missing_parts",
    "location.key_object.wrong_parts",
    "location.key_object.flags",
    "location.key_object.uses",
    "location.key_object.wrapper",
    "location.key_object.wrapper_algorithm",
    "key.id",
    "key.algorithm",
    "key.bits",
    "key.curve",
    "key.proof",
    "key.encodings",
    "certificates.thumbprint",
    "certificates.subject",
    "certificates.not_after",
    "certificates.same_process",
    "thumbprint",
    "key_id",
    "problem",
    "private_keys",
    "x509.subject.distinguished_name",
    "x509.subject.common_name",
    "x509.issuer.distinguished_name",
    "x509.issuer.common_name",
    "x509.serial_number",
    "x509.not_before",
    "x509.not_after",
    "x509.alternative_names",
    "x509.public_key_algorithm",
    "x509.public_key_size",
    "x509.public_key_curve",
    "x509.public_key_exponent",
    "x509.signature_algorithm",
    "x509.version_number",
    "x509.is_ca",
    "file.hash.sha256",
    "file.hash.sha1",
    "container.type",
    "container.kdf",
    "container.cipher",
    "container.iterations",
    "container.mac",
)

_PROCESS = (
    "dump",
    "process.pid",
    "process.name",
    "process.parent.pid",
    "process.executable",
    "process.command_line",
    "process.architecture",
    "process.session",
    "process.wow64",
    "process.start",
    "process.end",
    "notes",
)

COLUMNS: dict[View, tuple[str, ...]] = {
    View.FINDINGS: _FINDING,
    View.SECRETS: _FINDING,
    View.PSLIST: _PROCESS,
    View.CMDLINE: _PROCESS,
    View.ENVARS: ("dump", "process.pid", "process.name", "variable.name", "variable.value"),
    View.INFO: ("dump", "field", "value"),
    View.SYMBOLS: (
        "dump",
        "symbols.state",
        "symbols.pdb",
        "symbols.guid",
        "symbols.age",
        "symbols.server_path",
        "symbols.table",
        "symbols.problem",
    ),
}
"""The columns of each view, in order. They never depend on the records, so that files from many runs can be joined."""

_OWN: dict[View, tuple[str, ...]] = {
    View.FINDINGS: ("location.",),
    View.SECRETS: ("location.",),
    View.PSLIST: (),
    View.CMDLINE: (),
    View.ENVARS: ("variable.",),
    View.INFO: ("field", "value"),
    View.SYMBOLS: (),
}
"""How the columns begin that differ from row to row of one record; the others are the record's own."""


class CsvRenderer:
    """Writes CSV row by row, as records come."""

    def __init__(self, stream: TextIO, view: View) -> None:
        self._stream = stream
        self._view = view
        self._columns = COLUMNS[view]
        self._started = False

    def add_input(self, status: InputStatus) -> None:
        """Do nothing: every row is a record of what was found."""

    def add(self, record: Record) -> None:
        """Write the record's rows."""
        self._start()
        own = _OWN[self._view]
        common = {name: cell(_at(record, name)) for name in self._columns if not name.startswith(own)}
        for row in _rows(record, self._view):
            self._line([common[name] if name in common else cell(_at(row, name)) for name in self._columns])

    def close(self) -> None:
        """Write the header where no record has done so, and flush."""
        self._start()
        self._stream.flush()

    def _start(self) -> None:
        if not self._started:
            self._started = True
            self._line(list(self._columns))

    def _line(self, cells: list[str]) -> None:
        line = io.StringIO()
        csv.writer(line, lineterminator="\n").writerow(cells)
        write_text(self._stream, line.getvalue())


def cell(value: object) -> str:
    """Return a JSON value as the text of a cell: numbers as they are, text printable and never a formula."""
    match value:
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case int() | float():
            return str(value)
        case list():
            return _inert("; ".join(str(item) for item in value))
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


def _inert(text: str) -> str:
    opening = text.lstrip(" ")[:1]
    return ("'" if opening in _FORMULA else "") + printable(text)


def _rows(record: Record, view: View) -> Iterator[Record]:
    match view:
        case View.FINDINGS | View.SECRETS:
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


def _at(value: Any, path: str) -> Any:  # noqa: ANN401 - JSON's own types
    """Return what a dotted path leads to; through a list of dicts, the list of what it leads to in each."""
    for depth, name in enumerate(path.split(".")):
        if isinstance(value, list):
            rest = ".".join(path.split(".")[depth:])
            return [_at(item, rest) for item in value]
        if not isinstance(value, dict) or name not in value:
            return None
        value = value[name]
    return value
