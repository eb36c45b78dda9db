"""One JSON document: what ran, the inputs, the findings."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from dumpscan._version import __version__
from dumpscan.findings import SCHEMA_VERSION
from dumpscan.output.records import input_record, plain

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import TextIO

    from dumpscan.findings import InputStatus
    from dumpscan.output.formats.render import View
    from dumpscan.output.records import Record


class JsonRenderer:
    """Writes the document on `close`.

    `{"dumpscan": {"version", "schema", "command"}, "inputs": [...], "findings": [...]}`
    """

    def __init__(self, stream: TextIO, _view: View, command: str, **_options: object) -> None:
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

    @staticmethod
    def write_rows(stream: TextIO, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
        """Write one list of objects, an object a line."""
        lines = [json.dumps(dict(zip(columns, plain(row), strict=True)), allow_nan=False) for row in rows]
        stream.write("[" + ",".join(f"\n  {line}" for line in lines) + ("\n]\n" if lines else "]\n"))

    def _list(self, name: str, records: list[Record]) -> None:
        """Write one member, record by record: the text of the whole document may not fit into memory."""
        self._stream.write(f'  "{name}": [')
        for number, record in enumerate(records):
            self._stream.write(f"{',' if number else ''}\n    {_indented(record, 4)}")
        self._stream.write("\n  ]" if records else "]")


def _indented(value: object, depth: int) -> str:
    """Return indented JSON in ASCII, its lines after the first moved in by `depth` spaces."""
    # No string in it holds a newline: JSON escapes them.
    return json.dumps(value, indent=2, allow_nan=False).replace("\n", "\n" + " " * depth)
