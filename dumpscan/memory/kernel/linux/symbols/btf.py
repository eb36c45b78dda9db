"""Reads BTF lazily: where each type begins is found in one pass; a type is parsed when it is asked for.

The bytes come from an image, so every offset, count and reference may be wrong: what lies outside is an error of the
BTF, and what refers to itself ends after a bounded number of steps.
"""

from __future__ import annotations

from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from dumpscan.exceptions import DumpscanError
from dumpscan.model.linux import c_btf
from dumpscan.model.linux.c_btf import KIND_ARRAY, KIND_STRUCT, KIND_UNION, QUALIFIERS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

MAX_BTF = 64 << 20
"""Bytes of the largest BTF that is read; that of a distribution's kernel has 5 MB."""
_MAX_CHAIN = 32
"""Qualifiers and names in front of a type."""
_MAX_DEPTH = 16
"""Anonymous structures within one another."""
_MAX_MEMBERS = 1 << 14
"""Members looked through for one name."""
_MAX_NAME = 512
_BITFIELD_OFFSET = 0xFF_FFFF


class BtfError(DumpscanError):
    """The bytes are no BTF, or contradict themselves."""


class Type(NamedTuple):
    """A type, parsed as far as its first three words.

    Attributes:
        number: Its number; 0 stands for `void`.
        kind: One of `KIND_...`.
        name: Its name; empty if it has none.
        size: Its size in bytes, or the number of the type that it refers to, depending on the kind.
        length: Its members, values or parameters.
        flag: Its kind flag: a structure with bit fields, a forward declaration of a union, a signed enumeration.
        at: Index of the word that follows.
    """

    number: int
    kind: int
    name: str
    size: int
    length: int
    flag: bool
    at: int


class Member(NamedTuple):
    """A member of a structure or union.

    Attributes:
        name: Empty for an anonymous one.
        type: Number of its type.
        offset: In bits.
        width: In bits, for a bit field; otherwise 0.
    """

    name: str
    type: int
    offset: int
    width: int


VOID = Type(0, 0, "", 0, 0, False, 0)  # noqa: FBT003 - a row of a table


class Btf:
    """The types of a kernel.

    Args:
        data: The whole blob.

    Raises:
        BtfError: It has no header, or its sections lie outside.
    """

    def __init__(self, data: bytes) -> None:
        header = c_btf.c_btf.btf_header
        if len(data) < len(header):
            raise BtfError("BTF is cut short")
        read = header(data)
        if read.magic != c_btf.BTF_MAGIC or read.version != c_btf.BTF_VERSION or read.hdr_len < len(header):
            raise BtfError("no BTF: its header is wrong")
        types, strings = read.hdr_len + read.type_off, read.hdr_len + read.str_off
        if types + read.type_len > len(data) or strings + read.str_len > len(data) or read.type_len % 4 or types % 4:
            raise BtfError("the sections of BTF lie outside of it")
        self._words = memoryview(data[types : types + read.type_len]).cast("I")
        self._strings = data[strings : strings + read.str_len]

    @cached_property
    def _starts(self) -> NDArray[np.uint32]:
        """Index of the first word of every type; that of number 1 comes first."""
        words, at, end = self._words, 0, len(self._words)
        always = [c_btf.WORDS_ALWAYS.get(kind, 0) + 3 for kind in range(32)]
        per_member = [c_btf.WORDS_PER_MEMBER.get(kind, 0) for kind in range(32)]
        starts: list[int] = []
        while at + 3 <= end:
            starts.append(at)
            info = words[at + 1]
            kind = (info >> 24) & 0x1F
            if not 0 < kind <= c_btf.LAST_KIND:
                raise BtfError(f"type {len(starts)} of BTF has the unknown kind {kind}")
            at += always[kind] + per_member[kind] * (info & 0xFFFF)
        if at != end:
            raise BtfError("the last type of BTF is cut short")
        return np.array(starts, np.uint32)

    @cached_property
    def _columns(self) -> tuple[NDArray[np.uint32], NDArray[np.uint32]]:
        """Offset of the name, and kind, of every type."""
        words = np.frombuffer(self._words, np.uint32)
        return words[self._starts], (words[self._starts + 1] >> np.uint32(24)) & np.uint32(0x1F)

    def __len__(self) -> int:
        """Return how many types there are; they are numbered from 1 on."""
        return len(self._starts)

    # --- Types -------------------------------------------------------------------------------------------------------

    def type(self, number: int) -> Type:
        """Return a type by its number.

        Raises:
            BtfError: There is none.
        """
        if number == 0:
            return VOID
        if not 0 < number <= len(self._starts):
            raise BtfError(f"BTF refers to type {number}, which it does not have")
        at = int(self._starts[number - 1])
        name, info, size = self._words[at : at + 3]
        return Type(number, (info >> 24) & 0x1F, self._string(name), size, info & 0xFFFF, bool(info >> 31), at + 3)

    def find(self, name: str, *kinds: int) -> Type | None:
        """Return the first type of a name and of one of some kinds, or None if there is none."""
        names, kind_of = self._columns
        for offset in self._offsets_of(name):
            found = np.flatnonzero((names == offset) & np.isin(kind_of, kinds))
            if len(found):
                return self.type(int(found[0]) + 1)
        return None

    @cached_property
    def firsts(self) -> frozenset[int]:
        """Numbers of the structures and unions that are the first of their name."""
        names, kind_of = self._columns
        structures = np.flatnonzero(np.isin(kind_of, (KIND_STRUCT, KIND_UNION)) & (names != 0))
        _, first = np.unique(names[structures], return_index=True)
        return frozenset((structures[first] + 1).tolist())

    def unnamed(self, kind: int) -> Iterator[Type]:
        """Iterate over the types of one kind that have no name."""
        names, kind_of = self._columns
        return (self.type(int(found) + 1) for found in np.flatnonzero((names == 0) & (kind_of == kind)))

    def types(self) -> Iterator[Type]:
        """Iterate over all types in the order of their numbers."""
        return (self.type(number) for number in range(1, len(self._starts) + 1))

    def _offsets_of(self, name: str) -> Iterator[int]:
        """Yield where a string lies among the strings: some compilers keep it more than once."""
        wanted = b"\0" + name.encode() + b"\0"
        at = self._strings.find(wanted)
        while at >= 0:
            yield at + 1
            at = self._strings.find(wanted, at + 1)

    def _string(self, offset: int) -> str:
        end = self._strings.find(b"\0", offset, offset + _MAX_NAME)
        if offset and end < 0:
            raise BtfError("a name in BTF has no end")
        return self._strings[offset:end].decode("ascii", "replace") if offset else ""

    # --- What types consist of ---------------------------------------------------------------------------------------

    def members(self, owner: Type) -> Iterator[Member]:
        """Iterate over the members of a structure or union, in their order."""
        for number in range(owner.length):
            name, kind, offset = self._words[owner.at + 3 * number : owner.at + 3 * number + 3]
            width = offset >> 24 if owner.flag else 0
            yield Member(self._string(name), kind, offset & _BITFIELD_OFFSET if owner.flag else offset, width)

    def values(self, owner: Type) -> Iterator[tuple[str, int]]:
        """Iterate over the names and values of an enumeration."""
        step = c_btf.WORDS_PER_MEMBER[owner.kind]
        for number in range(owner.length):
            name, low, *high = self._words[owner.at + step * number : owner.at + step * (number + 1)]
            value, bits = low | (high[0] << 32 if high else 0), 64 if high else 32
            if owner.flag and value >> (bits - 1):
                value -= 1 << bits
            yield self._string(name), value

    def array(self, owner: Type) -> tuple[int, int]:
        """Return the number of an array's element type, and how many elements it has."""
        element, _, count = self._words[owner.at : owner.at + 3]
        return element, count

    def word(self, owner: Type) -> int:
        """Return the word that follows an integer (its encoding) or a variable (its linkage)."""
        return int(self._words[owner.at])

    def sections(self, owner: Type) -> Iterator[tuple[int, int]]:
        """Iterate over the variables of a data section: the number of each one's type, and its offset in bytes."""
        for number in range(owner.length):
            kind, offset, _ = self._words[owner.at + 3 * number : owner.at + 3 * number + 3]
            yield kind, offset

    def resolved(self, number: int) -> Type:
        """Return the type behind names and qualifiers.

        Raises:
            BtfError: They go round in a circle.
        """
        found = self.type(number)
        for _ in range(_MAX_CHAIN):
            if found.kind not in QUALIFIERS:
                return found
            found = self.type(found.size)
        raise BtfError(f"type {number} of BTF has no end")

    def size(self, number: int) -> int:
        """Return the size of a type in bytes; 0 for functions and `void`."""
        count = 1
        for _ in range(_MAX_CHAIN):
            found = self.resolved(number)
            if found.kind == KIND_ARRAY:
                number, elements = self.array(found)
                count *= elements
                continue
            if found.kind == c_btf.KIND_PTR:
                return count * 8
            sized = found.kind in {c_btf.KIND_FWD, c_btf.KIND_FUNC, c_btf.KIND_FUNC_PROTO, 0}
            return 0 if sized else count * found.size
        raise BtfError(f"type {number} of BTF has no end")

    # --- Members by name ---------------------------------------------------------------------------------------------

    @lru_cache(maxsize=512)  # noqa: B019 - there is one for an image, which lives as long as the program
    def structure(self, name: str) -> Type | None:
        """Return the structure (or union) of a name; of several, the first with members."""
        return self.find(name, KIND_STRUCT, KIND_UNION)

    def member(self, owner: Type, name: str) -> Member | None:
        """Find a member of a structure, also within its anonymous members.

        Returns:
            The member, with its offset in bits from the start of `owner`; None if there is none.

        Raises:
            BtfError: The structure has more members than a real one, or contains itself.
        """
        left = _MAX_MEMBERS
        level = [(owner, 0)]
        for _ in range(_MAX_DEPTH):
            inner: list[tuple[Type, int]] = []
            for structure, start in level:
                left -= structure.length
                if left < 0:
                    raise BtfError(f"a structure of BTF has more than {_MAX_MEMBERS} members")
                for member in self.members(structure):
                    if member.name == name:
                        return member._replace(offset=start + member.offset)
                    if not member.name:
                        within = self.resolved(member.type)
                        if within.kind in {KIND_STRUCT, KIND_UNION}:
                            inner.append((within, start + member.offset))
            if not inner:
                return None
            level = inner
        raise BtfError("structures of BTF contain one another without end")
