"""ELF cores of Xen domains (`xl dump-core`): sections, not program headers, list the page frames.

Source: Xen's `docs/misc/dump-core-format.txt`. See `docs/memory-layouts.md`, "ELF images of physical memory".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from dumpscan.memory.physical.image import PhysicalImage, require_memory
from dumpscan.model.c_elf import CLASS_64, ET_CORE, LITTLE, MAGIC, c_elf
from dumpscan.model.windows.c_paging import PAGE_SHIFT, PAGE_SIZE

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dumpscan.memory.mapped_file import MappedFile

    Structure = Any  # of dissect.cstruct, which has no type hints

FORMAT = "Xen core dump"
MAX_SECTIONS = 64
"""Sections that are looked at; there are about eight."""
MAX_PAGES = 1 << 24
"""Pages that are read: 64 GiB."""
_MAX_NAME = 32
_IDENT = MAGIC + bytes([CLASS_64, LITTLE])
_UNUSED = 0xFFFF_FFFF
"""A 32-bit guest's mark of an entry without a page; that of a 64-bit guest is no address below 16 TiB."""


def open_xen(file: MappedFile) -> PhysicalImage | None:
    """Open a Xen core; return None if the file is another ELF file.

    Raises:
        InputError: It has no memory below 16 TiB.
    """
    sections = _sections(file)
    frames = _frames(file, sections)
    pages = sections.get(b".xen_pages")
    if frames is None or pages is None:
        return None
    first = int(pages.sh_offset)
    offsets = first + PAGE_SIZE * np.arange(len(frames), dtype=np.uint64)
    used = (frames != _UNUSED) & (frames < 1 << (64 - PAGE_SHIFT))
    sizes = np.full(len(frames), PAGE_SIZE, np.uint64)
    runs = np.stack([frames << np.uint64(PAGE_SHIFT), sizes, offsets], axis=1)[used]
    require_memory(file.path, runs)
    return PhysicalImage(file, runs, image_format=FORMAT, path=file.path)


def _frames(file: MappedFile, sections: dict[bytes, Structure]) -> NDArray[np.uint64] | None:
    """Return the frame of each page: listed alone (`.xen_pfn`), or with the host's frame beside it (`.xen_p2m`)."""
    for name, width in ((b".xen_pfn", 1), (b".xen_p2m", 2)):
        if (section := sections.get(name)) is not None:
            at = min(int(section.sh_offset), file.size)
            size = min(int(section.sh_size), file.size - at, 8 * width * min(MAX_PAGES, file.size // PAGE_SIZE + 1))
            return np.frombuffer(file.buffer, "<u8", size // (8 * width) * width, at).reshape(-1, width)[:, 0]
    return None


def _sections(file: MappedFile) -> dict[bytes, Structure]:
    """Return the section headers by name; none if it is no 64-bit core without program headers."""
    layouts = c_elf(8, "<")
    head = bytes(file.buffer[: layouts.Ehdr.size])
    if len(head) < layouts.Ehdr.size or not head.startswith(_IDENT):
        return {}
    header = layouts.Ehdr(head)
    count, at = int(header.e_shnum), int(header.e_shoff)
    if header.e_type != ET_CORE or header.e_phnum or not header.e_shstrndx < count <= MAX_SECTIONS:
        return {}
    if header.e_shentsize != layouts.Shdr.size or at + count * layouts.Shdr.size > file.size:
        return {}
    headers = [
        layouts.Shdr(bytes(file.buffer[start : start + layouts.Shdr.size]))
        for start in range(at, at + count * layouts.Shdr.size, layouts.Shdr.size)
    ]
    names = int(headers[header.e_shstrndx].sh_offset)
    return {
        bytes(file.buffer[names + each.sh_name : names + each.sh_name + _MAX_NAME]).split(b"\0")[0]: each
        for each in headers
    }
