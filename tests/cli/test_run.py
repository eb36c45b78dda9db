"""One command over its inputs: what becomes of those that cannot be read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click
import pytest

from dumpscan.artifacts.registry import KEYS
from dumpscan.case.triage import run as triage_run
from dumpscan.cli import app as command_line
from dumpscan.cli import triage as triage_command
from dumpscan.cli.messages import EXIT_UNREADABLE
from dumpscan.cli.run import Run
from dumpscan.memory.formats import OpenOptions
from dumpscan.output.formats.render import View
from support.corpus import SAMPLES

if TYPE_CHECKING:
    from pathlib import Path


SAMPLE = SAMPLES / "webserver.dmp"


def test_an_input_that_takes_too_much_memory_is_reported_and_skipped(capsys: pytest.CaptureFixture[str]) -> None:
    worked: list[str] = []

    def work(number: int, path: Path, _dump: Any) -> None:  # noqa: ANN401 - any dump
        if number == 0:
            raise MemoryError
        worked.append(path.name)

    run = Run("info", View.INFO, "table", quiet=False, progress=False)
    run.over([(SAMPLE, True), (SAMPLE, True)], None, OpenOptions(), work)
    assert worked == [SAMPLE.name]
    assert run.finish() == EXIT_UNREADABLE
    assert f"{SAMPLE}: reading it takes more memory than there is" in capsys.readouterr().err


def test_an_interrupt_says_what_was_done_and_how_to_go_on() -> None:
    run = Run("keys", View.SECRETS, "table", quiet=True, progress=True)

    def work(number: int, _path: Path, dump: Any) -> None:  # noqa: ANN401 - any dump
        bar = run.searching(dump, KEYS)
        assert bar.percent == 0
        if number == 2:
            bar.advance(dump.searchable_bytes)  # one of four passes
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt) as caught:
        run.over([(SAMPLE, True)] * 3, None, OpenOptions(), work)
    message = str(caught.value)
    passes = 100 // int(message.split(" %", maxsplit=1)[0].rsplit(maxsplit=1)[-1])
    assert passes in {2, 3, 4}
    assert f"% of {SAMPLE}, after 2 other files; nothing was written" in message
    assert "`dumpscan triage`" in message


def test_an_interrupted_triage_says_how_many_files_are_in_the_case(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_arguments: object, progress: Any, **_options: object) -> None:  # noqa: ANN401 - a function
        progress(triage_run.TriageProgress(files=44, files_done=12, bytes=100, bytes_done=10))
        raise KeyboardInterrupt

    monkeypatch.setattr(triage_run, "triage", interrupted)
    case = tmp_path / "case.db"
    with pytest.raises(click.Abort) as caught:
        triage_command.triage.main([str(SAMPLE), "-c", str(case)], standalone_mode=False)
    message = str(caught.value.__cause__)
    assert message == f"interrupted: 12 of 44 files are in {case}; run the same command again to read the others"


@pytest.mark.parametrize("text", ["interrupted at 5 % of a.dmp", ""])
def test_an_interrupt_ends_with_130_and_its_text(
    text: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(**_options: object) -> None:
        raise click.Abort from KeyboardInterrupt(text)

    monkeypatch.setattr(command_line.app, "main", interrupted)
    with pytest.raises(SystemExit) as caught:
        command_line.run()
    assert caught.value.code == 130
    assert capsys.readouterr().err == f"dumpscan: error: {text or 'interrupted'}\n"
