"""Every command in the README is run as it stands there."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from support.corpus import ROOT

README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"^```\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
LINES = [line.split("#")[0].strip() for block in BLOCKS for line in block.splitlines()]
COMMANDS = [line for line in LINES if line.startswith(("dumpscan ", "vol "))]
TARGETS = sorted(set(re.findall(r"\bmake ([a-z]+)", README)))


def test_the_readme_opens_with_the_two_commands() -> None:
    assert LINES[:2] == ["make demo", "make test"]


@pytest.mark.parametrize("target", TARGETS)
def test_make_has_the_targets(target: str) -> None:
    if not shutil.which("make"):
        pytest.skip("no make on this machine")
    done = subprocess.run(["make", "-n", target], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory in which the commands run one after another: later ones use what earlier ones made."""
    directory = tmp_path_factory.mktemp("readme")
    for name in ("sample_dumps", "plugins"):
        (directory / name).symlink_to(ROOT / name)
    return directory


def test_the_commands_work(place: Path) -> None:
    programs = Path(sys.executable).parent
    environment = {
        **os.environ,
        "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
        "XDG_CACHE_HOME": str(place / "cache"),
        "XDG_DATA_HOME": str(place / "data"),
    }
    assert len(COMMANDS) > 10
    for command in COMMANDS:
        done = subprocess.run(
            ["bash", "-c", command], cwd=place, capture_output=True, text=True, check=False, env=environment
        )
        assert done.returncode == 0, (command, done.stderr)
        assert done.stdout or "note: no " in done.stderr, command
        assert "Traceback" not in done.stderr, command
