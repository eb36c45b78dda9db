"""x64 page tables, as the processor and as Windows read them: entry bits, spans, fixed addresses.

Sources: docs/memory-layouts.md, "x64 page tables".
"""

from __future__ import annotations

PAGE_SHIFT = 12
PAGE_SIZE = 1 << PAGE_SHIFT
ENTRIES_PER_TABLE = 512
INDEX_BITS = 9

LARGE_PAGE_SIZE = 1 << 21
"""A page directory entry with `LARGE` maps this many bytes."""
HUGE_PAGE_SIZE = 1 << 30
"""A page directory pointer entry with `LARGE` maps this many bytes."""

VALID = 1 << 0
WRITABLE = 1 << 1
USER = 1 << 2
ACCESSED = 1 << 5
DIRTY = 1 << 6
LARGE = 1 << 7
"""In the two middle levels: the entry maps a large page. In an invalid last-level entry: volatility3's mark of a page
that lies in a page file, with the top half of the entry not zero."""
GLOBAL = 1 << 8
PROTOTYPE = 1 << 10
"""In an invalid entry: the rest describes a prototype entry."""
TRANSITION = 1 << 11
"""In an invalid entry, without `PROTOTYPE`: the frame is still the page's, though the processor would fault."""
NO_EXECUTE = 1 << 63

FRAME_MASK = 0x000F_FFFF_FFFF_F000
"""Physical address in an entry (MAXPHYADDR at most 52)."""
FRAME_BITS_WINDOWS = 45
"""volatility3 reads only this many bits of a physical address, since Windows keeps flags above them in transition."""

CR3_FRAME_MASK = 0x000F_FFFF_FFFF_F000
"""Physical address in `KPROCESS.DirectoryTableBase`; the low 12 bits are a process-context identifier (PCID)."""

PAGEFILE_OFFSET_SHIFT = 32
"""A page file's page number stands in the top half of an entry of a page that was written to it."""

PROTOTYPE_ADDRESS_SHIFT = 16
"""The low 48 bits of a prototype entry's address stand above this bit in an entry that refers to it."""
PROTECTION_SHIFT = 5
"""Five bits of an invalid entry say the page's protection, as `MmProtectToValue` numbers them."""

KERNEL_HALF = ENTRIES_PER_TABLE // 2
"""First index in the top table that belongs to the system; entries from here on are shared by all processes."""
KERNEL_SPACE = 0xFFFF_8000_0000_0000
USER_SPACE_END = 0x7FFF_FFFF_0000

KUSER_SHARED_DATA_KERNEL = 0xFFFF_F780_0000_0000
KUSER_SHARED_DATA_USER = 0x7FFE_0000
"""One frame at two fixed addresses: `KUSER_SHARED_DATA`."""

SELF_MAP_INDEX = 0x1ED
"""Index of the top table's reference to itself before Windows 10 1607."""


def index(address: int, level: int) -> int:
    """Return the index that a virtual address has in a table of `level` (4 the top one, 1 the last)."""
    return address >> (PAGE_SHIFT + INDEX_BITS * (level - 1)) & (ENTRIES_PER_TABLE - 1)


def canonical(address: int) -> int:
    """Return a 48-bit address with its top bit extended, as the processor wants it."""
    return address | 0xFFFF_0000_0000_0000 if address >> 47 & 1 else address


def is_present(entry: int) -> bool:
    """Whether an entry says where its page or table is: valid, or in transition."""
    return bool(entry & VALID) or (bool(entry & TRANSITION) and not entry & PROTOTYPE)
