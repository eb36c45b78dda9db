"""Processes with odd descriptions: paths without drives, long and foreign names, missing pages, 32-bit halves."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from dumpscan.synth.kernel.build import build_kernel
from dumpscan.synth.kernel.process import without_drive
from dumpscan.synth.windows.isf import build_isf
from dumpscan.synth.windows.process_blocks import PLAN32, WOW64_PLAN
from dumpscan.synth.windows.profiles import PROFILES
from dumpscan.synth.windows.symbols import KernelSymbols
from support.kernel_scenarios import write_scenario
from synth.kernel.test_build import Image

if TYPE_CHECKING:
    from pathlib import Path

HEAD = 'format = 1\nname = "p"\n[windows]\nsize = "64 MiB"\ndensity = 0\nversion = "{version}"\n'


class Lab(Image):
    """An image whose process objects can be read."""

    def __init__(self, directory: Path, text: str, version: str = "21h2") -> None:
        scenario = write_scenario(directory, HEAD.format(version=version) + text)
        paths = build_kernel(scenario, directory)
        super().__init__(paths.image.read_bytes(), json.loads(paths.truth.read_text()))
        self.symbols = KernelSymbols(build_isf(PROFILES[version]))

    def field(self, pid: int, path: str) -> int:
        data = self.read(self.dtb(None), self.process(pid)["eprocess"], self.symbols.size("_EPROCESS"))
        return self.symbols.read(data, "_EPROCESS", path)

    def text(self, dtb: int, address: int) -> str:
        """Return the text of a UNICODE_STRING."""
        head = self.read(dtb, address, 16)
        length, buffer = int.from_bytes(head[:2], "little"), int.from_bytes(head[8:], "little")
        return self.read(dtb, buffer, length).decode("utf-16-le")

    def audit_name(self, pid: int) -> str:
        return self.text(self.dtb(None), self.field(pid, "SeAuditProcessCreationInfo.ImageFileName"))


def test_paths() -> None:
    assert without_drive("C:\\Windows\\x.exe") == "\\Windows\\x.exe"
    assert without_drive("\\Device\\x.exe") == "\\Device\\x.exe"
    assert without_drive("x") == "x"


def test_odd_names(tmp_path: Path) -> None:
    lab = Lab(
        tmp_path,
        '[[process]]\npid = 8\nname = "имя.exe"\nexecutable = "D:\\\\путь\\\\имя.exe"\n'
        '[[process]]\npid = 12\nname = "a-very-long-name-indeed.exe"\nexecutable = "x"\n',
    )
    name = lab.field(12, "ImageFileName").to_bytes(15, "little")
    assert name == b"a-very-long-na\0"
    assert lab.field(8, "ImageFileName").to_bytes(15, "little").rstrip(b"\0") == b"???.exe"
    assert lab.audit_name(8).endswith("\\путь\\имя.exe")
    assert lab.audit_name(12).endswith("x")


@pytest.mark.parametrize("version", ["7sp1", "1607", "21h2"])
def test_32_bit_half(tmp_path: Path, version: str) -> None:
    lab = Lab(tmp_path, '[[process]]\npid = 8\nname = "a.exe"\nwow64 = true\nenvironment = ["A=1"]\n', version)
    old = lab.symbols.has("_EPROCESS", "Wow64Process")
    peb32 = lab.field(8, "Wow64Process" if old else "WoW64Process")
    if not old:
        found = lab.read(lab.dtb(None), peb32 + lab.symbols.offset("_EWOW64PROCESS", "Peb"), 8)
        peb32 = int.from_bytes(found, "little")
    assert peb32 == PLAN32.peb
    assert lab.field(8, "Peb") == WOW64_PLAN.peb
    parameters = int.from_bytes(lab.read(lab.dtb(8), peb32 + 0x10, 4), "little")
    assert parameters == PLAN32.parameters
    line = lab.read(lab.dtb(8), parameters + 0x40, 8)
    length, buffer = int.from_bytes(line[:2], "little"), int.from_bytes(line[4:], "little")
    command_line = lab.process(8)["command_line"]
    assert lab.read(lab.dtb(8), buffer, length).decode("utf-16-le") == command_line


def test_pages_of_the_description_can_be_missing(tmp_path: Path) -> None:
    environment = json.dumps([f"NAME{number}={'x' * 200}" for number in range(40)])
    lab = Lab(
        tmp_path,
        f'[[process]]\npid = 8\nname = "a.exe"\nenvironment = {environment}\n'
        'absent = ["environment:1", "environment:3"]\n'
        '[[process]]\npid = 12\nname = "b.exe"\nabsent = ["peb"]\n',
    )
    peb = lab.field(8, "Peb")
    parameters = int.from_bytes(lab.read(lab.dtb(8), peb + 0x20, 8), "little")
    block = int.from_bytes(lab.read(lab.dtb(8), parameters + 0x80, 8), "little")
    there = [lab.walk(lab.dtb(8), (block & ~0xFFF) + (page << 12))[0] is not None for page in range(4)]
    assert there == [True, False, True, False]
    assert lab.walk(lab.dtb(12), lab.field(12, "Peb"))[0] is None
    assert lab.process(8)["absent"] == ["environment:1", "environment:3"]


def test_modules_of_the_scenario(tmp_path: Path) -> None:
    lab = Lab(
        tmp_path,
        '[[process]]\npid = 8\nname = "a.exe"\nexecutable = "C:\\\\a\\\\a.exe"\n'
        'modules = [{path = "C:\\\\a\\\\lib.dll", base = 0x1_8000_0000, size = "128 KiB"}]\n'
        '[[process]]\npid = 12\nname = "b.exe"\nmodules = [{path = "C:\\\\a\\\\lib.dll"}]\n',
    )
    files = {entry["file"]: entry for entry in lab.process(8)["ranges"] if entry["file"]}
    assert files.keys() == {"\\a\\a.exe", "\\a\\lib.dll"}
    library = files["\\a\\lib.dll"]
    assert (library["start"], library["end"]) == (0x180000000, 0x18001FFFF)
    assert lab.field(8, "SectionBaseAddress") == files["\\a\\a.exe"]["start"]
    other = next(entry for entry in lab.process(12)["ranges"] if entry["file"] == "\\a\\lib.dll")
    first, second = (lab.walk(lab.dtb(pid), entry["start"])[0] for pid, entry in ((8, library), (12, other)))
    assert first == second, "the same file has the same frames"


def test_same_session_same_object(tmp_path: Path) -> None:
    lab = Lab(
        tmp_path,
        "".join(
            f'[[process]]\npid = {pid}\nname = "a.exe"\nsession = {session}\n'
            for pid, session in ((8, 1), (12, 1), (16, 2))
        ),
    )
    assert lab.field(8, "Session") == lab.field(12, "Session") != lab.field(16, "Session")
