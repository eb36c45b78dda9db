"""What the operating system can refuse before a command begins: streams that are closed, names that no file has."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from support.corpus import SAMPLES

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="closes descriptors as a POSIX shell does")
SAMPLE = SAMPLES / "webserver.dmp"


def run(*arguments: object, closed: int | None = None) -> subprocess.CompletedProcess[str]:
    """Run a command with one of its streams closed, as `>&-` of a shell does."""
    return subprocess.run(
        [sys.executable, "-m", "dumpscan", *map(str, arguments)],
        stdout=None if closed == 1 else subprocess.PIPE,
        stderr=None if closed == 2 else subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        text=True,
        check=False,
        preexec_fn=(lambda: os.close(closed)) if closed is not None else None,
    )


@pytest.mark.parametrize("command", [("info",), ("info", "--format", "json"), ("scan",), ("--version",)])
def test_a_closed_standard_output_is_told(command: tuple[str, ...]) -> None:
    done = run(*command, SAMPLE, closed=1)
    assert (done.returncode, done.stderr) == (
        1,
        "dumpscan: error: cannot write the results: Bad file descriptor\n",
    )


def test_what_is_exported_is_exported_though_standard_output_is_closed(tmp_path: Path) -> None:
    done = run("scan", SAMPLE, "-o", tmp_path / "out", closed=1)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert (
        len((tmp_path / "out" / "manifest.jsonl").read_text().splitlines())
        == len(list((tmp_path / "out").iterdir())) - 1
    )


def test_a_closed_standard_error_stops_nothing() -> None:
    done = run("info", SAMPLE, closed=2)
    assert done.returncode == 0
    assert "w3wp.exe" in done.stdout


@pytest.mark.parametrize("command", [("info",), ("scan",), ("minidump", "info")])
def test_a_name_that_is_too_long_is_the_cause_that_is_told(command: tuple[str, ...]) -> None:
    name = "n" * 300
    done = run(*command, name)
    assert (done.returncode, done.stderr) == (1, f"dumpscan: error: {name}: cannot be opened: File name too long\n")
