"""Minidumps of nothing but what a stack walk needs, read by independent parsers."""

from __future__ import annotations

import io
import struct
from typing import TYPE_CHECKING, Any

import pytest
import udmp_parser
from minidump.minidumpfile import MinidumpFile  # type: ignore[import-untyped]

from dumpscan.exceptions import InputError
from dumpscan.memory.minidump.dump import Minidump
from dumpscan.model.c_minidump import c_minidump
from dumpscan.redact.run import RedactOptions, redact
from dumpscan.redact.stacks import only_stacks
from support.core_bytes import sample_core
from support.corpus import SAMPLES, corpus_dumps
from support.minidump_bytes import MinidumpBytes, counted, location

if TYPE_CHECKING:
    from pathlib import Path

SAMPLE = SAMPLES / "webserver.dmp"
SLIM = RedactOptions(only_stacks=True)
MODULE, MODULE_SIZE, STACK = 0x7FF0_0000_0000, 0x10000, 0x20000
SECRET = 0x0123_4567_89AB_CDEF


def with_stack(path: Path, *words: int) -> Path:
    """A dump with one module, and one thread whose stack holds these words."""
    dump = MinidumpBytes()
    dump.system()
    dump.modules((MODULE, MODULE_SIZE, "C:\\app.exe"))
    stack = struct.pack(f"<{len(words)}Q", *words)
    memory = c_minidump.MINIDUMP_MEMORY_DESCRIPTOR(
        StartOfMemoryRange=STACK, Memory=location(dump.add(stack), len(stack))
    )
    thread = c_minidump.MINIDUMP_THREAD(ThreadId=7, Teb=0x1000, Stack=memory)
    dump.stream("ThreadList", counted([thread.dumps()]))
    path.write_bytes(dump.finish())
    return path


def words_of(data: bytes, path: Path) -> tuple[int, ...]:
    path.write_bytes(data)
    with Minidump(path) as dump:
        stack = dump.read(STACK, 1 << 16)
    return struct.unpack(f"<{len(stack) // 8}Q", stack)


def test_only_pointers_to_modules_and_stacks_stay(tmp_path: Path) -> None:
    inside, last, past = MODULE + 0x10, MODULE + MODULE_SIZE - 1, MODULE + MODULE_SIZE
    source = with_stack(tmp_path / "a.dmp", SECRET, inside, last, past, MODULE - 1, STACK + 8, STACK - 1, 5)

    with Minidump(source) as dump:
        data, problems = only_stacks(dump)

    assert not problems
    assert words_of(data, tmp_path / "b.dmp") == (0, inside, last, 0, 0, STACK + 8, 0, 0)


def seen(path: Path) -> Any:  # noqa: ANN401 - whatever there is to compare
    with Minidump(path) as dump:
        threads = [
            (each.id, each.name, each.teb, each.instruction_pointer, each.stack_pointer) for each in dump.threads
        ]
        exception = dump.exception and (dump.exception.thread_id, dump.exception.code, dump.exception.address)
        assert not dump.damage
        return threads, dump.modules, dump.unloaded_modules, dump.system, exception


@pytest.mark.parametrize("path", [SAMPLE, *corpus_dumps()], ids=lambda path: path.name)
def test_threads_modules_and_exception_are_as_before(tmp_path: Path, path: Path) -> None:
    with Minidump(path) as dump:
        if dump.damage:
            pytest.skip("the dump is damaged")
        data, _ = only_stacks(dump)
    target = tmp_path / "slim.dmp"
    target.write_bytes(data)

    assert seen(target) == seen(path)
    assert target.stat().st_size <= path.stat().st_size + 4096


def test_independent_parsers_read_it(tmp_path: Path) -> None:
    target = tmp_path / "slim.dmp"

    redact(SAMPLE, target, SLIM)

    other, before = udmp_parser.UserDumpParser(), udmp_parser.UserDumpParser()
    assert other.Parse(str(target))
    assert before.Parse(str(SAMPLE))
    assert {number: (each.Teb, each.Context.Rip, each.Context.Rsp) for number, each in other.Threads().items()} == {
        number: (each.Teb, each.Context.Rip, each.Context.Rsp) for number, each in before.Threads().items()
    }
    assert {each.ModuleName for each in other.Modules().values()} == {
        each.ModuleName for each in before.Modules().values()
    }
    parsed = MinidumpFile.parse_buff(io.BytesIO(target.read_bytes()))
    assert len(parsed.threads.threads) == len(other.Threads())


def test_an_independent_parser_reads_the_stack(tmp_path: Path) -> None:
    with Minidump(with_stack(tmp_path / "a.dmp", SECRET, MODULE)) as dump:
        data, _ = only_stacks(dump)

    parsed = MinidumpFile.parse_buff(io.BytesIO(data))

    (segment,) = parsed.memory_segments.memory_segments
    assert (segment.start_virtual_address, segment.size) == (STACK, 16)
    assert struct.unpack_from("<QQ", data, segment.start_file_address) == (0, MODULE)


def test_nothing_else_of_the_memory_is_in_it(tmp_path: Path) -> None:
    target = tmp_path / "slim.dmp"

    report = redact(SAMPLE, target, SLIM)

    assert report.only_stacks
    assert target.stat().st_size < SAMPLE.stat().st_size // 10
    with Minidump(SAMPLE) as dump, Minidump(target) as slim:
        stacks = sum(thread.stack[1] for thread in dump.threads)
        assert slim.captured_bytes <= stacks


def test_a_core_has_no_such_copy(tmp_path: Path) -> None:
    source = tmp_path / "a.core"
    source.write_bytes(sample_core())

    with pytest.raises(InputError, match="for minidumps"):
        redact(source, tmp_path / "b.core", SLIM)

    assert list(tmp_path.iterdir()) == [source]
