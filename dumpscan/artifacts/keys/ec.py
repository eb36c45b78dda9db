"""Proof of private keys on elliptic curves (SEC 1, 3.2)."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from dumpscan.artifacts.decoded import RefusedError
from dumpscan.artifacts.keys.finding import LIBRARY_ERRORS, finding_of

if TYPE_CHECKING:
    from dumpscan.findings import PrivateKey

_MOST_KNOWN = 256
"""Keys that are remembered: the same one lies in memory in several encodings."""


def ec_key(curve: ec.EllipticCurve, private_value: int, *public_points: bytes) -> PrivateKey:
    """Prove a key on a named curve (SEC 1, 3.2).

    Args:
        curve: The curve, whose generator is G.
        private_value: d.
        *public_points: Q, wherever it was stored, as SEC 1, 2.3.3 writes it (uncompressed, compressed or hybrid).
    """
    key, forms = _derived_ec(type(curve), private_value)
    if not forms.issuperset(public_points):
        raise RefusedError("the public point is not that of the private value")
    return replace(key, proof=("Q = d*G",)) if public_points else key


@lru_cache(maxsize=_MOST_KNOWN)
def _derived_ec(curve: type[ec.EllipticCurve], private_value: int) -> tuple[PrivateKey, frozenset[bytes]]:
    """Return the key of a private value, and its public point in each of the three forms of SEC 1, 2.3.3."""
    try:
        key = ec.derive_private_key(private_value, curve())
    except LIBRARY_ERRORS:
        raise RefusedError("the private value is out of the curve's range") from None
    public = key.public_key()
    whole = public.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    compressed = public.public_bytes(Encoding.X962, PublicFormat.CompressedPoint)
    hybrid = bytes((compressed[0] + 4,)) + whole[1:]
    proof = ("0 < d < order of G", "Q = d*G derived")
    finding = finding_of(key, "EC", curve().key_size, proof=proof, curve=curve().name)
    return finding, frozenset((whole, compressed, hybrid))
