"""The process that a minidump was taken of, from whatever the dump has."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from dumpscan.memory.minidump.dump import Minidump
from dumpscan.model.c_minidump import c_minidump
from memory.windows.test_peb import ENTRIES, PARAMETERS, PARAMETERS32, PEB, PEB32, TEB, TEB32, Made, block
from support.corpus import CORPUS
from support.minidump_bytes import AMD64, ARM64, LINUX, MACOS, X86, MinidumpBytes

if TYPE_CHECKING:
    from pathlib import Path

MISC = c_minidump.MINIDUMP_MISC_INFO(SizeOfInfo=24, Flags1=3, ProcessId=4711, ProcessCreateTime=1_700_000_000).dumps()


def opened(tmp_path: Path, made: MinidumpBytes) -> Minidump:
    (tmp_path / "made.dmp").write_bytes(made.finish())
    return Minidump(tmp_path / "made.dmp")


def real(name: str) -> Minidump:
    path = CORPUS / f"{name}.dmp"
    if not path.exists():
        pytest.skip(f"no corpus of real dumps at {CORPUS}")
    return Minidump(path)


class TestRealDumps:
    def test_windows(self) -> None:
        with real("breakpad-tiny-exe-with-cet-xsave") as dump:
            process = dump.process
            assert process.command_line == '"C:\\src\\crashpad\\tiny.exe" --v=1 --enable-logging=stderr'
            assert (process.pid, process.name, process.session, process.wow64) == (15444, "tiny.exe", 1, False)
            assert process.environment[:2] == ("=::=::\\", "ALLUSERSPROFILE=C:\\ProgramData")
            assert len(process.environment) == 44
            assert process.notes == ()

    def test_an_environment_of_which_the_dump_has_a_part(self) -> None:
        with real("breakpad-tiny-exe-fastfail") as dump:
            assert dump.process.environment[1].startswith("=C:=")
            assert dump.process.environment[-1].startswith("Path=")
            assert dump.process.notes == ("the environment is cut short: the dump holds its first 8192 bytes",)

    def test_stacks_only(self) -> None:
        with real("breakpad-read_av_conditional") as dump:
            process = dump.process
            assert (process.pid, process.name, process.architecture) == (5064, "crashme.exe", "x86")
            assert (process.command_line, process.environment, process.wow64) == (None, (), True)
            assert process.notes == ("no process environment block in the dump: it holds only thread stacks",)

    def test_linux(self) -> None:
        with real("breakpad-linux_overflow") as dump:
            process = dump.process
            assert (process.pid, process.parent_pid, process.name) == (14782, 2773, "overflow")
            assert process.command_line == "./overflow overflow"
            assert process.environment[0] == "TERM=xterm"
            assert process.notes == ()

    def test_ios(self) -> None:
        with real("breakpad-minidump_crashpad_annotation") as dump:
            assert (dump.process.pid, dump.process.name) == (54806, "ios_crash_xcuitests")
            assert dump.process.notes == ("the dump does not hold the process' command line and environment",)


@pytest.mark.parametrize(("code", "name", "bits"), [(X86, "x86", 32), (AMD64, "x64", 64), (ARM64, "arm64", 64)])
def test_windows(code: int, name: str, bits: int, tmp_path: Path) -> None:
    process = Made(bits)
    made = MinidumpBytes()
    made.system(code)
    made.stream("MiscInfo", MISC)
    made.threads(TEB)
    made.modules((0x10000000, 0x1000, "C:\\first.dll"), (0x400000, 0x1000, "C:\\dir\\a.exe"))
    made.memory64(*process.parts.items())
    with opened(tmp_path, made) as dump:
        found = dump.process
        assert (found.pid, found.name, found.executable) == (4711, "a.exe", "C:\\dir\\a.exe")
        assert (found.command_line, found.environment) == (process.command_line, ENTRIES)
        assert (found.architecture, found.session, found.wow64) == (name, 3, False)
        assert found.created == datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)
        assert (found.notes, dump.damage) == ((), ())


def test_the_program_is_the_module_at_the_image_base(tmp_path: Path) -> None:
    process = Made(64)
    del process.strings[PARAMETERS + 0x1000]
    made = MinidumpBytes()
    made.system()
    made.threads(TEB)
    made.modules((0x10000000, 0x1000, "C:\\first.dll"), (0x400000, 0x1000, "C:\\dir\\b.exe"))
    made.memory(*process.parts.items())
    with opened(tmp_path, made) as dump:
        assert dump.process.name == "b.exe"
        assert dump.process.pid == 0x1234  # without MiscInfo, as the thread has it


def test_wow64(tmp_path: Path) -> None:
    native = Made(64, command_line="64", environment=b"")
    other = Made(32, "32", "C:\\32.exe", block(("BITS=32",)), TEB32, PEB32, PARAMETERS32)
    other.teb.WOW32Reserved = 0x77001000
    made = MinidumpBytes()
    made.system(AMD64)
    made.threads(TEB)
    made.memory64(*(native.parts | other.parts).items())
    with opened(tmp_path, made) as dump:
        found = dump.process
        assert (found.command_line, found.environment) == ("64", ("BITS=32",))
        assert (found.architecture, found.wow64) == ("x86", True)
        assert dump.system is not None
        assert dump.system.architecture == "x64"


@pytest.mark.parametrize(
    ("threads", "memory", "reason"),
    [
        ((), False, "it has no threads"),
        ((TEB,), False, "it holds no memory"),
        ((TEB,), True, "no thread's environment block is in it"),
    ],
)
def test_why_there_is_no_block(threads: tuple[int, ...], memory: bool, reason: str, tmp_path: Path) -> None:  # noqa: FBT001 - a case of the table
    made = MinidumpBytes()
    made.system()
    made.threads(*threads)
    if memory:
        made.memory((PEB, bytes(0x20000)))
    with opened(tmp_path, made) as dump:
        assert len(dump.process.notes) == 1
        assert f"no process environment block in the dump: {reason}" in dump.process.notes[0]
        assert (dump.process.command_line, dump.process.environment, dump.damage) == (None, (), ())


def test_a_block_that_is_not_in_the_dump(tmp_path: Path) -> None:
    process = Made(64)
    made = MinidumpBytes()
    made.system()
    made.threads(TEB)
    made.memory((TEB, process.teb.dumps()))
    with opened(tmp_path, made) as dump:
        assert dump.process.notes == (f"the dump does not hold the process environment block at {PEB:#x}",)
        assert dump.damage == ()


def test_linux(tmp_path: Path) -> None:
    made = MinidumpBytes()
    made.system(AMD64, LINUX)
    made.modules((0x400000, 0x1000, "/usr/bin/python3.11"))
    made.stream("LinuxCmdLine", b"python3\0-c\0print('a b')\0")
    made.stream("LinuxEnviron", b"A=1\0\0B=2\0")
    made.stream("LinuxProcStatus", b"Name:\tpython3\nPid:\t99\nPPid:\t1\n")
    with opened(tmp_path, made) as dump:
        found = dump.process
        assert (found.pid, found.parent_pid, found.name) == (99, 1, "python3.11")
        assert found.executable == "/usr/bin/python3.11"
        assert found.command_line == "python3 -c print('a b')"
        assert (found.environment, found.notes) == (("A=1", "B=2"), ())


def test_linux_without_modules(tmp_path: Path) -> None:
    made = MinidumpBytes()
    made.stream("MiscInfo", MISC)
    made.stream("LinuxProcStatus", b"Name:\tcat\nPid:\t99\n")
    made.stream("LinuxCmdLine", b"cat\0")
    with opened(tmp_path, made) as dump:
        assert (dump.process.pid, dump.process.name, dump.process.command_line) == (4711, "cat", "cat")
        assert dump.process.notes == ("the dump does not hold the process' environment",)


def test_macos_thread_blocks_are_not_windows(tmp_path: Path) -> None:
    made = MinidumpBytes()
    made.system(AMD64, MACOS)
    made.threads(TEB)
    made.memory(*Made(64).parts.items())
    with opened(tmp_path, made) as dump:
        assert dump.process.command_line is None
        assert dump.process.notes == ("the dump does not hold the process' command line and environment",)


def test_both_blocks_of_a_wow64_process(tmp_path: Path) -> None:
    native = Made(64, command_line="same", environment=block(("A=1", "B=2")))
    other = Made(32, "other", "C:\\32.exe", block(("A=1", "B=3", "SET=later")), TEB32, PEB32, PARAMETERS32)
    other.teb.WOW32Reserved = 0x77001000
    made = MinidumpBytes()
    made.system(AMD64)
    made.threads(TEB)
    made.memory64(*(native.parts | other.parts).items())
    with opened(tmp_path, made) as dump:
        found = dump.process
        assert (found.command_line, found.command_line_32) == ("same", "other")
        assert found.environment == ("A=1", "B=2", "B=3", "SET=later")
        assert found.notes == ()
