"""Arithmetic of curves over prime fields, for those that no library has: without a name, or with a rare one.

It is neither fast nor of constant time: it runs once for each key, and the keys are in the dump anyway. Source: SEC 1
(points, encodings).
"""

from __future__ import annotations

from dataclasses import dataclass

from dumpscan.artifacts import effort
from dumpscan.artifacts.keys import encode

Point = tuple[int, int]
_STEP, _STEP_PER_BIT = 4, 0.025
"""Microseconds for a bit of the scalar, and more for each bit of the field."""


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

    def sign(self, point: Point) -> int:
        """Return the bit that tells a point from its negative in the compressed form (SEC 1, 2.3.3)."""
        return point[1] & 1

    @property
    def bits(self) -> int:
        """Size of the field."""
        return self.p.bit_length()

    def is_sound(self) -> bool:
        """Return whether the generator is on the curve and has the order stated."""
        return (
            self.p & self.order & 1 == 1
            and self.has(self.generator)
            and self.multiply(self.order, self.generator) is None
        )

    def multiply(self, scalar: int, point: Point) -> Point | None:
        """Return scalar * point by doubling and adding in Jacobian coordinates; None is the point at infinity.

        Raises:
            TooCostlyError: It would cost more than is left.
        """
        effort.charge(scalar.bit_length() * (_STEP + _STEP_PER_BIT * self.bits))
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
        return encode.ec_parameters(
            p=self.p, a=self.a, b=self.b, generator=self.generator, order=self.order, cofactor=self.cofactor
        )

    @property
    def name(self) -> str:
        """A name, if it has no other."""
        return encode.name_of_curve(self.encoded, self.bits)

    def public_info(self, point: Point) -> bytes:
        """Write a public key as SubjectPublicKeyInfo with explicit parameters."""
        written = encode.point(point, (self.p.bit_length() + 7) // 8)
        return encode.public_info(encode.ec_algorithm(self.encoded), written)

    def pkcs8(self, scalar: int, point: Point) -> bytes:
        """Write a private key as PKCS#8 with explicit parameters."""
        written = encode.point(point, (self.p.bit_length() + 7) // 8)
        private = encode.ec_private(scalar, (self.order.bit_length() + 7) // 8, written)
        return encode.pkcs8(encode.ec_algorithm(self.encoded), private)


def to_affine(x: int, y: int, z: int, p: int, powers: tuple[int, int] = (2, 3)) -> Point | None:
    """Return (x / z^i, y / z^j): Jacobian coordinates with the powers 2 and 3, projective ones with 1 and 1.

    None is the point at infinity, or what is no point at all.
    """
    if z % p == 0:
        return None
    effort.charge_inverse(p.bit_length())
    try:
        inverse = pow(z, -1, p)
    except ValueError:  # the modulus is damaged, and no prime
        return None
    return x * pow(inverse, powers[0], p) % p, y * pow(inverse, powers[1], p) % p
