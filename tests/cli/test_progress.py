"""The progress display: on a terminal only, soon enough, and with nothing in it that steers the terminal."""

from __future__ import annotations

import io
import os
import pty
import re
import subprocess
import sys
import threading
from contextlib import contextmanager, redirect_stderr, suppress
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from dumpscan.cli import progress
from dumpscan.cli.progress import ProgressBar
from dumpscan.output.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

EVIL = "a\x1b]0;owned\x07\x1b[31m\u202e\u2066\ud800\r\n.dmp"
DRAWN = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
"""What rich draws with: CSI sequences of its own."""


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def wide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "200")


@contextmanager
def terminal() -> Iterator[Terminal]:
    with redirect_stderr(Terminal()) as stream:
        yield stream


def shown(screen: Terminal) -> str:
    return DRAWN.sub("", screen.getvalue())


def test_when_all_is_read_it_says_that_checks_go_on() -> None:
    with terminal() as screen, ProgressBar("a.dmp", 100, enabled=True, delay=0) as bar:
        bar.advance(99)
        assert "last checks" not in shown(screen)
        bar.advance(1)
    assert "a.dmp, last checks" in shown(screen)
    assert bar.percent == 100


def test_a_files_name_steers_no_terminal() -> None:
    with terminal() as screen, ProgressBar(EVIL, 100, enabled=True, delay=0) as bar:
        bar.advance(50)
        bar.show(EVIL, 60, 100)
    text = shown(screen)
    assert printable(EVIL) in text
    for character in ("\x1b", "\x07", "\u202e", "\u2066", "\ud800"):
        assert character not in text


def test_markup_in_a_name_is_text() -> None:
    with terminal() as screen, ProgressBar("[bold]a[/] :smile:", 100, enabled=True, delay=0):
        pass
    assert "[bold]a[/] :smile:" in shown(screen)


def test_nothing_is_written_where_there_is_no_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    with redirect_stderr(io.StringIO()) as stream, ProgressBar("a.dmp", 100, enabled=True, delay=0) as bar:
        bar.advance(50)
    assert stream.getvalue() == ""


@pytest.mark.parametrize(("enabled", "total"), [(False, 100), (True, 0)])
def test_nothing_is_written_where_none_is_wanted(total: int, *, enabled: bool) -> None:
    with terminal() as screen, ProgressBar("a.dmp", total, enabled=enabled, delay=0) as bar:
        bar.advance(50)
    assert screen.getvalue() == ""


def test_short_scans_show_none_and_long_ones_do(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr(progress, "time", SimpleNamespace(monotonic=lambda: now))
    with terminal() as screen, ProgressBar("a.dmp", 100, enabled=True) as bar:
        bar.advance(10)
        assert screen.getvalue() == ""
        now = 1.5
        bar.advance(10)
        assert "a.dmp" in shown(screen)
    assert "20%" in shown(screen)


def test_one_unit_and_the_true_size() -> None:
    with terminal() as screen, ProgressBar("a.raw", None, enabled=True, delay=0) as bar:
        bar.expect(4 << 30, passes=4)
        bar.advance(3 << 29)
    text = shown(screen)
    assert "0.4 of 1.0 GiB" in text
    assert " 38%" in text
    assert "MB" not in text


def test_it_appears_while_nothing_is_counted_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = threading.Event()
    new_bar = progress._new_bar

    def noted() -> Any:  # noqa: ANN401 - rich's
        drawn.set()
        return new_bar()

    monkeypatch.setattr(progress, "_new_bar", noted)
    with terminal() as screen, ProgressBar("a.raw", None, enabled=True, delay=0.05):
        assert drawn.wait(60)
    assert "a.raw" in shown(screen)


def test_triage_shows_one_from_its_beginning_and_results_stay_on_standard_output(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / f"{'x' * 10}\x1b]0;owned\x07.txt").write_bytes(b"no dump")
    command = [sys.executable, "-m", "dumpscan", "triage", str(tmp_path / "in"), "-c", str(tmp_path / "case.db")]
    ours, theirs = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "100"}
    drawn = b""
    with (tmp_path / "out").open("wb") as out:
        process = subprocess.Popen(command, stdout=out, stderr=theirs, env=environment)
    os.close(theirs)
    with process, suppress(OSError):  # the other end is closed; until then it is read, or the program waits for room
        while piece := os.read(ours, 65536):
            drawn += piece
    os.close(ours)
    output = (tmp_path / "out").read_bytes()
    assert process.returncode == 0
    assert b"looking for dumps" in drawn
    assert b"owned" not in drawn.replace(b"\\x1b]0;owned", b"")
    assert output.startswith(b"No private keys.")
