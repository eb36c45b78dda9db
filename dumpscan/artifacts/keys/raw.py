"""Proof of keys of Curve25519 and Curve448, whose private value is a string of bytes (RFC 7748, RFC 8032)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.asymmetric import ed448, ed25519, x448, x25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from dumpscan.artifacts import effort
from dumpscan.artifacts.decoded import RefusedError
from dumpscan.artifacts.keys.finding import LIBRARY_ERRORS, finding_of
from dumpscan.artifacts.keys.randomness import looks_random

if TYPE_CHECKING:
    from collections.abc import Callable

    from dumpscan.artifacts.keys.randomness import Plausible
    from dumpscan.findings import PrivateKey

_COSTS = {32: 150, 56: 500, 57: 500}
"""Microseconds for a public value, by its size."""


@dataclass(frozen=True, slots=True)
class RawAlgorithm:
    """An algorithm whose private key is a string of bytes (RFC 7748, RFC 8032).

    Attributes:
        name: As in a finding.
        bits: Of the field, as its public key's size is given.
        size: Bytes of the private value, and of the public one.
        load: Makes a key of the private value.
        identifier: Object identifier, as it is encoded (RFC 8410, 3).
    """

    name: str
    bits: int
    size: int
    load: Callable[
        [bytes], ed25519.Ed25519PrivateKey | ed448.Ed448PrivateKey | x25519.X25519PrivateKey | x448.X448PrivateKey
    ]
    identifier: bytes


X25519 = RawAlgorithm("X25519", 256, 32, x25519.X25519PrivateKey.from_private_bytes, bytes.fromhex("06032b656e"))
X448 = RawAlgorithm("X448", 448, 56, x448.X448PrivateKey.from_private_bytes, bytes.fromhex("06032b656f"))
ED25519 = RawAlgorithm("Ed25519", 256, 32, ed25519.Ed25519PrivateKey.from_private_bytes, bytes.fromhex("06032b6570"))
ED448 = RawAlgorithm("Ed448", 456, 57, ed448.Ed448PrivateKey.from_private_bytes, bytes.fromhex("06032b6571"))


def raw_key(
    algorithm: RawAlgorithm,
    private_value: bytes,
    public_value: bytes | None = None,
    *,
    plausible: Plausible = looks_random,
) -> PrivateKey:
    """Prove a key of Curve25519 or Curve448.

    Any bytes of the right length are a private value. So a key without a public value has an empty proof.

    Args:
        algorithm: The algorithm.
        private_value: The private value.
        public_value: The public value, where it was stored.
        plausible: Says whether bytes may be a private value, where there is no public value.

    Raises:
        RefusedError: A value has the wrong size, the public value is another, or there is none and the private value
            is not plausible.
    """
    if len(private_value) != algorithm.size:
        raise RefusedError("a private value of the wrong size")
    if public_value is not None and len(public_value) != algorithm.size:
        raise RefusedError("a public value of the wrong size")
    if public_value is None and not plausible(private_value):
        raise RefusedError("nothing vouches for the private value, and it is not plausible")
    effort.charge(_COSTS[algorithm.size])
    try:
        key = algorithm.load(private_value)
        derived = key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    except LIBRARY_ERRORS:
        raise RefusedError("the library refuses the private value") from None
    if public_value not in (None, derived):
        raise RefusedError("the public value is not that of the private one")
    proof = () if public_value is None else ("public value = that of the private value",)
    return finding_of(key, algorithm.name, algorithm.bits, proof=proof)
