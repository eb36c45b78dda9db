"""Headers of PE images as they lie in memory: enough of a module to be recognised, and of the kernel to be found."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from uuid import UUID

from dumpscan.model.c_minidump import c_minidump
from dumpscan.model.windows import c_kernel as layout
from dumpscan.model.windows.c_kernel import c_kernel
from dumpscan.synth.windows.isf import MACHINE_AMD64

PAGE = 0x1000
HEADERS_SIZE = PAGE
DIRECTORIES_RVA = PAGE
"""Where the export and debug directories of the kernel lie: the page behind its headers."""
_DEBUG_RVA = DIRECTORIES_RVA
_EXPORTS_RVA = DIRECTORIES_RVA + 0x100
_CODE = 0x6000_0020
_DATA = 0xC000_0040
_PE_OFFSET = 0xF8


@dataclass(frozen=True, slots=True, kw_only=True)
class SectionHeader:
    """A section header's contents; addresses relative to the image's base, sizes in bytes."""

    name: bytes
    rva: int
    size: int
    characteristics: int = _CODE


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageFacts:
    """What a PE header says of its image.

    Attributes:
        size: Bytes of the image in memory.
        base: Its preferred address.
        timestamp: Seconds since 1970.
        version: Operating system version, major and minor.
        dll: Whether it is a library.
    """

    size: int
    base: int
    timestamp: int
    version: tuple[int, int]
    dll: bool = False


def pe_headers(
    facts: ImageFacts,
    sections: tuple[SectionHeader, ...],
    directories: dict[int, tuple[int, int]] | None = None,
) -> bytes:
    """Return DOS, NT and section headers; `directories` gives (address, size) by index."""
    entries = [(directories or {}).get(index, (0, 0)) for index in range(16)]
    nt = c_kernel.IMAGE_NT_HEADERS64(
        Signature=b"PE\0\0",
        Machine=MACHINE_AMD64,
        NumberOfSections=len(sections),
        TimeDateStamp=facts.timestamp,
        SizeOfOptionalHeader=0xF0,
        Characteristics=0x2022 if facts.dll else 0x22,
        Magic=layout.PE32_PLUS,
        MajorLinkerVersion=14,
        SizeOfCode=facts.size - HEADERS_SIZE,
        AddressOfEntryPoint=PAGE,
        BaseOfCode=PAGE,
        ImageBase=facts.base,
        SectionAlignment=PAGE,
        FileAlignment=0x200,
        MajorOperatingSystemVersion=facts.version[0],
        MinorOperatingSystemVersion=facts.version[1],
        MajorImageVersion=facts.version[0],
        MinorImageVersion=facts.version[1],
        MajorSubsystemVersion=facts.version[0],
        MinorSubsystemVersion=facts.version[1],
        SizeOfImage=facts.size,
        SizeOfHeaders=HEADERS_SIZE,
        Subsystem=1 if facts.dll else 2,
        NumberOfRvaAndSizes=16,
        DataDirectory=[c_kernel.IMAGE_DATA_DIRECTORY(VirtualAddress=rva, Size=size) for rva, size in entries],
    )
    table = b"".join(
        bytes(
            c_kernel.IMAGE_SECTION_HEADER(
                Name=section.name.ljust(8, b"\0"),
                VirtualSize=section.size,
                VirtualAddress=section.rva,
                SizeOfRawData=section.size,
                PointerToRawData=section.rva,
                Characteristics=section.characteristics,
            ).dumps()
        )
        for section in sections
    )
    dos = bytes(c_kernel.IMAGE_DOS_HEADER(e_magic=b"MZ", e_lfanew=_PE_OFFSET).dumps())
    return (dos.ljust(_PE_OFFSET, b"\0") + bytes(nt.dumps()) + table).ljust(HEADERS_SIZE, b"\0")


def module_headers(facts: ImageFacts) -> bytes:
    """Return the first page of an ordinary executable or library."""
    half = facts.size // 2 // PAGE * PAGE or PAGE
    return pe_headers(
        facts,
        (
            SectionHeader(name=b".text", rva=PAGE, size=max(half - PAGE, PAGE)),
            SectionHeader(name=b".data", rva=half, size=max(facts.size - half, PAGE), characteristics=_DATA),
        ),
    )


def codeview_record(guid: str, age: int, pdb: str) -> bytes:
    """Return the record that names an image's PDB: "RSDS", GUID (mixed-endian), age, name."""
    record = c_minidump.CV_INFO_PDB70(CvSignature=b"RSDS", Signature=UUID(guid).bytes_le, Age=age)
    return bytes(record.dumps()) + pdb.encode() + b"\0"


def kernel_headers(facts: ImageFacts, codeview: bytes, exports: dict[str, int]) -> bytes:
    """Return the kernel's first two pages: headers, then debug and export directories.

    Its section names hold an 8-aligned `POOLCODE`, as every kernel's do: MemProcFS looks for that [seen].

    Args:
        facts: Of the image.
        codeview: Its CodeView record.
        exports: Addresses of exported symbols, relative to the base.
    """
    debug = c_kernel.IMAGE_DEBUG_DIRECTORY(
        TimeDateStamp=facts.timestamp,
        Type=layout.DEBUG_TYPE_CODEVIEW,
        SizeOfData=len(codeview),
        AddressOfRawData=_DEBUG_RVA + len(c_kernel.IMAGE_DEBUG_DIRECTORY),
        PointerToRawData=_DEBUG_RVA + len(c_kernel.IMAGE_DEBUG_DIRECTORY),
    )
    export_table = _exports(facts.timestamp, exports)
    headers = pe_headers(
        facts,
        (
            SectionHeader(name=b".rdata", rva=PAGE, size=0xF000, characteristics=0x4000_0040),
            SectionHeader(name=b"POOLCODE", rva=0x1_0000, size=0x1_0000),
            SectionHeader(name=b".text", rva=0x2_0000, size=0x2_0000),
            SectionHeader(name=b"ALMOSTRO", rva=0x4_0000, size=facts.size - 0x4_0000, characteristics=_DATA),
        ),
        {
            layout.DEBUG_DIRECTORY: (_DEBUG_RVA, len(c_kernel.IMAGE_DEBUG_DIRECTORY)),
            layout.EXPORT_DIRECTORY: (_EXPORTS_RVA, len(export_table)),
        },
    )
    second = (bytes(debug.dumps()) + codeview).ljust(_EXPORTS_RVA - DIRECTORIES_RVA, b"\0") + export_table
    return headers + second.ljust(PAGE, b"\0")


def _exports(timestamp: int, exports: dict[str, int]) -> bytes:
    names = sorted(exports)
    functions_rva = _EXPORTS_RVA + len(c_kernel.IMAGE_EXPORT_DIRECTORY)
    names_rva = functions_rva + 4 * len(names)
    ordinals_rva = names_rva + 4 * len(names)
    strings_rva = ordinals_rva + 2 * len(names)
    strings = b"ntoskrnl.exe\0"
    pointers = []
    for name in names:
        pointers.append(strings_rva + len(strings))
        strings += name.encode() + b"\0"
    directory = c_kernel.IMAGE_EXPORT_DIRECTORY(
        TimeDateStamp=timestamp,
        Name=strings_rva,
        Base=1,
        NumberOfFunctions=len(names),
        NumberOfNames=len(names),
        AddressOfFunctions=functions_rva,
        AddressOfNames=names_rva,
        AddressOfNameOrdinals=ordinals_rva,
    )
    return (
        bytes(directory.dumps())
        + struct.pack(f"<{len(names)}I", *(exports[name] for name in names))
        + struct.pack(f"<{len(names)}I", *pointers)
        + struct.pack(f"<{len(names)}H", *range(len(names)))
        + strings
    )
