"""Windows' minidump streams as typed records: modules, memory map, exception, handles, comments.

Layouts and their sources are in `dumpscan.model.c_minidump`. Every function takes a `StreamReader` and a `Stream`,
returns what it could read, and reports the rest to the reader.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, overload

import numpy as np

from dumpscan.memory.minidump.stream_reader import MISSING_DATA, Stream, StreamReader
from dumpscan.memory.records import column, decode_utf16, exact_sum
from dumpscan.memory.windows.values import windows_guid
from dumpscan.model.c_minidump import c_minidump

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dumpscan.memory.records import Records

# Far more than any real process has; a file of a few MiB must not become gigabytes of records.
_MAX_MODULES = 1 << 16
_MAX_HANDLES = 1 << 18
_MAX_MEMORY_INFO = 1 << 22
_MAX_COMMENT_BYTES = 1 << 20

_WRITABLE = np.uint32(
    c_minidump.PAGE_READWRITE
    | c_minidump.PAGE_WRITECOPY
    | c_minidump.PAGE_EXECUTE_READWRITE
    | c_minidump.PAGE_EXECUTE_WRITECOPY
)

_PDB70 = b"RSDS"
_PDB20 = b"NB10"
_ELF_BUILD_ID = b"LEpB"
_MAX_BUILD_ID_BYTES = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Module:
    """A loaded program or library.

    Attributes:
        name: Path of its file on the system of the process.
        base: Address of its first byte.
        size: Bytes in memory.
        timestamp: Link time in its header (seconds since 1970, or a hash of the build).
        checksum: Checksum in its header.
        version: File version, e.g. `10.0.19041.1`.
        debug_file: Name of its debug information: a PDB, or the module itself.
        debug_id: GUID of the PDB, UUID of a Mach-O file, or the 32-bit signature of an old PDB, in hexadecimal.
        debug_age: Age of the PDB.
        build_id: ELF build id, hexadecimal.
    """

    name: str | None
    base: int
    size: int
    timestamp: int
    checksum: int
    version: str | None = None
    debug_file: str | None = None
    debug_id: str | None = None
    debug_age: int | None = None
    build_id: str | None = None

    @property
    def file_name(self) -> str | None:
        """Last component of the name, after a slash or a backslash."""
        return file_name(self.name)


@dataclass(frozen=True, slots=True, kw_only=True)
class UnloadedModule:
    """A module that the process had unloaded. Attributes as in `Module`."""

    name: str | None
    base: int
    size: int
    timestamp: int
    checksum: int


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryInfo:
    """A run of pages of the process with the same state and protection. The dump need not hold them.

    Attributes:
        base: Address of the first byte.
        size: Bytes.
        allocation_base: Address of the allocation that the pages belong to.
        allocation_protect: Protection when they were allocated, as in `protect`.
        state: 0x1000 committed, 0x2000 reserved, 0x10000 free.
        protect: Windows' PAGE_ constants.
        type: 0x20000 private, 0x40000 mapped, 0x1000000 image.
    """

    base: int
    size: int
    allocation_base: int
    allocation_protect: int
    state: int
    protect: int
    type: int

    @property
    def committed(self) -> bool:
        """Whether the pages have storage behind them."""
        return bool(self.state == c_minidump.MEM_COMMIT)


class MemoryInfoList(Sequence[MemoryInfo]):
    """The memory map of the process, kept as an array: a process can have a million entries."""

    def __init__(self, records: Records) -> None:
        self._records = records
        sizes = records["RegionSize"][records["State"] == c_minidump.MEM_COMMIT]
        self.committed_bytes = exact_sum(sizes)

    def __len__(self) -> int:
        return len(self._records)

    @property
    def read_only_files(self) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
        """The ranges of images and of other mapped files that cannot be written: where they begin and end."""
        records = self._records
        writable = records["Protect"] & _WRITABLE != 0
        kept = ~writable & np.isin(records["Type"], (c_minidump.MEM_MAPPED, c_minidump.MEM_IMAGE))
        kept &= records["State"] == c_minidump.MEM_COMMIT
        begins = records["BaseAddress"][kept].astype(np.uint64)
        sizes = records["RegionSize"][kept].astype(np.uint64)
        return begins, begins + np.minimum(sizes, ~begins)

    @overload
    def __getitem__(self, index: int) -> MemoryInfo: ...
    @overload
    def __getitem__(self, index: slice) -> list[MemoryInfo]: ...
    def __getitem__(self, index: int | slice) -> MemoryInfo | list[MemoryInfo]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        record = self._records[index]
        return MemoryInfo(
            base=int(record["BaseAddress"]),
            size=int(record["RegionSize"]),
            allocation_base=int(record["AllocationBase"]),
            allocation_protect=int(record["AllocationProtect"]),
            state=int(record["State"]),
            protect=int(record["Protect"]),
            type=int(record["Type"]),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ExceptionInfo:
    """Why the dump was taken.

    Attributes:
        thread_id: The thread in which the exception occurred.
        code: Exception code on Windows, signal number on Linux, Mach exception on macOS.
        flags: Flags of the exception.
        address: Address at which it occurred.
        parameters: Further numbers, whose meaning depends on the code.
        context: (file offset, size) of the thread's registers at that moment.
    """

    thread_id: int
    code: int
    flags: int
    address: int
    parameters: tuple[int, ...]
    context: tuple[int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Handle:
    """An open handle.

    Attributes:
        value: The handle.
        type_name: `File`, `Key`, `Event` …
        object_name: Name of the object, if it has one.
        attributes: Attributes of the handle.
        granted_access: Access mask.
        handle_count: Handles to the object.
        pointer_count: References to the object.
    """

    value: int
    type_name: str | None
    object_name: str | None
    attributes: int
    granted_access: int
    handle_count: int
    pointer_count: int


def read_modules(reader: StreamReader, stream: Stream) -> tuple[Module, ...]:
    """Read ModuleList."""
    records = reader.counted_records(stream, c_minidump.MINIDUMP_MODULE, _MAX_MODULES)
    names = read_names(reader, stream, column(records, "ModuleNameRva"))
    columns = [column(records, name) for name in ("BaseOfImage", "SizeOfImage", "TimeDateStamp", "CheckSum")]
    versions = [column(records, "VersionInfo", name) for name in ("dwSignature", "dwFileVersionMS", "dwFileVersionLS")]
    debug = [column(records, "CvRecord", name) for name in ("Rva", "DataSize")]
    modules = []
    for name, base, size, timestamp, checksum, signature, high, low, offset, length in zip(
        names, *columns, *versions, *debug, strict=True
    ):
        # Crashpad writes a record of zeros for a module without a version.
        versioned = signature == c_minidump.VS_FFI_SIGNATURE and (high or low)
        modules.append(
            Module(
                name=name,
                base=base,
                size=size,
                timestamp=timestamp,
                checksum=checksum,
                version=f"{high >> 16}.{high & 0xFFFF}.{low >> 16}.{low & 0xFFFF}" if versioned else None,
                **_read_debug_record(reader, offset, length),
            )
        )
    return tuple(modules)


def _read_debug_record(reader: StreamReader, offset: int, size: int) -> dict[str, Any]:
    """Read a module's CodeView record, which names its debug information."""
    head = reader.bytes_at(offset, min(size, c_minidump.CV_INFO_PDB70.size))
    if head.startswith(_PDB70) and len(head) == c_minidump.CV_INFO_PDB70.size:
        record = c_minidump.CV_INFO_PDB70(head)
        identity, age = windows_guid(bytes(record.Signature)), int(record.Age)
    elif head.startswith(_PDB20) and len(head) >= c_minidump.CV_INFO_PDB20.size:
        record = c_minidump.CV_INFO_PDB20(head)
        identity, age = f"{int(record.Signature):08X}", int(record.Age)
    elif head.startswith(_ELF_BUILD_ID):
        build_id = reader.bytes_at(offset + len(_ELF_BUILD_ID), min(size - len(_ELF_BUILD_ID), _MAX_BUILD_ID_BYTES))
        return {"build_id": build_id.hex()}
    else:
        return {}
    name = reader.text_at(offset + len(record), size - len(record))
    return {"debug_file": name or None, "debug_id": identity, "debug_age": age}


def read_unloaded_modules(reader: StreamReader, stream: Stream) -> tuple[UnloadedModule, ...]:
    """Read UnloadedModuleList."""
    records = reader.sized_records(
        stream,
        c_minidump.MINIDUMP_UNLOADED_MODULE_LIST,
        c_minidump.MINIDUMP_UNLOADED_MODULE,
        "NumberOfEntries",
        _MAX_MODULES,
    )
    names = read_names(reader, stream, column(records, "ModuleNameRva"))
    fields = (column(records, name) for name in ("BaseOfImage", "SizeOfImage", "TimeDateStamp", "CheckSum"))
    return tuple(
        UnloadedModule(name=name, base=base, size=size, timestamp=timestamp, checksum=checksum)
        for name, base, size, timestamp, checksum in zip(names, *fields, strict=True)
    )


def read_memory_info(reader: StreamReader, stream: Stream) -> MemoryInfoList:
    """Read MemoryInfoList."""
    return MemoryInfoList(
        reader.sized_records(
            stream,
            c_minidump.MINIDUMP_MEMORY_INFO_LIST,
            c_minidump.MINIDUMP_MEMORY_INFO,
            "NumberOfEntries",
            _MAX_MEMORY_INFO,
        )
    )


def read_exception(reader: StreamReader, stream: Stream) -> ExceptionInfo | None:
    """Read the Exception stream; return None if it is too short."""
    layout = c_minidump.MINIDUMP_EXCEPTION_STREAM
    info = reader.structure(stream, layout, layout.size - c_minidump.MINIDUMP_LOCATION_DESCRIPTOR.size)
    if info is None:
        return None
    record = info.ExceptionRecord
    return ExceptionInfo(
        thread_id=int(info.ThreadId),
        code=int(record.ExceptionCode),
        flags=int(record.ExceptionFlags),
        address=int(record.ExceptionAddress),
        parameters=tuple(int(value) for value in record.ExceptionInformation[: int(record.NumberParameters)]),
        context=(int(info.ThreadContext.Rva), int(info.ThreadContext.DataSize)),
    )


def read_handles(reader: StreamReader, stream: Stream) -> tuple[Handle, ...]:
    """Read HandleData, of either version."""
    records = reader.sized_records(
        stream,
        c_minidump.MINIDUMP_HANDLE_DATA_STREAM,
        c_minidump.MINIDUMP_HANDLE_DESCRIPTOR,
        "NumberOfDescriptors",
        _MAX_HANDLES,
    )
    kinds = read_names(reader, stream, column(records, "TypeNameRva"))
    names = read_names(reader, stream, column(records, "ObjectNameRva"))
    fields = ("Handle", "Attributes", "GrantedAccess", "HandleCount", "PointerCount")
    return tuple(
        Handle(
            type_name=kind,
            object_name=name,
            value=value,
            attributes=attributes,
            granted_access=access,
            handle_count=handles,
            pointer_count=pointers,
        )
        for kind, name, value, attributes, access, handles, pointers in zip(
            kinds, names, *(column(records, field) for field in fields), strict=True
        )
    )


def read_comment(reader: StreamReader, stream: Stream) -> str:
    """Read CommentW, or CommentA, whose code page is not known: it is read as UTF-8, or else as Windows-1252."""
    data = reader.bytes_at(stream.offset, min(stream.present, _MAX_COMMENT_BYTES))
    if stream.type == c_minidump.MINIDUMP_STREAM_TYPE.CommentStreamW:
        return decode_utf16(data).split("\0", 1)[0]
    data = data.split(b"\0", 1)[0]
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data.decode("cp1252", "replace")


def read_names(reader: StreamReader, stream: Stream, offsets: list[int]) -> list[str | None]:
    """Read the strings at some file offsets (0 for none), each once, however often it is named."""
    known: dict[int, str] = {}
    names: list[str | None] = []
    for offset in offsets:
        name = known.get(offset)
        if name is None:
            name = reader.string16(offset)
            if name is not None:
                known[offset] = name
        elif not reader.afford(name):
            name = None
        names.append(name)
    if lost := sum(1 for offset, name in zip(offsets, names, strict=True) if offset and name is None):
        reader.complain(stream, f"{lost} of {len(offsets)} names are unreadable or lie {MISSING_DATA}")
    return names


def file_name(path: str | None) -> str | None:
    """Return the last component of a Windows or Unix path, or None if there is none."""
    return path.replace("\\", "/").rsplit("/", 1)[-1] or None if path else None
