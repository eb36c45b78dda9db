"""The forms in which a scenario can ask for a private key."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from cryptography.hazmat.primitives.asymmetric import dsa, ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from dumpscan.exceptions import ScenarioError
from dumpscan.synth.objects.pem import pem_to_utf16
from dumpscan.synth.objects.private_keys.blobs import capi, cng_ec, cng_rsa

if TYPE_CHECKING:
    from collections.abc import Callable

    from dumpscan.synth.objects.keys import KeyPair, PrivateKeyObject

_RSA, _EC, _DSA = rsa.RSAPrivateKey, ec.EllipticCurvePrivateKey, dsa.DSAPrivateKey


@dataclass(frozen=True, slots=True)
class KeyWriter:
    """A form of private keys.

    Attributes:
        encoding: As in `Location.encoding`.
        writers: What writes a key of each class. `object` stands for every class that is not named.
    """

    encoding: str
    writers: dict[type, Callable[[Any], bytes]]

    def writer(self, key: KeyPair) -> Callable[[Any], bytes] | None:
        """Return what writes `key`; None if this form cannot hold it."""
        if self.encoding == "cng" and key.curve == ec.SECP256K1.name:
            return None  # CNG has no magic for this curve
        return next((write for kind, write in self.writers.items() if isinstance(key.private, kind)), None)


def _standard(encoding: Encoding, form: PrivateFormat) -> Callable[[PrivateKeyObject], bytes]:
    return lambda key: key.private_bytes(encoding, form, NoEncryption())


_pem = _standard(Encoding.PEM, PrivateFormat.PKCS8)
_traditional = _standard(Encoding.DER, PrivateFormat.TraditionalOpenSSL)

WRITERS = {
    "pkcs8": KeyWriter("pkcs8", {object: _standard(Encoding.DER, PrivateFormat.PKCS8)}),
    "pkcs1": KeyWriter("pkcs1", {_RSA: _traditional}),
    "sec1": KeyWriter("sec1", {_EC: _traditional}),
    "pem": KeyWriter("pem", {object: _pem}),
    "pem-traditional": KeyWriter(
        "pem", dict.fromkeys((_RSA, _EC, _DSA), _standard(Encoding.PEM, PrivateFormat.TraditionalOpenSSL))
    ),
    "pem-utf16": KeyWriter("pem-utf16", {object: lambda key: pem_to_utf16(_pem(key))}),
    "cng": KeyWriter("cng", {_RSA: cng_rsa, _EC: cng_ec}),
    "cng-full": KeyWriter("cng", {_RSA: partial(cng_rsa, full=True)}),
    "cng-ecdh": KeyWriter("cng", {_EC: partial(cng_ec, agreement=True)}),
    "capi": KeyWriter("capi", {_RSA: capi}),
}
"""The forms by the name that a scenario gives as a private key's encoding."""


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
