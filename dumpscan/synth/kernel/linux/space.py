"""The memory of the synthetic kernel: its image, the direct map of all memory, `struct page`, and what is allocated.

Addresses are chosen by the seed, as KASLR does. Source: docs/memory-layouts.md, "Linux kernel images".
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dumpscan.exceptions import ScenarioError
from dumpscan.model.linux.c_kernel import DEFAULT_TEXT, DIRECT_MAP_4, START_KERNEL_MAP, VMEMMAP_4
from dumpscan.model.windows.c_paging import LARGE_PAGE_SIZE, PAGE_SHIFT, PAGE_SIZE
from dumpscan.synth.alignment import align
from dumpscan.synth.kernel.linux.declarations import Array, Integer
from dumpscan.synth.kernel.linux.layouts import KERNEL
from dumpscan.synth.physical.paging import KERNEL_DATA, PageTables
from dumpscan.synth.seeded import SeededBytes

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from dumpscan.synth.physical.memory import PhysicalMemory

IMAGE_SIZE = LARGE_PAGE_SIZE
"""Bytes of the kernel's own image: one large page."""
ROOT_OFFSET = IMAGE_SIZE - PAGE_SIZE
"""Where `init_top_pgt` lies in it."""
PAGE_STRUCT = 64
_SHIFTS = 448
"""KASLR shifts to choose from, 2 MiB apart: the image ends below `END_KERNEL_MAP` with each of them."""
_BASES = 1 << 10
"""Places of the direct map and of `struct page` to choose from, 1 GiB apart."""
_SLAB_ALIGNMENT = 32

Value = int | bytes


class KernelSpace:
    """The kernel's virtual memory.

    Args:
        memory: Physical memory.
        seed: Chooses addresses.
        kaslr: Whether addresses are shifted.

    Attributes:
        shift: How far the image lies above its linked address, in bytes.
        image: Virtual address of the image (`_text`).
        image_frame: Its first frame.
        direct: Start of the direct map.
        pages: Start of the array of `struct page`.
        pages_frame: Its first frame.
        tables: The kernel's page tables.
        slabs: Frames that objects are allocated in.
    """

    def __init__(self, memory: PhysicalMemory, seed: str, *, kaslr: bool) -> None:
        self.memory = memory
        source = SeededBytes("kaslr", seed)
        self.shift = source.below(_SHIFTS) * LARGE_PAGE_SIZE if kaslr else 0
        self.image = DEFAULT_TEXT + self.shift
        bases = [source.below(_BASES) << 30 if kaslr else 0 for _ in range(2)]
        self.direct, self.pages = DIRECT_MAP_4 + bases[0], VMEMMAP_4 + bases[1]
        self.image_frame = self._large()
        self.tables = PageTables(memory, self.image_frame + (ROOT_OFFSET >> PAGE_SHIFT), None)
        self.tables.map_large(self.image, self.image_frame, LARGE_PAGE_SIZE, KERNEL_DATA)
        for at in range(0, memory.size, LARGE_PAGE_SIZE):
            self.tables.map_large(self.direct + at, at >> PAGE_SHIFT, LARGE_PAGE_SIZE, KERNEL_DATA)
        self.pages_frame = self._large()
        self.tables.map_large(self.pages, self.pages_frame, LARGE_PAGE_SIZE, KERNEL_DATA)
        self.slabs: list[int] = []
        self._free = (0, 0)

    def _large(self) -> int:
        frame = self.memory.take_contiguous(LARGE_PAGE_SIZE)
        for each in range(frame, frame + (LARGE_PAGE_SIZE >> PAGE_SHIFT)):
            self.memory.clear(each)
        return frame

    @property
    def phys_base(self) -> int:
        """What is added to an address of the image, less START_KERNEL_MAP, to have the physical one."""
        return (self.image_frame << PAGE_SHIFT) - (self.image - START_KERNEL_MAP)

    def physical(self, address: int) -> int:
        """Return the physical address of an address in the image or in the direct map."""
        if address >= START_KERNEL_MAP:
            return address - START_KERNEL_MAP + self.phys_base
        return address - self.direct

    def frame_address(self, frame: int) -> int:
        """Return the address of a frame in the direct map."""
        return self.direct + (frame << PAGE_SHIFT)

    # --- Allocating --------------------------------------------------------------------------------------------------

    def take_frame(self) -> int:
        """Return a frame of zeros."""
        frame = int(self.memory.take(1)[0])
        self.memory.clear(frame)
        return frame

    def allocate(self, size: int) -> int:
        """Return the address of some bytes in the direct map, all zero.

        Raises:
            ScenarioError: They are more than a page.
        """
        size = align(size, _SLAB_ALIGNMENT)
        if size > PAGE_SIZE:
            raise ScenarioError(f"an object of the kernel has {size} bytes; expected {PAGE_SIZE} at most")
        at, left = self._free
        if size > left:
            self.slabs.append(self.take_frame())
            at, left = self.frame_address(self.slabs[-1]), PAGE_SIZE
        self._free = (at + size, left - size)
        return at

    def text(self, text: str | bytes) -> int:
        """Store a string with its NUL, and return its address."""
        data = text.encode("utf-8", "surrogateescape") if isinstance(text, str) else text
        address = self.allocate(len(data) + 1)
        self.write(address, data)
        return address

    def make(self, structure: str, values: Mapping[str, Value] | None = None) -> int:
        """Allocate a structure, set members, and return its address."""
        address = self.allocate(KERNEL.structure(structure).size)
        self.put(address, structure, values or {})
        return address

    # --- Writing -----------------------------------------------------------------------------------------------------

    def write(self, address: int, data: bytes) -> None:
        """Write at an address of the image or the direct map."""
        self.memory.write(self.physical(address), data)

    def put(self, address: int, structure: str, values: Mapping[str, Value]) -> None:
        """Set members of a structure: numbers, or the bytes of an array.

        Args:
            address: Of the structure.
            structure: Its name.
            values: By the members' paths: `tasks.next`.
        """
        for path, value in values.items():
            member = KERNEL.member(f"{structure}.{path}")
            size = member.type.size
            if isinstance(value, bytes):
                assert isinstance(member.type, Array)  # noqa: S101 - only these have bytes
                data = value[:size].ljust(size, b"\0")
            else:
                signed = isinstance(member.type, Integer) and member.type.signed
                data = value.to_bytes(size, "little", signed=signed)
            self.write(address + member.offset, data)

    def link(self, head: int, entries: Sequence[int]) -> None:
        """Make a ring of list heads: that of the list, and those of its entries."""
        ring = [head, *entries, head]
        for before, at, after in zip([ring[-2], *ring], ring[:-1], ring[1:], strict=False):
            self.put(at, "list_head", {"next": after, "prev": before})


def offset_of(path: str) -> int:
    """Return the offset of a member: `task_struct.tasks`."""
    return KERNEL.member(path).offset
