"""Layouts of kdump-compressed files, and of the flattened form in which they are sent through a pipe.

Sources: makedumpfile's `diskdump_mod.h` (disk_dump_header, kdump_sub_header, page_desc) and `makedumpfile.h`
(makedumpfile_header, makedumpfile_data_header); QEMU's `include/sysemu/dump.h`, which writes the same. 64-bit machines,
little-endian. See `docs/memory-layouts.md`, "kdump-compressed files".
"""

from __future__ import annotations

from enum import IntFlag
from functools import cache
from typing import Any

from dissect.cstruct import cstruct

from dumpscan.model.structures import structures

SIGNATURE = b"KDUMP   "
FLAT_SIGNATURE = b"makedumpfile"
FLAT_TYPE = 1
FLAT_VERSION = 1
FLAT_HEADER_SIZE = 4096
"""Bytes before the first record of a flattened file."""
VERSION_WITH_64_BIT_FRAMES = 6
"""`header_version` from which on frame numbers have 64 bits."""
VERSION_WITH_VMCOREINFO = 3


class Packed(IntFlag):
    """How a page is packed (`page_desc.flags`). Without any of these flags, it is stored as it is."""

    ZLIB = 1
    LZO = 2
    SNAPPY = 4
    ZSTD = 0x20


class LeftOut(IntFlag):
    """What makedumpfile was told to leave out (`kdump_sub_header.dump_level`)."""

    ZEROS = 1
    CACHE = 2
    CACHE_PRIVATE = 4
    USER = 8
    FREE = 16


INCOMPLETE = 8
"""In `disk_dump_header.status`: there was no room for all pages."""

_DEFINITIONS = """
typedef struct {
    char    signature[8];           /* "KDUMP   " */
    int32   header_version;
    char    utsname[6][65];         /* 0x0c: system, node, release, version, machine, domain */
    uint8   _pad0[6];
    uint64  timestamp[2];           /* 0x198: seconds, microseconds */
    uint32  status;                 /* 0x1a8 */
    uint32  block_size;             /* bytes of a block, which are those of a page */
    uint32  sub_hdr_size;           /* blocks */
    uint32  bitmap_blocks;          /* blocks of both bitmaps */
    uint32  max_mapnr;              /* page frames, modulo 2^32 */
    uint32  total_ram_blocks;
    uint32  device_blocks;
    uint32  written_blocks;
    uint32  current_cpu;
    int32   nr_cpus;
} disk_dump_header;                 /* in the first block */

typedef struct {
    uint64  phys_base;
    int32   dump_level;
    int32   split;                  /* 0x0c: 1 if this is one file of several */
    uint64  start_pfn;              /* of this file's pages */
    uint64  end_pfn;
    uint64  offset_vmcoreinfo;      /* 0x20: file offset */
    uint64  size_vmcoreinfo;
    uint64  offset_note;            /* 0x30 */
    uint64  size_note;
    uint64  offset_eraseinfo;       /* 0x40 */
    uint64  size_eraseinfo;
    uint64  start_pfn_64;           /* 0x50 */
    uint64  end_pfn_64;
    uint64  max_mapnr_64;           /* 0x60 */
} kdump_sub_header;                 /* in the second block */

typedef struct {
    uint64  offset;                 /* file offset of the page's bytes */
    uint32  size;                   /* bytes in the file */
    uint32  flags;
    uint64  page_flags;
} page_desc;
"""

_FLAT_DEFINITIONS = """
typedef struct {
    char    signature[16];          /* "makedumpfile" */
    uint64  type;
    uint64  version;
} makedumpfile_header;              /* in 4096 bytes */

typedef struct {
    uint64  offset;                 /* of the bytes in the file that is flattened; all bits set end the file */
    uint64  size;                   /* of the bytes, which follow */
} makedumpfile_data_header;
"""

c_kdump = structures(_DEFINITIONS)


@cache
def c_flat() -> Any:  # noqa: ANN401 - dissect.cstruct has no type hints
    """Return the structures of the flattened form, which are big-endian."""
    return cstruct(endian=">").load(_FLAT_DEFINITIONS)
