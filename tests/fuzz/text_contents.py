"""Hostile text: bytes in the notations of programs and tools, which open objects again and again."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

    Piece = Callable[[random.Random], bytes]

_OPENING = bytes.fromhex("30820fff02010030")
"""A SEQUENCE, and the version in it: as keys and PKCS#12 files begin."""
_ROW = 16


def _written(form: bytes) -> Callable[[bytes], bytes]:
    """Write letters and digits as themselves, and other bytes in a form."""
    return lambda data: b"".join(
        bytes([byte]) if chr(byte).isascii() and chr(byte).isalnum() else form % byte for byte in data
    )


def _dumped(data: bytes) -> bytes:
    """Write lines as `xxd` does."""
    rows = [data[at : at + _ROW] for at in range(0, len(data), _ROW)]
    return b"".join(
        b"%08x: %b  %b\n" % (_ROW * number, row.hex(" ", 2).encode(), b"." * len(row))
        for number, row in enumerate(rows)
    )


NOTATIONS: dict[str, Callable[[bytes], bytes]] = {
    "decimal": lambda data: b"".join(b"%d, " % byte for byte in data),
    "decimal-far-apart": lambda data: b"".join(b"%d,%b" % (byte, b" " * 60) for byte in data),
    "decimal-object": lambda data: b"".join(b'"%d":%d,' % each for each in enumerate(data)),
    "string": _written(b"\\x%02x"),
    "string-octal": _written(b"\\%03o"),
    "string-of-json": _written(b"\\u%04x"),
    "string-in-pieces": lambda data: b"".join(b'\\x%02x" + "' % byte for byte in data),
    "urlencoded": _written(b"%%%02X"),
    "quoted-printable": _written(b"=%02X"),
    "hex-dump": _dumped,
}


def pieces(composite: Piece) -> dict[str, Piece]:
    """Return contents in all notations: openings, and keys that cannot be proven.

    Args:
        composite: Makes such a key.
    """

    def openings(write: Callable[[bytes], bytes]) -> Piece:
        return lambda _: write(_OPENING * 64)

    def keys(write: Callable[[bytes], bytes]) -> Piece:
        return lambda rng: write(composite(rng)) + b"\n"

    return {
        **{f"openings-{name}": openings(write) for name, write in NOTATIONS.items()},
        **{f"keys-{name}": keys(write) for name, write in NOTATIONS.items()},
    }
