"""Numbers in QEMU's migration stream, which `virsh save`, `savevm` and `migrate "exec:cat > FILE"` write.

Sources: QEMU's `migration/savevm.c`, `migration/ram.c`, `migration/qemu-file-types.h` and `docs/devel/migration`; the
holes below 4 GiB from `hw/i386/pc_piix.c`, `pc_q35.c` and `microvm.c`. All numbers are big-endian. What libvirt puts
before a stream is declared in its `src/qemu/qemu_saveimage.h`; its bytes are in the machine's order. See
`docs/memory-layouts.md`, "QEMU migration streams".
"""

from __future__ import annotations

import re
from enum import IntEnum, IntFlag

from dumpscan.model.structures import structures

MAGIC = b"QEVM"
VERSION = 3


class Section(IntEnum):
    """What a section is (QEMU_VM_...)."""

    EOF = 0x00
    START = 0x01
    PART = 0x02
    END = 0x03
    FULL = 0x04
    SUBSECTION = 0x05
    DESCRIPTION = 0x06
    CONFIGURATION = 0x07
    COMMAND = 0x08
    FOOTER = 0x7E


class Ram(IntFlag):
    """Flags of a record of memory (RAM_SAVE_FLAG_...), in the low bits of its address."""

    ZERO = 0x02
    MEM_SIZE = 0x04
    PAGE = 0x08
    EOS = 0x10
    CONTINUE = 0x20
    XBZRLE = 0x40
    HOOK = 0x80
    COMPRESS_PAGE = 0x100
    MULTIFD_FLUSH = 0x200


RAM_SECTION = b"ram"
MAIN_BLOCK = b"pc.ram"
"""Name of the block of main memory, unless the user chose another."""

FOUR_GIB = 1 << 32
HOLES = (
    (re.compile(rb"pc-(i440fx-)?[01]\."), 0xE000_0000, 0xE000_0000),
    (re.compile(rb"pc-i440fx|pc$"), 0xE000_0000, 0xC000_0000),
    (re.compile(rb"pc-q35|q35$"), 0xB000_0000, 0x8000_0000),
    (re.compile(rb"microvm"), 0xC000_0000, 0xC000_0000),
    (re.compile(rb"xen"), 0xF000_0000, 0xF000_0000),
)
"""By the name of the machine: from how many bytes of memory on there is a hole below 4 GiB, and where it begins."""

LIBVIRT_MAGIC = b"LibvirtQemudSave"
LIBVIRT_VERSION = 2
LIBVIRT_PACKED = ("", "gzip", "bzip2", "xz", "lzop", "zstd")
"""What `compressed` stands for."""

c_libvirt = structures("""
typedef struct {
    char    magic[16];              /* "LibvirtQemudSave"; "LibvirtQemudPart" while it is written */
    uint32  version;
    uint32  data_len;               /* bytes of what follows before the stream: the machine's description in XML */
    uint32  was_running;
    uint32  compressed;             /* how the stream is packed */
    uint32  cookieOffset;
    uint32  unused[14];
} virQEMUSaveHeader;
""")
