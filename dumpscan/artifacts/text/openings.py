"""Signatures of text: what it opens with, in every size of characters, and the same as base64 writes it."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING

from dumpscan.scan.opening import opening

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dumpscan.scan.signature import Signature

_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
_HEX = "0123456789abcdef"
_ANY = ".."

Characters = list[str]
"""The characters that may stand at each position: `{` or `<&%` for one of several; empty for any."""


def text_opening(name: str, characters: Sequence[str], size: int, *, lead: int = 0) -> Signature:
    """Make the signature of text.

    Args:
        name: The signature's name; for wide characters their bits are added.
        characters: As in `Characters`.
        size: Bytes of a character. The zeros of wide ones follow (little-endian) or precede them, so that only those
            between the first and the last are asked for.
        lead: Characters of the object before those.
    """
    tokens = [_token(each) for each in characters]
    between = " " + "00 " * (size - 1)
    signature = opening(name if size == 1 else f"{name}-{8 * size}", between.join(tokens))
    return replace(signature, lead=lead * size)


def base64_of(pattern: str, skip: int) -> Characters:
    """Return the characters with which base64 writes bytes, as far as these determine them.

    Args:
        pattern: The bytes, written as for `opening`.
        skip: Bytes before them in the same group of three: 0, 1 or 2. The first character is that with the first bits
            of the pattern.
    """
    values = [frozenset(range(256))] * skip + [_values(token) for token in pattern.split()]
    characters = []
    for number in range(skip, (len(values) * 8 + 5) // 6):
        byte, bit = divmod(number * 6, 8)
        high = {value << bit & 0xFF for value in values[byte]}
        behind = values[byte + 1] if byte + 1 < len(values) else frozenset(range(256))
        low = {value >> (8 - bit) for value in behind} if bit else {0}
        six_bits = {(first | second) >> 2 for first in high for second in low}
        characters.append(
            "" if len(six_bits) == len(_ALPHABET) else "".join(_ALPHABET[each] for each in sorted(six_bits))
        )
    while not characters[-1]:
        characters.pop()
    return characters


def hex_of(pattern: str, separator: str = "", prefix: str = "") -> Characters:
    """Return the characters with which bytes are written in hexadecimal digits of either case.

    Args:
        pattern: The bytes, written as for `opening`; any of their first digits is taken with any of their second ones.
        separator: Characters between two bytes.
        prefix: What stands before each byte.
    """
    characters: Characters = []
    for token in pattern.split():
        if characters:
            characters += separator
        values = _values(token)
        characters += prefix
        for shift in (4, 0):
            digits = {_HEX[value >> shift & 15] for value in values}
            both_cases = {*digits, *(digit.upper() for digit in digits)}
            characters.append("" if len(digits) == len(_HEX) else "".join(sorted(both_cases)))
    return characters


@cache
def _values(token: str) -> frozenset[int]:
    if token == _ANY:
        return frozenset(range(256))
    values: set[int] = set()
    for part in token.split("|"):
        first, _, last = part.partition("-")
        values.update(range(int(first, 16), int(last or first, 16) + 1))
    return frozenset(values)


@cache
def _token(characters: str) -> str:
    return "|".join(f"{value:02x}" for value in sorted(characters.encode())) or _ANY


def ascii_pattern(text: str, size: int = 1) -> str:
    """Return the pattern of bytes of ASCII text, for `base64_of`; of wide text little-endian."""
    return " ".join(f"{value:02x}" + " 00" * (size - 1) for value in text.encode())
