"""The elliptic curves on which `cryptography` computes, much faster than the arithmetic here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.asymmetric import ec

from dumpscan.artifacts.keys.finding import LIBRARY_ERRORS

if TYPE_CHECKING:
    from dumpscan.artifacts.keys.ec.weierstrass import Point

LIBRARY_CURVES: dict[str, ec.EllipticCurve] = {
    curve.name: curve
    for curve in (
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
}
"""By name; of those of one size, the most frequent come first."""


_FAST = {"secp224r1": 70, "secp256r1": 50, "secp384r1": 400, "secp521r1": 450}
_PER_SQUARED_BIT = 0.015
"""Microseconds for a multiple of the generator: of curves for which OpenSSL has code of their own, and of others for
each squared bit of the field."""


def cost_of_multiple(curve: ec.EllipticCurve) -> float:
    """Return about how many microseconds `library_multiple` takes."""
    return _FAST.get(curve.name) or _PER_SQUARED_BIT * curve.key_size**2


def library_multiple(curve: ec.EllipticCurve, scalar: int) -> Point | None:
    """Return scalar * G; None where the scalar is out of the curve's range. Callers charge for it."""
    try:
        numbers = ec.derive_private_key(scalar, curve).public_key().public_numbers()
    except LIBRARY_ERRORS:
        return None
    return numbers.x, numbers.y
