"""The streams of a minidump as bytes, encoded from records. Layouts: `dumpscan.model.c_minidump`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from dumpscan.model.c_minidump import c_minidump
from dumpscan.synth.windows.process_blocks import encode_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from dumpscan.synth.minidump.records import (
        Architecture,
        ExceptionRecord,
        HandleRecord,
        MemoryInfoRecord,
        MiscRecord,
        ModuleRecord,
        SystemRecord,
        ThreadRecord,
    )

Location = tuple[int, int]
"""(size in bytes, offset in the file)."""
NOWHERE: Location = (0, 0)
_VS_FFI_SIGNATURE = 0xFEEF04BD
_MEM_COMMIT = 0x1000
_ENTRIES = ("SizeOfEntry", "NumberOfEntries")
_BUILD_STRING_UNITS = 260
_EXCEPTION_WORDS = 15


@dataclass(slots=True)
class Head:
    """The part of the file before the memory. Contents are placed by appending them.

    Attributes:
        data: The file from its first byte on.
    """

    data: bytearray = field(default_factory=bytearray)

    def append(self, content: bytes, align: int = 4) -> Location:
        """Place `content` at the next multiple of `align` and return its location."""
        self.data.extend(bytes(-len(self.data) % align))
        offset = len(self.data)
        self.data.extend(content)
        return (len(content), offset)

    def fill(self, location: Location, content: bytes) -> None:
        """Put `content` at a location that was appended before."""
        self.data[location[1] : location[1] + len(content)] = content

    def string(self, text: str) -> int:
        """Place a MINIDUMP_STRING (length in bytes, UTF-16LE, a NUL) and return its offset."""
        content = encode_text(text)
        return self.append(len(content).to_bytes(4, "little") + content + b"\0\0")[1]


def record(layout: str, **fields: Any) -> bytes:  # noqa: ANN401 -- values of a cstruct type's fields
    """Return a structure of `c_minidump` as bytes. Fields that are not given are zero."""
    return bytes(getattr(c_minidump, layout)(**fields))


def located(location: Location) -> Any:  # noqa: ANN401 -- a cstruct type made at run time
    """Return a MINIDUMP_LOCATION_DESCRIPTOR."""
    return c_minidump.MINIDUMP_LOCATION_DESCRIPTOR(DataSize=location[0], Rva=location[1])


def described(start: int, location: Location) -> Any:  # noqa: ANN401 -- a cstruct type made at run time
    """Return a MINIDUMP_MEMORY_DESCRIPTOR of the range at virtual address `start`."""
    return c_minidump.MINIDUMP_MEMORY_DESCRIPTOR(StartOfMemoryRange=start, Memory=located(location))


def directory_entry(stream_type: int, location: Location) -> bytes:
    """Return a MINIDUMP_DIRECTORY."""
    return record("MINIDUMP_DIRECTORY", StreamType=stream_type, Location=located(location))


def memory64_list(ranges: Sequence[tuple[int, int]], base: int) -> bytes:
    """Return a Memory64ListStream of (virtual address, size) ranges whose data begin at the offset `base`."""
    header = record("MINIDUMP_MEMORY64_LIST_HEADER", NumberOfMemoryRanges=len(ranges), BaseRva=base)
    return header + b"".join(
        record("MINIDUMP_MEMORY_DESCRIPTOR64", StartOfMemoryRange=address, DataSize=size) for address, size in ranges
    )


def memory_list(ranges: Iterable[tuple[int, Location]]) -> bytes:
    """Return a MemoryListStream of (virtual address, location) ranges."""
    return _counted(bytes(described(address, location)) for address, location in ranges)


def _counted(entries: Iterable[bytes]) -> bytes:
    """Return entries behind their 32-bit count."""
    listed = list(entries)
    return len(listed).to_bytes(4, "little") + b"".join(listed)


def _headed(header: str, layout: str, names: tuple[str, str], entries: Iterable[bytes]) -> bytes:
    """Return entries behind a header; `names` are its fields for the size of an entry (`layout`) and their number."""
    listed = list(entries)
    fields = zip(names, (len(getattr(c_minidump, layout)), len(listed)), strict=True)
    return record(header, SizeOfHeader=len(getattr(c_minidump, header)), **dict(fields)) + b"".join(listed)


def system_info(head: Head, architecture: Architecture, system: SystemRecord) -> bytes:
    """Return a SystemInfoStream."""
    major, minor, build = system.version
    return record(
        "MINIDUMP_SYSTEM_INFO",
        ProcessorArchitecture=architecture.processor,
        ProcessorLevel=architecture.level,
        ProcessorRevision=architecture.revision,
        NumberOfProcessors=4,
        ProductType=3 if system.server else 1,  # VER_NT_SERVER, VER_NT_WORKSTATION
        MajorVersion=major,
        MinorVersion=minor,
        BuildNumber=build,
        PlatformId=2,  # VER_PLATFORM_WIN32_NT
        CSDVersionRva=head.string(""),
        SuiteMask=0x100,  # VER_SUITE_SINGLEUSERTS
    )


def misc_info(misc: MiscRecord) -> bytes:
    """Return a MiscInfoStream. Each version of the structure is a prefix of the next."""
    name = "MINIDUMP_MISC_INFO" if misc.level == 1 else f"MINIDUMP_MISC_INFO_{misc.level}"
    flags = (0x3, 0x7, 0xF7, 0x1F7, 0x3F7)[misc.level - 1]  # MINIDUMP_MISC1_* to MISC5_*: the valid fields
    size = len(getattr(c_minidump, name))
    info1 = c_minidump.MINIDUMP_MISC_INFO(
        SizeOfInfo=size, Flags1=flags, ProcessId=misc.pid, ProcessCreateTime=misc.created
    )
    info2 = c_minidump.MINIDUMP_MISC_INFO_2(Info1=info1, ProcessorMaxMhz=2900, ProcessorCurrentMhz=2900)
    info3 = c_minidump.MINIDUMP_MISC_INFO_3(Info2=info2, ProcessIntegrityLevel=0x3000)  # high
    text = misc.build_string.ljust(_BUILD_STRING_UNITS, "\0").encode("utf-16-le")
    info4 = c_minidump.MINIDUMP_MISC_INFO_4(Info3=info3, BuildString=text)
    return record("MINIDUMP_MISC_INFO_5", Info4=info4)[:size]


def context(architecture: Architecture, thread: ThreadRecord) -> bytes:
    """Return the CPU context of a thread: its flags and two pointers, with all other registers zero."""
    registers = {
        architecture.instruction_pointer: thread.instruction_pointer,
        architecture.stack_pointer: thread.stack_pointer,
    }
    return record(architecture.context, ContextFlags=architecture.context_flags, **registers)


def thread_list(
    threads: Sequence[ThreadRecord], contexts: Sequence[Location], stacks: Callable[[int], Location]
) -> bytes:
    """Return a ThreadListStream. `stacks` gives the location of the range at an address."""
    return _counted(
        record(
            "MINIDUMP_THREAD",
            ThreadId=thread.thread_id,
            PriorityClass=0x20,  # NORMAL_PRIORITY_CLASS
            Teb=thread.teb,
            Stack=described(thread.stack[0], stacks(thread.stack[0])),
            ThreadContext=located(location),
        )
        for thread, location in zip(threads, contexts, strict=True)
    )


def thread_names(head: Head, threads: Iterable[ThreadRecord]) -> bytes:
    """Return a ThreadNamesStream."""
    return _counted(
        record("MINIDUMP_THREAD_NAME", ThreadId=thread.thread_id, RvaOfThreadName=head.string(thread.name or ""))
        for thread in threads
    )


def module_list(head: Head, modules: Iterable[ModuleRecord]) -> bytes:
    """Return a ModuleListStream."""

    def entry(module: ModuleRecord) -> bytes:
        major, minor, build, revision = module.version
        version = c_minidump.VS_FIXEDFILEINFO(
            dwSignature=_VS_FFI_SIGNATURE,
            dwStrucVersion=0x10000,
            dwFileVersionMS=major << 16 | minor,
            dwFileVersionLS=build << 16 | revision,
            dwProductVersionMS=major << 16 | minor,
            dwProductVersionLS=build << 16 | revision,
            dwFileFlagsMask=0x3F,
            dwFileOS=0x40004,  # VOS_NT_WINDOWS32
            dwFileType=1 if module.name.lower().endswith(".exe") else 2,  # VFT_APP, VFT_DLL
        )
        code_view = NOWHERE
        if module.pdb:
            name, guid, age = module.pdb
            pdb = record("CV_INFO_PDB70", CvSignature=b"RSDS", Signature=list(guid), Age=age)
            code_view = head.append(pdb + name.encode() + b"\0")
        return record(
            "MINIDUMP_MODULE", **_module_fields(head, module), VersionInfo=version, CvRecord=located(code_view)
        )

    return _counted(entry(module) for module in modules)


def unloaded_module_list(head: Head, modules: Iterable[ModuleRecord]) -> bytes:
    """Return an UnloadedModuleListStream."""
    entries = (record("MINIDUMP_UNLOADED_MODULE", **_module_fields(head, module)) for module in modules)
    return _headed("MINIDUMP_UNLOADED_MODULE_LIST", "MINIDUMP_UNLOADED_MODULE", _ENTRIES, entries)


def _module_fields(head: Head, module: ModuleRecord) -> dict[str, int]:
    return {
        "BaseOfImage": module.base,
        "SizeOfImage": module.size,
        "TimeDateStamp": module.timestamp,
        "ModuleNameRva": head.string(module.name),
    }


def memory_info_list(pages: Iterable[MemoryInfoRecord]) -> bytes:
    """Return a MemoryInfoListStream."""
    entries = (
        record(
            "MINIDUMP_MEMORY_INFO",
            BaseAddress=page.base,
            AllocationBase=page.base,
            AllocationProtect=page.protect,
            RegionSize=page.size,
            State=_MEM_COMMIT,
            Protect=page.protect,
            Type=page.type,
        )
        for page in pages
    )
    return _headed("MINIDUMP_MEMORY_INFO_LIST", "MINIDUMP_MEMORY_INFO", _ENTRIES, entries)


def handle_data(head: Head, handles: Iterable[HandleRecord]) -> bytes:
    """Return a HandleDataStream."""
    entries = (
        record(
            "MINIDUMP_HANDLE_DESCRIPTOR",
            Handle=handle.handle,
            TypeNameRva=head.string(handle.type_name),
            ObjectNameRva=head.string(handle.object_name) if handle.object_name is not None else 0,
            GrantedAccess=0x1F0003,  # EVENT_ALL_ACCESS
            HandleCount=1,
            PointerCount=1,
        )
        for handle in handles
    )
    names = ("SizeOfDescriptor", "NumberOfDescriptors")
    return _headed("MINIDUMP_HANDLE_DATA_STREAM", "MINIDUMP_HANDLE_DESCRIPTOR", names, entries)


def exception(raised: ExceptionRecord, thread_context: Location) -> bytes:
    """Return an ExceptionStream with the context of the thread."""
    words = len(raised.information)
    inner = c_minidump.MINIDUMP_EXCEPTION(
        ExceptionCode=raised.code,
        ExceptionAddress=raised.address,
        NumberParameters=words,
        ExceptionInformation=[*raised.information, *[0] * (_EXCEPTION_WORDS - words)],
    )
    return record(
        "MINIDUMP_EXCEPTION_STREAM",
        ThreadId=raised.thread_id,
        ExceptionRecord=inner,
        ThreadContext=located(thread_context),
    )
