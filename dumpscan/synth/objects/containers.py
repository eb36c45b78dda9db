"""Encrypted containers of private keys, with salts from a seed: PKCS#8, PKCS#12 and Java key stores.

Sources: RFC 5958 and RFC 8018 (PKCS#8 under PBES2), RFC 7292 (PKCS#12). `cryptography` draws every salt at random, so
only its ciphers and its PBKDF2 are used here.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.kdf.pbkdf2 import PBKDF2HMAC
from cryptography.hazmat.primitives.padding import PKCS7

from dumpscan.synth.alignment import align
from dumpscan.synth.objects import der
from dumpscan.synth.objects.keystore import jks
from dumpscan.synth.objects.pem import pem
from dumpscan.synth.seeded import SeededBytes

if TYPE_CHECKING:
    from collections.abc import Callable

ITERATIONS = 2048

_PKCS7_DATA = der.oid("1.2.840.113549.1.7.1")
_PKCS7_ENCRYPTED_DATA = der.oid("1.2.840.113549.1.7.6")
_PBES2 = der.oid("1.2.840.113549.1.5.13")
_PBKDF2 = der.oid("1.2.840.113549.1.5.12")
_HMAC_SHA256 = der.oid("1.2.840.113549.2.9")
_AES_256_CBC = der.oid("2.16.840.1.101.3.4.1.42")
_SHA256 = der.oid("2.16.840.1.101.3.4.2.1")
_SHROUDED_KEY_BAG = der.oid("1.2.840.113549.1.12.10.1.2")
_CERT_BAG = der.oid("1.2.840.113549.1.12.10.1.3")
_X509_CERTIFICATE = der.oid("1.2.840.113549.1.9.22.1")
_FRIENDLY_NAME = der.oid("1.2.840.113549.1.9.20")
_LOCAL_KEY_ID = der.oid("1.2.840.113549.1.9.21")


@dataclass(frozen=True, slots=True)
class _Encrypted:
    """Content encrypted under PBES2, and the AlgorithmIdentifier with its parameters."""

    algorithm: bytes
    content: bytes


def _pbes2(content: bytes, password: str, source: SeededBytes) -> _Encrypted:
    salt, initial = source.take(16), source.take(16)
    key = PBKDF2HMAC(hashes.SHA256(), 32, salt, ITERATIONS).derive(password.encode())
    padder = PKCS7(128).padder()
    encryptor = Cipher(algorithms.AES(key), modes.CBC(initial)).encryptor()
    encrypted = encryptor.update(padder.update(content) + padder.finalize()) + encryptor.finalize()
    kdf = der.sequence(
        _PBKDF2,
        der.sequence(der.octet_string(salt), der.integer(ITERATIONS), der.sequence(_HMAC_SHA256, der.NULL)),
    )
    cipher = der.sequence(_AES_256_CBC, der.octet_string(initial))
    return _Encrypted(der.sequence(_PBES2, der.sequence(kdf, cipher)), encrypted)


def encrypted_pkcs8(pkcs8: bytes, password: str, seed: str) -> bytes:
    """Return a PKCS#8 key as an EncryptedPrivateKeyInfo (RFC 5958, 3)."""
    shell = _pbes2(pkcs8, password, SeededBytes("encrypted-pkcs8", seed))
    return der.sequence(shell.algorithm, der.octet_string(shell.content))


def pkcs12(pkcs8: bytes, certificate: bytes, password: str, seed: str, friendly_name: str) -> bytes:
    """Return a PFX (RFC 7292, 4) that holds a key and its certificate, both encrypted, under an HMAC-SHA256."""
    source = SeededBytes("pkcs12", seed)
    attributes = der.set_of(
        der.sequence(_FRIENDLY_NAME, der.set_of(der.bmp_string(friendly_name))),
        der.sequence(_LOCAL_KEY_ID, der.set_of(der.octet_string(hashlib.sha1(certificate).digest()))),  # noqa: S324 -- a name
    )
    x509 = der.sequence(_X509_CERTIFICATE, der.explicit(0, der.octet_string(certificate)))
    certificates = der.sequence(der.sequence(_CERT_BAG, der.explicit(0, x509), attributes))
    shell = _pbes2(certificates, password, source)
    encrypted_content = der.sequence(_PKCS7_DATA, shell.algorithm, der.tlv(0x80, shell.content))
    encrypted_data = der.sequence(der.integer(0), encrypted_content)

    bag = _pbes2(pkcs8, password, source)
    shrouded = der.sequence(bag.algorithm, der.octet_string(bag.content))
    keys = der.sequence(der.sequence(_SHROUDED_KEY_BAG, der.explicit(0, shrouded), attributes))

    authenticated = der.sequence(
        der.sequence(_PKCS7_ENCRYPTED_DATA, der.explicit(0, encrypted_data)),
        der.sequence(_PKCS7_DATA, der.explicit(0, der.octet_string(keys))),
    )
    salt = source.take(20)
    mac_key = _pkcs12_mac_key(password, salt)
    digest = hmac.digest(mac_key, authenticated, "sha256")
    mac = der.sequence(
        der.sequence(der.sequence(_SHA256, der.NULL), der.octet_string(digest)),
        der.octet_string(salt),
        der.integer(ITERATIONS),
    )
    content = der.sequence(_PKCS7_DATA, der.explicit(0, der.octet_string(authenticated)))
    return der.sequence(der.integer(3), content, mac)


def _pkcs12_mac_key(password: str, salt: bytes) -> bytes:
    """Return the MAC key of 32 bytes, which is one output of SHA-256 (RFC 7292, B.2, with the ID byte 3)."""
    block = 64

    def fill(material: bytes) -> bytes:
        size = align(len(material), block)
        return (material * (size // len(material) + 1))[:size]

    key = bytes([3]) * block + fill(salt) + fill(password.encode("utf-16-be") + b"\0\0")
    for _ in range(ITERATIONS):
        key = hashlib.sha256(key).digest()
    return key


@dataclass(frozen=True, slots=True)
class Contents:
    """What a container holds: a PKCS#8 key, its certificate (empty if the container holds none), and its name."""

    pkcs8: bytes
    certificate: bytes
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyContainer:
    """A kind of container.

    Attributes:
        name: As in `EncryptedContainer.container`.
        encoding: As in `Location.encoding`.
        write: Returns the container from its contents, a password and a seed.
        has_certificate: Whether it holds the key's certificate.
        open_certificate: Whether the certificate is not encrypted.
        kdf: As in `EncryptedContainer`, like `cipher` and `iterations`.
    """

    name: str
    encoding: str
    write: Callable[[Contents, str, str], bytes]
    has_certificate: bool = False
    open_certificate: bool = False
    kdf: str | None = "PBKDF2-HMAC-SHA256"
    cipher: str | None = "AES-256-CBC"
    iterations: int | None = ITERATIONS


def _pkcs8(contents: Contents, password: str, seed: str) -> bytes:
    return encrypted_pkcs8(contents.pkcs8, password, seed)


def _pkcs12(contents: Contents, password: str, seed: str) -> bytes:
    return pkcs12(contents.pkcs8, contents.certificate, password, seed, contents.name)


def _jks(contents: Contents, password: str, seed: str) -> bytes:
    return jks(contents.pkcs8, contents.certificate, password, seed, contents.name)


CONTAINERS = {
    "pkcs8-encrypted": KeyContainer(name="pkcs8", encoding="der", write=_pkcs8),
    "pem-encrypted": KeyContainer(
        name="pkcs8", encoding="pem", write=lambda *given: pem("ENCRYPTED PRIVATE KEY", _pkcs8(*given))
    ),
    "pkcs12": KeyContainer(name="pkcs12", encoding="der", write=_pkcs12, has_certificate=True),
    "jks": KeyContainer(
        name="jks",
        encoding="jks",
        write=_jks,
        has_certificate=True,
        open_certificate=True,
        kdf=None,
        cipher=None,
        iterations=None,
    ),
}
"""The containers by the name that a scenario gives as an encoding."""
