"""A minidump's threads: ThreadList or ThreadExList, with what ThreadNames, ThreadInfoList and their registers add."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from dumpscan.memory.minidump.stream_reader import MISSING_DATA
from dumpscan.memory.records import column
from dumpscan.memory.windows.values import file_time
from dumpscan.model.c_minidump import c_minidump

if TYPE_CHECKING:
    from datetime import datetime

    from dumpscan.memory.minidump.stream_reader import Stream, StreamReader
    from dumpscan.memory.records import Records

_MAX_THREADS = 1 << 17
"""Far more than any real process has."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Thread:
    """A thread.

    Attributes:
        id: Thread id.
        name: Its description, if it has one.
        teb: Address of its thread environment block; on systems other than Windows, of its counterpart, or 0.
        suspend_count: How many times it is suspended.
        priority_class: Priority class of the process.
        priority: Priority within that class.
        stack: (address, bytes, file offset) of the dumped part of its stack.
        context: (file offset, bytes) of its registers.
        instruction_pointer: Address of the instruction that it was to run next.
        stack_pointer: Top of its stack.
        start_address: Address where it began to run.
        created: Start time, UTC.
        exited: End time, UTC.
    """

    id: int
    name: str | None = None
    teb: int
    suspend_count: int
    priority_class: int
    priority: int
    stack: tuple[int, int, int]
    context: tuple[int, int]
    instruction_pointer: int | None = None
    stack_pointer: int | None = None
    start_address: int | None = None
    created: datetime | None = None
    exited: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ThreadTimes:
    """What ThreadInfoList says about a thread. Attributes as in `Thread`."""

    start_address: int
    created: datetime | None
    exited: datetime | None


def read_threads(
    reader: StreamReader,
    stream: Stream,
    *,
    architecture: str | None,
    names: dict[int, str],
    times: dict[int, ThreadTimes],
) -> tuple[Thread, ...]:
    """Read ThreadList or ThreadExList.

    Args:
        reader: Reads the file.
        stream: The list.
        architecture: The system's, which decides on the layout of the registers.
        names: Names by thread id.
        times: Times by thread id.
    """
    records = thread_records(reader, stream)
    columns = [column(records, name) for name in ("ThreadId", "Teb", "SuspendCount", "PriorityClass", "Priority")]
    stacks = zip(
        column(records, "Stack", "StartOfMemoryRange"),
        column(records, "Stack", "Memory", "DataSize"),
        column(records, "Stack", "Memory", "Rva"),
        strict=True,
    )
    contexts = zip(column(records, "ThreadContext", "Rva"), column(records, "ThreadContext", "DataSize"), strict=True)
    threads = []
    for number, teb, suspended, priority_class, priority, stack, context in zip(
        *columns, stacks, contexts, strict=True
    ):
        instruction_pointer, stack_pointer = read_pointers(reader, context[0], context[1], architecture)
        more = times.get(number)
        threads.append(
            Thread(
                id=number,
                name=names.get(number),
                teb=teb,
                suspend_count=suspended,
                priority_class=priority_class,
                priority=priority,
                stack=stack,
                context=context,
                instruction_pointer=instruction_pointer,
                stack_pointer=stack_pointer,
                start_address=more.start_address if more else None,
                created=more.created if more else None,
                exited=more.exited if more else None,
            )
        )
    return tuple(threads)


def thread_records(reader: StreamReader, stream: Stream) -> Records:
    """Read the MINIDUMP_THREADs of ThreadList or ThreadExList."""
    if stream.type == c_minidump.MINIDUMP_STREAM_TYPE.ThreadExListStream:
        return reader.counted_records(stream, c_minidump.MINIDUMP_THREAD_EX, _MAX_THREADS)["Thread"]
    return reader.counted_records(stream, c_minidump.MINIDUMP_THREAD, _MAX_THREADS)


def read_thread_names(reader: StreamReader, stream: Stream) -> dict[int, str]:
    """Read ThreadNames, by thread id."""
    records = reader.counted_records(stream, c_minidump.MINIDUMP_THREAD_NAME, _MAX_THREADS)
    names = {}
    lost = 0
    for number, offset in zip(column(records, "ThreadId"), column(records, "RvaOfThreadName"), strict=True):
        name = reader.string16(offset)
        if name:
            names[number] = name
        lost += name is None and offset != 0
    if lost:
        reader.complain(stream, f"{lost} of {len(records)} names are unreadable or lie {MISSING_DATA}")
    return names


def read_thread_times(reader: StreamReader, stream: Stream) -> dict[int, ThreadTimes]:
    """Read ThreadInfoList, by thread id."""
    records = reader.sized_records(
        stream,
        c_minidump.MINIDUMP_THREAD_INFO_LIST,
        c_minidump.MINIDUMP_THREAD_INFO,
        "NumberOfEntries",
        _MAX_THREADS,
    )
    fields = (column(records, name) for name in ("ThreadId", "StartAddress", "CreateTime", "ExitTime"))
    return {
        number: ThreadTimes(start_address=start, created=file_time(created), exited=file_time(exited))
        for number, start, created, exited in zip(*fields, strict=True)
    }


@dataclass(frozen=True, slots=True)
class _ContextLayout:
    """Where a context has its flags and pointers: (offset, size) of each, in bytes."""

    architecture: str
    flag: int
    flags: tuple[int, int]
    instruction_pointer: tuple[int, int]
    stack_pointer: tuple[int, int]


@cache
def _context_layouts() -> tuple[_ContextLayout, ...]:
    def place(layout: str, name: str) -> tuple[int, int]:
        member = getattr(c_minidump, layout).fields[name]
        return member.offset, member.type.size

    described = (
        ("x86", c_minidump.CONTEXT_i386, "CONTEXT_X86", "Eip", "Esp"),
        ("x64", c_minidump.CONTEXT_AMD64_FLAG, "CONTEXT_AMD64", "Rip", "Rsp"),
        ("arm64", c_minidump.CONTEXT_ARM64_FLAG, "CONTEXT_ARM64", "Pc", "Sp"),
        ("arm64", c_minidump.CONTEXT_BREAKPAD_ARM64, "CONTEXT_ARM64_OLD", "Pc", "Sp"),
        ("arm", c_minidump.CONTEXT_ARM_FLAG, "CONTEXT_ARM", "Pc", "Sp"),
        ("arm", c_minidump.CONTEXT_BREAKPAD_ARM, "CONTEXT_ARM", "Pc", "Sp"),
    )
    return tuple(
        _ContextLayout(
            architecture, flag, place(layout, "ContextFlags"), place(layout, instruction), place(layout, stack)
        )
        for architecture, flag, layout, instruction, stack in described
    )


def read_pointers(
    reader: StreamReader, offset: int, size: int, architecture: str | None
) -> tuple[int | None, int | None]:
    """Read the instruction and stack pointer of the registers at a file offset.

    The context's flags name the processor; a 64-bit dump of a 32-bit process may have registers of either kind.
    """

    def value(place: tuple[int, int]) -> int | None:
        data = reader.bytes_at(offset + place[0], place[1]) if sum(place) <= size and offset else b""
        return int.from_bytes(data, "little") if len(data) == place[1] else None

    own = [layout for layout in _context_layouts() if layout.architecture == architecture]
    others = [layout for layout in _context_layouts() if {layout.architecture, architecture} == {"x86", "x64"}]
    for layout in own + others:
        if (value(layout.flags) or 0) & layout.flag:
            return value(layout.instruction_pointer), value(layout.stack_pointer)
    return (value(own[0].instruction_pointer), value(own[0].stack_pointer)) if own else (None, None)
