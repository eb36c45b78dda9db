"""One command over its inputs: what becomes of those that cannot be read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dumpscan.cli.messages import EXIT_UNREADABLE
from dumpscan.cli.run import Run
from dumpscan.memory.open import OpenOptions
from dumpscan.output.formats.render import View
from support.corpus import SAMPLES

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


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
