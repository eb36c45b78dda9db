"""Environments that are found by their shape, wherever a program has moved or copied them."""

from __future__ import annotations

import pytest

from dumpscan.redact.shapes.environments import find_environments

ENTRIES = ["LICENCE=a1-b2-c3", "PATH=/bin:/usr/bin", "EMPTY=", "DB_PASSWORD=pw with spaces", "HOME=/root"]


def block(entries: list[str], encoding: str) -> bytes:
    return "".join(f"{entry}\0" for entry in entries).encode(encoding)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16-le"])
@pytest.mark.parametrize("before", [b"\0\0\0\0", b"\1\2\3\4\0\0", b""])
def test_all_entries_of_a_row_are_found(encoding: str, before: bytes) -> None:
    data = memoryview(b"\xff" * 100 + b"\0\0" + before + block(ENTRIES, encoding) + b"\0\0" + b"\xff" * 100)

    assert sorted(find_environments(data)) == sorted(ENTRIES)


def test_long_values_and_names_in_another_case() -> None:
    entries = ["A=" + "x" * 30_000, "Path=C:\\", "B=1", "systemroot=C:\\Windows", "C=2"]
    data = memoryview(b"\0\0" + block(entries, "utf-16-le") + b"\0\0")

    assert sorted(find_environments(data)) == sorted(entries)


def test_texts_that_are_no_environment() -> None:
    lone = b"\0usage: set PATH=dir\0PATH=/bin\0see also\0"

    assert not list(find_environments(memoryview(b"\0" * 64 + lone + b"\0" * 64)))


def test_only_what_lies_in_spans() -> None:
    one, two = block(ENTRIES, "utf-8"), block([f"X{entry}" for entry in ENTRIES] + ["PATH=/x"], "utf-8")
    data = memoryview(b"\0" + one + b"\1" * 1000 + b"\0" + two)

    assert sorted(find_environments(data, [(0, len(one))])) == sorted(ENTRIES)
    assert set(find_environments(data)) > set(ENTRIES)


def test_an_environment_that_the_program_has_cut_off_from_its_beginning() -> None:
    data = memoryview(b"nginx: worker process" + block(ENTRIES, "utf-8") + b"/usr/sbin/nginx\0")

    assert set(ENTRIES[1:]) <= set(find_environments(data))
