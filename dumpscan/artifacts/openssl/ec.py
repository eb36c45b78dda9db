"""Private keys of elliptic curves among big numbers: a scalar whose public point lies among them, or near."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.asymmetric import ec

from dumpscan.artifacts import effort
from dumpscan.artifacts.keys.encode import point as write_point
from dumpscan.artifacts.keys.proof import ec_key
from dumpscan.artifacts.openssl.headers import OPENSSL
from dumpscan.artifacts.symcrypt.curves import NAMED_FIELDS, multiple_on_named_curve
from dumpscan.model.c_big_numbers import LIMB

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dumpscan.artifacts.keys.ec.weierstrass import Point
    from dumpscan.artifacts.openssl.near import Surroundings
    from dumpscan.artifacts.openssl.numbers import Numbers
    from dumpscan.findings import PrivateKey

MAX_SCALARS = 4096
"""Numbers of one address space that are tried on each curve."""
_LEAST_DISTINCT = 0.6
"""Different bytes in a number, by its bytes. Random 32 bytes have 20 or more but once in 10^7, random 64 have 40."""
MAX_COPIES = 4
"""Copies of a scalar around which its point is looked for."""


@dataclass(frozen=True, slots=True)
class Curve:
    """A curve on which scalars are tried.

    Attributes:
        curve: The curve.
        field: Modulus of its field.
        limbs: Of a scalar, and of a coordinate.
        microseconds: What a multiplication of its generator takes.
    """

    curve: ec.EllipticCurve
    field: int
    limbs: int
    microseconds: int

    def forms(self, coordinate: int) -> tuple[int, int]:
        """Return a coordinate as libraries may hold it: plain, and in Montgomery form with R = 2^(64 * limbs)."""
        return coordinate, (coordinate << 8 * LIMB * self.limbs) % self.field

    def written(self, point: Point) -> Iterator[tuple[int, int]]:
        """Yield the coordinates of a point in each form."""
        x, y = point
        yield from zip(self.forms(x), self.forms(y), strict=True)


CURVES = (
    Curve(ec.SECP256R1(), NAMED_FIELDS[256], 4, 80),
    Curve(ec.SECP384R1(), NAMED_FIELDS[384], 6, 300),
    Curve(ec.SECP521R1(), NAMED_FIELDS[521], 9, 700),
    Curve(ec.SECP256K1(), 2**256 - 2**32 - 977, 4, 400),
)


@dataclass(frozen=True, slots=True)
class EcKey:
    """A key, and its numbers.

    Attributes:
        key: The proven key.
        scalar: d.
        x: The public point's first coordinate as it lies in memory.
    """

    key: PrivateKey
    scalar: int = field(repr=False)
    x: int


def ec_keys(numbers: Numbers, surroundings: Surroundings) -> Iterator[EcKey]:
    """Tie scalars to their public points: to those that are numbers too, then to those that lie near as plain words.

    Raises:
        TooCostlyError: There are too many numbers.
    """
    sizes = numbers.by_limbs()
    random = {limbs: [value for value in values if looks_random(value, limbs)] for limbs, values in sizes.items()}
    scalars = [(curve, scalar) for curve in CURVES for scalar in random.get(curve.limbs, ())[:MAX_SCALARS]]
    proven: set[int] = set()
    left: list[tuple[Curve, int, Point]] = []
    for curve, scalar in scalars:
        effort.charge(curve.microseconds)
        public = None if scalar in proven else multiple_on_named_curve(curve.curve, scalar)
        if public is None:
            continue
        for x, y in curve.written(public):
            if x in numbers.headers and y in numbers.headers:
                proven.add(scalar)
                yield _key(curve, scalar, public, x)
                break
        else:
            left.append((curve, scalar, public))
    for curve, scalar, public in left:
        if scalar in proven:
            continue
        # Only BoringSSL keeps its points without headers.
        near = [header.address for header in numbers.headers[scalar] if header.kind == OPENSSL.name][:MAX_COPIES]
        for x, y in curve.written(public) if near else ():
            if all(surroundings.number_at(part, curve.limbs, near) is not None for part in (x, y)):
                proven.add(scalar)
                yield _key(curve, scalar, public, x)
                break


def looks_random(value: int, limbs: int) -> bool:
    """Say whether a number may be a scalar: one in five thousand scalars of 256 bits does not look so.

    The upper quarter of each limb has bits of both kinds, and few bytes occur twice.
    """
    data = value.to_bytes(limbs * LIMB, "little")
    whole = data if value.bit_length() > 8 * (len(data) - LIMB // 4) else data[:-LIMB]
    ends = {whole[at : at + 2] for at in range(LIMB - 2, len(whole), LIMB)}
    return not ends & {b"\0\0", b"\xff\xff"} and len(set(whole)) >= _LEAST_DISTINCT * len(whole)


def _key(curve: Curve, scalar: int, public: Point, x: int) -> EcKey:
    written = write_point(public, (curve.field.bit_length() + 7) // 8)
    return EcKey(ec_key(curve.curve, scalar, written), scalar, x)
