"""Layouts of files that hold physical memory in runs: Windows crash dumps (x64), LiME, ELF core.

Sources: `DUMP_HEADER64` and the bitmap header as volatility3's `crash64.json` and `crash_common.json` have them [vol],
and Microsoft's `wdmp` documentation of full and bitmap dumps; LiME's `lime.h`; the System V ABI for ELF-64.
A physical address is a page frame's number times 4096.
"""

from __future__ import annotations

from dissect.cstruct import cstruct

CRASH_SIGNATURE = b"PAGE"
CRASH_VALID_DUMP = b"DU64"
CRASH_HEADER_SIZE = 0x2000
DUMP_TYPE_FULL = 1
"""The header's runs follow one another, page by page, right behind it."""
DUMP_TYPE_BITMAP_FULL = 5
"""A second header with a bitmap follows; only pages whose bit is set are in the file."""
BITMAP_SIGNATURE = b"SDMP"
BITMAP_VALID_DUMP = b"DUMP"
MAXIMUM_RUNS = 42
"""As many as fit the header's block of 700 bytes."""

LIME_MAGIC = 0x4C69_4D45
LIME_VERSION = 1

ELF_MAGIC = b"\x7fELF"
ELF_CORE = 4
ELF_X86_64 = 62
ELF_LOAD = 1

container_def = """
typedef struct {
    uint64  BasePage;
    uint64  PageCount;
} PHYSICAL_MEMORY_RUN64;

typedef struct {
    char    Signature[4];           /* "PAGE" */
    char    ValidDump[4];           /* "DU64" */
    uint32  MajorVersion;
    uint32  MinorVersion;           /* build number */
    uint64  DirectoryTableBase;     /* 0x10 */
    uint64  PfnDataBase;
    uint64  PsLoadedModuleList;     /* 0x20 */
    uint64  PsActiveProcessHead;
    uint32  MachineImageType;       /* 0x30 */
    uint32  NumberProcessors;
    uint32  BugCheckCode;
    uint32  _pad0;
    uint64  BugCheckCodeParameter[4];
    char    VersionUser[32];        /* 0x60 */
    uint64  KdDebuggerDataBlock;    /* 0x80 */
    uint32  NumberOfRuns;           /* 0x88 */
    uint32  _pad1;
    uint64  NumberOfPages;          /* 0x90 */
    PHYSICAL_MEMORY_RUN64 Run[42];  /* 0x98 */
    uint8   _pad4[16];
    uint8   ContextRecord[3000];    /* 0x348 */
    uint8   Exception[152];         /* 0xf00 */
    uint32  DumpType;               /* 0xf98 */
    uint32  _pad2;
    uint64  RequiredDumpSpace;      /* 0xfa0, bytes of the file */
    uint64  SystemTime;
    char    Comment[128];           /* 0xfb0 */
    uint64  SystemUpTime;           /* 0x1030 */
    uint32  MiniDumpFields;
    uint32  SecondaryDataState;
    uint32  ProductType;            /* 0x1040 */
    uint32  SuiteMask;
    uint8   _pad3[0xFB8];
} DUMP_HEADER64;                    /* 0x2000 */

typedef struct {
    char    Signature[4];           /* "SDMP" */
    char    ValidDump[4];           /* "DUMP" */
    uint8   _pad0[0x18];
    uint64  HeaderSize;             /* 0x20, file offset of the first page */
    uint64  Pages;                  /* pages in the file */
    uint64  BitmapSize;             /* 0x30, bits: one per page frame; they follow, the lowest first */
} SUMMARY_DUMP64;

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
