"""What a stream can show."""

from __future__ import annotations

import io

import pytest

from dumpscan.output.terminal import fitted, takes_colours, terminal_width, write_lines


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_pipe_has_no_width(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "70")
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert terminal_width(io.StringIO()) is None
    assert terminal_width(Terminal()) == 70


@pytest.mark.parametrize(
    ("environment", "terminal", "pipe"),
    [
        ({}, True, False),
        ({"NO_COLOR": "1"}, False, False),
        ({"NO_COLOR": ""}, True, False),
        ({"TERM": "dumb"}, False, False),
        ({"CLICOLOR": "0"}, False, False),
        ({"CLICOLOR_FORCE": "1"}, True, True),
        ({"FORCE_COLOR": "3"}, True, True),
        ({"FORCE_COLOR": "1", "NO_COLOR": "1"}, False, False),
    ],
)
def test_colours(environment: dict[str, str], monkeypatch: pytest.MonkeyPatch, *, terminal: bool, pipe: bool) -> None:
    for name in ("NO_COLOR", "TERM", "CLICOLOR", "CLICOLOR_FORCE", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert takes_colours(Terminal()) == terminal
    assert takes_colours(io.StringIO()) == pipe


def test_parts_of_a_line_are_kept_whole() -> None:
    line = "  RSA 2048  CN=shop.contoso.example  until 2050-02-01  lsass.exe 788  /cases/a.dmp"
    assert fitted(line, None) == fitted(line, 200) == [line]
    assert fitted(line, 45) == [
        "  RSA 2048  CN=shop.contoso.example",
        "      until 2050-02-01  lsass.exe 788",
        "      /cases/a.dmp",
    ]
    assert fitted("x" * 50, 10) == ["x" * 50]
    assert fitted("  /a/b-c.dmp:  is cut short in its header", 20) == [
        "  /a/b-c.dmp:",
        "      is cut short",
        "      in its header",
    ]


def test_lines_fit_a_terminal_and_are_whole_in_a_pipe(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "12")
    for stream, written in ((Terminal(), "  one  two\n      three\n"), (io.StringIO(), "  one  two  three\n")):
        write_lines(stream, ["  one  two  three"])
        assert stream.getvalue() == written
