"""System space of a synthetic image: its areas, its pools, and the image of the kernel."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dumpscan.model.windows import c_paging as paging
from dumpscan.model.windows.c_paging import PAGE_SHIFT, PAGE_SIZE
from dumpscan.synth.alignment import align, page_align, page_count
from dumpscan.synth.physical.paging import KERNEL_DATA, PageTables
from dumpscan.synth.seeded import SeededBytes
from dumpscan.synth.windows.process_blocks import encode_text

if TYPE_CHECKING:
    from dumpscan.synth.physical.memory import PhysicalMemory
    from dumpscan.synth.windows.profiles import Profile
    from dumpscan.synth.windows.symbols import KernelSymbols, Values

POOL_GRANULE = 16
_POOL_HEADER_SIZE = 16
_POOL_BATCH = 16
"""Pages by which a pool grows."""
_SLOT_SIZE = 1 << 39
"""Bytes of address space below one entry of the top table."""

NONPAGED = "nonpaged pool"
PAGED = "paged pool"
SESSION = "session space"
DRIVERS = "driver images"

# Index in the top table of each kind of memory. Windows 7 and 8.1 fix them [doc: Windows Internals, 6th edition]; later
# versions draw most of them at boot.
_FIXED_SLOTS = {
    NONPAGED: 0x1F5,
    PAGED: 0x1F1,
    SESSION: 0x1F2,
    DRIVERS: 0x1F3,
    "system cache": 0x1F6,
    "system page table entries": 0x1F7,
    "hyperspace": 0x1EE,
    "page frame database": 0x1FA,
    "boot loader": 0x1F9,
    "hardware abstraction layer": 0x1FF,
}
_IMAGE_SLOT = 0x1F0
_MAX_IMAGE = 1 << 28
KERNEL_BASES = range(
    paging.canonical(_IMAGE_SLOT * _SLOT_SIZE), paging.canonical((_IMAGE_SLOT + 1) * _SLOT_SIZE) - _MAX_IMAGE
)
"""Where the image of the kernel may lie. volatility3's quick scan begins here."""
_RANDOM_SLOTS = range(0x104, 0x1EC)
_DRAWN = (NONPAGED, PAGED, SESSION, "system cache", "system page table entries", "page frame database")


class KernelSpace:
    """System space, which all processes share.

    Args:
        memory: Physical memory.
        symbols: Layouts of structures.
        profile: Version of Windows.
        root: Frame of the system's top page table.
        seed: Determines every address that Windows randomises.
        base: Address of the kernel's image, a page in `KERNEL_BASES`; None if the seed chooses it.
    """

    def __init__(
        self,
        memory: PhysicalMemory,
        symbols: KernelSymbols,
        profile: Profile,
        *,
        root: int,
        seed: str,
        base: int | None = None,
    ) -> None:
        source = SeededBytes("kernel-space", seed)
        slots = dict(_FIXED_SLOTS)
        self_map = paging.SELF_MAP_INDEX
        if not profile.fixed_self_map:
            drawn: list[int] = []
            while len(drawn) < len(_DRAWN) + 1:
                slot = _RANDOM_SLOTS[source.below(len(_RANDOM_SLOTS))]
                if slot not in drawn:
                    drawn.append(slot)
            self_map = drawn.pop()
            slots.update(zip(_DRAWN, drawn, strict=True))
        self.memory = memory
        self.symbols = symbols
        self.profile = profile
        self.space = PageTables(memory, root, self_map)
        self._next = {  # the next free address of each area
            name: paging.canonical(slot * _SLOT_SIZE) + source.below(1 << 12) * paging.LARGE_PAGE_SIZE
            for name, slot in slots.items()
        }
        if base is None:
            base = KERNEL_BASES.start + (source.below(1 << 16) + 1) * paging.LARGE_PAGE_SIZE
        self.base = base
        self._pool: dict[str, tuple[int, int]] = {NONPAGED: (0, 0), PAGED: (0, 0)}
        for area in self._next:  # processes copy the entries of the top table, so all must be there
            self.space.map_pages(self._next[area], memory.take(1), KERNEL_DATA)
            self._next[area] += PAGE_SIZE
        self.shared_data_frame = memory.take(1)
        memory.clear(int(self.shared_data_frame[0]))
        self.space.map_pages(paging.KUSER_SHARED_DATA_KERNEL, self.shared_data_frame, KERNEL_DATA & ~paging.WRITABLE)
        self.space.map_pages(
            paging.KUSER_SHARED_DATA_USER, self.shared_data_frame, paging.VALID | paging.USER | paging.NO_EXECUTE
        )

    def write(self, address: int, data: bytes | bytearray) -> None:
        """Write at a virtual address."""
        self.space.write(address, data)

    def write_symbol(self, name: str, data: bytes | bytearray) -> None:
        """Write at a symbol of the kernel's image."""
        self.space.write(self.symbol(name), data)

    def symbol(self, name: str) -> int:
        """Return the virtual address of a symbol."""
        return self.base + self.symbols.rva(name)

    def pages(self, area: str, count: int) -> int:
        """Map new pages in an area and return their address. The page before them is not mapped."""
        address = self._next[area] + PAGE_SIZE
        self._next[area] = address + count * PAGE_SIZE
        self.space.map_pages(address, self.memory.take(count), KERNEL_DATA)
        return address

    def allocate(self, tag: bytes, size: int, *, pool: str = NONPAGED) -> int:
        """Return the address of `size` zero bytes from a pool. A pool header with this tag is before them.

        Bytes that do not fit on a page get pages of their own without a header, like big allocations of Windows.
        """
        whole = align(size + _POOL_HEADER_SIZE, POOL_GRANULE)
        if whole > PAGE_SIZE:
            count = page_count(size)
            address = self.pages(pool, count)
            self.write(address, bytes(count * PAGE_SIZE))
            return address
        at, end = self._pool[pool]
        if whole > PAGE_SIZE - at % PAGE_SIZE:
            at = page_align(at)
        if at + whole > end:
            at = self.pages(pool, _POOL_BATCH)
            end = at + _POOL_BATCH * PAGE_SIZE
            self.write(at, bytes(_POOL_BATCH * PAGE_SIZE))
        self._pool[pool] = (at + whole, end)
        values: Values = {
            "BlockSize": whole // POOL_GRANULE,
            "PoolType": 3 if pool == PAGED else 2,
            "PoolTag": tag.ljust(4),
        }
        self.write(at, self.symbols.build("_POOL_HEADER", values))
        return at + _POOL_HEADER_SIZE

    def store(self, tag: bytes, data: bytes | bytearray, *, pool: str = NONPAGED) -> int:
        """Put `data` into a pool and return its address."""
        address = self.allocate(tag, len(data), pool=pool)
        self.write(address, data)
        return address

    def structure(self, tag: bytes, name: str, values: Values, *, pool: str = NONPAGED) -> int:
        """Put a structure into a pool and return its address."""
        return self.store(tag, self.symbols.build(name, values), pool=pool)

    def text(self, path: str, text: str) -> Values:
        """Put a string into the pool and return the fields of a UNICODE_STRING at `path` for it."""
        data = encode_text(text)
        address = self.store(b"IoNm", data + b"\0\0", pool=PAGED) if data else 0
        return {f"{path}.Length": len(data), f"{path}.MaximumLength": len(data) + 2, f"{path}.Buffer": address}

    def map_image(self, size: int, rvas: list[tuple[int, int]], headers: bytes) -> None:
        """Map the first 32 pages of the kernel's image and all pages of the (address, bytes) pairs in `rvas`.

        The first page is writable and not executable, the other 31 are read-only, and the page before is not mapped:
        MemProcFS recognises a kernel by this [seen].
        """
        head = 32
        wanted = set(range(min(head, size >> PAGE_SHIFT)))
        for rva, length in rvas:
            wanted.update(range(rva >> PAGE_SHIFT, page_count(rva + length)))
        read_only = paging.VALID | paging.ACCESSED
        for page in sorted(wanted):
            frame = self.memory.take(1)
            self.memory.clear(int(frame[0]))
            flags = KERNEL_DATA & ~paging.GLOBAL if page == 0 or page >= head else read_only
            self.space.map_pages(self.base + (page << PAGE_SHIFT), frame, flags)
        self.write(self.base, headers)
