"""A kernel's symbol table: sizes, offsets and addresses, and structures written and read by them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dumpscan.exceptions import DumpscanError

if TYPE_CHECKING:
    from collections.abc import Mapping

_GUID = re.compile(r"[0-9A-Fa-f]{32}")
_POINTER_SIZE = 8
_MAX_STRUCTURE = 1 << 20
"""Bytes of a structure. The largest one used here has 0x5000 bytes in a real kernel."""
_MAX_IMAGE = 1 << 28
"""Bytes of a kernel's image. Real ones have 6 to 18 MiB."""

Values = dict[str, int | bytes]
"""Fields of a structure by path, as `KernelSymbols.write` takes them."""


class MissingSymbolError(DumpscanError):
    """A symbol table lacks something that every Windows x64 kernel has, or gives an impossible value for it."""


@dataclass(frozen=True, slots=True)
class StructField:
    """The place of a field in its structure.

    Attributes:
        offset: Bytes from the beginning of the structure.
        size: Bytes of the field, or of the integer that holds a bit field.
        bit: Position of a bit field in the integer.
        bits: Number of bits of a bit field; 0 for any other field.
    """

    offset: int
    size: int
    bit: int = 0
    bits: int = 0

    @property
    def end_bit(self) -> int:
        """Position past the last bit of a bit field in the integer."""
        return self.bit + self.bits


class KernelSymbols:
    """A symbol table in intermediate symbol format.

    Args:
        isf: The JSON object. Parts that nobody asks for need not be valid.

    Raises:
        MissingSymbolError: If this is not the table of a Windows kernel.
    """

    def __init__(self, isf: Mapping[str, Any]) -> None:
        try:
            self._base_types: Mapping[str, Any] = isf["base_types"]
            self._types: Mapping[str, Any] = isf["user_types"]
            self._enums: Mapping[str, Any] = isf["enums"]
            self._symbols: Mapping[str, Any] = isf["symbols"]
            pdb = isf["metadata"]["windows"]["pdb"]
            self.pdb_name = str(pdb["database"])
            self.pdb_guid = str(pdb["GUID"]).upper()
            self.pdb_age = int(pdb["age"])
        except (KeyError, TypeError, ValueError) as error:
            raise MissingSymbolError(f"the symbol table is not one of a Windows kernel: {error} is missing") from error
        if not _GUID.fullmatch(self.pdb_guid) or not 0 <= self.pdb_age < 1 << 32:
            raise MissingSymbolError(f"{self.pdb_guid!r} and {self.pdb_age} are not the GUID and age of a PDB")
        self._fields: dict[tuple[str, str], StructField] = {}

    def has(self, structure: str, path: str = "") -> bool:
        """Return whether the table has a structure or, if `path` is given, this field of it."""
        try:
            if path:
                self.field(structure, path)
            else:
                self.size(structure)
        except MissingSymbolError:
            return False
        return True

    def size(self, structure: str) -> int:
        """Return a structure's size in bytes."""
        try:
            size = int(self._types[structure]["size"])
        except (KeyError, TypeError, ValueError) as error:
            raise MissingSymbolError(f"the symbol table has no {structure}") from error
        if not 0 < size <= _MAX_STRUCTURE:
            raise MissingSymbolError(f"the symbol table gives {structure} {size} bytes; expected 1 to {_MAX_STRUCTURE}")
        return size

    def has_symbol(self, name: str) -> bool:
        """Return whether the table has a symbol of this name."""
        return name in self._symbols

    def rva(self, name: str) -> int:
        """Return the address of a symbol relative to the kernel's base."""
        try:
            rva = int(self._symbols[name]["address"])
        except (KeyError, TypeError, ValueError) as error:
            raise MissingSymbolError(f"the symbol table has no symbol {name}") from error
        if not 0 < rva < _MAX_IMAGE:
            raise MissingSymbolError(
                f"the symbol table puts {name} at {rva:#x}; expected an address below {_MAX_IMAGE:#x}"
            )
        return rva

    def field(self, structure: str, path: str) -> StructField:
        """Return the place of a field. Dots in `path` lead into embedded structures: `Pcb.DirectoryTableBase`.

        Raises:
            MissingSymbolError: If there is no such field.
        """
        found = self._fields.get((structure, path))
        if found is None:
            try:
                found = self._fields[structure, path] = self._walk(structure, path.split("."))
            except (KeyError, TypeError, ValueError, AttributeError) as error:
                raise MissingSymbolError(f"the symbol table has no {structure}.{path}") from error
            if found.offset < 0 or found.offset + found.size > self.size(structure) or found.end_bit > 8 * found.size:
                raise MissingSymbolError(f"the symbol table puts {structure}.{path} outside {structure}")
        return found

    def _walk(self, structure: str, names: list[str]) -> StructField:
        field = self._types[structure]["fields"][names[0]]
        offset, descriptor = int(field["offset"]), field["type"]
        if len(names) > 1:
            inner = self._walk(descriptor["name"], names[1:])
            return StructField(offset + inner.offset, inner.size, inner.bit, inner.bits)
        if descriptor["kind"] == "bitfield":
            size = self._size_of(descriptor["type"])
            return StructField(offset, size, int(descriptor["bit_position"]), int(descriptor["bit_length"]))
        return StructField(offset, self._size_of(descriptor))

    def _size_of(self, descriptor: Mapping[str, Any]) -> int:
        match descriptor["kind"]:
            case "pointer":
                return _POINTER_SIZE
            case "array":
                return int(descriptor["count"]) * self._size_of(descriptor["subtype"])
            case "base":
                return int(self._base_types[descriptor["name"]]["size"])
            case "enum":
                return int(self._enums[descriptor["name"]]["size"])
            case _:
                return int(self._types[descriptor["name"]]["size"])

    def offset(self, structure: str, path: str) -> int:
        """Return a field's offset in bytes."""
        return self.field(structure, path).offset

    def write(self, buffer: bytearray, structure: str, values: Values, at: int = 0) -> None:
        """Set fields of a structure in `buffer` at the offset `at`.

        An integer is cut to the width of its field. Bytes are cut to it too; if they are shorter, the rest of the field
        keeps its value.
        """
        for path, value in values.items():
            field = self.field(structure, path)
            start = at + field.offset
            if isinstance(value, bytes):
                data = value[: field.size]
                buffer[start : start + len(data)] = data
                continue
            whole = value
            if field.bits:
                mask = (1 << field.bits) - 1
                whole = int.from_bytes(buffer[start : start + field.size], "little")
                whole = whole & ~(mask << field.bit) | (value & mask) << field.bit
            width = (1 << 8 * field.size) - 1
            buffer[start : start + field.size] = (whole & width).to_bytes(field.size, "little")

    def build(self, structure: str, values: Values) -> bytearray:
        """Return a new structure with these fields. All others are zero."""
        buffer = bytearray(self.size(structure))
        self.write(buffer, structure, values)
        return buffer

    def read(self, buffer: bytes | bytearray | memoryview, structure: str, path: str, at: int = 0) -> int:
        """Return a field as an unsigned integer."""
        field = self.field(structure, path)
        value = int.from_bytes(buffer[at + field.offset : at + field.offset + field.size], "little")
        return value >> field.bit & (1 << field.bits) - 1 if field.bits else value
