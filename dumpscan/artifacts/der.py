"""Bounds of DER elements: where one ends, and what it is made of. Everything else of ASN.1 is left to libraries.

Source: ITU-T X.690 (02/2021), section 8.1. Only tags of one byte occur in the objects that dumpscan looks for.
"""

from __future__ import annotations

from itertools import repeat
from typing import TYPE_CHECKING, NamedTuple

from dumpscan.artifacts.decoded import Raw, RefusedError

if TYPE_CHECKING:
    from dumpscan.memory.space import Memory

INTEGER = 0x02
BIT_STRING = 0x03
OCTET_STRING = 0x04
OBJECT_IDENTIFIER = 0x06
UTC_TIME = 0x17
GENERALIZED_TIME = 0x18
SEQUENCE = 0x30
SET = 0x31

HEADER_SIZE = 6
"""Bytes that hold any header accepted here: a tag, and a length in at most five bytes."""

_MOST_MEMBERS = 10
"""Members of the structures that are read from memory: an RSA key has nine, and one more step is seeing their end."""

SMALL = 4 << 10
"""A structure of no more bytes is read at once: nearly all are smaller, and looking first would cost more."""

_MOST_IDENTIFIER_BYTES = 64
_MORE = 0x80
"""This bit of a byte of an object identifier says that its number goes on in the next one."""
_ARCS = 40
"""The second number is below this where the first is 0 or 1: both are in one."""
_CONTEXT_0 = 0xA0

_HIGH_TAG = 0x1F
"""These low bits of a tag say that it goes on in the next byte."""
_LONG_FORM = 0x80
_MOST_LENGTH_BYTES = HEADER_SIZE - 2

_MOST_ELEMENTS = 64
"""No structure taken apart here has more members than this; the lists that may be long are left to libraries."""


class Header(NamedTuple):
    """Tag and length of an element.

    Attributes:
        tag: The tag byte.
        size: Bytes of the header itself.
        content: Bytes that follow it.
    """

    tag: int
    size: int
    content: int

    @property
    def total(self) -> int:
        """Bytes of the whole element."""
        return self.size + self.content


class Element(NamedTuple):
    """An element of definite length.

    Attributes:
        tag: The tag byte.
        encoded: All of its bytes.
        content: Those behind the header.
    """

    tag: int
    encoded: bytes
    content: bytes


def header(data: bytes, offset: int = 0) -> Header:
    """Read the header at `offset`.

    Raises:
        RefusedError: If `data` ends within it, or it is none of definite length below 4 GiB with a tag of one byte.
    """
    if len(data) < offset + 2:
        raise RefusedError("the data ends within a header")
    tag, length = data[offset], data[offset + 1]
    if tag & _HIGH_TAG == _HIGH_TAG:
        raise RefusedError("a tag of several bytes")
    if length < _LONG_FORM:
        return Header(tag, 2, length)
    count = length - _LONG_FORM
    size = 2 + count
    if not 1 <= count <= _MOST_LENGTH_BYTES or len(data) < offset + size:
        raise RefusedError("an indefinite, huge or cut length")
    return Header(tag, size, int.from_bytes(data[offset + 2 : offset + size], "big"))


def elements(data: bytes, *, cut: bool = False, most: int = _MOST_ELEMENTS) -> list[Element]:
    """Take apart bytes that are elements one behind the other.

    Args:
        data: The content of a structure.
        cut: Whether the last element may be incomplete; it is left out then.
        most: Elements that there may be.

    Raises:
        RefusedError: If the bytes are not exactly filled by elements, or by too many.
    """
    found: list[Element] = []
    at = 0
    for _ in repeat(None, most):
        if at >= len(data):
            return found
        try:
            head = header(data, at)
        except RefusedError:
            if cut and at + HEADER_SIZE > len(data):
                return found
            raise
        end = at + head.total
        if end > len(data):
            if cut:
                return found
            raise RefusedError("an element goes past the end of what holds it")
        found.append(Element(head.tag, data[at:end], data[at + head.size : end]))
        at = end
    if at < len(data):
        raise RefusedError("too many elements")
    return found


def one(data: bytes, tag: int) -> Element:
    """Return the single element that fills `data`.

    Raises:
        RefusedError: If there is not just one, or it has another tag.
    """
    found = elements(data)
    if len(found) != 1 or found[0].tag != tag:
        raise RefusedError(f"not one element of tag {tag:#04x}")
    return found[0]


def members(data: bytes, *, least: int = 0, most: int = _MOST_ELEMENTS) -> list[Element]:
    """Return the members of the one SEQUENCE that fills `data`.

    Raises:
        RefusedError: If it is none, or has fewer than `least` or more than `most` members.
    """
    found = elements(one(data, SEQUENCE).content)
    if not least <= len(found) <= most:
        raise RefusedError("not the number of members expected")
    return found


def integer(element: Element, *, most: int) -> int:
    """Return a non-negative INTEGER's value.

    Args:
        element: The element.
        most: Bytes of content that it may have.

    Raises:
        RefusedError: If it is no INTEGER, is negative or too long.
    """
    if element.tag != INTEGER or not 1 <= len(element.content) <= most:
        raise RefusedError("no INTEGER of a sensible size")
    value = int.from_bytes(element.content, "big", signed=True)
    if value < 0:
        raise RefusedError("a negative INTEGER")
    return value


def dotted(element: Element) -> str:
    """Return an OBJECT IDENTIFIER's value (X.690, 8.19): `1.2.840.113549.1.1.1`.

    Raises:
        RefusedError: If it is none, or longer than any that is in use.
    """
    content = element.content
    if element.tag != OBJECT_IDENTIFIER or not 1 <= len(content) <= _MOST_IDENTIFIER_BYTES or content[-1] & _MORE:
        raise RefusedError("no OBJECT IDENTIFIER of a sensible size")
    numbers, value = [], 0
    for byte in content:
        value = value << 7 | byte & ~_MORE
        if not byte & _MORE:
            numbers.append(value)
            value = 0
    first = min(numbers[0] // _ARCS, 2)
    return ".".join(map(str, (first, numbers[0] - _ARCS * first, *numbers[1:])))


def inner(element: Element) -> Element:
    """Return the one element that a context-specific tag is around.

    Raises:
        RefusedError: If the tag is another, or there is not just one.
    """
    found = elements(element.content, most=1)
    if element.tag != _CONTEXT_0 or len(found) != 1:
        raise RefusedError("no content under its tag")
    return found[0]


def encode(tag: int, *contents: bytes) -> bytes:
    """Write an element whose content is `contents`, one behind the other."""
    content = b"".join(contents)
    size = len(content)
    if size < _LONG_FORM:
        return bytes((tag, size)) + content
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes((tag, _LONG_FORM | len(length))) + length + content


def extract(memory: Memory, address: int, *, most: int) -> Raw:
    """Read the structure at `address`; a large one only if its members fill it.

    Args:
        memory: Where it lies.
        address: Of its first byte.
        most: Bytes that such a structure may have in all.

    Raises:
        RefusedError: If there is no header, it announces more, or the members of a large structure do not fit.
    """
    head = header(memory.read(address, HEADER_SIZE))
    if head.total > most:
        raise RefusedError("larger than such an object can be")
    if head.total > SMALL:
        members_are_there(memory, address, head)
    return Raw(memory.read(address, head.total), head.total)


def members_are_there(memory: Memory, address: int, head: Header) -> bool:
    """Step from member to member of the structure at `address`, reading nothing but their headers.

    Returns:
        Whether its end was reached; False if the memory ends before.

    Raises:
        RefusedError: If the members do not fill it exactly.
    """
    at = head.size
    for _ in repeat(None, _MOST_MEMBERS):
        if at == head.total:
            return True
        data = memory.read(address + at, HEADER_SIZE)
        if len(data) < HEADER_SIZE and at + HEADER_SIZE <= head.total:
            return False
        at += header(data).total
        if at > head.total:
            break
    raise RefusedError("members that do not fill the structure")
