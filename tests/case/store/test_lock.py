from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from dumpscan.case.records import CaseError
from dumpscan.case.store.lock import CaseLock
from dumpscan.case.store.writer import CaseWriter

if TYPE_CHECKING:
    from pathlib import Path

HOLD = """
import sys
from dumpscan.case.store.writer import CaseWriter
writer = CaseWriter.open(sys.argv[1])
print("held", flush=True)
sys.stdin.read()
"""


def test_the_second_is_told_who_holds_it_and_a_dead_holder_is_forgotten(tmp_path: Path) -> None:
    path = tmp_path / "case.db"
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(CaseError, match=rf"process {holder.pid} on .*, since \d{{4}}-"):
            CaseWriter.open(path)
        os.kill(holder.pid, signal.SIGKILL if hasattr(signal, "SIGKILL") else signal.SIGTERM)
        holder.wait()
    with CaseWriter.open(path) as writer:
        assert writer.known() == {}


def test_it_is_free_again_and_leaves_nothing_behind(tmp_path: Path) -> None:
    path = tmp_path / "case.db"
    first = CaseLock(path)
    with pytest.raises(CaseError, match=f"process {os.getpid()}"):
        CaseLock(path)
    first.release()
    CaseLock(path).release()
    assert os.name == "nt" or list(tmp_path.iterdir()) == []


def test_a_holder_that_says_nothing(tmp_path: Path) -> None:
    lock = CaseLock(tmp_path / "case.db")
    lock.path.write_bytes(b"\xff")
    with pytest.raises(CaseError, match="does not say"):
        CaseLock(tmp_path / "case.db")
    lock.release()


def test_a_case_that_cannot_be_opened_is_not_left_locked(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("no case")
    with pytest.raises(CaseError):
        CaseWriter.open(path)
    CaseLock(path).release()


def test_no_place_for_a_lock(tmp_path: Path) -> None:
    with pytest.raises(CaseError, match="cannot be locked"):
        CaseWriter.open(tmp_path / "nowhere" / "case.db")
