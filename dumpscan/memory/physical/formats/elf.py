"""ELF cores of physical memory, as QEMU, VirtualBox, kdump and makedumpfile write them.

QEMU can write a segment for each virtual mapping (`dump-guest-memory -p`): tens of thousands, which share physical
addresses. See `docs/memory-layouts.md`, "ELF images of physical memory".
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from dumpscan.exceptions import InputError
from dumpscan.memory.core.elf import read_elf
from dumpscan.memory.physical.formats.xen import open_xen
from dumpscan.memory.physical.image import PhysicalImage, require_memory

if TYPE_CHECKING:
    from dumpscan.memory.core.elf import ElfCore
    from dumpscan.memory.mapped_file import MappedFile

FORMAT = "ELF core dump"
MAX_VMCOREINFO = 1 << 16
"""Bytes that are taken of a VMCOREINFO note. The kernel's own has a page."""
_VMCOREINFO = b"VMCOREINFO"


def open_elf(file: MappedFile) -> PhysicalImage:
    """Open an ELF core of physical memory.

    Args:
        file: A file that begins like ELF.

    Raises:
        InputError: It is no core, or has no memory below 16 TiB.
    """
    if (image := open_xen(file)) is not None:
        return image
    try:
        core = read_elf(file.path, file.buffer)
    except InputError as error:
        problem = f"is an ELF file, but no core dump of physical memory: {error.problem}"
        raise InputError(file.path, problem, offset=error.offset or 0) from error
    loads = core.loads
    runs = np.stack([loads[name].astype(np.uint64) for name in ("p_paddr", "p_filesz", "p_offset")], axis=1)
    runs = runs[runs[:, 1] > 0]
    require_memory(file.path, runs)
    image = PhysicalImage(file, runs, image_format=FORMAT, path=file.path)
    image.problems[:0] = core.problems
    image.vmcoreinfo = _vmcoreinfo(core)
    return image


def _vmcoreinfo(core: ElfCore) -> bytes | None:
    """Return the text of the note in which a Linux kernel describes itself."""
    return next((bytes(note.data[:MAX_VMCOREINFO]) for note in core.notes() if note.owner == _VMCOREINFO), None)
