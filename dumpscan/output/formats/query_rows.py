"""Rows of an answer whose columns nobody knows beforehand: as a table, JSON, JSON Lines or CSV."""

from __future__ import annotations

import csv
import io
import json
from typing import TYPE_CHECKING

from dumpscan.output.formats.csv_rows import cell
from dumpscan.output.records import plain
from dumpscan.output.text import printable, write_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import TextIO

_WIDEST = 120
"""Characters of a value in a table; the other formats have all of it."""


def write_rows(stream: TextIO, output_format: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Write rows to a text stream; bytes come out as hex.

    Args:
        stream: Where to write.
        output_format: `table`, `json` (one list of objects), `jsonl` or `csv`.
        columns: Names, each once.
        rows: Values.

    Raises:
        OSError: From the stream.
    """
    match output_format:
        case "json":
            text = [json.dumps(dict(zip(columns, plain(row), strict=True)), allow_nan=False) for row in rows]
            stream.write("[" + ",".join(f"\n  {each}" for each in text) + ("\n]\n" if text else "]\n"))
        case "jsonl":
            for row in rows:
                record = dict(zip(columns, plain(row), strict=True))
                stream.write(json.dumps(record, separators=(",", ":"), allow_nan=False) + "\n")
        case "csv":
            for row in ([*columns], *(plain(row) for row in rows)):
                line = io.StringIO()
                csv.writer(line, lineterminator="\n").writerow([cell(value) for value in row])
                write_text(stream, line.getvalue())
        case _:
            _table(stream, columns, [[_short(value) for value in plain(row)] for row in rows])
    stream.flush()


def _short(value: object) -> str:
    text = "" if value is None else printable(str(value))
    return text if len(text) <= _WIDEST else text[: _WIDEST - 1] + "…"


def _table(stream: TextIO, columns: Sequence[str], rows: list[list[str]]) -> None:
    lines = [[_short(name) for name in columns], *rows]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        write_text(
            stream, "  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip() + "\n"
        )
