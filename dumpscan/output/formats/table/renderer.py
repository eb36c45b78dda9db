"""Records as tables for people: adapted to the width of the terminal, or whole and undecorated without one."""

from __future__ import annotations

import io
import os
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from rich.cells import cell_len
from rich.text import Text

from dumpscan.output.formats.render import View
from dumpscan.output.formats.table import findings, holders, info, listings
from dumpscan.output.formats.table.columns import GAP, lay_out
from dumpscan.output.formats.table.folding import fold
from dumpscan.output.formats.table.sections import Scope, Section, title
from dumpscan.output.records import plain
from dumpscan.output.terminal import takes_colours, terminal_width
from dumpscan.output.text import printable, write_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from typing import TextIO

    from dumpscan.findings import InputStatus
    from dumpscan.output.records import Record


MAX_ROWS = 2000
"""Rows of a table on a terminal: nobody scrolls through more. A pipe or a file gets all of them."""

MAX_WIDTH = 1 << 20
"""Cells of a line where there is no limit."""

MAX_CELLS = 120
"""Characters of a value in the answer of a query; other formats show all of them."""


_SECTIONS = {
    View.FINDINGS: findings.sections,
    View.SECRETS: findings.secret_sections,
    View.EVERYTHING: holders.sections,
    View.PSLIST: listings.pslist_sections,
    View.CMDLINE: listings.cmdline_sections,
    View.ENVARS: listings.envars_sections,
    View.INFO: info.sections,
    View.SYMBOLS: listings.symbols_sections,
}
_OWN_TITLES = {View.ENVARS, View.INFO, View.SYMBOLS}
"""Views whose tables name the dump themselves."""


class TableRenderer:
    """Gathers records and prints them as tables on `close`; without records it prints nothing.

    Args:
        stream: Where to write.
        view: What the records are.
        width: Cells across; by default those of the terminal, and no limit if the stream is not a terminal.
        now: The time by which a certificate counts as expired; the clock's by default.
        everything: Whether to show certificates of well-known authorities too, which are otherwise only counted.
    """

    def __init__(
        self,
        stream: TextIO,
        view: View,
        _command: str = "",
        *,
        width: int | None = None,
        now: datetime | None = None,
        everything: bool = False,
    ) -> None:
        self._stream = stream
        self._view = view
        self._now = now or datetime.now(UTC)
        self._everything = everything
        self._inputs: list[str] = []
        self._captured: dict[str, datetime] = {}
        self._records: list[Record] = []
        self._width = width or terminal_width(stream)
        self._coloured = width is None and takes_colours(stream)

    def add_input(self, status: InputStatus) -> None:
        """Remember an input: if there are several, a column tells them apart."""
        self._inputs.append(status.file)
        if status.captured is not None:
            self._captured[status.file] = status.captured

    def add(self, record: Record) -> None:
        """Keep a record for its table."""
        self._records.append(record)

    def close(self) -> None:
        """Print the tables, and flush."""
        if self._records:
            write = self._write_coloured if self._coloured else self._write_plain
            write(self._lines())
        self._stream.flush()

    def _write_plain(self, lines: Iterable[Text]) -> None:
        for line in lines:
            write_text(self._stream, f"{line.plain}\n")

    def _write_coloured(self, lines: Iterable[Text]) -> None:
        from rich.console import Console  # noqa: PLC0415 - heavy; a pipe does not need it

        known = os.environ.get("TERM", "dumb") not in {"dumb", "unknown"}
        console = Console(
            file=io.StringIO(),
            width=self._width or MAX_WIDTH,
            force_terminal=True,
            color_system="auto" if known else "standard",
            markup=False,
            highlight=False,
            emoji=False,
        )
        if console.legacy_windows:  # a console without escape sequences
            self._write_plain(lines)
            return
        for line in lines:
            with console.capture() as capture:
                console.print(line, no_wrap=True, crop=False, overflow="ignore")
            write_text(self._stream, capture.get())

    @staticmethod
    def write_rows(stream: TextIO, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
        """Write aligned columns; a value of more than `MAX_CELLS` characters is cut.

        Where a terminal is too narrow for the columns, each row is written as a list of names and values.
        """
        lines = [[_short(value) for value in plain(row)] for row in (columns, *rows)]
        widths = [max(map(cell_len, column)) for column in zip(*lines, strict=True)]
        width = terminal_width(stream)
        if width is not None and sum(widths) + GAP * (len(widths) - 1) > width and len(lines) > 1:
            write_text(stream, "\n".join(_listed(lines[0], row, width) for row in lines[1:]))
            return
        for line in lines:
            padded = "  ".join(text + " " * (cells - cell_len(text)) for text, cells in zip(line, widths, strict=True))
            write_text(stream, f"{padded.rstrip()}\n")

    def _sections(self) -> Iterator[Section]:
        scope = Scope.of(self._inputs, self._records, self._now, everything=self._everything, captured=self._captured)
        if self._view not in _OWN_TITLES and scope.common:
            yield Section(title(scope.common, style="dim"), (), ())
        yield from _SECTIONS[self._view](self._records, scope)

    def _lines(self) -> Iterator[Text]:
        """Yield all lines: sections, with a blank line between them, and what is to be said of all of them."""
        hidden = False
        for number, section in enumerate(self._sections()):
            if number:
                yield Text()
            for line in section.heading:
                yield from self._folded(line)
            if not section.records:
                continue
            most = len(section.records) if self._width is None else MAX_ROWS
            layout = lay_out(section.columns, section.records[:most], self._width)
            yield from layout.texts() if self._coloured or self._width is not None else map(Text, layout.lines())
            if len(section.records) > most:
                more = f"... and {len(section.records) - most} more, shown in a pipe and with --format json."
                yield from self._folded(Text(more, "yellow"))
            if layout.hidden:
                hidden = True
                yield from self._folded(Text(f"No room for: {', '.join(layout.hidden)}", "dim"))
        if self._width is not None:
            yield from self._remarks(hidden=hidden)

    def _remarks(self, *, hidden: bool) -> Iterator[Text]:
        remarks = []
        if any(record.get("location_count", 1) > 1 for record in self._records):
            remarks.append("+N: N more; --format json and csv show all of them.")
        if hidden:
            remarks.append("A wider terminal, a pipe and --format json show what there was no room for.")
        for number, remark in enumerate(remarks):
            if not number:
                yield Text()
            yield from self._folded(Text(remark, "dim"))

    def _folded(self, line: Text) -> list[Text]:
        return [line] if self._width is None else fold(line, self._width)


def _listed(names: Sequence[str], values: Sequence[str], width: int) -> str:
    """Return a row as lines of a name and its value, without the values that are empty."""
    least = max(map(cell_len, names))
    room = max(width - least - GAP, 1)
    lines = []
    for name, value in zip(names, values, strict=True):
        for number, part in enumerate(fold(Text(value), room) if value else ()):
            label = "" if number else name
            lines.append(f"{label}{' ' * (least - cell_len(label) + GAP)}{part.plain}\n")
    return "".join(lines)


def _short(value: object) -> str:
    text = "" if value is None else printable(str(value))
    return text if len(text) <= MAX_CELLS else text[: MAX_CELLS - 1] + "…"
