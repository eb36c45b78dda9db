"""Files are written whole or not at all."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from dumpscan.exceptions import ExportError
from dumpscan.files import whole_file

if TYPE_CHECKING:
    from pathlib import Path


def test_file_appears_when_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "new" / "file.dmp"
    with whole_file(path) as file:
        file.write(b"content")
        assert not path.exists()
    assert path.read_bytes() == b"content"
    assert os.listdir(path.parent) == ["file.dmp"]  # noqa: PTH208 -- hidden files too


def test_older_file_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"older and longer")
    with whole_file(path) as file:
        file.write(b"new")
    assert path.read_bytes() == b"new"


def test_mode_is_that_of_any_new_file(tmp_path: Path) -> None:
    ordinary = tmp_path / "ordinary"
    ordinary.touch()
    with whole_file(tmp_path / "file"):
        pass
    assert (tmp_path / "file").stat().st_mode == ordinary.stat().st_mode


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_nothing_is_left_after_an_error(tmp_path: Path, error: type[BaseException]) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")

    def write_half() -> None:
        with whole_file(path) as file:
            file.write(b"half")
            raise error

    with pytest.raises(error):
        write_half()
    assert path.read_bytes() == b"old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]


def test_full_disk_is_an_export_error(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="file: cannot be written: No space left"), whole_file(tmp_path / "file"):
        raise OSError(28, "No space left on device")
    assert not list(tmp_path.iterdir())


def test_directory_in_the_way(tmp_path: Path) -> None:
    (tmp_path / "taken").mkdir()
    with pytest.raises(ExportError, match="taken"), whole_file(tmp_path / "taken") as file:
        file.write(b"x")
    (tmp_path / "plain").touch()
    with pytest.raises(ExportError, match="cannot be written"), whole_file(tmp_path / "plain" / "file"):
        pass
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["plain", "taken"]
