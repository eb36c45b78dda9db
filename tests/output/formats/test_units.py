"""Values in the units that people use."""

from __future__ import annotations

import io

import pytest

from dumpscan.artifacts.keys.names import algorithm_label
from dumpscan.output.formats.render import View
from dumpscan.output.formats.table.renderer import TableRenderer
from dumpscan.output.formats.table.units import DUMP_FLAGS, dump_flags, integrity_level, spelled, utc_offset
from dumpscan.output.records import info_record


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0, "Normal (0x0)"),
        (0x2, "WithFullMemory (0x2)"),
        (0x1826, "WithFullMemory, WithHandleData, WithUnloadedModules, WithFullMemoryInfo, WithThreadInfo (0x1826)"),
        (0x8000_0002, "WithFullMemory, 0x80000000 (0x80000002)"),
    ],
)
def test_flags_of_a_dump(value: int, shown: str) -> None:
    assert dump_flags(value) == shown


def test_flags_are_those_of_the_header_file() -> None:
    known = {"WithFullMemory": 0x2, "WithFullMemoryInfo": 0x800, "FilterTriage": 0x100000, "WithIptTrace": 0x400000}
    assert {name: 1 << DUMP_FLAGS.index(name) for name in known} == known
    assert 1 << len(DUMP_FLAGS) == 0x2000000  # MiniDumpValidTypeFlags is 0x01ffffff


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0x3000, "High (0x3000)"),
        (0x2010, "Medium (0x2010)"),
        (0x4000, "System (0x4000)"),
        (0, "Untrusted (0x0)"),
        (0x2100, "Medium plus (0x2100)"),
        (-1, "unknown (-0x1)"),
    ],
)
def test_integrity_levels(value: int, shown: str) -> None:
    assert integrity_level(value) == shown


@pytest.mark.parametrize(("minutes", "shown"), [(60, "+01:00"), (0, "+00:00"), (-210, "-03:30"), (765, "+12:45")])
def test_offsets_from_utc(minutes: int, shown: str) -> None:
    assert utc_offset(minutes) == shown


def test_exceptions() -> None:
    shown = spelled("exception", {"code": 0xC0000005, "context": [0x9C0, 1232]})
    assert shown == {"code": "0xc0000005 (access violation)", "context": "1232 bytes at file offset 0x9c0"}
    assert spelled("exception", {"code": 11})["code"] == "0xb"


def test_processors() -> None:
    system = {"version": "10.0.1", "major": 10, "minor": 0, "build": 1, "architecture": "x64", "processor_level": 6}
    assert spelled("system", system | {"processor_revision": 0x8E0A}) == {
        "version": "10.0.1",
        "architecture": "x64",
        "processor": "family 6, model 142, stepping 10",
    }
    arm = {"architecture": "arm64", "processor_level": 8, "processor_revision": 0xD0C}
    assert spelled("system", arm) == arm | {"processor_revision": "0xd0c"}
    assert spelled("system", {"version": "10", "build": "22000.1.amd64fre"})["build"] == "22000.1.amd64fre"


def test_a_description_has_no_empty_lines_and_known_spellings() -> None:
    info = {
        "flags": 2,
        "misc_info": {"integrity_level": 0x3000, "utc_offset": -60, "time_zone": "", "wow64": False},
        "memory": {"captured_percent": 5.6},
    }
    stream = io.StringIO()
    renderer = TableRenderer(stream, View.INFO)
    renderer.add(info_record("minidump", "a.dmp", info))
    renderer.close()
    lines = [" ".join(line.split()) for line in stream.getvalue().splitlines()]
    assert "Flags WithFullMemory (0x2)" in lines
    assert "Integrity level High (0x3000)" in lines
    assert "UTC offset -01:00" in lines
    assert "Captured 5.6 %" in lines
    assert "WoW64 no" in lines
    assert not any(line.startswith("Time zone") for line in lines)


@pytest.mark.parametrize(
    ("name", "size", "label"),
    [
        ("EC", "secp256r1", "EC P-256"),
        ("EC", "secp521r1", "EC P-521"),
        ("EC", "brainpoolP256r1", "EC brainpoolP256r1"),
        ("RSA", 2048, "RSA 2048"),
        ("Ed25519", 256, "Ed25519"),
        (None, 5, ""),
    ],
)
def test_algorithms(name: str | None, size: object, label: str) -> None:
    assert algorithm_label(name, size) == label
