"""JSON Lines: one record a line, as it comes."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from dumpscan.output.records import plain

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import TextIO

    from dumpscan.findings import InputStatus
    from dumpscan.output.formats.render import View
    from dumpscan.output.records import Record


class JsonLinesRenderer:
    """Writes each record at once. Inputs have no line: standard error and the exit code tell of damage."""

    def __init__(self, stream: TextIO, _view: View, _command: str, **_options: object) -> None:
        self._stream = stream

    def add_input(self, status: InputStatus) -> None:
        """Do nothing: every line is a record of what was found."""

    def add(self, record: Record) -> None:
        """Write the record's line."""
        self._stream.write(json.dumps(record, separators=(",", ":"), allow_nan=False) + "\n")

    def close(self) -> None:
        """Flush."""
        self._stream.flush()

    @staticmethod
    def write_rows(stream: TextIO, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
        """Write an object a line."""
        for row in rows:
            record = dict(zip(columns, plain(row), strict=True))
            stream.write(json.dumps(record, separators=(",", ":"), allow_nan=False) + "\n")
