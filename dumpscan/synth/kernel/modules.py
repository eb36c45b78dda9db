"""Modules of a process in a kernel image: the PE images that it maps, and the loader's lists of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dumpscan.model.c_process import c_process
from dumpscan.model.windows.c_paging import PAGE_SHIFT, PAGE_SIZE
from dumpscan.synth.kernel.pe import ImageFacts, module_headers
from dumpscan.synth.kernel.regions import EXECUTE_READ, EXECUTE_WRITE_COPY, GRANULARITY, READ_WRITE, page_flags
from dumpscan.synth.kernel.vad import AddressRange
from dumpscan.synth.physical.paging import USER_DATA
from dumpscan.synth.seeded import SeededBytes
from dumpscan.synth.windows import process_blocks as blocks

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from dumpscan.synth.kernel.built import BuiltProcess
    from dumpscan.synth.kernel.system import System

_RESIDENT_IMAGE_PAGES = 16
_DEFAULT_LIBRARIES = ("ntdll.dll", "kernel32.dll", "KernelBase.dll")
_DEFAULT_IMAGE_SIZE = 0x10_0000


def without_drive(path: str) -> str:
    """Return a path as a file object has it: below its volume."""
    return path[2:] if path[1:2] == ":" else path


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


class ProcessModules:
    """Maps the modules of processes."""

    def __init__(self, system: System, seed: str) -> None:
        self._kernel = system.kernel
        self._images = Images(system, seed)

    def map(self, built: BuiltProcess) -> list[tuple[str, int, int]]:
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
                AddressRange(
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

    def write_loader(self, built: BuiltProcess, peb: int, modules: list[tuple[str, int, int]]) -> None:
        """Write the loader's lists of modules, and link them to the 64-bit PEB."""
        symbols = self._kernel.symbols
        node_size = symbols.size("_LDR_DATA_TABLE_ENTRY")
        header = -(-symbols.size("_PEB_LDR_DATA") // 16) * 16
        strings_at = header + node_size * len(modules)
        texts = [blocks.encode_text(path + "\0") for path, _, _ in modules]
        size = -(-(strings_at + sum(map(len, texts))) // PAGE_SIZE) * PAGE_SIZE
        start = built.layout.choose(size)
        built.add_range(AddressRange(start=start, size=size, protect=READ_WRITE))
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
        ldr = peb + c_process.PEB64.fields["Ldr"].offset
        built.space.write(ldr, start.to_bytes(8, "little"))
