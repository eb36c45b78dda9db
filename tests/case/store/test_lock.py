from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from dumpscan.case.records import CaseError
from dumpscan.case.store.lock import ENDING, CaseLock
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


def test_two_names_of_one_case_exclude_each_other(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    (tmp_path / "real" / "other.db").symlink_to("case.db")
    with CaseWriter.open(tmp_path / "real" / "case.db"):
        for name in ("link/case.db", "real/other.db", "link/../real/other.db"):
            with pytest.raises(CaseError, match=f"process {os.getpid()}"):
                CaseWriter.open(tmp_path / name)


def test_what_others_call_a_lock_is_not_touched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("poetry.lock", ".poetry.lock", "poetry-lock"):
        (tmp_path / name).write_text("content-hash = 1")
    with CaseWriter.open("poetry") as writer:
        assert {str(each) for each in tmp_path.iterdir()} - writer.own_files == {
            str(tmp_path / name) for name in ("poetry.lock", ".poetry.lock", "poetry-lock")
        }
    for name in ("poetry.lock", ".poetry.lock", "poetry-lock"):
        assert (tmp_path / name).read_text() == "content-hash = 1"


@pytest.mark.parametrize("content", [b"mine", b"{}", b"[" * 100_000, b'{"purpose": "another"}', b"\xff\xfe", b"12"])
def test_a_file_that_is_not_a_lock_stays_as_it_is(tmp_path: Path, content: bytes) -> None:
    theirs = tmp_path / f"case.db{ENDING}"
    theirs.write_bytes(content)
    with pytest.raises(CaseError, match="is not a lock, and is left as it is"):
        CaseLock(tmp_path / "case.db")
    assert theirs.read_bytes() == content


@pytest.mark.parametrize("target", ["important", "absent"])
def test_a_link_is_not_followed(tmp_path: Path, target: str) -> None:
    important = tmp_path / "important"
    important.write_text("do not lose me")
    link = tmp_path / f"case.db{ENDING}"
    link.symlink_to(target)
    with pytest.raises(CaseError, match="cannot be locked"):
        CaseLock(tmp_path / "case.db")
    assert important.read_text() == "do not lose me"
    assert link.is_symlink()
    assert not (tmp_path / "absent").exists()


def test_a_lock_with_two_names_and_a_pipe(tmp_path: Path) -> None:
    important = tmp_path / "important"
    important.write_text("")
    path = tmp_path / f"case.db{ENDING}"
    path.hardlink_to(important)
    for _ in range(2):
        with pytest.raises(CaseError, match="expected a regular file with one name"):
            CaseLock(tmp_path / "case.db")
        path.unlink()
        os.mkfifo(path)


def test_a_lock_that_was_replaced_is_not_deleted(tmp_path: Path) -> None:
    lock = CaseLock(tmp_path / "case.db")
    lock.path.unlink()
    lock.path.write_text("mine")
    lock.release()
    assert lock.path.read_text() == "mine"


def test_what_a_dead_run_left_is_used_again(tmp_path: Path) -> None:
    first = CaseLock(tmp_path / "case.db")
    left = first.path.read_bytes()
    first.release()
    for content in (left, b""):  # it may have died before it wrote anything
        first.path.write_bytes(content)
        CaseLock(tmp_path / "case.db").release()
        assert not first.path.exists()


def test_no_place_for_a_lock(tmp_path: Path) -> None:
    with pytest.raises(CaseError, match="cannot be locked"):
        CaseWriter.open(tmp_path / "nowhere" / "case.db")
