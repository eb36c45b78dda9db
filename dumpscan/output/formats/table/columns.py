"""Tables that fit: which columns a width has room for, and how wide each of them is.

On a terminal, every column that fits is shown, long text is folded rather than cut, and the table names the columns
that were left out. A pipe or a file has no width: it gets every column, each row on one line, without decoration.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from rich import box
from rich.cells import cell_len
from rich.table import Table
from rich.text import Text

from dumpscan.output.records import value_at
from dumpscan.output.text import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from dumpscan.output.records import Record

GAP = 2
"""Blank cells between two columns."""

MAX_ALIGNED = 120
"""Without a width, columns are aligned up to this many cells; longer text moves only its own row."""


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a table of records.

    Attributes:
        header: Its heading.
        cell: Returns the text of a record's cell. A column without text in any row is not shown.
        rank: 0 for a column that is always shown; columns of a higher rank make room for others first.
        least: Cells down to which the column may be narrowed by folding its text; 0 if its text is never folded.
        short: Characters that suffice (the beginning of a hash) when there is little room; 0 if all are needed.
        justify: The side on which its text stands.
    """

    header: str
    cell: Callable[[Record], Text]
    rank: int = 0
    least: int = 0
    short: int = 0
    justify: Literal["left", "right"] = "left"


@dataclass(slots=True)
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
    def need(self) -> int:
        """Cells without which it cannot be shown."""
        return (
            min(self.whole, max(self.column.least, cell_len(self.column.header))) if self.column.least else self.whole
        )

    def text(self, row: int) -> Text:
        """Return a row's cell as it is shown."""
        cell = self.column.cell(self.records[row])
        return cell[: self.column.short] if self.shortened else cell


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


@dataclass(frozen=True, slots=True)
class Layout:
    """A table prepared for a width.

    Attributes:
        columns: The columns that are shown.
        rows: The number of rows.
        hidden: Headings of the columns that did not fit.
    """

    columns: tuple[_Laid, ...]
    rows: int
    hidden: tuple[str, ...]

    def table(self) -> Table:
        """Return it as a table of rich, with columns of fixed width."""
        table = Table(
            box=box.SIMPLE_HEAD,
            show_edge=False,
            show_header=self._headed,
            pad_edge=False,
            padding=(0, GAP - 1, 0, 0),
            header_style="bold",
        )
        for laid in self.columns:
            table.add_column(Text(laid.column.header), width=laid.width, justify=laid.column.justify, overflow="fold")
        for row in range(self.rows):
            table.add_row(*(laid.text(row) for laid in self.columns))
        return table

    def lines(self) -> Iterator[str]:
        """Yield it as plain lines without trailing blanks: the header if there is one, then a line for each row."""
        if self._headed:
            yield self._line([laid.column.header for laid in self.columns])
        for row in range(self.rows):
            yield self._line([laid.text(row).plain for laid in self.columns])

    @property
    def _headed(self) -> bool:
        return any(laid.column.header for laid in self.columns)

    def _line(self, cells: list[str]) -> str:
        padded = []
        for laid, cell in zip(self.columns, cells, strict=True):
            blank = " " * (laid.width - cell_len(cell))
            padded.append(blank + cell if laid.column.justify == "right" else cell + blank)
        return (" " * GAP).join(padded).rstrip()


def lay_out(columns: Sequence[Column], records: Sequence[Record], width: int | None) -> Layout:
    """Choose columns and widths.

    Args:
        columns: The columns from left to right.
        records: The rows.
        width: Cells across; None for no limit.
    """
    laid = [item for item in (_measure(column, records) for column in columns) if item is not None]
    hidden: list[str] = []
    if width is not None:
        if _total(item.natural for item in laid) > width:
            for item in laid:
                item.shortened = 0 < item.column.short < item.natural
        while _total(item.need for item in laid) > width and any(item.column.rank for item in laid):
            last = max(laid, key=lambda item: item.column.rank)
            laid.remove(last)
            hidden.append(last.column.header)
        _lengthen(laid, width)
    _share(laid, width)
    order = [column.header for column in columns]
    return Layout(tuple(laid), len(records), tuple(sorted(hidden, key=order.index)))


def _measure(column: Column, records: Sequence[Record]) -> _Laid | None:
    """Return a column ready to be laid out; None if it has no text in any row."""
    natural = max((cell_len(column.cell(record).plain) for record in records), default=0)
    return _Laid(column, records, max(natural, cell_len(column.header))) if natural else None


def _total(widths: Iterator[int]) -> int:
    every = list(widths)
    return sum(every) + GAP * max(len(every) - 1, 0)


def _lengthen(laid: list[_Laid], width: int) -> None:
    """Restore the whole text of shortened columns if it fits without folding anything else."""
    for item in laid:
        if item.shortened:
            item.shortened = False
            if _total(other.whole for other in laid) > width:
                item.shortened = True


def _share(laid: list[_Laid], width: int | None) -> None:
    """Set widths: give each column what it needs, and share the rest evenly among those that can use it."""
    for item in laid:
        item.width = min(item.whole, MAX_ALIGNED) if width is None else item.need
    if width is None:
        return
    spare = width - _total(item.width for item in laid)
    wanting = sorted((item for item in laid if item.whole > item.width), key=lambda item: item.whole - item.width)
    for number, item in enumerate(wanting):
        grown = min(item.whole - item.width, max(spare, 0) // (len(wanting) - number))
        item.width += grown
        spare -= grown
    while spare < 0 and any(item.width > 1 for item in laid):  # narrower than the columns that are always shown
        widest = max(laid, key=lambda item: item.width)
        widest.width -= 1
        spare += 1
