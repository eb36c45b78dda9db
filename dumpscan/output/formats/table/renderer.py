"""Records as tables for people: adapted to the width of the terminal, or whole and undecorated without one."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from rich.console import Console
from rich.text import Text

from dumpscan.output.formats.render import View
from dumpscan.output.formats.table import findings, holders, info, listings
from dumpscan.output.formats.table.columns import lay_out
from dumpscan.output.formats.table.sections import Scope, Section, title
from dumpscan.output.records import plain
from dumpscan.output.text import printable, write_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from typing import TextIO

    from dumpscan.findings import InputStatus
    from dumpscan.output.formats.table.columns import Layout
    from dumpscan.output.records import Record


MAX_ROWS = 2000
"""Rows of a table on a terminal: nobody scrolls through more. A pipe or a file gets all of them."""

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
        self._records: list[Record] = []
        console = Console(file=stream, width=width, markup=False, highlight=False, emoji=False)
        if console.legacy_windows:  # a console without escape sequences: the captured text must not hold any
            console = Console(file=stream, width=width, markup=False, highlight=False, emoji=False, color_system=None)
        self._console = console
        self._width = width or (console.width if console.is_terminal else None)

    def add_input(self, status: InputStatus) -> None:
        """Remember an input: if there are several, a column tells them apart."""
        self._inputs.append(status.file)

    def add(self, record: Record) -> None:
        """Keep a record for its table."""
        self._records.append(record)

    def close(self) -> None:
        """Print the tables, and flush."""
        if self._records:
            if self._width is None:
                write_text(self._stream, "\n".join(self._plain()) + "\n")
            else:
                with self._console.capture() as capture:
                    self._rich(self._width)
                write_text(self._stream, capture.get())
        self._stream.flush()

    @staticmethod
    def write_rows(stream: TextIO, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
        """Write aligned columns; a value of more than `MAX_CELLS` characters is cut."""
        lines = [[_short(value) for value in plain(row)] for row in (columns, *rows)]
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        for line in lines:
            padded = "  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True))
            write_text(stream, f"{padded.rstrip()}\n")

    def _sections(self) -> Iterator[Section]:
        scope = Scope.of(self._inputs, self._records, self._now, everything=self._everything)
        if self._view not in _OWN_TITLES and scope.common:
            yield Section(title(scope.common, style="dim"), (), ())
        yield from _SECTIONS[self._view](self._records, scope)

    def _rich(self, width: int) -> None:
        layouts: list[Layout] = []
        for section in self._sections():
            if layouts:
                self._console.print()
            for line in section.heading:
                self._console.print(line)
            layout = lay_out(section.columns, section.records[:MAX_ROWS], width)
            layouts.append(layout)
            if section.records:
                self._console.print(layout.table())
            if len(section.records) > MAX_ROWS:
                more = f"... and {len(section.records) - MAX_ROWS} more, shown in a pipe and with --format json."
                self._console.print(Text(more, "yellow"))
        remarks = []
        if any(record.get("location_count", 1) > 1 for record in self._records):
            remarks.append("+N: N more; --format json and csv show all of them.")
        hidden = dict.fromkeys(header for layout in layouts for header in layout.hidden)
        if hidden:
            remarks.append(f"No room for: {', '.join(hidden)}. A pipe and --format json show everything.")
        for number, remark in enumerate(remarks):
            self._console.print(Text(remark if number else f"\n{remark}", "dim"))

    def _plain(self) -> Iterator[str]:
        for number, section in enumerate(self._sections()):
            if number:
                yield ""
            yield from (line.plain for line in section.heading)
            if section.records:
                yield from lay_out(section.columns, section.records, None).lines()


def _short(value: object) -> str:
    text = "" if value is None else printable(str(value))
    return text if len(text) <= MAX_CELLS else text[: MAX_CELLS - 1] + "…"
