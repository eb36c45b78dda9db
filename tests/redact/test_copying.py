"""Copies of files: all bytes, and the holes of sparse ones."""

from __future__ import annotations

import os
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest

from dumpscan.redact.copying import Overwritten, common_holes, copy_file, read_chunks
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


@pytest.mark.parametrize("written", [[], [0], [7 * MIB], [3 * MIB, 9 * MIB, 30 * MIB - 1]])
def test_only_what_is_a_hole_in_both_files_is_not_read(tmp_path: Path, written: list[int]) -> None:
    first, second = tmp_path / "a", tmp_path / "b"
    for path, places in ((first, written), (second, [at + 2 * MIB for at in written[:1]])):
        with path.open("wb") as file:
            file.truncate(32 * MIB)
            for at in places:
                file.seek(at)
                file.write(b"x")

    with second.open("rb") as file:
        holes = list(common_holes(first, 32 * MIB, file.fileno()))
        read = {offset + at for offset, chunk in read_chunks(file.fileno(), holes) for at in range(0, len(chunk), 512)}

    assert all(end <= begin for (_, end), (begin, _) in pairwise(holes))
    for path in (first, second):
        data = path.read_bytes()
        assert not any(any(data[begin:end]) for begin, end in holes)
    assert read == {at for at in range(0, 32 * MIB, 512) if not any(begin <= at < end for begin, end in holes)}
    if first.stat().st_blocks * 512 < MIB:  # the file system has holes
        assert sum(end - begin for begin, end in holes) > 31 * MIB


def test_files_of_different_sizes_have_no_holes_in_common(tmp_path: Path) -> None:
    first, second = tmp_path / "a", tmp_path / "b"
    first.write_bytes(b"")
    os.truncate(first, MIB)
    second.write_bytes(b"")
    os.truncate(second, 2 * MIB)

    with second.open("rb") as file:
        assert not list(common_holes(first, 2 * MIB, file.fileno()))
        assert not list(common_holes(tmp_path / "missing", 2 * MIB, file.fileno()))
        assert sum(len(chunk) for _, chunk in read_chunks(file.fileno())) == 2 * MIB
