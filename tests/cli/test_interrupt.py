"""Ctrl-C while the command line is still being imported."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import os, signal, sys

signal.signal(signal.SIGINT, signal.default_int_handler)  # who runs the tests in the background has it ignored

class Interrupted:
    def find_spec(self, name, path=None, target=None):
        if name == {interrupted!r}:
            os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, Interrupted())
sys.argv = {arguments!r}
from dumpscan.cli import main
main()
"""
ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="no such signal there")


def run(interrupted: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    program = PROGRAM.format(interrupted=interrupted, arguments=list(arguments))
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", program]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment)


@pytest.mark.parametrize("interrupted", ["dumpscan.api", "dumpscan.search", "dumpscan.cli.app", "dumpscan.cli.triage"])
def test_it_ends_without_a_traceback_while_it_is_loaded(interrupted: str) -> None:
    done = run(interrupted, "/usr/bin/dumpscan", "--version")
    assert (done.returncode, done.stdout, done.stderr) == (-signal.SIGINT, "", "")


def test_a_command_says_that_it_was_interrupted_while_it_is_loaded(tmp_path: Path) -> None:
    done = run("dumpscan.case.gate", "/usr/bin/dumpscan", "triage", str(tmp_path), "-c", str(tmp_path / "a.case"))
    assert done.returncode == 130
    assert "Traceback" not in done.stderr
    assert done.stderr.endswith("interrupted\n")


def test_other_programs_get_the_interrupt() -> None:
    assert "KeyboardInterrupt" in run("dumpscan.api", "/usr/bin/other").stderr
