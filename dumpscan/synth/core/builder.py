"""A builder of ELF64 process cores, as Linux' kernel or gdb's gcore writes them.

Sources: as for `dumpscan.model.c_elf`. Order of the notes: `fs/binfmt_elf.c` (fill_note_info) and gdb's `linux-tdep.c`.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import IO, TYPE_CHECKING, Any

from dumpscan.exceptions import ScenarioError
from dumpscan.files import whole_file
from dumpscan.model.c_elf import (
    AT_ENTRY,
    AT_EXECFN,
    AT_PHDR,
    AT_UID,
    CLASS_64,
    ET_CORE,
    LITTLE,
    MAGIC,
    NT_AUXV,
    NT_FILE,
    NT_PRPSINFO,
    NT_PRSTATUS,
    NT_SIGINFO,
    PN_XNUM,
    PT_LOAD,
    PT_NOTE,
    REGISTERS,
    c_elf,
)
from dumpscan.synth.alignment import align
from dumpscan.synth.filler import Given
from dumpscan.synth.regions import PlacedRange

if TYPE_CHECKING:
    from pathlib import Path

    from dumpscan.synth.core.scenario import CoreSpec
    from dumpscan.synth.filler import Content
    from dumpscan.synth.scenario import ModuleSpec, ProcessSpec

PAGE = 4096
WORD = 8
STACK_TOP = 0x7FFC_1234_F000
PROGRAM_BASE = 0x5555_5555_4000
LIBRARY_BASE = 0x7F12_3400_0000
HEAP_BASE = 0x5555_5600_0000
_FREE_STACK = 2 * PAGE
"""Bytes of the stack below the arguments, which the program's own calls use."""
_FLAGS = {"r": 4, "rw": 6, "rx": 5}
_REGISTER_COUNT = {"x64": 27, "arm64": 34}


@dataclass(frozen=True, slots=True)
class Segment:
    """A segment of memory: virtual address, what the core holds of it, its size in memory, and its access flags."""

    address: int
    content: Content
    size: int
    flags: int


class CoreBuilder:
    """A core in the making.

    Args:
        process: The process.
        core: How the core is written.
        machine: `e_machine`.
    """

    def __init__(self, process: ProcessSpec, core: CoreSpec, machine: int) -> None:
        self._process = process
        self._core = core
        self._machine = machine
        self._layouts = c_elf(WORD, "<")
        self._planted: list[tuple[int, bytes]] = []
        self.segments: list[Segment] = []
        self._files: list[tuple[int, int, str]] = []
        self.threads = [thread.thread_id for thread in process.threads] or [process.pid]
        self._stack_pointer, self._auxv = self._add_stack()

    def add(self, address: int, content: Content, access: str = "rw", size: int | None = None) -> None:
        """Add a segment; `size` is what it has in memory, if that is more than the core holds."""
        self.segments.append(Segment(address, content, content.size if size is None else size, _FLAGS[access]))

    def add_module(self, module: ModuleSpec, base: int) -> None:
        """Map a file: the kernel writes the page with its ELF header only, gcore writes all of it."""
        size = align(module.size, PAGE)
        head = self._module_header()
        content = head.ljust(size if self._core.writer == "gcore" else PAGE, b"\0")
        self.add(base, Given(content), "rx", size)
        self._files.append((base, base + size, module.path))

    def plant(self, address: int, data: bytes) -> None:
        """Write over memory that the core holds."""
        self._planted.append((address, data))

    def write(self, path: Path) -> list[PlacedRange]:
        """Write the core; return where its memory lies.

        Raises:
            ScenarioError: If segments overlap.
            ExportError: If the file cannot be written.
        """
        segments = sorted(self.segments, key=lambda segment: segment.address)
        for below, above in pairwise(segments):
            if below.address + below.size > above.address:
                raise ScenarioError(
                    f"memory at {below.address:#x} ({below.size} bytes) and at {above.address:#x} overlap"
                )
        head, offsets = self._front(segments)
        placed = [
            PlacedRange(segment.address, segment.content.size, offset)
            for segment, offset in zip(segments, offsets, strict=True)
        ]
        with whole_file(path) as file:
            file.write(head)
            for segment, place in zip(segments, placed, strict=True):
                file.seek(place.file_offset)
                segment.content.write_to(file)
            for address, data in self._planted:
                _write_over(file, placed, address, data)
            file.truncate(max((align(place.file_offset + place.size, PAGE) for place in placed), default=len(head)))
        return [place for place in placed if place.size]

    def _front(self, segments: list[Segment]) -> tuple[bytes, list[int]]:
        """Return all that comes before memory, and the offset of each segment in the file."""
        notes = b"".join(self._notes())
        count, table = len(segments) + 1, int(self._layouts.Ehdr.size)
        wide = count >= PN_XNUM
        section = self._structure("Shdr", sh_info=count) if wide else b""
        at = table + count * self._layouts.Phdr.size + len(section)
        headers = [self._program_header(PT_NOTE, 0, at, 0, len(notes), 0)]
        at = align(at + len(notes), PAGE)
        offsets = []
        for segment in segments:
            places = (at, segment.address, segment.content.size, segment.size)
            headers.append(self._program_header(PT_LOAD, segment.flags, *places))
            offsets.append(at)
            at += align(segment.content.size, PAGE)
        return self._header(count, table, wide=wide) + b"".join(headers) + section + notes, offsets

    # --- What is written ---------------------------------------------------------------------------------------------

    def _structure(self, name: str, **values: Any) -> bytes:  # noqa: ANN401 - the structure's own fields
        layout = getattr(self._layouts, name)
        made = layout(bytes(layout.size))
        for field, value in values.items():
            setattr(made, field, value)
        return bytes(made.dumps())

    def _header(self, count: int, table: int, *, wide: bool) -> bytes:
        sizes = {name: getattr(self._layouts, name).size for name in ("Ehdr", "Phdr", "Shdr")}
        return self._structure(
            "Ehdr",
            e_ident=list((MAGIC + bytes([CLASS_64, LITTLE, 1])).ljust(16, b"\0")),
            e_type=ET_CORE,
            e_machine=self._machine,
            e_version=1,
            e_phoff=table,
            e_shoff=table + count * sizes["Phdr"] if wide else 0,
            e_ehsize=sizes["Ehdr"],
            e_phentsize=sizes["Phdr"],
            e_phnum=PN_XNUM if wide else count,
            e_shentsize=sizes["Shdr"] if wide else 0,
            e_shnum=int(wide),
        )

    def _program_header(self, kind: int, flags: int, *places: int) -> bytes:
        offset, address, held, size = places
        return self._structure(
            "Phdr",
            p_type=kind,
            p_flags=flags,
            p_offset=offset,
            p_vaddr=address,
            p_filesz=held,
            p_memsz=size,
            p_align=PAGE if kind == PT_LOAD else 4,
        )

    def _notes(self) -> list[bytes]:
        status = [self._note(NT_PRSTATUS, self._status(thread)) for thread in self.threads]
        info = self._note(NT_PRPSINFO, self._info())
        signal = self._structure("siginfo", si_signo=self._core.signal).ljust(128, b"\0")
        others = [
            self._note(NT_SIGINFO, signal),
            self._note(NT_AUXV, self._auxv),
            self._note(NT_FILE, self._file_list()),
        ]
        if self._core.writer == "gcore":
            return [info, *status, *others]
        return [status[0], info, *others, *status[1:]]

    def _note(self, kind: int, content: bytes) -> bytes:
        owner = b"CORE\0"
        head = self._structure("Nhdr", n_namesz=len(owner), n_descsz=len(content), n_type=kind)
        return head + owner.ljust(8, b"\0") + content.ljust(align(len(content), 4), b"\0")

    def _status(self, thread: int) -> bytes:
        process = self._process
        head = self._structure(
            "prstatus",
            si_signo=self._core.signal,
            pr_cursig=self._core.signal,
            pr_pid=thread,
            pr_ppid=process.parent_pid or 1,
            pr_pgrp=process.pid,
            pr_sid=process.pid,
        )
        registers = [0] * _REGISTER_COUNT[self._core.architecture]
        pc, sp = REGISTERS[self._core.architecture]
        registers[pc], registers[sp] = PROGRAM_BASE + PAGE, self._stack_pointer
        return head + b"".join(value.to_bytes(WORD, "little") for value in registers) + bytes(WORD)

    def _info(self) -> bytes:
        process = self._process
        return self._structure(
            "prpsinfo",
            pr_sname=ord("R"),
            pr_uid=1000,
            pr_gid=1000,
            pr_pid=process.pid,
            pr_ppid=process.parent_pid or 1,
            pr_pgrp=process.pid,
            pr_sid=process.pid,
            pr_fname=process.name.encode()[:15].ljust(16, b"\0"),
            pr_psargs=process.command_line.encode()[:79].ljust(80, b"\0"),
        )

    def _file_list(self) -> bytes:
        files = sorted(self._files)
        numbers = [len(files), PAGE, *(number for start, end, _ in files for number in (start, end, 0))]
        names = b"".join(path.encode() + b"\0" for *_, path in files)
        return b"".join(number.to_bytes(WORD, "little") for number in numbers) + names

    def _module_header(self) -> bytes:
        """Return an ELF header for a mapped file; it has no program headers."""
        ident = list((MAGIC + bytes([CLASS_64, LITTLE, 1])).ljust(16, b"\0"))
        return self._structure("Ehdr", e_ident=ident, e_type=3, e_machine=self._machine, e_version=1)

    # --- The stack ---------------------------------------------------------------------------------------------------

    def _add_stack(self) -> tuple[int, bytes]:
        """Add the first thread's stack; return the stack pointer and the auxiliary vector."""
        process = self._process
        arguments = [part.encode() + b"\0" for part in process.command_line.split(" ")]
        environment = [entry.encode() + b"\0" for entry in process.environment]
        path = process.executable.encode() + b"\0"
        execfn = STACK_TOP - WORD - len(path)
        first = execfn - sum(map(len, (*arguments, *environment)))
        vector = {AT_PHDR: PROGRAM_BASE + 64, AT_ENTRY: PROGRAM_BASE + PAGE, AT_UID: 1000, AT_EXECFN: execfn, 0: 0}
        auxv = b"".join(number.to_bytes(WORD, "little") for pair in vector.items() for number in pair)
        pointers = []
        at = first
        for text in (*arguments, *environment):
            pointers.append(at)
            at += len(text)
        cut = len(arguments)
        words = [cut, *pointers[:cut], 0, *pointers[cut:], 0]
        table = b"".join(number.to_bytes(WORD, "little") for number in words) + auxv
        strings = b"".join((*arguments, *environment))
        if self._core.title is not None:
            strings = self._core.title.encode()[: len(strings)].ljust(len(strings), b"\0")
        pointer = (first - len(table)) // 16 * 16
        start = (pointer - _FREE_STACK) // PAGE * PAGE
        content = bytes(pointer - start) + table.ljust(first - pointer, b"\0") + strings + path + bytes(WORD)
        self.add(start, Given(content))
        return pointer, auxv


def _write_over(file: IO[bytes], placed: list[PlacedRange], address: int, data: bytes) -> None:
    """Write data at a virtual address, as far as the file holds it."""
    for place in placed:
        low, high = max(address, place.address), min(address + len(data), place.end)
        if low < high:
            file.seek(place.file_offset + low - place.address)
            file.write(data[low - address : high - address])
