"""Layouts of a Windows x64 system that no version changes: debugger data, the start block, PE headers.

Sources: `KDDEBUGGER_DATA64` from Microsoft's `wdbgexts.h`; PE headers from `winnt.h`; the start block ("low stub") in
the first MiB from volatility3's constants (docs/memory-layouts.md, "Windows kernel images"). Only fields that are read
or written are named; the rest is padding.
"""

from __future__ import annotations

from dissect.cstruct import cstruct

kernel_def = """
typedef struct {
    uint64  ListFlink;
    uint64  ListBlink;
    char    OwnerTag[4];            /* 0x10, "KDBG" */
    uint32  Size;
    uint64  KernBase;               /* 0x18 */
    uint8   _pad0[0x28];
    uint64  PsLoadedModuleList;     /* 0x48 */
    uint64  PsActiveProcessHead;    /* 0x50 */
    uint8   _pad1[0x68];
    uint64  MmPfnDatabase;          /* 0xc0 */
    uint8   _pad2[0x140];
    uint64  NtBuildLab;             /* 0x208 */
    uint8   _pad3[0x58];
    uint64  CmNtCSDVersion;         /* 0x268 */
    uint8   _pad4[0xD0];
} KDDEBUGGER_DATA64;                /* 0x340 */

typedef struct {
    uint64  JmpAndCompletionFlag;   /* 0x00, 0x00000001000600E9 under the mask 0xFFFFFFFFFFFF00FF */
    uint8   _pad0[0x68];
    uint64  LmTarget;               /* 0x70, a kernel address */
    uint8   _pad1[0x28];
    uint64  Cr3;                    /* 0xa0, physical address of the system's top page table */
} PROCESSOR_START_BLOCK;

typedef struct {
    char    e_magic[2];             /* "MZ" */
    uint8   _pad0[0x3A];
    uint32  e_lfanew;               /* 0x3c */
} IMAGE_DOS_HEADER;

typedef struct {
    uint32  VirtualAddress;
    uint32  Size;
} IMAGE_DATA_DIRECTORY;

typedef struct {
    char    Signature[4];           /* "PE\\0\\0" */
    uint16  Machine;
    uint16  NumberOfSections;
    uint32  TimeDateStamp;
    uint32  PointerToSymbolTable;
    uint32  NumberOfSymbols;
    uint16  SizeOfOptionalHeader;
    uint16  Characteristics;
    uint16  Magic;                  /* 0x20b: PE32+ */
    uint8   MajorLinkerVersion;
    uint8   MinorLinkerVersion;
    uint32  SizeOfCode;
    uint32  SizeOfInitializedData;
    uint32  SizeOfUninitializedData;
    uint32  AddressOfEntryPoint;
    uint32  BaseOfCode;
    uint64  ImageBase;
    uint32  SectionAlignment;
    uint32  FileAlignment;
    uint16  MajorOperatingSystemVersion;
    uint16  MinorOperatingSystemVersion;
    uint16  MajorImageVersion;
    uint16  MinorImageVersion;
    uint16  MajorSubsystemVersion;
    uint16  MinorSubsystemVersion;
    uint32  Win32VersionValue;
    uint32  SizeOfImage;
    uint32  SizeOfHeaders;
    uint32  CheckSum;
    uint16  Subsystem;
    uint16  DllCharacteristics;
    uint64  SizeOfStackReserve;
    uint64  SizeOfStackCommit;
    uint64  SizeOfHeapReserve;
    uint64  SizeOfHeapCommit;
    uint32  LoaderFlags;
    uint32  NumberOfRvaAndSizes;
    IMAGE_DATA_DIRECTORY DataDirectory[16];
} IMAGE_NT_HEADERS64;

typedef struct {
    char    Name[8];
    uint32  VirtualSize;
    uint32  VirtualAddress;
    uint32  SizeOfRawData;
    uint32  PointerToRawData;
    uint32  PointerToRelocations;
    uint32  PointerToLinenumbers;
    uint16  NumberOfRelocations;
    uint16  NumberOfLinenumbers;
    uint32  Characteristics;
} IMAGE_SECTION_HEADER;

typedef struct {
    uint32  Characteristics;
    uint32  TimeDateStamp;
    uint16  MajorVersion;
    uint16  MinorVersion;
    uint32  Name;
    uint32  Base;
    uint32  NumberOfFunctions;
    uint32  NumberOfNames;
    uint32  AddressOfFunctions;
    uint32  AddressOfNames;
    uint32  AddressOfNameOrdinals;
} IMAGE_EXPORT_DIRECTORY;

typedef struct {
    uint32  Characteristics;
    uint32  TimeDateStamp;
    uint16  MajorVersion;
    uint16  MinorVersion;
    uint32  Type;                   /* 2: CodeView, a CV_INFO_PDB70 and the PDB's name */
    uint32  SizeOfData;
    uint32  AddressOfRawData;
    uint32  PointerToRawData;
} IMAGE_DEBUG_DIRECTORY;
"""

c_kernel = cstruct().load(kernel_def)

KDBG_TAG = b"KDBG"
START_BLOCK_JUMP = 0x0000_0001_0006_00E9
START_BLOCK_JUMP_MASK = 0xFFFF_FFFF_FFFF_00FF

EXPORT_DIRECTORY = 0
DEBUG_DIRECTORY = 6
"""Indices into `IMAGE_NT_HEADERS64.DataDirectory`."""
DEBUG_TYPE_CODEVIEW = 2
PE32_PLUS = 0x20B

PROTECT_TO_VALUE = tuple(
    protection | (modifier if protection > 1 else 0)
    for modifier in (0, 0x200, 0x100, 0x400)
    for protection in (0x01, 0x02, 0x10, 0x20, 0x04, 0x08, 0x40, 0x80)
)
"""`MmProtectToValue`: PAGE_* constants (winnt.h) by the five protection bits of a VAD or an invalid entry.

Three bits choose among no access, read, execute, execute-read, read-write, write-copy, execute-read-write and
execute-write-copy; the others add no-cache, guard, write-combine.
"""
