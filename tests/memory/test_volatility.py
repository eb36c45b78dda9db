from __future__ import annotations

import logging
import subprocess
import sys
import warnings
from typing import TYPE_CHECKING

import pytest

from dumpscan.exceptions import DumpscanError
from dumpscan.memory import volatility

if TYPE_CHECKING:
    from pathlib import Path


def test_warnings_are_heard_once_and_go_nowhere_else(caplog: pytest.LogCaptureFixture) -> None:
    heard: list[str] = []
    logger = logging.getLogger("volatility3.some.module")
    with volatility.listening(heard):
        logger.info("of no interest")
        logger.warning("something %s\nodd", "very")
        logger.warning("something very odd")
        warnings.warn("the future", FutureWarning, stacklevel=1)
        warnings.warn("deprecated", DeprecationWarning, stacklevel=1)
    assert heard == ["volatility3: something very odd", "volatility3: the future"]
    assert caplog.records == []
    assert logging.getLogger("volatility3").propagate


def test_listeners_do_not_hear_one_another() -> None:
    outer: list[str] = []
    inner: list[str] = []
    logger = logging.getLogger("volatility3")
    with volatility.listening(outer):
        logger.warning("one")
        with volatility.listening(inner):
            logger.warning("two")
        logger.warning("three")
    assert outer == ["volatility3: one", "volatility3: three"]
    assert inner == ["volatility3: two"]


LOAD = """
import os, sys
from pathlib import Path
from dumpscan.memory import volatility
before = dict(os.environ)
volatility.load(Path(sys.argv[1]))
assert dict(os.environ) == before
constants = volatility.module("framework.constants")
assert constants.OFFLINE
print(constants.CACHE_PATH)
"""


def test_its_cache_lies_in_ours_and_it_stays_offline(tmp_path: Path) -> None:
    home = tmp_path / "home"
    done = subprocess.run(
        [sys.executable, "-W", "error::UserWarning", "-c", LOAD, tmp_path / "cache"],
        env={"HOME": str(home), "PATH": "", "PYTHONPATH": ":".join(sys.path)},
        capture_output=True,
        check=True,
        text=True,
    )
    assert done.stdout.strip() == str(tmp_path / "cache" / "volatility3")
    assert done.stderr == ""
    assert not home.exists()


def test_a_cache_that_cannot_be_made_is_no_obstacle(tmp_path: Path) -> None:
    in_the_way = tmp_path / "file"
    in_the_way.write_text("no directory")
    done = subprocess.run(
        [sys.executable, "-c", LOAD, in_the_way / "cache"],
        env={"HOME": str(tmp_path), "PATH": "", "PYTHONPATH": ":".join(sys.path)},
        capture_output=True,
        check=True,
        text=True,
    )
    assert str(in_the_way) not in done.stdout
    assert done.stderr == ""


def test_without_it_the_message_says_what_is_missing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delitem(sys.modules, "volatility3.framework", raising=False)

    def fail(name: str) -> None:
        raise ImportError(f"No module named {name!r}")

    monkeypatch.setattr(volatility.importlib, "import_module", fail)
    with pytest.raises(DumpscanError, match="volatility3 cannot be loaded, which reads kernel images"):
        volatility.load(tmp_path)


def test_the_plugins_lie_where_they_can_be_named() -> None:
    directory = volatility.plugins_directory()
    assert (directory / "dumpscan" / "x509.py").is_file()


def test_only_layers_that_read_files_are_loaded() -> None:
    volatility.load()
    volatility.load_layers()
    assert "volatility3.framework.layers.lime" in sys.modules
