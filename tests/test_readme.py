"""Every command in the README is run as it stands there."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"^```\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
LINES = [line.split("#")[0].strip() for block in BLOCKS for line in block.splitlines()]
COMMANDS = [line for line in LINES if line.startswith("dumpscan ")]
TARGETS = sorted(set(re.findall(r"\bmake ([a-z]+)", README)))


def test_the_readme_opens_with_the_two_commands() -> None:
    assert LINES[:2] == ["make demo", "make test"]


@pytest.mark.parametrize("target", TARGETS)
def test_make_has_the_targets(target: str) -> None:
    if not shutil.which("make"):
        pytest.skip("no make on this machine")
    done = subprocess.run(["make", "-n", target], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("command", COMMANDS)
def test_the_commands_work(command: str, tmp_path: Path) -> None:
    (tmp_path / "sample_dumps").symlink_to(ROOT / "sample_dumps")
    line = command.replace("dumpscan", f"{shlex.quote(sys.executable)} -m dumpscan", 1)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        ["bash", "-c", line], cwd=tmp_path, capture_output=True, text=True, check=False, env=environment
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout
