"""Arithmetic of curves whose parameters come from memory: no library takes such, so it is done on integers.

It is neither fast nor of constant time, and need not be: it runs once for each key on a curve that has no name, and the
keys are in the dump anyway. Sources: SEC 1 (points, encodings), RFC 7748 (Curve25519).
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.asymmetric import ec

from dumpscan.artifacts.keys import encode as key_encode
from dumpscan.artifacts.keys.proof import LIBRARY_ERRORS

if TYPE_CHECKING:
    from collections.abc import Iterator

Point = tuple[int, int]

P25519 = 2**255 - 19
NAMED_FIELDS = {256: 2**256 - 2**224 + 2**192 + 2**96 - 1, 384: 2**384 - 2**128 - 2**96 + 2**32 - 1, 521: 2**521 - 1}
"""Field moduli of the NIST curves, by size in bits, for keys whose curve object is gone (FIPS 186-4, D.1.2)."""

_NAMED: tuple[ec.EllipticCurve, ...] = (
    ec.SECP256R1(),
    ec.SECP384R1(),
    ec.SECP521R1(),
    ec.SECP256K1(),
    ec.BrainpoolP256R1(),
    ec.BrainpoolP384R1(),
    ec.BrainpoolP512R1(),
    ec.SECP224R1(),
    ec.SECP192R1(),
)


def named_curves(bits: int) -> Iterator[ec.EllipticCurve]:
    """Return the curves of the library with a field of so many bits, the most frequent first."""
    return (curve for curve in _NAMED if curve.key_size == bits)


def on_named_curve(curve: ec.EllipticCurve, point: Point) -> ec.EllipticCurvePublicKey | None:
    """Return the public key that a point is on a curve; None if it is not on it."""
    try:
        return ec.EllipticCurvePublicNumbers(*point, curve).public_key()
    except LIBRARY_ERRORS:
        return None


def multiple_on_named_curve(curve: ec.EllipticCurve, scalar: int) -> Point | None:
    """Return scalar * G; None where the scalar is out of the curve's range."""
    try:
        numbers = ec.derive_private_key(scalar, curve).public_key().public_numbers()
    except LIBRARY_ERRORS:
        return None
    return numbers.x, numbers.y


@dataclass(frozen=True, slots=True)
class Weierstrass:
    """A curve y^2 = x^3 + a*x + b over a prime field, with a generator of prime order."""

    p: int
    a: int
    b: int
    generator: Point
    order: int
    cofactor: int = 1

    def has(self, point: Point) -> bool:
        """Whether a point is on the curve."""
        x, y = point
        return 0 <= x < self.p and 0 <= y < self.p and (y * y - (x * x * x + self.a * x + self.b)) % self.p == 0

    def is_sound(self) -> bool:
        """Whether the generator is on the curve and has the order stated."""
        return (
            self.p & self.order & 1 == 1
            and self.has(self.generator)
            and self.multiply(self.order, self.generator) is None
        )

    def multiply(self, scalar: int, point: Point) -> Point | None:
        """Return scalar * point by doubling and adding in Jacobian coordinates; None is the point at infinity."""
        x, y, z = 0, 1, 0
        for bit in f"{scalar:b}":
            x, y, z = self._double(x, y, z)
            if bit == "1":
                x, y, z = self._add(x, y, z, point)
        return to_affine(x, y, z, self.p)

    def _double(self, x: int, y: int, z: int) -> tuple[int, int, int]:
        if z == 0 or y == 0:
            return 0, 1, 0
        p = self.p
        yy = y * y % p
        s = 4 * x * yy % p
        m = (3 * x * x + self.a * pow(z, 4, p)) % p
        x3 = (m * m - 2 * s) % p
        return x3, (m * (s - x3) - 8 * yy * yy) % p, 2 * y * z % p

    def _add(self, x: int, y: int, z: int, point: Point) -> tuple[int, int, int]:
        px, py = point
        if z == 0:
            return px, py, 1
        p = self.p
        zz = z * z % p
        h, r = (px * zz - x) % p, (py * zz * z - y) % p
        if h == 0:
            return (0, 1, 0) if r else self._double(x, y, z)
        hh = h * h % p
        hhh, v = h * hh % p, x * hh % p
        x3 = (r * r - hhh - 2 * v) % p
        return x3, (r * (v - x3) - y * hhh) % p, h * z % p

    def parameters(self) -> tuple[tuple[str, str], ...]:
        """Name the parameters, values in hex."""
        x, y = self.generator
        values = {"p": self.p, "a": self.a, "b": self.b, "gx": x, "gy": y, "n": self.order, "h": self.cofactor}
        return tuple((name, f"{value:x}") for name, value in values.items())

    @property
    def encoded(self) -> bytes:
        """ECParameters."""
        return key_encode.ec_parameters(
            p=self.p, a=self.a, b=self.b, generator=self.generator, order=self.order, cofactor=self.cofactor
        )

    @property
    def name(self) -> str:
        """A name for a curve that has none: its size, and the beginning of the SHA-256 of its ECParameters."""
        return f"explicit-{self.p.bit_length()}-{sha256(self.encoded).hexdigest()[:8]}"

    def public_info(self, point: Point) -> bytes:
        """Write a public key as SubjectPublicKeyInfo with explicit parameters."""
        written = key_encode.point(point, (self.p.bit_length() + 7) // 8)
        return key_encode.public_info(key_encode.ec_algorithm(self.encoded), written)

    def pkcs8(self, scalar: int, point: Point) -> bytes:
        """Write a private key as PKCS#8 with explicit parameters."""
        written = key_encode.point(point, (self.p.bit_length() + 7) // 8)
        private = key_encode.ec_private(scalar, (self.order.bit_length() + 7) // 8, written)
        return key_encode.pkcs8(key_encode.ec_algorithm(self.encoded), private)


def to_affine(x: int, y: int, z: int, p: int, powers: tuple[int, int] = (2, 3)) -> Point | None:
    """Return (x / z^i, y / z^j): Jacobian coordinates with the powers 2 and 3, projective ones with 1 and 1.

    None is the point at infinity, or what is no point at all.
    """
    if z % p == 0:
        return None
    try:
        inverse = pow(z, -1, p)
    except ValueError:  # the modulus is damaged, and no prime
        return None
    return x * pow(inverse, powers[0], p) % p, y * pow(inverse, powers[1], p) % p
