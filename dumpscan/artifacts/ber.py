"""BER where it differs from DER: the bounds of elements of indefinite length, and the same elements written as DER.

Source: ITU-T X.690 (02/2021), 8.1.3 (lengths), 8.6.4 and 8.7.3 (strings in pieces), 10.1 and 10.2 (what DER demands).
NSS, Java and .NET libraries write PKCS#12 with indefinite lengths, streaming encoders of CMS certificates too.
"""

from __future__ import annotations

from itertools import repeat
from typing import TYPE_CHECKING

from dumpscan.artifacts import der, effort
from dumpscan.artifacts.decoded import Raw, RefusedError

if TYPE_CHECKING:
    from dumpscan.memory.space import Memory

INDEFINITE = 0x80
INDEFINITE_LENGTH = bytes((INDEFINITE,))
_CONSTRUCTED = 0x20
_END = b"\x00\x00"
_MOST_DEPTH = 10
"""Elements of indefinite length within one another; a PKCS#12 of NSS has five."""
_MOST_STEPS = 1 << 14
"""Headers stepped over: a PKCS#12 of 16 MiB in octet strings of 1 KiB, as they are written, has so many."""
_PER_STEP = 1.5
"""Microseconds to step over a header."""
_MOST_DEPTH_WRITTEN = 16
"""Elements within one another that are written anew; a certificate has nine, and CMS puts four around it."""
_FIRST_WINDOW, _WINDOW = 1 << 10, 16 << 10


_STRINGS = frozenset((der.BIT_STRING, der.OCTET_STRING))
_UNIVERSAL_LIMIT = 0x40
"""Tags from here on are not universal: context-specific and others."""


def extract(memory: Memory, address: int, *, most: int) -> Raw:
    """Read the element at `address`, of definite length or not.

    Args:
        memory: Where it lies.
        address: Of its first byte.
        most: Bytes that such an element may have in all.

    Raises:
        RefusedError: If it is none, has more bytes, or the memory ends before an indefinite one does.
    """
    if memory.read(address, 2)[1:] != INDEFINITE_LENGTH:
        return der.extract(memory, address, most=most)
    length = _length(memory, address, most)
    return Raw(memory.read(address, length), length)


def _length(memory: Memory, address: int, most: int) -> int:
    """Step over headers until as many elements have ended as began."""
    depth, at = 0, 0
    window, begin = b"", 0
    for _ in repeat(None, _MOST_STEPS):
        effort.charge(_PER_STEP)
        if at + der.HEADER_SIZE > begin + len(window):
            window, begin = memory.read(address + at, _WINDOW if at else _FIRST_WINDOW), at
        head = window[at - begin : at - begin + der.HEADER_SIZE]
        if head[:2] == _END:
            depth -= 1
            at += 2
            if not depth:
                return at
        elif head[1:2] == INDEFINITE_LENGTH and head[0] & _CONSTRUCTED:
            depth += 1
            at += 2
        else:
            at += der.header(head).total
        if depth > _MOST_DEPTH or at > most:
            break
    raise RefusedError("no end")


def to_der(data: bytes) -> bytes:
    """Write the element that fills `data` with the lengths that DER demands, and strings in one piece.

    What is inside a primitive element stays as it is, and so does the order of a SET.

    Raises:
        RefusedError: If it is no BER element, has bytes behind it, or too many or too deep members.
    """
    writer = _Writer(data)
    written, end = writer.element(0, len(data), 0)
    if end != len(data):
        raise RefusedError("bytes behind the element")
    return written


class _Writer:
    """Writes elements anew, a bounded number of them."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._steps = _MOST_STEPS

    def element(self, at: int, limit: int, depth: int) -> tuple[bytes, int]:
        """Write the element at `at`, which ends at or before `limit`; return it and where it ended."""
        self._steps -= 1
        if not self._steps or depth > _MOST_DEPTH_WRITTEN:
            raise RefusedError("too many or too deep members")
        tag = self._data[at : at + 1]
        if self._data[at + 1 : at + 2] == INDEFINITE_LENGTH and tag and tag[0] & _CONSTRUCTED:
            members, end = self._members(at + 2, limit, depth, indefinite=True)
            return _constructed(tag[0], members), end
        head = der.header(self._data, at)
        begin, end = at + head.size, at + head.total
        if end > limit:
            raise RefusedError("an element goes past the end of what holds it")
        if not head.tag & _CONSTRUCTED:
            return der.encode(head.tag, self._data[begin:end]), end
        members, _ = self._members(begin, end, depth, indefinite=False)
        return _constructed(head.tag, members), end

    def _members(self, at: int, limit: int, depth: int, *, indefinite: bool) -> tuple[list[bytes], int]:
        members: list[bytes] = []
        while at < limit:
            if indefinite and self._data[at : at + 2] == _END:
                return members, at + 2
            member, at = self.element(at, limit, depth + 1)
            members.append(member)
        if indefinite:
            raise RefusedError("no end")
        return members, at


def _constructed(tag: int, members: list[bytes]) -> bytes:
    """Write an element of members; a string in pieces becomes one."""
    string = tag & ~_CONSTRUCTED
    if string not in _STRINGS or tag >= _UNIVERSAL_LIMIT:
        return der.encode(tag, *members)
    pieces = [der.one(member, string).content for member in members]
    if string == der.OCTET_STRING:
        return der.encode(string, *pieces)
    if not all(pieces):
        raise RefusedError("a piece of a BIT STRING without its number of unused bits")
    return der.encode(string, pieces[-1][:1] if pieces else b"\0", *(piece[1:] for piece in pieces))
