"""The contents of a minidump's streams as plain records, and the processors that a minidump can name."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Architecture:
    """A processor in a minidump.

    Attributes:
        processor: `PROCESSOR_ARCHITECTURE` value.
        pointer_size: Bytes of a pointer.
        level: `ProcessorLevel`, which is the CPU family for x86 and x64.
        revision: `ProcessorRevision`.
        context: Name of its CONTEXT layout.
        context_flags: `ContextFlags` of a whole context (winnt.h).
        instruction_pointer: Name of this register in the context.
        stack_pointer: Name of this register in the context.
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


@dataclass(frozen=True, slots=True)
class SystemRecord:
    """The system on which the process ran. The version is (major, minor, build)."""

    version: tuple[int, int, int]
    server: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ThreadRecord:
    """A thread. Addresses are virtual. The stack is (start, size in bytes)."""

    thread_id: int
    teb: int
    stack: tuple[int, int]
    instruction_pointer: int
    stack_pointer: int
    name: str | None


@dataclass(frozen=True, slots=True)
class ModuleRecord:
    """A loaded or unloaded module. The version has four parts. The PDB is (file name, 16 GUID bytes, age)."""

    name: str
    base: int
    size: int
    timestamp: int
    version: tuple[int, int, int, int] = (0, 0, 0, 0)
    pdb: tuple[str, bytes, int] | None = None


@dataclass(frozen=True, slots=True)
class HandleRecord:
    """An open handle. Its object may have no name."""

    handle: int
    type_name: str
    object_name: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ExceptionRecord:
    """The exception for which the dump was written. There are at most 15 words of information."""

    thread_id: int
    code: int
    address: int
    information: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class MemoryInfoRecord:
    """A run of committed pages of one kind, as `VirtualQuery` describes it."""

    base: int
    size: int
    protect: int
    type: int


@dataclass(frozen=True, slots=True, kw_only=True)
class MiscRecord:
    """The contents of MiscInfo. `level` is the version of the structure, 1 to 5."""

    level: int
    pid: int
    created: int
    build_string: str
