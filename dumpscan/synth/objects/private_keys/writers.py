"""The forms in which a scenario can ask for a private key."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, rsa, x448, x25519
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from dumpscan.exceptions import ScenarioError
from dumpscan.synth.objects import der
from dumpscan.synth.objects.keys import MultiPrimeKey
from dumpscan.synth.objects.pem import pem, pem_to_utf16
from dumpscan.synth.objects.private_keys.blobs import capi, cng_ec, cng_rsa
from dumpscan.synth.objects.private_keys.jwk import jwk_ec, jwk_raw, jwk_rsa
from dumpscan.synth.objects.private_keys.members import (
    ODD_MEMBERS,
    Members,
    multi_prime_pkcs1,
    pkcs1,
    rsa_members,
    rsa_pkcs8,
)
from dumpscan.synth.objects.private_keys.openpgp import openpgp, openpgp_armor
from dumpscan.synth.objects.private_keys.putty import ppk

if TYPE_CHECKING:
    from collections.abc import Callable

    from dumpscan.synth.objects.keys import KeyPair, PrivateKeyObject

_RSA, _EC, _DSA, _ED25519 = rsa.RSAPrivateKey, ec.EllipticCurvePrivateKey, dsa.DSAPrivateKey, ed25519.Ed25519PrivateKey
_RAW = (_ED25519, ed448.Ed448PrivateKey, x25519.X25519PrivateKey, x448.X448PrivateKey)
_NO_SECP256K1 = ("cng", "ppk")
"""Encodings that have no name for the curve secp256k1."""


@dataclass(frozen=True, slots=True)
class KeyWriter:
    """A form of private keys.

    Attributes:
        encoding: As in `Location.encoding`.
        writers: The function that writes keys of each class. `object` stands for every class.
    """

    encoding: str
    writers: dict[type, Callable[[Any], bytes]]

    def writer(self, key: KeyPair) -> Callable[[Any], bytes] | None:
        """Return the function that writes `key`; None if this form cannot hold it."""
        if self.encoding in _NO_SECP256K1 and key.curve == ec.SECP256K1.name:
            return None
        return next((write for kind, write in self.writers.items() if isinstance(key.private, kind)), None)


def _pkcs8(key: PrivateKeyObject) -> bytes:
    if isinstance(key, MultiPrimeKey):
        return rsa_pkcs8(multi_prime_pkcs1(key))
    return key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())


def _traditional(key: rsa.RSAPrivateKey | MultiPrimeKey | ec.EllipticCurvePrivateKey | dsa.DSAPrivateKey) -> bytes:
    """Return a key in the form of its algorithm: RSAPrivateKey, ECPrivateKey, DSAPrivateKey of OpenSSL."""
    if isinstance(key, MultiPrimeKey):
        return multi_prime_pkcs1(key)
    return key.private_bytes(Encoding.DER, PrivateFormat.TraditionalOpenSSL, NoEncryption())


def _pem(key: PrivateKeyObject) -> bytes:
    return pem("PRIVATE KEY", _pkcs8(key))


def _traditional_pem(label: str) -> Callable[[Any], bytes]:
    return lambda key: pem(f"{label} PRIVATE KEY", _traditional(key))


def _odd(change: Callable[[Members], Members], wrap: Callable[[bytes], bytes]) -> Callable[[Any], bytes]:
    return lambda key: wrap(pkcs1(change(rsa_members(key))))


def _cut(write: Callable[[Any], bytes], name: str) -> Callable[[Any], bytes]:
    return lambda key: _up_to(write(key), der.integer(rsa_members(key)[name]))


def _cut_ec(key: ec.EllipticCurvePrivateKey) -> bytes:
    scalar = key.private_numbers().private_value.to_bytes((key.key_size + 7) // 8, "big")
    return _up_to(_traditional(key), der.octet_string(scalar))


def _up_to(content: bytes, last: bytes) -> bytes:
    return content[: content.index(last) + len(last)]


_SSH = (_RSA, _EC, _ED25519)
_CUTS = ("d", "p", "q", "dp", "dq")
WRITERS = {
    "pkcs8": KeyWriter("pkcs8", {object: _pkcs8}),
    "pkcs1": KeyWriter("pkcs1", dict.fromkeys((_RSA, MultiPrimeKey), _traditional)),
    "sec1": KeyWriter("sec1", {_EC: _traditional}),
    "pem": KeyWriter("pem", {object: _pem}),
    "pem-traditional": KeyWriter(
        "pem",
        {
            **dict.fromkeys((_RSA, MultiPrimeKey), _traditional_pem("RSA")),
            _EC: _traditional_pem("EC"),
            _DSA: _traditional_pem("DSA"),
        },
    ),
    "pem-utf16": KeyWriter("pem-utf16", {object: lambda key: pem_to_utf16(_pem(key))}),
    "cng": KeyWriter("cng", {_RSA: cng_rsa, _EC: cng_ec}),
    "cng-full": KeyWriter("cng", {_RSA: partial(cng_rsa, full=True)}),
    "cng-ecdh": KeyWriter("cng", {_EC: partial(cng_ec, agreement=True)}),
    "capi": KeyWriter("capi", {_RSA: capi}),
    "jwk": KeyWriter("jwk", {_RSA: jwk_rsa, _EC: jwk_ec, **dict.fromkeys(_RAW, jwk_raw)}),
    "ppk-2": KeyWriter("ppk", dict.fromkeys(_SSH, ppk(2))),
    "ppk-3": KeyWriter("ppk", dict.fromkeys(_SSH, ppk(3))),
    "openpgp": KeyWriter("openpgp", dict.fromkeys(_SSH, openpgp)),
    "openpgp-armor": KeyWriter("openpgp-armor", dict.fromkeys(_SSH, openpgp_armor)),
    **{f"pkcs1-{name}": KeyWriter("pkcs1", {_RSA: _odd(change, bytes)}) for name, change in ODD_MEMBERS.items()},
    **{f"pkcs8-{name}": KeyWriter("pkcs8", {_RSA: _odd(change, rsa_pkcs8)}) for name, change in ODD_MEMBERS.items()},
    **{f"pkcs1-cut-after-{name}": KeyWriter("pkcs1", {_RSA: _cut(_traditional, name)}) for name in _CUTS},
    **{f"pkcs8-cut-after-{name}": KeyWriter("pkcs8", {_RSA: _cut(_pkcs8, name)}) for name in _CUTS},
    "sec1-cut-after-d": KeyWriter("sec1", {_EC: _cut_ec}),
}
"""The forms by the name that a scenario gives as a private key's encoding.

Of a key `...-cut-after-NAME`, only the bytes up to the end of one of its numbers are left.
"""


def write_key(key: KeyPair, encoding: str) -> bytes:
    """Return a private key in the form named `encoding`.

    Raises:
        ScenarioError: If `encoding` is not one of `WRITERS`, or cannot hold a key of this algorithm.
    """
    form = WRITERS.get(encoding)
    if form is None:
        raise ScenarioError(f"unknown encoding {encoding!r} of a private key; expected one of {', '.join(WRITERS)}")
    write = form.writer(key)
    if write is None:
        raise ScenarioError(f"encoding {encoding!r} cannot hold a key of algorithm {key.curve or key.algorithm}")
    return write(key.private)
