"""Minidumps without their signature, and with wrong sizes in their directory."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dumpscan.exceptions import DumpscanError, InputError
from dumpscan.memory.formats import KERNEL, MINIDUMP
from dumpscan.memory.minidump.dump import Minidump
from dumpscan.memory.minidump.wiped import has_stream_directory
from dumpscan.memory.open import open_dump
from support.minidump_bytes import MinidumpBytes

if TYPE_CHECKING:
    from pathlib import Path

RANGES = ((0x1000, b"first" * 20), (0x7000, b"second" * 20))


def made(*, wide: bool = True, modules: bool = True) -> bytes:
    dump = MinidumpBytes()
    dump.system()
    if modules:
        dump.modules((0x1000, 0x1000, "C:\\a.exe"))
    (dump.memory64 if wide else dump.memory)(*RANGES)
    return dump.finish()


def write(tmp_path: Path, data: bytes) -> Path:
    path = tmp_path / "made.dmp"
    path.write_bytes(data)
    return path


def wiped(data: bytes, head: bytes = b"\x1f\x2a\x9c\x77\x34\x12\x88\x99") -> bytes:
    return head + data[len(head) :]


@pytest.mark.parametrize("head", [b"\x1f\x2a\x9c\x77\x34\x12\x88\x99", bytes(8), bytes(4), b"MDMP\0\0", b"PMDM"])
@pytest.mark.parametrize("wide", [True, False])
def test_read_by_the_stream_directory(tmp_path: Path, head: bytes, *, wide: bool) -> None:
    path = write(tmp_path, wiped(made(wide=wide), head))
    for kind in (None, MINIDUMP):
        with open_dump(path, kind=kind) as dump:
            assert isinstance(dump, Minidump)
            assert dump.read(0x7000, 6) == b"second"
            assert len(dump.warnings) == 1
            assert "signature MDMP and its version: they were overwritten" in dump.warnings[0]
            assert dump.damage == ()
    with pytest.raises(InputError, match="is a minidump"):
        open_dump(path, kind=KERNEL)


def _entries(data: bytes) -> list[tuple[int, int, int]]:
    (count,) = struct.unpack_from("<I", data, 8)
    return [struct.unpack_from("<III", data, 32 + 12 * number) for number in range(count)]


@pytest.mark.parametrize(
    "change",
    [
        lambda entries: [(0x1234, 16, 500), *entries[1:]],
        lambda entries: entries[:-1],
        lambda entries: entries[1:],
        lambda entries: [entries[0], entries[0], *entries[2:]],
        lambda entries: [*entries[:-1], (9, 1 << 30, entries[-1][2])],
        lambda entries: [*entries[:-1], (9, 16, 8)],
        lambda entries: entries[:1],
    ],
    ids=["unknown", "no-memory", "no-system", "twice", "past-end", "in-header", "one"],
)
def test_what_does_not_look_like_a_directory_is_refused(tmp_path: Path, change: object) -> None:
    data = wiped(made())
    assert has_stream_directory(memoryview(data))
    entries = change(_entries(data))  # type: ignore[operator]
    changed = bytearray(data)
    struct.pack_into("<I", changed, 8, len(entries))
    for number, entry in enumerate(entries):
        struct.pack_into("<III", changed, 32 + 12 * number, *entry)
    assert not has_stream_directory(memoryview(changed))
    with pytest.raises(DumpscanError):
        open_dump(write(tmp_path, bytes(changed)), kind=MINIDUMP)


@given(st.binary(max_size=400))
def test_noise_has_no_stream_directory(data: bytes) -> None:
    assert not has_stream_directory(memoryview(data))
    assert not has_stream_directory(memoryview(struct.pack("<QIII", 0, 3, 32, 0) + data))


def _with_size(data: bytes, size: int, *, count: int | None = None) -> bytes:
    """Change what the directory says of the memory list's size, and perhaps the list's own count."""
    changed = bytearray(data)
    number, (kind, _, rva) = next((n, entry) for n, entry in enumerate(_entries(data)) if entry[0] in (5, 9))
    struct.pack_into("<III", changed, 32 + 12 * number, kind, size, rva)
    if count is not None:
        struct.pack_into("<Q" if kind == 9 else "<I", changed, rva, count)
    return bytes(changed)


@pytest.mark.parametrize("wide", [True, False])
@pytest.mark.parametrize("size", [0, 4, 16, 20, 32])
def test_too_small_a_size_of_a_memory_list(tmp_path: Path, size: int, *, wide: bool) -> None:
    with Minidump(write(tmp_path, _with_size(made(wide=wide), size))) as dump:
        for start, data in RANGES:
            assert dump.read(start, len(data)) == data
        assert f"the directory gives it {size} bytes; its own count of ranges, which needs " in dump.warnings[0]
        assert dump.damage == ()


def test_of_a_dump_cut_off(tmp_path: Path) -> None:
    with Minidump(write(tmp_path, _with_size(made(), 0)[:-10])) as dump:
        assert dump.read(0x7000, 200) == (b"second" * 20)[:-10]
        assert "past the end of the file" in dump.damage[0]


@pytest.mark.parametrize("count", [3, 1000, 1 << 20, (1 << 20) + 1, (1 << 64) - 1])
@pytest.mark.parametrize("size", [48, 0])
def test_a_count_that_makes_no_sense_is_not_believed(tmp_path: Path, count: int, size: int) -> None:
    with Minidump(write(tmp_path, _with_size(made(), size, count=count))) as dump:
        assert dump.warnings == ()
        assert dump.read(0x1000, 5) == (b"first" if size else b"")
