"""Signatures made of the bytes that an object opens with, so that nobody counts their length by hand."""

from __future__ import annotations

from functools import cache

from dumpscan.scan.signature import Signature

_ANY = ".."
_BYTES = [b"\\x%02x" % byte for byte in range(256)]


def opening(name: str, pattern: str, *, only_in_text: bool = False) -> Signature:
    r"""Make a signature from bytes in hex, separated by spaces.

    Args:
        name: The signature's name.
        pattern: One token per byte: `30` that byte, `..` any byte, `00-02` one of a range, `1c|28-30` one of several.
        only_in_text: As in `Signature`.

    Returns:
        A signature of as many bytes as there are tokens, e.g. `30 82 .. 02|04` → `\x30\x82.[\x02\x04]`.
    """
    tokens = pattern.split()
    return Signature(name, b"".join(map(_expression, tokens)), len(tokens), only_in_text=only_in_text)


def literal(name: str, data: bytes) -> Signature:
    """Make a signature of plain bytes, as an engine of literals takes them."""
    return Signature(name, escaped(data), len(data))


def escaped(data: bytes) -> bytes:
    """Write an expression that matches bytes and nothing else."""
    return b"".join([_BYTES[byte] for byte in data])


@cache
def _expression(token: str) -> bytes:
    if token == _ANY:
        return b"."
    ranges = [[_byte(bound) for bound in part.split("-")] for part in token.split("|")]
    if len(ranges) == 1 and len(ranges[0]) == 1:
        return ranges[0][0]
    return b"[" + b"".join(b"-".join(bounds) for bounds in ranges) + b"]"


def _byte(digits: str) -> bytes:
    return _BYTES[int(digits, 16)]
