"""Proof of keys of Curve25519 and Curve448, whose private value is a string of bytes (RFC 7748, RFC 8032)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.asymmetric import ed448, ed25519, x448, x25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from dumpscan.artifacts.decoded import RefusedError
from dumpscan.artifacts.keys.finding import LIBRARY_ERRORS, finding_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from dumpscan.findings import PrivateKey


@dataclass(frozen=True, slots=True)
class RawAlgorithm:
    """An algorithm whose private key is a string of bytes (RFC 7748, RFC 8032).

    Attributes:
        name: As in a finding.
        bits: Of the field, as its public key's size is given.
        size: Bytes of the private value, and of the public one.
        load: Makes a key of the private value.
    """

    name: str
    bits: int
    size: int
    load: Callable[
        [bytes], ed25519.Ed25519PrivateKey | ed448.Ed448PrivateKey | x25519.X25519PrivateKey | x448.X448PrivateKey
    ]


X25519 = RawAlgorithm("X25519", 256, 32, x25519.X25519PrivateKey.from_private_bytes)
X448 = RawAlgorithm("X448", 448, 56, x448.X448PrivateKey.from_private_bytes)
ED25519 = RawAlgorithm("Ed25519", 256, 32, ed25519.Ed25519PrivateKey.from_private_bytes)
ED448 = RawAlgorithm("Ed448", 456, 57, ed448.Ed448PrivateKey.from_private_bytes)


def raw_key(algorithm: RawAlgorithm, private_value: bytes, public_value: bytes | None = None) -> PrivateKey:
    """Prove a key of Curve25519 or Curve448; any string of the right length is a private value."""
    if len(private_value) != algorithm.size:
        raise RefusedError("a private value of the wrong size")
    try:
        key = algorithm.load(private_value)
        derived = key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    except LIBRARY_ERRORS:
        raise RefusedError("the library refuses the private value") from None
    if public_value is None:
        return finding_of(key, algorithm.name, algorithm.bits, proof=("public value derived",))
    if public_value != derived:
        raise RefusedError("the public value is not that of the private one")
    return finding_of(key, algorithm.name, algorithm.bits, proof=("public value = that of the private value",))
