"""What a Linux x86-64 kernel has at fixed places or in fixed form, whatever its version.

Sources: Linux, `include/linux/vmcore_info.h` and `kernel/vmcore_info.c` (VMCOREINFO), `scripts/kallsyms.c` and
`kernel/kallsyms.c`, `arch/x86/include/asm/page_64_types.h` and `pgtable_64_types.h` (addresses),
`arch/x86/include/asm/pgtable-invert.h` and `pgtable_64.h` (entries), `include/linux/sched.h`. Compared
with kernels 6.1, 6.12 and 7.3; see `docs/memory-layouts.md`, "Linux kernel images".
"""

from __future__ import annotations

# --- VMCOREINFO ----------------------------------------------------------------------------------------------------

NOTE_NAME = b"VMCOREINFO\0\0"
"""Name of the ELF note that a kernel keeps for crash dumps, with its padding; 11 bytes of it are the name."""
NOTE_NAME_SIZE = 11
NOTE_HEADER_SIZE = 24
"""Bytes before the note's text: sizes, type and name."""
MAX_NOTE_TEXT = 4096
"""VMCOREINFO_BYTES: the text is not longer than a page."""

# --- Addresses -------------------------------------------------------------------------------------------------------

START_KERNEL_MAP = 0xFFFF_FFFF_8000_0000
"""Virtual address that stands for `phys_base` in the mapping of the kernel's own image."""
END_KERNEL_MAP = 0xFFFF_FFFF_C000_0000
"""No kernel's image goes further: modules begin here at the latest."""
START_OF_IMAGE = 1 << 32
"""No address of a kernel is lower; symbols below it lie in each processor's own memory, and are not shifted."""
DEFAULT_TEXT = 0xFFFF_FFFF_8100_0000
"""`_text` of a kernel that is not shifted (START_KERNEL_MAP and CONFIG_PHYSICAL_START)."""
DIRECT_MAP_4 = 0xFFFF_8880_0000_0000
DIRECT_MAP_5 = 0xFF11_0000_0000_0000
"""Start of the mapping of all memory with four and five levels, where it is not randomised (`page_offset_base`)."""
VMEMMAP_4 = 0xFFFF_EA00_0000_0000
VMEMMAP_5 = 0xFFD4_0000_0000_0000
"""Start of the array of `struct page`, likewise (`vmemmap_base`)."""

# --- Page table entries that are not present -----------------------------------------------------------------------

PROTNONE = 1 << 8
"""_PAGE_PROTNONE: without the present bit, the entry is a page that may not be touched; its frame bits are inverted."""
SWAP_TYPE_SHIFT = 59
SWAP_OFFSET_SHIFT = 9
SWAP_OFFSET_BITS = 50
"""A swap entry: the number of the swap area, and the page in it, whose bits are inverted."""
SWAP_VALUE_SHIFT = 58
"""Where the number of the swap area stands in `swp_entry_t`, as the swap cache keeps it."""

# --- kallsyms --------------------------------------------------------------------------------------------------------

TOKENS = 256
MARKER_STEP = 256
"""Symbols from one entry of `kallsyms_markers` to the next."""

# --- Tasks -----------------------------------------------------------------------------------------------------------

PF_WQ_WORKER = 0x0000_0020
PF_KTHREAD = 0x0020_0000
EXIT_ZOMBIE = 0x20
TASK_REPORT = 0x7F
TASK_IDLE = 0x402
TASK_STATES = (
    "running",
    "sleeping",
    "disk sleep",
    "stopped",
    "tracing stop",
    "dead",
    "zombie",
    "parked",
)
"""What /proc/PID/status calls a state, by the number of the highest bit in it that TASK_REPORT has."""
MAX_COMM = 16
END_OF_32_BITS = 1 << 32

XA_SLOTS = 64
"""Slots of a node of the kernel's trees (XA_CHUNK_SIZE, `include/linux/xarray.h`)."""
XA_LOW_BITS = 3
"""Bits of an entry that tell what it is: 0 for a pointer."""
XA_INTERNAL = 2
"""The low bits of an entry that leads to a node (xa_is_internal, xa_to_node)."""
MAX_ID_TREE_SHIFT = 64
"""More than the shift of any node: each level below takes six bits of the id."""
