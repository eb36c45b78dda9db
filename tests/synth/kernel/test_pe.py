"""Headers of synthetic PE images, read by the PyPI library `pefile`."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest

from dumpscan.synth.kernel.pe import ImageFacts, codeview_record, kernel_headers, module_headers

pefile = pytest.importorskip("pefile")

GUID = "32C1A669D5FFEFD41091F636CFDB6E99"
EXPORTS = {"PsInitialSystemProcess": 0x40680, "NtBuildNumber": 0x40040, "MmSystemRangeStart": 0x40140}
FACTS = ImageFacts(size=0x60000, base=0xFFFFF80312340000, timestamp=0x60000000, version=(10, 0))


def parsed(headers: bytes, size: int) -> Any:  # noqa: ANN401 -- the library has no types
    """Read an image as it lies in memory: file offsets are addresses."""
    return pefile.PE(data=headers.ljust(size, b"\0"))


def test_kernel() -> None:
    image = parsed(kernel_headers(FACTS, codeview_record(GUID, 1, "ntkrnlmp.pdb"), EXPORTS), FACTS.size)
    assert image.OPTIONAL_HEADER.ImageBase == FACTS.base
    assert image.OPTIONAL_HEADER.SizeOfImage == FACTS.size
    assert image.FILE_HEADER.TimeDateStamp == FACTS.timestamp
    (debug,) = image.DIRECTORY_ENTRY_DEBUG
    assert debug.entry.PdbFileName.rstrip(b"\0") == b"ntkrnlmp.pdb"
    record = image.get_data(debug.struct.AddressOfRawData, debug.struct.SizeOfData)
    assert record[:4] == b"RSDS"
    assert UUID(bytes_le=record[4:20]).hex.upper() == GUID
    assert {entry.name.decode(): entry.address for entry in image.DIRECTORY_ENTRY_EXPORT.symbols} == EXPORTS
    names = [entry.name.decode() for entry in image.DIRECTORY_ENTRY_EXPORT.symbols]
    assert names == sorted(names)
    assert image.DIRECTORY_ENTRY_EXPORT.name == b"ntoskrnl.exe"


def test_sections_cover_the_symbols() -> None:
    image = parsed(kernel_headers(FACTS, codeview_record(GUID, 1, "ntkrnlmp.pdb"), EXPORTS), FACTS.size)
    ends = [section.VirtualAddress + section.Misc_VirtualSize for section in image.sections]
    starts = [section.VirtualAddress for section in image.sections]
    assert starts[1:] == ends[:-1]
    assert ends[-1] == FACTS.size


@pytest.mark.parametrize("dll", [False, True])
@pytest.mark.parametrize("size", [0x2000, 0x9000, 0x10_0000])
def test_modules(size: int, *, dll: bool) -> None:
    facts = ImageFacts(size=size, base=0x7FF6_1234_0000, timestamp=5, version=(6, 1), dll=dll)
    headers = module_headers(facts)
    assert len(headers) == 0x1000
    image = parsed(headers, size)
    assert image.is_dll() == dll
    assert image.is_exe() != dll
    assert image.FILE_HEADER.Machine == 0x8664
    assert (image.OPTIONAL_HEADER.MajorOperatingSystemVersion, image.OPTIONAL_HEADER.SizeOfImage) == (6, size)
