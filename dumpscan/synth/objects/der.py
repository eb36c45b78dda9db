"""A DER writer, as small as the objects that it writes need.

Source: ITU-T X.690 (02/2021), sections 8 and 10. The generator's objects are written apart from the readers on purpose,
so that one mistake cannot hide in both; `cryptography` writes no version 1 certificates and salts containers at random.
"""

from __future__ import annotations

from itertools import accumulate

NULL = b"\x05\x00"
TRUE = b"\x01\x01\xff"
"""BOOLEAN; DER leaves a false one out where false is the default, as it is everywhere here."""
_LONG_FORM = 0x80
"""From this length on, the first length byte says how many length bytes follow."""


def tlv(tag: int, *parts: bytes) -> bytes:
    """One element: `tag` (a single byte), the length in its shortest form, and the content."""
    content = b"".join(parts)
    size = len(content)
    if size < _LONG_FORM:
        return bytes((tag, size)) + content
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes((tag, _LONG_FORM | len(length))) + length + content


def sequence(*parts: bytes) -> bytes:
    """SEQUENCE of elements that are encoded already."""
    return tlv(0x30, *parts)


def set_of(*parts: bytes) -> bytes:
    """SET OF elements that are encoded already; DER wants them sorted by their encodings."""
    return tlv(0x31, *sorted(parts))


def integer(value: int) -> bytes:
    """INTEGER of any size and sign, in two's complement."""
    size = (value if value >= 0 else ~value).bit_length() // 8 + 1
    return tlv(0x02, value.to_bytes(size, "big", signed=True))


def octet_string(content: bytes) -> bytes:
    """OCTET STRING."""
    return tlv(0x04, content)


def bit_string(content: bytes) -> bytes:
    """BIT STRING of whole bytes."""
    return tlv(0x03, b"\x00", content)


def bmp_string(text: str) -> bytes:
    """BMPString, as PKCS#12 uses it for names."""
    return tlv(0x1E, text.encode("utf-16-be"))


def explicit(number: int, content: bytes) -> bytes:
    """[number] EXPLICIT, constructed."""
    return tlv(0xA0 | number, content)


def oid(dotted: str) -> bytes:
    """OBJECT IDENTIFIER from its dotted form."""
    first, second, *rest = map(int, dotted.split("."))
    return tlv(0x06, *map(_base128, (40 * first + second, *rest)))


def _base128(arc: int) -> bytes:
    groups = list(accumulate(range(arc.bit_length() // 7), lambda left, _: left >> 7, initial=arc))
    while len(groups) > 1 and not groups[-1]:
        groups.pop()
    return bytes((group & 0x7F) | (0x80 if index else 0) for index, group in reversed(list(enumerate(groups))))
