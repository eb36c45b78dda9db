"""The reader as a whole: real dumps against two parsers that are not ours, then what is forged, broken or cut off."""

from __future__ import annotations

import contextlib
import gc
import io
import logging
import struct
import warnings
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import udmp_parser
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from minidump.minidumpfile import MinidumpFile

from dumpscan.exceptions import InputError
from dumpscan.memory.formats import MINIDUMP
from dumpscan.memory.minidump.dump import Minidump
from dumpscan.memory.open import open_dump
from dumpscan.memory.space import Region
from dumpscan.model.c_minidump import c_minidump
from support.corpus import CORPUS, corpus_dumps
from support.minidump_bytes import AMD64, ARM64, LINUX, X86, MinidumpBytes, counted, descriptors64, kind, location

DUMPS = corpus_dumps()
needs_corpus = pytest.mark.skipif(not DUMPS, reason=f"no corpus of real dumps at {CORPUS}")
each_dump = pytest.mark.parametrize("path", DUMPS or [None], ids=lambda path: path.stem if path else "none")

# Of its 276 bytes, written by a fuzzer, only one stream lies in the file, and that one is noise.
BROKEN = {"rustminidump-invalid-range"}
ARCHITECTURES = {"INTEL": "x86", "AMD64": "x64", "ARM": "arm", "AARCH64": "arm64"}


def open_bytes(tmp_path: Path, data: bytes) -> Minidump:
    path = tmp_path / "some.dmp"
    path.write_bytes(data)
    return Minidump(path)


def read_everything(dump: Minidump) -> None:
    """Ask for all that a dump can be asked for."""
    assert all(isinstance(sentence, str) for sentence in dump.damage)
    assert all(isinstance(note, str) for note in dump.process.notes)
    assert dump.captured_bytes <= 16 * dump.size
    assert dump.committed_bytes is None or dump.committed_bytes >= 0
    assert all(info.size >= 0 for info in dump.memory_info)
    assert all(thread.id >= 0 for thread in dump.threads)
    assert all(module.base >= 0 and module.file_name != "" for module in dump.modules)
    for before, after in pairwise(dump.regions):
        assert before.end <= after.start
    for region in (*dump.regions[:5], *dump.regions[-5:]):
        assert region.size > 0
        assert region.file_offset + region.size <= dump.size
        assert dump.read(region.start, min(region.size, 64))
        dump.module_at(region.start)
    for address in (0, 1, 0x7FFE0000, 2**32, 2**63, 2**64 - 1, 2**64, -1):
        dump.read(address, 100)
        dump.extents(address, 2**70)
        dump.module_at(address)


def referee(path: Path) -> MinidumpFile | None:
    """What the parser `minidump` reads, or None where it cannot."""
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()), path.open("rb") as file:
            warnings.simplefilter("ignore")
            return MinidumpFile.parse_buff(io.BytesIO(file.read()))
    except Exception:  # noqa: BLE001 - it fails in many ways: no referee then
        return None
    finally:
        logging.disable(logging.NOTSET)


class TestRealDumps:
    @needs_corpus
    @each_dump
    def test_nothing_is_damaged_but_what_is_broken_on_purpose(self, path: Path) -> None:
        with Minidump(path) as dump:
            read_everything(dump)
            assert bool(dump.damage) == (path.stem in BROKEN), dump.damage

    @needs_corpus
    @each_dump
    def test_agrees_with_minidump(self, path: Path) -> None:
        other = referee(path)
        if other is None or other.sysinfo is None:
            pytest.skip("the referee cannot read it")
        with Minidump(path) as dump:
            assert dump.system is not None
            assert dump.system.architecture == ARCHITECTURES[other.sysinfo.ProcessorArchitecture.name]
            assert dump.system.build == other.sysinfo.BuildNumber
            if other.misc_info is not None:
                assert dump.process.pid == other.misc_info.ProcessId
            theirs: list[Any] = other.threads.threads if other.threads else []
            assert [(t.id, t.teb, t.stack[0], t.stack[1]) for t in dump.threads] == [
                (t.ThreadId, t.Teb, t.Stack.StartOfMemoryRange, t.Stack.MemoryLocation.DataSize) for t in theirs
            ]
            theirs = other.modules.modules if other.modules else []
            assert [(m.base, m.size, m.name) for m in dump.modules] == [(m.baseaddress, m.size, m.name) for m in theirs]
            theirs = []
            for segments in (other.memory_segments, other.memory_segments_64):
                theirs += segments.memory_segments if segments else []
            ours = [entry for listed in dump.memory_lists for entry in listed.ranges()]
            assert ours == [(s.start_virtual_address, s.size, s.start_file_address) for s in theirs]
            assert dump.memory_range_count == len(theirs)

    @needs_corpus
    @each_dump
    def test_agrees_with_udmp_parser(self, path: Path) -> None:
        other = udmp_parser.UserDumpParser()
        if not other.Parse(str(path)):
            pytest.skip("the referee cannot read it")
        with Minidump(path) as dump:
            assert {thread.id: thread.teb for thread in dump.threads} == {
                number: thread.Teb for number, thread in other.Threads().items()
            }
            assert {(m.base, m.size, m.name) for m in dump.modules} == {
                (m.BaseOfImage, m.SizeOfImage, m.ModuleName) for m in other.Modules().values()
            }
            if dump.exception is not None:
                assert dump.exception.thread_id == other.ForegroundThreadId()
            # It reads no MemoryList (5); its blocks are those of the memory map.
            if len(dump.memory_info):
                assert {(info.base, info.size, info.protect) for info in dump.memory_info} == {
                    (block.BaseAddress, block.RegionSize, block.Protect) for block in other.Memory().values()
                }
            for thread in dump.threads:
                context = other.Threads()[thread.id].Context
                assert thread.instruction_pointer == getattr(context, "Rip", getattr(context, "Eip", None))
                assert thread.stack_pointer == getattr(context, "Rsp", getattr(context, "Esp", None))

    @needs_corpus
    @each_dump
    def test_every_range_can_be_read_whole(self, path: Path) -> None:
        data = path.read_bytes()
        with Minidump(path) as dump:
            for start, size, offset in (entry for listed in dump.memory_lists for entry in listed.ranges()):
                there = dump.read(start, size)
                assert there == data[offset : offset + size]
                assert b"".join(data[at : at + n] for at, n in dump.extents(start, size)) == there

    def test_a_full_memory_dump(self, wine_dump: Path, wine_truth: dict[str, Any]) -> None:
        with Minidump(wine_dump) as dump:
            read_everything(dump)
            assert dump.damage == ()
            assert dump.process.pid == wine_truth["pid"]
            assert dump.process.name == "sdev.exe"
            assert dump.process.command_line == wine_truth["cmdline"]
            assert list(dump.process.environment) == wine_truth["environment"]
            assert (dump.process.wow64, dump.process.architecture, dump.process.notes) == (False, "x64", ())
            assert [stream.name for stream in dump.streams if not stream.known] == ["0xfff0"]
            assert [stream.empty for stream in dump.streams] == [False] * 6 + [True] * 2
            assert (dump.memory_range_count, len(dump.modules), len(dump.threads)) == (52, 8, 1)
            assert dump.captured_bytes == sum(size for _, size, _ in dump.memory_lists[0].ranges())
            # Adjacent ranges are one region: the engine scans them in one go.
            assert len(dump.regions) < 52
            for key in wine_truth["rsa"]:
                modulus = int(key["n"], 16)
                stored = modulus.to_bytes(key["bits"] // 8, "little")
                assert stored in dump.read(key["va"], 0x1000)
            assert dump.module_at(dump.modules[1].base + 0x1000) == "ntdll.dll"

    def test_ranges_past_the_end_of_the_file_are_counted(self, wine_dump: Path, tmp_path: Path) -> None:
        with Minidump(wine_dump) as whole:
            third_last = whole.memory_lists[0].ranges()[-3]
        cut = tmp_path / "cut.dmp"
        with wine_dump.open("rb") as source, cut.open("wb") as target:
            target.write(source.read(third_last[2] + 0x10))
        with Minidump(cut) as dump:
            (sentence,) = dump.damage
            assert "memory list cut short: 3 of 52 ranges lie past the end of the file, 1 of them in part" in sentence
            assert dump.read(third_last[0], 0x100) == cut.read_bytes()[-0x10:]
            assert len(dump.process.environment) == 47


class TestNotADump:
    @pytest.mark.parametrize(
        ("data", "said"),
        [
            (b"", "is empty"),
            (b"MDM", "expected the signature MDMP"),
            (b"no dump of any kind, but long enough to be one", "expected the signature MDMP, found b'no d'"),
            (bytes(4096), "nothing but zeros"),
            (b"PAGEDU64" + bytes(100), "a kernel crash dump: use `dumpscan kernel`"),
            (b"\x7fELF" + bytes(100), "an ELF file"),
            (b"\xfd7zXZ\x00" + bytes(100), "an xz archive: unpack it first"),
            (b"MDMP\x93\xa7\0\0", "cut off in its header: expected 32 bytes, the file has 8"),
            (b"MDMP\x94\xa7" + bytes(100), "expected version 0xa793, found 0xa794"),
            (MinidumpBytes().finish(), "the minidump has no streams"),
        ],
        ids=lambda value: value if isinstance(value, str) else "",
    )
    def test_is_said(self, data: bytes, said: str, tmp_path: Path) -> None:
        path = tmp_path / "some.dmp"
        path.write_bytes(data)
        with pytest.raises(InputError) as caught:
            open_dump(path, kind=MINIDUMP)
        assert said in str(caught.value)
        assert str(tmp_path) in str(caught.value)

    @pytest.mark.parametrize(
        ("header", "said"),
        [
            ({"StreamDirectoryRva": 0xFFFF_FFF0}, "at offset 0xfffffff0: expected 1 streams"),
            ({"StreamDirectoryRva": 10_000}, "at offset 0x2710: expected 1 streams, that is 12 bytes"),
            ({"NumberOfStreams": 0xFFFF_FFFF}, "expected 4294967295 streams"),
            ({"NumberOfStreams": 5000}, "expected 5000 streams"),
        ],
        ids=str,
    )
    def test_directory_out_of_the_file(self, header: dict[str, int], said: str, tmp_path: Path) -> None:
        made = MinidumpBytes()
        made.system()
        made.header |= header
        with pytest.raises(InputError, match="expected") as caught:
            open_bytes(tmp_path, made.finish())
        assert said in str(caught.value)

    def test_more_streams_than_can_be_real(self, tmp_path: Path) -> None:
        made = MinidumpBytes()
        made.system()
        made.header["NumberOfStreams"] = 5000
        with pytest.raises(InputError, match="no more than 4096 streams can be real"):
            open_bytes(tmp_path, made.finish() + bytes(100_000))

    def test_no_stream_is_in_the_file(self, tmp_path: Path) -> None:
        made = MinidumpBytes()
        made.entry(kind("SystemInfo"), 56, 1_000_000)
        made.entry(kind("Unused"), 0, 0)
        with pytest.raises(InputError, match="none of its 2 streams lies within the"):
            open_bytes(tmp_path, made.finish())


class TestDamage:
    def test_directory_cut_off_after_something_usable(self, tmp_path: Path) -> None:
        made = MinidumpBytes()
        made.system(ARM64)
        made.memory((0x1000, b"memory"))
        data = bytearray(made.finish())
        directory = data[32 : 32 + 24]
        struct.pack_into("<II", data, 8, 3, len(data))  # three entries, at the end of the file, which has two
        with open_bytes(tmp_path, bytes(data + directory)) as dump:
            assert dump.read(0x1000, 6) == b"memory"
            (sentence,) = dump.damage
            assert "stream directory" in sentence
            assert "1 of 3 entries lie past the end of the file" in sentence

    def test_each_bad_stream_has_one_sentence_with_its_offset(self, tmp_path: Path) -> None:
        made = MinidumpBytes()
        made.system()
        made.entry(kind("HandleData"), 100, 0xABCDEF)
        made.entry(0xFFF0, 1000, made.end - 10)
        made.entry(0x1234, 0, 0xFFFFFFFF)
        short = made.stream("Exception", bytes(20))
        with open_bytes(tmp_path, made.finish()) as dump:
            handles, unknown, exception = dump.damage
            assert handles == "HandleData at offset 0xabcdef: its 100 bytes lie past the end of the file"
            assert unknown.startswith("0xfff0 at offset ")
            assert f"cut short, {1000 - 30} of 1000 bytes" in unknown
            assert exception == f"Exception at offset {short:#x}: expected at least 160 bytes, 20 are there"

    def test_a_stream_that_is_there_twice(self, tmp_path: Path) -> None:
        made = MinidumpBytes()
        made.system(X86)
        made.system(AMD64)
        with open_bytes(tmp_path, made.finish()) as dump:
            assert dump.system is not None
            assert dump.system.architecture == "x86"
            assert len(dump.damage) == 1
            assert "there are several" in dump.damage[0]

    def test_absent_unknown_and_empty_streams_are_none(self, tmp_path: Path) -> None:
        made = MinidumpBytes()
        made.system()
        made.entry(kind("Unused"), 0, 0)
        made.entry(kind("Unused"), 100, 0xFFFFFFFF)
        made.entry(kind("ThreadList"), 0, 0)
        made.entry(0xBEEF, 4, 32)
        with open_bytes(tmp_path, made.finish()) as dump:
            assert dump.damage == ()

    @pytest.mark.parametrize("name", ["ThreadList", "ModuleList", "MemoryList", "ThreadNames", "ThreadExList"])
    def test_counts_of_four_billion(self, name: str, tmp_path: Path) -> None:
        made = MinidumpBytes()
        made.system()
        made.stream(name, counted([bytes(108)] * 4, count=0xFFFF_FFFF))
        with open_bytes(tmp_path, made.finish()) as dump:
            read_everything(dump)
            assert any("4294967295 entries are claimed, there is room for" in sentence for sentence in dump.damage)

    def test_ranges_without_end(self, tmp_path: Path) -> None:
        made = MinidumpBytes()
        made.system()
        head = c_minidump.MINIDUMP_MEMORY64_LIST_HEADER(NumberOfMemoryRanges=2**64 - 1, BaseRva=2**64 - 8)
        made.stream("Memory64List", head.dumps() + descriptors64((2**64 - 0x1000, 2**64 - 1), (0, 2**63), (5, 0)))
        with open_bytes(tmp_path, made.finish()) as dump:
            read_everything(dump)
            assert len(dump.regions) == 0
            assert dump.damage

    def test_a_long_list_of_complaints_is_cut(self, tmp_path: Path) -> None:
        made = MinidumpBytes()
        made.system()
        made.header["NumberOfStreams"] = 301
        data = bytearray(made.finish()) + bytes(12 * 300)
        for number in range(1, 301):
            struct.pack_into("<III", data, 32 + 12 * number, 0x10000 + number, 8, 0x10000000 + number)
        struct.pack_into("<III", data, 32, kind("SystemInfo"), 56, len(data))
        with open_bytes(tmp_path, bytes(data) + bytes(56)) as dump:
            assert len(dump.damage) == 101
            assert dump.damage[-1] == "and 200 more of this kind"


class TestMemory:
    def test_reads_across_adjacent_ranges_of_both_lists(self, tmp_path: Path) -> None:
        made = MinidumpBytes()
        made.system()
        made.memory((0x3000, b"3" * 0x10), (0x1000, b"1" * 0x1000))
        made.memory64((0x2000, b"2" * 0x1000), (0x5000, b"5"))
        with open_bytes(tmp_path, made.finish()) as dump:
            assert dump.read(0x1FFE, 0x1004) == b"11" + b"2" * 0x1000 + b"33"
            assert dump.read(0x300F, 100) == b"3"
            assert dump.read(0x3010, 100) == b""
            assert len(dump.extents(0x1FFE, 0x1004)) == 3
            assert [region.start for region in dump.regions] == [0x1000, 0x2000, 0x3000, 0x5000]
            assert dump.damage == ()

    def test_the_first_listed_of_overlapping_ranges_wins(self, tmp_path: Path) -> None:
        made = MinidumpBytes()
        made.system()
        made.memory((0x1004, b"first!"), (0x1000, b"0123456789abcdef"))
        with open_bytes(tmp_path, made.finish()) as dump:
            assert dump.read(0x1000, 16) == b"0123first!abcdef"
            assert dump.captured_bytes == 16
            assert dump.memory_range_count == 2
            assert dump.damage == ()

    def test_padding_after_the_count(self, tmp_path: Path) -> None:
        made = MinidumpBytes()
        made.system()
        made.memory((0x1000, b"padded"), padding=bytes(4))
        with open_bytes(tmp_path, made.finish()) as dump:
            assert dump.read(0x1000, 6) == b"padded"
            assert dump.damage == ()

    def test_stacks_are_memory_too(self, tmp_path: Path) -> None:
        made = MinidumpBytes()
        made.system()
        stack = made.add(b"stack")
        threads = [
            c_minidump.MINIDUMP_THREAD(
                Stack=c_minidump.MINIDUMP_MEMORY_DESCRIPTOR(StartOfMemoryRange=start, Memory=location(rva, 5))
            ).dumps()
            for start, rva in ((0x7000, stack), (0x8000, 0))
        ]
        made.stream("ThreadList", counted(threads))
        with open_bytes(tmp_path, made.finish()) as dump:
            assert dump.read(0x7000, 100) == b"stack"
            assert list(dump.regions) == [Region(0x7000, 5, stack)]
            assert (dump.memory_range_count, dump.damage) == (0, ())

    def test_stacks_beside_a_list_of_all_memory_are_not_read(self, tmp_path: Path) -> None:
        """Past 4 GiB a stack's file offset, of 32 bits, is wrong; the list has the stack's bytes too."""
        made = MinidumpBytes()
        made.system()
        wrong = made.add(b"wrong")
        descriptor = c_minidump.MINIDUMP_MEMORY_DESCRIPTOR
        threads = [
            c_minidump.MINIDUMP_THREAD(Stack=descriptor(StartOfMemoryRange=start, Memory=location(wrong, 5))).dumps()
            for start in (0x7000, 0x9000)
        ]
        made.stream("ThreadList", counted(threads))
        made.memory64((0x7000, b"right"))
        with open_bytes(tmp_path, made.finish()) as dump:
            assert dump.read(0x7000, 100) == b"right"
            assert [(region.start, region.size) for region in dump.regions] == [(0x7000, 5)]
            assert (len(dump.threads), dump.damage) == (2, ())

    def test_past_four_gigabytes(self, tmp_path: Path) -> None:
        made = MinidumpBytes()
        made.system()
        size = 5 << 30
        head = c_minidump.MINIDUMP_MEMORY64_LIST_HEADER(NumberOfMemoryRanges=2, BaseRva=0x1000)
        made.stream("Memory64List", head.dumps() + descriptors64((0x10000, size), (2**40, 0x1000)))
        path = tmp_path / "large.dmp"
        path.write_bytes(made.finish())
        try:
            with path.open("r+b") as file:  # sparse: it takes no room
                file.seek(0x1000 + size - 4)
                file.write(b"last" + b"next" + bytes(0xFFC))
        except OSError:
            pytest.skip("no sparse files here")
        with Minidump(path) as dump:
            assert dump.damage == ()
            assert dump.read(0x10000 + size - 4, 8) == b"last"
            assert dump.read(2**40, 4) == b"next"
            assert dump.extents(2**40, 4) == ((0x1000 + size, 4),)
            assert dump.captured_bytes == size + 0x1000
        path.unlink()

    def test_one_range_named_over_and_over(self, tmp_path: Path) -> None:
        made = MinidumpBytes()
        made.system()
        rva = made.add(bytes(0x8000))
        descriptors = [
            c_minidump.MINIDUMP_MEMORY_DESCRIPTOR(StartOfMemoryRange=n << 20, Memory=location(rva, 0x8000)).dumps()
            for n in range(1000)
        ]
        made.stream("MemoryList", counted(descriptors))
        with open_bytes(tmp_path, made.finish()) as dump:
            assert dump.captured_bytes <= 16 * dump.size
            assert any("over and over" in sentence for sentence in dump.damage)

    def test_how_much_of_the_process_is_there(self, tmp_path: Path) -> None:
        made = MinidumpBytes()
        made.system()
        made.memory((0x1000, bytes(0x1000)))
        infos = [
            c_minidump.MINIDUMP_MEMORY_INFO(BaseAddress=base, RegionSize=0x4000, State=state).dumps()
            for base, state in ((0x1000, 0x1000), (0x5000, 0x10000), (0x9000, 0x1000))
        ]
        head = c_minidump.MINIDUMP_MEMORY_INFO_LIST(SizeOfHeader=16, SizeOfEntry=48, NumberOfEntries=3)
        made.stream("MemoryInfoList", head.dumps() + b"".join(infos))
        with open_bytes(tmp_path, made.finish()) as dump:
            assert (dump.captured_bytes, dump.committed_bytes) == (0x1000, 0x8000)

    def test_module_at(self, tmp_path: Path) -> None:
        made = MinidumpBytes()
        made.system()
        made.modules((0x5000, 0x1000, "C:\\b.dll"), (0x1000, 0x3000, "C:\\dir\\a.exe"), (0x2000, 0x9000, "/lib/c.so"))
        with open_bytes(tmp_path, made.finish()) as dump:
            at = {
                address: dump.module_at(address) for address in (0xFFF, 0x1000, 0x3FFF, 0x4000, 0x5000, 0xAFFF, 0xB000)
            }
        assert list(at.values()) == [None, "a.exe", "a.exe", "c.so", "b.dll", "c.so", None]

    @pytest.mark.parametrize(
        ("architecture", "size"), [(X86, 4), (AMD64, 8), (ARM64, 8), (5, 4), (0x8003, 8), (0x8002, 8), (6, 8), (77, 4)]
    )
    def test_pointer_size(self, architecture: int, size: int, tmp_path: Path) -> None:
        made = MinidumpBytes()
        made.system(architecture)
        with open_bytes(tmp_path, made.finish()) as dump:
            assert dump.pointer_size == size

    @pytest.mark.parametrize(("address", "size"), [(0x401000, 4), (0x7FFF_0000_0000, 8)])
    def test_pointer_size_without_a_system(self, address: int, size: int, tmp_path: Path) -> None:
        made = MinidumpBytes()
        made.memory((address, b"memory"))
        with open_bytes(tmp_path, made.finish()) as dump:
            assert dump.system is None
            assert dump.pointer_size == size


class TestClosing:
    def test_a_held_slice_does_no_harm(self, tmp_path: Path) -> None:
        made = MinidumpBytes()
        made.system()
        made.memory((0x1000, b"memory"))
        dump = open_bytes(tmp_path, made.finish())
        held = dump.buffer[dump.regions[0].file_offset :][:6]
        dump.close()
        dump.close()
        assert held == b"memory"
        del held
        gc.collect()

    def test_what_was_read_stays(self, tmp_path: Path) -> None:
        made = MinidumpBytes()
        made.system(AMD64, LINUX)
        made.stream("LinuxCmdLine", b"cat\0file\0")
        with Minidump.open(_written(tmp_path, made)) as dump:
            process = dump.process
        assert process.command_line == "cat file"
        with pytest.raises(ValueError, match="released"):
            dump.read(0, 1) or dump.buffer[0]

    def test_nothing_stays_open_when_it_is_no_dump(self, tmp_path: Path) -> None:
        (tmp_path / "no.dmp").write_bytes(b"no dump")
        descriptors = Path("/proc/self/fd")
        if not descriptors.exists():
            pytest.skip("no /proc here")
        before = len(list(descriptors.iterdir()))
        with pytest.raises(InputError):
            Minidump(tmp_path / "no.dmp")
        assert len(list(descriptors.iterdir())) == before


def _written(tmp_path: Path, made: MinidumpBytes) -> Path:
    path = tmp_path / "made.dmp"
    path.write_bytes(made.finish())
    return path


def survive(path: Path, data: bytes) -> None:
    """A damaged dump either cannot be opened, and says so, or everything in it can be asked for."""
    path.write_bytes(data)
    with contextlib.suppress(InputError), Minidump(path) as dump:
        read_everything(dump)


SMALL = [
    CORPUS / f"{name}.dmp"
    for name in (
        "breakpad-minidump2",
        "rustminidump-simple-crashpad",
        "rustminidump-linux-mini",
        "breakpad-tiny-exe-with-cet-xsave",
        "rustminidump-invalid-range",
    )
]
fuzzing = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@needs_corpus
class TestBroken:
    @pytest.mark.parametrize("path", SMALL, ids=lambda path: path.stem)
    def test_cut_off_anywhere(self, path: Path, tmp_path: Path) -> None:
        data = path.read_bytes()
        step = max(len(data) // 120, 1)
        for length in (*range(0, min(len(data), 400), 7), *range(400, len(data), step), len(data) - 1):
            survive(tmp_path / "cut.dmp", data[:length])

    @pytest.mark.parametrize("path", SMALL, ids=lambda path: path.stem)
    @given(flips=st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), min_size=1, max_size=12))
    @fuzzing
    def test_bytes_changed(self, path: Path, flips: list[tuple[float, int]], tmp_path: Path) -> None:
        data = bytearray(path.read_bytes())
        for where, value in flips:
            data[int(where * len(data))] = value
        survive(tmp_path / "changed.dmp", bytes(data))

    @pytest.mark.parametrize("path", SMALL, ids=lambda path: path.stem)
    @given(
        words=st.lists(
            st.tuples(st.integers(0, 2000), st.sampled_from([0, 1, 0x20, 0x7FFFFFFF, 0xFFFFFFFF, 0xFFFFFFF0, 0x10000])),
            min_size=1,
            max_size=6,
        )
    )
    @fuzzing
    def test_numbers_changed(self, path: Path, words: list[tuple[int, int]], tmp_path: Path) -> None:
        data = bytearray(path.read_bytes())
        for index, value in words:
            struct.pack_into("<I", data, 4 + index * 4 % (len(data) - 8), value)
        survive(tmp_path / "changed.dmp", bytes(data))
