"""Description of a minidump for `info`: plain values, dataclasses and lists."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dumpscan.findings import Process
    from dumpscan.memory.minidump.reader import MinidumpReader
    from dumpscan.memory.minidump.threads import Thread

_MAX_RANGES = 1 << 16
"""Ranges that are listed, of all lists together; `memory.ranges` counts them all."""


def describe(dump: MinidumpReader, process: Process) -> dict[str, Any]:
    """Describe a dump. Sizes are in bytes, addresses virtual, offsets those in the file; absent values are None.

    `memory.ranges` counts what the dump's lists claim and `memory_ranges` lists what they say; `memory.captured_bytes`
    is what is really there, each byte once, and `memory.captured_percent` its share of what the process had in use.
    """
    system = dump.system
    misc = dump.misc
    return {
        "size": dump.size,
        "written": dump.written,
        "flags": dump.flags,
        "comments": list(dump.comments) or None,
        "system": None if system is None else {"version": system.version, **asdict(system)},
        "process": {
            "pid": process.pid,
            "name": process.name,
            "executable": process.executable,
            "command_line": process.command_line,
            "environment_entries": len(process.environment),
            "architecture": process.architecture,
            "wow64": process.wow64,
            "session": process.session,
            "created": process.created,
            "notes": list(process.notes) or None,
        },
        "misc_info": misc,
        "exception": dump.exception,
        "memory": _memory(dump),
        "streams": [
            {
                "name": stream.name,
                "type": f"{stream.type:#x}",
                "offset": stream.offset,
                "size": stream.size,
                "state": _state(stream.size, stream.present, known=stream.known),
            }
            for stream in dump.streams
        ],
        "threads": [_thread(thread) for thread in dump.threads],
        "modules": list(dump.modules),
        "unloaded_modules": list(dump.unloaded_modules) or None,
        "memory_ranges": list(_ranges(dump)),
        "handles": list(dump.handles) or None,
        "crashpad": dump.crashpad,
        "breakpad": dump.breakpad,
        "linux": _linux(dump),
    }


def _memory(dump: MinidumpReader) -> dict[str, Any]:
    captured, committed = dump.captured_bytes, dump.committed_bytes
    return {
        "ranges": dump.memory_range_count,
        "regions": len(dump.regions),
        "captured_bytes": captured,
        "committed_bytes": committed,
        "captured_percent": round(100 * captured / committed, 1) if committed else None,
    }


def _ranges(dump: MinidumpReader) -> Iterator[dict[str, Any]]:
    left = _MAX_RANGES
    for ranges in dump.memory_lists:
        listed = ranges.ranges(left)
        left -= len(listed)
        for start, size, offset in listed:
            present = max(0, min(size, dump.size - offset))
            yield {
                "start": start,
                "size": size,
                "offset": offset,
                "list": ranges.name,
                "missing": size - present or None,
                "module": dump.module_at(start),
            }


def _state(size: int, present: int, *, known: bool) -> str:
    words = []
    if not known:
        words.append("unknown")
    if not size:
        words.append("empty")
    elif present < size:
        words.append(f"cut short: {present} bytes present")
    return ", ".join(words) or "ok"


def _thread(thread: Thread) -> dict[str, Any]:
    start, size, _offset = thread.stack
    return {
        "id": thread.id,
        "name": thread.name,
        "teb": thread.teb,
        "stack_start": start,
        "stack_size": size,
        "instruction_pointer_address": thread.instruction_pointer,
        "stack_pointer_address": thread.stack_pointer,
        "start_address": thread.start_address,
        "suspend_count": thread.suspend_count,
        "priority": thread.priority,
        "created": thread.created,
        "exited": thread.exited,
    }


def _linux(dump: MinidumpReader) -> dict[str, Any] | None:
    if dump.linux is None:
        return None
    return {
        "release": dump.linux.release,
        "processor": dump.linux.processor,
        "status": dump.linux.status,
        "mappings": len(dump.linux.mappings),
    }
