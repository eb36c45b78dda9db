"""What the Windows kernel of an image says of its system."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dumpscan.memory.kernel.windows.finder import X64_LAYER
from dumpscan.memory.physical.page_tables import translate
from dumpscan.memory.records import decode_utf16
from dumpscan.memory.windows.values import file_time
from dumpscan.model.windows.c_paging import KUSER_SHARED_DATA_KERNEL, PAGE_SHIFT

if TYPE_CHECKING:
    from datetime import datetime

    from dumpscan.memory.kernel.windows.finder import Kernel
    from dumpscan.memory.kernel.windows.session import KernelSession
    from dumpscan.memory.physical.image import PhysicalImage

# Offsets in KUSER_SHARED_DATA: docs/memory-layouts.md, "KUSER_SHARED_DATA".
_SYSTEM_TIME = 0x14
_SYSTEM_ROOT = 0x30
_SYSTEM_ROOT_SIZE = 520
_BUILD_NUMBER = 0x260
_PRODUCT_TYPE = 0x264
_MAJOR_VERSION = 0x26C
_MINOR_VERSION = 0x270
_PRODUCTS = {1: "workstation", 2: "domain controller", 3: "server"}
_MAX_BUILD_LAB = 64


def describe_kernel(kernel: Kernel) -> dict[str, object]:
    """Return where a kernel is and which PDB it names, for display."""
    return {
        "base": hex(kernel.base),
        "dtb": hex(kernel.root),
        "pdb": kernel.pdb.name,
        "guid": kernel.pdb.guid,
        "age": kernel.pdb.age,
    }


def describe_system(image: PhysicalImage, kernel: Kernel) -> dict[str, object]:
    """Read KUSER_SHARED_DATA, which needs no symbol table: version, product, system root and time."""
    if kernel.layer != X64_LAYER:
        return {"architecture": "x86"}
    system: dict[str, object] = {"architecture": "x64"}
    at = translate(image, kernel.root >> PAGE_SHIFT, KUSER_SHARED_DATA_KERNEL)
    if at is None:
        return system

    def number(offset: int, size: int) -> int:
        return int.from_bytes(image.read(at + offset, size), "little")

    build = number(_BUILD_NUMBER, 4) & 0xFFFF  # some builds keep flags above it
    system["version"] = f"{number(_MAJOR_VERSION, 4)}.{number(_MINOR_VERSION, 4)}" + (f".{build}" if build else "")
    system["product"] = _PRODUCTS.get(number(_PRODUCT_TYPE, 4))
    root = decode_utf16(image.read(at + _SYSTEM_ROOT, _SYSTEM_ROOT_SIZE)).split("\0", 1)[0]
    system["system_root"] = root or None
    system["time"] = system_time(image, kernel)
    return system


def system_time(image: PhysicalImage, kernel: Kernel) -> datetime | None:
    """Return the system's time in KUSER_SHARED_DATA, UTC; None if that is not in the image."""
    at = translate(image, kernel.root >> PAGE_SHIFT, KUSER_SHARED_DATA_KERNEL) if kernel.layer == X64_LAYER else None
    return None if at is None else file_time(int.from_bytes(image.read(at + _SYSTEM_TIME, 8), "little"))


def build_lab(session: KernelSession) -> str | None:
    """Return the kernel's build string, e.g. `19041.1.amd64fre.vb_release.191206-1406`."""
    address = session.symbol("NtBuildLab")
    if address is None:
        return None
    return session.bytes(address, _MAX_BUILD_LAB).split(b"\0", 1)[0].decode("ascii", "replace") or None
