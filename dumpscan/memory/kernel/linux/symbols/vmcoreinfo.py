"""Finds VMCOREINFO, the ELF note in which a Linux kernel tells crash dumps what they need to know of it.

Source: docs/memory-layouts.md, "Linux kernel images". The note lies at the beginning of a page (before Linux
4.13 it did not).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from dumpscan.model.linux.c_kernel import MAX_NOTE_TEXT, NOTE_HEADER_SIZE, NOTE_NAME, NOTE_NAME_SIZE
from dumpscan.model.windows.c_paging import PAGE_SHIFT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dumpscan.memory.physical.image import PhysicalImage

MAX_NOTES = 64
"""Notes looked at; an image has one, or a few of earlier boots and of virtual machines."""
_FRAMES_AT_ONCE = 2048
_LINE = re.compile(r"^(?:(?P<group>[A-Z]+)\((?P<name>[\w.\-]+)\)|(?P<plain>[A-Z][\w\-]*))=(?P<value>.*)$")
_MAX_VALUE = 128
_MASK = (1 << 64) - 1


@dataclass(frozen=True, slots=True)
class VmcoreInfo:
    """The text of a note.

    Attributes:
        address: Physical address of the note; None for that of the image's container.
        plain: Values without a group: `OSRELEASE`, `BUILD-ID`, `KERNELOFFSET`.
        symbols: Virtual addresses, with the kernel's shift.
        numbers: Values of constants and variables.
        offsets: Offsets of members, e.g. of `page.mapping`, in bytes.
        sizes: Sizes of structures in bytes.
    """

    address: int | None
    plain: dict[str, str] = field(default_factory=dict)
    symbols: dict[str, int] = field(default_factory=dict)
    numbers: dict[str, int] = field(default_factory=dict)
    offsets: dict[str, int] = field(default_factory=dict)
    sizes: dict[str, int] = field(default_factory=dict)

    @property
    def release(self) -> str:
        """The kernel's release, e.g. `6.1.0-56-amd64`."""
        return self.plain.get("OSRELEASE", "")

    @property
    def build_id(self) -> str | None:
        """The build id of the kernel (hex)."""
        return self.plain.get("BUILD-ID")

    @property
    def shift(self) -> int:
        """How far the kernel lies above its linked address (KASLR), in bytes."""
        return _number(self.plain.get("KERNELOFFSET", "0"), 16) or 0


def parse_note(text: bytes, address: int | None) -> VmcoreInfo | None:
    """Parse the text of a note; return None if it does not begin with the kernel's release."""
    lines = text.split(b"\0", 1)[0].decode("ascii", "replace").split("\n")
    if not lines[0].startswith("OSRELEASE="):
        return None
    found = VmcoreInfo(address)
    groups = {"SYMBOL": (found.symbols, 16), "OFFSET": (found.offsets, 10), "SIZE": (found.sizes, 10)}
    for line in lines:
        match = _LINE.match(line)
        if not match or len(match["value"]) > _MAX_VALUE:
            continue
        if match["plain"]:
            found.plain.setdefault(match["plain"], match["value"])
            continue
        values, base = groups.get(match["group"], (found.numbers, 10))
        number = _number(match["value"], base)
        if number is not None:
            values.setdefault(match["name"], number & _MASK)
    return found


def find_notes(image: PhysicalImage) -> Iterator[VmcoreInfo]:
    """Find the notes at the beginnings of pages, in the order of their addresses; then that of the container.

    Args:
        image: Physical memory.
    """
    rest = np.uint64(int.from_bytes(NOTE_NAME[4:12], "little"))
    count = 0
    for first, words in image.spans(_FRAMES_AT_ONCE):
        at = np.flatnonzero(words[:, 2] == rest)
        image.passed(words.nbytes)
        for frame in (at + first).tolist():
            note = read_note(image, frame << PAGE_SHIFT)
            if note is None:
                continue
            yield note
            count += 1
            if count >= MAX_NOTES:
                return
    if image.vmcoreinfo is not None and (note := parse_note(image.vmcoreinfo, None)) is not None:
        yield note


def read_note(image: PhysicalImage, address: int) -> VmcoreInfo | None:
    """Read the note at a physical address; return None if there is none."""
    header = image.read(address, NOTE_HEADER_SIZE)
    sizes = (int.from_bytes(header[:4], "little"), int.from_bytes(header[4:8], "little"))
    if header[8:12] != b"\0\0\0\0" or header[12:] != NOTE_NAME[:12] or sizes[0] != NOTE_NAME_SIZE:
        return None
    return parse_note(image.read(address + NOTE_HEADER_SIZE, min(sizes[1], MAX_NOTE_TEXT)), address)


def _number(text: str, base: int) -> int | None:
    try:
        return int(text, base)
    except ValueError:
        return None
