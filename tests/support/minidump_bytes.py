"""Minidumps for tests, put together byte by byte from the memory model: what reality does not offer."""

from __future__ import annotations

import struct
from typing import Any

from dumpscan.model.c_minidump import SIGNATURE, VERSION, c_minidump

X86, ARM, AMD64, ARM64 = 0, 5, 9, 12
WINDOWS, MACOS, LINUX = 2, 0x8101, 0x8201
_DIRECTORY_ENTRIES = 32

Field = Any  # a number, bytes, or a structure of dissect.cstruct, which has no type hints


def kind(name: str) -> int:
    """Number of a stream type."""
    return int(getattr(c_minidump.MINIDUMP_STREAM_TYPE, f"{name}Stream"))


def location(rva: int, size: int) -> Field:
    return c_minidump.MINIDUMP_LOCATION_DESCRIPTOR(DataSize=size, Rva=rva)


def counted(entries: list[bytes], *, padding: bytes = b"", count: int | None = None) -> bytes:
    """A list with a 32-bit count before it."""
    return struct.pack("<I", len(entries) if count is None else count) + padding + b"".join(entries)


class MinidumpBytes:
    """A dump that grows: header, room for the directory, then whatever is added, in that order."""

    def __init__(self) -> None:
        self.header: dict[str, Any] = {
            "Signature": SIGNATURE,
            "Version": VERSION,
            "StreamDirectoryRva": c_minidump.MINIDUMP_HEADER.size,
            "TimeDateStamp": 1_700_000_000,
        }
        self._entries: list[tuple[int, int, int]] = []
        self._body = bytearray()
        self._body_offset = c_minidump.MINIDUMP_HEADER.size + _DIRECTORY_ENTRIES * c_minidump.MINIDUMP_DIRECTORY.size

    @property
    def end(self) -> int:
        """Offset at which the next thing will lie."""
        return self._body_offset + len(self._body)

    def add(self, data: bytes) -> int:
        """Add bytes; return their offset."""
        offset = self.end
        self._body += data
        return offset

    def add_string(self, text: str) -> int:
        data = text.encode("utf-16-le", "surrogatepass")
        return self.add(struct.pack("<I", len(data)) + data + b"\0\0")

    def add_string8(self, text: str) -> int:
        data = text.encode()
        return self.add(struct.pack("<I", len(data)) + data + b"\0")

    def entry(self, stream_type: int, size: int, rva: int) -> None:
        """Name a stream in the directory, whether it is there or not."""
        self._entries.append((stream_type, size, rva))

    def stream(self, name: str, data: bytes) -> int:
        """Add a stream; return its offset."""
        offset = self.add(data)
        self.entry(kind(name), len(data), offset)
        return offset

    def system(self, architecture: int = AMD64, platform: int = WINDOWS, **fields: Field) -> None:
        info = c_minidump.MINIDUMP_SYSTEM_INFO(ProcessorArchitecture=architecture, PlatformId=platform, **fields)
        self.stream("SystemInfo", info.dumps())

    def memory(self, *ranges: tuple[int, bytes], padding: bytes = b"") -> int:
        """Add a MemoryList with these bytes at these addresses."""
        descriptors = []
        for start, data in ranges:
            memory = location(self.add(data), len(data))
            descriptors.append(c_minidump.MINIDUMP_MEMORY_DESCRIPTOR(StartOfMemoryRange=start, Memory=memory).dumps())
        return self.stream("MemoryList", counted(descriptors, padding=padding))

    def memory64(self, *ranges: tuple[int, bytes]) -> int:
        """Add a Memory64List, its bytes right behind it."""
        size = c_minidump.MINIDUMP_MEMORY64_LIST_HEADER.size
        size += len(ranges) * c_minidump.MINIDUMP_MEMORY_DESCRIPTOR64.size
        head = c_minidump.MINIDUMP_MEMORY64_LIST_HEADER(NumberOfMemoryRanges=len(ranges), BaseRva=self.end + size)
        offset = self.stream("Memory64List", head.dumps() + descriptors64(*((s, len(data)) for s, data in ranges)))
        self.add(b"".join(data for _, data in ranges))
        return offset

    def threads(self, *tebs: int) -> None:
        threads = [
            c_minidump.MINIDUMP_THREAD(ThreadId=0x100 + number, Teb=teb).dumps() for number, teb in enumerate(tebs)
        ]
        self.stream("ThreadList", counted(threads))

    def modules(self, *modules: tuple[int, int, str], **fields: Field) -> None:
        entries = [
            c_minidump.MINIDUMP_MODULE(
                BaseOfImage=base, SizeOfImage=size, ModuleNameRva=self.add_string(name), **fields
            ).dumps()
            for base, size, name in modules
        ]
        self.stream("ModuleList", counted(entries))

    def finish(self) -> bytes:
        header = c_minidump.MINIDUMP_HEADER(**{"NumberOfStreams": len(self._entries)} | self.header).dumps()
        directory = b"".join(struct.pack("<III", *entry) for entry in self._entries)
        return (header + directory).ljust(self._body_offset, b"\0") + bytes(self._body)


def descriptors64(*ranges: tuple[int, int]) -> bytes:
    """Descriptors of a Memory64List: addresses and sizes."""
    return b"".join(
        c_minidump.MINIDUMP_MEMORY_DESCRIPTOR64(StartOfMemoryRange=start, DataSize=size).dumps()
        for start, size in ranges
    )
