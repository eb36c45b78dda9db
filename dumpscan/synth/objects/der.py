"""A small DER writer (ITU-T X.690 (02/2021), sections 8 and 10).

It shares no code with the readers, so that a mistake in one of them is not hidden by the same mistake in the other.
"""

from __future__ import annotations

from itertools import accumulate

NULL = b"\x05\x00"
TRUE = b"\x01\x01\xff"
"""BOOLEAN true. DER omits a BOOLEAN that has its default value, which is false in all objects written here."""
_LONG_FORM = 0x80
"""From this length on, the first length byte gives the number of length bytes that follow."""


def tlv(tag: int, *parts: bytes) -> bytes:
    """Return an element: a tag of one byte, the length in its shortest form, and the content."""
    content = b"".join(parts)
    size = len(content)
    if size < _LONG_FORM:
        return bytes((tag, size)) + content
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes((tag, _LONG_FORM | len(length))) + length + content


def sequence(*parts: bytes) -> bytes:
    """Return a SEQUENCE of encoded elements."""
    return tlv(0x30, *parts)


def set_of(*parts: bytes) -> bytes:
    """Return a SET OF encoded elements, which DER sorts by their encodings."""
    return tlv(0x31, *sorted(parts))


def integer(value: int) -> bytes:
    """Return an INTEGER of any size and sign."""
    size = (value if value >= 0 else ~value).bit_length() // 8 + 1
    return tlv(0x02, value.to_bytes(size, "big", signed=True))


def octet_string(content: bytes) -> bytes:
    """Return an OCTET STRING."""
    return tlv(0x04, content)


def bit_string(content: bytes) -> bytes:
    """Return a BIT STRING of whole bytes."""
    return tlv(0x03, b"\x00", content)


def bmp_string(text: str) -> bytes:
    """Return a BMPString, which PKCS#12 uses for names."""
    return tlv(0x1E, text.encode("utf-16-be"))


def explicit(number: int, content: bytes) -> bytes:
    """Return an element with the tag [number] EXPLICIT."""
    return tlv(0xA0 | number, content)


def oid(dotted: str) -> bytes:
    """Return an OBJECT IDENTIFIER from its dotted form."""
    first, second, *rest = map(int, dotted.split("."))
    return tlv(0x06, *map(_base128, (40 * first + second, *rest)))


def _base128(arc: int) -> bytes:
    groups = list(accumulate(range(arc.bit_length() // 7), lambda left, _: left >> 7, initial=arc))
    while len(groups) > 1 and not groups[-1]:
        groups.pop()
    return bytes((group & 0x7F) | (0x80 if index else 0) for index, group in reversed(list(enumerate(groups))))
