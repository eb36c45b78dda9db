"""Columns of tables, and which of them a width has room for.

On a terminal, columns are shown by importance: a column is left out rather than that another one is folded, and only
the columns that are always shown are folded where they do not fit themselves. Every table names the columns that were
left out. A pipe or a file has no width: it gets every column, each row on one line.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Literal

from rich.cells import cell_len
from rich.text import Text

from dumpscan.output.formats.table.folding import fold
from dumpscan.output.records import value_at
from dumpscan.output.text import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from dumpscan.output.records import Record

GAP = 2
"""Blank cells between two columns."""

MAX_ALIGNED = 120
"""Without a width, columns are aligned up to this many cells; longer text moves only its own row."""

_NEARLY = 12
"""A text that needs no more cells than these above its comfort is shown whole, and not folded for so little."""
_INDENT = 4
"""Blank cells before what stands below a row."""


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a table of records.

    Attributes:
        header: Its heading.
        cell: Returns the text of a record's cell. A column without text in any row is not shown.
        rank: 0 for a column that is always shown; columns of a higher rank make room for others first.
        least: Cells down to which the column may be narrowed by folding its text; 0 if its text is never folded.
        comfort: Cells that a text which may be folded gets before another column is left out for it.
        short: Characters that suffice (the beginning of a hash) when there is little room; 0 if all are needed.
        justify: The side on which its text stands.
        below: Whether its text goes below the row where there is no room for the column: for what is long and rare.
        heading: Whether its texts become headings of groups of rows where there is no room for all columns.
    """

    header: str
    cell: Callable[[Record], Text]
    rank: int = 0
    least: int = 0
    comfort: int = 40
    short: int = 0
    justify: Literal["left", "right"] = "left"
    below: bool = False
    heading: bool = False


@dataclass(slots=True, eq=False)
class _Laid:
    """A column with its records, and the width of their cells.

    Cells are made whenever they are asked for and not kept: the text of a large table may not fit into memory.
    """

    column: Column
    records: Sequence[Record]
    natural: int
    shortened: bool = False
    width: int = field(default=0)

    @property
    def whole(self) -> int:
        """Cells for its text, shortened or not."""
        if self.shortened:
            return max(cell_len(self.column.header), min(self.natural, self.column.short))
        return self.natural

    @property
    def comfort(self) -> int:
        """Cells that it gets before a column of higher rank gets any."""
        if not self.column.least or self.whole <= self.column.comfort + _NEARLY:
            return self.whole
        return max(self.column.comfort, self.column.least)

    @property
    def least(self) -> int:
        """Cells without which it cannot be shown: its heading may be folded too, between words."""
        words = max(map(cell_len, self.column.header.split()), default=1)
        return min(self.whole, max(self.column.least, words)) if self.column.least else 1

    def text(self, row: int) -> Text:
        """Return a row's cell as it is shown."""
        cell = self.column.cell(self.records[row])
        return cell[: self.column.short] if self.shortened else cell

    def justified(self, text: Text) -> Text:
        """Return a line of a cell, filled up with blanks to the column's width."""
        blank = " " * (self.width - cell_len(text.plain))
        return Text(blank).append(text) if self.column.justify == "right" else text.copy().append(blank)


def say(value: object, style: str = "") -> Text:
    """Return anything from a dump as text for a terminal: printable, and never interpreted as markup."""
    text = "" if value is None else printable(str(value))
    return Text(overflow="fold").append(text, style)  # as a span: what is appended later does not inherit the style


def at(path: str, style: str = "") -> Callable[[Record], Text]:
    """Return what makes a cell of the value at a dotted path, a list joined by commas."""

    def cell(record: Record) -> Text:
        value = value_at(record, path)
        return say(", ".join(map(str, value)) if isinstance(value, list) else value, style)

    return cell


@dataclass(frozen=True)
class Layout:
    """A table prepared for a width.

    Attributes:
        columns: The columns that are shown.
        rows: The number of rows.
        hidden: Headings of the columns that did not fit.
        below: Columns whose text goes below the rows.
        groups: The column whose texts are headings of groups of rows.
        width: Cells across; None for no limit.
    """

    columns: tuple[_Laid, ...]
    rows: int
    hidden: tuple[str, ...]
    below: tuple[_Laid, ...] = ()
    groups: _Laid | None = None
    width: int | None = None

    def lines(self) -> Iterator[str]:
        """Yield it as plain lines without trailing blanks: the header if there is one, then its rows."""
        if self.width is not None:
            yield from (line.plain for line in self.texts())
            return
        headers = [laid.column.header for laid in self.columns]
        if any(headers):
            yield self._plain(headers)
        for row in range(self.rows):
            yield self._plain([laid.text(row).plain for laid in self.columns])

    def _plain(self, cells: Sequence[str]) -> str:
        """Return a line of cells without their styles: for pipes, which get tables of any length."""
        padded = []
        for laid, cell in zip(self.columns, cells, strict=True):
            blank = " " * (laid.width - cell_len(cell))
            padded.append(blank + cell if laid.column.justify == "right" else cell + blank)
        return (" " * GAP).join(padded).rstrip()

    def texts(self) -> Iterator[Text]:
        """Yield it as lines with their styles."""
        if any(laid.column.header for laid in self.columns):
            yield from self._lines([fold(Text(laid.column.header, "bold"), laid.width) for laid in self.columns])
            if self.width is not None:
                yield Text("─" * min(self.width, _total(laid.width for laid in self.columns)))
        group = None
        for row in self._order():
            if self.groups is not None and (name := self.groups.text(row)).plain != group:
                group = name.plain
                yield from fold(name, self.width or 0)
            yield from self._row(row)
        for laid, text, all_rows in self._common:
            yield from self._note(f"{laid.column.header}{' of each' if all_rows else ' of all others'}: ", text, 0)

    @cached_property
    def _common(self) -> list[tuple[_Laid, Text, bool]]:
        """The columns below that have the same text in most rows, the text, and whether it is that of all rows.

        It is said once, below the table.
        """
        found = []
        for laid in self.below:
            texts = Counter(laid.text(row).plain for row in range(self.rows))
            ((most, count),) = texts.most_common(1)
            if most and count > 1 and "" not in texts and 2 * count > self.rows:
                row = next(row for row in range(self.rows) if laid.text(row).plain == most)
                found.append((laid, laid.text(row), count == self.rows))
        return found

    def _note(self, label: str, text: Text, indent: int) -> Iterator[Text]:
        for line in fold(Text(label, "dim").append(text), (self.width or 0) - indent):
            yield Text(" " * indent).append(line)

    def _order(self) -> Iterable[int]:
        """Return the numbers of the rows, those of a group together."""
        if self.groups is None:
            return range(self.rows)
        groups: dict[str, list[int]] = {}
        for row in range(self.rows):
            groups.setdefault(self.groups.text(row).plain, []).append(row)
        return (row for rows in groups.values() for row in rows)

    def _row(self, row: int) -> Iterator[Text]:
        """Yield the lines of a row, and what stands below it."""
        if self.width is None:
            yield _stripped(self._line([laid.text(row) for laid in self.columns]))
            return
        yield from self._lines([fold(laid.text(row), laid.width) for laid in self.columns])
        common = {laid.column.header: text.plain for laid, text, _ in self._common}
        for laid in self.below:
            text = laid.text(row)
            if text.plain and common.get(laid.column.header) != text.plain:
                yield from self._note(f"{laid.column.header}: ", text, _INDENT)

    def _lines(self, cells: Sequence[Sequence[Text]]) -> Iterator[Text]:
        """Yield the lines of cells that have several."""
        for number in range(max(map(len, cells), default=0)):
            yield _stripped(self._line([cell[number] if number < len(cell) else Text() for cell in cells]))

    def _line(self, cells: Sequence[Text]) -> Text:
        return Text(" " * GAP).join(laid.justified(cell) for laid, cell in zip(self.columns, cells, strict=True))


def _stripped(line: Text) -> Text:
    line.rstrip()
    return line


def lay_out(columns: Sequence[Column], records: Sequence[Record], width: int | None) -> Layout:
    """Choose columns and widths.

    Args:
        columns: The columns from left to right.
        records: The rows.
        width: Cells across; None for no limit.
    """
    laid = [item for item in (_measure(column, records) for column in columns) if item is not None]
    if width is None:
        for item in laid:
            item.width = min(item.whole, MAX_ALIGNED)
        return Layout(tuple(laid), len(records), ())
    groups = None
    if _total(item.natural for item in laid) > width:
        groups = next((item for item in laid if item.column.heading), None)
        laid = [item for item in laid if item is not groups]
        for item in laid:
            item.shortened = 0 < item.column.short < item.natural
    shown = _chosen(laid, width)
    _lengthen(shown, width)
    _share(shown, width)
    out = [item for item in laid if item not in shown]
    return Layout(
        tuple(shown),
        len(records),
        tuple(item.column.header for item in out if not item.column.below),
        tuple(item for item in out if item.column.below),
        groups,
        width,
    )


def _measure(column: Column, records: Sequence[Record]) -> _Laid | None:
    """Return a column ready to be laid out; None if it has no text in any row."""
    natural = max((cell_len(column.cell(record).plain) for record in records), default=0)
    return _Laid(column, records, max(natural, cell_len(column.header))) if natural else None


def _total(widths: Iterator[int]) -> int:
    every = list(widths)
    return sum(every) + GAP * max(len(every) - 1, 0)


def _chosen(laid: list[_Laid], width: int) -> list[_Laid]:
    """Choose the columns of rank 0, and by rank those of the others that fit beside them."""
    chosen: list[_Laid] = []
    for item in sorted(laid, key=lambda item: item.column.rank):
        if not item.column.rank or _total(other.comfort for other in (*chosen, item)) <= width:
            chosen.append(item)
    return [item for item in laid if item in chosen]


def _lengthen(laid: list[_Laid], width: int) -> None:
    """Restore the whole text of shortened columns if it fits without folding anything else."""
    for item in laid:
        if item.shortened:
            item.shortened = False
            if _total(other.whole for other in laid) > width:
                item.shortened = True


def _share(laid: list[_Laid], width: int) -> None:
    """Set widths: give each column its comfort, and share the rest among those that can use it.

    Where the columns that are always shown do not fit, as few of them as possible are folded; where that does not
    suffice, all are narrowed.
    """
    for item in laid:
        item.width = item.comfort
    spare = width - _total(item.width for item in laid)
    wanting = sorted((item for item in laid if item.whole > item.width), key=lambda item: item.whole - item.width)
    for number, item in enumerate(wanting):
        grown = min(item.whole - item.width, max(spare, 0) // (len(wanting) - number))
        item.width += grown
        spare -= grown
    foldable = [item for item in laid if item.column.least]
    for item in sorted(foldable, key=lambda item: item.least - item.width):
        taken = min(max(item.width - item.least, 0), max(-spare, 0))
        item.width -= taken
        spare += taken
    while spare < 0 and any(item.width > 1 for item in laid):
        max(laid, key=lambda item: item.width).width -= 1
        spare += 1
