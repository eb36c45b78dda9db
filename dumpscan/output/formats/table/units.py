"""Values of a dump's description as people know them: flags by name, levels, offsets and versions spelled out.

Source: docs/memory-layouts.md, "Minidump".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from dumpscan.output.records import Record

DUMP_FLAGS = (
    "WithDataSegs",
    "WithFullMemory",
    "WithHandleData",
    "FilterMemory",
    "ScanMemory",
    "WithUnloadedModules",
    "WithIndirectlyReferencedMemory",
    "FilterModulePaths",
    "WithProcessThreadData",
    "WithPrivateReadWriteMemory",
    "WithoutOptionalData",
    "WithFullMemoryInfo",
    "WithThreadInfo",
    "WithCodeSegs",
    "WithoutAuxiliaryState",
    "WithFullAuxiliaryState",
    "WithPrivateWriteCopyMemory",
    "IgnoreInaccessibleMemory",
    "WithTokenInformation",
    "WithModuleHeaders",
    "FilterTriage",
    "WithAvxXStateContext",
    "WithIptTrace",
    "ScanInaccessiblePartialPages",
    "FilterWriteCombinedMemory",
)
"""MINIDUMP_TYPE from bit 0 on, without `MiniDump`."""

_LEVELS = (
    (0x5000, "protected process"),
    (0x4000, "System"),
    (0x3000, "High"),
    (0x2100, "Medium plus"),
    (0x2000, "Medium"),
    (0x1000, "Low"),
    (0x0000, "Untrusted"),
)
"""Mandatory integrity levels, each up to the next."""

_EXCEPTIONS = {
    0x80000003: "breakpoint",
    0xC0000005: "access violation",
    0xC0000006: "in-page error",
    0xC000001D: "illegal instruction",
    0xC0000094: "integer division by zero",
    0xC00000FD: "stack overflow",
    0xC0000374: "heap corruption",
    0xC0000409: "stack buffer overrun, or fail fast",
    0xE0434352: ".NET exception",
    0xE06D7363: "C++ exception",
}
"""Exception codes of Windows that end programs (`ntstatus.h`; the last two are those of the runtimes)."""

_REDUNDANT = {"major", "minor", "build"}
"""Parts of the version, which stands above them."""


def dump_flags(value: int) -> str:
    """Return the names of a minidump's flags."""
    named = [name for bit, name in enumerate(DUMP_FLAGS) if value >> bit & 1]
    rest = value >> len(DUMP_FLAGS) << len(DUMP_FLAGS)
    return f"{', '.join((*named, *((f'{rest:#x}',) if rest else ()))) or 'Normal'} ({value:#x})"


def integrity_level(value: int) -> str:
    """Return the name of a process's integrity level."""
    return f"{next((name for least, name in _LEVELS if value >= least), 'unknown')} ({value:#x})"


def exception_code(value: int) -> str:
    """Return an exception's code, with its name if it is one of Windows' own that is well known."""
    name = _EXCEPTIONS.get(value)
    return f"{value:#x} ({name})" if name else f"{value:#x}"


def utc_offset(minutes: int) -> str:
    """Return an offset from UTC as clocks show it: `+01:00`."""
    hours, rest = divmod(abs(minutes), 60)
    return f"{'-' if minutes < 0 else '+'}{hours:02}:{rest:02}"


_SPELLED: dict[tuple[str, str], Callable[[int], str]] = {
    ("minidump", "flags"): dump_flags,
    ("misc_info", "integrity_level"): integrity_level,
    ("misc_info", "utc_offset"): utc_offset,
    ("exception", "code"): exception_code,
}
"""By the name of the document that holds the value, and its own."""


def spelled(name: str, document: Record) -> Record:
    """Return a document with its values as people know them; `name` is its own in what holds it."""
    found: dict[str, Any] = {}
    for field, value in document.items():
        spell = _SPELLED.get((name, field))
        redundant = field in _REDUNDANT and isinstance(value, int) and "version" in document
        if field == "processor_level":
            found |= _processor(document)
        elif (name, field) == ("exception", "context"):
            found[field] = f"{value[1]} bytes at file offset {value[0]:#x}"
        elif field != "processor_revision" and not redundant:
            found[field] = spell(value) if spell is not None and isinstance(value, int) else value
    return found


def _processor(system: Record) -> Record:
    """Return a processor's family, model and stepping, where its architecture has them."""
    level, revision = system["processor_level"], system.get("processor_revision", 0)
    if system.get("architecture") not in {"x86", "x64"}:
        return {"processor_level": level, "processor_revision": f"{revision:#x}"}
    return {"processor": f"family {level}, model {revision >> 8}, stepping {revision & 0xFF}"}
