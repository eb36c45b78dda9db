"""What a process core says of itself, as one description of plain values: for `core info`."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from dumpscan.findings import Process
    from dumpscan.memory.core.modules import CoreModule
    from dumpscan.memory.core.reader import CoreReader

_MAX_LISTED = 1 << 16
"""Segments, files and threads that are listed of each; `memory` counts them all."""


def describe(reader: CoreReader, process: Process, modules: Sequence[CoreModule]) -> dict[str, Any]:
    """Describe a core: sizes in bytes, addresses virtual, offsets from the file's beginning. What is absent is None."""
    notes, elf = reader.notes, reader.elf
    loads = elf.loads
    cut = int(np.count_nonzero(loads["p_filesz"] < loads["p_memsz"]))
    return {
        "size": reader.size,
        "architecture": elf.machine,
        "word_bits": elf.word_size * 8,
        "byte_order": "little-endian" if elf.byte_order == "<" else "big-endian",
        "process": {
            "pid": process.pid,
            "parent_pid": process.parent_pid,
            "user_id": notes.uid,
            "group_id": notes.gid,
            "name": process.name,
            "kernel_name": notes.name,
            "executable": process.executable,
            "command_line": process.command_line,
            "environment_entries": len(process.environment),
            "notes": list(process.notes) or None,
        },
        "signal": None
        if notes.signal is None
        else {
            "number": notes.signal,
            "name": _signal_name(notes.signal),
            "signal_code": notes.signal_code,
            "signal_address": notes.signal_address,
        },
        "memory": {
            "segments": len(loads),
            "segments_not_whole": cut,
            "regions": len(reader.regions),
            "mapped_bytes": reader.mapped_bytes,
            "captured_bytes": reader.searchable_bytes,
            "captured_percent": round(100 * reader.searchable_bytes / reader.mapped_bytes, 1)
            if reader.mapped_bytes
            else None,
        },
        "threads": [
            {
                "id": thread.id,
                "signal": thread.signal or None,
                "instruction_pointer_address": thread.pc,
                "stack_pointer_address": thread.sp,
            }
            for thread in notes.threads[:_MAX_LISTED]
        ],
        "modules": [
            {
                "name": module.path,
                "base": module.base,
                "size": module.size,
                "build_id": module.build_id,
                "deleted": module.deleted or None,
            }
            for module in modules
        ],
        "mapped_files": [
            {"path": each.path, "start": each.start, "size": each.end - each.start, "offset": each.offset}
            for each in notes.files[:_MAX_LISTED]
        ],
        "memory_segments": list(_segments(reader)),
    }


def _segments(reader: CoreReader) -> Iterator[dict[str, Any]]:
    for load in reader.elf.loads[:_MAX_LISTED]:
        start, size, there = int(load["p_vaddr"]), int(load["p_memsz"]), int(load["p_filesz"])
        flags = int(load["p_flags"])
        yield {
            "start": start,
            "size": max(size, there),
            "offset": int(load["p_offset"]),
            "access": "".join(letter if flags & bit else "-" for letter, bit in (("r", 4), ("w", 2), ("x", 1))),
            "not_dumped_bytes": max(size - there, 0) or None,
            "module": reader.module_at(start),
        }


def _signal_name(number: int) -> str | None:
    try:
        return signal.Signals(number).name
    except ValueError:
        return None
