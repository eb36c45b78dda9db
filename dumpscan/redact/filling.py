"""What stands in the place of a secret: a pattern that everybody recognises, or zeros."""

from __future__ import annotations

from enum import StrEnum

_WORD = b"REDACTED"
_CHUNK = 1 << 20


class Fill(StrEnum):
    """What is written over secrets."""

    PATTERN = "pattern"
    """`REDACTED`, over and over."""
    ZERO = "zero"


def filling(fill: Fill, length: int, *, wide: bool = False) -> bytes:
    """Return so many bytes of filling; `wide`: in UTF-16."""
    if fill is Fill.ZERO:
        return bytes(length)
    word = _WORD.decode().encode("utf-16-le") if wide else _WORD
    return (word * (length // len(word) + 1))[:length]


def is_filling(text: bytes) -> bool:
    """Return whether characters are nothing but filling, whole or in part."""
    return not text.strip(b"\0") or text in _WORD * (len(text) // len(_WORD) + 2)
