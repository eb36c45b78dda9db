"""A new file: whole or not at all, private, never over another."""

from __future__ import annotations

import errno
import os
import stat
from typing import TYPE_CHECKING

import pytest

from dumpscan.exceptions import ExportError
from dumpscan.files import PRIVATE, new_file, whole_file, write_whole

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager
    from pathlib import Path


def names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


def write(path: Path, meanwhile: Callable[[], object]) -> None:
    """Write a file, and let something happen in the middle of that."""
    with new_file(path) as stream:
        stream.write("ours")
        meanwhile()


def test_is_written_whole_and_for_its_owner(tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    with new_file(path) as stream:
        stream.write("ü\n")
        assert not path.exists()
    assert path.read_bytes() == "ü\n".encode()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert names(tmp_path) == ["report.html"]


def test_an_error_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError):
        write(tmp_path / "a", lambda: 1 // 0)
    assert names(tmp_path) == []


@pytest.mark.parametrize("kind", ["file", "dangling link", "directory"])
def test_is_never_written_over_another(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "a"
    if kind == "file":
        path.write_text("old")
    elif kind == "directory":
        path.mkdir()
    else:
        path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ExportError, match="is there already"), new_file(path):
        pytest.fail("the block must not begin")
    assert names(tmp_path) == ["a"]


def test_one_that_comes_meanwhile_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "a"
    with pytest.raises(ExportError, match="is there already"):
        write(path, lambda: path.write_text("theirs"))
    assert path.read_text() == "theirs"
    assert names(tmp_path) == ["a"]


def test_force_replaces_a_file_and_a_link_but_no_directory(tmp_path: Path) -> None:
    target, path = tmp_path / "target", tmp_path / "a"
    target.write_text("old")
    path.symlink_to(target)
    with new_file(path, force=True) as stream:
        stream.write("new")
    assert (path.read_text(), target.read_text(), path.is_symlink()) == ("new", "old", False)
    (tmp_path / "d").mkdir()
    with pytest.raises(ExportError, match="is a directory"), new_file(tmp_path / "d", force=True):
        pytest.fail("the block must not begin")


def test_without_hard_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_arguments: object, **_options: object) -> None:
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(os, "link", refuse)
    with new_file(tmp_path / "a") as stream:
        stream.write("x")
    assert (tmp_path / "a").read_text() == "x"
    assert names(tmp_path) == ["a"]


@pytest.mark.parametrize("write_to", [new_file, whole_file])
@pytest.mark.parametrize(
    ("name", "problem"),
    [("a" * 300, "File name too long"), ("a\0b", "embedded null"), ("d/" * 3000, "File name too long")],
)
def test_an_impossible_name_is_refused_before_any_work(
    tmp_path: Path, write_to: Callable[[Path], AbstractContextManager[object]], name: str, problem: str
) -> None:
    with pytest.raises(ExportError, match=problem), write_to(tmp_path / name):
        pytest.fail("the block must not begin")
    assert names(tmp_path) == []


@pytest.mark.parametrize("write_to", [new_file, whole_file])
def test_a_name_that_is_just_short_enough(
    tmp_path: Path, write_to: Callable[[Path], AbstractContextManager[object]]
) -> None:
    with write_to(tmp_path / ("a" * 255)):
        pass
    assert names(tmp_path) == ["a" * 255]


def test_a_mistake_in_the_block_is_no_refusal_of_the_name(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="x"):
        write(tmp_path / "a", lambda: int("x"))
    with pytest.raises(UnicodeEncodeError), new_file(tmp_path / "a") as stream:
        stream.write("\ud800")
    assert names(tmp_path) == []


@pytest.mark.parametrize("mask", [0, 0o077, 0o377])
def test_a_private_file_is_its_owners_under_any_mask(tmp_path: Path, mask: int) -> None:
    before = os.umask(mask)
    try:
        with new_file(tmp_path / "a"), whole_file(tmp_path / "b", mode=PRIVATE):
            pass
        write_whole(tmp_path / "c", b"")
    finally:
        os.umask(before)
    assert {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()} == {0o600}


def test_a_directory_that_cannot_be_listed_can_be_written_to(tmp_path: Path) -> None:
    box = tmp_path / "box"
    box.mkdir(mode=0o300)
    write_whole(box / "a", b"x")
    assert (box / "a").read_bytes() == b"x"
    box.chmod(0o700)


def test_no_directory(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="cannot be written"), new_file(tmp_path / "none" / "a"):
        pytest.fail("the block must not begin")


def test_a_full_disk_is_told(tmp_path: Path) -> None:
    def fill() -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(ExportError, match="No space left"):
        write(tmp_path / "a", fill)
    assert names(tmp_path) == []
