"""Writes types as BTF. Source: docs/memory-layouts.md, "Linux kernel images"."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from dumpscan.model.linux.c_btf import (
    BTF_MAGIC,
    BTF_VERSION,
    KIND_ARRAY,
    KIND_ENUM,
    KIND_FWD,
    KIND_INT,
    KIND_PTR,
    KIND_STRUCT,
    KIND_TYPEDEF,
    KIND_UNION,
    c_btf,
)
from dumpscan.synth.kernel.linux.declarations import (
    INTEGERS,
    Array,
    Enumeration,
    Integer,
    Pointer,
    Structure,
    Type,
    Typedef,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from dumpscan.synth.kernel.linux.declarations import Declarations

_SIGNED = 1 << 24
_INDEX = "unsigned int"
"""The type that arrays are indexed by."""


class BtfWriter:
    """Numbers types and writes them.

    Args:
        declarations: The types.
    """

    def __init__(self, declarations: Declarations) -> None:
        self._declared = declarations.types
        self._strings = bytearray(b"\0")
        self._offsets: dict[str, int] = {"": 0}
        self._numbers: dict[int | str, int] = {}
        self._waiting: list[Type | str] = []
        self._kept: list[Type] = []

    def write(self) -> bytes:
        """Return the blob."""
        for kind in (*INTEGERS.values(), *self._declared.values()):
            self._number(kind)
        types = bytearray()
        done = 0
        while done < len(self._waiting):  # to write a type may number others
            types += self._written(self._waiting[done])
            done += 1
        header = c_btf.btf_header(
            magic=BTF_MAGIC,
            version=BTF_VERSION,
            hdr_len=len(c_btf.btf_header),
            type_len=len(types),
            str_off=len(types),
            str_len=len(self._strings),
        )
        return bytes(header) + bytes(types) + bytes(self._strings)

    # --- Numbers -----------------------------------------------------------------------------------------------------

    def _number(self, kind: Type | str) -> int:
        """Return the number of a type; of the name of a structure that is not declared, that of a forward declaration.

        The number 0 stands for `void`.
        """
        if isinstance(kind, str):
            if not kind:
                return 0
            if (found := self._declared.get(kind) or INTEGERS.get(kind)) is not None:
                return self._number(found)
        key = self._key(kind)
        if key not in self._numbers:
            self._waiting.append(kind)
            self._numbers[key] = len(self._waiting)
        return self._numbers[key]

    def _key(self, kind: Type | str) -> int | str:
        if isinstance(kind, str):
            return f"struct {kind};"
        if isinstance(kind, Integer | Pointer):
            return repr(kind)
        if isinstance(kind, Array):
            return f"{self._key(kind.element)}[{kind.count}]"
        return id(kind)

    # --- Writing -----------------------------------------------------------------------------------------------------

    def _written(self, kind: Type | str) -> bytes:
        if isinstance(kind, str):
            return self._type(kind, KIND_FWD, 0, 0)
        if isinstance(kind, Integer):
            encoding = _SIGNED if kind.signed else 0
            return self._type(kind.name, KIND_INT, 0, kind.size) + _words([encoding | 8 * kind.size])
        if isinstance(kind, Pointer):
            return self._type("", KIND_PTR, 0, self._number(kind.target))
        if isinstance(kind, Array):
            words = [self._number(kind.element), self._number(INTEGERS[_INDEX]), kind.count]
            return self._type("", KIND_ARRAY, 0, 0) + _words(words)
        if isinstance(kind, Enumeration):
            values = [word for name, value in kind.values.items() for word in (self._string(name), value)]
            return self._type(kind.name, KIND_ENUM, len(kind.values), kind.size) + _words(values)
        if isinstance(kind, Typedef):
            return self._type(kind.name, KIND_TYPEDEF, 0, self._number(kind.target))
        return self._structure(kind)

    def _structure(self, kind: Structure) -> bytes:
        members = [
            word
            for member in kind.members
            for word in (self._string(member.name), self._number(member.type), 8 * member.offset)
        ]
        which = KIND_UNION if kind.is_union else KIND_STRUCT
        return self._type(kind.name, which, len(kind.members), kind.size) + _words(members)

    def _type(self, name: str, kind: int, length: int, size: int) -> bytes:
        """Return the three words of every type."""
        return _words([self._string(name), kind << 24 | length, size])

    def _string(self, text: str) -> int:
        if text not in self._offsets:
            self._offsets[text] = len(self._strings)
            self._strings += text.encode() + b"\0"
        return self._offsets[text]


def _words(numbers: Iterable[int]) -> bytes:
    return b"".join(struct.pack("<I", number) for number in numbers)
