"""Builds minidumps: threads, modules, memory of any size at any address, and the process's own blocks.

    MinidumpBuilder("x64", pid=5120).add_thread(4712).add_memory(0x10000, data).write(path)

Nothing depends on the clock or on chance: the same calls give the same file.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Literal

from dumpscan.exceptions import ScenarioError
from dumpscan.files import whole_file
from dumpscan.model.c_minidump import SIGNATURE, VERSION, c_minidump
from dumpscan.synth.filler import Given
from dumpscan.synth.minidump import streams
from dumpscan.synth.minidump.ranges import MemoryRange, PlacedRange, placed32, placed64
from dumpscan.synth.minidump.records import (
    ARCHITECTURES,
    ExceptionRecord,
    HandleRecord,
    MemoryInfoRecord,
    MiscRecord,
    ModuleRecord,
    SystemRecord,
    ThreadRecord,
    UnloadedModuleRecord,
)
from dumpscan.synth.windows.process_blocks import (
    MAXIMUM_THREADS,
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

MemoryList = Literal["memory64", "memory"]

PAGE_READONLY = 0x02
PAGE_READWRITE = 0x04
PAGE_EXECUTE_READ = 0x20
MEM_PRIVATE = 0x20000
MEM_MAPPED = 0x40000
MEM_IMAGE = 0x1000000

DEFAULT_TIMESTAMP = 1_704_067_200
"""2024-01-01 00:00:00 UTC."""
_STREAM = c_minidump.MINIDUMP_STREAM_TYPE
_FULL_MEMORY = 0x2
"""MINIDUMP_TYPE.MiniDumpWithFullMemory, as the header's flags say it."""


class MinidumpBuilder:
    """A fluent writer: every `add_...` returns the builder.

    Args:
        architecture: `x86`, `x64` or `arm64`.
        pid: Process id.
        timestamp: When the dump was written, seconds since 1970.
        created: When the process was started, seconds since 1970.
        version: Windows version: major, minor, build.
        server: Whether it is Windows Server.
        misc_level: Version of the MiscInfo structure, 1 to 5.
        build_string: Of MiscInfo 4.
        wow64: Whether the process is a 32-bit one on x64: then it has both sets of blocks.
        memory_info: Whether to write a MemoryInfoList.

    Raises:
        ScenarioError: If the architecture is not known; all methods raise it for what cannot be built.
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
            raise ScenarioError(f"unknown architecture {architecture!r}; expected one of x86, x64, arm64")
        if wow64 and architecture != "x64":
            raise ScenarioError(f"a WoW64 process is dumped as x64 here, not as {architecture}")
        self.architecture = ARCHITECTURES[architecture]
        for moment in (timestamp, created):
            if moment >> 32:
                raise ScenarioError(f"a minidump's times lie between 1970 and 2106; {moment} seconds after 1970 do not")
        self.wow64 = wow64
        self.plan = WOW64_PLAN if wow64 else PLAN32 if architecture == "x86" else PLAN64
        self._timestamp = timestamp
        self._system = SystemRecord(version=version, server=server)
        self._misc = MiscRecord(level=misc_level, pid=pid, created=created, build_string=build_string)
        self._memory_info = memory_info
        self._threads: list[ThreadRecord] = []
        self._modules: list[ModuleRecord] = []
        self._unloaded: list[UnloadedModuleRecord] = []
        self._handles: list[HandleRecord] = []
        self._exception: ExceptionRecord | None = None
        self._ranges: list[MemoryRange] = []
        self._patches: list[tuple[int, int, bytes]] = []  # index into the ranges, offset in that range, bytes
        self._raw: list[tuple[int, bytes]] = []

    @property
    def ranges(self) -> Sequence[MemoryRange]:
        """The memory so far, in the order of its adding."""
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
        """Add a thread; `stack` is its stack's content. TEB and stack get addresses of their own unless given."""
        index = len(self._threads)
        if index >= MAXIMUM_THREADS and (teb is None or stack_address is None):
            raise ScenarioError(f"there is room for {MAXIMUM_THREADS} threads whose addresses are not given")
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
        timestamp: int = DEFAULT_TIMESTAMP,
        checksum: int = 0,
        pdb: tuple[str, bytes, int] | None = None,
    ) -> Self:
        """Add a loaded module; `pdb` is (file name, 16 GUID bytes as they lie in memory, age)."""
        self._check_span(base, size)
        module = ModuleRecord(
            name=name, base=base, size=size, version=version, timestamp=timestamp, checksum=checksum, pdb=pdb
        )
        self._modules.append(module)
        return self

    def add_unloaded_module(self, name: str, base: int, size: int, *, timestamp: int = DEFAULT_TIMESTAMP) -> Self:
        """Add a module that had been unloaded."""
        self._check_span(base, size)
        self._unloaded.append(UnloadedModuleRecord(name=name, base=base, size=size, timestamp=timestamp))
        return self

    def add_handle(self, handle: int, type_name: str, object_name: str | None = None) -> Self:
        """Add an open handle."""
        self._handles.append(HandleRecord(handle=handle, type_name=type_name, object_name=object_name))
        return self

    def add_memory(
        self, address: int, content: Content | bytes, *, protect: int = PAGE_READWRITE, kind: int = MEM_PRIVATE
    ) -> Self:
        """Add a memory range at a virtual address. Ranges may overlap and lie in any order: real dumps' do."""
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
        """Lay `data` over the memory already there, across adjacent ranges if need be."""
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
        """Write TEBs (of the threads added before), PEB, process parameters and environment block into the memory.

        A WoW64 process gets both sets. `split_environment` lays the block over ranges of one page each.
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
                    for start in range(0, len(content), 0x1000):
                        self.add_memory(address + start, content[start : start + 0x1000])
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
        """Say why the dump was written; there are at most 15 words of information."""
        self._exception = ExceptionRecord(
            thread_id=thread_id, code=code, address=address, information=tuple(information)[:15]
        )
        return self

    def add_comment(self, text: str) -> Self:
        """Add a comment, in UTF-16."""
        return self.add_stream(_STREAM.CommentStreamW.value, encode_text(text + "\0"))

    def add_stream(self, stream_type: int, data: bytes) -> Self:
        """Add a stream of any type, known or not, as it is."""
        self._raw.append((stream_type, data))
        return self

    def write(
        self, path: Path, *, memory_list: MemoryList = "memory64", scatter: bool = False
    ) -> tuple[PlacedRange, ...]:
        """Write the file, whole or not at all, and say where each memory range lies in it.

        Args:
            path: The file; an older one is replaced.
            memory_list: `memory64` (one run of data at the end, of any size) or `memory` (the older list, below 4 GiB).
            scatter: Only with `memory`: lay the ranges' data in reverse order with gaps between them, so that ranges
                that are adjacent in the address space are not adjacent in the file.

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
        """Return everything before the memory, and where the memory goes."""
        optional = (self._named_threads, self._unloaded, self._handles, self._exception, self._memory_info)
        count = 5 + sum(map(bool, optional)) + len(self._raw)
        head = streams.Head(bytearray(len(c_minidump.MINIDUMP_HEADER) + count * len(c_minidump.MINIDUMP_DIRECTORY)))
        contexts = [head.append(streams.context(self.architecture, thread), 16) for thread in self._threads]
        entries = [(kind, head.append(content, 8)) for kind, content in self._plain_streams(head, contexts)]
        # The thread list and the memory list point to the memory, which follows them: their sizes are known before.
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
        """Yield (type, content) of the streams that do not point to memory."""
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
        """Return the memory as `VirtualQuery` would tell it: the ranges, and the modules that no range lies in."""
        pages = [
            MemoryInfoRecord(base=entry.address, size=entry.content.size, protect=entry.protect, type=entry.type)
            for entry in self._ranges
            if entry.content.size
        ]
        for module in self._modules:
            end = module.base + module.size
            if not any(entry.address < end and module.base < entry.end for entry in self._ranges):
                image = {"protect": PAGE_EXECUTE_READ, "type": MEM_IMAGE}
                pages.append(MemoryInfoRecord(base=module.base, size=module.size, **image))
        return sorted(pages, key=lambda page: page.base)
