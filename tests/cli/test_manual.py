"""The manual page: made from the commands, valid, and part of the package."""

from __future__ import annotations

import re
import shutil
import subprocess
import tomllib

import pytest

from dumpscan.cli.app import PROGRAM, app
from dumpscan.cli.commands import Command
from dumpscan.cli.manual import manual, walk
from support.corpus import ROOT

PAGE = ROOT / "docs" / "dumpscan.1"


def test_it_is_up_to_date() -> None:
    assert PAGE.read_text(encoding="utf-8") == manual(), "run: python -m dumpscan.cli.manual docs/dumpscan.1"


def test_the_wheel_has_it() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert settings["tool"]["setuptools"]["data-files"] == {"share/man/man1": [str(PAGE.relative_to(ROOT))]}


def test_it_has_every_command_option_and_example() -> None:
    shown = manual().replace("\\-", "-").replace("\\e", "\\")
    kinds = {"minidump", "core", "kernel"}
    for path, command in walk(app, PROGRAM):
        if isinstance(command, Command) and path.split()[1] not in kinds:
            assert path in shown
            for example in command.examples:
                assert example.line in shown
        for parameter in command.params:
            for name in (*parameter.opts, *parameter.secondary_opts):
                assert name in shown or not name.startswith("-")
    for word in ("DUMPSCAN_SYMBOLS", "FORCE_COLOR", "EXIT STATUS", "130"):
        assert word in shown


@pytest.mark.skipif(shutil.which("groff") is None, reason="groff is not installed")
def test_groff_has_nothing_to_complain_of() -> None:
    done = subprocess.run(
        ["groff", "-man", "-Tutf8", "-ww", str(PAGE)], capture_output=True, text=True, check=True, encoding="utf-8"
    )
    assert done.stderr == ""
    shown = re.sub(r".\x08", "", done.stdout).replace("\u2010", "-").replace("\u2212", "-")
    assert "dumpscan x509 lsass.dmp -o out" in shown
