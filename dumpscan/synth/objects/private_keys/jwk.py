"""JSON Web Keys (RFC 7517; parameters by RFC 7518, 6 and RFC 8037, 2)."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING

from dumpscan.synth.objects.private_keys.members import rsa_members

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
    from cryptography.hazmat.primitives.asymmetric.ed448 import Ed448PrivateKey
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
    from cryptography.hazmat.primitives.asymmetric.x448 import X448PrivateKey
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

_CURVES = {"secp256r1": "P-256", "secp384r1": "P-384", "secp521r1": "P-521", "secp256k1": "secp256k1"}


def jwk_rsa(key: RSAPrivateKey) -> bytes:
    """Return an RSA key as a JWK."""
    return _jwk("RSA", {name: _number(value) for name, value in rsa_members(key).items()})


def jwk_ec(key: EllipticCurvePrivateKey) -> bytes:
    """Return an EC key as a JWK."""
    numbers, size = key.private_numbers(), (key.key_size + 7) // 8
    public = numbers.public_numbers
    values = {"x": public.x, "y": public.y, "d": numbers.private_value}
    return _jwk("EC", {name: _number(value, size) for name, value in values.items()}, crv=_CURVES[key.curve.name])


def jwk_raw(key: Ed25519PrivateKey | Ed448PrivateKey | X25519PrivateKey | X448PrivateKey) -> bytes:
    """Return a key of an Edwards or Montgomery curve as a JWK."""
    values = {"x": _base64(key.public_key().public_bytes_raw()), "d": _base64(key.private_bytes_raw())}
    return _jwk("OKP", values, crv=type(key).__name__.lstrip("_").removesuffix("PrivateKey"))


def _jwk(kind: str, values: dict[str, str], **more: str) -> bytes:
    return json.dumps({"kty": kind, **more, **values}, separators=(",", ":")).encode()


def _number(value: int, size: int | None = None) -> str:
    return _base64(value.to_bytes((value.bit_length() + 7) // 8 if size is None else size, "big"))


def _base64(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()
