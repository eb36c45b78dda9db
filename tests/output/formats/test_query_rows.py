from __future__ import annotations

import csv
import io
import json

import pytest

from dumpscan.output.formats.registry import write_rows

COLUMNS = ("name", "value")
ROWS = (("a\x1b[31m\n", 1), ("=1+1", None), ("\ud800", b"\x00\xff"), ("long" * 100, 1.5))


def written(output_format: str, rows: tuple[tuple[object, ...], ...] = ROWS) -> str:
    stream = io.StringIO()
    write_rows(stream, output_format, COLUMNS, rows)
    return stream.getvalue()


def test_json_has_everything() -> None:
    expected = [dict(zip(COLUMNS, row, strict=True)) for row in ROWS]
    expected[2]["value"] = "00ff"
    assert json.loads(written("json")) == expected
    assert [json.loads(line) for line in written("jsonl").splitlines()] == expected
    assert json.loads(written("json", ())) == []
    assert written("jsonl", ()) == ""


def test_a_spreadsheet_takes_nothing_for_a_formula() -> None:
    rows = list(csv.reader(io.StringIO(written("csv"))))
    assert rows[0] == list(COLUMNS)
    assert rows[2] == ["'=1+1", ""]
    assert len(rows) == 1 + len(ROWS)


def test_a_table_steers_no_terminal_and_stays_aligned() -> None:
    lines = written("table").splitlines()
    assert len(lines) == 1 + len(ROWS)
    assert "\x1b" not in written("table")
    assert {
        line.rindex(text)
        for number, (line, text) in enumerate(zip(lines, ("value", "1", "", "00ff", "1.5"), strict=True))
        if text
    } == {lines[0].index("value")}
    assert max(map(len, lines)) < 140


@pytest.mark.parametrize("output_format", ["table", "csv"])
def test_no_rows_leave_the_header(output_format: str) -> None:
    assert written(output_format, ()).split() in (["name", "value"], ["name,value"])


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_that_is_too_narrow_gets_a_list_for_each_row(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    stream = Terminal()
    write_rows(stream, "table", ("key_id", "subject", "none"), [("ab" * 24, "CN=日本", None), ("cd", "CN=b", None)])
    assert stream.getvalue().splitlines() == [
        "key_id   " + "ab" * 15 + "a",
        "         " + "b" + "ab" * 8,
        "subject  CN=日本",
        "",
        "key_id   cd",
        "subject  CN=b",
    ]
    monkeypatch.setenv("COLUMNS", "80")
    stream = Terminal()
    write_rows(stream, "table", ("key_id", "subject"), [("ab" * 24, "CN=a")])
    assert stream.getvalue().splitlines()[0].split() == ["key_id", "subject"]
