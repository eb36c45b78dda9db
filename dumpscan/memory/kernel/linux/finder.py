"""Finds the Linux kernels of an image: a VMCOREINFO note, and page tables that lead to the kernel which it describes.

A note alone proves nothing: it may be of an earlier boot, of a virtual machine whose memory is part of the image, or
forged. The kernel's own page tables, at the place that the note gives, must map the kernel's text to where the note
says that it is.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from dumpscan.memory.kernel.linux.addresses import FIVE_LEVELS, FOUR_LEVELS, KernelMemory, physical_of_image
from dumpscan.memory.kernel.linux.symbols.kallsyms import KallsymsTables
from dumpscan.memory.kernel.linux.symbols.unaided import find_unaided
from dumpscan.memory.kernel.linux.symbols.vmcoreinfo import find_notes
from dumpscan.model.linux.c_kernel import DEFAULT_TEXT, END_KERNEL_MAP, START_KERNEL_MAP

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dumpscan.memory.kernel.linux.symbols.unaided import Found
    from dumpscan.memory.kernel.linux.symbols.vmcoreinfo import VmcoreInfo
    from dumpscan.memory.physical.image import PhysicalImage

_MAX_BANNER = 512
_MAX_BANNERS = 8


@dataclass(frozen=True, slots=True)
class LinuxKernel:
    """A Linux kernel found in an image.

    Attributes:
        release: E.g. `6.1.0-56-amd64`; empty where only the kernel's banner tells it.
        build_id: Build id in hex; None where it is not known.
        shift: How far it lies above its linked address (KASLR), in bytes.
        phys_base: As for `KernelMemory`.
        root: Physical address of its top-level page table.
        levels: Levels of page tables: 4 or 5.
        encryption: Bits of page table entries that are no part of the frame.
        known: The name and virtual address of one symbol.
        tables: Where its kallsyms lie; None if they are not known.
        note: Physical address of its VMCOREINFO; None if it was found without.
        numbers: Constants that the note gives, e.g. `PAGE_BUDDY_MAPCOUNT_VALUE`.
    """

    release: str
    build_id: str | None
    shift: int
    phys_base: int
    root: int
    levels: int
    encryption: int
    known: tuple[str, int]
    tables: KallsymsTables | None
    note: int | None
    numbers: dict[str, int]

    def memory(self, image: PhysicalImage) -> KernelMemory:
        """Return the kernel's virtual memory."""
        return KernelMemory(image, self.phys_base, self.root, self.levels, self.encryption)


def kernel_of(note: VmcoreInfo) -> LinuxKernel | None:
    """Return the kernel that a note describes; None if it lacks what is needed, or contradicts itself."""
    top = note.symbols.get("swapper_pg_dir", note.symbols.get("init_top_pgt", 0))
    text, base = note.symbols.get("_stext", 0), note.numbers.get("phys_base")
    inside = all(START_KERNEL_MAP <= address < END_KERNEL_MAP for address in (top, text))
    if base is None or not inside:
        return None
    return LinuxKernel(
        note.release,
        note.build_id,
        note.shift,
        base,
        physical_of_image(top, base),
        FIVE_LEVELS if note.numbers.get("pgtable_l5_enabled") else FOUR_LEVELS,
        note.numbers.get("sme_mask", 0),
        ("_stext", text),
        KallsymsTables.from_note(note.symbols),
        note.address,
        note.numbers,
    )


def describe_remains(note: VmcoreInfo) -> str:
    """Return what a note stands for that belongs to no kernel, in words."""
    if "kimage_voffset" in note.numbers:
        return f"one for ARM64 ({note.release}), which is not understood"
    if "phys_base" not in note.numbers:
        return f"one for another processor than x86-64 ({note.release}), which is not understood"
    return f"the note of one ({note.release}) without its page tables, as of an earlier boot or a virtual machine"


def find_without_notes(image: PhysicalImage) -> list[LinuxKernel]:
    """Find the kernels whose notes are not in the image, or that never had one, by their tables of symbols."""
    found: dict[int, LinuxKernel] = {}
    for each in find_unaided(image):
        kernel = _unaided_kernel(image, each)
        if kernel is not None and is_there(image, kernel):
            found.setdefault(kernel.root, kernel)
    return list(found.values())


def _unaided_kernel(image: PhysicalImage, found: Found) -> LinuxKernel | None:
    address = found.kallsyms.address
    text = address("_text") or 0
    top = address("init_top_pgt") or address("swapper_pg_dir") or address("init_level4_pgt")
    if not top:
        return None

    def number(name: str, size: int) -> int:
        at = address(name)
        return 0 if at is None else int.from_bytes(image.read(physical_of_image(at, found.phys_base), size), "little")

    banner = address("linux_banner") or 0
    told = image.read(physical_of_image(banner, found.phys_base), _MAX_BANNER).split(b" ")
    return LinuxKernel(
        told[2].decode("ascii", "replace") if told[:2] == [b"Linux", b"version"] and len(told) > 2 else "",  # noqa: PLR2004
        None,
        text - DEFAULT_TEXT,
        found.phys_base,
        physical_of_image(top, found.phys_base),
        FIVE_LEVELS if number("__pgtable_l5_enabled", 4) else FOUR_LEVELS,
        number("sme_me_mask", 8),
        ("_text", text),
        found.tables,
        None,
        {},
    )


def is_there(image: PhysicalImage, kernel: LinuxKernel) -> bool:
    """Return whether a kernel's page tables map a symbol of it to where it lies according to `phys_base`."""
    memory = kernel.memory(image)
    _, address = kernel.known
    return memory.walk(address) == memory.physical(address)


def find_kernels(image: PhysicalImage) -> tuple[list[LinuxKernel], list[VmcoreInfo]]:
    """Find the kernels that run in an image's memory.

    Args:
        image: Physical memory.

    Returns:
        Each kernel once, by the addresses of their notes; and the notes that belong to none of them.
    """
    kernels: dict[int, LinuxKernel] = {}
    others: list[VmcoreInfo] = []
    for note in find_notes(image):
        kernel = kernel_of(note)
        if kernel is None or not is_there(image, kernel):
            others.append(note)
        else:
            kernels.setdefault(kernel.root, kernel)
    return [_with_tables(image, kernel) for kernel in kernels.values()], others


def _with_tables(image: PhysicalImage, kernel: LinuxKernel) -> LinuxKernel:
    """Look for the table of symbols of a kernel whose note does not say where it is (before Linux 6.0)."""
    if kernel.tables is not None:
        return kernel
    own = next((each for each in find_without_notes(image) if each.root == kernel.root), None)
    return kernel if own is None else replace(kernel, tables=own.tables, known=own.known)


def find_banners(image: PhysicalImage, release: str) -> Iterator[bytes]:
    """Yield what may be a kernel's banner, with newline and NUL, each once: the boot loader's copy differs from it.

    Args:
        image: Physical memory.
        release: The kernel's release.
    """
    wanted = re.compile(rb"Linux version %b \([\x20-\x7e]{0,%d}\n\0" % (re.escape(release.encode()), _MAX_BANNER))
    seen: set[bytes] = set()
    for _, data in image.chunks(_MAX_BANNER):
        for found in wanted.finditer(data):
            if found[0] not in seen and len(seen) < _MAX_BANNERS:
                seen.add(found[0])
                yield found[0]
