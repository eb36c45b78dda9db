"""The processes of a kernel image: their objects, address spaces, and descriptions of themselves."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from dumpscan.exceptions import ScenarioError
from dumpscan.model.windows import c_paging as paging
from dumpscan.model.windows.c_paging import PAGE_SHIFT, PAGE_SIZE
from dumpscan.synth.alignment import align
from dumpscan.synth.kernel.built import BuiltProcess
from dumpscan.synth.kernel.modules import ProcessModules, without_drive
from dumpscan.synth.kernel.regions import (
    READ_ONLY,
    READ_WRITE,
    AddressLayout,
    RegionMapper,
    page_flags,
    software_protection,
)
from dumpscan.synth.kernel.scenario import SYSTEM_PID, Paging
from dumpscan.synth.kernel.space import PAGED
from dumpscan.synth.kernel.system import filetime
from dumpscan.synth.kernel.vad import AddressRange, FileObjects, set_root
from dumpscan.synth.physical.paging import USER_DATA, PageTables
from dumpscan.synth.seeded import SeededBytes
from dumpscan.synth.windows import process_blocks as blocks

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from dumpscan.synth.kernel.scenario import KernelProcess
    from dumpscan.synth.kernel.system import System
    from dumpscan.synth.windows.symbols import Values

_PCID_BUILD = 17134
"""First build with process-context identifiers (Windows 10 1803)."""
_VOLUME = "\\Device\\HarddiskVolume3"


class ProcessBuilder:
    """Builds processes.

    Args:
        system: The kernel.
        shared: Frames of shared memory, by name.
        seed: Determines addresses.
        filler: The filler of all frames. A region with another filler is filled again.
    """

    def __init__(self, system: System, shared: Mapping[str, NDArray[np.uint64]], seed: str, filler: str) -> None:
        self._filler = filler
        self._system = system
        self._kernel = system.kernel
        self._shared = shared
        self._seed = seed
        self._files = FileObjects(system.kernel)
        self._modules = ProcessModules(system, seed)

    def build(self, process: KernelProcess) -> BuiltProcess:
        """Write a process, except for its address descriptors, which `finish` writes.

        Raises:
            ScenarioError: If its ranges overlap or lie outside user space, or the image is too small.
        """
        kernel, spec = self._kernel, process.spec
        source = SeededBytes("process", self._seed, str(spec.pid))
        if spec.pid == SYSTEM_PID:  # its address space is that of the kernel
            space, dtb = kernel.space, kernel.space.root << PAGE_SHIFT
        elif process.exited is not None:  # its top table was freed and zeroed, but the object may still name the frame
            freed = kernel.memory.take_table()
            space, dtb = kernel.space, 0 if process.dtb_zeroed else freed << PAGE_SHIFT
        else:
            space = PageTables(kernel.memory, kernel.memory.take_table(), kernel.space.self_map)
            space.share_kernel(kernel.space)
            dtb = space.root << PAGE_SHIFT
            if kernel.profile.build >= _PCID_BUILD:
                dtb |= source.below(1 << 12)
        plan = self._plan(source, wow64=spec.wow64)
        built = BuiltProcess(process, self._allocate_object(), dtb, space, AddressLayout(plan.heap))
        values = self._object_values(process, built)
        if process.user_space:
            built.mapper = RegionMapper(kernel, space, self._shared, f"{self._seed}/{spec.pid}")
            values |= self._user_half(built, plan)
        kernel.write(built.address, kernel.symbols.build("_EPROCESS", values))
        return built

    def finish(self, built: BuiltProcess) -> None:
        """Write the tree of address descriptors when all ranges of the process are known."""
        set_root(self._kernel, self._files, built.layout.sorted_ranges(built.ranges), built.address)

    def _allocate_object(self) -> int:
        kernel, symbols = self._kernel, self._kernel.symbols
        body = symbols.offset("_OBJECT_HEADER", "Body")
        quota = symbols.size("_OBJECT_HEADER_QUOTA_INFO") if symbols.has("_OBJECT_HEADER_QUOTA_INFO") else 0
        size = quota + body + symbols.size("_EPROCESS")
        # volatility3 finds objects of Windows 7 from the end of their pool block, so they must fill it.
        header = kernel.allocate(kernel.profile.pool_tag, align(size, 16)) + quota
        address = header + body
        values: Values = {
            "PointerCount": 0x1000,
            "HandleCount": 7,
            "TypeIndex": self._system.type_index(header),
            "InfoMask": 0x08 if quota else 0,
        }
        kernel.write(header, symbols.build("_OBJECT_HEADER", values)[:body])
        return address

    def _object_values(self, process: KernelProcess, built: BuiltProcess) -> Values:
        kernel, symbols, spec = self._kernel, self._kernel.symbols, process.spec
        threads = built.address + symbols.offset("_EPROCESS", "ThreadListHead")
        control = built.address + symbols.offset("_EPROCESS", "Pcb.ThreadListHead")
        table: Values = {"HandleCount": 64} if symbols.has("_HANDLE_TABLE", "HandleCount") else {}
        values: Values = {
            "Pcb.Header.Type": 3,  # ProcessObject of KOBJECTS
            "Pcb.Header.Size": symbols.size("_KPROCESS") // 4 & 0xFF,
            "Pcb.DirectoryTableBase": built.dtb,
            "Pcb.ThreadListHead.Flink": control,
            "Pcb.ThreadListHead.Blink": control,
            "CreateTime.QuadPart": filetime(spec.created),
            "ExitTime.QuadPart": filetime(process.exited),
            "UniqueProcessId": spec.pid,
            "InheritedFromUniqueProcessId": spec.parent_pid or 0,
            "ImageFileName": spec.name.encode("latin-1", "replace")[:14],
            "PriorityClass": 2,
            "ThreadListHead.Flink": threads,
            "ThreadListHead.Blink": threads,
            "ActiveThreads": process.thread_count,
            "ObjectTable": 0 if process.exited else kernel.structure(b"Obtb", "_HANDLE_TABLE", table),
            "ExitStatus": 0 if process.exited else 0x103,
        }
        if spec.executable:
            path = _VOLUME + without_drive(spec.executable)
            values["SeAuditProcessCreationInfo.ImageFileName"] = kernel.structure(
                b"SeOn", "_OBJECT_NAME_INFORMATION", kernel.text("Name", path), pool=PAGED
            )
        if process.user_space:
            values["Session"] = self._system.session(spec.session)
        return values

    @staticmethod
    def _plan(source: SeededBytes, *, wow64: bool) -> blocks.AddressPlan:
        if wow64:
            return blocks.WOW64_PLAN
        low = source.below(1 << 22) << 16
        high = source.below(1 << 18) << 20
        plan = blocks.PLAN64
        return replace(
            plan,
            peb=plan.peb + low,
            teb=plan.teb + low,
            stack=plan.stack + low,
            parameters=plan.parameters + high,
            environment=plan.environment + high,
            heap=plan.heap + high,
        )

    def _user_half(self, built: BuiltProcess, plan: blocks.AddressPlan) -> Values:
        """Write the user half of the address space and return the fields of the process object about it."""
        spec, kernel = built.process.spec, self._kernel
        kuser = AddressRange(start=paging.KUSER_SHARED_DATA_USER, size=PAGE_SIZE, protect=READ_ONLY)
        built.add_range(kuser)
        built.space.map_pages(kuser.start, kernel.shared_data_frame, page_flags(READ_ONLY))
        modules = self._modules.map(built)
        values: Values = {"SectionBaseAddress": modules[0][1], "Peb": plan.peb}
        if kernel.symbols.has("_EPROCESS", "ImageFilePointer"):
            values["ImageFilePointer"] = self._files.file_object(without_drive(spec.executable))
        self._write_blocks(built, plan, modules[0][1])
        if spec.wow64:
            self._write_blocks(built, blocks.PLAN32, modules[0][1])
            values |= self._wow64_values()
        self._modules.write_loader(built, plan.peb, modules)
        for region in sorted(spec.regions, key=lambda entry: entry.address is None):
            how = built.process.paging.get(region.name, Paging())
            filler = None if region.filler == self._filler else region.filler
            built.map_region(region.name, region.size, region.protect, how, address=region.address, filler=filler)
        return values

    def _wow64_values(self) -> Values:
        kernel = self._kernel
        if kernel.symbols.has("_EPROCESS", "WoW64Process"):
            return {"WoW64Process": kernel.structure(b"Wow6", "_EWOW64PROCESS", {"Peb": blocks.PLAN32.peb})}
        return {"Wow64Process": blocks.PLAN32.peb}

    def _write_blocks(self, built: BuiltProcess, plan: blocks.AddressPlan, image_base: int) -> None:
        """Write PEB, TEB, parameters and environment, except for the pages that are paged out."""
        process, spec = built.process, built.process.spec
        teb32 = plan.teb + blocks.TEB32_OFFSET if spec.wow64 and plan.pointer_size == 8 else 0  # noqa: PLR2004
        thread_id = spec.threads[0].thread_id if spec.threads else spec.pid + 4
        teb = plan.teb + (blocks.TEB32_OFFSET if plan is blocks.PLAN32 else 0)
        content = blocks.ProcessBlocks(
            pid=spec.pid,
            image_path=spec.executable,
            command_line=spec.command_line,
            environment=spec.environment,
            current_directory=spec.current_directory,
            image_base=image_base,
            session=spec.session,
            threads=(blocks.ThreadBlock(thread_id=thread_id, teb=teb, teb32=teb32),),
        )
        names = {plan.peb: "peb", plan.parameters: "parameters", plan.environment: "environment"}
        software = software_protection(READ_WRITE)
        for address, data in blocks.process_memory(content, plan):
            pages = len(data) >> PAGE_SHIFT
            built.add_range(AddressRange(start=address, size=len(data), protect=READ_WRITE, committed=pages))
            entries = self._kernel.memory.take(pages) << np.uint64(PAGE_SHIFT) | np.uint64(USER_DATA)
            for page in (page for block, page in process.absent if names.get(address) == block):
                if page >= pages:
                    raise ScenarioError(
                        f"pid {spec.pid}: its {names[address]} has {pages} pages; there is no page {page}"
                    )
                entries[page] = (0x4000 + page) << paging.PAGEFILE_OFFSET_SHIFT | software
            built.space.set_entries(address, entries)
            built.space.write(address, data)
