"""What becomes of errors that no command catches."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from dumpscan.cli import app as command_line

if TYPE_CHECKING:
    from collections.abc import Callable


def ends(monkeypatch: pytest.MonkeyPatch, error: Callable[[], BaseException]) -> object:
    """Run a command that ends so, and return the exit code."""

    def fail(**_: object) -> None:
        raise error()

    monkeypatch.setattr(command_line.app, "main", fail)
    with pytest.raises(SystemExit) as end:
        command_line.run()
    return end.value.code


def test_a_lack_of_memory_ends_in_one_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert ends(monkeypatch, MemoryError) == 1
    assert capsys.readouterr().err == "dumpscan: error: there is not enough memory for this\n"


def test_an_interrupt_while_classes_are_made(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Until Python 3.12, what is raised in `__set_name__` is the cause of a RuntimeError."""

    def error() -> RuntimeError:
        made = RuntimeError("Error calling __set_name__")
        made.__cause__ = KeyboardInterrupt()
        return made

    assert ends(monkeypatch, error) == 130
    assert capsys.readouterr().err == "dumpscan: error: interrupted\n"
