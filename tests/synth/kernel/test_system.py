"""The kernel of an image: its symbols, shared data, object types and modules."""

from __future__ import annotations

import struct
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dumpscan.model.windows import c_paging as paging
from dumpscan.synth.kernel.system import PROCESS_TYPE, PRODUCTS, START_BLOCK, System, SystemFacts, filetime
from dumpscan.synth.windows.profiles import PROFILES
from support.kernel_scenarios import kernel_space

if TYPE_CHECKING:
    from dumpscan.synth.kernel.space import KernelSpace

FACTS = SystemFacts(
    time=datetime(2024, 5, 17, 9, 31, 8, 123456, tzinfo=UTC),
    boot=datetime(2024, 5, 16, tzinfo=UTC),
    product="server",
    processors=12,
    drivers=("one.sys", "two.dll"),
)


def ring(kernel: KernelSpace, head: int) -> list[int]:
    """Return the entries of a linked list, having checked it both ways."""
    entries = [head]
    while True:
        here = entries[-1]
        following, _ = struct.unpack("<QQ", kernel.space.read(here, 16))
        assert struct.unpack("<QQ", kernel.space.read(following, 16))[1] == here
        if following == head:
            return entries[1:]
        entries.append(following)


@given(st.timedeltas(timedelta(0), timedelta(days=365 * 8000)))
def test_filetime(since: timedelta) -> None:
    assert filetime(datetime(1601, 1, 1, tzinfo=UTC) + since) == since // timedelta(microseconds=1) * 10
    assert filetime(None) == 0


@pytest.mark.parametrize("version", PROFILES)
def test_kernel(version: str) -> None:
    with kernel_space(version) as kernel:
        system = System(kernel, kernel.memory, FACTS, "seed")
        profile, symbols = PROFILES[version], kernel.symbols
        assert kernel.space.read(kernel.symbol("NtBuildLab"), 64).startswith(profile.build_lab.encode() + b"\0")
        assert kernel.space.read(kernel.symbol("NtBuildNumber"), 2) == profile.build.to_bytes(2, "little")
        shared = kernel.space.read(paging.KUSER_SHARED_DATA_KERNEL, symbols.size("_KUSER_SHARED_DATA"))
        time = symbols.read(shared, "_KUSER_SHARED_DATA", "SystemTime.LowPart")
        time |= symbols.read(shared, "_KUSER_SHARED_DATA", "SystemTime.High1Time") << 32
        assert time == filetime(FACTS.time)
        assert symbols.read(shared, "_KUSER_SHARED_DATA", "NtProductType") == PRODUCTS["server"]
        modules = ring(kernel, kernel.symbol("PsLoadedModuleList"))
        assert len(modules) == 1 + len(FACTS.drivers)
        bases = []
        for links in modules:
            entry = kernel.space.read(links, symbols.size("_LDR_DATA_TABLE_ENTRY"))
            bases.append(symbols.read(entry, "_LDR_DATA_TABLE_ENTRY", "DllBase"))
            assert kernel.space.read(bases[-1], 2) == b"MZ"
        assert bases[0] == kernel.base
        assert ring(kernel, kernel.symbol("PsActiveProcessHead")) == []
        block = kernel.memory.read(START_BLOCK, 0x1000)
        assert (kernel.space.root << 12).to_bytes(8, "little") in block
        types = kernel.space.read(kernel.symbol("ObTypeIndexTable"), 8 * 16)
        at = int.from_bytes(types[8 * PROCESS_TYPE :][:8], "little")
        assert kernel.space.read(at + symbols.offset("_OBJECT_TYPE", "Index"), 1)[0] == PROCESS_TYPE
        header = 0xFFFF_8000_1234_5670
        assert (system.type_index(header) == PROCESS_TYPE) == (not profile.object_cookie)


def test_object_types_are_encoded_by_address_and_cookie() -> None:
    with kernel_space() as kernel:
        system = System(kernel, kernel.memory, FACTS, "seed")
        cookie = kernel.space.read(kernel.symbol("ObHeaderCookie"), 1)[0]
        assert cookie == system.cookie
        for header in (0xFFFF_8000_1234_5670, 0xFFFF_8000_1234_5770):
            assert system.type_index(header) ^ cookie ^ (header >> 8 & 0xFF) == PROCESS_TYPE


def test_processes_are_linked() -> None:
    with kernel_space() as kernel:
        system = System(kernel, kernel.memory, FACTS, "seed")
        objects = [kernel.allocate(b"Proc", kernel.symbols.size("_EPROCESS")) for _ in range(5)]
        system.link_processes(objects)
        links = kernel.symbols.offset("_EPROCESS", "ActiveProcessLinks")
        assert ring(kernel, kernel.symbol("PsActiveProcessHead")) == [address + links for address in objects]


def test_sessions_are_made_once() -> None:
    with kernel_space() as kernel:
        system = System(kernel, kernel.memory, FACTS, "seed")
        assert system.session(1) == system.session(1) != system.session(2)
        number = system.session(2) + kernel.symbols.offset("_MM_SESSION_SPACE", "SessionId")
        assert kernel.space.read(number, 4) == b"\2\0\0\0"


@pytest.mark.parametrize("present", [False, True])
def test_optional_parts_can_be_left_out(*, present: bool) -> None:
    facts = SystemFacts(time=FACTS.time, boot=FACTS.boot, debugger_data=present, start_block=present)
    with kernel_space() as kernel:
        System(kernel, kernel.memory, facts, "seed")
        assert (b"KDBG" in kernel.space.read(kernel.symbol("KdDebuggerDataBlock"), 0x20)) == present
        assert any(kernel.memory.read(START_BLOCK, 0x1000)) == present
