"""Layouts of files that hold physical memory in runs and are read by volatility3 alone: LiME, ELF core.

Sources: LiME's `lime.h`; the System V ABI for ELF-64.
"""

from __future__ import annotations

from dissect.cstruct import cstruct

LIME_MAGIC = 0x4C69_4D45
LIME_VERSION = 1

ELF_MAGIC = b"\x7fELF"
ELF_CORE = 4
ELF_X86_64 = 62
ELF_LOAD = 1

container_def = """
typedef struct {
    uint32  magic;
    uint32  version;
    uint64  s_addr;                 /* physical address of the first byte */
    uint64  e_addr;                 /* of the last byte */
    uint8   reserved[8];
} LIME_RANGE;                       /* the bytes follow, then the next range */

typedef struct {
    uint8   e_ident[16];
    uint16  e_type;
    uint16  e_machine;
    uint32  e_version;
    uint64  e_entry;
    uint64  e_phoff;
    uint64  e_shoff;
    uint32  e_flags;
    uint16  e_ehsize;
    uint16  e_phentsize;
    uint16  e_phnum;
    uint16  e_shentsize;
    uint16  e_shnum;
    uint16  e_shstrndx;
} ELF64_EHDR;

typedef struct {
    uint32  p_type;
    uint32  p_flags;
    uint64  p_offset;
    uint64  p_vaddr;
    uint64  p_paddr;
    uint64  p_filesz;
    uint64  p_memsz;
    uint64  p_align;
} ELF64_PHDR;
"""

c_containers = cstruct().load(container_def)
