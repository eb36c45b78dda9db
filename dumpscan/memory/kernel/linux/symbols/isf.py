"""Types out of a symbol table (ISF) that somebody made of the kernel's debug information, as dwarf2json does.

They serve kernels that have no BTF, or no kallsyms, in memory.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from dumpscan.exceptions import InputError
from dumpscan.memory.symbols.files import read_table

if TYPE_CHECKING:
    from pathlib import Path

_MAX_DEPTH = 16
_GROUPS = ("user_types", "enums", "symbols")


class IsfTypes:
    """The types and symbols of a table (a `TypeSource`).

    Args:
        path: The table.
        shift: How far the kernel lies above its linked address, in bytes.

    Raises:
        InputError: It cannot be read, or is no table.
    """

    def __init__(self, path: Path, shift: int) -> None:
        self._shift = shift
        try:
            table: Any = json.loads(read_table(path))
            self._types, self._enums, self._symbols = (dict(table[name]) for name in _GROUPS)
        except (ValueError, TypeError, KeyError) as error:
            raise InputError(path, "is no symbol table (ISF)") from error

    def offset(self, structure: str, member: str) -> int | None:
        """Return the offset of a member, also within anonymous ones (see `TypeSource`)."""
        return self._offset(structure, member, _MAX_DEPTH)

    def _offset(self, structure: str, member: str, depth: int) -> int | None:
        fields = self._fields(structure)
        found = fields.get(member)
        if isinstance(found, dict):
            return _number(found.get("offset"))
        for each in fields.values():
            if not depth or not isinstance(each, dict) or not each.get("anonymous"):
                continue
            inside = each.get("type")
            name = inside.get("name") if isinstance(inside, dict) else None
            at, start = self._offset(str(name), member, depth - 1), _number(each.get("offset"))
            if at is not None and start is not None:
                return start + at
        return None

    def _fields(self, structure: str) -> dict[str, Any]:
        known = self._types.get(structure)
        fields = known.get("fields") if isinstance(known, dict) else None
        return fields if isinstance(fields, dict) else {}

    def size(self, structure: str) -> int | None:
        """Return the size of a structure (see `TypeSource`)."""
        known = self._types.get(structure)
        return _number(known.get("size")) if isinstance(known, dict) else None

    def constant(self, enumeration: str, name: str) -> int | None:
        """Return the value of a constant (see `TypeSource`)."""
        known = self._enums.get(enumeration)
        constants = known.get("constants") if isinstance(known, dict) else None
        return _number(constants.get(name)) if isinstance(constants, dict) else None

    def address(self, name: str) -> int | None:
        """Return the virtual address of a symbol, with the kernel's shift; None if there is none."""
        known = self._symbols.get(name)
        address = _number(known.get("address")) if isinstance(known, dict) else None
        return None if address is None else address + (self._shift if address >> 32 else 0)


def _number(value: object) -> int | None:
    return value if type(value) is int and 0 <= value < 1 << 64 else None
