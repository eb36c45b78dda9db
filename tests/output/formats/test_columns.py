"""Tables fit every width and lose nothing where there is none."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from dumpscan.output.formats.table.columns import MAX_ALIGNED, Column, Layout, lay_out, say
from dumpscan.output.formats.table.folding import fold

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
    assert layout.width == width
    return list(layout.lines())


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


IMPORTANT = (
    Column("Key", lambda row: say(row["name"])),
    Column("Opens", lambda row: say(row["opens"]), least=16),
    Column("Until", lambda row: say(row["until"]), least=10),
    Column("Address", lambda _row: say("0x1f1e20043b0"), rank=1),
    Column("Offset", lambda _row: say("0x20"), rank=2),
    Column("Proof", lambda row: say(row["proof"]), rank=9, below=True),
)


def key(opens: str = "shop.contoso.example", proof: str = "") -> Record:
    return {"name": "RSA 2048", "opens": opens, "until": "2025-01-15 expired", "proof": proof}


def test_a_column_is_left_out_rather_than_that_another_is_folded() -> None:
    for width in range(50, 80):
        layout = lay_out(IMPORTANT, [key()], width)
        assert len(list(layout.lines())) == 3, width
        assert ("Address" in layout.hidden) == (width < 8 + 2 + 20 + 2 + 18 + 2 + 13)


def test_a_column_that_is_less_important_may_still_have_room() -> None:
    layout = lay_out(IMPORTANT, [key()], 8 + 2 + 20 + 2 + 18 + 2 + 6)
    assert layout.hidden == ("Address",)
    assert "0x20" in list(layout.lines())[2]


def test_as_few_columns_as_possible_are_folded() -> None:
    header, _, first, second = lay_out(IMPORTANT, [key()], 48).lines()
    assert header.split() == ["Key", "Opens", "Until"]
    assert first.split() == ["RSA", "2048", "shop.contoso.example", "2025-01-15"]
    assert second.split() == ["expired"]


def test_what_is_long_and_rare_goes_below_its_row() -> None:
    proof = "n = p*q, e*d = 1 mod lcm(p-1, q-1), dp = d mod (p-1)"
    layout = lay_out(IMPORTANT, [key(), key(proof=proof), key()], 60)
    lines = list(layout.lines())[2:]
    assert lines[2] == "    Proof: n = p*q, e*d = 1 mod lcm(p-1, q-1), dp = d mod"
    assert lines[3] == "    (p-1)"
    assert len(lines) == 5
    assert "Proof" not in layout.hidden
    assert proof in list(lay_out(IMPORTANT, [key(), key(proof=proof)], 160).lines())[3]
    assert [line.count(proof) for line in lay_out(IMPORTANT, [key(proof=proof)], None).lines()] == [0, 1]


def test_what_is_the_same_below_every_row_is_said_once() -> None:
    proof = "the whole schedule follows from the key"
    lines = list(lay_out(IMPORTANT, [key(proof=proof)] * 3, 60).lines())
    assert [line for line in lines if proof in line] == [f"Proof of each: {proof}"]
    assert len(lines) == 6
    lines = list(lay_out(IMPORTANT, [key(proof=proof), key(proof="another"), key(proof=proof)], 60).lines())
    assert [line for line in lines if proof in line] == [f"Proof of all others: {proof}"]
    assert "    Proof: another" in lines
    lines = list(lay_out(IMPORTANT, [key(proof=proof), key(), key(proof=proof)], 60).lines())
    assert lines.count(f"    Proof: {proof}") == 2


FILES = (Column("File", lambda row: say(row["file"]), heading=True), *COLUMNS[:2])


def test_files_are_headings_where_that_saves_room() -> None:
    rows = [row(name) | {"file": file} for name, file in (("one", "a.dmp"), ("two", "b.dmp"), ("three", "a.dmp"))]
    assert [line.split() for line in lay_out(FILES, rows, 30).lines()][2:] == [
        ["a.dmp", "one", "5"],
        ["b.dmp", "two", "5"],
        ["a.dmp", "three", "5"],
    ]
    narrow = [line.split() for line in lay_out(FILES, rows, 15).lines()]
    assert narrow[0] == ["Name", "Size"]
    assert narrow[2:] == [["a.dmp"], ["one", "5"], ["three", "5"], ["b.dmp"], ["two", "5"]]
    assert next(iter(lay_out(FILES, rows, None).lines())).split() == ["File", "Name", "Size"]


@given(st.text(alphabet="abc .-日", min_size=1, max_size=300), st.integers(4, 60))
def test_nothing_is_folded_for_one_or_two_characters(text: str, width: int) -> None:
    lines = fold(say(text), width)
    assert all(cell_len(line.plain) <= width for line in lines)
    assert "".join(line.plain for line in lines).replace(" ", "") == text.replace(" ", "")
    if len(lines) > 1 and width > 6:
        assert len(lines[-1].plain) > 2


def test_text_is_folded_where_it_can_be_read_on() -> None:
    assert [line.plain for line in fold(say("orders-api.contoso.example"), 24)] == ["orders-api.contoso.", "example"]
    assert [line.plain for line in fold(say("x = d mod (p-1), y"), 14)] == ["x = d mod", "(p-1), y"]
    assert [line.plain for line in fold(say("a" * 20), 18)] == ["a" * 17, "aaa"]
