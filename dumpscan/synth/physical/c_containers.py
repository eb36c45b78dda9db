"""Layout of LiME files, which hold physical memory in runs and are read by volatility3 alone.

Source: LiME's `lime.h`. ELF cores of physical memory use the layouts of `dumpscan.model.c_elf`.
"""

from __future__ import annotations

from dissect.cstruct import cstruct

LIME_MAGIC = 0x4C69_4D45
LIME_VERSION = 1

container_def = """
typedef struct {
    uint32  magic;
    uint32  version;
    uint64  s_addr;                 /* physical address of the first byte */
    uint64  e_addr;                 /* of the last byte */
    uint8   reserved[8];
} LIME_RANGE;                       /* the bytes follow, then the next range */
"""

c_containers = cstruct().load(container_def)
