"""What is left of a private key that is cut short, so that nobody can make the key of it: in DER, or in text of it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from dumpscan.redact.secret import Place

if TYPE_CHECKING:
    from collections.abc import Iterator

FORM = "cut short"
_SEQUENCE = 0x30
_LONG = 0x80
_MAX_LENGTH_BYTES = 3
_MIN_TEXT = 8
"""Characters that no DER of a private key opens with: the header of its version is among its first bytes."""
_TEXT = re.compile(rb"(?:[\w+/=\s\\:.,-]|\0(?=[\w+/=\s\\:.,-]))*")
"""Base64, hex and PEM, in lines, as literals of programs, in UTF-16."""


def remains(data: memoryview, extents: tuple[tuple[int, int], ...]) -> Iterator[Place]:
    """Yield where the remains of a private key lie.

    Args:
        data: The file.
        extents: Offsets and lengths of the bytes from the key's first one on, more than it has.
    """
    left = _size(b"".join(bytes(data[offset : offset + length]) for offset, length in extents))
    for offset, length in extents:
        if left > 0:
            yield Place(offset, min(length, left), FORM)
        left -= length


def _size(first: bytes) -> int:
    """Return the bytes of a key that begins so, by the length of its SEQUENCE (X.690, 8.1.3), or of its text."""
    text = _TEXT.match(first)
    if text and text.end() >= _MIN_TEXT:  # hex may begin with the same byte as DER
        return text.end()
    if first[:1] == bytes((_SEQUENCE,)) and len(first) > 1:
        length_bytes = first[1] - _LONG
        if length_bytes <= 0:
            return 2 + first[1]
        if length_bytes <= _MAX_LENGTH_BYTES:
            return 2 + length_bytes + int.from_bytes(first[2 : 2 + length_bytes], "big")
    return 0
