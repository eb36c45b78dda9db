"""Tables fit every width and lose nothing where there is none."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console

from dumpscan.output.formats.table.columns import MAX_ALIGNED, Column, Layout, lay_out, say

if TYPE_CHECKING:
    from dumpscan.output.records import Record

COLUMNS = (
    Column("Name", lambda row: say(row["name"]), least=8),
    Column("Size", lambda row: say(row["size"]), rank=1, justify="right"),
    Column("Hash", lambda row: say(row["hash"]), rank=2, short=6),
    Column("Nothing", lambda _row: say(None)),
)


def row(name: str = "ntdll.dll", size: int = 5, digest: str = "0123456789abcdef") -> Record:
    return {"name": name, "size": size, "hash": digest}


def printed(layout: Layout, width: int) -> list[str]:
    stream = io.StringIO()
    Console(file=stream, width=width, color_system=None).print(layout.table())
    return stream.getvalue().splitlines()


def headers(layout: Layout) -> list[str]:
    return [laid.column.header for laid in layout.columns]


def test_without_a_width_every_column_is_whole_and_nothing_trails() -> None:
    layout = lay_out(COLUMNS, [row(), row("a" * 60, 12345)], None)
    assert headers(layout) == ["Name", "Size", "Hash"]  # a column with nothing in it is none
    lines = list(layout.lines())
    assert lines[1] == "ntdll.dll" + " " * 51 + "      5  0123456789abcdef"
    assert lines[2] == "a" * 60 + "  12345  0123456789abcdef"
    assert layout.hidden == ()


def test_a_very_long_text_does_not_push_the_others_aside() -> None:
    lines = list(lay_out(COLUMNS, [row(), row("a" * 5000)], None).lines())
    assert len(lines[1]) == MAX_ALIGNED + 2 + 4 + 2 + 16
    assert "a" * 5000 in lines[2]


def test_a_hash_is_shortened_before_a_column_goes() -> None:
    layout = lay_out(COLUMNS, [row()], 24)
    assert headers(layout) == ["Name", "Size", "Hash"]
    assert printed(layout, 24)[2].split() == ["ntdll.dll", "5", "012345"]
    narrower = lay_out(COLUMNS, [row()], 20)
    assert headers(narrower) == ["Name", "Size"]
    assert narrower.hidden == ("Hash",)


def test_a_hash_is_whole_again_where_the_column_beside_it_went() -> None:
    columns = (*COLUMNS[:3], Column("Long", lambda _row: say("x" * 30), rank=3))
    layout = lay_out(columns, [row()], 34)
    assert layout.hidden == ("Long",)
    assert "0123456789abcdef" in printed(layout, 34)[2]


def test_long_text_is_folded_and_not_cut() -> None:
    name = "abcdefgh" * 9
    text = "".join(line.split("  ")[0].strip() for line in printed(lay_out(COLUMNS, [row(name)], 40), 40)[2:])
    assert text == name


def test_wide_characters_are_aligned() -> None:
    lines = list(lay_out(COLUMNS, [row("日本語"), row("abc")], None).lines())
    assert cell_len(lines[1]) == cell_len(lines[2])


names = st.lists(st.text(alphabet=st.characters(exclude_categories=()), max_size=300), min_size=1, max_size=5)


@given(names, st.integers(min_value=10, max_value=200))
def test_no_width_is_ever_exceeded(texts: list[str], width: int) -> None:
    rows = [row(text, number) for number, text in enumerate(texts)]
    for line in printed(lay_out(COLUMNS, rows, width), width):
        assert cell_len(line) <= width


@given(names)
def test_without_a_width_a_row_is_one_line(texts: list[str]) -> None:
    lines = list(lay_out(COLUMNS, [row(text) for text in texts], None).lines())
    assert len("\n".join(lines).splitlines()) == len(texts) + 1


def test_without_headings_there_is_no_heading_line() -> None:
    columns = (Column("", lambda row: say(row["name"])), Column("", lambda row: say(row["size"])))
    layout = lay_out(columns, [row()], None)
    assert list(layout.lines()) == ["ntdll.dll  5"]
    assert [line.strip() for line in printed(lay_out(columns, [row()], 40), 40)] == ["ntdll.dll  5"]
