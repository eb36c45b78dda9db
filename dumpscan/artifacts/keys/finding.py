"""Findings of private keys: made of a key that `cryptography` holds, completed by the bytes that it was read from."""

from __future__ import annotations

from dataclasses import replace
from hashlib import sha256
from typing import TYPE_CHECKING

from cryptography.exceptions import InternalError, UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from dumpscan.artifacts.decoded import RefusedError
from dumpscan.artifacts.keys import encode

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, rsa, x448, x25519

    from dumpscan.findings import PrivateKey

    LibraryKey = (
        rsa.RSAPrivateKey
        | dsa.DSAPrivateKey
        | ec.EllipticCurvePrivateKey
        | ed25519.Ed25519PrivateKey
        | ed448.Ed448PrivateKey
        | x25519.X25519PrivateKey
        | x448.X448PrivateKey
    )

LIBRARY_ERRORS = (ValueError, TypeError, OverflowError, NotImplementedError, UnsupportedAlgorithm, InternalError)
"""What `cryptography` raises for numbers and encodings that it does not accept: for a point of an SSH key that is
compressed, that it has not been written."""


def finding_of(
    key: LibraryKey, algorithm: str, bits: int, *, proof: tuple[str, ...], curve: str | None = None
) -> PrivateKey:
    """Return the finding of a key. Its `sha256` and `size` are set by the caller, who knows the bytes it was read from.

    Raises:
        RefusedError: The library cannot write the key.
    """
    try:
        public = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        pkcs8 = key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    except LIBRARY_ERRORS:
        raise RefusedError("the library cannot write the key") from None
    return encode.private_key(algorithm, bits, public, pkcs8, proof=proof, curve=curve)


def read_from(key: PrivateKey, data: bytes) -> PrivateKey:
    """Return `key` as read from `data`: with the hash and the size of those bytes."""
    return replace(key, sha256=sha256(data).hexdigest(), size=len(data))
