"""Elliptic curves that have a name: every one that OpenSSL knows, from the table beside this module."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, cached_property
from importlib.resources import files
from typing import TYPE_CHECKING

from dumpscan.artifacts import effort
from dumpscan.artifacts.keys import encode
from dumpscan.artifacts.keys.ec.binary import BinaryCurve
from dumpscan.artifacts.keys.ec.weierstrass import Weierstrass

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dumpscan.artifacts.keys.ec.weierstrass import Point

_PER_PRIME_BIT, _PER_BINARY_BIT = 0.01, 0.17
"""Microseconds for each bit of the field that it takes to see whether a point is on a curve."""
_TABLE = "named_curves.txt"
_NO_IDENTIFIER = "-"
_UNCOMPRESSED, _COMPRESSED, _HYBRID = 4, 2, 6
"""First bytes of a point (SEC 1, 2.3.3); the last bit of the latter two tells it from its negative."""


@dataclass(frozen=True)
class NamedCurve:
    """A curve with its name.

    Attributes:
        name: The name that `cryptography` has for it, or OpenSSL; one of ours if it has none.
        parameters: ECParameters: its object identifier, or all of its numbers if it has none.
        curve: The curve itself.
    """

    name: str
    parameters: bytes
    curve: Weierstrass | BinaryCurve

    @property
    def bits(self) -> int:
        """Size of the field."""
        return self.curve.bits

    @property
    def field_size(self) -> int:
        """Bytes of a coordinate."""
        return (self.bits + 7) // 8

    @property
    def order(self) -> int:
        """Order of the generator."""
        return self.curve.order

    @cached_property
    def order_size(self) -> int:
        """Bytes of a private value."""
        return (self.order.bit_length() + 7) // 8

    def encodings(self, point: Point) -> tuple[bytes, bytes, bytes]:
        """Write a point in the three forms of SEC 1, 2.3.3: uncompressed, compressed and hybrid."""
        whole = encode.point(point, self.field_size)
        sign = self.curve.sign(point)
        compressed = bytes((_COMPRESSED | sign,)) + whole[1 : 1 + self.field_size]
        return whole, compressed, bytes((_HYBRID | sign,)) + whole[1:]

    def may_have(self, encoded: bytes) -> bool:
        """Return whether an encoded point may be on the curve, as far as can be told without much arithmetic."""
        form, size = encoded[:1], self.field_size
        if form in (b"\x02", b"\x03"):
            return len(encoded) == 1 + size
        if form not in (b"\x04", b"\x06", b"\x07") or len(encoded) != 1 + 2 * size:
            return False
        effort.charge(self.bits * (_PER_BINARY_BIT if isinstance(self.curve, BinaryCurve) else _PER_PRIME_BIT))
        return self.curve.has(
            (int.from_bytes(encoded[1 : 1 + size], "big"), int.from_bytes(encoded[1 + size :], "big"))
        )


@cache
def all_curves() -> tuple[NamedCurve, ...]:
    """Return all curves, those in use first."""
    text = files(__package__).joinpath(_TABLE).read_text(encoding="ascii")
    return tuple(_curve(line) for line in text.splitlines() if not line.startswith("#"))


def curve_named(name: str) -> NamedCurve:
    """Return the curve of a name.

    Raises:
        KeyError: There is none.
    """
    return _by_name()[name]


def curve_of_oid(oid: bytes) -> NamedCurve | None:
    """Return the curve of an object identifier, as it is encoded."""
    return _by_oid().get(oid)


def curves_of_order_size(size: int) -> Iterator[NamedCurve]:
    """Yield the curves whose private values have so many bytes, those in use first."""
    return (curve for curve in all_curves() if curve.order_size == size)


@cache
def _by_name() -> dict[str, NamedCurve]:
    return {curve.name: curve for curve in all_curves()}


@cache
def _by_oid() -> dict[bytes, NamedCurve]:
    return {curve.parameters: curve for curve in all_curves()}


def _curve(line: str) -> NamedCurve:
    name, oid, kind, *numbers = line.split()
    field, a, b, x, y, order, cofactor = (int(number, 16) for number in numbers)
    make = {"prime": Weierstrass, "binary": BinaryCurve}[kind]
    found = make(field, a, b, (x, y), order, cofactor)
    return NamedCurve(name, encode.object_identifier(oid) if oid != _NO_IDENTIFIER else found.encoded, found)
