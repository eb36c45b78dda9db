"""A builder of minidumps: threads, modules, memory at any address, and the process's description of itself.

    MinidumpBuilder("x64", pid=5120).add_thread(4712).add_memory(0x10000, data).write(path)

The same calls give the same file: nothing depends on the clock or on chance.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Literal

from dumpscan.exceptions import ScenarioError
from dumpscan.files import whole_file
from dumpscan.model.c_minidump import SIGNATURE, VERSION, c_minidump
from dumpscan.model.windows.c_paging import PAGE_SIZE
from dumpscan.synth.filler import Given
from dumpscan.synth.minidump import streams
from dumpscan.synth.minidump.ranges import MemoryRange, placed32, placed64
from dumpscan.synth.minidump.records import (
    ARCHITECTURES,
    ExceptionRecord,
    HandleRecord,
    MemoryInfoRecord,
    MiscRecord,
    ModuleRecord,
    SystemRecord,
    ThreadRecord,
)
from dumpscan.synth.windows.process_blocks import (
    MAX_THREADS,
    PLAN32,
    PLAN64,
    STACK_STRIDE,
    TEB32_OFFSET,
    TEB_STRIDE,
    WOW64_PLAN,
    ProcessBlocks,
    ThreadBlock,
    encode_text,
    process_memory,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path
    from typing import Self

    from dumpscan.synth.filler import Content
    from dumpscan.synth.regions import PlacedRange

MemoryList = Literal["memory64", "memory"]

PAGE_READWRITE = 0x04
PAGE_EXECUTE_READ = 0x20
MEM_PRIVATE = 0x20000
MEM_IMAGE = 0x1000000

DEFAULT_TIMESTAMP = 1_704_067_200
"""2024-01-01 00:00:00 UTC."""
_STREAM = c_minidump.MINIDUMP_STREAM_TYPE
_FULL_MEMORY = 0x2
"""`MiniDumpWithFullMemory` of MINIDUMP_TYPE, a flag of the header."""


class MinidumpBuilder:
    """A minidump in the making. Every `add_...` method returns the builder.

    Args:
        architecture: `x86`, `x64` or `arm64`.
        pid: Process id.
        timestamp: When the dump was written, in seconds since 1970.
        created: When the process was started, in seconds since 1970.
        version: Version of Windows: major, minor, build.
        server: Whether the system is a Windows Server.
        misc_level: Version of the MiscInfo structure, 1 to 5.
        build_string: Text in MiscInfo from version 4 on.
        wow64: Whether this is a 32-bit process on x64, which has TEBs, PEB and parameters of both widths.
        memory_info: Whether to write a MemoryInfoList.

    Raises:
        ScenarioError: If the architecture is unknown, or a time does not fit into 32 bits. All methods raise it for
            values that cannot be written.
    """

    def __init__(
        self,
        architecture: str = "x64",
        *,
        pid: int = 4242,
        timestamp: int = DEFAULT_TIMESTAMP,
        created: int = DEFAULT_TIMESTAMP - 3600,
        version: tuple[int, int, int] = (10, 0, 19045),
        server: bool = False,
        misc_level: int = 4,
        build_string: str = "",
        wow64: bool = False,
        memory_info: bool = True,
    ) -> None:
        if architecture not in ARCHITECTURES:
            raise ScenarioError(f"unknown architecture {architecture!r}; expected one of {', '.join(ARCHITECTURES)}")
        if wow64 and architecture != "x64":
            raise ScenarioError(f"a WoW64 process needs architecture x64, not {architecture}")
        self.architecture = ARCHITECTURES[architecture]
        for moment in (timestamp, created):
            if moment >> 32:
                raise ScenarioError(f"a time of {moment} s since 1970; expected one between 1970 and 2106")
        self.wow64 = wow64
        self.plan = WOW64_PLAN if wow64 else PLAN32 if architecture == "x86" else PLAN64
        self._timestamp = timestamp
        self._system = SystemRecord(version, server)
        self._misc = MiscRecord(level=misc_level, pid=pid, created=created, build_string=build_string)
        self._memory_info = memory_info
        self._threads: list[ThreadRecord] = []
        self._modules: list[ModuleRecord] = []
        self._unloaded: list[ModuleRecord] = []
        self._handles: list[HandleRecord] = []
        self._exception: ExceptionRecord | None = None
        self._ranges: list[MemoryRange] = []
        self._patches: list[tuple[int, int, bytes]] = []  # (index of the range, offset in it, bytes)
        self._raw: list[tuple[int, bytes]] = []  # (type, content) of further streams

    @property
    def ranges(self) -> Sequence[MemoryRange]:
        """The memory so far, in the order in which it was added."""
        return tuple(self._ranges)

    def add_thread(
        self,
        thread_id: int,
        *,
        name: str | None = None,
        stack: Content | bytes = b"",
        instruction_pointer: int = 0,
        teb: int | None = None,
        stack_address: int | None = None,
    ) -> Self:
        """Add a thread with the content of its stack. The builder chooses addresses that are not given."""
        index = len(self._threads)
        if index >= MAX_THREADS and (teb is None or stack_address is None):
            raise ScenarioError(f"there is room for {MAX_THREADS} threads whose addresses are not given")
        content = Given(bytes(stack)) if isinstance(stack, bytes) else stack
        start = self.plan.stack + index * STACK_STRIDE if stack_address is None else stack_address
        self._threads.append(
            ThreadRecord(
                thread_id=thread_id,
                teb=self.plan.teb + index * TEB_STRIDE if teb is None else teb,
                stack=(start, content.size),
                instruction_pointer=instruction_pointer,
                stack_pointer=start + content.size // 2,
                name=name,
            )
        )
        return self.add_memory(start, content) if content.size else self

    def add_module(
        self,
        name: str,
        base: int,
        size: int,
        *,
        version: tuple[int, int, int, int] = (0, 0, 0, 0),
        pdb: tuple[str, bytes, int] | None = None,
    ) -> Self:
        """Add a loaded module. `pdb` is (file name, the 16 bytes of the GUID in memory order, age)."""
        self._check_span(base, size)
        self._modules.append(ModuleRecord(name, base, size, DEFAULT_TIMESTAMP, version, pdb))
        return self

    def add_unloaded_module(self, name: str, base: int, size: int) -> Self:
        """Add a module that was unloaded before the dump was written."""
        self._check_span(base, size)
        self._unloaded.append(ModuleRecord(name, base, size, DEFAULT_TIMESTAMP))
        return self

    def add_handle(self, handle: int, type_name: str, object_name: str | None = None) -> Self:
        """Add an open handle."""
        self._handles.append(HandleRecord(handle, type_name, object_name))
        return self

    def add_memory(
        self, address: int, content: Content | bytes, *, protect: int = PAGE_READWRITE, kind: int = MEM_PRIVATE
    ) -> Self:
        """Add a memory range at a virtual address. Ranges may overlap and be in any order, as in real dumps."""
        if isinstance(content, bytes | bytearray | memoryview):
            content = Given(bytes(content))
        self._check_span(address, content.size)
        self._ranges.append(MemoryRange(address, content, protect, kind))
        return self

    def _check_span(self, address: int, size: int) -> None:
        bits = 8 * self.architecture.pointer_size
        if not 0 <= address <= address + size <= 1 << bits:
            raise ScenarioError(f"{size} bytes at {address:#x} do not fit into addresses of {bits} bits")

    def plant(self, address: int, data: bytes) -> Self:
        """Write `data` over the memory added before, across adjacent ranges if need be."""
        while data:
            held = (index for index, entry in enumerate(self._ranges) if entry.address <= address < entry.end)
            index = next(held, None)
            if index is None:
                raise ScenarioError(f"no memory at {address:#x} for the last {len(data)} bytes of an object")
            part = data[: self._ranges[index].end - address]
            self._patches.append((index, address - self._ranges[index].address, part))
            address += len(part)
            data = data[len(part) :]
        return self

    def add_process(
        self,
        *,
        image_path: str,
        command_line: str,
        environment: Iterable[str] = (),
        current_directory: str = "C:\\Windows\\System32\\",
        session: int = 1,
        split_environment: bool = False,
    ) -> Self:
        """Add the TEBs of the threads added before, the PEB, the process parameters and the environment block.

        A WoW64 process gets them in both widths. `split_environment` puts each page of the environment block into a
        memory range of its own.
        """
        blocks = ProcessBlocks(
            pid=self._misc.pid,
            image_path=image_path,
            command_line=command_line,
            environment=tuple(environment),
            current_directory=current_directory,
            image_base=self._modules[0].base if self._modules else self.plan.executable,
            session=session,
            threads=tuple(self._thread_block(thread) for thread in self._threads),
        )
        plans = [(blocks, self.plan)]
        if self.wow64:
            threads = tuple(replace(thread, teb=thread.teb32, teb32=0) for thread in blocks.threads)
            plans.append((replace(blocks, threads=threads), PLAN32))
        for half, plan in plans:
            for address, content in process_memory(half, plan):
                if split_environment and address == plan.environment:
                    for start in range(0, len(content), PAGE_SIZE):
                        self.add_memory(address + start, content[start : start + PAGE_SIZE])
                else:
                    self.add_memory(address, content)
        return self

    def _thread_block(self, thread: ThreadRecord) -> ThreadBlock:
        start, size = thread.stack
        return ThreadBlock(
            thread_id=thread.thread_id,
            teb=thread.teb,
            stack_base=start + size,
            stack_limit=start,
            teb32=thread.teb + TEB32_OFFSET if self.wow64 else 0,
        )

    def set_exception(self, thread_id: int, code: int, address: int, information: Iterable[int] = ()) -> Self:
        """Set the exception for which the dump was written, with at most 15 words of information."""
        self._exception = ExceptionRecord(
            thread_id=thread_id, code=code, address=address, information=tuple(information)[:15]
        )
        return self

    def add_comment(self, text: str) -> Self:
        """Add a comment in UTF-16."""
        return self.add_stream(_STREAM.CommentStreamW.value, encode_text(text + "\0"))

    def add_stream(self, stream_type: int, data: bytes) -> Self:
        """Add a stream of any type."""
        self._raw.append((stream_type, data))
        return self

    def write(
        self, path: Path, *, memory_list: MemoryList = "memory64", scatter: bool = False
    ) -> tuple[PlacedRange, ...]:
        """Write the file, whole or not at all, and return where each memory range lies in it.

        Args:
            path: The file. An older one is replaced.
            memory_list: `memory64` (one run of data at the end, of any size) or `memory` (the older list, which ends
                below 4 GiB).
            scatter: With `memory`: write the data of the ranges in reverse order and with gaps, so that ranges that are
                adjacent in the address space are not adjacent in the file.

        Raises:
            ExportError: If the file cannot be written.
            ScenarioError: If the memory is too large for the older list.
        """
        head, placed = self._head(memory_list, scatter=scatter)
        with whole_file(path) as file:
            file.write(head)
            for entry, place in sorted(zip(self._ranges, placed, strict=True), key=lambda pair: pair[1].file_offset):
                file.seek(place.file_offset)
                entry.content.write_to(file)
            for index, offset, data in self._patches:
                file.seek(placed[index].file_offset + offset)
                file.write(data)
            file.truncate(max([len(head), *(place.file_offset + place.size for place in placed)]))
        return placed

    def _head(self, memory_list: MemoryList, *, scatter: bool) -> tuple[bytes, tuple[PlacedRange, ...]]:
        """Return the file up to the memory, and the places of the memory ranges."""
        optional = (self._named_threads, self._unloaded, self._handles, self._exception, self._memory_info)
        count = 5 + sum(map(bool, optional)) + len(self._raw)
        head = streams.Head(bytearray(len(c_minidump.MINIDUMP_HEADER) + count * len(c_minidump.MINIDUMP_DIRECTORY)))
        contexts = [head.append(streams.context(self.architecture, thread), 16) for thread in self._threads]
        entries = [(kind, head.append(content, 8)) for kind, content in self._plain_streams(head, contexts)]
        # The lists of threads and of memory point to the memory behind them, so room is made for them first.
        wide = memory_list == "memory64"
        threads = head.append(streams.thread_list(self._threads, contexts, lambda _: streams.NOWHERE), 8)
        ranges = head.append(bytes(16 * len(self._ranges) + (16 if wide else 4)), 8)
        start = len(head.data)
        placed = placed64(self._ranges, start) if wide else placed32(self._ranges, start, scatter=scatter)
        if wide:
            head.fill(ranges, streams.memory64_list([(place.address, place.size) for place in placed], start))
        else:
            stacks = {place.address: (place.size, place.file_offset) for place in reversed(placed)}
            at = stacks.get
            head.fill(threads, streams.thread_list(self._threads, contexts, lambda start: at(start, streams.NOWHERE)))
            head.fill(ranges, streams.memory_list([(p.address, (p.size, p.file_offset)) for p in placed]))
        entries.append((_STREAM.ThreadListStream.value, threads))
        entries.append((_STREAM.Memory64ListStream.value if wide else _STREAM.MemoryListStream.value, ranges))
        header = streams.record(
            "MINIDUMP_HEADER",
            Signature=SIGNATURE,
            Version=VERSION,
            NumberOfStreams=len(entries),
            StreamDirectoryRva=len(c_minidump.MINIDUMP_HEADER),
            TimeDateStamp=self._timestamp,
            Flags=_FULL_MEMORY if wide else 0,
        )
        head.fill((0, 0), header + b"".join(streams.directory_entry(kind, location) for kind, location in entries))
        return bytes(head.data), placed

    @property
    def _named_threads(self) -> list[ThreadRecord]:
        return [thread for thread in self._threads if thread.name is not None]

    def _plain_streams(self, head: streams.Head, contexts: Sequence[streams.Location]) -> Iterator[tuple[int, bytes]]:
        """Yield (type, content) of each stream that does not point to memory."""
        yield _STREAM.SystemInfoStream.value, streams.system_info(head, self.architecture, self._system)
        yield _STREAM.MiscInfoStream.value, streams.misc_info(self._misc)
        yield _STREAM.ModuleListStream.value, streams.module_list(head, self._modules)
        if self._named_threads:
            yield _STREAM.ThreadNamesStream.value, streams.thread_names(head, self._named_threads)
        if self._unloaded:
            yield _STREAM.UnloadedModuleListStream.value, streams.unloaded_module_list(head, self._unloaded)
        if self._handles:
            yield _STREAM.HandleDataStream.value, streams.handle_data(head, self._handles)
        if self._exception:
            ids = [thread.thread_id for thread in self._threads]
            raised = self._exception.thread_id
            context = contexts[ids.index(raised)] if raised in ids else streams.NOWHERE
            yield _STREAM.ExceptionStream.value, streams.exception(self._exception, context)
        if self._memory_info:
            yield _STREAM.MemoryInfoListStream.value, streams.memory_info_list(self._pages())
        yield from self._raw

    def _pages(self) -> list[MemoryInfoRecord]:
        """Return the memory as `VirtualQuery` describes it: the ranges, and the modules without any range."""
        pages = [
            MemoryInfoRecord(entry.address, entry.content.size, entry.protect, entry.type)
            for entry in self._ranges
            if entry.content.size
        ]
        for module in self._modules:
            end = module.base + module.size
            if not any(entry.address < end and module.base < entry.end for entry in self._ranges):
                pages.append(MemoryInfoRecord(module.base, module.size, PAGE_EXECUTE_READ, MEM_IMAGE))
        return sorted(pages, key=lambda page: page.base)
