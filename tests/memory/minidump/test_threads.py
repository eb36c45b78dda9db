"""Threads: both lists, names, times and the registers of every architecture."""

from __future__ import annotations

import struct
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from dumpscan.memory.minidump.dump import Minidump
from dumpscan.model.c_minidump import c_minidump
from support.minidump_bytes import AMD64, ARM, ARM64, X86, MinidumpBytes, counted, location

if TYPE_CHECKING:
    from pathlib import Path

PC, SP = 0x11223344, 0x55667788


def opened(tmp_path: Path, made: MinidumpBytes) -> Minidump:
    (tmp_path / "made.dmp").write_bytes(made.finish())
    return Minidump(tmp_path / "made.dmp")


@pytest.mark.parametrize(
    ("architecture", "layout", "flags", "fields"),
    [
        (X86, "CONTEXT_X86", 0x1003F, ("Eip", "Esp")),
        (AMD64, "CONTEXT_AMD64", 0x10001F, ("Rip", "Rsp")),
        (ARM64, "CONTEXT_ARM64", 0x400007, ("Pc", "Sp")),
        (0x8003, "CONTEXT_ARM64_OLD", 0x80000006, ("Pc", "Sp")),
        (ARM, "CONTEXT_ARM", 0x200007, ("Pc", "Sp")),
        (ARM, "CONTEXT_ARM", 0x40000006, ("Pc", "Sp")),
        # A 64-bit dump of a 32-bit process, and the reverse.
        (X86, "CONTEXT_AMD64", 0x10001F, ("Rip", "Rsp")),
        (AMD64, "CONTEXT_X86", 0x1003F, ("Eip", "Esp")),
        # Without flags, by the system's architecture.
        (AMD64, "CONTEXT_AMD64", 0, ("Rip", "Rsp")),
    ],
)
def test_registers(architecture: int, layout: str, flags: int, fields: tuple[str, str], tmp_path: Path) -> None:
    context = getattr(c_minidump, layout)(ContextFlags=flags, **dict(zip(fields, (PC, SP), strict=True))).dumps()
    made = MinidumpBytes()
    made.system(architecture)
    place = location(made.add(context), len(context))
    made.stream("ThreadList", counted([c_minidump.MINIDUMP_THREAD(ThreadContext=place).dumps()]))
    with opened(tmp_path, made) as dump:
        (thread,) = dump.threads
        assert (thread.instruction_pointer, thread.stack_pointer) == (PC, SP)
        assert thread.context == (place.Rva, len(context))


@pytest.mark.parametrize("cut", [0, 8, 0x98, 0xFC])
def test_registers_cut_off(cut: int, tmp_path: Path) -> None:
    context = c_minidump.CONTEXT_AMD64(ContextFlags=0x10001F, Rip=PC, Rsp=SP).dumps()[:cut]
    made = MinidumpBytes()
    made.system(AMD64)
    place = location(made.add(context), cut)
    made.stream("ThreadList", counted([c_minidump.MINIDUMP_THREAD(ThreadContext=place).dumps()]))
    with opened(tmp_path, made) as dump:
        assert dump.threads[0].instruction_pointer is None


def test_an_architecture_without_known_registers(tmp_path: Path) -> None:
    made = MinidumpBytes()
    made.system(0x8002)
    place = location(made.add(bytes(1000)), 1000)
    made.stream("ThreadList", counted([c_minidump.MINIDUMP_THREAD(ThreadContext=place).dumps()]))
    with opened(tmp_path, made) as dump:
        assert dump.threads[0].stack_pointer is None


@pytest.mark.parametrize("padding", [b"", bytes(4)])
def test_extended_list(padding: bytes, tmp_path: Path) -> None:
    thread = c_minidump.MINIDUMP_THREAD(ThreadId=7, Teb=0x1234000, SuspendCount=1, PriorityClass=32, Priority=2)
    made = MinidumpBytes()
    made.stream("ThreadExList", counted([c_minidump.MINIDUMP_THREAD_EX(Thread=thread).dumps()] * 2, padding=padding))
    with opened(tmp_path, made) as dump:
        assert [(thread.id, thread.teb) for thread in dump.threads] == [(7, 0x1234000)] * 2
        assert (dump.threads[0].suspend_count, dump.threads[0].priority_class, dump.threads[0].priority) == (1, 32, 2)
        assert dump.damage == ()


def test_names_and_times(tmp_path: Path) -> None:
    made = MinidumpBytes()
    made.threads(0x1000, 0x2000, 0x3000)
    names = [struct.pack("<IQ", 0x101, made.add_string("worker")), struct.pack("<IQ", 0x102, 2**40)]
    made.stream("ThreadNames", counted(names))
    info = c_minidump.MINIDUMP_THREAD_INFO(
        ThreadId=0x102, StartAddress=0x401000, CreateTime=116_444_736_000_000_000 + 10_000_000, ExitTime=0
    )
    head = c_minidump.MINIDUMP_THREAD_INFO_LIST(SizeOfHeader=12, SizeOfEntry=64, NumberOfEntries=1)
    made.stream("ThreadInfoList", head.dumps() + info.dumps())
    with opened(tmp_path, made) as dump:
        assert [thread.name for thread in dump.threads] == [None, "worker", None]
        assert [thread.start_address for thread in dump.threads] == [None, None, 0x401000]
        assert dump.threads[2].created == datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC)
        assert dump.threads[2].exited is None
        assert len(dump.damage) == 1
        assert "1 of 2 names are unreadable or lie past the end of the file" in dump.damage[0]
