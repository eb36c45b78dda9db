"""Public and secret parts of OpenPGP's algorithms, and the proof that they belong together.

Source: RFC 9580, 5.5.5 (algorithms), 9.1 (their numbers), 9.2 (curves); RFC 6637 for curves before it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.asymmetric import ec

from dumpscan.artifacts.decoded import RefusedError
from dumpscan.artifacts.keys import proof as key_proof
from dumpscan.artifacts.keys.algorithms.dh import elgamal_key

if TYPE_CHECKING:
    from collections.abc import Callable

    from dumpscan.artifacts.keys.openpgp.packets import Fields
    from dumpscan.findings import PrivateKey

_CURVES: dict[bytes, ec.EllipticCurve] = {
    bytes.fromhex("2a8648ce3d030107"): ec.SECP256R1(),
    bytes.fromhex("2b81040022"): ec.SECP384R1(),
    bytes.fromhex("2b81040023"): ec.SECP521R1(),
    bytes.fromhex("2b8104000a"): ec.SECP256K1(),
    bytes.fromhex("2b2403030208010107"): ec.BrainpoolP256R1(),
    bytes.fromhex("2b240303020801010b"): ec.BrainpoolP384R1(),
    bytes.fromhex("2b240303020801010d"): ec.BrainpoolP512R1(),
}
_ED25519, _CURVE25519 = bytes.fromhex("2b06010401da470f01"), bytes.fromhex("2b060104019755010501")
_NATIVE = b"\x40"
"""Before a public value that is in its curve's own form."""
_MAX_KDF = 16
"""Bytes of the parameters of a key derivation in ECDH; there are three or four."""


@dataclass(frozen=True, slots=True)
class PublicPart:
    """The public part of a key.

    Attributes:
        take_secret: Reads the secret part and proves the key; raises `RefusedError` if it does not belong to this one.
        secret_size: Bytes of the secret part, where the algorithm fixes them.
    """

    take_secret: Callable[[Fields], PrivateKey]
    secret_size: int | None = None


def take_public(algorithm: int, fields: Fields) -> PublicPart:
    """Read the public part of a key.

    Args:
        algorithm: Its number.
        fields: At the public part; behind it, when this returns.

    Raises:
        RefusedError: If it is no public part, or the algorithm is not known.
    """
    if algorithm not in _ALGORITHMS:
        raise RefusedError("an algorithm that is not known")
    return _ALGORITHMS[algorithm](fields)


def _rsa(fields: Fields) -> PublicPart:
    n, e = fields.integer(), fields.integer()
    if not n & e & 1:
        raise RefusedError("an even modulus or exponent")

    def take(fields: Fields) -> PrivateKey:
        d, p, q, coefficient = (fields.integer() for _ in range(4))
        # The coefficient is the inverse of p modulo q; everybody else has that of q modulo p.
        crt = (None, None, coefficient)
        return key_proof.rsa_key(modulus=n, exponent=e, p=q, q=p, private_exponent=d, crt=crt)

    return PublicPart(take)


def _elgamal(fields: Fields) -> PublicPart:
    p, g, y = (fields.integer() for _ in range(3))
    if not p & 1:
        raise RefusedError("an even modulus")
    return PublicPart(lambda fields: elgamal_key(p=p, g=g, y=y, x=fields.integer()))


def _dsa(fields: Fields) -> PublicPart:
    p, q, g, y = (fields.integer() for _ in range(4))
    if not p & q & 1:
        raise RefusedError("an even modulus or order")
    return PublicPart(lambda fields: key_proof.dsa_key(p=p, q=q, g=g, y=y, x=fields.integer()))


def _ec(fields: Fields) -> PublicPart:
    """Read a key of ECDSA, of EdDSA or of what ECDH has before its parameters."""
    curve, number = fields.string(), fields.integer()
    point = number.to_bytes((number.bit_length() + 7) // 8, "big")
    if curve in _CURVES:
        size = (_CURVES[curve].key_size + 7) // 8
        if len(point) != 1 + 2 * size or point[:1] != b"\4":
            raise RefusedError("a point that is not on the curve")
        return PublicPart(lambda fields: key_proof.ec_key(_CURVES[curve], fields.integer(), point))
    if curve not in (_ED25519, _CURVE25519) or len(point) != 1 + key_proof.ED25519.size or point[:1] != _NATIVE:
        raise RefusedError("a curve that is not known")

    def take(fields: Fields) -> PrivateKey:
        value = fields.integer()
        if value.bit_length() > 8 * key_proof.ED25519.size:
            raise RefusedError("a private value of the wrong size")
        if curve == _ED25519:
            return key_proof.raw_key(key_proof.ED25519, value.to_bytes(key_proof.ED25519.size, "big"), point[1:])
        return key_proof.raw_key(key_proof.X25519, value.to_bytes(key_proof.X25519.size, "little"), point[1:])

    return PublicPart(take)


def _ecdh(fields: Fields) -> PublicPart:
    part = _ec(fields)
    if not 0 < len(fields.string()) <= _MAX_KDF:
        raise RefusedError("no parameters of a key derivation")
    return part


def _raw(algorithm: key_proof.RawAlgorithm) -> Callable[[Fields], PublicPart]:
    def read(fields: Fields) -> PublicPart:
        public = fields.take(algorithm.size)
        return PublicPart(
            lambda fields: key_proof.raw_key(algorithm, fields.take(algorithm.size), public), algorithm.size
        )

    return read


_ALGORITHMS: dict[int, Callable[[Fields], PublicPart]] = {
    **dict.fromkeys((1, 2, 3), _rsa),
    **dict.fromkeys((16, 20), _elgamal),
    17: _dsa,
    18: _ecdh,
    19: _ec,
    22: _ec,
    25: _raw(key_proof.X25519),
    26: _raw(key_proof.X448),
    27: _raw(key_proof.ED25519),
    28: _raw(key_proof.ED448),
}
