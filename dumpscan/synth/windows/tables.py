"""The symbol tables from which images are built: made from the layouts, or read from a file."""

from __future__ import annotations

import json
import lzma
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dumpscan.exceptions import InputError, reason
from dumpscan.files import whole_file
from dumpscan.synth.windows.isf import SYMBOLS, build_isf, isf_path
from dumpscan.synth.windows.profiles import PROFILES, REAL_KERNELS, Profile
from dumpscan.synth.windows.symbols import KernelSymbols, MissingSymbolError

if TYPE_CHECKING:
    from pathlib import Path

_MAX_TABLE = 256 << 20
"""Bytes of a symbol table's JSON. The tables of real kernels have 20 to 40 MiB."""
_NEEDED = tuple(name for name in SYMBOLS if name not in ("ObHeaderCookie", "MmHighestUserAddress"))


@dataclass(frozen=True, slots=True)
class SymbolTable:
    """A symbol table and the version of Windows to which it belongs.

    Attributes:
        symbols: The table.
        profile: The version of Windows.
        packed: The table as volatility3 reads it: JSON, compressed with xz.
        path: Path of the file, relative to a symbols directory.
    """

    symbols: KernelSymbols
    profile: Profile
    packed: bytes
    path: str


def own_table(profile: Profile) -> SymbolTable:
    """Return the table made from the layouts."""
    isf = build_isf(profile)
    packed = lzma.compress(json.dumps(isf, sort_keys=True).encode(), preset=6)
    return SymbolTable(KernelSymbols(isf), profile, packed, isf_path(isf))


def load_table(path: Path, default: Profile) -> SymbolTable:
    """Read a symbol table file, `.json` or `.json.xz`.

    Args:
        path: The file.
        default: The version of Windows, if the table does not tell it.

    Raises:
        InputError: If the file cannot be read, is no symbol table of a Windows x64 kernel, or lacks a symbol that an
            image needs.
    """
    try:
        size = path.stat().st_size
        content = path.read_bytes() if size <= _MAX_TABLE else b""
    except (OSError, ValueError) as error:
        raise InputError(path, f"cannot be read: {reason(error)}") from error
    if size > _MAX_TABLE:
        raise InputError(path, f"larger than {_MAX_TABLE >> 20} MiB; expected a symbol table (.json or .json.xz)")
    try:
        text = _unpack(content) if content.startswith(b"\xfd7zXZ\x00") else content
        isf: Any = json.loads(text)
        symbols = KernelSymbols(isf)
        for name in _NEEDED:
            symbols.rva(name)
    except (lzma.LZMAError, ValueError, RecursionError) as error:
        raise InputError(path, f"not a symbol table (.json or .json.xz): {error}") from error
    except MissingSymbolError as error:
        raise InputError(path, str(error)) from error
    packed = content if text is not content else lzma.compress(content, preset=6)
    return SymbolTable(symbols, _version_of(symbols, default), packed, isf_path(isf))


def _unpack(content: bytes) -> bytes:
    """Return the decompressed content, which must not be larger than `_MAX_TABLE`."""
    decompressor = lzma.LZMADecompressor()
    text = decompressor.decompress(content, max_length=_MAX_TABLE)
    if not decompressor.eof:
        raise ValueError(f"it is cut short, or larger than {_MAX_TABLE >> 20} MiB")
    return text


def _version_of(symbols: KernelSymbols, default: Profile) -> Profile:
    """Return the version of a known kernel, or the one with most structures in common; `default` if there is none."""
    known = REAL_KERNELS.get(symbols.pdb_guid)
    if known is not None:
        return PROFILES[known]
    best, agreeing = default, 0
    for profile in PROFILES.values():
        agreed = _agreement(symbols, profile)
        if agreed > agreeing:
            best, agreeing = profile, agreed
    return best


def _agreement(symbols: KernelSymbols, profile: Profile) -> int:
    """Return the number of sizes and fields that a table shares with a version; 0 if `_EPROCESS` differs in size."""
    isf = build_isf(profile)
    model = KernelSymbols(isf)
    if model.size("_EPROCESS") != symbols.size("_EPROCESS"):
        return 0
    agreed = 0
    for structure, described in isf["user_types"].items():
        agreed += symbols.has(structure) and symbols.size(structure) == model.size(structure)
        agreed += sum(
            symbols.has(structure, field) and symbols.field(structure, field) == model.field(structure, field)
            for field in described["fields"]
        )
    return agreed


def save_table(table: SymbolTable, directory: Path) -> Path:
    """Write a table where volatility3 looks for it below a symbols directory, and return its path."""
    path = directory / table.path
    with whole_file(path) as file:
        file.write(table.packed)
    return path
