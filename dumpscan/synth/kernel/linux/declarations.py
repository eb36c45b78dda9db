"""Types declared in C, with the offsets that a compiler for x86-64 gives their members.

The part of C is small: structures and unions (also anonymous ones within others), enumerations with values, typedefs of
structures, pointers, and arrays of one dimension. `dissect.cstruct` is not used: it knows no pointers to structures
that are declared later, of which a kernel is full.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from dumpscan.synth.alignment import align

if TYPE_CHECKING:
    from collections.abc import Iterator

POINTER_SIZE = 8
_TOKEN = re.compile(r"\w+|[{}\[\];*=,]")
_COMMENT = re.compile(r"/\*.*?\*/", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Integer:
    """An integer type: its name in C, its size in bytes."""

    name: str
    size: int
    signed: bool = False

    @property
    def alignment(self) -> int:
        """As its size."""
        return self.size


@dataclass(frozen=True, slots=True)
class Pointer:
    """A pointer to the type of a name; to `void` if that is empty."""

    target: str
    size: int = POINTER_SIZE
    alignment: int = POINTER_SIZE


@dataclass(frozen=True, slots=True)
class Array:
    """An array."""

    element: Type
    count: int

    @property
    def size(self) -> int:
        """Bytes of all elements."""
        return self.element.size * self.count

    @property
    def alignment(self) -> int:
        """That of an element."""
        return self.element.alignment


@dataclass(frozen=True, slots=True)
class Enumeration:
    """An enumeration and its values."""

    name: str
    values: dict[str, int]
    size: int = 4
    alignment: int = 4


@dataclass(frozen=True, slots=True)
class Member:
    """A member; its offset is in bytes. An anonymous structure has an empty name."""

    name: str
    type: Type
    offset: int


@dataclass(slots=True)
class Structure:
    """A structure or union. Its name is empty if it is anonymous."""

    name: str
    is_union: bool = False
    members: list[Member] = field(default_factory=list)
    size: int = 0
    alignment: int = 1

    def add(self, name: str, kind: Type) -> None:
        """Append a member."""
        offset = 0 if self.is_union else align(self._end, kind.alignment)
        self.members.append(Member(name, kind, offset))
        self.alignment = max(self.alignment, kind.alignment)
        self.size = align(max(member.offset + member.type.size for member in self.members), self.alignment)

    @property
    def _end(self) -> int:
        return self.members[-1].offset + self.members[-1].type.size if self.members else 0

    def find(self, name: str) -> Member | None:
        """Return a member, also of an anonymous member, with its offset from the start of this structure."""
        for member in self.members:
            if member.name == name:
                return member
            if not member.name and isinstance(member.type, Structure) and (inner := member.type.find(name)):
                return Member(name, inner.type, member.offset + inner.offset)
        return None


@dataclass(frozen=True, slots=True)
class Typedef:
    """Another name of a type."""

    name: str
    target: Structure

    @property
    def size(self) -> int:
        """That of the type."""
        return self.target.size

    @property
    def alignment(self) -> int:
        """That of the type."""
        return self.target.alignment


Type = Integer | Pointer | Array | Enumeration | Structure | Typedef

INTEGERS = {
    each.name: each
    for each in (
        Integer("char", 1, signed=True),
        Integer("unsigned char", 1),
        Integer("unsigned short", 2),
        Integer("int", 4, signed=True),
        Integer("unsigned int", 4),
        Integer("long long int", 8, signed=True),
        Integer("long unsigned int", 8),
    )
}
_SHORT = {
    "char": "char",
    "u8": "unsigned char",
    "u16": "unsigned short",
    "int": "int",
    "u32": "unsigned int",
    "s64": "long long int",
    "u64": "long unsigned int",
}
"""Names of integers in declarations."""


class Declarations:
    """The types that a text declares, by name.

    Args:
        text: The declarations.

    Attributes:
        types: All named types but integers, in the order of the text.
    """

    def __init__(self, text: str) -> None:
        self._tokens: list[str] = _TOKEN.findall(_COMMENT.sub("", text))
        self._at = 0
        self.types: dict[str, Structure | Enumeration | Typedef] = {}
        while self._at < len(self._tokens):
            self._declaration()

    def structure(self, name: str) -> Structure:
        """Return the structure of a name."""
        found = self.types[name]
        assert isinstance(found, Structure)  # noqa: S101 - the text is ours
        return found

    def member(self, path: str) -> Member:
        """Return a member of a structure: `task_struct.tasks.next`. Its offset is from the start of the structure."""
        name, *names = path.split(".")
        kind: Type = self.structure(name)
        offset = 0
        for each in names:
            kind = kind.target if isinstance(kind, Typedef) else kind
            found = kind.find(each) if isinstance(kind, Structure) else None
            if found is None:
                raise KeyError(path)
            offset, kind = offset + found.offset, found.type
        return Member(path, kind, offset)

    # --- Parsing -----------------------------------------------------------------------------------------------------

    def _next(self) -> str:
        self._at += 1
        return self._tokens[self._at - 1]

    def _declaration(self) -> None:
        word = self._next()
        if word == "enum":
            name = self._next()
            self.types[name] = Enumeration(name, dict(self._values()))
        elif word == "typedef":
            target = self._body("", is_union=self._next() == "union")
            name = self._next()
            self.types[name] = Typedef(name, target)
        else:
            name = self._next()
            self.types[name] = self._body(name, is_union=word == "union")
        self._next()  # the semicolon

    def _values(self) -> Iterator[tuple[str, int]]:
        self._next()
        while (name := self._next()) != "}":
            self._next()
            yield name, int(self._next(), 0)
            if self._tokens[self._at] == ",":
                self._next()

    def _body(self, name: str, *, is_union: bool) -> Structure:
        made = Structure(name, is_union)
        self._next()
        while self._tokens[self._at] != "}":
            self._member(made)
        self._next()
        return made

    def _member(self, owner: Structure) -> None:
        kind = self._type()
        name = "" if self._tokens[self._at] == ";" else self._next()
        if self._tokens[self._at] == "[":
            self._next()
            kind = Array(kind, int(self._next(), 0))
            self._next()
        owner.add(name, kind)
        self._next()

    def _type(self) -> Type:
        word = self._next()
        is_structure = word in {"struct", "union"}
        if is_structure and self._tokens[self._at] == "{":
            return self._body("", is_union=word == "union")
        name = self._next() if is_structure else word
        stars = 0
        while self._tokens[self._at] == "*":
            self._next()
            stars += 1
        if stars:
            return Pointer("" if stars > 1 or name == "void" else _SHORT.get(name, name))
        return INTEGERS[_SHORT[name]] if name in _SHORT else self.types[name]
