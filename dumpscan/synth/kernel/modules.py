"""The modules of a process in a kernel image: mapped PE images, and the loader's lists of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dumpscan.model.c_process import c_process
from dumpscan.model.windows.c_paging import PAGE_SHIFT, PAGE_SIZE
from dumpscan.synth.alignment import align, page_align
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
    from dumpscan.synth.windows.symbols import Values

_RESIDENT_IMAGE_PAGES = 16
_DEFAULT_LIBRARIES = ("ntdll.dll", "kernel32.dll", "KernelBase.dll")
_DEFAULT_IMAGE_SIZE = 0x10_0000


def without_drive(path: str) -> str:
    """Return a path without its drive, as it is in a file object."""
    return path[2:] if path[1:2] == ":" else path


class Images:
    """The PE images that processes map. A file has the same frames and address in all processes."""

    def __init__(self, system: System, seed: str) -> None:
        self._system = system
        self._source = SeededBytes("images", seed)
        self._frames: dict[str, NDArray[np.uint64]] = {}
        self._bases: dict[tuple[str, bool], int] = {}
        self._next = {False: blocks.PLAN64.library, True: blocks.PLAN32.library}

    def base(self, path: str, size: int, *, narrow: bool, library: bool) -> int:
        """Return the address of an image. `narrow` asks for one below 4 GiB."""
        key = (path.lower(), narrow)
        if key not in self._bases:
            if library:
                self._bases[key] = self._next[narrow]
                self._next[narrow] += align(size, GRANULARITY) + GRANULARITY
            elif narrow:
                self._bases[key] = blocks.PLAN32.executable
            else:
                self._bases[key] = 0x7FF6_0000_0000 + self._source.below(1 << 16) * GRANULARITY
        return self._bases[key]

    def frames(self, path: str, base: int, size: int, *, library: bool) -> NDArray[np.uint64]:
        """Return the frames of an image's first pages. No process has touched the others."""
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
        """Map the images of a process and return the (path, address, bytes) of each, the executable first."""
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
            size = page_align(length)
            narrow = spec.wow64 and not (library and "system32" in path.lower())
            base = wanted if wanted is not None else self._images.base(path, size, narrow=narrow, library=library)
            kind, file = EXECUTE_WRITE_COPY, without_drive(path)
            built.add_range(AddressRange(start=base, size=size, protect=kind, private=False, image=True, file=file))
            frames = self._images.frames(path, base, size, library=library)
            built.space.map_pages(base, frames, page_flags(EXECUTE_READ))
            mapped.append((path, base, size))
        return mapped

    def write_loader(self, built: BuiltProcess, peb: int, modules: list[tuple[str, int, int]]) -> None:
        """Write the loader's lists of modules, and a pointer to them into the 64-bit PEB."""
        symbols = self._kernel.symbols
        node_size = symbols.size("_LDR_DATA_TABLE_ENTRY")
        header = align(symbols.size("_PEB_LDR_DATA"), 16)
        strings_at = header + node_size * len(modules)
        texts = [blocks.encode_text(path + "\0") for path, _, _ in modules]
        size = page_align(strings_at + sum(map(len, texts)))
        start = built.layout.choose(size)
        built.add_range(AddressRange(start=start, size=size, protect=READ_WRITE))
        data = bytearray(size)
        symbols.write(data, "_PEB_LDR_DATA", {"Length": symbols.size("_PEB_LDR_DATA"), "Initialized": 1})
        at = strings_at
        for index, ((path, base, length), text) in enumerate(zip(modules, texts, strict=True)):
            data[at : at + len(text)] = text
            name = 2 * (len(path) - len(path.rpartition("\\")[2]))
            values: Values = {"DllBase": base, "EntryPoint": base + PAGE_SIZE, "SizeOfImage": length}
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
