"""Crashpad's annotations, Breakpad's own stream, and what it copies from Linux' /proc."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import pytest

from dumpscan.memory.minidump.breakpad import BreakpadInfo, CrashpadModule, MemoryMapping
from dumpscan.memory.minidump.dump import Minidump
from dumpscan.model.c_minidump import c_minidump
from support.corpus import CORPUS
from support.minidump_bytes import AMD64, LINUX, MinidumpBytes, counted, location

if TYPE_CHECKING:
    from pathlib import Path


def opened(tmp_path: Path, made: MinidumpBytes) -> Minidump:
    (tmp_path / "made.dmp").write_bytes(made.finish())
    return Minidump(tmp_path / "made.dmp")


def real(name: str) -> Minidump:
    path = CORPUS / f"{name}.dmp"
    if not path.exists():
        pytest.skip(f"no corpus of real dumps at {CORPUS}")
    return Minidump(path)


def linux(**streams: bytes) -> MinidumpBytes:
    made = MinidumpBytes()
    made.system(AMD64, LINUX)
    for name, data in streams.items():
        made.stream(name, data)
    return made


class TestRealDumps:
    def test_crashpad(self) -> None:
        with real("rustminidump-simple-crashpad") as dump:
            assert dump.crashpad is not None
            assert dump.crashpad.report_id == "42F9DE72-518A-43DD-97D7-8DDC328D3662"
            assert dump.crashpad.annotations == {"hello": "world"}
            assert dump.crashpad.modules[0] == CrashpadModule(
                index=16, list_annotations=("abort() called",), annotations={}
            )

    def test_crashpad_annotation_objects(self) -> None:
        with real("breakpad-minidump_crashpad_annotation") as dump:
            assert dump.crashpad is not None
            assert dump.crashpad.annotations == {"crashpad": "yes", "plat": "iOS", "prod": "xcuitest", "ver": "1"}
            program, loader = dump.crashpad.modules
            assert program.annotations["exceptionName"] == "NSRangeException"
            assert dump.modules[program.index].file_name == "ios_crash_xcuitests"
            assert loader.list_annotations[0].startswith("CoreSimulator 857.14")

    def test_breakpad(self) -> None:
        with real("breakpad-minidump2") as dump:
            assert dump.breakpad == BreakpadInfo(dump_thread_id=4544, requesting_thread_id=3060)

    def test_linux(self) -> None:
        with real("rustminidump-linux-mini") as dump:
            assert dump.linux is not None
            assert (dump.linux.process_id, dump.linux.parent_process_id) == (1304, 1303)
            assert dump.linux.arguments == ("./crash",)
            assert dump.linux.environment is not None
            assert dump.linux.environment[0] == "HOSTNAME=6deb9e1e1648"
            assert dump.linux.release == {
                "DISTRIB_ID": "Ubuntu",
                "DISTRIB_RELEASE": "16.04",
                "DISTRIB_CODENAME": "xenial",
                "DISTRIB_DESCRIPTION": "Ubuntu 16.04.3 LTS",
            }
            assert dump.linux.processor is not None
            stack = [mapping for mapping in dump.linux.mappings if mapping.path == "[stack]"]
            assert [mapping.permissions for mapping in stack] == ["rw-p"]
            assert stack[0].start <= dump.threads[0].stack_pointer < stack[0].end  # type: ignore[operator]
            assert dump.committed_bytes == dump.linux.mapped_bytes


class TestLinux:
    def test_mappings(self, tmp_path: Path) -> None:
        maps = (
            b"00400000-00401000 r-xp 00000010 08:02 173521      /usr/bin/a file\n"
            b"00e03000-00e24000 rw-p 00000000 00:00 0           [heap]\n"
            b"35b1a21000-35b1a22000 ---s 0001f000 08:02 135522\n"
            b"fffffffffffff000-ffffffffffffffff --xp 00000000 00:00 0                  [vsyscall]"
        )
        with opened(tmp_path, linux(LinuxMaps=maps)) as dump:
            assert dump.linux is not None
            assert dump.linux.mappings == (
                MemoryMapping(start=0x400000, end=0x401000, permissions="r-xp", offset=0x10, path="/usr/bin/a file"),
                MemoryMapping(start=0xE03000, end=0xE24000, permissions="rw-p", offset=0, path="[heap]"),
                MemoryMapping(start=0x35B1A21000, end=0x35B1A22000, permissions="---s", offset=0x1F000, path=None),
                MemoryMapping(start=2**64 - 0x1000, end=2**64 - 1, permissions="--xp", offset=0, path="[vsyscall]"),
            )
            assert dump.linux.mapped_bytes == 0x1000 + 0x21000 + 0xFFF
            assert dump.damage == ()

    def test_lines_that_are_no_mappings(self, tmp_path: Path) -> None:
        maps = b"5-4 r-xp 0 0:0 0\n0-1 r-xp 0 0:0 0\nnoise\xff\n\n10000000000000000-2 r-xp 0 0:0 0\n"
        with opened(tmp_path, linux(LinuxMaps=maps)) as dump:
            assert dump.linux is not None
            assert len(dump.linux.mappings) == 1
            assert dump.damage[0].endswith("3 of 4 lines are no memory mappings")

    def test_status(self, tmp_path: Path) -> None:
        status = b"Name:\tcat\nPid:\t12\nPPid:\t-1\nPid:\t13\nno separator\n"
        with opened(tmp_path, linux(LinuxProcStatus=status)) as dump:
            assert dump.linux is not None
            assert dump.linux.status == {"Name": "cat", "Pid": "12", "PPid": "-1"}
            assert (dump.linux.process_id, dump.linux.parent_process_id) == (12, None)

    @pytest.mark.parametrize(
        ("data", "arguments"),
        [
            (b"cat\0a file\0", ("cat", "a file")),
            (b"cat\0\0x\0", ("cat", "", "x")),
            (b"cat", ("cat",)),
            (b"\xff\0", ("\udcff",)),
            (b"\0", ("",)),
        ],
    )
    def test_arguments(self, data: bytes, arguments: tuple[str, ...], tmp_path: Path) -> None:
        with opened(tmp_path, linux(LinuxCmdLine=data)) as dump:
            assert dump.linux is not None
            assert dump.linux.arguments == arguments
            assert dump.linux.environment is None

    def test_release(self, tmp_path: Path) -> None:
        release = b'# a comment=no value\nDISTRIB_ID=Debian\nDISTRIB_DESCRIPTION="Debian 12"\n'
        with opened(tmp_path, linux(LinuxLsbRelease=release)) as dump:
            assert dump.linux is not None
            assert dump.linux.release == {"DISTRIB_ID": "Debian", "DISTRIB_DESCRIPTION": "Debian 12"}

    def test_none_of_it(self, tmp_path: Path) -> None:
        with opened(tmp_path, linux()) as dump:
            assert dump.linux is None


class TestBreakpad:
    @pytest.mark.parametrize(("validity", "expected"), [(0, (None, None)), (1, (5, None)), (2, (None, 6)), (3, (5, 6))])
    def test_validity(self, validity: int, expected: tuple[int | None, int | None], tmp_path: Path) -> None:
        made = MinidumpBytes()
        made.stream("BreakpadInfo", struct.pack("<III", validity, 5, 6))
        with opened(tmp_path, made) as dump:
            assert dump.breakpad is not None
            assert (dump.breakpad.dump_thread_id, dump.breakpad.requesting_thread_id) == expected

    def test_too_short(self, tmp_path: Path) -> None:
        made = MinidumpBytes()
        made.stream("BreakpadInfo", bytes(8))
        with opened(tmp_path, made) as dump:
            assert dump.breakpad is None
            assert len(dump.damage) == 1


class TestCrashpad:
    def dictionary(self, made: MinidumpBytes, pairs: dict[str, str]) -> bytes:
        return counted(
            [struct.pack("<II", made.add_string8(key), made.add_string8(value)) for key, value in pairs.items()]
        )

    def test_everything(self, tmp_path: Path) -> None:
        made = MinidumpBytes()
        simple = self.dictionary(made, {"a": "1", "\u00e4": "\u20ac"})
        messages = counted([struct.pack("<I", made.add_string8("message"))])
        objects = counted(
            [
                struct.pack("<IHHI", made.add_string8("name"), 1, 0, made.add_string8("value")),
                struct.pack("<IHHI", made.add_string8("no string"), 2, 0, made.add_string8("value")),
            ]
        )
        places = [location(made.add(data), len(data)) for data in (messages, simple, objects)]
        module = c_minidump.MINIDUMP_MODULE_CRASHPAD_INFO(
            Version=1, ListAnnotations=places[0], SimpleAnnotations=places[1], AnnotationObjects=places[2]
        ).dumps()
        link = c_minidump.MINIDUMP_MODULE_CRASHPAD_INFO_LINK(
            MinidumpModuleListIndex=7, Location=location(made.add(module), len(module))
        ).dumps()
        modules = counted([link])
        made.stream(
            "CrashpadInfo",
            c_minidump.MINIDUMP_CRASHPAD_INFO(
                Version=1,
                ReportId=list(range(16)),
                SimpleAnnotations=places[1],
                ModuleList=location(made.add(modules), len(modules)),
            ).dumps()
            + bytes(12),
        )
        with opened(tmp_path, made) as dump:
            assert dump.crashpad is not None
            assert dump.crashpad.report_id == "03020100-0504-0706-0809-0A0B0C0D0E0F"
            assert dump.crashpad.annotations == {"a": "1", "\u00e4": "\u20ac"}
            (found,) = dump.crashpad.modules
            assert (found.index, found.list_annotations) == (7, ("message",))
            assert found.annotations == {"a": "1", "\u00e4": "\u20ac", "name": "value"}
            assert dump.damage == ()

    def test_lists_that_name_themselves(self, tmp_path: Path) -> None:
        """A module list whose every entry is the list itself ends, in bounded time, with what could be read."""
        made = MinidumpBytes()
        at = made.end
        size = 4 + 12 * 2000
        made.add(counted([struct.pack("<III", 1, size, at)] * 2000, count=5000))
        made.stream(
            "CrashpadInfo",
            c_minidump.MINIDUMP_CRASHPAD_INFO(
                SimpleAnnotations=location(at, size), ModuleList=location(at, size)
            ).dumps(),
        )
        with opened(tmp_path, made) as dump:
            assert dump.crashpad is not None
            assert dump.damage

    def test_strings_past_the_end(self, tmp_path: Path) -> None:
        made = MinidumpBytes()
        simple = counted([struct.pack("<II", 0xFFFFFFF0, 5), struct.pack("<II", made.add_string8("k"), 2**31)])
        place = location(made.add(simple), len(simple))
        made.stream("CrashpadInfo", c_minidump.MINIDUMP_CRASHPAD_INFO(SimpleAnnotations=place).dumps())
        with opened(tmp_path, made) as dump:
            assert dump.crashpad is not None
            assert dump.crashpad.annotations == {}
            assert "some annotations are unreadable or lie past the end of the file" in dump.damage[0]


def test_a_module_of_version_1_has_no_annotation_objects(tmp_path: Path) -> None:
    made = MinidumpBytes()
    made.system()
    message = made.add_string8("abort() called")
    messages = made.add(counted([struct.pack("<I", message)]))
    module = made.add(struct.pack("<IIIII", 1, 8, messages, 0, 0))
    links = made.add(counted([struct.pack("<III", 5, 20, module)]))
    made.stream("CrashpadInfo", struct.pack("<I32xIIII", 1, 0, 0, 16, links))
    with opened(tmp_path, made) as dump:
        assert dump.crashpad is not None
        assert dump.crashpad.modules == (CrashpadModule(index=5, list_annotations=("abort() called",), annotations={}),)
        assert dump.damage == ()
