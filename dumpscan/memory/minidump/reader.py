"""A minidump's header, streams and memory.

Source: docs/memory-layouts.md, "Minidump". Opening a dump reads its header and stream directory only; a stream is read
when it is first asked for. Of a damaged stream, readers return what is there, and `damage` says what is not.
"""

from __future__ import annotations

from bisect import bisect_right
from functools import cached_property
from typing import TYPE_CHECKING, Any, Self, TypeVar

import numpy as np

from dumpscan.exceptions import InputError
from dumpscan.memory.mapped_file import MappedFile
from dumpscan.memory.minidump import breakpad as minidump_breakpad
from dumpscan.memory.minidump import ranges as minidump_memory
from dumpscan.memory.minidump import streams as minidump_streams
from dumpscan.memory.minidump import system as minidump_system
from dumpscan.memory.minidump import threads as minidump_threads
from dumpscan.memory.minidump.stream_reader import MISSING_DATA, Stream, StreamReader
from dumpscan.memory.minidump.streams import MemoryInfoList
from dumpscan.memory.minidump.wiped import has_stream_directory
from dumpscan.memory.records import column, record_type, unix_time
from dumpscan.memory.regions import ADDRESS_LIMIT, reach_of, without_overlaps
from dumpscan.memory.windows.peb import POINTER32, POINTER64
from dumpscan.model.c_minidump import SIGNATURE, VERSION, c_minidump

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path
    from types import TracebackType

    from dumpscan.memory.minidump.breakpad import BreakpadInfo, CrashpadInfo, LinuxInfo
    from dumpscan.memory.minidump.ranges import MemoryList
    from dumpscan.memory.minidump.streams import ExceptionInfo, Handle, MemoryInfo, Module, UnloadedModule
    from dumpscan.memory.minidump.system import MiscInfo, SystemInfo
    from dumpscan.memory.minidump.threads import Thread, ThreadTimes
    from dumpscan.memory.regions import RegionTable

    Structure = Any  # of dissect.cstruct, which has no type hints

Result = TypeVar("Result")

_MAX_STREAMS = 4096
"""Real dumps have about twenty; Breakpad accepts up to 128."""
_MAX_DAMAGE = 100
_READABLE = (
    "system",
    "misc",
    "threads",
    "_thread_names",
    "_thread_times",
    "modules",
    "unloaded_modules",
    "memory_info",
    "exception",
    "handles",
    "comments",
    "crashpad",
    "breakpad",
    "linux",
    "regions",
)
_MEMORY_LISTS = ("MemoryList", "Memory64List")


class MinidumpReader:
    """A minidump's streams and memory.

    Attributes:
        path: The file, as it was given.
        size: Bytes in it.
        written: When the dump was made, UTC, according to its header.
        flags: MINIDUMP_TYPE flags of its header.
        streams: The stream directory, in its order, with unknown and empty streams.
        oddities: What is odd and was put right, a sentence each.

    Raises:
        InputError: The file cannot be opened, is not a minidump, or ends before any of its streams.
    """

    def __init__(self, path: Path | str) -> None:
        self._file = MappedFile(path)
        try:
            self.path = self._file.path
            self.size = self._file.size
            self._reader = StreamReader(self._file.buffer)
            self._directory_problems: list[str] = []
            self.oddities: list[str] = []
            header = self._read_header()
            self.written = unix_time(int(header.TimeDateStamp))
            self.flags = int(header.Flags)
            self.streams = self._read_directory(int(header.NumberOfStreams), int(header.StreamDirectoryRva))
        except BaseException:
            self._file.close()
            raise

    @classmethod
    def open(cls, path: Path | str) -> Self:
        """Open a minidump; the same as calling the class."""
        return cls(path)

    def rename(self, path: Path) -> None:
        """Go by another name from now on (see `dumpscan.memory.dump.Dump`)."""
        self.path = path

    def close(self) -> None:
        """Close the file. Streams that were read stay; memory can no longer be read."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _read_header(self) -> Structure:
        layout = c_minidump.MINIDUMP_HEADER
        data = self._reader.bytes_at(0, layout.size)
        whole = data.startswith(SIGNATURE) and int(layout(data.ljust(layout.size, b"\0")).Version) & 0xFFFF == VERSION
        if not whole and has_stream_directory(self._reader.buffer):
            self.oddities.append(
                f"the file does not begin with the signature {SIGNATURE.decode()} and its version: they were "
                "overwritten, as some tools do on purpose; it is read as a minidump by its stream directory"
            )
            return layout(data)
        if not data.startswith(SIGNATURE):
            found = repr(data[: len(SIGNATURE)])
            problem = f"not a minidump: expected the signature {SIGNATURE.decode()}, found {found}"
            raise InputError(self.path, problem, offset=0)
        if len(data) < layout.size:
            problem = f"minidump cut off in its header: expected {layout.size} bytes, the file has {self.size}"
            raise InputError(self.path, problem, offset=0)
        header = layout(data)
        if int(header.Version) & 0xFFFF != VERSION:
            problem = f"not a minidump: expected version {VERSION:#x}, found {int(header.Version) & 0xFFFF:#x}"
            raise InputError(self.path, problem, offset=layout.fields["Version"].offset)
        return header

    def _read_directory(self, count: int, offset: int) -> tuple[Stream, ...]:
        """Read the stream directory. One that is cut off is accepted if any stream that it names is there."""
        layout = c_minidump.MINIDUMP_DIRECTORY
        room = max(self.size - offset, 0) // layout.size
        needed = f"expected {count} streams, that is {count * layout.size} bytes of stream directory"
        if count == 0:
            raise InputError(self.path, "the minidump has no streams", offset=offset)
        if room == 0 or count > max(room, _MAX_STREAMS):
            raise InputError(self.path, f"{needed}; the file has {self.size} bytes", offset=offset)
        if count > _MAX_STREAMS:
            raise InputError(self.path, f"{needed}; no more than {_MAX_STREAMS} streams can be real", offset=offset)
        taken = min(count, room)
        entries = np.frombuffer(self._reader.bytes_at(offset, taken * layout.size), record_type(layout))
        streams = []
        for kind, size, rva in zip(
            column(entries, "StreamType"),
            column(entries, "Location", "DataSize"),
            column(entries, "Location", "Rva"),
            strict=True,
        ):
            name = c_minidump.MINIDUMP_STREAM_TYPE(kind).name
            known = name is not None
            streams.append(
                self._reader.stream(kind, name.removesuffix("Stream") if name else f"{kind:#x}", rva, size, known=known)
            )
        if not any(stream.present and not stream.empty for stream in streams):
            problem = f"minidump cut off: none of its {count} streams lies within the {self.size} bytes of the file"
            raise InputError(self.path, problem, offset=min(self.size, offset + count * layout.size))
        if taken < count:
            self._directory_problems.append(
                f"stream directory at offset {offset:#x}: cut short, "
                f"{count - taken} of {count} entries lie {MISSING_DATA}"
            )
        return tuple(map(self._with_room, streams))

    def _with_room(self, stream: Stream) -> Stream:
        """Correct the size of a memory list if the directory has a wrong one."""
        size = minidump_memory.size_by_count(self._reader, stream)
        if size is None:
            return stream
        self.oddities.append(
            f"{stream.name} at offset {stream.offset:#x}: the directory gives it {stream.size} bytes; "
            f"its own count of ranges, which needs {size}, was taken instead"
        )
        return self._reader.stream(stream.type, stream.name, stream.offset, size, known=stream.known)

    @cached_property
    def _by_name(self) -> dict[str, Stream]:
        """The stream of each type that is used: the first one with any bytes in the file."""
        found: dict[str, Stream] = {}
        for stream in self.streams:
            if not stream.empty and stream.present:
                found.setdefault(stream.name, stream)
        return found

    def _read(self, name: str, read: Callable[[StreamReader, Stream], Result], otherwise: Result) -> Result:
        stream = self._by_name.get(name)
        return otherwise if stream is None else read(self._reader, stream)

    @cached_property
    def system(self) -> SystemInfo | None:
        """The system that the dump was taken on."""
        return self._read("SystemInfo", minidump_system.read_system_info, None)

    @cached_property
    def misc(self) -> MiscInfo | None:
        """What MiscInfo says about the process."""
        return self._read("MiscInfo", minidump_system.read_misc_info, None)

    @cached_property
    def threads(self) -> tuple[Thread, ...]:
        """Threads in the dump's order, with names, times and registers if the dump has them."""
        stream = self._by_name.get("ThreadList") or self._by_name.get("ThreadExList")
        if stream is None:
            return ()
        return minidump_threads.read_threads(
            self._reader,
            stream,
            architecture=self.system.architecture if self.system else None,
            names=self._thread_names,
            times=self._thread_times,
        )

    @cached_property
    def _thread_names(self) -> dict[int, str]:
        return self._read("ThreadNames", minidump_threads.read_thread_names, {})

    @cached_property
    def _thread_times(self) -> dict[int, ThreadTimes]:
        return self._read("ThreadInfoList", minidump_threads.read_thread_times, {})

    @cached_property
    def modules(self) -> tuple[Module, ...]:
        """Loaded modules in the dump's order; the first one is the program."""
        return self._read("ModuleList", minidump_streams.read_modules, ())

    @cached_property
    def unloaded_modules(self) -> tuple[UnloadedModule, ...]:
        """Modules that the process had unloaded."""
        return self._read("UnloadedModuleList", minidump_streams.read_unloaded_modules, ())

    @cached_property
    def memory_info(self) -> Sequence[MemoryInfo]:
        """Memory map of the process, in dumps of Windows; Breakpad's is `linux.mappings`."""
        return self._read("MemoryInfoList", minidump_streams.read_memory_info, ())

    @cached_property
    def exception(self) -> ExceptionInfo | None:
        """Why the dump was taken."""
        return self._read("Exception", minidump_streams.read_exception, None)

    @cached_property
    def handles(self) -> tuple[Handle, ...]:
        """Open handles."""
        return self._read("HandleData", minidump_streams.read_handles, ())

    @cached_property
    def comments(self) -> tuple[str, ...]:
        """Comments by whoever made the dump."""
        comments = (
            self._read(name, minidump_streams.read_comment, "") for name in ("CommentStreamA", "CommentStreamW")
        )
        return tuple(comment for comment in comments if comment)

    @cached_property
    def crashpad(self) -> CrashpadInfo | None:
        """Crashpad's ids and annotations."""
        return self._read("CrashpadInfo", minidump_breakpad.read_crashpad_info, None)

    @cached_property
    def breakpad(self) -> BreakpadInfo | None:
        """Which thread wrote the dump, and which one asked for it."""
        return self._read("BreakpadInfo", minidump_breakpad.read_breakpad_info, None)

    @cached_property
    def linux(self) -> LinuxInfo | None:
        """What Breakpad copied from /proc; None in dumps of other systems."""
        return minidump_breakpad.read_linux_info(self._reader, self._by_name)

    @cached_property
    def memory_lists(self) -> tuple[MemoryList, ...]:
        """The lists of memory ranges, as the dump has them."""
        return minidump_memory.read_memory_lists(self._reader, self.streams)

    @property
    def memory_range_count(self) -> int:
        """Number of memory ranges that the lists claim."""
        return sum(ranges.claimed for ranges in self.memory_lists)

    @cached_property
    def ranges(self) -> list[MemoryList]:
        """All lists of ranges, the most trusted one first."""
        lists = list(self.memory_lists)
        threads = self._by_name.get("ThreadList") or self._by_name.get("ThreadExList")
        # A Memory64List has all memory; the 32-bit offsets of stacks may be wrong in files of more than 4 GiB.
        if threads and "Memory64List" not in self._by_name:
            lists.append(minidump_memory.read_stacks(self._reader, threads))
        return lists

    @cached_property
    def _memory(self) -> tuple[RegionTable, list[str]]:
        regions, problems = minidump_memory.build_regions(
            self.ranges, self.size, header_size=c_minidump.MINIDUMP_HEADER.size
        )
        return regions, problems

    @property
    def buffer(self) -> memoryview:
        """The whole file, memory-mapped and read-only."""
        return self._file.buffer

    @property
    def regions(self) -> RegionTable:
        """The memory in the dump, by ascending address. Regions never overlap; neighbours may be adjacent."""
        return self._memory[0]

    @property
    def reach(self) -> tuple[int, int]:
        """Where the memory in the dump begins and ends."""
        return reach_of(self.regions)

    @property
    def places_read(self) -> Sequence[tuple[int, int]]:
        """Where its streams and what they point to were read so far, as (offset, bytes) in the file."""
        return self._reader.places

    @property
    def captured_bytes(self) -> int:
        """Bytes of the process's memory in the dump."""
        return self.regions.total

    @cached_property
    def committed_bytes(self) -> int | None:
        """Bytes of memory that the process had in use, according to its memory map; None if the dump has no map."""
        if isinstance(self.memory_info, MemoryInfoList):
            return self.memory_info.committed_bytes
        return self.linux.mapped_bytes if self.linux else None

    @cached_property
    def pointer_size(self) -> int:
        """Size of a pointer in bytes, by the system's architecture or else by the highest address."""
        if self.system:
            return self.system.pointer_size
        highest = max((self.regions[-1].end if self.regions else 0), *(module.base for module in self.modules), 0)
        return POINTER32 if 0 < highest <= 1 << 32 else POINTER64

    def read(self, address: int, size: int) -> bytes:
        """Return up to `size` bytes at `address`, across adjacent regions; fewer if the dump has no more."""
        return b"".join(self.buffer[at : at + length] for at, length in self.regions.extents(address, size))

    def extents(self, address: int, size: int) -> tuple[tuple[int, int], ...]:
        """Return where `size` bytes at `address` lie, as (file offset, length) pairs, up to the first gap."""
        return tuple(self.regions.extents(address, size))

    @cached_property
    def _module_pieces(self) -> tuple[list[int], list[int], list[int]]:
        starts = [min(module.base, ADDRESS_LIMIT) for module in self.modules]
        sizes = [min(module.size, ADDRESS_LIMIT - start) for module, start in zip(self.modules, starts, strict=True)]
        owners = [number for number, size in enumerate(sizes) if size]
        pieces = without_overlaps(
            np.array([starts[number] for number in owners], np.uint64),
            np.array([sizes[number] for number in owners], np.uint64),
        )
        return pieces[0].tolist(), pieces[1].tolist(), [owners[number] for number in pieces[2].tolist()]

    def module_at(self, address: int) -> str | None:
        """Return the file name of the loaded module that owns an address, or None."""
        starts, sizes, owners = self._module_pieces
        index = bisect_right(starts, address) - 1
        if index < 0 or address >= starts[index] + sizes[index]:
            return None
        return self.modules[owners[index]].file_name

    @property
    def damage(self) -> tuple[str, ...]:
        """What is damaged or was left out, a sentence each. This reads every stream.

        Absent, unknown and empty streams are not damage, nor are overlapping ranges of memory.
        """
        return self._stream_damage + self.regions.problems

    @cached_property
    def _stream_damage(self) -> tuple[str, ...]:
        for name in _READABLE:
            getattr(self, name)
        problems = self._directory_problems + self._memory[1]
        about = dict(self._reader.problems)
        for stream in self.streams:
            here = about.pop(stream.offset, [])
            problems += here
            if not stream.empty and stream.present < stream.size and not here:
                problems.append(_shortage(stream))
            used = self._by_name.get(stream.name, stream)
            if used.offset != stream.offset and stream.name not in _MEMORY_LISTS and not stream.empty:
                problems.append(
                    f"{stream.name} at offset {stream.offset:#x}: there are several, "
                    f"and the one at {used.offset:#x} was used"
                )
        problems += [sentence for sentences in about.values() for sentence in sentences]
        problems = list(dict.fromkeys(problems))
        if len(problems) > _MAX_DAMAGE:
            problems[_MAX_DAMAGE:] = [f"and {len(problems) - _MAX_DAMAGE} more of this kind"]
        return tuple(problems)


def _shortage(stream: Stream) -> str:
    where = f"{stream.name} at offset {stream.offset:#x}"
    if not stream.present:
        return f"{where}: its {stream.size} bytes lie {MISSING_DATA}"
    return f"{where}: cut short, {stream.size - stream.present} of {stream.size} bytes lie {MISSING_DATA}"
