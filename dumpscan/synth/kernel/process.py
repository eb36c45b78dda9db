"""Processes of a kernel image: the kernel's object for each, its address space, and what it says of itself there."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from dumpscan.exceptions import ScenarioError
from dumpscan.model.c_process import c_process
from dumpscan.model.windows import c_paging as paging
from dumpscan.model.windows.c_paging import PAGE_SHIFT, PAGE_SIZE
from dumpscan.synth import process_blocks as blocks
from dumpscan.synth.kernel.filler import fill_frames
from dumpscan.synth.kernel.paging import USER_DATA, AddressSpace
from dumpscan.synth.kernel.pe import ImageFacts, module_headers
from dumpscan.synth.kernel.regions import (
    EXECUTE_READ,
    EXECUTE_WRITE_COPY,
    GRANULARITY,
    READ_ONLY,
    READ_WRITE,
    AddressLayout,
    Region,
    RegionMapper,
    page_flags,
    software_protection,
)
from dumpscan.synth.kernel.scenario import SYSTEM_PID, Paging
from dumpscan.synth.kernel.space import PAGED
from dumpscan.synth.kernel.system import filetime
from dumpscan.synth.kernel.vad import FileObjects, Range, set_root
from dumpscan.synth.seeded import SeededBytes

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from dumpscan.synth.kernel.scenario import KernelProcess
    from dumpscan.synth.kernel.system import System

_RESIDENT_IMAGE_PAGES = 16
_PCID_BUILD = 17134
"""First build that gives address spaces a process-context identifier (Windows 10 1803)."""
_DEFAULT_LIBRARIES = ("ntdll.dll", "kernel32.dll", "KernelBase.dll")
_DEFAULT_IMAGE_SIZE = 0x10_0000
_VOLUME = "\\Device\\HarddiskVolume3"


def without_drive(path: str) -> str:
    """Return a path as a file object has it: below its volume."""
    return path[2:] if path[1:2] == ":" else path


@dataclass(slots=True)
class BuiltProcess:
    """A process as it lies in the image.

    Attributes:
        process: What the scenario asks for.
        address: Of its `_EPROCESS`.
        dtb: `DirectoryTableBase` as the kernel keeps it, with its low bits; 0 where the address space is gone.
        space: Its page tables.
        layout: Addresses in use.
        ranges: Its virtual address descriptors.
        regions: Those of the scenario, by name.
        mapper: Maps further regions.
    """

    process: KernelProcess
    address: int
    dtb: int
    space: AddressSpace
    layout: AddressLayout
    ranges: list[Range] = field(default_factory=list)
    regions: dict[str, Region] = field(default_factory=dict)
    mapper: RegionMapper | None = None

    def add_range(self, entry: Range) -> None:
        """Describe a range, and take its addresses."""
        self.layout.take(entry.start, entry.size)
        self.ranges.append(entry)

    def map_region(
        self, name: str, size: int, protect: int, how: Paging, *, address: int | None = None, filler: str | None = None
    ) -> Region:
        """Map a region; without an address it goes where there is room, without a filler its frames stay as they are.

        Raises:
            ScenarioError: If it overlaps another, or the image is too small.
        """
        size = -(-size // PAGE_SIZE) * PAGE_SIZE
        if address is None:
            address = self.layout.choose(size, max(how.page_size, GRANULARITY))
        entry = Range(
            start=address, size=size, protect=protect, private=how.shared is None, committed=size >> PAGE_SHIFT
        )
        self.add_range(entry)
        assert self.mapper is not None  # noqa: S101 -- only processes with a user half have regions
        frames = self.mapper.map(address, size >> PAGE_SHIFT, protect, how)
        if filler is not None and how.shared is None:
            fill_frames(self.space.memory, frames, filler, f"{self.process.spec.pid}/{name}")
        region = self.regions[name] = Region(name, entry, how.page_size, how.shared)
        return region


class Images:
    """PE images that processes map: the same file has the same frames and address everywhere."""

    def __init__(self, system: System, seed: str) -> None:
        self._system = system
        self._source = SeededBytes("images", seed)
        self._frames: dict[str, NDArray[np.uint64]] = {}
        self._bases: dict[tuple[str, bool], int] = {}
        self._next = {False: blocks.PLAN64.library, True: blocks.PLAN32.library}

    def base(self, path: str, size: int, *, narrow: bool, library: bool) -> int:
        """Return where an image lies; `narrow` for the 32-bit half of the address space."""
        key = (path.lower(), narrow)
        if key not in self._bases:
            if library:
                self._bases[key] = self._next[narrow]
                self._next[narrow] += (-(-size // GRANULARITY) + 1) * GRANULARITY
            elif narrow:
                self._bases[key] = blocks.PLAN32.executable
            else:
                self._bases[key] = 0x7FF6_0000_0000 + self._source.below(1 << 16) * GRANULARITY
        return self._bases[key]

    def frames(self, path: str, base: int, size: int, *, library: bool) -> NDArray[np.uint64]:
        """Return the frames of an image's first pages; the others have not been touched yet."""
        key = path.lower()
        if key not in self._frames:
            kernel = self._system.kernel
            self._frames[key] = kernel.memory.take(min(size >> PAGE_SHIFT, _RESIDENT_IMAGE_PAGES))
            facts = ImageFacts(
                size=size,
                base=base,
                timestamp=int(self._system.facts.boot.timestamp()) & 0x7FFF_FFFF,
                version=(kernel.profile.major, kernel.profile.minor),
                dll=library,
            )
            kernel.memory.write(int(self._frames[key][0]) << PAGE_SHIFT, module_headers(facts))
        return self._frames[key]


class ProcessBuilder:
    """Builds processes one after the other.

    Args:
        system: The kernel.
        shared: Frames of shared memory, by name.
        seed: Determines addresses.
        filler: What all frames are filled with; regions with another filler get that instead.
    """

    def __init__(self, system: System, shared: Mapping[str, NDArray[np.uint64]], seed: str, filler: str) -> None:
        self._filler = filler
        self._system = system
        self._kernel = system.kernel
        self._shared = shared
        self._seed = seed
        self._files = FileObjects(system.kernel)
        self._images = Images(system, seed)

    def build(self, process: KernelProcess) -> BuiltProcess:
        """Write a process, except for its descriptors (`finish`).

        Raises:
            ScenarioError: If its ranges overlap, lie outside user space, or the image is too small.
        """
        kernel, spec = self._kernel, process.spec
        source = SeededBytes("process", self._seed, str(spec.pid))
        if spec.pid == SYSTEM_PID:  # it lives in the kernel's own address space
            space, dtb = kernel.space, kernel.space.root << PAGE_SHIFT
        elif process.exited is not None:  # its top table has been freed and zeroed; the object still names the frame
            freed = kernel.memory.take_table()
            space, dtb = kernel.space, 0 if process.dtb_zeroed else freed << PAGE_SHIFT
        else:
            space = AddressSpace(kernel.memory, kernel.memory.take_table(), kernel.space.self_map)
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
        """Write the tree of a process's descriptors, once all its ranges are known."""
        set_root(self._kernel, self._files, built.layout.sorted_ranges(built.ranges), built.address)

    def _allocate_object(self) -> int:
        kernel, symbols = self._kernel, self._kernel.symbols
        body = symbols.offset("_OBJECT_HEADER", "Body")
        quota = symbols.size("_OBJECT_HEADER_QUOTA_INFO") if symbols.has("_OBJECT_HEADER_QUOTA_INFO") else 0
        size = quota + body + symbols.size("_EPROCESS")
        # Windows 7's objects are found from the end of their pool block, so they must fill it.
        header = kernel.allocate(kernel.profile.pool_tag, -(-size // 16) * 16) + quota
        address = header + body
        values: dict[str, int | bytes] = {
            "PointerCount": 0x1000,
            "HandleCount": 7,
            "TypeIndex": self._system.type_index(header),
            "InfoMask": 0x08 if quota else 0,
        }
        kernel.write(header, symbols.build("_OBJECT_HEADER", values)[:body])
        return address

    def _object_values(self, process: KernelProcess, built: BuiltProcess) -> dict[str, int | bytes]:
        kernel, symbols, spec = self._kernel, self._kernel.symbols, process.spec
        threads = built.address + symbols.offset("_EPROCESS", "ThreadListHead")
        control = built.address + symbols.offset("_EPROCESS", "Pcb.ThreadListHead")
        table: dict[str, int | bytes] = {"HandleCount": 64} if symbols.has("_HANDLE_TABLE", "HandleCount") else {}
        values: dict[str, int | bytes] = {
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

    def _user_half(self, built: BuiltProcess, plan: blocks.AddressPlan) -> dict[str, int | bytes]:
        """Write all that lies below the kernel, and return what the process object says of it."""
        spec, kernel = built.process.spec, self._kernel
        kuser = Range(start=paging.KUSER_SHARED_DATA_USER, size=PAGE_SIZE, protect=READ_ONLY)
        built.add_range(kuser)
        built.space.map_pages(kuser.start, kernel.shared_data_frame, page_flags(READ_ONLY))
        modules = self._map_modules(built)
        values: dict[str, int | bytes] = {"SectionBaseAddress": modules[0][1], "Peb": plan.peb}
        if kernel.symbols.has("_EPROCESS", "ImageFilePointer"):
            values["ImageFilePointer"] = self._files.file_object(without_drive(spec.executable))
        self._write_blocks(built, plan, modules[0][1])
        if spec.wow64:
            self._write_blocks(built, blocks.PLAN32, modules[0][1])
            values |= self._wow64_values()
        self._write_loader(built, plan, modules)
        for region in sorted(spec.regions, key=lambda entry: entry.address is None):
            how = built.process.paging.get(region.name, Paging())
            filler = None if region.filler == self._filler else region.filler
            built.map_region(region.name, region.size, region.protect, how, address=region.address, filler=filler)
        return values

    def _wow64_values(self) -> dict[str, int | bytes]:
        kernel = self._kernel
        if kernel.symbols.has("_EPROCESS", "WoW64Process"):
            peb: dict[str, int | bytes] = {"Peb": blocks.PLAN32.peb}
            return {"WoW64Process": kernel.structure(b"Wow6", "_EWOW64PROCESS", peb)}
        return {"Wow64Process": blocks.PLAN32.peb}

    def _map_modules(self, built: BuiltProcess) -> list[tuple[str, int, int]]:
        """Map a process's images and return (path, address, bytes) of each, the executable first."""
        spec = built.process.spec
        named: list[tuple[str, int | None, int]] = [(m.path, m.base, m.size) for m in spec.modules]
        if spec.executable.lower() not in {path.lower() for path, _, _ in named}:
            named.insert(0, (spec.executable, None, _DEFAULT_IMAGE_SIZE))
        if not spec.modules:
            folder = "SysWOW64" if spec.wow64 else "System32"
            libraries = [f"C:\\Windows\\{folder}\\{name}" for name in _DEFAULT_LIBRARIES]
            if spec.wow64:
                libraries.insert(0, "C:\\Windows\\System32\\ntdll.dll")
            named += [(path, None, _DEFAULT_IMAGE_SIZE) for path in libraries]
        mapped = []
        for index, (path, wanted, length) in enumerate(named):
            library = index > 0
            size = -(-length // PAGE_SIZE) * PAGE_SIZE
            narrow = spec.wow64 and not (library and "system32" in path.lower())
            base = wanted if wanted is not None else self._images.base(path, size, narrow=narrow, library=library)
            built.add_range(
                Range(
                    start=base,
                    size=size,
                    protect=EXECUTE_WRITE_COPY,
                    private=False,
                    image=True,
                    file=without_drive(path),
                )
            )
            frames = self._images.frames(path, base, size, library=library)
            built.space.map_pages(base, frames, page_flags(EXECUTE_READ))
            mapped.append((path, base, size))
        return mapped

    def _write_blocks(self, built: BuiltProcess, plan: blocks.AddressPlan, image_base: int) -> None:
        """Write PEB, TEB, parameters and environment, and leave out the pages that are to be absent."""
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
            built.add_range(Range(start=address, size=len(data), protect=READ_WRITE, committed=pages))
            entries = self._kernel.memory.take(pages) << np.uint64(PAGE_SHIFT) | np.uint64(USER_DATA)
            for page in (page for block, page in process.absent if names.get(address) == block):
                if page >= pages:
                    raise ScenarioError(f"pid {spec.pid}: its {names[address]} has {pages} pages, no page {page}")
                entries[page] = (0x4000 + page) << paging.PAGEFILE_OFFSET_SHIFT | software
            built.space.set_entries(address, entries)
            built.space.write(address, data)

    def _write_loader(self, built: BuiltProcess, plan: blocks.AddressPlan, modules: list[tuple[str, int, int]]) -> None:
        """Write the loader's lists of modules, and link them to the 64-bit PEB."""
        symbols = self._kernel.symbols
        node_size = symbols.size("_LDR_DATA_TABLE_ENTRY")
        header = -(-symbols.size("_PEB_LDR_DATA") // 16) * 16
        strings_at = header + node_size * len(modules)
        texts = [blocks.encode_text(path + "\0") for path, _, _ in modules]
        size = -(-(strings_at + sum(map(len, texts))) // PAGE_SIZE) * PAGE_SIZE
        start = built.layout.choose(size)
        built.add_range(Range(start=start, size=size, protect=READ_WRITE))
        data = bytearray(size)
        symbols.write(data, "_PEB_LDR_DATA", {"Length": symbols.size("_PEB_LDR_DATA"), "Initialized": 1})
        at = strings_at
        for index, ((path, base, length), text) in enumerate(zip(modules, texts, strict=True)):
            data[at : at + len(text)] = text
            name = 2 * (len(path) - len(path.rpartition("\\")[2]))
            values: dict[str, int | bytes] = {"DllBase": base, "EntryPoint": base + PAGE_SIZE, "SizeOfImage": length}
            for field_name, skip in (("FullDllName", 0), ("BaseDllName", name)):
                values[f"{field_name}.Length"] = len(text) - 2 - skip
                values[f"{field_name}.MaximumLength"] = len(text) - skip
                values[f"{field_name}.Buffer"] = start + at + skip
            symbols.write(data, "_LDR_DATA_TABLE_ENTRY", values, header + node_size * index)
            at += len(text)
        orders = (("InLoadOrder", 0), ("InMemoryOrder", 0), ("InInitializationOrder", 1))
        for order, first in orders:
            head = symbols.offset("_PEB_LDR_DATA", f"{order}ModuleList")
            links = symbols.offset("_LDR_DATA_TABLE_ENTRY", f"{order}Links")
            ring = [head, *(header + node_size * index + links for index in range(first, len(modules)))]
            for position, place in enumerate(ring):
                pair = (ring[(position + 1) % len(ring)], ring[position - 1])
                data[place : place + 16] = b"".join((start + target).to_bytes(8, "little") for target in pair)
        built.space.map_pages(start, self._kernel.memory.take(size >> PAGE_SHIFT), USER_DATA)
        built.space.write(start, data)
        ldr = plan.peb + c_process.PEB64.fields["Ldr"].offset
        built.space.write(ldr, start.to_bytes(8, "little"))
