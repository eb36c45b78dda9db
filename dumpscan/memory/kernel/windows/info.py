"""What a kernel image is, for display: its system, kernel, symbol table, format and pages."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from dumpscan.exceptions import DumpscanError
from dumpscan.memory.kernel.windows.finder import X64_LAYER
from dumpscan.memory.physical.page_statistics import map_statistics
from dumpscan.memory.physical.page_tables import translate
from dumpscan.memory.records import decode_utf16
from dumpscan.memory.symbols.store import SymbolsMissingError
from dumpscan.model.windows.c_paging import KUSER_SHARED_DATA_KERNEL, PAGE_SHIFT

if TYPE_CHECKING:
    from dumpscan.memory.kernel.image import KernelImage

_SYSTEM_TIME = 0x14
_SYSTEM_ROOT = 0x30
_BUILD_NUMBER = 0x260
_PRODUCT_TYPE = 0x264
_MAJOR_VERSION = 0x26C
"""Offsets in KUSER_SHARED_DATA; they never changed (`model.windows.layouts`). The build number is there since 8."""
_PRODUCTS = {1: "workstation", 2: "domain controller", 3: "server"}
_EPOCH = datetime(1601, 1, 1, tzinfo=UTC)
_MAX_BUILD_LAB = 64


def describe(image: KernelImage) -> dict[str, object]:
    """Say what an image is.

    Raises:
        InputError: There is no Windows kernel in it.
    """
    kernel = image.kernel
    physical = image.physical
    result: dict[str, object] = {
        "format": physical.format,
        "physical_memory": {"bytes": physical.size, "runs": len(physical.regions), "end": hex(physical.end)},
        "kernel": {
            "base": hex(kernel.base),
            "dtb": hex(kernel.root),
            "pdb": kernel.pdb.name,
            "guid": kernel.pdb.guid,
            "age": kernel.pdb.age,
        },
    }
    system = _system(image)
    try:
        session = image.session
    except SymbolsMissingError as error:
        result["system"] = system
        result["symbols"] = {"state": "missing", "server_path": kernel.pdb.server_path}
        image.warnings.append(error.problem)
        return result
    lab = session.symbol("NtBuildLab")
    if lab is not None:
        text = session.bytes(lab, _MAX_BUILD_LAB).split(b"\0", 1)[0].decode("ascii", "replace")
        system["build"] = text or system.get("build")
    result["system"] = system
    result["symbols"] = {"state": "present", "table": session.table}
    result["processes"] = len(image.listed)
    try:
        result["pages"] = _pages(image)
    except DumpscanError as error:
        image.warnings.append(str(error))
    return result


def _system(image: KernelImage) -> dict[str, object]:
    """Read KUSER_SHARED_DATA, which needs no symbol table."""
    kernel = image.kernel
    if kernel.layer != X64_LAYER:
        return {"architecture": "x86"}
    system: dict[str, object] = {"architecture": "x64"}
    at = translate(image.physical, kernel.root >> PAGE_SHIFT, KUSER_SHARED_DATA_KERNEL)
    if at is None:
        return system

    def number(offset: int, size: int) -> int:
        return int.from_bytes(image.physical.read(at + offset, size), "little")

    major, minor = number(_MAJOR_VERSION, 4), number(_MAJOR_VERSION + 4, 4)
    build = number(_BUILD_NUMBER, 4) & 0xFFFF  # some builds keep flags above it
    system["version"] = f"{major}.{minor}" + (f".{build}" if build else "")
    system["product"] = _PRODUCTS.get(number(_PRODUCT_TYPE, 4))
    root = decode_utf16(image.physical.read(at + _SYSTEM_ROOT, 520)).split("\0", 1)[0]
    system["system_root"] = root or None
    try:
        system["time"] = _EPOCH + timedelta(microseconds=number(_SYSTEM_TIME, 8) // 10)
    except OverflowError:
        system["time"] = None
    return system


def _pages(image: KernelImage) -> dict[str, object]:
    """Count pages of 4 KiB: what the image holds, and who maps it."""
    numbers = map_statistics(image.page_map())
    return {
        "in_image": image.physical.frames,
        "mapped_frames": numbers.frames,
        "unmapped_frames": max(image.physical.frames - numbers.frames, 0),
        "mappings": numbers.pages,
        "large_pages": numbers.large_pages,
        "transition": numbers.transition,
        "prototype": numbers.prototypes,
        "past_the_image": numbers.absent,
        "looped_tables": numbers.looped,
    }
