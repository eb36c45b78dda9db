"""Temporary directories, and what becomes of those that dead processes left."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from dumpscan.memory.packed.scratch import ScratchDirectory, remove_abandoned

if TYPE_CHECKING:
    from pathlib import Path

HOLD = """
import sys
from dumpscan.memory.packed.scratch import ScratchDirectory
directory = ScratchDirectory(sys.argv[1])
(directory.path / "dump").write_bytes(b"x")
print(directory.name, flush=True)
sys.stdin.read()
"""


def test_it_is_private_and_removed_with_all_that_is_in_it(tmp_path: Path) -> None:
    with ScratchDirectory(tmp_path) as directory:
        assert directory.path.parent == tmp_path
        assert stat.S_IMODE(directory.path.stat().st_mode) == 0o700 or os.name == "nt"
        (directory.path / "below").mkdir()
        (directory.path / "below" / "dump").write_bytes(b"x")
    assert list(tmp_path.iterdir()) == []


def test_it_is_removed_when_nobody_uses_it_any_more(tmp_path: Path) -> None:
    directory = ScratchDirectory(tmp_path)
    assert directory.path.is_dir()
    del directory
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(os.name == "nt", reason="Windows cannot lock directories")
def test_that_of_a_killed_process_is_removed_and_that_of_a_living_one_is_not(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        name = holder.stdout.readline().strip()
        remove_abandoned(tmp_path)
        assert [str(each) for each in tmp_path.iterdir()] == [name]
        holder.send_signal(signal.SIGKILL)
    assert [str(each) for each in tmp_path.iterdir()] == [name]
    remove_abandoned(tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(os.name == "nt", reason="Windows cannot lock directories")
def test_the_first_in_a_directory_removes_what_was_left(tmp_path: Path) -> None:
    left = tmp_path / "dumpscan-1-abcd_123"
    left.mkdir()
    with ScratchDirectory(tmp_path):
        assert not left.exists()


def test_what_is_not_ours_stays(tmp_path: Path) -> None:
    for name in ("dumpscan-results", "dumpscan-1-report", "dumpscan-x-abcdefgh", "mydumpscan-1-abcdefgh", "a"):
        (tmp_path / name).mkdir()
    (tmp_path / "dumpscan-2-abcdefgh").write_text("a file")
    (tmp_path / "dumpscan-3-abcdefgh").symlink_to("dumpscan-results")
    before = sorted(tmp_path.iterdir())
    remove_abandoned(tmp_path)
    assert sorted(tmp_path.iterdir()) == before
    remove_abandoned(tmp_path / "absent")


def test_a_directory_that_cannot_be_made(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        ScratchDirectory(tmp_path / "absent")
