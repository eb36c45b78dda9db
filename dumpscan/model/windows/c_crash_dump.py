"""Layouts of Windows crash dumps: the headers, and what follows them in each type of dump.

Sources: Microsoft's `mindumpdef.h` of the Windows SDK (`DUMP_HEADER32`, `DUMP_HEADER64`, `DUMP_TYPE`, the attributes);
volatility3's `crash.json`, `crash64.json` and `crash_common.json` (the bitmap header that Windows 8 and later write);
`SUMMARY_DUMP` with numbers of 32 bits of Windows 2000 to 7, from Microsoft's debugger headers of that time; the header
of the debugger's own types 8 to 10 ("RDMP") as the kdmp-parser project describes it.
A physical address is a page frame's number times 4096.
"""

from __future__ import annotations

from enum import IntEnum

from dumpscan.model.structures import structures

SIGNATURE = b"PAGE"
VALID_DUMP_64 = b"DU64"
VALID_DUMP_32 = b"DUMP"

BITMAP_SIGNATURES = (b"SDMP", b"FDMP")
"""Of a summary (kernel memory), and of a full dump."""
RANGES_SIGNATURE = b"RDMP"
RANGES_MARKER = 0x40
PART_VALID_DUMP = b"DUMP"
"""The second four bytes of a bitmap's header, the third of a list of ranges."""

ENCRYPTED = 1 << 8
"""`Attributes`: everything but the header is encrypted."""
MAX_ATTRIBUTES = 1 << 10
"""No attribute has a bit from here on."""


class DumpType(IntEnum):
    """What a crash dump holds. Windows writes 1 to 6; the debugger's `.dump` commands write 4 and 8 to 10."""

    FULL = 1
    SUMMARY = 2
    HEADER = 3
    TRIAGE = 4
    BITMAP_FULL = 5
    BITMAP_KERNEL = 6
    AUTOMATIC = 7
    KERNEL_RANGES = 8
    KERNEL_AND_USER_RANGES = 9
    FULL_RANGES = 10


crash_dump_def = """
typedef struct {
    uint64  BasePage;
    uint64  PageCount;
} PHYSICAL_MEMORY_RUN64;

typedef struct {
    uint32  BasePage;
    uint32  PageCount;
} PHYSICAL_MEMORY_RUN32;

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
    PHYSICAL_MEMORY_RUN64 Run[42];  /* 0x98; full dumps only */
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
    uint32  WriterStatus;
    uint8   _pad5[4];
    uint32  Attributes;             /* 0x1050 */
    uint8   _pad3[0xFAC];
} DUMP_HEADER64;                    /* 0x2000 */

typedef struct {
    char    Signature[4];           /* "PAGE" */
    char    ValidDump[4];           /* "DUMP" */
    uint8   _pad0[0x5C];
    uint32  NumberOfRuns;           /* 0x64 */
    uint32  NumberOfPages;
    PHYSICAL_MEMORY_RUN32 Run[86];  /* 0x6c; full dumps only */
    uint8   _pad1[4];
    uint8   ContextRecord[1200];    /* 0x320 */
    uint8   Exception[80];          /* 0x7d0 */
    char    Comment[128];           /* 0x820 */
    uint32  Attributes;             /* 0x8a0 */
    uint8   _pad2[0x6E4];
    uint32  DumpType;               /* 0xf88 */
    uint8   _pad3[0x74];
} DUMP_HEADER32;                    /* 0x1000 */

typedef struct {
    char    Signature[4];           /* "SDMP" or "FDMP" */
    char    ValidDump[4];           /* "DUMP" */
    uint32  DumpOptions;
    uint8   _pad0[0x14];
    uint64  HeaderSize;             /* 0x20, file offset of the first page */
    uint64  Pages;                  /* pages in the file */
    uint64  BitmapSize;             /* 0x30, bits: one per page frame; they follow, the lowest first */
} BITMAP_DUMP;

typedef struct {
    char    Signature[4];           /* "SDMP" */
    char    ValidDump[4];           /* "DUMP" */
    uint32  DumpOptions;
    uint32  HeaderSize;             /* 0x0c, as above */
    uint32  BitmapSize;             /* 0x10, bits */
    uint32  Pages;
    uint32  SizeOfBitMap;           /* 0x18, bits again */
    uint32  _reserved0;             /* the bits follow; in 64-bit dumps 8 bytes later */
} SUMMARY_DUMP;

typedef struct {
    uint32  Marker;                 /* 0x40 */
    char    Signature[4];           /* "RDMP" */
    char    ValidDump[4];           /* "DUMP" */
    uint32  _pad0;
    uint64  MetadataSize;           /* 0x10 */
    uint64  FirstPageOffset;        /* 0x18, file offset of the first page */
    uint64  _unknown[2];            /* of full dumps: the numbers of ranges and of pages */
} RANGES_DUMP;                      /* PHYSICAL_MEMORY_RUN64s follow */
"""

c_crash_dump = structures(crash_dump_def)
