"""Looks for secret numbers in output, in every way in which a program could let one slip."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_PIECE = 16
"""Bytes of a number that must not be seen: its beginning and its end are looked for too."""


def forms(secret: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield the forms of bytes, by name: raw, reversed, hexadecimal, base64 in its three phases, decimal, UTF-16."""
    parts = {"whole": secret, "beginning": secret[:_PIECE], "end": secret[-_PIECE:]}
    for part, data in parts.items():
        for order, value in (("", data), ("reversed ", data[::-1])):
            for name, form in _written(value):
                yield f"{order}{part}, {name}", form
                if name != "raw":
                    yield f"{order}{part}, {name}, UTF-16", form.decode().encode("utf-16-le")
    yield "decimal", str(int.from_bytes(secret, "big")).encode()
    yield "reversed decimal", str(int.from_bytes(secret, "little")).encode()


def _written(value: bytes) -> Iterator[tuple[str, bytes]]:
    yield "raw", value
    yield "hex", value.hex().encode()
    yield "HEX", value.hex().upper().encode()
    yield "hex with colons", value.hex(":").encode()
    for phase in range(3):
        encoded = base64.b64encode(bytes(phase) + value)
        whole = len(value) + phase
        begin, end = (-(-phase * 4 // 3) + 0), whole * 4 // 3
        yield f"base64 in phase {phase}", encoded[begin:end]
        yield f"base64 of URLs in phase {phase}", base64.urlsafe_b64encode(bytes(phase) + value)[begin:end]


def found(output: bytes, secrets: dict[str, bytes]) -> list[str]:
    """Say which secrets are in output, and in which form."""
    return [f"{name}: {form}" for name, secret in secrets.items() for form, data in forms(secret) if data in output]
