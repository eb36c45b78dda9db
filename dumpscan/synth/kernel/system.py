"""The kernel of an image: its program, shared data, debugger data, object types, and list of loaded modules."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from dumpscan.model.windows import c_kernel as layout
from dumpscan.model.windows import c_paging as paging
from dumpscan.model.windows.c_kernel import c_kernel
from dumpscan.model.windows.c_paging import PAGE_SIZE
from dumpscan.synth.alignment import page_align, page_count
from dumpscan.synth.kernel.pe import ImageFacts, codeview_record, kernel_headers, module_headers
from dumpscan.synth.kernel.space import DRIVERS, SESSION, KernelSpace
from dumpscan.synth.seeded import SeededBytes
from dumpscan.synth.windows.isf import MACHINE_AMD64, SYMBOLS
from dumpscan.synth.windows.process_blocks import encode_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dumpscan.synth.physical.memory import PhysicalMemory
    from dumpscan.synth.windows.symbols import Values

START_BLOCK = 0x1000
"""Physical address of the boot processor's start block, on the second page of memory."""
_EPOCH = datetime(1601, 1, 1, tzinfo=UTC)
_OWN_IMAGE_SIZE = 0x6_0000
_IMAGE_TAIL = 0x1_0000
_OBJECT_TYPES = {2: "Type", 3: "Directory", 4: "SymbolicLink", 5: "Token", 6: "Job", 7: "Process", 8: "Thread"}
"""Object types by index, the same in all versions. Index 1 holds a marker that is no address."""
_TYPE_MARKER = 0xBAD0_B0B0
PROCESS_TYPE = 7
PRODUCTS = {"workstation": 1, "domain-controller": 2, "server": 3}
"""`_NT_PRODUCT_TYPE` by name."""
DRIVER_NAMES = ("hal.dll", "kdcom.dll", "CI.dll", "cng.sys", "Ntfs.sys", "ksecdd.sys", "tcpip.sys", "http.sys")
_DRIVER_PAGES = 8


def filetime(moment: datetime | None) -> int:
    """Return a time in 100 ns since 1601; 0 for None."""
    return 0 if moment is None else (moment - _EPOCH) // timedelta(microseconds=1) * 10


@dataclass(frozen=True, slots=True, kw_only=True)
class SystemFacts:
    """The system as the scenario describes it.

    Attributes:
        time: When the image was taken.
        boot: When the system was started.
        product: One of `PRODUCTS`.
        processors: Number of processors.
        debugger_data: Whether the debugger data block is readable. Windows encodes it since version 8.
        start_block: Whether the first MiB still holds the boot processor's start block.
        drivers: File names of the loaded modules besides the kernel.
    """

    time: datetime
    boot: datetime
    product: str = "workstation"
    processors: int = 4
    debugger_data: bool = True
    start_block: bool = True
    drivers: Sequence[str] = DRIVER_NAMES


class System:
    """Writes the kernel of an image. Processes are linked into its list afterwards."""

    def __init__(self, kernel: KernelSpace, memory: PhysicalMemory, facts: SystemFacts, seed: str) -> None:
        self.kernel = kernel
        self.facts = facts
        symbols, profile = kernel.symbols, kernel.profile
        known = [name for name in SYMBOLS if symbols.has_symbol(name)]
        rvas = [(symbols.rva(name), SYMBOLS[name]) for name in known]
        end = max(rva + size for rva, size in rvas)
        self.image_size = max(_OWN_IMAGE_SIZE, page_align(end + _IMAGE_TAIL))
        image = ImageFacts(
            size=self.image_size,
            base=kernel.base,
            timestamp=int(facts.boot.timestamp()) & 0x7FFF_FFFF,
            version=(profile.major, profile.minor),
        )
        exported = ("PsInitialSystemProcess", "NtBuildNumber", "MmSystemRangeStart", "MmHighestUserAddress")
        headers = kernel_headers(
            image,
            codeview_record(symbols.pdb_guid, symbols.pdb_age, symbols.pdb_name),
            {name: symbols.rva(name) for name in exported if name in known},
        )
        kernel.map_image(self.image_size, rvas, headers)
        self.cookie = SeededBytes("object-cookie", seed).take(1)[0] if "ObHeaderCookie" in known else None
        self._sessions: dict[int, int] = {}
        self._write_values(set(known))
        self._write_shared_data()
        self._write_object_types()
        self._write_modules(image)
        if facts.start_block:
            self._write_start_block(memory)

    def _number(self, name: str, value: int, size: int = 8) -> None:
        self.kernel.write_symbol(name, value.to_bytes(size, "little"))

    def _write_values(self, known: set[str]) -> None:
        kernel, profile = self.kernel, self.kernel.profile
        kernel.write_symbol("NtBuildLab", profile.build_lab.encode() + b"\0")
        self._number("NtBuildNumber", 0xF000_0000 | profile.build, 4)
        self._number("CmNtCSDVersion", profile.service_pack << 8, 4)
        self._number("KeNumberProcessors", self.facts.processors, 4)
        kernel.write_symbol("MmProtectToValue", struct.pack("<32I", *layout.PROTECT_TO_VALUE))
        self._number("MmSystemRangeStart", paging.KERNEL_SPACE)
        if "MmHighestUserAddress" in known:
            self._number("MmHighestUserAddress", paging.USER_SPACE_END - 1)
        if self.cookie is not None:
            self._number("ObHeaderCookie", self.cookie, 1)
        modules, processes = kernel.symbol("PsLoadedModuleList"), kernel.symbol("PsActiveProcessHead")
        debugger_data = kernel.symbol("KdDebuggerDataBlock")
        version: Values = {
            "MajorVersion": 0xF,
            "MinorVersion": profile.build,
            "ProtocolVersion": 6,
            "Flags": 7,
            "MachineType": MACHINE_AMD64,
            "KernBase": kernel.base,
            "PsLoadedModuleList": modules,
            "DebuggerDataList": debugger_data,
        }
        kernel.write_symbol("KdVersionBlock", kernel.symbols.build("_DBGKD_GET_VERSION64", version))
        if self.facts.debugger_data:
            block = c_kernel.KDDEBUGGER_DATA64(
                ListFlink=debugger_data,
                ListBlink=debugger_data,
                OwnerTag=layout.KDBG_TAG,
                Size=len(c_kernel.KDDEBUGGER_DATA64),
                KernBase=kernel.base,
                PsLoadedModuleList=modules,
                PsActiveProcessHead=processes,
                NtBuildLab=kernel.symbol("NtBuildLab"),
                CmNtCSDVersion=kernel.symbol("CmNtCSDVersion"),
            )
            kernel.write_symbol("KdDebuggerDataBlock", bytes(block))
        self.link_processes([])

    def _write_shared_data(self) -> None:
        symbols, profile, facts = self.kernel.symbols, self.kernel.profile, self.facts
        values: Values = {
            "TickCountMultiplier": 0x0FA0_0000,
            "ImageNumberLow": MACHINE_AMD64,
            "ImageNumberHigh": MACHINE_AMD64,
            "NtSystemRoot": encode_text("C:\\Windows\0"),
            "NtProductType": PRODUCTS[facts.product],
            "ProductTypeIsValid": 1,
            "NtMajorVersion": profile.major,
            "NtMinorVersion": profile.minor,
            "NtBuildNumber": 0xF000_0000 | profile.build,
            "NativeProcessorArchitecture": 9,
            "ActiveProcessorCount": facts.processors,
            "NumberOfPhysicalPages": self.kernel.memory.size >> paging.PAGE_SHIFT,
        }
        time = filetime(facts.time)
        for name, ticks in (("SystemTime", time), ("InterruptTime", time - filetime(facts.boot))):
            values[f"{name}.LowPart"] = ticks & 0xFFFF_FFFF
            values[f"{name}.High1Time"] = values[f"{name}.High2Time"] = ticks >> 32
        known = {path: value for path, value in values.items() if symbols.has("_KUSER_SHARED_DATA", path)}
        self.kernel.write(paging.KUSER_SHARED_DATA_KERNEL, symbols.build("_KUSER_SHARED_DATA", known))

    def _write_object_types(self) -> None:
        table = {1: _TYPE_MARKER}
        for index, name in _OBJECT_TYPES.items():
            values = {"Index": index, **self.kernel.text("Name", name)}
            table[index] = self.kernel.structure(b"ObjT", "_OBJECT_TYPE", values)
        pointers = b"".join(table.get(index, 0).to_bytes(8, "little") for index in range(max(table) + 2))
        self.kernel.write_symbol("ObTypeIndexTable", pointers)

    def _write_modules(self, image: ImageFacts) -> None:
        kernel = self.kernel
        loaded = [("ntoskrnl.exe", kernel.base, self.image_size, "\\SystemRoot\\system32\\ntoskrnl.exe")]
        for name in self.facts.drivers:
            size = _DRIVER_PAGES * PAGE_SIZE
            base = kernel.pages(DRIVERS, _DRIVER_PAGES)
            facts = ImageFacts(size=size, base=base, timestamp=image.timestamp, version=image.version, dll=True)
            kernel.write(base, module_headers(facts))
            folder = "" if name.endswith(".dll") else "drivers\\"
            loaded.append((name, base, size, f"\\SystemRoot\\system32\\{folder}{name}"))
        nodes = []
        for name, base, size, path in loaded:
            values: Values = {
                "DllBase": base,
                "EntryPoint": base + PAGE_SIZE,
                "SizeOfImage": size,
                **kernel.text("FullDllName", path),
                **kernel.text("BaseDllName", name),
            }
            nodes.append(kernel.structure(b"MmLd", "_LDR_DATA_TABLE_ENTRY", values))
        links = kernel.symbols.offset("_LDR_DATA_TABLE_ENTRY", "InLoadOrderLinks")
        self.link("PsLoadedModuleList", [node + links for node in nodes])

    def _write_start_block(self, memory: PhysicalMemory) -> None:
        block = c_kernel.PROCESSOR_START_BLOCK(
            JmpAndCompletionFlag=layout.START_BLOCK_JUMP,
            LmTarget=self.kernel.base + PAGE_SIZE,
            Cr3=self.kernel.space.root << paging.PAGE_SHIFT,
        )
        memory.write(START_BLOCK, bytes(block))

    def link(self, head_symbol: str, entries: list[int]) -> None:
        """Write a doubly linked list from the addresses of its entries' links. Its head is at a symbol."""
        ring = [self.kernel.symbol(head_symbol), *entries]
        for index, address in enumerate(ring):
            following, previous = ring[(index + 1) % len(ring)], ring[index - 1]
            self.kernel.write(address, following.to_bytes(8, "little") + previous.to_bytes(8, "little"))

    def link_processes(self, objects: list[int]) -> None:
        """Write the list PsActiveProcessHead from the addresses of process objects."""
        links = self.kernel.symbols.offset("_EPROCESS", "ActiveProcessLinks")
        self.link("PsActiveProcessHead", [address + links for address in objects])

    def session(self, number: int) -> int:
        """Return the address of a session's `_MM_SESSION_SPACE`, which is made at the first call."""
        if number not in self._sessions:
            data = self.kernel.symbols.build("_MM_SESSION_SPACE", {"SessionId": number})
            address = self._sessions[number] = self.kernel.pages(SESSION, page_count(len(data)))
            self.kernel.write(address, data)
        return self._sessions[number]

    def type_index(self, header: int) -> int:
        """Return the type index in the object header of a process at this address. Windows 10 and later encode it."""
        if self.cookie is None:
            return PROCESS_TYPE
        return PROCESS_TYPE ^ self.cookie ^ header >> 8 & 0xFF
