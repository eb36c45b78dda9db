"""Physical memory written as acquisition tools and Windows itself write it: crash dumps, LiME, ELF core."""

from __future__ import annotations

from dataclasses import dataclass
from typing import IO, TYPE_CHECKING

import numpy as np

from dumpscan.exceptions import ScenarioError
from dumpscan.model.windows.c_paging import PAGE_SHIFT, PAGE_SIZE
from dumpscan.synth.physical import c_containers as layout
from dumpscan.synth.physical.c_containers import c_containers
from dumpscan.synth.windows.isf import MACHINE_AMD64

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from dumpscan.synth.physical.memory import PhysicalMemory

_CHUNK = 4 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class DumpFacts:
    """What a crash dump's header says of the system; addresses are virtual except `dtb`.

    Attributes:
        build: Build number.
        dtb: Physical address of the system's top page table.
        modules: PsLoadedModuleList.
        processes: PsActiveProcessHead.
        debugger_data: KdDebuggerDataBlock.
        processors: How many.
        product: `_NT_PRODUCT_TYPE`.
        time: System time, 100 ns since 1601.
        uptime: 100 ns.
    """

    build: int
    dtb: int
    modules: int
    processes: int
    debugger_data: int
    processors: int
    product: int
    time: int
    uptime: int


def _copy(memory: PhysicalMemory, start: int, size: int, file: IO[bytes]) -> None:
    """Append physical memory to a file; what is zero stays a hole."""
    end = file.tell() + size
    for at in range(start, start + size, _CHUNK):
        chunk = memory.bytes[at : min(at + _CHUNK, start + size)]
        if chunk.any():
            file.write(chunk.data)
        else:
            file.seek(len(chunk), 1)
    file.truncate(end)
    file.seek(end)


def _header(memory: PhysicalMemory, facts: DumpFacts, kind: int, pages: int) -> bytes:
    runs = memory.runs
    if len(runs) > layout.MAXIMUM_RUNS:
        raise ScenarioError(f"{len(runs)} runs of memory; a crash dump's header holds {layout.MAXIMUM_RUNS}")
    padded = [(start >> PAGE_SHIFT, size >> PAGE_SHIFT) for start, size in runs]
    padded += [(0, 0)] * (layout.MAXIMUM_RUNS - len(runs))
    header = c_containers.DUMP_HEADER64(
        Signature=layout.CRASH_SIGNATURE,
        ValidDump=layout.CRASH_VALID_DUMP,
        MajorVersion=15,
        MinorVersion=facts.build,
        DirectoryTableBase=facts.dtb,
        PsLoadedModuleList=facts.modules,
        PsActiveProcessHead=facts.processes,
        MachineImageType=MACHINE_AMD64,
        NumberProcessors=facts.processors,
        BugCheckCode=0xE2,  # MANUALLY_INITIATED_CRASH
        KdDebuggerDataBlock=facts.debugger_data,
        NumberOfRuns=len(runs),
        NumberOfPages=sum(size for _, size in runs) >> PAGE_SHIFT,
        Run=[c_containers.PHYSICAL_MEMORY_RUN64(BasePage=base, PageCount=count) for base, count in padded],
        DumpType=kind,
        RequiredDumpSpace=layout.CRASH_HEADER_SIZE + (pages << PAGE_SHIFT),
        SystemTime=facts.time,
        SystemUpTime=facts.uptime,
        ProductType=facts.product,
    )
    return bytes(header.dumps())


def _write_crash(memory: PhysicalMemory, facts: DumpFacts, file: IO[bytes]) -> None:
    pages = sum(size for _, size in memory.runs) >> PAGE_SHIFT
    file.write(_header(memory, facts, layout.DUMP_TYPE_FULL, pages))
    for start, size in memory.runs:
        _copy(memory, start, size, file)


def _write_bitmap(memory: PhysicalMemory, facts: DumpFacts, file: IO[bytes]) -> None:
    """Leave out the frames that nothing uses."""
    held = memory.in_use()
    bitmap = np.packbits(held, bitorder="little").tobytes()
    pages = int(held.sum())
    first = layout.CRASH_HEADER_SIZE + len(c_containers.SUMMARY_DUMP64) + len(bitmap)
    first = -(-first // PAGE_SIZE) * PAGE_SIZE
    summary = c_containers.SUMMARY_DUMP64(
        Signature=layout.BITMAP_SIGNATURE,
        ValidDump=layout.BITMAP_VALID_DUMP,
        HeaderSize=first,
        Pages=pages,
        BitmapSize=len(held),
    )
    file.write(_header(memory, facts, layout.DUMP_TYPE_BITMAP_FULL, pages))
    file.write(bytes(summary.dumps()) + bitmap)
    file.seek(first)
    for start, count in _runs_of(held):
        _copy(memory, start << PAGE_SHIFT, count << PAGE_SHIFT, file)


def _runs_of(held: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Return (first frame, frames) of the runs of true."""
    edges = np.flatnonzero(np.diff(held, prepend=False, append=False)).reshape(-1, 2)
    return [(int(first), int(past - first)) for first, past in edges]


def _write_lime(memory: PhysicalMemory, _facts: DumpFacts, file: IO[bytes]) -> None:
    for start, size in memory.runs:
        header = c_containers.LIME_RANGE(
            magic=layout.LIME_MAGIC, version=layout.LIME_VERSION, s_addr=start, e_addr=start + size - 1
        )
        file.write(bytes(header.dumps()))
        _copy(memory, start, size, file)


def _write_elf(memory: PhysicalMemory, _facts: DumpFacts, file: IO[bytes]) -> None:
    header_size, entry_size = len(c_containers.ELF64_EHDR), len(c_containers.ELF64_PHDR)
    header = c_containers.ELF64_EHDR(
        e_ident=list(layout.ELF_MAGIC + bytes([2, 1, 1])) + [0] * 9,  # 64-bit, little-endian, version 1
        e_type=layout.ELF_CORE,
        e_machine=layout.ELF_X86_64,
        e_version=1,
        e_phoff=header_size,
        e_ehsize=header_size,
        e_phentsize=entry_size,
        e_phnum=len(memory.runs),
    )
    file.write(bytes(header.dumps()))
    offset = -(-(header_size + entry_size * len(memory.runs)) // PAGE_SIZE) * PAGE_SIZE
    first = offset
    for start, size in memory.runs:
        segment = c_containers.ELF64_PHDR(
            p_type=layout.ELF_LOAD, p_offset=offset, p_paddr=start, p_filesz=size, p_memsz=size
        )
        file.write(bytes(segment.dumps()))
        offset += size
    file.seek(first)
    for start, size in memory.runs:
        _copy(memory, start, size, file)


@dataclass(frozen=True, slots=True)
class ContainerFormat:
    """A file format: the ending of its files' names, and its writer."""

    suffix: str
    write: Callable[[PhysicalMemory, DumpFacts, IO[bytes]], None] | None


RAW = "raw"
CONTAINERS = {
    RAW: ContainerFormat(".raw", None),
    "crash": ContainerFormat(".dmp", _write_crash),
    "crash-bitmap": ContainerFormat(".dmp", _write_bitmap),
    "lime": ContainerFormat(".lime", _write_lime),
    "elf": ContainerFormat(".elf", _write_elf),
}
"""Formats by name. `raw` has no writer: the memory's own file is one."""
