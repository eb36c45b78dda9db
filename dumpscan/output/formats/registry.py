"""The formats of `--format`.

To add one, write a module in this folder with a class as `Renderer` describes it, and add its line to `Format`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dumpscan.output.registry import Registered

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import TextIO

    from dumpscan.output.formats.render import Renderer, View


class Format(Registered):
    """How results are written to standard output."""

    TABLE = "table", "dumpscan.output.formats.table.renderer:TableRenderer"
    JSON = "json", "dumpscan.output.formats.json_document:JsonRenderer"
    JSONL = "jsonl", "dumpscan.output.formats.json_lines:JsonLinesRenderer"
    CSV = "csv", "dumpscan.output.formats.csv_rows:CsvRenderer"


def make_renderer(
    output_format: str, *, command: str, view: View, stream: TextIO, everything: bool = False
) -> Renderer:
    """Return the renderer for a format.

    Args:
        output_format: Name of the format, e.g. `json`.
        command: The command as typed, e.g. `minidump x509`; JSON repeats it.
        view: What the records are.
        stream: Where to write. A table adapts to it when it is a terminal.
        everything: Whether a table shows what it else only counts: certificates of well-known authorities.

    Raises:
        ValueError: There is no such format.
    """
    renderer: Renderer = Format(output_format).load()(stream, view, command, everything=everything)
    return renderer


def write_rows(stream: TextIO, output_format: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Write the answer of a query, whose columns are not known beforehand; bytes are written as hex.

    Args:
        stream: Where to write.
        output_format: Name of the format, e.g. `json`.
        columns: Names, each once.
        rows: Values.

    Raises:
        ValueError: There is no such format.
        OSError: The stream cannot take it.
    """
    Format(output_format).load().write_rows(stream, columns, rows)
    stream.flush()
