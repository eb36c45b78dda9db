"""The named curves on which SymCrypt keys are proven: a curve object may be gone, or say no more than a size."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.asymmetric import ec

from dumpscan.artifacts import effort
from dumpscan.artifacts.keys.ec.library import LIBRARY_CURVES, cost_of_multiple, library_multiple
from dumpscan.artifacts.keys.finding import LIBRARY_ERRORS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dumpscan.artifacts.keys.ec.weierstrass import Point

P25519 = 2**255 - 19
NAMED_FIELDS = {256: 2**256 - 2**224 + 2**192 + 2**96 - 1, 384: 2**384 - 2**128 - 2**96 + 2**32 - 1, 521: 2**521 - 1}
"""Field moduli of the NIST curves, by size in bits, for keys whose curve object is gone (FIPS 186-4, D.1.2)."""

_CHECKING = 60
"""Microseconds to see whether a point is on a curve."""


def named_curves(bits: int) -> Iterator[ec.EllipticCurve]:
    """Return the curves of the library with a field of so many bits, the most frequent first."""
    return (curve for curve in LIBRARY_CURVES.values() if curve.key_size == bits)


def on_named_curve(curve: ec.EllipticCurve, point: Point) -> ec.EllipticCurvePublicKey | None:
    """Return the public key that a point is on a curve; None if it is not on it."""
    effort.charge(_CHECKING)
    try:
        return ec.EllipticCurvePublicNumbers(*point, curve).public_key()
    except LIBRARY_ERRORS:
        return None


def multiple_on_named_curve(curve: ec.EllipticCurve, scalar: int) -> Point | None:
    """Return scalar * G; None where the scalar is out of the curve's range."""
    effort.charge(cost_of_multiple(curve))
    return library_multiple(curve, scalar)
