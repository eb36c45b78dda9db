"""The process that a core was taken of, put together from notes, stack and modules."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from dumpscan.findings import Process
from dumpscan.memory.core.modules import find_symbol
from dumpscan.memory.core.stack import StartArguments, read_start_arguments
from dumpscan.memory.records import decode_utf8
from dumpscan.model.c_elf import AT_ENTRY, AT_EXECFN, AT_PHDR

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dumpscan.memory.core.modules import CoreModule
    from dumpscan.memory.core.reader import CoreReader

_MAX_ENTRIES = 1 << 14
_MAX_ENTRY = 128 << 10
"""Bytes of the longest string in an environment (MAX_ARG_STRLEN of Linux)."""
_MAX_ENVIRONMENT = 8 << 20
_ENVIRON = b"environ"
_C_LIBRARIES = ("libc.so", "libc-", "ld-musl")


def describe_process(reader: CoreReader, modules: Sequence[CoreModule]) -> Process:
    """Tell what a core knows of its process; what is missing is said in its notes."""
    notes = reader.notes
    started = read_start_arguments(reader)
    executable = _executable(reader)
    environment = _current_environment(reader, modules, executable)
    told = list(started.notes)
    if started.rewritten:
        told.append("the program has written over its command line, perhaps over its environment too")
    if environment is None and started.environment:
        told.append("the environment is that of the start: where the program keeps it now is not in the core")
    command_line = _command_line(started)
    if command_line is None and notes.arguments:
        command_line = notes.arguments
        told.append("the command line is the kernel's copy, which has no more than 80 bytes")
    name = PurePosixPath(executable).name if executable else notes.name
    return Process(
        pid=notes.pid if notes.pid is not None else (notes.threads[0].id if notes.threads else None),
        name=name or notes.name,
        parent_pid=notes.parent_pid,
        executable=executable,
        command_line=command_line,
        architecture=reader.elf.machine,
        environment=environment if environment is not None else started.environment or (),
        notes=tuple(told),
    )


def _command_line(started: StartArguments) -> str | None:
    return None if started.arguments is None else " ".join(started.arguments)


def _executable(reader: CoreReader) -> str | None:
    """Return the program's path: that of the file that its entry point lies in, or the one it was started by."""
    auxv = reader.notes.auxv
    for kind in (AT_PHDR, AT_ENTRY):
        mapping = reader.mapping_at(auxv[kind]) if kind in auxv else None
        if mapping is not None:
            return mapping.path
    path = reader.read(auxv.get(AT_EXECFN, 0), 4096).split(b"\0", 1)[0]
    return decode_utf8(path) or None


def _current_environment(
    reader: CoreReader, modules: Sequence[CoreModule], executable: str | None
) -> tuple[str, ...] | None:
    """Return the environment that the C library's `environ` points to; None if that is not in the core."""
    for module in modules:
        name = PurePosixPath(module.path).name
        if not name.startswith(_C_LIBRARIES) and module.path != executable:
            continue
        symbol = find_symbol(reader, module.base, _ENVIRON)
        table = reader.word_at(symbol) if symbol else None
        if not table:
            continue
        entries = _entries(reader, table)
        if entries:
            return entries
    return None


def _entries(reader: CoreReader, table: int) -> tuple[str, ...]:
    entries: list[str] = []
    left = _MAX_ENVIRONMENT
    for number in range(_MAX_ENTRIES):
        pointer = reader.word_at(table + number * reader.pointer_size)
        if not pointer or left <= 0:
            break
        entry = _string(reader, pointer)
        left -= len(entry)
        if b"=" in entry:
            entries.append(decode_utf8(entry))
    return tuple(entries)


def _string(reader: CoreReader, address: int) -> bytes:
    for size in (256, 4096, _MAX_ENTRY):
        data = reader.read(address, size)
        if b"\0" in data or len(data) < size:
            return data.split(b"\0", 1)[0]
    return data
