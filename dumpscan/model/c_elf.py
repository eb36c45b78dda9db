"""ELF core files: headers, and the notes in which a Linux kernel, gdb or createdump describes the process.

Sources: System V ABI, chapters 4 and 5 (Elf32_*, Elf64_*); Linux `include/uapi/linux/elf.h` (note types, PN_XNUM),
`include/linux/elfcore.h` and `include/linux/elfcore-compat.h` (elf_prstatus, elf_prpsinfo), `fs/binfmt_elf.c`
(fill_files_note, create_elf_tables); `arch/*/include/uapi/asm/ptrace.h` (order of the registers). See
`docs/memory-layouts.md`, "ELF process cores".
"""

from __future__ import annotations

from functools import cache
from typing import Any

from dissect.cstruct import cstruct

MAGIC = b"\x7fELF"
CLASS_32, CLASS_64 = 1, 2
LITTLE, BIG = 1, 2
ET_CORE = 4
PT_LOAD, PT_DYNAMIC, PT_NOTE = 1, 2, 4
PF_X = 1
PF_W = 2
PN_XNUM = 0xFFFF
"""In `e_phnum`: the number of program headers is in `sh_info` of the first section header."""

MACHINES = {
    3: "x86",
    8: "mips",
    20: "ppc",
    21: "ppc64",
    22: "s390x",
    40: "arm",
    62: "x64",
    183: "arm64",
    243: "riscv64",
}

NT_PRSTATUS, NT_PRPSINFO, NT_AUXV = 1, 3, 6
NT_SIGINFO = 0x53494749
NT_FILE = 0x46494C45
NT_GNU_BUILD_ID = 3

AT_PHDR, AT_ENTRY, AT_UID, AT_EXECFN = 3, 9, 11, 31
AT_SYSINFO_EHDR = 33
DT_STRTAB, DT_SYMTAB, DT_STRSZ, DT_SYMENT, DT_GNU_HASH = 5, 6, 10, 11, 0x6FFFFEF5

_DEFINITIONS = """
struct Ehdr {
    uint8    e_ident[16];
    uint16   e_type;
    uint16   e_machine;
    uint32   e_version;
    WORD     e_entry;
    WORD     e_phoff;
    WORD     e_shoff;
    uint32   e_flags;
    uint16   e_ehsize;
    uint16   e_phentsize;
    uint16   e_phnum;
    uint16   e_shentsize;
    uint16   e_shnum;
    uint16   e_shstrndx;
};

struct Nhdr {
    uint32   n_namesz;
    uint32   n_descsz;
    uint32   n_type;
};

struct siginfo {
    int32    si_signo;
    int32    si_errno;
    int32    si_code;
};
"""

_PHDR_64 = """
struct Phdr {
    uint32   p_type;
    uint32   p_flags;
    uint64   p_offset;
    uint64   p_vaddr;
    uint64   p_paddr;
    uint64   p_filesz;
    uint64   p_memsz;
    uint64   p_align;
};
struct Shdr {
    uint32   sh_name;
    uint32   sh_type;
    uint64   sh_flags;
    uint64   sh_addr;
    uint64   sh_offset;
    uint64   sh_size;
    uint32   sh_link;
    uint32   sh_info;
    uint64   sh_addralign;
    uint64   sh_entsize;
};
struct Sym {
    uint32   st_name;
    uint8    st_info;
    uint8    st_other;
    uint16   st_shndx;
    uint64   st_value;
    uint64   st_size;
};
struct prstatus {
    int32    si_signo;
    int32    si_code;
    int32    si_errno;
    int16    pr_cursig;
    int16    _pad;
    uint64   pr_sigpend;
    uint64   pr_sighold;
    int32    pr_pid;
    int32    pr_ppid;
    int32    pr_pgrp;
    int32    pr_sid;
    uint64   pr_times[8];
};
struct prpsinfo {
    uint8    pr_state;
    uint8    pr_sname;
    uint8    pr_zomb;
    int8     pr_nice;
    uint32   _pad;
    uint64   pr_flag;
    uint32   pr_uid;
    uint32   pr_gid;
    int32    pr_pid;
    int32    pr_ppid;
    int32    pr_pgrp;
    int32    pr_sid;
    char     pr_fname[16];
    char     pr_psargs[80];
};
"""

_PHDR_32 = """
struct Phdr {
    uint32   p_type;
    uint32   p_offset;
    uint32   p_vaddr;
    uint32   p_paddr;
    uint32   p_filesz;
    uint32   p_memsz;
    uint32   p_flags;
    uint32   p_align;
};
struct Shdr {
    uint32   sh_name;
    uint32   sh_type;
    uint32   sh_flags;
    uint32   sh_addr;
    uint32   sh_offset;
    uint32   sh_size;
    uint32   sh_link;
    uint32   sh_info;
    uint32   sh_addralign;
    uint32   sh_entsize;
};
struct Sym {
    uint32   st_name;
    uint32   st_value;
    uint32   st_size;
    uint8    st_info;
    uint8    st_other;
    uint16   st_shndx;
};
struct prstatus {
    int32    si_signo;
    int32    si_code;
    int32    si_errno;
    int16    pr_cursig;
    int16    _pad;
    uint32   pr_sigpend;
    uint32   pr_sighold;
    int32    pr_pid;
    int32    pr_ppid;
    int32    pr_pgrp;
    int32    pr_sid;
    uint32   pr_times[8];
};
struct prpsinfo {
    uint8    pr_state;
    uint8    pr_sname;
    uint8    pr_zomb;
    int8     pr_nice;
    uint32   pr_flag;
    uint16   pr_uid;
    uint16   pr_gid;
    int32    pr_pid;
    int32    pr_ppid;
    int32    pr_pgrp;
    int32    pr_sid;
    char     pr_fname[16];
    char     pr_psargs[80];
};
"""

REGISTERS = {  # machine: where the program counter and the stack pointer are among the general registers
    "x64": (16, 19),
    "x86": (12, 15),
    "arm64": (32, 31),
    "arm": (15, 13),
}
"""Indexes into the registers that follow `prstatus`, each a word."""


@cache
def c_elf(word_size: int, byte_order: str) -> Any:  # noqa: ANN401 - dissect.cstruct has no type hints
    """Return the structures of one kind of file.

    Args:
        word_size: Bytes of a word: 4 for ELFCLASS32, 8 for ELFCLASS64.
        byte_order: `<` for little-endian files, `>` for big-endian ones.
    """
    word = "uint64" if word_size == 8 else "uint32"  # noqa: PLR2004 - bytes
    definitions = _DEFINITIONS.replace("WORD", word) + (_PHDR_64 if word_size == 8 else _PHDR_32)  # noqa: PLR2004
    return cstruct(endian=byte_order).load(definitions)
