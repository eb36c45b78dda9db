"""SystemInfo and MiscInfo in all their versions."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from dumpscan.memory.minidump.dump import Minidump
from dumpscan.memory.minidump.stream_reader import StreamReader
from dumpscan.memory.minidump.system import (
    MiscInfo,
    SystemInfo,
    read_misc_info,
    read_system_info,
    unix_time,
)
from dumpscan.memory.windows.values import file_time, windows_guid
from dumpscan.model.c_minidump import c_minidump
from support.corpus import CORPUS
from support.minidump_bytes import AMD64, LINUX, MACOS, WINDOWS, X86

MISC_INFO = [c_minidump.MINIDUMP_MISC_INFO] + [getattr(c_minidump, f"MINIDUMP_MISC_INFO_{n}") for n in (2, 3, 4, 5)]
ALL_FLAGS = 0x3F7


def system(data: bytes) -> tuple[SystemInfo | None, StreamReader]:
    reader = StreamReader(memoryview(data))
    return read_system_info(reader, reader.stream(7, "SystemInfo", 0, len(data))), reader


def misc(data: bytes) -> MiscInfo | None:
    reader = StreamReader(memoryview(data))
    return read_misc_info(reader, reader.stream(15, "MiscInfo", 0, len(data)))


@pytest.mark.parametrize(
    ("code", "name", "pointer"),
    [
        *((X86, "x86", 4), (10, "x86", 4), (14, "x86", 4), (AMD64, "x64", 8), (12, "arm64", 8), (0x8003, "arm64", 8)),
        *((5, "arm", 4), (13, "arm", 4), (1, "mips", 4), (0x8004, "mips64", 8), (0x8002, "ppc64", 8), (6, "ia64", 8)),
        *((0x8005, "riscv", 4), (0x8006, "riscv64", 8), (0xFFFF, "unknown (0xffff)", 4), (4242, "unknown (0x1092)", 4)),
    ],
)
def test_architectures(code: int, name: str, pointer: int) -> None:
    info, _ = system(c_minidump.MINIDUMP_SYSTEM_INFO(ProcessorArchitecture=code).dumps())
    assert info is not None
    assert (info.architecture, info.pointer_size) == (name, pointer)


@pytest.mark.parametrize(
    ("code", "name", "product"),
    [(WINDOWS, "Windows", "server"), (1, "Windows", "server"), (LINUX, "Linux", None), (MACOS, "macOS", None)],
)
def test_operating_systems(code: int, name: str, product: str | None) -> None:
    info, _ = system(c_minidump.MINIDUMP_SYSTEM_INFO(PlatformId=code, ProductType=3).dumps())
    assert info is not None
    assert (info.operating_system, info.product_type) == (name, product)


def test_an_unknown_operating_system() -> None:
    info, _ = system(c_minidump.MINIDUMP_SYSTEM_INFO(PlatformId=0x4711).dumps())
    assert info is not None
    assert info.operating_system == "unknown (0x4711)"


def test_version_and_service_pack() -> None:
    head = c_minidump.MINIDUMP_SYSTEM_INFO(MajorVersion=6, MinorVersion=1, BuildNumber=7601, CSDVersionRva=56)
    info, reader = system(head.dumps() + b"\6\0\0\0S\0P\x001\0")
    assert info is not None
    assert (info.version, info.service_pack, reader.problems) == ("6.1.7601", "SP1", {})


def test_a_service_pack_past_the_end() -> None:
    info, reader = system(c_minidump.MINIDUMP_SYSTEM_INFO(CSDVersionRva=0x1000).dumps())
    assert info is not None
    assert info.service_pack is None
    assert "service pack" in reader.problems[0][0]


def test_too_short() -> None:
    info, reader = system(bytes(20))
    assert info is None
    assert reader.problems


@pytest.mark.parametrize("version", [1, 2, 3, 4, 5])
def test_misc_info_versions(version: int) -> None:
    info5 = MISC_INFO[4](bytes(MISC_INFO[4].size))  # parsed: structures made without bytes share what is nested in them
    info4 = info5.Info4
    info3 = info4.Info3
    info1 = info3.Info2.Info1
    info1.SizeOfInfo, info1.Flags1, info1.ProcessId = MISC_INFO[version - 1].size, ALL_FLAGS, 4711
    info1.ProcessCreateTime, info1.ProcessUserTime, info1.ProcessKernelTime = 1_700_000_000, 5, 6
    info3.ProcessIntegrityLevel, info3.ProtectedProcess = 0x3000, 1
    info3.TimeZone.Bias = -60
    info3.TimeZone.StandardName = "CET".encode("utf-16-le").ljust(64, b"\0")
    info4.BuildString = "19041.1".encode("utf-16-le").ljust(520, b"\0")
    info4.DbgBldStr = "dbgcore".encode("utf-16-le").ljust(80, b"\0")
    found = misc(info5.dumps()[: MISC_INFO[version - 1].size])
    expected: dict[str, Any] = {
        "process_id": 4711,
        "created": datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC),
        "user_seconds": 5,
        "kernel_seconds": 6,
    }
    if version >= 3:
        expected |= {"integrity_level": 0x3000, "protected": True, "time_zone": "CET", "utc_offset": 60}
    if version >= 4:
        expected |= {"build_string": "19041.1", "debug_build_string": "dbgcore"}
    assert found == MiscInfo(version=version, **expected)


def test_misc_info_flags_count() -> None:
    info = MISC_INFO[0](SizeOfInfo=24, Flags1=0, ProcessId=4711, ProcessCreateTime=5)
    assert misc(info.dumps()) == MiscInfo(version=1)


def test_misc_info_too_short() -> None:
    assert misc(bytes(11)) is None


def test_a_real_one() -> None:
    path = CORPUS / "breakpad-tiny-exe-fastfail.dmp"
    if not path.exists():
        pytest.skip(f"no corpus of real dumps at {CORPUS}")
    with Minidump(path) as dump:
        assert dump.misc is not None
        assert (dump.misc.version, dump.misc.process_id) == (5, 41996)
        assert dump.misc.build_string == "19041.1.amd64fre.vb_release.191206-1406"
        assert dump.misc.time_zone == "Pacific Standard Time"


def test_times() -> None:
    assert unix_time(0) is None
    assert unix_time(2**32 - 1) == datetime(2106, 2, 7, 6, 28, 15, tzinfo=UTC)
    assert file_time(0) is None
    assert file_time(116_444_736_000_000_000) == datetime(1970, 1, 1, tzinfo=UTC)
    assert file_time(2**64 - 1) is None


def test_guid() -> None:
    assert windows_guid(bytes(range(16))) == "03020100-0504-0706-0809-0A0B0C0D0E0F"
