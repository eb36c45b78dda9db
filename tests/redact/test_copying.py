"""Copies of files: all bytes, and the holes of sparse ones."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from dumpscan.redact.copying import Overwritten, copy_file
from dumpscan.redact.secret import Place

if TYPE_CHECKING:
    from pathlib import Path

MIB = 1 << 20


def copied(source: Path, data: bytes, target: Path) -> Path:
    with target.open("w+b") as file:
        copy_file(source, memoryview(data), file.fileno())
    return target


@pytest.mark.parametrize("written", [[], [0], [5 * MIB], [3 * MIB, 9 * MIB, 30 * MIB - 1]])
def test_a_sparse_file_stays_one(tmp_path: Path, written: list[int]) -> None:
    source = tmp_path / "a"
    with source.open("wb") as file:
        file.truncate(30 * MIB)
        for at in written:
            file.seek(at)
            file.write(b"x")

    target = copied(source, source.read_bytes(), tmp_path / "b")

    assert target.read_bytes() == source.read_bytes()
    if source.stat().st_blocks * 512 < MIB:  # the file system has holes
        assert target.stat().st_blocks <= source.stat().st_blocks + 128 * 4


def test_zeros_that_are_written_become_holes_if_they_are_many(tmp_path: Path) -> None:
    source = tmp_path / "a"
    source.write_bytes(bytes(16 * MIB) + os.urandom(100_000))

    target = copied(source, source.read_bytes(), tmp_path / "b")

    assert target.read_bytes() == source.read_bytes()


@pytest.mark.parametrize("source", ["packed", "missing"])
def test_the_bytes_are_written_where_the_file_does_not_hold_them(tmp_path: Path, source: str) -> None:
    (tmp_path / "packed").write_bytes(b"short")

    assert copied(tmp_path / source, b"some bytes", tmp_path / "b").read_bytes() == b"some bytes"


@pytest.mark.parametrize(
    ("copy", "explained"),
    [(b"abcdefgh", True), (b"abXXefgh", True), (b"abXXeXgh", False), (b"aXcdefgh", False), (b"abcdefghi", False)],
)
def test_what_differs_is_explained_by_what_was_written_over(copy: bytes, explained: bool) -> None:  # noqa: FBT001 - a case
    overwritten = Overwritten([Place(12, 1, "raw"), Place(13, 1, "raw")])

    assert overwritten.explains(memoryview(b"0123456789abcdefgh"), copy, 10) is explained


def test_nothing_differs_where_nothing_was_written_over() -> None:
    assert Overwritten([]).explains(memoryview(b"abc"), b"abc", 0)
    assert not Overwritten([]).explains(memoryview(b"abc"), b"abd", 0)
