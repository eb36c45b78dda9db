"""One interface for every format: hand over inputs and records as they come, then close."""

from __future__ import annotations

import json
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

from dumpscan._version import __version__
from dumpscan.findings import SCHEMA_VERSION
from dumpscan.output.records import input_record

if TYPE_CHECKING:
    from typing import TextIO

    from dumpscan.findings import InputStatus
    from dumpscan.output.records import Record


class View(StrEnum):
    """What the records of one command are, which decides the columns of table and CSV."""

    FINDINGS = "findings"
    SECRETS = "secrets"
    EVERYTHING = "everything"
    PSLIST = "pslist"
    CMDLINE = "cmdline"
    ENVARS = "envars"
    INFO = "info"
    SYMBOLS = "symbols"


class Renderer(Protocol):
    """Writes records to a text stream. Nothing is whole before `close`, which flushes.

    Every method may raise OSError from the stream: a BrokenPipeError when the reader has gone.
    """

    def add_input(self, status: InputStatus) -> None:
        """Say what became of an input file. May come before, between or after its records."""

    def add(self, record: Record) -> None:
        """Write, or keep for later, one document of `dumpscan.output.records`."""

    def close(self) -> None:
        """Write what is still to be written, and flush. The stream stays open."""


class JsonRenderer:
    """One JSON document: what ran, the inputs, the findings.

    `{"dumpscan": {"version", "schema", "command"}, "inputs": [...], "findings": [...]}`, written on `close`.
    """

    def __init__(self, stream: TextIO, command: str) -> None:
        self._stream = stream
        self._command = command
        self._inputs: list[Record] = []
        self._records: list[Record] = []

    def add_input(self, status: InputStatus) -> None:
        """Keep an input for the document's `inputs`."""
        self._inputs.append(input_record(status))

    def add(self, record: Record) -> None:
        """Keep a record for the document's `findings`."""
        self._records.append(record)

    def close(self) -> None:
        """Write the document."""
        head = {"version": __version__, "schema": SCHEMA_VERSION, "command": self._command}
        self._stream.write(f'{{\n  "dumpscan": {_indented(head, 2)},\n')
        self._list("inputs", self._inputs)
        self._stream.write(",\n")
        self._list("findings", self._records)
        self._stream.write("\n}\n")
        self._stream.flush()

    def _list(self, name: str, records: list[Record]) -> None:
        """Write one member, record by record, so that the document's text never lies in memory whole."""
        self._stream.write(f'  "{name}": [')
        for number, record in enumerate(records):
            self._stream.write(f"{',' if number else ''}\n    {_indented(record, 4)}")
        self._stream.write("\n  ]" if records else "]")


class JsonLinesRenderer:
    """One record a line, as it comes. Inputs have no line: damage is told on standard error and by the exit code."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def add_input(self, status: InputStatus) -> None:
        """Do nothing: every line is a record of what was found."""

    def add(self, record: Record) -> None:
        """Write the record's line."""
        self._stream.write(json.dumps(record, separators=(",", ":"), allow_nan=False) + "\n")

    def close(self) -> None:
        """Flush."""
        self._stream.flush()


def make_renderer(output_format: str, *, command: str, view: View, stream: TextIO) -> Renderer:
    """Return the renderer for a format.

    Args:
        output_format: `table`, `json`, `jsonl` or `csv`.
        command: The command as typed, e.g. `minidump x509`; JSON repeats it.
        view: What the records are.
        stream: Where to write. A table adapts to it when it is a terminal.

    Raises:
        ValueError: There is no such format.
    """
    # Imported when asked for: rich alone takes longer to import than a small dump takes to scan.
    match output_format:
        case "json":
            return JsonRenderer(stream, command)
        case "jsonl":
            return JsonLinesRenderer(stream)
        case "csv":
            from dumpscan.output.formats.csv_rows import CsvRenderer  # noqa: PLC0415 - see above

            return CsvRenderer(stream, view)
        case "table":
            from dumpscan.output.formats.table.renderer import TableRenderer  # noqa: PLC0415 - see above

            return TableRenderer(stream, view)
        case _:
            raise ValueError(f"no such format: {output_format}")


def _indented(value: object, depth: int) -> str:
    """Return indented JSON in ASCII, its lines after the first moved in by `depth` spaces."""
    # No string in it holds a newline: JSON escapes them.
    return json.dumps(value, indent=2, allow_nan=False).replace("\n", "\n" + " " * depth)
