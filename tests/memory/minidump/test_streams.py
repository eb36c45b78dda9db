"""Modules, memory map, exception, handles and comments."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from dumpscan.memory.minidump.dump import Minidump
from dumpscan.memory.minidump.streams import Handle, MemoryInfo, UnloadedModule, file_name
from dumpscan.model.c_minidump import c_minidump
from support.corpus import CORPUS
from support.minidump_bytes import MinidumpBytes, counted, kind, location

if TYPE_CHECKING:
    from pathlib import Path

GUID = bytes(range(16))
VERSION = c_minidump.VS_FIXEDFILEINFO(dwSignature=0xFEEF04BD, dwFileVersionMS=0x000A0000, dwFileVersionLS=0x4A650001)


def opened(tmp_path: Path, made: MinidumpBytes) -> Minidump:
    (tmp_path / "made.dmp").write_bytes(made.finish())
    return Minidump(tmp_path / "made.dmp")


def real(name: str) -> Minidump:
    path = CORPUS / f"{name}.dmp"
    if not path.exists():
        pytest.skip(f"no corpus of real dumps at {CORPUS}")
    return Minidump(path)


class TestModules:
    def test_real_ones(self) -> None:
        with real("breakpad-tiny-exe-fastfail") as dump:
            program, ntdll = dump.modules[:2]
            assert program.name == "D:\\chromium\\src\\out\\release\\tiny.exe"
            assert (program.file_name, program.version) == ("tiny.exe", None)
            assert (ntdll.version, ntdll.debug_file) == ("10.0.19041.1806", "ntdll.pdb")
            assert (ntdll.debug_id, ntdll.debug_age) == ("CDE75D03-9306-8342-03EB-D8D4E7D50369", 1)

    def test_real_ones_of_linux(self) -> None:
        with real("breakpad-linux_inline") as dump:
            assert dump.modules[0].build_id == "10faa6bbaab83db3"
            assert dump.modules[0].version is None

    @pytest.mark.parametrize(
        ("record", "expected"),
        [
            (
                c_minidump.CV_INFO_PDB70(CvSignature=b"RSDS", Signature=list(GUID), Age=3).dumps()
                + b"a\xc3\xa4.pdb\0junk",
                ("a\u00e4.pdb", "03020100-0504-0706-0809-0A0B0C0D0E0F", 3, None),
            ),
            (
                c_minidump.CV_INFO_PDB20(CvSignature=b"NB10", Signature=0x45C1D2A3, Age=2).dumps() + b"old.pdb\0",
                ("old.pdb", "45C1D2A3", 2, None),
            ),
            (b"LEpB" + GUID + b"more", (None, None, None, GUID.hex() + b"more".hex())),
            (b"RSDS\1\2\3", (None, None, None, None)),
            (b"NB10", (None, None, None, None)),
            (b"what", (None, None, None, None)),
            (b"", (None, None, None, None)),
        ],
    )
    def test_debug_records(
        self, record: bytes, expected: tuple[str | None, str | None, int | None, str | None], tmp_path: Path
    ) -> None:
        made = MinidumpBytes()
        made.modules((0x1000, 0x2000, "C:\\a.dll"), CvRecord=location(made.add(record), len(record)))
        with opened(tmp_path, made) as dump:
            (module,) = dump.modules
            assert (module.debug_file, module.debug_id, module.debug_age, module.build_id) == expected
            assert dump.damage == ()

    def test_fields(self, tmp_path: Path) -> None:
        made = MinidumpBytes()
        made.modules((0x1000, 0x2000, "/lib/\ud800.so"), VersionInfo=VERSION, TimeDateStamp=7, CheckSum=8)
        with opened(tmp_path, made) as dump:
            (module,) = dump.modules
            assert (module.name, module.base, module.size) == ("/lib/\ud800.so", 0x1000, 0x2000)
            assert (module.version, module.timestamp, module.checksum) == ("10.0.19045.1", 7, 8)

    def test_names_past_the_end_of_the_file(self, tmp_path: Path) -> None:
        made = MinidumpBytes()
        modules = [c_minidump.MINIDUMP_MODULE(BaseOfImage=base, ModuleNameRva=2**31).dumps() for base in (1, 2)]
        made.stream("ModuleList", counted(modules))
        with opened(tmp_path, made) as dump:
            assert [(module.name, module.file_name) for module in dump.modules] == [(None, None)] * 2
            assert len(dump.damage) == 1
            assert "2 of 2 names are unreadable or lie past the end of the file" in dump.damage[0]

    def test_unloaded_ones(self, tmp_path: Path) -> None:
        made = MinidumpBytes()
        head = c_minidump.MINIDUMP_UNLOADED_MODULE_LIST(SizeOfHeader=12, SizeOfEntry=24, NumberOfEntries=1)
        module = c_minidump.MINIDUMP_UNLOADED_MODULE(
            BaseOfImage=1, SizeOfImage=2, CheckSum=3, TimeDateStamp=4, ModuleNameRva=made.add_string("gone.dll")
        )
        made.stream("UnloadedModuleList", head.dumps() + module.dumps())
        with opened(tmp_path, made) as dump:
            assert dump.unloaded_modules == (UnloadedModule(name="gone.dll", base=1, size=2, checksum=3, timestamp=4),)

    @pytest.mark.parametrize(
        ("path", "name"),
        [("C:\\a\\b.exe", "b.exe"), ("/usr/bin/c", "c"), ("d", "d"), ("C:\\a\\", None), ("", None), (None, None)],
    )
    def test_file_name(self, path: str | None, name: str | None) -> None:
        assert file_name(path) == name


class TestMemoryInfo:
    def test_a_real_one(self) -> None:
        with real("breakpad-tiny-exe-with-cet-xsave") as dump:
            assert len(dump.memory_info) == 557
            assert dump.memory_info[0].state == 0x10000
            assert dump.committed_bytes == sum(info.size for info in dump.memory_info if info.committed)

    def test_fields(self, tmp_path: Path) -> None:
        made = MinidumpBytes()
        head = c_minidump.MINIDUMP_MEMORY_INFO_LIST(SizeOfHeader=16, SizeOfEntry=48, NumberOfEntries=2)
        info = c_minidump.MINIDUMP_MEMORY_INFO(
            BaseAddress=2**47,
            AllocationBase=1,
            AllocationProtect=2,
            RegionSize=3,
            State=0x1000,
            Protect=4,
            Type=0x20000,
        )
        made.stream("MemoryInfoList", head.dumps() + info.dumps() * 2)
        with opened(tmp_path, made) as dump:
            expected = MemoryInfo(
                base=2**47, size=3, allocation_base=1, allocation_protect=2, state=0x1000, protect=4, type=0x20000
            )
            assert list(dump.memory_info) == dump.memory_info[0:2] == [expected] * 2
            assert dump.memory_info[1].committed
            assert dump.committed_bytes == 6

    @pytest.mark.parametrize(
        ("protect", "kind", "told"),
        [
            (0x02, 0x1000000, True),
            (0x20, 0x1000000, True),
            (0x02, 0x40000, True),
            (0x02, 0x20000, False),
            *((writable, 0x1000000, False) for writable in (0x04, 0x08, 0x40, 0x80, 0x104)),
        ],
    )
    def test_files_that_can_only_be_read(self, tmp_path: Path, protect: int, kind: int, *, told: bool) -> None:
        made = MinidumpBytes()
        head = c_minidump.MINIDUMP_MEMORY_INFO_LIST(SizeOfHeader=16, SizeOfEntry=48, NumberOfEntries=2)
        info = c_minidump.MINIDUMP_MEMORY_INFO(
            BaseAddress=0x5000, RegionSize=2**64 - 1, State=0x1000, Protect=protect, Type=kind
        )
        reserved = c_minidump.MINIDUMP_MEMORY_INFO(
            BaseAddress=0x1000, RegionSize=3, State=0x2000, Protect=protect, Type=kind
        )
        made.stream("MemoryInfoList", head.dumps() + info.dumps() + reserved.dumps())
        with opened(tmp_path, made) as dump:
            begins, ends = dump.read_only_files
            assert list(zip(begins.tolist(), ends.tolist(), strict=True)) == [(0x5000, 2**64 - 1)] * told


class TestException:
    def test_parameters_are_limited(self, tmp_path: Path) -> None:
        made = MinidumpBytes()
        record = c_minidump.MINIDUMP_EXCEPTION(
            ExceptionCode=0xC0000005,
            ExceptionAddress=0x401000,
            NumberParameters=2**32 - 1,
            ExceptionInformation=list(range(15)),
        )
        stream = c_minidump.MINIDUMP_EXCEPTION_STREAM(
            ThreadId=5, ExceptionRecord=record, ThreadContext=location(0x99, 0x88)
        )
        made.stream("Exception", stream.dumps())
        with opened(tmp_path, made) as dump:
            assert dump.exception is not None
            assert (dump.exception.thread_id, dump.exception.code) == (5, 0xC0000005)
            assert dump.exception.parameters == tuple(range(15))
            assert dump.exception.context == (0x99, 0x88)

    def test_a_real_one(self) -> None:
        with real("breakpad-null_write_av") as dump:
            assert dump.exception is not None
            assert (dump.exception.code, dump.exception.parameters) == (0xC0000005, (1, 0))


class TestHandles:
    def test_real_ones(self) -> None:
        with real("breakpad-tiny-exe-with-cet-xsave") as dump:
            assert len(dump.handles) == 147
            assert {handle.type_name for handle in dump.handles} >= {"File", "Event", "Key"}

    @pytest.mark.parametrize("size", [32, 40])
    def test_both_versions(self, size: int, tmp_path: Path) -> None:
        made = MinidumpBytes()
        head = c_minidump.MINIDUMP_HANDLE_DATA_STREAM(SizeOfHeader=16, SizeOfDescriptor=size, NumberOfDescriptors=2)
        handle = c_minidump.MINIDUMP_HANDLE_DESCRIPTOR(
            Handle=4,
            TypeNameRva=made.add_string("File"),
            ObjectNameRva=made.add_string("\\Device\\x"),
            Attributes=1,
            GrantedAccess=2,
            HandleCount=3,
            PointerCount=5,
        )
        made.stream("HandleData", head.dumps() + handle.dumps().ljust(size, b"\xff") * 2)
        with opened(tmp_path, made) as dump:
            expected = Handle(
                value=4,
                type_name="File",
                object_name="\\Device\\x",
                attributes=1,
                granted_access=2,
                handle_count=3,
                pointer_count=5,
            )
            assert dump.handles == (expected,) * 2
            assert dump.damage == ()


@pytest.mark.parametrize(
    ("name", "data", "expected"),
    [
        ("CommentStreamA", b"plain\0rest", ("plain",)),
        ("CommentStreamA", b"na\xc3\xafve", ("na\u00efve",)),
        ("CommentStreamA", b"na\xefve", ("na\u00efve",)),
        ("CommentStreamW", "wide \ud800\0rest".encode("utf-16-le", "surrogatepass"), ("wide \ud800",)),
        ("CommentStreamW", b"\0\0", ()),
    ],
)
def test_comments(name: str, data: bytes, expected: tuple[str, ...], tmp_path: Path) -> None:
    made = MinidumpBytes()
    made.entry(int(getattr(c_minidump.MINIDUMP_STREAM_TYPE, name)), len(data), made.add(data))
    with opened(tmp_path, made) as dump:
        assert dump.comments == expected


def test_a_list_cut_off_by_the_end_of_the_file(tmp_path: Path) -> None:
    made = MinidumpBytes()
    made.system()
    modules = counted([c_minidump.MINIDUMP_MODULE(BaseOfImage=base, SizeOfImage=1).dumps() for base in range(1, 5)])
    made.entry(kind("ModuleList"), len(modules), made.end)
    made.add(modules[:-50])
    with opened(tmp_path, made) as dump:
        assert [module.base for module in dump.modules] == [1, 2, 3]
        (sentence,) = dump.damage
        assert sentence.endswith("cut short: 1 of 4 entries lie past the end of the file")
