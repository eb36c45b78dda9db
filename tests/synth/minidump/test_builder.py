"""Minidumps of the builder, read by two independent parsers (`minidump`, `udmp_parser`) and by our own."""

from __future__ import annotations

import io
import struct
from typing import TYPE_CHECKING, Any

import pytest
import udmp_parser
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from minidump.minidumpfile import MinidumpFile  # type: ignore[import-untyped]

from dumpscan.exceptions import ExportError, ScenarioError
from dumpscan.memory.minidump.dump import Minidump
from dumpscan.synth.filler import Mixed, Noise, Zeros
from dumpscan.synth.minidump.builder import MinidumpBuilder
from dumpscan.synth.windows.process_blocks import environment_block

if TYPE_CHECKING:
    from pathlib import Path

    from dumpscan.synth.minidump.builder import MemoryList
    from dumpscan.synth.regions import PlacedRange

# `minidump` splits an environment wrongly after an entry that ends with a non-ASCII character.
ENVIRONMENT = ["=C:=C:\\", "PATH=C:\\Windows", "NAME=λ, and more"]
COMMAND_LINE = '"C:\\app\\app.exe" --serve λ'


def referee(path: Path) -> Any:  # noqa: ANN401 -- the library has no types
    """The dump as the PyPI library `minidump` reads it, from memory: it leaves files open."""
    return MinidumpFile.parse_buff(io.BytesIO(path.read_bytes()))


def segments(dump: Any) -> list[tuple[int, int, int]]:  # noqa: ANN401 -- the library has no types
    listed = dump.memory_segments_64 or dump.memory_segments
    return [(entry.start_virtual_address, entry.size, entry.start_file_address) for entry in listed.memory_segments]


def other_referee(path: Path) -> udmp_parser.UserDumpParser:
    dump = udmp_parser.UserDumpParser()
    assert dump.Parse(path)
    return dump


def full(architecture: str, *, wow64: bool = False) -> MinidumpBuilder:
    builder = MinidumpBuilder(architecture, pid=5120, build_string="20348.1.amd64fre", wow64=wow64, misc_level=4)
    plan = builder.plan
    builder.add_module("C:\\app\\app.exe", plan.executable, 0x9000, version=(1, 2, 3, 4), pdb=("app.pdb", b"G" * 16, 2))
    builder.add_module("C:\\Windows\\ntdll.dll", plan.library, 0x200000, version=(10, 0, 20348, 1))
    builder.add_thread(100, name="main", stack=Mixed(0x4000, "stack"), instruction_pointer=plan.executable + 0x10)
    builder.add_thread(104, stack=b"stack" * 1000)
    builder.add_memory(plan.heap, Mixed(0x20000, "heap")).add_memory(plan.heap + 0x20000, Noise(12345, "more"))
    builder.plant(plan.heap + 0x20000 - 7, b"across the seam")
    builder.add_process(image_path="C:\\app\\app.exe", command_line=COMMAND_LINE, environment=ENVIRONMENT, session=3)
    builder.add_handle(4, "File", "\\Device\\Null").add_handle(8, "Event")
    builder.add_unloaded_module("C:\\old.dll", plan.executable + 0x100000, 0x5000)
    builder.add_comment("a comment λ").set_exception(104, 0xC0000005, plan.executable + 5, [1, 0xDEAD])
    return builder


@pytest.mark.parametrize("memory_list", ["memory64", "memory"])
@pytest.mark.parametrize("scatter", [False, True])
@pytest.mark.parametrize("architecture", ["x64", "x86", "wow64"])
def test_both_referees_read_all_of_it(
    tmp_path: Path, architecture: str, memory_list: MemoryList, *, scatter: bool
) -> None:
    builder = full("x86" if architecture == "x86" else "x64", wow64=architecture == "wow64")
    path = tmp_path / "a.dmp"
    placed = builder.write(path, memory_list=memory_list, scatter=scatter)
    plan = builder.plan

    dump = referee(path)
    assert segments(dump) == [(place.address, place.size, place.file_offset) for place in placed]
    assert [thread.ThreadId for thread in dump.threads.threads] == [100, 104]
    assert [(m.name, m.baseaddress, m.size) for m in dump.modules.modules] == [
        ("C:\\app\\app.exe", plan.executable, 0x9000),
        ("C:\\Windows\\ntdll.dll", plan.library, 0x200000),
    ]
    assert dump.modules.modules[0].versioninfo.dwFileVersionMS == 0x10002
    assert dump.misc_info.ProcessId == 5120
    assert (dump.sysinfo.BuildNumber, dump.sysinfo.MajorVersion) == (19045, 10)
    assert dump.comment_w.data == "a comment λ\0"
    assert [(h.TypeName, h.ObjectName) for h in dump.handles.handles] == [("File", "\\Device\\Null"), ("Event", None)]
    assert dump.exception.exception_records[0].ExceptionRecord.ExceptionInformation == [1, 0xDEAD]
    assert [module.name for module in dump.unloaded_modules.modules] == ["C:\\old.dll"]
    assert dump.peb.command_line == COMMAND_LINE
    assert [f"{entry['name']}={entry['value']}" for entry in dump.peb.environment_variables] == ENVIRONMENT
    assert dump.peb.image_path == "C:\\app\\app.exe"
    reader = dump.get_reader()
    assert reader.read(plan.heap + 0x20000 - 7, 7) + reader.read(plan.heap + 0x20000, 8) == b"across the seam"
    assert len(dump.memory_info.infos) == len(placed) + 2

    other = other_referee(path)
    threads = other.Threads()
    assert sorted(threads) == [100, 104]
    assert {base: module.SizeOfImage for base, module in other.Modules().items()} == {
        plan.executable: 0x9000,
        plan.library: 0x200000,
    }
    assert other.ForegroundThreadId() == 104
    context = threads[100].Context
    assert (context.Eip if architecture == "x86" else context.Rip) == plan.executable + 0x10
    assert threads[100].Teb == plan.teb
    if memory_list == "memory64":  # it knows no other list
        assert other.ReadMemory(plan.heap + 0x20000 - 7, 7) == list(b"across ")
        assert other.ReadMemory(plan.heap + 0x20000, 8) == list(b"the seam")


@pytest.mark.parametrize("architecture", ["x64", "x86", "arm64", "wow64"])
@pytest.mark.parametrize("memory_list", ["memory64", "memory"])
def test_our_own_reader_reads_all_of_it(tmp_path: Path, architecture: str, memory_list: MemoryList) -> None:
    builder = full(architecture.replace("wow64", "x64"), wow64=architecture == "wow64")
    placed = builder.write(tmp_path / "a.dmp", memory_list=memory_list, scatter=True)
    with Minidump(tmp_path / "a.dmp") as dump:
        assert not dump.damage
        assert sum(region.size for region in dump.regions) == sum(place.size for place in placed)
        for place in placed:
            assert dump.extents(place.address, place.size)[0][0] == place.file_offset
        process = dump.process
        assert (process.pid, process.command_line, list(process.environment)) == (5120, COMMAND_LINE, ENVIRONMENT)
        assert (process.session, process.wow64) == (3, architecture == "wow64")
        assert [(thread.id, thread.name) for thread in dump.threads] == [(100, "main"), (104, None)]
        assert dump.read(builder.plan.heap + 0x20000 - 7, 15) == b"across the seam"
        assert dump.comments == ("a comment λ",)


@pytest.mark.parametrize("split", [False, True])
def test_environment_can_span_ranges(tmp_path: Path, *, split: bool) -> None:
    environment = [f"NAME_{number}={'x' * 300}" for number in range(40)]
    builder = MinidumpBuilder().add_thread(8)
    builder.add_process(image_path="a", command_line="b", environment=environment, split_environment=split)
    builder.write(tmp_path / "a.dmp", memory_list="memory", scatter=True)
    with Minidump(tmp_path / "a.dmp") as dump:
        assert list(dump.process.environment) == environment
        block = builder.plan.environment
        assert len([r for r in dump.regions if block <= r.start < block + 0x10000]) == (
            len(environment_block(environment)) // 0x1000 + 1 if split else 1
        )


@pytest.mark.parametrize("level", [1, 2, 3, 4, 5])
def test_misc_info_levels(tmp_path: Path, level: int) -> None:
    MinidumpBuilder(pid=77, misc_level=level, build_string="build").write(tmp_path / "a.dmp")
    assert referee(tmp_path / "a.dmp").misc_info.ProcessId == 77
    content = (tmp_path / "a.dmp").read_bytes()
    streams = {kind: content[rva : rva + size] for kind, size, rva in struct.iter_unpack("<3I", content[32:104])}
    assert len(streams[15]) == (24, 44, 232, 832, 1364)[level - 1]
    assert ("build".encode("utf-16-le") in streams[15]) == (level > 3)


def test_thread_names_and_raw_streams(tmp_path: Path) -> None:
    builder = (
        MinidumpBuilder(memory_info=False).add_thread(8, name="work λ").add_stream(0xFFF0, b"raw").add_stream(0, b"")
    )
    builder.write(tmp_path / "a.dmp")
    with Minidump(tmp_path / "a.dmp") as dump:
        assert dump.threads[0].name == "work λ"
    content = (tmp_path / "a.dmp").read_bytes()
    assert content.count(b"raw") == 1
    assert other_referee(tmp_path / "a.dmp").Threads()


def ranges_strategy(*, widest: int) -> st.SearchStrategy[list[tuple[int, bytes]]]:
    """Ranges that do not overlap, many of them adjacent, in any order."""

    def lay_out(parts: list[tuple[int, bytes]], start: int) -> list[tuple[int, bytes]]:
        ranges = []
        for gap, content in parts:
            start += gap
            ranges.append((start, content))
            start += len(content)
        return ranges

    parts = st.lists(
        st.tuples(st.sampled_from([0, 0, 1, 4096, 1 << 20]), st.binary(min_size=1, max_size=200)),
        min_size=1,
        max_size=12,
    )
    return st.builds(lay_out, parts, st.integers(0x1000, widest)).flatmap(st.permutations)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)
@given(
    ranges=ranges_strategy(widest=1 << 46),
    memory_list=st.sampled_from(["memory64", "memory"]),
    scatter=st.booleans(),
    threads=st.lists(st.integers(1, 1 << 30), max_size=5, unique=True),
    modules=st.dictionaries(
        st.integers(0, 1 << 46), st.text(st.characters(min_codepoint=32, max_codepoint=126), min_size=1), max_size=5
    ),
)
def test_any_memory_reads_back(  # noqa: PLR0917 -- hypothesis gives them by name
    tmp_path: Path,
    ranges: list[tuple[int, bytes]],
    memory_list: MemoryList,
    scatter: bool,  # noqa: FBT001 -- hypothesis gives it by name
    threads: list[int],
    modules: dict[int, str],  # by base; `udmp_parser` takes one module an address, and names in ASCII only
) -> None:
    builder = MinidumpBuilder(pid=9)
    for thread in threads:
        builder.add_thread(thread)
    for base, name in modules.items():
        builder.add_module(name, base, 0x1000)
    for address, content in ranges:
        builder.add_memory(address, content)
    path = tmp_path / "a.dmp"
    builder.write(path, memory_list=memory_list, scatter=scatter)
    dump = referee(path)
    file = path.read_bytes()
    assert [(start, file[at : at + size]) for start, size, at in segments(dump)] == ranges
    assert [thread.ThreadId for thread in dump.threads.threads] == threads
    assert {module.baseaddress: module.name for module in dump.modules.modules} == modules
    other = other_referee(path)
    assert sorted(other.Threads()) == sorted(threads)
    if memory_list == "memory64":
        for address, content in ranges:
            assert other.ReadMemory(address, len(content)) == list(content)
    with Minidump(path) as ours:
        for address, content in ranges:
            assert ours.read(address, len(content)) == content


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=30)
@given(
    sizes=st.lists(st.integers(1, 50), min_size=1, max_size=10),
    at=st.integers(0, 500),
    data=st.binary(min_size=1, max_size=100),
)
def test_planting_across_any_seams(tmp_path: Path, sizes: list[int], at: int, data: bytes) -> None:
    builder = MinidumpBuilder()
    address = 0x10000
    for size in sizes:
        builder.add_memory(address, bytes(size))
        address += size
    total = sum(sizes)
    if at + len(data) > total:
        with pytest.raises(ScenarioError, match="no memory at"):
            builder.plant(0x10000 + at, data)
        return
    placed = builder.plant(0x10000 + at, data).write(tmp_path / "a.dmp", memory_list="memory", scatter=True)
    file = (tmp_path / "a.dmp").read_bytes()
    memory = b"".join(file[place.file_offset : place.file_offset + place.size] for place in placed)
    assert memory == bytes(at) + data + bytes(total - at - len(data))


def test_same_calls_same_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        full("x64").write(tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_scattered_neighbours_are_apart_in_the_file(tmp_path: Path) -> None:
    builder = MinidumpBuilder().add_memory(0x10000, b"a" * 0x1000).add_memory(0x11000, b"b" * 0x1000)
    first, second = builder.write(tmp_path / "a.dmp", memory_list="memory", scatter=True)
    assert second.file_offset + second.size < first.file_offset


def test_overlapping_ranges_are_kept_as_they_are(tmp_path: Path) -> None:
    builder = MinidumpBuilder().add_memory(0x11000, b"b" * 0x2000).add_memory(0x10000, b"a" * 0x2000)
    placed = builder.write(tmp_path / "a.dmp")
    assert segments(referee(tmp_path / "a.dmp")) == [(p.address, p.size, p.file_offset) for p in placed]


def test_huge_dump_takes_little_room(tmp_path: Path) -> None:
    """More than 32 bits of file: offsets must not wrap, and holes must stay holes."""
    path = tmp_path / "a.dmp"
    builder = MinidumpBuilder().add_memory(1 << 40, Zeros(5 << 30)).add_memory(1 << 41, b"end")
    placed: tuple[PlacedRange, ...] = builder.plant((1 << 40) + (5 << 30) - 4, b"here").write(path)
    assert path.stat().st_size > 5 << 30
    assert path.stat().st_blocks * 512 < 1 << 20
    with path.open("rb") as file:
        file.seek(placed[1].file_offset - 4)
        assert file.read() == b"hereend"
    with Minidump(path) as dump:
        assert dump.read((1 << 40) + (5 << 30) - 6, 10) == b"\0\0here"
        assert dump.read(1 << 41, 10) == b"end"
    with pytest.raises(ScenarioError, match="memory64"):
        builder.write(tmp_path / "b.dmp", memory_list="memory")
    assert not (tmp_path / "b.dmp").exists()


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: MinidumpBuilder("mips"), "unknown architecture 'mips'"),
        (lambda: MinidumpBuilder("x86", wow64=True), "WoW64"),
        (lambda: MinidumpBuilder(timestamp=1 << 32), "1970 and 2106"),
        (lambda: MinidumpBuilder(created=-1), "1970 and 2106"),
        (lambda: MinidumpBuilder("x86").add_memory((1 << 32) - 1, b"ab"), "32 bits"),
        (lambda: MinidumpBuilder().add_memory(-1, b"ab"), "64 bits"),
        (lambda: MinidumpBuilder("x86").add_module("a", 1 << 40, 1), "32 bits"),
        (lambda: MinidumpBuilder().add_unloaded_module("a", (1 << 64) - 1, 2), "64 bits"),
        (lambda: MinidumpBuilder().plant(0x1000, b"x"), "no memory at 0x1000"),
        (
            lambda: MinidumpBuilder().add_memory(0x1000, b"ab").plant(0x1001, b"xy"),
            "no memory at 0x1002 for the last 1",
        ),
    ],
)
def test_values_that_cannot_be_built_are_refused(build: Any, message: str) -> None:  # noqa: ANN401 -- any callable
    with pytest.raises(ScenarioError, match=message):
        build()


def test_threads_beyond_the_plan_need_addresses() -> None:
    builder = MinidumpBuilder()
    for number in range(32):
        builder.add_thread(number + 1)
    with pytest.raises(ScenarioError, match="32 threads"):
        builder.add_thread(33)
    builder.add_thread(33, teb=0x7000_0000, stack_address=0x7100_0000)


def test_nothing_is_written_into_a_missing_place(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ExportError, match="cannot be written"):
        MinidumpBuilder().write(tmp_path / "file" / "a.dmp")
