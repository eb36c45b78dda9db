"""Arithmetic of curves over binary fields, which `cryptography` does not have.

An element is a polynomial over GF(2), and Python has no multiplication without carries. So each coefficient gets a slot
of twelve bits in an integer: sums of up to 571 ones stay within their slots, and the lowest bit of each slot of an
ordinary product is the coefficient of the product of the polynomials. Elements stay in that form in all of this module;
`spread` and `packed` convert. It is not of constant time and need not be: the keys are in the dump anyway.

Sources: SEC 1, 3.1.2.2 (the equation y^2 + x*y = x^3 + a*x^2 + b); Hankerson, Menezes, Vanstone, Guide to Elliptic
Curve Cryptography, 3.2.3 (Lopez-Dahab coordinates: x = X/Z, y = Y/Z^2).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from dumpscan.artifacts.keys import encode

Point = tuple[int, int]

_SLOT = 12
"""Bits of a slot: three hexadecimal digits."""


def spread(packed: int) -> int:
    """Return a polynomial with a slot for each coefficient, given one with a bit for each."""
    return int(f"{packed:b}".replace("1", "x").replace("0", "000").replace("x", "001"), 16)


def packed(spread: int) -> int:
    """Return a polynomial with a bit for each coefficient, given one with a slot for each."""
    return int(f"0{f'{spread:x}'[::-3][::-1]}", 2)


@dataclass(frozen=True)
class BinaryCurve:
    """A curve y^2 + x*y = x^3 + a*x^2 + b over a binary field, with a generator of prime order.

    Polynomials, the coordinates of points included, have one bit for each coefficient.

    Attributes:
        polynomial: The irreducible polynomial of the field.
    """

    polynomial: int
    a: int
    b: int
    generator: Point
    order: int
    cofactor: int

    @property
    def bits(self) -> int:
        """Degree of the field."""
        return self.polynomial.bit_length() - 1

    def has(self, point: Point) -> bool:
        """Return whether a point is on the curve."""
        if not all(0 <= coordinate < 1 << self.bits for coordinate in point):
            return False
        x, y = map(spread, point)
        square = self._times(x, x)
        left = self._times(y, y) ^ self._times(x, y)
        return left == self._times(square, x ^ self._a) ^ self._b

    def is_sound(self) -> bool:
        """Return whether the generator is on the curve and has the order stated."""
        return self.has(self.generator) and self.multiply(self.order, self.generator) is None

    @property
    def encoded(self) -> bytes:
        """ECParameters."""
        return encode.binary_ec_parameters(
            polynomial=self.polynomial,
            a=self.a,
            b=self.b,
            generator=self.generator,
            order=self.order,
            cofactor=self.cofactor,
        )

    def multiply(self, scalar: int, point: Point) -> Point | None:
        """Return scalar * point; None is the point at infinity."""
        affine = spread(point[0]), spread(point[1])
        current = (1, 0, 0)
        for bit in f"{scalar:b}":
            current = self._double(*current)
            if bit == "1":
                current = self._add(*current, affine)
        x, y, z = current
        if not z:
            return None
        inverse = self._inverse(z)
        return packed(self._times(x, inverse)), packed(self._times(y, self._times(inverse, inverse)))

    def sign(self, point: Point) -> int:
        """Return the bit that tells a point from its negative in the compressed form (SEC 1, 2.3.3)."""
        x, y = map(spread, point)
        return packed(self._times(y, self._inverse(x))) & 1 if x else 0

    def _double(self, x: int, y: int, z: int) -> tuple[int, int, int]:
        if not z or not x:
            return 1, 0, 0
        xx, zz = self._times(x, x), self._times(z, z)
        bzzzz = self._times(self._b, self._times(zz, zz))
        z3 = self._times(xx, zz)
        x3 = self._times(xx, xx) ^ bzzzz
        inner = self._times(self._a, z3) ^ self._times(y, y) ^ bzzzz
        return x3, self._times(bzzzz, z3) ^ self._times(x3, inner), z3

    def _add(self, x: int, y: int, z: int, point: Point) -> tuple[int, int, int]:
        px, py = point
        if not z:
            return px, py, 1
        a, b = y ^ self._times(py, self._times(z, z)), x ^ self._times(px, z)
        if not b:
            return (1, 0, 0) if a else self._double(x, y, z)
        c = self._times(z, b)
        z3 = self._times(c, c)
        x3 = self._times(a, a) ^ self._times(c, a ^ self._times(b, b) ^ self._times(self._a, c))
        y3 = self._times(self._times(px, z3) ^ x3, self._times(a, c) ^ z3)
        return x3, y3 ^ self._times(px ^ py, self._times(z3, z3)), z3

    def _inverse(self, element: int) -> int:
        """Return element^(2^m - 2), by Fermat's little theorem."""
        result = 1
        for _ in range(self.bits - 1):
            element = self._times(element, element)
            result = self._times(result, element)
        return result

    def _times(self, left: int, right: int) -> int:
        product = left * right & self._ones
        while high := product >> self._top:
            product &= self._low
            for shift in self._shifts:
                product ^= high << shift
        return product

    @cached_property
    def _a(self) -> int:
        return spread(self.a)

    @cached_property
    def _b(self) -> int:
        return spread(self.b)

    @cached_property
    def _top(self) -> int:
        return self.bits * _SLOT

    @cached_property
    def _low(self) -> int:
        return (1 << self._top) - 1

    @cached_property
    def _ones(self) -> int:
        """The lowest bits of the slots of a product."""
        return int("001" * (2 * self.bits), 16)

    @cached_property
    def _shifts(self) -> tuple[int, ...]:
        """Bits by which the terms of the field's polynomial, but for the first, are shifted."""
        return tuple(_SLOT * degree for degree in range(self.bits) if self.polynomial >> degree & 1)
