"""A minidump of nothing but what a stack walk needs: threads, registers, modules, the exception, and stacks.

Of a stack, the words stay that point into a module or a stack, and all others become zero: return addresses, saved
frame pointers and pointers between frames are kept, whatever data lay beside them is not.

Source: docs/memory-layouts.md, "Minidump".
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any

import numpy as np

from dumpscan.memory.minidump.stream_reader import StreamReader
from dumpscan.memory.minidump.threads import thread_records
from dumpscan.memory.records import record_type
from dumpscan.model.c_minidump import SIGNATURE, c_minidump

if TYPE_CHECKING:
    from collections.abc import Callable

    from dumpscan.memory.minidump.dump import Minidump
    from dumpscan.memory.minidump.stream_reader import Stream
    from dumpscan.memory.records import Layout, Records

MAX_STACK = 16 << 20
"""Bytes kept of one stack: Windows reserves 1 MiB for a thread, Linux 8."""
MAX_STACKS = 1 << 30
"""Bytes kept of all stacks."""
MAX_STREAM = 64 << 20
MAX_RECORDS = 1 << 17
_MAX_STRING = 0x10000
_MAX_DEBUG_RECORD = 4096
_MAX_CONTEXT = 64 << 10

_PLAIN = (
    "MiscInfo",
    "ThreadInfoList",
    "MemoryInfoList",
    "BreakpadInfo",
    "LinuxCpuInfo",
    "LinuxLsbRelease",
    "LinuxMaps",
)
"""Streams without offsets into the file and without data of the program. Their texts are those of the system."""


class _Writer:
    """A minidump that grows: room for its header and directory, then whatever is added."""

    def __init__(self, streams: int) -> None:
        self.body = bytearray(c_minidump.MINIDUMP_HEADER.size + streams * c_minidump.MINIDUMP_DIRECTORY.size)
        self.directory: list[tuple[int, int, int]] = []

    def add(self, data: bytes) -> int:
        """Add bytes at a multiple of 8; return their offset in the file."""
        self.body += bytes(-len(self.body) % 8)
        offset = len(self.body)
        self.body += data
        return offset

    def stream(self, kind: int, data: bytes) -> None:
        """Add a stream."""
        offset = self.add(data)
        self.directory.append((kind, len(data), offset))

    def finish(self, written: int, flags: int) -> bytes:
        """Return the dump."""
        header = c_minidump.MINIDUMP_HEADER(
            Signature=SIGNATURE,
            Version=0xA793,
            NumberOfStreams=len(self.directory),
            StreamDirectoryRva=c_minidump.MINIDUMP_HEADER.size,
            TimeDateStamp=written,
            Flags=flags,
        ).dumps()
        entries = b"".join(struct.pack("<III", *entry) for entry in self.directory)
        self.body[: len(header) + len(entries)] = header + entries
        return bytes(self.body)


class _Slim:
    """Copies what is kept of a dump into a new one."""

    def __init__(self, dump: Minidump) -> None:
        self.dump = dump
        self.reader = StreamReader(dump.buffer)
        self.streams: dict[str, Stream] = {}
        for stream in dump.streams:
            if stream.present and not stream.empty:
                self.streams.setdefault(stream.name, stream)
        self.writer = _Writer(len(_PLAIN) + len(_MADE) + 1)
        self.stacks: dict[tuple[int, int], int] = {}
        self.left_out = 0
        self._room = MAX_STACKS
        self._kept = _kept_ranges(dump)

    def write(self) -> bytes:
        for name in _PLAIN:
            if name in self.streams:
                stream = self.streams[name]
                data = self.reader.bytes_at(stream.offset, min(stream.present, MAX_STREAM))
                self.writer.stream(stream.type, data)
        for name, make in _MADE.items():
            if name in self.streams:
                self.writer.stream(self.streams[name].type, make(self, self.streams[name]))
        descriptors = b"".join(
            struct.pack("<QII", start, size, offset) for (start, size), offset in sorted(self.stacks.items())
        )
        memory_list = int(c_minidump.MINIDUMP_STREAM_TYPE.MemoryListStream)
        self.writer.stream(memory_list, struct.pack("<I", len(self.stacks)) + descriptors)
        written = self.dump.written
        return self.writer.finish(int(written.timestamp()) if written else 0, 0)

    def string(self, offset: int) -> int:
        """Copy a MINIDUMP_STRING; return its new offset, 0 for none."""
        size = self.reader.integer_at(offset) if offset else None
        if size is None or size > _MAX_STRING:
            return 0
        return self.writer.add(self.reader.bytes_at(offset, 4 + size) + b"\0\0")

    def piece(self, offset: int, size: int, most: int) -> tuple[int, int]:
        """Copy bytes; return their new offset and size."""
        data = self.reader.bytes_at(offset, min(size, most)) if offset else b""
        return (self.writer.add(data), len(data)) if data else (0, 0)

    def stack(self, start: int, size: int) -> tuple[int, int]:
        """Copy what is kept of a stack; return its offset and size."""
        size = min(size, MAX_STACK, self._room)
        data = self.dump.read(start, size) if size > 0 else b""
        if not data:
            self.left_out += size != 0
            return 0, 0
        if (start, len(data)) not in self.stacks:
            self.stacks[start, len(data)] = self.writer.add(self._pointers_of(start, data))
            self._room -= len(data)
        return self.stacks[start, len(data)], len(data)

    def _pointers_of(self, start: int, data: bytes) -> bytes:
        """Return a stack's bytes with every word made zero that does not point into a module or a stack."""
        size = self.dump.pointer_size
        lead = -start % size
        count = max(len(data) - lead, 0) // size
        words = np.frombuffer(data, f"<u{size}", count, lead).astype(np.uint64) if count else np.zeros(0, np.uint64)
        starts, ends = self._kept
        at = np.searchsorted(starts, words, side="right")
        inside = (at > 0) & (words < ends[np.maximum(at, 1) - 1]) if len(starts) else np.zeros(count, np.bool_)
        kept = np.where(inside, words, np.uint64(0)).astype(f"<u{size}").tobytes()
        return bytes(lead) + kept + bytes(len(data) - lead - len(kept))


def _kept_ranges(dump: Minidump) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Return starts and ends of modules and stacks, by ascending start; each end is the furthest up to there."""
    ranges = sorted(
        [(module.base, module.base + module.size) for module in dump.modules if module.size]
        + [(thread.stack[0], thread.stack[0] + thread.stack[1]) for thread in dump.threads if thread.stack[1]]
    )
    most = (1 << 64) - 1
    starts = np.array([min(start, most) for start, _ in ranges], np.uint64)
    ends = np.array([min(end, most) for _, end in ranges], np.uint64)
    return starts, np.maximum.accumulate(ends) if len(ends) else ends


def _system(slim: _Slim, stream: Stream) -> bytes:
    layout = c_minidump.MINIDUMP_SYSTEM_INFO
    records = _records(slim, stream, layout)
    records["CSDVersionRva"] = [slim.string(offset) for offset in records["CSDVersionRva"].tolist()]
    return records.tobytes()


def _records(slim: _Slim, stream: Stream, layout: Layout) -> Records:
    """Return the one record that a stream is."""
    data = slim.reader.bytes_at(stream.offset, min(stream.present, layout.size))
    return np.frombuffer(data.ljust(layout.size, b"\0"), record_type(layout)).copy()


def _threads(slim: _Slim, stream: Stream) -> bytes:
    records = thread_records(slim.reader, stream).copy()
    stacks, contexts = records["Stack"], records["ThreadContext"]
    places = [
        slim.stack(start, size)
        for start, size in zip(
            stacks["StartOfMemoryRange"].tolist(), stacks["Memory"]["DataSize"].tolist(), strict=True
        )
    ]
    stacks["Memory"]["Rva"] = [offset for offset, _ in places]
    stacks["Memory"]["DataSize"] = [size for _, size in places]
    _move(slim, contexts, _MAX_CONTEXT)
    layout = c_minidump.MINIDUMP_THREAD
    if stream.type == c_minidump.MINIDUMP_STREAM_TYPE.ThreadExListStream:
        whole = np.zeros(len(records), record_type(c_minidump.MINIDUMP_THREAD_EX))
        whole["Thread"] = records
        return struct.pack("<I", len(whole)) + whole.tobytes()
    return struct.pack("<I", len(records)) + records.astype(record_type(layout)).tobytes()


def _move(slim: _Slim, locations: Records, most: int) -> None:
    """Copy what locations lead to, and let them lead to the copies."""
    places = [
        slim.piece(offset, size, most)
        for offset, size in zip(locations["Rva"].tolist(), locations["DataSize"].tolist(), strict=True)
    ]
    locations["Rva"] = [offset for offset, _ in places]
    locations["DataSize"] = [size for _, size in places]


def _thread_names(slim: _Slim, stream: Stream) -> bytes:
    records = slim.reader.counted_records(stream, c_minidump.MINIDUMP_THREAD_NAME, MAX_RECORDS)
    records["RvaOfThreadName"] = [slim.string(offset) for offset in records["RvaOfThreadName"].tolist()]
    return struct.pack("<I", len(records)) + records.tobytes()


def _modules(slim: _Slim, stream: Stream) -> bytes:
    records = slim.reader.counted_records(stream, c_minidump.MINIDUMP_MODULE, MAX_RECORDS)
    records["ModuleNameRva"] = [slim.string(offset) for offset in records["ModuleNameRva"].tolist()]
    _move(slim, records["CvRecord"], _MAX_DEBUG_RECORD)
    _move(slim, records["MiscRecord"], _MAX_DEBUG_RECORD)
    return struct.pack("<I", len(records)) + records.tobytes()


def _unloaded_modules(slim: _Slim, stream: Stream) -> bytes:
    header, layout = c_minidump.MINIDUMP_UNLOADED_MODULE_LIST, c_minidump.MINIDUMP_UNLOADED_MODULE
    records = slim.reader.sized_records(stream, header, layout, "NumberOfEntries", MAX_RECORDS)
    records["ModuleNameRva"] = [slim.string(offset) for offset in records["ModuleNameRva"].tolist()]
    return struct.pack("<III", header.size, layout.size, len(records)) + records.tobytes()


def _exception(slim: _Slim, stream: Stream) -> bytes:
    records = _records(slim, stream, c_minidump.MINIDUMP_EXCEPTION_STREAM)
    _move(slim, records["ThreadContext"], _MAX_CONTEXT)
    return records.tobytes()


_MADE: dict[str, Callable[[_Slim, Stream], bytes]] = {
    "SystemInfo": _system,
    "ThreadList": _threads,
    "ThreadExList": _threads,
    "ThreadNames": _thread_names,
    "ModuleList": _modules,
    "UnloadedModuleList": _unloaded_modules,
    "Exception": _exception,
}
"""Streams with offsets into the file, which are written anew."""


def only_stacks(dump: Minidump) -> tuple[bytes, tuple[str, ...]]:
    """Return a minidump of a dump's threads, registers, modules, exception and stacks, and what is missing in it."""
    slim = _Slim(dump)
    data = slim.write()
    missing = slim.left_out
    return data, (f"{missing} of {len(dump.threads)} stacks are not in the dump",) if missing else ()
