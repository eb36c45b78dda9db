"""Headers of PE images in memory: enough to recognise a module and to find the kernel."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from uuid import UUID

from dumpscan.model.c_minidump import c_minidump
from dumpscan.model.windows import c_kernel as layout
from dumpscan.model.windows.c_kernel import c_kernel
from dumpscan.model.windows.c_paging import PAGE_SIZE
from dumpscan.synth.alignment import pad
from dumpscan.synth.windows.isf import MACHINE_AMD64

HEADERS_SIZE = PAGE_SIZE
DIRECTORIES_RVA = PAGE_SIZE
"""Address of the debug and export directories of the kernel: the page behind its headers."""
_DEBUG_RVA = DIRECTORIES_RVA
_EXPORTS_RVA = DIRECTORIES_RVA + 0x100
_CODE = 0x6000_0020
_DATA = 0xC000_0040
_PE_OFFSET = 0xF8


@dataclass(frozen=True, slots=True)
class SectionHeader:
    """The contents of a section header. The address is relative to the image's base, the size is in bytes."""

    name: bytes
    rva: int
    size: int
    characteristics: int = _CODE


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageFacts:
    """The contents of a PE header.

    Attributes:
        size: Bytes of the image in memory.
        base: Preferred address.
        timestamp: Seconds since 1970.
        version: Operating system version, major and minor.
        dll: Whether the image is a library.
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
    """Return DOS, NT and section headers. `directories` holds (address, size) by index."""
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
        AddressOfEntryPoint=PAGE_SIZE,
        BaseOfCode=PAGE_SIZE,
        ImageBase=facts.base,
        SectionAlignment=PAGE_SIZE,
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
    table = [
        c_kernel.IMAGE_SECTION_HEADER(
            Name=section.name.ljust(8, b"\0"),
            VirtualSize=section.size,
            VirtualAddress=section.rva,
            SizeOfRawData=section.size,
            PointerToRawData=section.rva,
            Characteristics=section.characteristics,
        )
        for section in sections
    ]
    dos = bytes(c_kernel.IMAGE_DOS_HEADER(e_magic=b"MZ", e_lfanew=_PE_OFFSET)).ljust(_PE_OFFSET, b"\0")
    return pad(dos + b"".join(map(bytes, (nt, *table))), HEADERS_SIZE)


def module_headers(facts: ImageFacts) -> bytes:
    """Return the first page of an executable or library."""
    half = facts.size // 2 // PAGE_SIZE * PAGE_SIZE or PAGE_SIZE
    code = SectionHeader(b".text", PAGE_SIZE, max(half - PAGE_SIZE, PAGE_SIZE))
    data = SectionHeader(b".data", half, max(facts.size - half, PAGE_SIZE), _DATA)
    return pe_headers(facts, (code, data))


def codeview_record(guid: str, age: int, pdb: str) -> bytes:
    """Return the CodeView record of an image's PDB: "RSDS", GUID (mixed-endian), age, name."""
    record = c_minidump.CV_INFO_PDB70(CvSignature=b"RSDS", Signature=UUID(guid).bytes_le, Age=age)
    return bytes(record) + pdb.encode() + b"\0"


def kernel_headers(facts: ImageFacts, codeview: bytes, exports: dict[str, int]) -> bytes:
    """Return the first two pages of the kernel: the headers, then the debug and export directories.

    One of its sections is named `POOLCODE` at a multiple of 8, as in every kernel: MemProcFS looks for that [seen].

    Args:
        facts: Contents of the headers.
        codeview: CodeView record.
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
            SectionHeader(b".rdata", PAGE_SIZE, 0xF000, 0x4000_0040),
            SectionHeader(b"POOLCODE", 0x1_0000, 0x1_0000),
            SectionHeader(b".text", 0x2_0000, 0x2_0000),
            SectionHeader(b"ALMOSTRO", 0x4_0000, facts.size - 0x4_0000, _DATA),
        ),
        {
            layout.DEBUG_DIRECTORY: (_DEBUG_RVA, len(c_kernel.IMAGE_DEBUG_DIRECTORY)),
            layout.EXPORT_DIRECTORY: (_EXPORTS_RVA, len(export_table)),
        },
    )
    second = (bytes(debug) + codeview).ljust(_EXPORTS_RVA - DIRECTORIES_RVA, b"\0") + export_table
    return headers + pad(second, PAGE_SIZE)


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
        bytes(directory)
        + struct.pack(f"<{len(names)}I", *(exports[name] for name in names))
        + struct.pack(f"<{len(names)}I", *pointers)
        + struct.pack(f"<{len(names)}H", *range(len(names)))
        + strings
    )
