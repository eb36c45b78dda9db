"""The streams of a minidump, as bytes: records in, encoded streams out (layouts: `dumpscan.model.c_minidump`)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from dumpscan.model.c_minidump import c_minidump
from dumpscan.synth.windows.process_blocks import encode_text

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from dumpscan.synth.minidump.records import (
        Architecture,
        ExceptionRecord,
        HandleRecord,
        MemoryInfoRecord,
        MiscRecord,
        ModuleRecord,
        SystemRecord,
        ThreadRecord,
        UnloadedModuleRecord,
    )

Location = tuple[int, int]
"""(size in bytes, RVA)."""
NOWHERE: Location = (0, 0)
_VS_FFI_SIGNATURE = 0xFEEF04BD


@dataclass(slots=True)
class Head:
    """The part of the file before the memory: everything in it is placed by appending.

    Attributes:
        data: The file from its first byte on.
    """

    data: bytearray = field(default_factory=bytearray)

    def append(self, content: bytes, align: int = 4) -> Location:
        """Place `content` at the next multiple of `align`; return where it lies."""
        self.data.extend(bytes(-len(self.data) % align))
        rva = len(self.data)
        self.data.extend(content)
        return (len(content), rva)

    def fill(self, location: Location, content: bytes) -> None:
        """Put `content` where room was made for it."""
        self.data[location[1] : location[1] + len(content)] = content

    def string(self, text: str) -> int:
        """Place a MINIDUMP_STRING (length in bytes, UTF-16LE, a NUL); return its RVA."""
        content = encode_text(text)
        return self.append(len(content).to_bytes(4, "little") + content + b"\0\0")[1]


def record(layout: str, **fields: Any) -> bytes:  # noqa: ANN401 -- values of a cstruct type's fields
    """Return the bytes of one structure of `c_minidump`; fields not named are zero."""
    return bytes(getattr(c_minidump, layout)(**fields).dumps())


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
    """Memory64ListStream of (virtual address, size) ranges whose data follow one another from the offset `base`."""
    header = record("MINIDUMP_MEMORY64_LIST_HEADER", NumberOfMemoryRanges=len(ranges), BaseRva=base)
    return header + b"".join(
        record("MINIDUMP_MEMORY_DESCRIPTOR64", StartOfMemoryRange=address, DataSize=size) for address, size in ranges
    )


def memory_list(ranges: Sequence[tuple[int, Location]]) -> bytes:
    """MemoryListStream of (virtual address, location) ranges."""
    return counted([bytes(described(address, location).dumps()) for address, location in ranges])


def counted(entries: Sequence[bytes]) -> bytes:
    """Return a list with a 32-bit count before it."""
    return len(entries).to_bytes(4, "little") + b"".join(entries)


def system_info(head: Head, architecture: Architecture, system: SystemRecord) -> bytes:
    """SystemInfoStream."""
    major, minor, build = system.version
    return record(
        "MINIDUMP_SYSTEM_INFO",
        ProcessorArchitecture=architecture.processor,
        ProcessorLevel=architecture.level,
        ProcessorRevision=architecture.revision,
        NumberOfProcessors=system.processors,
        ProductType=3 if system.server else 1,  # VER_NT_SERVER, VER_NT_WORKSTATION
        MajorVersion=major,
        MinorVersion=minor,
        BuildNumber=build,
        PlatformId=2,  # VER_PLATFORM_WIN32_NT
        CSDVersionRva=head.string(system.service_pack),
        SuiteMask=0x100,  # VER_SUITE_SINGLEUSERTS
    )


def misc_info(misc: MiscRecord) -> bytes:
    """MiscInfoStream of the level asked for: each version of the structure is a prefix of the next."""
    layouts = [c_minidump.MINIDUMP_MISC_INFO] + [
        getattr(c_minidump, f"MINIDUMP_MISC_INFO_{level}") for level in range(2, 6)
    ]
    flags = (0x3, 0x7, 0xF7, 0x1F7, 0x3F7)[misc.level - 1]  # MINIDUMP_MISC1_* ... MISC5_*: what is valid
    size = len(layouts[misc.level - 1])
    info1 = c_minidump.MINIDUMP_MISC_INFO(
        SizeOfInfo=size, Flags1=flags, ProcessId=misc.pid, ProcessCreateTime=misc.created
    )
    info2 = c_minidump.MINIDUMP_MISC_INFO_2(Info1=info1, ProcessorMaxMhz=2900, ProcessorCurrentMhz=2900)
    info3 = c_minidump.MINIDUMP_MISC_INFO_3(Info2=info2, ProcessIntegrityLevel=0x3000)  # high
    units = [ord(unit) for unit in misc.build_string]
    info4 = c_minidump.MINIDUMP_MISC_INFO_4(Info3=info3, BuildString=units + [0] * (260 - len(units)))
    info5 = c_minidump.MINIDUMP_MISC_INFO_5(Info4=info4)
    return bytes(info5.dumps())[:size]


def context(architecture: Architecture, thread: ThreadRecord) -> bytes:
    """CPU context of a thread: flags and the two pointers, the other registers zero."""
    return record(
        architecture.context,
        **{
            "ContextFlags": architecture.context_flags,
            architecture.instruction_pointer: thread.instruction_pointer,
            architecture.stack_pointer: thread.stack_pointer,
        },
    )


def thread_list(
    threads: Sequence[ThreadRecord], contexts: Sequence[Location], stacks: Callable[[int], Location]
) -> bytes:
    """ThreadListStream; `stacks` says where in the file a range at an address lies (`NOWHERE` in a Memory64List)."""
    return counted(
        [
            record(
                "MINIDUMP_THREAD",
                ThreadId=thread.thread_id,
                SuspendCount=thread.suspend_count,
                PriorityClass=0x20,  # NORMAL_PRIORITY_CLASS
                Priority=thread.priority,
                Teb=thread.teb,
                Stack=described(thread.stack[0], stacks(thread.stack[0])),
                ThreadContext=located(location),
            )
            for thread, location in zip(threads, contexts, strict=True)
        ]
    )


def thread_names(head: Head, threads: Sequence[ThreadRecord]) -> bytes:
    """ThreadNamesStream."""
    return counted(
        [
            record("MINIDUMP_THREAD_NAME", ThreadId=thread.thread_id, RvaOfThreadName=head.string(thread.name or ""))
            for thread in threads
        ]
    )


def module_list(head: Head, modules: Sequence[ModuleRecord]) -> bytes:
    """ModuleListStream."""
    entries = []
    for module in modules:
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
        entries.append(
            record(
                "MINIDUMP_MODULE",
                BaseOfImage=module.base,
                SizeOfImage=module.size,
                CheckSum=module.checksum,
                TimeDateStamp=module.timestamp,
                ModuleNameRva=head.string(module.name),
                VersionInfo=version,
                CvRecord=located(code_view),
            )
        )
    return counted(entries)


def unloaded_module_list(head: Head, modules: Sequence[UnloadedModuleRecord]) -> bytes:
    """UnloadedModuleListStream."""
    entries = [
        record(
            "MINIDUMP_UNLOADED_MODULE",
            BaseOfImage=module.base,
            SizeOfImage=module.size,
            CheckSum=module.checksum,
            TimeDateStamp=module.timestamp,
            ModuleNameRva=head.string(module.name),
        )
        for module in modules
    ]
    return _headed("MINIDUMP_UNLOADED_MODULE_LIST", "MINIDUMP_UNLOADED_MODULE", "SizeOfEntry", entries)


def memory_info_list(pages: Sequence[MemoryInfoRecord]) -> bytes:
    """MemoryInfoListStream."""
    entries = [
        record(
            "MINIDUMP_MEMORY_INFO",
            BaseAddress=page.base,
            AllocationBase=page.base,
            AllocationProtect=page.protect,
            RegionSize=page.size,
            State=page.state,
            Protect=page.protect,
            Type=page.type,
        )
        for page in pages
    ]
    return _headed("MINIDUMP_MEMORY_INFO_LIST", "MINIDUMP_MEMORY_INFO", "SizeOfEntry", entries)


def handle_data(head: Head, handles: Sequence[HandleRecord]) -> bytes:
    """HandleDataStream."""
    entries = [
        record(
            "MINIDUMP_HANDLE_DESCRIPTOR",
            Handle=handle.handle,
            TypeNameRva=head.string(handle.type_name),
            ObjectNameRva=head.string(handle.object_name) if handle.object_name is not None else 0,
            Attributes=handle.attributes,
            GrantedAccess=handle.granted_access,
            HandleCount=handle.handle_count,
            PointerCount=handle.pointer_count,
        )
        for handle in handles
    ]
    return _headed("MINIDUMP_HANDLE_DATA_STREAM", "MINIDUMP_HANDLE_DESCRIPTOR", "SizeOfDescriptor", entries)


def exception(raised: ExceptionRecord, thread_context: Location) -> bytes:
    """ExceptionStream; the context is that of the thread."""
    information = [*raised.information, *[0] * (15 - len(raised.information))]
    inner = c_minidump.MINIDUMP_EXCEPTION(
        ExceptionCode=raised.code,
        ExceptionFlags=raised.flags,
        ExceptionAddress=raised.address,
        NumberParameters=len(raised.information),
        ExceptionInformation=information,
    )
    return record(
        "MINIDUMP_EXCEPTION_STREAM",
        ThreadId=raised.thread_id,
        ExceptionRecord=inner,
        ThreadContext=located(thread_context),
    )


def _headed(header: str, entry: str, size_field: str, entries: Sequence[bytes]) -> bytes:
    """Return a list whose header gives its own size and that of an entry."""
    layout = getattr(c_minidump, header)
    count = "NumberOfDescriptors" if size_field == "SizeOfDescriptor" else "NumberOfEntries"
    sizes = {"SizeOfHeader": len(layout), size_field: len(getattr(c_minidump, entry)), count: len(entries)}
    return record(header, **sizes) + b"".join(entries)
