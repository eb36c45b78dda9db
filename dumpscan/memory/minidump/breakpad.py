"""Streams of Google's crash reporters: Crashpad's annotations, and files of /proc that Breakpad copies."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dumpscan.memory.minidump.stream_reader import MISSING_DATA, Stream
from dumpscan.memory.records import column, decode_utf8
from dumpscan.memory.windows.values import windows_guid
from dumpscan.model.c_minidump import c_minidump

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from dumpscan.memory.minidump.stream_reader import StreamReader, Structure
    from dumpscan.memory.records import Layout, Records

# All limits are far above what real dumps have.
_MAX_ANNOTATIONS = 1 << 14
_MAX_TEXT_BYTES = 1 << 26
_MAX_STRINGS = 1 << 18

_STRING_ANNOTATION = 1
_DUMP_THREAD_VALID = 1
_REQUESTING_THREAD_VALID = 2

_MAPPING = re.compile(
    # proc(5), /proc/pid/maps: address range, permissions, offset, device, inode, path
    r"([0-9a-f]{1,16})-([0-9a-f]{1,16}) ([r-][w-][x-][sp-]) ([0-9a-f]+) [0-9a-f]+:[0-9a-f]+ \d+(?:[ \t]+(.*))?"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class CrashpadModule:
    """Annotations of one module of the process.

    Attributes:
        index: Index of the module in the module list.
        list_annotations: Plain messages.
        annotations: Annotations by name.
    """

    index: int
    list_annotations: tuple[str, ...]
    annotations: dict[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class CrashpadInfo:
    """Crashpad's own stream.

    Attributes:
        version: Version of the stream.
        report_id: GUID of the report.
        client_id: GUID of the installation that sent it.
        annotations: The process's annotations by name.
        modules: Those of its modules that have annotations.
    """

    version: int
    report_id: str
    client_id: str
    annotations: dict[str, str]
    modules: tuple[CrashpadModule, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakpadInfo:
    """Breakpad's own stream.

    Attributes:
        dump_thread_id: The thread that wrote the dump.
        requesting_thread_id: The thread that asked for it.
    """

    dump_thread_id: int | None
    requesting_thread_id: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryMapping:
    """A line of /proc/PID/maps.

    Attributes:
        start: Address of the first byte.
        end: Address past the last.
        permissions: E.g. `r-xp`.
        offset: Offset in bytes in the mapped file.
        path: Of the mapped file, or `[stack]`, `[heap]` …
    """

    start: int
    end: int
    permissions: str
    offset: int
    path: str | None

    @property
    def accessible(self) -> bool:
        """Whether the process can use it; mappings without any permission only reserve addresses."""
        return not self.permissions.startswith("---")


@dataclass(frozen=True, slots=True, kw_only=True)
class LinuxInfo:
    """What Breakpad copied from /proc and /etc on Linux; None or empty if there is no such stream.

    Attributes:
        arguments: The command line's arguments.
        environment: `NAME=value` entries.
        mappings: The memory map.
        status: /proc/PID/status, by name.
        release: /etc/lsb-release, by name.
        processor: Model of the processor.
    """

    arguments: tuple[str, ...] | None = None
    environment: tuple[str, ...] | None = None
    mappings: tuple[MemoryMapping, ...] = ()
    status: dict[str, str] | None = None
    release: dict[str, str] | None = None
    processor: str | None = None

    @property
    def process_id(self) -> int | None:
        """From the process status."""
        return self._number("Pid")

    @property
    def parent_process_id(self) -> int | None:
        """From the process status."""
        return self._number("PPid")

    @property
    def mapped_bytes(self) -> int | None:
        """Bytes of memory that the process could use."""
        if not self.mappings:
            return None
        return sum(mapping.end - mapping.start for mapping in self.mappings if mapping.accessible)

    def _number(self, name: str) -> int | None:
        text = (self.status or {}).get(name, "")
        return int(text) if re.fullmatch(r"[0-9]{1,10}", text) else None


def read_breakpad_info(reader: StreamReader, stream: Stream) -> BreakpadInfo | None:
    """Read BreakpadInfo; return None if it is too short."""
    info = reader.structure(stream, c_minidump.MINIDUMP_BREAKPAD_INFO, c_minidump.MINIDUMP_BREAKPAD_INFO.size)
    if info is None:
        return None
    validity = int(info.Validity)
    return BreakpadInfo(
        dump_thread_id=int(info.DumpThreadId) if validity & _DUMP_THREAD_VALID else None,
        requesting_thread_id=int(info.RequestingThreadId) if validity & _REQUESTING_THREAD_VALID else None,
    )


def read_crashpad_info(reader: StreamReader, stream: Stream) -> CrashpadInfo | None:
    """Read CrashpadInfo; return None if it is too short."""
    info = reader.structure(stream, c_minidump.MINIDUMP_CRASHPAD_INFO, c_minidump.MINIDUMP_CRASHPAD_INFO.size)
    if info is None:
        return None
    crashpad = _CrashpadReader(reader, stream)
    return CrashpadInfo(
        version=int(info.Version),
        report_id=windows_guid(bytes(info.ReportId)),
        client_id=windows_guid(bytes(info.ClientId)),
        annotations=crashpad.dictionary(info.SimpleAnnotations),
        modules=crashpad.modules(info.ModuleList),
    )


class _CrashpadReader:
    """Follows the locations in CrashpadInfo. The annotations that it reads are limited, however locations overlap."""

    def __init__(self, reader: StreamReader, stream: Stream) -> None:
        self._reader = reader
        self._stream = stream
        self._left = _MAX_ANNOTATIONS

    def modules(self, location: Structure) -> tuple[CrashpadModule, ...]:
        links = self._list(location, c_minidump.MINIDUMP_MODULE_CRASHPAD_INFO_LINK, "module list")
        layout = c_minidump.MINIDUMP_MODULE_CRASHPAD_INFO
        first_version = layout.fields["AnnotationObjects"].offset
        modules = []
        for index, offset, size in zip(
            column(links, "MinidumpModuleListIndex"),
            column(links, "Location", "Rva"),
            column(links, "Location", "DataSize"),
            strict=True,
        ):
            info = self._reader.structure(self._part(offset, size, "module"), layout, first_version)
            if info is not None:
                messages = self._strings(
                    self._list(info.ListAnnotations, c_minidump.MINIDUMP_RVA_LIST_ENTRY, "messages")
                )
                annotations = self.dictionary(info.SimpleAnnotations) | self._objects(info.AnnotationObjects)
                modules.append(CrashpadModule(index=index, list_annotations=messages, annotations=annotations))
        return tuple(modules)

    def dictionary(self, location: Structure) -> dict[str, str]:
        entries = self._list(location, c_minidump.MINIDUMP_SIMPLE_STRING_DICTIONARY_ENTRY, "annotations")
        keys = (self._reader.string8(offset) for offset in column(entries, "Key"))
        values = (self._reader.string8(offset) for offset in column(entries, "Value"))
        return self._pairs(keys, values)

    def _objects(self, location: Structure) -> dict[str, str]:
        entries = self._list(location, c_minidump.MINIDUMP_ANNOTATION, "annotation objects")
        entries = entries[entries["Type"] == _STRING_ANNOTATION]
        keys = (self._reader.string8(offset) for offset in column(entries, "Name"))
        values = (self._reader.string8(offset) for offset in column(entries, "Value"))
        return self._pairs(keys, values)

    def _strings(self, entries: Records) -> tuple[str, ...]:
        strings = [self._reader.string8(offset) for offset in column(entries, "Rva")]
        if None in strings:
            self._complain_of_strings()
        return tuple(string for string in strings if string is not None)

    def _pairs(self, keys: Iterator[str | None], values: Iterator[str | None]) -> dict[str, str]:
        found = {}
        for key, value in zip(keys, values, strict=True):
            if key is None or value is None:
                self._complain_of_strings()
            else:
                found[key] = value
        return found

    def _complain_of_strings(self) -> None:
        self._reader.complain(self._stream, f"some annotations are unreadable or lie {MISSING_DATA}")

    def _list(self, location: Structure, layout: Layout, name: str) -> Records:
        part = self._part(int(location.Rva), int(location.DataSize), name)
        if part.empty:
            return self._reader.no_records(layout)
        records = self._reader.counted_records(part, layout, self._left)
        self._left -= len(records)
        return records

    def _part(self, offset: int, size: int, name: str) -> Stream:
        return self._reader.stream(self._stream.type, f"{self._stream.name} {name}", offset, size)


def read_linux_info(reader: StreamReader, streams: Mapping[str, Stream]) -> LinuxInfo | None:
    """Read the files that Breakpad copied, given their streams by name; return None if there is no such stream."""

    def data(name: str) -> bytes | None:
        stream = streams.get(name)
        return None if stream is None else reader.bytes_at(stream.offset, min(stream.present, _MAX_TEXT_BYTES))

    command_line, environment = data("LinuxCmdLine"), data("LinuxEnviron")
    status, release = data("LinuxProcStatus"), data("LinuxLsbRelease")
    processor, maps = data("LinuxCpuInfo"), data("LinuxMaps")
    if all(part is None for part in (command_line, environment, status, release, processor, maps)):
        return None
    return LinuxInfo(
        arguments=None if command_line is None else _strings(command_line),
        environment=None if environment is None else tuple(filter(None, _strings(environment))),
        mappings=() if maps is None else _read_mappings(reader, streams["LinuxMaps"], maps),
        status=None if status is None else _table(status, ":"),
        release=None if release is None else _table(release, "="),
        processor=None if processor is None else _table(processor, ":").get("model name"),
    )


def _strings(data: bytes) -> tuple[str, ...]:
    """Split a file of NUL-terminated strings."""
    strings = decode_utf8(data).split("\0", _MAX_STRINGS)[:_MAX_STRINGS]
    return tuple(strings if strings[-1] else strings[:-1])


def _table(data: bytes, separator: str) -> dict[str, str]:
    """Read lines of `name: value` or `NAME="value"`; of several lines with one name, the first counts."""
    found: dict[str, str] = {}
    for line in decode_utf8(data).split("\n", _MAX_STRINGS)[:_MAX_STRINGS]:
        name, separated, value = line.partition(separator)
        if separated and not line.startswith("#"):
            found.setdefault(name.strip(), value.strip().strip('"'))
    return found


def _read_mappings(reader: StreamReader, stream: Stream, data: bytes) -> tuple[MemoryMapping, ...]:
    mappings = []
    wrong = 0
    lines = [line for line in decode_utf8(data).split("\n", _MAX_STRINGS)[:_MAX_STRINGS] if line.strip("\0")]
    for line in lines:
        match = _MAPPING.fullmatch(line)
        start, end = (int(match[1], 16), int(match[2], 16)) if match else (0, 0)
        if match is None or start >= end:
            wrong += 1
            continue
        path = (match[5] or "").strip() or None
        mappings.append(MemoryMapping(start=start, end=end, permissions=match[3], offset=int(match[4], 16), path=path))
    if wrong:
        reader.complain(stream, f"{wrong} of {len(lines)} lines are no memory mappings")
    return tuple(mappings)
