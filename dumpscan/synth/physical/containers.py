"""Files of physical memory as Windows and acquisition tools write them: crash dumps, LiME, ELF core, kdump."""

from __future__ import annotations

from dataclasses import dataclass
from typing import IO, TYPE_CHECKING

import numpy as np

from dumpscan.exceptions import ScenarioError
from dumpscan.model import c_elf
from dumpscan.model import c_lime as layout
from dumpscan.model.c_lime import c_lime
from dumpscan.model.windows import c_crash_dump as crash
from dumpscan.model.windows.c_crash_dump import DumpType, c_crash_dump
from dumpscan.model.windows.c_paging import PAGE_SHIFT
from dumpscan.synth.alignment import page_align
from dumpscan.synth.physical.kdump import write_kdump
from dumpscan.synth.windows.isf import MACHINE_AMD64

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from dumpscan.synth.physical.memory import PhysicalMemory

_CHUNK = 4 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class DumpFacts:
    """What the header of a crash dump says of the system.

    Attributes:
        build: Build number.
        dtb: Physical address of the system's top page table.
        modules: Virtual address of PsLoadedModuleList.
        processes: Virtual address of PsActiveProcessHead.
        debugger_data: Virtual address of KdDebuggerDataBlock.
        processors: Number of processors.
        product: `_NT_PRODUCT_TYPE`.
        time: System time in 100 ns since 1601.
        uptime: Time since the start in 100 ns.
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


NO_FACTS = DumpFacts(
    build=0,
    dtb=0,
    modules=0,
    processes=0,
    debugger_data=0,
    processors=0,
    product=0,
    time=0,
    uptime=0,
)
"""For formats that say nothing of Windows."""


def _copy(memory: PhysicalMemory, start: int, size: int, file: IO[bytes]) -> None:
    """Append physical memory to a file, with holes in place of zeros."""
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
    room = len(c_crash_dump.DUMP_HEADER64().Run)
    if len(runs) > room:
        raise ScenarioError(f"{len(runs)} runs of memory; a crash dump's header holds {room}")
    padded = [(start >> PAGE_SHIFT, size >> PAGE_SHIFT) for start, size in runs]
    padded += [(0, 0)] * (room - len(runs))
    header = c_crash_dump.DUMP_HEADER64(
        Signature=crash.SIGNATURE,
        ValidDump=crash.VALID_DUMP_64,
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
        Run=[c_crash_dump.PHYSICAL_MEMORY_RUN64(BasePage=base, PageCount=count) for base, count in padded],
        DumpType=kind,
        RequiredDumpSpace=len(c_crash_dump.DUMP_HEADER64) + (pages << PAGE_SHIFT),
        SystemTime=facts.time,
        SystemUpTime=facts.uptime,
        ProductType=facts.product,
    )
    return bytes(header)


def _write_crash(memory: PhysicalMemory, facts: DumpFacts, file: IO[bytes]) -> None:
    pages = sum(size for _, size in memory.runs) >> PAGE_SHIFT
    file.write(_header(memory, facts, DumpType.FULL, pages))
    for start, size in memory.runs:
        _copy(memory, start, size, file)


def _write_bitmap(memory: PhysicalMemory, facts: DumpFacts, file: IO[bytes]) -> None:
    """Write a bitmap dump, which leaves out the frames that nothing uses."""
    held = memory.in_use()
    bitmap = np.packbits(held, bitorder="little").tobytes()
    pages = int(held.sum())
    first = page_align(len(c_crash_dump.DUMP_HEADER64) + len(c_crash_dump.BITMAP_DUMP) + len(bitmap))
    summary = c_crash_dump.BITMAP_DUMP(
        Signature=crash.BITMAP_SIGNATURES[0],
        ValidDump=crash.PART_VALID_DUMP,
        HeaderSize=first,
        Pages=pages,
        BitmapSize=len(held),
    )
    file.write(_header(memory, facts, DumpType.BITMAP_FULL, pages))
    file.write(bytes(summary) + bitmap)
    file.seek(first)
    for start, count in _runs_of(held):
        _copy(memory, start << PAGE_SHIFT, count << PAGE_SHIFT, file)


def _runs_of(held: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Return the (first frame, number of frames) of each run of true values."""
    edges = np.flatnonzero(np.diff(held, prepend=False, append=False)).reshape(-1, 2)
    return [(int(first), int(past - first)) for first, past in edges]


_ELF_X64 = next(number for number, name in c_elf.MACHINES.items() if name == "x64")


def _write_lime(memory: PhysicalMemory, _facts: DumpFacts, file: IO[bytes]) -> None:
    for start, size in memory.runs:
        header = c_lime.LIME_RANGE(
            magic=layout.LIME_MAGIC, version=layout.LIME_VERSION, s_addr=start, e_addr=start + size - 1
        )
        file.write(bytes(header))
        _copy(memory, start, size, file)


def _write_elf(memory: PhysicalMemory, _facts: DumpFacts, file: IO[bytes]) -> None:
    structures = c_elf.c_elf(8, "<")
    header_size, entry_size = len(structures.Ehdr), len(structures.Phdr)
    header = structures.Ehdr(
        e_ident=list(c_elf.MAGIC + bytes([c_elf.CLASS_64, c_elf.LITTLE, 1])) + [0] * 9,  # 1: the version
        e_type=c_elf.ET_CORE,
        e_machine=_ELF_X64,
        e_version=1,
        e_phoff=header_size,
        e_ehsize=header_size,
        e_phentsize=entry_size,
        e_phnum=len(memory.runs),
    )
    file.write(bytes(header))
    first = offset = page_align(header_size + entry_size * len(memory.runs))
    for start, size in memory.runs:
        segment = structures.Phdr(p_type=c_elf.PT_LOAD, p_offset=offset, p_paddr=start, p_filesz=size, p_memsz=size)
        file.write(bytes(segment))
        offset += size
    file.seek(first)
    for start, size in memory.runs:
        _copy(memory, start, size, file)


@dataclass(frozen=True, slots=True)
class ContainerFormat:
    """A file format.

    Attributes:
        suffix: Of its file names.
        write: Writes it; None if the file is the memory itself.
        windows: Whether only Windows has it.
    """

    suffix: str
    write: Callable[[PhysicalMemory, DumpFacts, IO[bytes]], None] | None
    windows: bool = False


CONTAINERS = {
    "raw": ContainerFormat(".raw", None),
    "crash": ContainerFormat(".dmp", _write_crash, windows=True),
    "crash-bitmap": ContainerFormat(".dmp", _write_bitmap, windows=True),
    "lime": ContainerFormat(".lime", _write_lime),
    "elf": ContainerFormat(".elf", _write_elf),
    "kdump": ContainerFormat(".kdump", lambda memory, _, file: write_kdump(memory, file)),
}
"""The formats by name."""
