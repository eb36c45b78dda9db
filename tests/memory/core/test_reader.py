"""Process cores of every class and order, whole, damaged and hostile; made by hand."""

from __future__ import annotations

import os
import struct
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dumpscan.exceptions import InputError
from dumpscan.memory.core.dump import Core
from dumpscan.memory.formats import CORE, KERNEL, MINIDUMP, NoDumpError
from dumpscan.memory.open import open_dump
from support.core_bytes import PROGRAM, CoreBytes, sample_core

if TYPE_CHECKING:
    from pathlib import Path

KINDS = [(8, "<", 62, "x64"), (8, "<", 183, "arm64"), (4, "<", 3, "x86"), (4, "<", 40, "arm"), (8, ">", 22, "s390x")]
HEAP = 0x80_0000


def write(directory: Path, data: bytes) -> Path:
    path = directory / "core.1234"
    path.write_bytes(data)
    return path


@pytest.mark.parametrize(("word", "order", "machine", "name"), KINDS, ids=str)
def test_every_class_and_order(tmp_path: Path, word: int, order: str, machine: int, name: str) -> None:
    with Core(write(tmp_path, sample_core(CoreBytes(word, order, machine)))) as core:
        process = core.process
        assert (process.pid, process.parent_pid, process.name) == (1234, 1, "served")
        assert (process.executable, process.architecture) == (PROGRAM, name)
        assert process.command_line == f"{PROGRAM} --listen 443"
        assert process.environment == ("PATH=/usr/bin", "TOKEN=abc")
        assert core.pointer_size == word
        assert [thread.id for thread in core.notes.threads] == [1234, 1235]
        assert (core.notes.signal, core.notes.signal_code, core.notes.signal_address) == (11, 1, 0xDEAD)
        assert core.read(HEAP, 4) == b"heap"
        assert core.damage == ()
        described = core.describe()
        assert described["byte_order"] == ("little-endian" if order == "<" else "big-endian")


def test_the_registers_of_a_thread(tmp_path: Path) -> None:
    registers = list(range(100, 127))
    data = CoreBytes().process(1, "a").thread(1, registers).memory(HEAP, b"x").finish()
    with Core(write(tmp_path, data)) as core:
        (thread,) = core.notes.threads
        assert (thread.pc, thread.sp) == (116, 119)  # rip and rsp of user_regs_struct


def test_what_was_not_dumped_is_missing_and_never_zero(tmp_path: Path) -> None:
    with Core(write(tmp_path, sample_core())) as core:
        assert core.read(0x40_0000, 100) == bytes(16)
        assert core.read(0x60_0000, 100) == b""
        assert core.mapped_bytes - core.searchable_bytes == 0x2000 - 16 + 0x1000
        assert "not in the core" in core.warnings[0]
        assert core.damage == ()


def test_whose_an_address_is(tmp_path: Path) -> None:
    with Core(write(tmp_path, sample_core())) as core:
        assert core.module_at(0x40_1000) == "served"
        assert core.module_at(0x60_0000) == "libgone.so"
        assert core.module_at(HEAP) is None
        assert core.module_at(core.stack[0]) == "[stack]"
        assert [each.deleted for each in core.notes.files] == [False, True]


def test_a_rewritten_title(tmp_path: Path) -> None:
    with Core(write(tmp_path, sample_core(title=b"served: worker process"))) as core:
        assert core.process.command_line == "served: worker process"
        assert core.process.environment == ()
        assert "has written over" in " ".join(core.process.notes)
    longer = b"served: a title that goes on beyond the arguments"
    with Core(write(tmp_path, sample_core(title=longer))) as core:
        assert core.process.command_line == longer.decode()


def test_more_segments_than_the_header_can_count(tmp_path: Path) -> None:
    core = CoreBytes().process(7, "many")
    for number in range(70_000):
        core.memory(0x10000 + number * 0x1000, b"ab", size=0x1000)
    with Core(write(tmp_path, core.finish(wide=True))) as opened:
        assert len(opened.elf.loads) == 70_000
        assert opened.read(0x10000 + 69_999 * 0x1000, 9) == b"ab"


def test_the_two_kinds_of_core_are_told_apart(tmp_path: Path) -> None:
    physical = CoreBytes().note(0, b"OSRELEASE=6.1\n", owner=b"VMCOREINFO").thread(0, [0] * 27).memory(0, bytes(4096))
    with pytest.raises((NoDumpError, InputError)):
        open_dump(write(tmp_path, physical.finish()), kind=CORE)
    path = write(tmp_path, sample_core())
    with open_dump(path) as core:
        assert core.kind == "core"
    with pytest.raises(InputError, match="use `dumpscan core`; expected an image of physical memory"):
        open_dump(path, kind=KERNEL)
    with pytest.raises(InputError, match="expected the signature MDMP, found an ELF core of a process"):
        open_dump(path, kind=MINIDUMP)


def test_cores_of_other_systems_are_named(tmp_path: Path) -> None:
    data = CoreBytes().process(1, "a").note(1, bytes(64), owner=b"FreeBSD").memory(HEAP, b"x").finish()
    with pytest.raises(InputError, match="a process core of FreeBSD; only those of Linux are read"):
        open_dump(write(tmp_path, data))


class TestDamage:
    def test_cut_off_anywhere(self, tmp_path: Path) -> None:
        whole = sample_core()
        for size in range(64, len(whole), 97):
            path = write(tmp_path, whole[:size])
            try:
                with Core(path) as core:
                    assert core.damage
                    core.describe()
            except InputError as error:
                assert str(path) in str(error)  # noqa: PT017 - either is right

    def test_segments_that_overlap(self, tmp_path: Path) -> None:
        data = CoreBytes().process(1, "a").memory(HEAP, b"first").memory(HEAP + 2, b"second").finish()
        with Core(write(tmp_path, data)) as core:
            assert core.read(HEAP, 9) == b"firstond"
            assert "segments overlap" in core.damage[0]

    def test_segments_at_the_end_of_the_address_space(self, tmp_path: Path) -> None:
        data = CoreBytes().process(1, "a").memory((1 << 64) - 4, b"12345678").memory(HEAP, b"x").finish()
        with Core(write(tmp_path, data)) as core:
            assert "past the end of the address space" in core.damage[0]
            assert core.read(HEAP, 1) == b"x"

    def test_a_range_of_holes_costs_nothing(self, tmp_path: Path) -> None:
        data = CoreBytes().process(1, "a").memory(HEAP, b"x", size=2 << 40).finish()
        with Core(write(tmp_path, data)) as core:
            assert core.searchable_bytes == 1
            assert core.mapped_bytes == 2 << 40

    def test_segments_that_share_the_file(self, tmp_path: Path) -> None:
        core = CoreBytes().process(1, "a")
        for number in range(64):
            core.memory(HEAP + number * 0x10000, b"")
        data = bytearray(core.memory(0x10000, bytes(0x4000)).finish())
        for number in range(64):  # each claims all of the file
            struct.pack_into("<QQQQQ", data, 64 + 56 * (number + 1) + 8, 0, HEAP + number * 0x100000, 0, len(data), 0)
        with Core(write(tmp_path, bytes(data))) as opened:
            assert opened.searchable_bytes <= 5 * len(data)
            assert any("over and over" in problem for problem in opened.damage)

    @pytest.mark.parametrize("size", [0xFFFFFFFF, 0xFFFFFFF0, 0x7FFFFFFF])
    @pytest.mark.parametrize("at", [0, 4])
    def test_sizes_of_notes_that_wrap(self, tmp_path: Path, size: int, at: int) -> None:
        data = bytearray(sample_core())
        (notes,) = struct.unpack_from("<Q", data, 64 + 8)
        struct.pack_into("<I", data, notes + at, size)
        with Core(write(tmp_path, bytes(data))) as core:
            assert core.process.pid in {None, 1234}
            core.describe()

    def test_a_list_of_files_that_lies(self, tmp_path: Path) -> None:
        for count in (3, 1 << 32, (1 << 64) - 1):
            note = struct.pack("<QQQQQ", count, 4096, 0x1000, 0x2000, 0) + b"/a"
            data = CoreBytes().process(1, "a").note(0x46494C45, note).memory(HEAP, b"x").finish()
            with Core(write(tmp_path, data)) as core:
                assert "the list of mapped files" in core.damage[0]

    def test_an_auxiliary_vector_that_leads_nowhere(self, tmp_path: Path) -> None:
        core = CoreBytes()
        core.process(1, "a", "a --b").note(6, core.words(31, (1 << 64) - 1, 3, 5, 0, 0)).memory(HEAP, b"x")
        with Core(write(tmp_path, core.finish())) as opened:
            assert opened.process.command_line == "a --b"
            assert "80 bytes" in " ".join(opened.process.notes)
            assert opened.process.environment == ()

    @pytest.mark.parametrize(
        ("change", "said"),
        [
            ((16, b"\x02\x00"), "no core: expected type 4, found 2"),
            ((4, b"\x07"), "not an ELF file"),
            ((54, b"\x20\x00"), "expected program headers of 56 bytes, found 32"),
            ((32, b"\xff" * 8), "program headers, the file has"),
        ],
    )
    def test_what_is_no_core_is_said(self, tmp_path: Path, change: tuple[int, bytes], said: str) -> None:
        data = bytearray(sample_core())
        data[change[0] : change[0] + len(change[1])] = change[1]
        with pytest.raises(InputError, match=said):
            Core(write(tmp_path, bytes(data)))

    @pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
    def test_a_pipe_called_core(self, tmp_path: Path) -> None:
        os.mkfifo(tmp_path / "core")
        with pytest.raises(InputError, match="is a named pipe"):
            open_dump(tmp_path / "core")


@settings(max_examples=60)
@given(st.binary(max_size=300), st.integers(0, 1 << 64))
def test_any_bytes_after_the_identification(tmp_path_factory: pytest.TempPathFactory, data: bytes, number: int) -> None:
    path = tmp_path_factory.getbasetemp() / "any.core"
    path.write_bytes(b"\x7fELF\x02\x01\x01" + bytes(9) + struct.pack("<HH", 4, 62) + data)
    try:
        with Core(path) as core:
            core.describe()
            assert core.read(number, 64) == b"" or core.regions
    except InputError as error:
        assert str(path) in str(error)  # noqa: PT017 - either is right


READ_ONLY = [(0x40_0000, 16, 5, "/bin/a"), (0x50_0000, 16, 6, "/bin/a"), (0x60_0000, 16, 4, None)]
"""Segments: address, size, flags, and the file that is mapped there."""


@pytest.mark.parametrize("writable", [True, False])
def test_files_that_can_only_be_read_are_told_if_anything_can_be_written(tmp_path: Path, *, writable: bool) -> None:
    made = CoreBytes()
    for address, size, flags, _ in READ_ONLY:
        made.memory(address, bytes(size), flags=flags if writable else flags & ~2)
    made.files(*((address, address + 8, 0, path) for address, _, _, path in READ_ONLY if path))
    with Core(write(tmp_path, made.finish())) as core:
        begins, ends = core.read_only_files
        assert list(zip(begins.tolist(), ends.tolist(), strict=True)) == [(0x40_0000, 0x40_0008)] * writable
