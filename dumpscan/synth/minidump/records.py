"""What a minidump's streams say, as plain records, and how each processor shows in them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Architecture:
    """How a processor shows in a minidump.

    Attributes:
        processor: `PROCESSOR_ARCHITECTURE` value.
        pointer_size: Bytes of a pointer.
        level: `ProcessorLevel` (for x86 and x64 the CPU family).
        revision: `ProcessorRevision`.
        context: Name of its CONTEXT layout.
        context_flags: `ContextFlags` of a whole context (`winnt.h`).
        instruction_pointer: Name of that register in the context; the stack pointer's follows.
        stack_pointer: Likewise.
    """

    processor: int
    pointer_size: int
    level: int
    revision: int
    context: str
    context_flags: int
    instruction_pointer: str
    stack_pointer: str


ARCHITECTURES = {
    "x86": Architecture(0, 4, 6, 0x8E0A, "CONTEXT_X86", 0x1003F, "Eip", "Esp"),
    "x64": Architecture(9, 8, 6, 0x8E0A, "CONTEXT_AMD64", 0x10001F, "Rip", "Rsp"),
    "arm64": Architecture(12, 8, 1, 0x0000, "CONTEXT_ARM64", 0x40000F, "Pc", "Sp"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class SystemRecord:
    """The system that the process ran on; the version is (major, minor, build)."""

    version: tuple[int, int, int]
    server: bool = False
    service_pack: str = ""
    processors: int = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class ThreadRecord:
    """A thread. Addresses are virtual; the stack range is (start, size in bytes)."""

    thread_id: int
    teb: int
    stack: tuple[int, int]
    instruction_pointer: int = 0
    stack_pointer: int = 0
    suspend_count: int = 0
    priority: int = 0
    name: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ModuleRecord:
    """A loaded module; the version has four parts, the PDB record is (file name, 16 GUID bytes, age)."""

    name: str
    base: int
    size: int
    version: tuple[int, int, int, int] = (0, 0, 0, 0)
    timestamp: int = 0
    checksum: int = 0
    pdb: tuple[str, bytes, int] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class UnloadedModuleRecord:
    """A module that was unloaded."""

    name: str
    base: int
    size: int
    timestamp: int = 0
    checksum: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class HandleRecord:
    """An open handle; the object may have no name."""

    handle: int
    type_name: str
    object_name: str | None = None
    attributes: int = 0
    granted_access: int = 0x1F0003
    handle_count: int = 1
    pointer_count: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class ExceptionRecord:
    """Why the dump was written."""

    thread_id: int
    code: int
    address: int
    flags: int = 0
    information: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryInfoRecord:
    """A run of pages of one kind (values of `VirtualQuery`)."""

    base: int
    size: int
    protect: int
    type: int
    state: int = 0x1000


@dataclass(frozen=True, slots=True, kw_only=True)
class MiscRecord:
    """What MiscInfo says; `level` is the version of the structure, 1 to 5."""

    level: int
    pid: int
    created: int
    build_string: str = ""
