"""Programs and libraries in a process core: the mapped files that begin with an ELF header, and their build ids."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from dumpscan.model.c_elf import (
    DT_GNU_HASH,
    DT_STRTAB,
    DT_SYMTAB,
    LITTLE,
    MAGIC,
    NT_GNU_BUILD_ID,
    PT_DYNAMIC,
    PT_LOAD,
    PT_NOTE,
    c_elf,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dumpscan.memory.core.elf import ElfCore
    from dumpscan.memory.core.notes import CoreNotes, FileMapping

_MAX_HEADERS = 64
"""Program headers of a library that are read; real ones have some ten."""
_MAX_NOTES = 1 << 12
_MAX_DYNAMIC = 512
_MAX_BUCKETS = 1 << 20
_MAX_CHAIN = 1 << 12
_ALIGNMENT = 4


@dataclass(frozen=True, slots=True)
class CoreModule:
    """A program or library.

    Attributes:
        path: Path of its file.
        base: Virtual address of its first mapping.
        size: Bytes from there to the end of its last mapping.
        deleted: Whether the file had been deleted.
        build_id: The build id in its notes, in hex; None where the core does not hold it.
    """

    path: str
    base: int
    size: int
    deleted: bool
    build_id: str | None = None


class ModuleMemory(Protocol):
    """Where a module lies: a core, or its file."""

    @property
    def elf(self) -> ElfCore:
        """Headers of the core, which say how its numbers are written."""

    def read(self, address: int, size: int) -> bytes:
        """Return up to `size` bytes at an address."""


class CoreMemory(ModuleMemory, Protocol):
    """As much of a core as must be known to find modules and their symbols."""

    @property
    def notes(self) -> CoreNotes:
        """What the notes say."""

    @property
    def pointer_size(self) -> int:
        """Size of a pointer in bytes."""

    def word_at(self, address: int) -> int | None:
        """Return the word at an address; None if it is not there whole."""


class _Header(NamedTuple):
    type: int
    address: int
    size: int


def read_modules(reader: CoreMemory) -> tuple[CoreModule, ...]:
    """List the programs and libraries, by address: mapped files whose first page is code's, or is not in the core."""
    found = []
    for mappings in _by_file(reader.notes.files):
        first = mappings[0]
        head = reader.read(first.start, len(MAGIC))
        if first.offset == 0 and (head == MAGIC or (not head and len(mappings) > 1)):
            size = mappings[-1].end - first.start
            build_id = read_build_id(reader, first.start) if head else None
            found.append(CoreModule(first.path, first.start, size, first.deleted, build_id))
    return tuple(found)


def _by_file(files: list[FileMapping]) -> Iterator[list[FileMapping]]:
    """Put together mappings of one file that follow one another; one from its beginning starts anew."""
    group: list[FileMapping] = []
    for mapping in files:
        if group and (mapping.path != group[-1].path or mapping.offset == 0):
            yield group
            group = []
        group.append(mapping)
    if group:
        yield group


def _headers(reader: ModuleMemory, base: int) -> tuple[list[_Header], int] | None:
    """Return a module's program headers with their addresses in memory, and what must be added to its own addresses."""
    layouts = reader.elf.layouts
    head = reader.read(base, layouts.Ehdr.size)
    if len(head) < layouts.Ehdr.size or not head.startswith(MAGIC):
        return None
    header = layouts.Ehdr(head)
    if (head[5] == LITTLE) != (reader.elf.byte_order == "<") or header.e_phentsize != layouts.Phdr.size:
        return None
    count = min(int(header.e_phnum), _MAX_HEADERS)
    table = reader.read(base + int(header.e_phoff), count * layouts.Phdr.size)
    entries = [layouts.Phdr(table[at:]) for at in range(0, len(table) - layouts.Phdr.size + 1, layouts.Phdr.size)]
    loads = [entry for entry in entries if entry.p_type == PT_LOAD]
    bias = base - min((int(entry.p_vaddr) & -4096 for entry in loads), default=0)
    return [_Header(int(e.p_type), int(e.p_vaddr) + bias, int(e.p_filesz)) for e in entries], bias


def read_build_id(reader: ModuleMemory, base: int) -> str | None:
    """Return the build id of a module at an address, in hex; None if it has none there."""
    read = _headers(reader, base)
    layout = reader.elf.layouts.Nhdr
    for header in read[0] if read else ():
        data = reader.read(header.address, min(header.size, _MAX_NOTES)) if header.type == PT_NOTE else b""
        at = 0
        while at + layout.size <= len(data):
            note = layout(data[at : at + layout.size])
            name = at + layout.size
            begin = name + -(-int(note.n_namesz) // _ALIGNMENT) * _ALIGNMENT
            content = data[begin : begin + int(note.n_descsz)]
            if note.n_type == NT_GNU_BUILD_ID and data[name : name + 4] == b"GNU\0" and len(content) == note.n_descsz:
                return content.hex()
            at = begin + -(-int(note.n_descsz) // _ALIGNMENT) * _ALIGNMENT
    return None


def find_symbol(reader: CoreMemory, base: int, name: bytes) -> int | None:
    """Look up a symbol in a module's own dynamic section, by its GNU hash table (System V gABI and binutils' format).

    Args:
        reader: The core.
        base: Address of the module.
        name: The symbol.

    Returns:
        Its address; None if the core lacks any part that leads there, or the module the symbol.
    """
    read = _headers(reader, base)
    dynamic = next((each for each in read[0] if each.type == PT_DYNAMIC), None) if read else None
    if read is None or dynamic is None:
        return None
    tags = _dynamic(reader, dynamic, base)
    if not {DT_GNU_HASH, DT_STRTAB, DT_SYMTAB} <= tags.keys():
        return None
    layouts = c_elf(reader.elf.word_size, reader.elf.byte_order)
    for index in _candidates(reader, tags[DT_GNU_HASH], _gnu_hash(name)):
        data = reader.read(tags[DT_SYMTAB] + index * layouts.Sym.size, layouts.Sym.size)
        if len(data) < layouts.Sym.size:
            return None
        symbol: Any = layouts.Sym(data)
        if reader.read(tags[DT_STRTAB] + int(symbol.st_name), len(name) + 1) == name + b"\0" and symbol.st_shndx:
            return int(symbol.st_value) + read[1]
    return None


def _dynamic(reader: CoreMemory, header: _Header, base: int) -> dict[int, int]:
    """Read a dynamic section. The loader of glibc has added the module's address to its pointers, that of musl not."""
    tags: dict[int, int] = {}
    for number in range(_MAX_DYNAMIC):
        at = header.address + number * 2 * reader.pointer_size
        tag, value = reader.word_at(at), reader.word_at(at + reader.pointer_size)
        if not tag or value is None:
            break
        tags.setdefault(tag, value + base if value < base else value)
    return tags


def _candidates(reader: CoreMemory, table: int, wanted: int) -> Iterator[int]:
    """Yield the indexes of symbols with a hash (but for its lowest bit, which ends a chain)."""

    def number(at: int) -> int:
        return reader.elf.integer(reader.read(at, 4))

    buckets, first, filters = number(table), number(table + 4), number(table + 8)
    if not 0 < buckets < _MAX_BUCKETS or filters > _MAX_BUCKETS:
        return
    start = table + 16 + filters * reader.pointer_size
    index = number(start + 4 * (wanted % buckets))
    for _ in range(_MAX_CHAIN):
        if index < first:
            return
        entry = number(start + 4 * (buckets + index - first))
        if entry | 1 == wanted | 1:
            yield index
        if entry & 1:
            return
        index += 1


def _gnu_hash(name: bytes) -> int:
    value = 5381
    for byte in name:
        value = value * 33 + byte & 0xFFFFFFFF
    return value
