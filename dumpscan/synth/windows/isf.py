"""Symbol tables made from the layouts, in volatility3's intermediate symbol format (ISF).

Format: volatility3's JSON schema 6.2.0, and what its `WindowsKernelIntermedSymbols` asks of a table.
A table made here has a GUID of its own, determined by its content, because no real kernel has these symbol addresses.
"""

from __future__ import annotations

import json
import re
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from dumpscan.model.c_process import c_process
from dumpscan.synth.alignment import align
from dumpscan.synth.windows.layouts import LAYOUTS, VERSIONS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from dumpscan.synth.windows.profiles import Profile

PDB_NAME = "ntkrnlmp.pdb"
PDB_AGE = 1
MACHINE_AMD64 = 0x8664
FORMAT = "6.2.0"

_BASE_TYPES = {
    # ISF name: (bytes, kind, signed)
    "void": (0, "void", False),
    "char": (1, "char", True),
    "unsigned char": (1, "char", False),
    "short": (2, "int", True),
    "unsigned short": (2, "int", False),
    "wchar": (2, "int", True),
    "int": (4, "int", True),
    "unsigned int": (4, "int", False),
    "long": (4, "int", True),
    "unsigned long": (4, "int", False),
    "long long": (8, "int", True),
    "unsigned long long": (8, "int", False),
    "pointer": (8, "int", False),
}
_INTEGERS = {
    "u8": "unsigned char",
    "u16": "unsigned short",
    "u32": "unsigned long",
    "u64": "unsigned long long",
    "i8": "char",
    "i16": "short",
    "i32": "long",
    "i64": "long long",
    "wchar": "wchar",
    "void": "void",
}
"""The names in the layouts, and those of Microsoft's compiler, which real tables use."""

_SHARED_LAYOUTS = {
    "_UNICODE_STRING": "UNICODE_STRING64",
    "_PEB": "PEB64",
    "_RTL_USER_PROCESS_PARAMETERS": "RTL_USER_PROCESS_PARAMETERS64",
}
"""Structures whose offsets are taken from `c_process`."""

ENUMERATIONS = {"_NT_PRODUCT_TYPE": {"NtProductWinNt": 1, "NtProductLanManNt": 2, "NtProductServer": 3}}
"""Enumerations of `ntdef.h`. All are ints."""

SYMBOLS = {
    # name: bytes at the symbol
    "NtBuildLab": 0x40,
    "NtBuildNumber": 4,
    "CmNtCSDVersion": 4,
    "KeNumberProcessors": 4,
    "MmProtectToValue": 4 * 32,
    "MmSystemRangeStart": 8,
    "MmHighestUserAddress": 8,
    "KdDebuggerDataBlock": 0x400,
    "KdVersionBlock": 0x28,
    "PsActiveProcessHead": 0x10,
    "PsLoadedModuleList": 0x10,
    "PsInitialSystemProcess": 8,
    "PsIdleProcess": 8,
    "MmPfnDatabase": 8,
    "ObTypeIndexTable": 8 * 256,
    "ObHeaderCookie": 1,
}
"""The kernel symbols that an image needs. In a table made here they follow one another in the kernel's data."""

SYMBOLS_RVA = 0x4_0000
"""Address of the first symbol, relative to the kernel's base, in tables made here."""
_SYMBOL_ALIGNMENT = 0x40
_TYPE = re.compile(r"(?P<name>\w+)(?P<pointers>\**)(?:\[(?P<count>\d+)\])?(?::(?P<bits>\d+))?")


def build_isf(profile: Profile) -> dict[str, Any]:
    """Return the symbol table of a kernel of `profile`'s version, as a JSON object."""
    tables = {
        "base_types": {
            name: {"size": size, "kind": kind, "signed": signed, "endian": "little"}
            for name, (size, kind, signed) in _BASE_TYPES.items()
        },
        "user_types": _user_types(profile.column),
        "enums": {name: {"size": 4, "base": "int", "constants": constants} for name, constants in ENUMERATIONS.items()},
        "symbols": {name: {"address": rva} for name, rva in _place_symbols(profile)},
    }
    digest = sha256(json.dumps([profile.name, tables], sort_keys=True).encode()).hexdigest()
    return {
        "metadata": {
            "format": FORMAT,
            "producer": {"name": "dumpscan", "version": "1"},
            "windows": {
                "pdb": {
                    "GUID": digest[:32].upper(),
                    "age": PDB_AGE,
                    "database": PDB_NAME,
                    "machine_type": MACHINE_AMD64,
                },
                "pe": {
                    "major": profile.major,
                    "minor": profile.minor,
                    "revision": profile.build,
                    "build": profile.revision,
                },
            },
        },
        **tables,
    }


def _place_symbols(profile: Profile) -> Iterator[tuple[str, int]]:
    rva = SYMBOLS_RVA
    for name, size in SYMBOLS.items():
        if name == "ObHeaderCookie" and not profile.object_cookie:
            continue
        yield name, rva
        rva += align(size, _SYMBOL_ALIGNMENT)


def _user_types(column: int) -> dict[str, Any]:
    types: dict[str, Any] = {}
    fields: dict[str, Any] | None = None
    opened = ""
    for line in LAYOUTS.splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        if line.startswith(" "):
            name, notation, *offsets = line.split()
            place = _pick(offsets, column)
            if fields is not None and place is not None:
                if place == "@":
                    place = hex(getattr(c_process, _SHARED_LAYOUTS[opened]).fields[name].offset)
                fields[name] = _field(notation, place)
        else:
            opened, *sizes = line.split()
            size = _pick(sizes, column)
            fields = None
            if size is not None:
                fields = {}
                types[opened] = {"kind": "struct", "size": int(size, 16), "fields": fields}
    return types


def _pick(cells: list[str], column: int) -> str | None:
    """Return the cell of a version; None if the version does not have the structure or field."""
    if len(cells) not in (1, len(VERSIONS)):
        raise ValueError(f"layouts: {len(cells)} cells in a row; expected 1 or {len(VERSIONS)}: {cells}")
    cell = cells[0 if len(cells) == 1 else column]
    return None if cell == "-" else cell


def _field(notation: str, place: str) -> dict[str, Any]:
    offset, _, bit = place.partition(".")
    parsed = _TYPE.fullmatch(notation)
    if parsed is None:
        raise ValueError(f"layouts: {notation!r} is no type")
    descriptor = _base(parsed["name"])
    for _ in parsed["pointers"]:
        descriptor = {"kind": "pointer", "subtype": descriptor}
    if parsed["count"]:
        descriptor = {"kind": "array", "count": int(parsed["count"]), "subtype": descriptor}
    if parsed["bits"]:
        descriptor = {
            "kind": "bitfield",
            "bit_position": int(bit),
            "bit_length": int(parsed["bits"]),
            "type": descriptor,
        }
    return {"offset": int(offset, 16), "type": descriptor}


def _base(name: str) -> dict[str, Any]:
    if name in _INTEGERS:
        return {"kind": "base", "name": _INTEGERS[name]}
    return {"kind": "enum" if name in ENUMERATIONS else "struct", "name": name}


def isf_path(isf: Mapping[str, Any]) -> str:
    """Return the path of a table relative to a symbols directory, for volatility3: `windows/PDB/GUID-AGE.json.xz`."""
    pdb = isf["metadata"]["windows"]["pdb"]
    return f"windows/{pdb['database']}/{pdb['GUID'].upper()}-{pdb['age']}.json.xz"
