"""The outside of an ELF core: header, program headers, notes. Counts and offsets in them are an attacker's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from dumpscan.exceptions import InputError
from dumpscan.memory.records import record_type
from dumpscan.model.c_elf import (
    BIG,
    CLASS_32,
    CLASS_64,
    ET_CORE,
    LITTLE,
    MACHINES,
    MAGIC,
    NT_AUXV,
    NT_FILE,
    NT_PRPSINFO,
    NT_SIGINFO,
    PN_XNUM,
    PT_LOAD,
    PT_NOTE,
    c_elf,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    Segments = NDArray[Any]

MAX_SEGMENTS = 1 << 21
"""Program headers that are read. A process has as many mappings as `vm.max_map_count` allows, 65 530 by default."""
MAX_NOTES = 1 << 18
"""Notes that are read: five for each thread of a process with 50 000 threads."""
_NOTE_ALIGNMENT = 4
_OF_LINUX = (b"CORE", b"LINUX")
_OF_PROCESSES = (NT_PRPSINFO, NT_AUXV, NT_FILE, NT_SIGINFO)
_FOREIGN = {b"FreeBSD": "FreeBSD", b"NetBSD-CORE": "NetBSD", b"OpenBSD": "OpenBSD"}


class Note(NamedTuple):
    """A note.

    Attributes:
        owner: Who defines its type, without the final NUL, e.g. `CORE`.
        type: Its type.
        data: Its content; a view of the file.
        whole: Whether the file holds all of it.
    """

    owner: bytes
    type: int
    data: memoryview
    whole: bool


@dataclass(frozen=True, slots=True)
class ElfCore:
    """An ELF core file's header and program headers.

    Attributes:
        path: The file.
        buffer: All of it.
        word_size: Bytes of a word.
        byte_order: `<` little-endian, `>` big-endian.
        machine: The processor, e.g. `x64`; its number in hex if it is not known.
        segments: The program headers (a numpy array of `Phdr`), in their order.
        problems: What is wrong with them, a sentence each.
    """

    path: Path
    buffer: memoryview
    word_size: int
    byte_order: str
    machine: str
    segments: Segments
    problems: tuple[str, ...]

    @property
    def layouts(self) -> Any:  # noqa: ANN401 - dissect.cstruct has no type hints
        """The structures of this kind of file (see `dumpscan.model.c_elf`)."""
        return c_elf(self.word_size, self.byte_order)

    def integer(self, data: bytes | memoryview) -> int:
        """Return the unsigned number that bytes of the file stand for."""
        return int.from_bytes(data, "little" if self.byte_order == "<" else "big")

    @property
    def loads(self) -> Segments:
        """The program headers of memory."""
        loads: Segments = self.segments[self.segments["p_type"] == PT_LOAD]
        return loads

    def notes(self) -> Iterator[Note]:
        """Yield the notes as far as the file holds them, `MAX_NOTES` at most."""
        left = MAX_NOTES
        layout = self.layouts.Nhdr
        for segment in self.segments[self.segments["p_type"] == PT_NOTE]:
            at = int(segment["p_offset"])
            end = min(at + int(segment["p_filesz"]), len(self.buffer))
            while at + layout.size <= end and left:
                left -= 1
                head = layout(bytes(self.buffer[at : at + layout.size]))
                name = at + layout.size
                begin = name + _aligned(head.n_namesz)
                stop = begin + head.n_descsz
                owner = bytes(self.buffer[name : min(name + head.n_namesz, name + 64, end)]).rstrip(b"\0")
                yield Note(owner, int(head.n_type), self.buffer[min(begin, end) : min(stop, end)], stop <= end)
                at = begin + _aligned(head.n_descsz)

    def is_process(self) -> bool:
        """Say whether it is the core of a process, rather than of a machine's physical memory.

        The kernel, gdb and createdump describe a process in notes that a dump of physical memory (kdump's vmcore,
        QEMU's) does not have. Where no note decides, physical addresses do: a process has none.
        """
        for note in self.notes():
            if note.owner in _OF_LINUX and note.type in _OF_PROCESSES:
                return True
            if note.owner in {b"VMCOREINFO", b"QEMU", b"XEN"} or note.owner.startswith(b"Xen"):
                return False
        return bool(len(self.loads)) and not self.loads["p_paddr"].any() and bool(self.loads["p_vaddr"].any())

    def foreign_system(self) -> str | None:
        """Name the operating system, if it is one whose cores are not read."""
        return next((_FOREIGN[note.owner] for note in self.notes() if note.owner in _FOREIGN), None)


def read_elf(path: Path, buffer: memoryview) -> ElfCore:
    """Read the header and the program headers of an ELF core.

    Args:
        path: The file, for messages.
        buffer: All of it.

    Raises:
        InputError: It is not an ELF core, or cut off before its first program header.
    """
    ident = bytes(buffer[:16])
    word_size = {CLASS_32: 4, CLASS_64: 8}.get(ident[4] if len(ident) > 4 else 0)  # noqa: PLR2004 - EI_CLASS
    byte_order = {LITTLE: "<", BIG: ">"}.get(ident[5] if len(ident) > 5 else 0)  # noqa: PLR2004 - EI_DATA
    if not ident.startswith(MAGIC) or word_size is None or byte_order is None:
        raise InputError(path, "not an ELF file: expected its identification, with class and byte order", offset=0)
    layouts = c_elf(word_size, byte_order)
    if len(buffer) < layouts.Ehdr.size:
        problem = f"ELF header cut off: expected {layouts.Ehdr.size} bytes, the file has {len(buffer)}"
        raise InputError(path, problem, offset=0)
    header = layouts.Ehdr(bytes(buffer[: layouts.Ehdr.size]))
    if header.e_type != ET_CORE:
        problem = f"is an ELF file, but no core: expected type {ET_CORE}, found {int(header.e_type)}"
        raise InputError(path, problem, offset=layouts.Ehdr.fields["e_type"].offset)
    if header.e_phentsize != layouts.Phdr.size:
        problem = f"expected program headers of {layouts.Phdr.size} bytes, found {int(header.e_phentsize)}"
        raise InputError(path, problem, offset=layouts.Ehdr.fields["e_phentsize"].offset)
    problems: list[str] = []
    at, count = int(header.e_phoff), _segment_count(buffer, layouts, header)
    room = max(len(buffer) - at, 0) // layouts.Phdr.size
    if not room or not count:
        problem = f"expected {count or 'some'} program headers, the file has {len(buffer)} bytes"
        raise InputError(path, problem, offset=at)
    if count > room:
        problems.append(f"cut short: {count - room} of {count} program headers lie past the end of the file")
    taken = min(count, room, MAX_SEGMENTS)
    if min(count, room) > taken:
        problems.append(f"{count} program headers are claimed; only the first {taken} were read")
    data = bytes(buffer[at : at + taken * layouts.Phdr.size])
    segments = np.frombuffer(data, record_type(layouts.Phdr, byte_order))
    machine = MACHINES.get(int(header.e_machine), f"{int(header.e_machine):#x}")
    return ElfCore(path, buffer, word_size, byte_order, machine, segments, tuple(problems))


def _segment_count(buffer: memoryview, layouts: Any, header: Any) -> int:  # noqa: ANN401 - dissect.cstruct's
    """Return the number of program headers; more than 65 534 are counted in the first section header."""
    count = int(header.e_phnum)
    at = int(header.e_shoff)
    if count != PN_XNUM or not at or at + layouts.Shdr.size > len(buffer):
        return count
    return int(layouts.Shdr(bytes(buffer[at : at + layouts.Shdr.size])).sh_info) or count


def _aligned(size: int) -> int:
    return -(-int(size) // _NOTE_ALIGNMENT) * _NOTE_ALIGNMENT
