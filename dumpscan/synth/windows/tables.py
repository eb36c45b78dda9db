"""Symbol tables that images are built from: the model's own, or one that a user names."""

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

_MAXIMUM_TABLE = 256 << 20
"""Bytes of a symbol table's JSON; those of real kernels have 20 to 40 MiB."""
_NEEDED = tuple(name for name in SYMBOLS if name not in ("ObHeaderCookie", "MmHighestUserAddress"))


@dataclass(frozen=True, slots=True)
class SymbolTable:
    """A symbol table and the version of Windows that it fits.

    Attributes:
        symbols: What it says.
        profile: Version of Windows.
        packed: The table as volatility3 reads it: JSON, xz-compressed.
        path: Where it belongs, relative to a symbols directory.
    """

    symbols: KernelSymbols
    profile: Profile
    packed: bytes
    path: str


def own_table(profile: Profile) -> SymbolTable:
    """Return the table that the model's layouts make."""
    isf = build_isf(profile)
    packed = lzma.compress(json.dumps(isf, sort_keys=True).encode(), preset=6)
    return SymbolTable(KernelSymbols(isf), profile, packed, isf_path(isf))


def load_table(path: Path, default: Profile) -> SymbolTable:
    """Read a symbol table file, `.json` or `.json.xz`.

    Args:
        path: The file.
        default: Version of Windows to take it for, if the table does not tell.

    Raises:
        InputError: If it cannot be read, is no symbol table of a Windows x64 kernel, or lacks what an image needs.
    """
    try:
        size = path.stat().st_size
        content = path.read_bytes() if size <= _MAXIMUM_TABLE else b""
    except (OSError, ValueError) as error:
        raise InputError(path, f"cannot be read: {reason(error)}") from error
    if size > _MAXIMUM_TABLE:
        raise InputError(path, f"larger than {_MAXIMUM_TABLE >> 20} MiB; expected a symbol table (.json or .json.xz)")
    try:
        text = _unpack(content) if content.startswith(b"\xfd7zXZ\x00") else content
        isf: Any = json.loads(text)
        symbols = KernelSymbols(isf)
        for name in _NEEDED:
            symbols.rva(name)
    except (lzma.LZMAError, ValueError, RecursionError) as error:
        raise InputError(path, f"no symbol table (.json or .json.xz): {error}") from error
    except MissingSymbolError as error:
        raise InputError(path, str(error)) from error
    packed = content if text is not content else lzma.compress(content, preset=6)
    return SymbolTable(symbols, _version_of(symbols, default), packed, isf_path(isf))


def _unpack(content: bytes) -> bytes:
    """Decompress, up to the largest table that makes sense."""
    decompressor = lzma.LZMADecompressor()
    text = decompressor.decompress(content, max_length=_MAXIMUM_TABLE)
    if not decompressor.eof:
        raise ValueError(f"it is cut short, or larger than {_MAXIMUM_TABLE >> 20} MiB")
    return text


def _version_of(symbols: KernelSymbols, default: Profile) -> Profile:
    """Return the version whose kernel this is, or whose structures agree with it best; `default` if none does."""
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
    """Return how many sizes and fields a table has in common with a version's; 0 if its process objects differ."""
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
    """Put a table where volatility3 looks for it below a symbols directory, and return the file's path."""
    path = directory / table.path
    with whole_file(path) as file:
        file.write(table.packed)
    return path
