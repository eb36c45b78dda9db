"""Objects to plant in synthetic memory, and the truth about them: same specification and seed, same bytes.

Keys are named: two objects whose specifications give the same `key` and `algorithm` (under the same seed) belong to the
same key pair, which is how a certificate and its private key are paired.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from hashlib import sha1, sha256
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.asymmetric import rsa

from dumpscan.artifacts.aes.schedule import expand
from dumpscan.artifacts.symcrypt.aes import SCHEDULE_ENCODING
from dumpscan.artifacts.symcrypt.rsa import ENCODING as SYMCRYPT
from dumpscan.exceptions import ScenarioError
from dumpscan.findings import Certificate, EncryptedContainer, PrivateKey, PublicKey, SymmetricKey
from dumpscan.synth.objects import containers
from dumpscan.synth.objects.certificates import CertificateFields, build_certificate, parse_name
from dumpscan.synth.objects.keys import (
    WRITERS,
    KeyPair,
    make_key,
    make_symmetric_key,
    pem,
    pem_to_utf16,
    pkcs1,
    symmetric_key_id,
    write_key,
)
from dumpscan.synth.objects.planted import DECOY, PlantedObject
from dumpscan.synth.objects.symcrypt.keys import BUILDS, garbled, make_aes, make_symcrypt
from dumpscan.synth.seeded import SeededBytes

if TYPE_CHECKING:
    from collections.abc import Callable

KINDS = (Certificate.kind, PrivateKey.kind, PublicKey.kind, SymmetricKey.kind, EncryptedContainer.kind, DECOY)
CERTIFICATE_ENCODINGS = ("der", "pem", "pem-utf16")
CONTAINER_ENCODINGS = ("pkcs8-encrypted", "pem-encrypted", "pkcs12")
PRIVATE_KEY_ENCODINGS = (*WRITERS, *BUILDS)
PUBLIC_KEY_ENCODINGS = tuple(BUILDS)
SYMMETRIC_KEY_ENCODINGS = (*BUILDS, SCHEDULE_ENCODING)
_CONTAINERS = {"pkcs8-encrypted": "pkcs8", "pem-encrypted": "pkcs8", "pkcs12": "pkcs12"}


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectSpec:
    """What to make.

    Attributes:
        kind: `certificate`, `private_key`, `public_key`, `symmetric_key`, `encrypted_container` or `decoy`.
        algorithm: Of the key: `rsa-2048`, `ec-p256`, `ed25519`, `dsa-2048` ... (`keys.ALGORITHMS`), of a symmetric one
            `aes-128`, `aes-192`, `aes-256` (`keys.SYMMETRIC`).
        key: Name of the key pair.
        encoding: How it is written: certificates `der` (default), `pem`, `pem-utf16`; private keys `pkcs8` (default)
            and the other names of `keys.WRITERS`, or SymCrypt's own object, `symcrypt_objects.BUILDS`; public keys one
            of those (`symcrypt-x64` by default); symmetric keys one of those or `aes-schedule`; containers
            `pkcs8-encrypted` (default), `pem-encrypted`, `pkcs12`; decoys the name of a flaw (`FLAWS`),
            `truncated-certificate` by default.
        subject: RFC 4514 distinguished name, for certificates.
        issuer: Specification of the certificate that signs; None for a self-signed one.
        version: 1 or 3.
        serial: Serial number; None takes one from the seed.
        not_before: UTC.
        not_after: UTC.
        alternative_names: `DNS:name`, `IP:address`, `email:address`, `URI:address`.
        ca: Basic constraints of the certificate.
        password: Of an encrypted container.
        wrapped: Whether the provider's handle lies behind SymCrypt's key.
    """

    kind: str
    algorithm: str = "rsa-2048"
    key: str = "key"
    encoding: str | None = None
    subject: str = "CN=example.org"
    issuer: ObjectSpec | None = None
    version: int = 3
    serial: int | None = None
    not_before: datetime = datetime(2024, 1, 1, tzinfo=UTC)
    not_after: datetime = datetime(2026, 1, 1, tzinfo=UTC)
    alternative_names: tuple[str, ...] = ()
    ca: bool = False
    password: str = field(default="dumpscan", repr=False)
    wrapped: bool = False


def make(spec: ObjectSpec, seed: str) -> PlantedObject:
    """Return the object that `spec` and `seed` determine.

    Raises:
        ScenarioError: If the specification makes no sense: an unknown kind, algorithm or encoding, an encoding that
            cannot hold such a key, a malformed name, a key that cannot sign.
    """
    maker = _MAKERS.get(spec.kind)
    if maker is None:
        raise ScenarioError(f"unknown kind {spec.kind!r}; expected one of {', '.join(KINDS)}")
    return maker(spec, seed)


def key_of(spec: ObjectSpec, seed: str) -> KeyPair:
    """Return the key pair that `spec` names."""
    return make_key(spec.algorithm, f"{seed}/{spec.key}")


def certificate_der(spec: ObjectSpec, seed: str) -> bytes:
    """Return the DER of the certificate that `spec` describes, whatever its kind and encoding."""
    issuer = spec.issuer or spec
    serial = spec.serial
    if serial is None:
        # A positive one of 16 bytes, as Windows makes them: the top bit clear, the next one set.
        label = SeededBytes(
            "serial", seed, spec.key, spec.algorithm, spec.subject, str(spec.version), str(spec.not_before)
        )
        serial = label.bits(126) | 1 << 126
    if spec.version not in (1, 3):
        raise ScenarioError(f"certificate version {spec.version}; expected 1 or 3")
    fields = CertificateFields(
        version=spec.version,
        serial=serial,
        subject=spec.subject,
        issuer=issuer.subject,
        not_before=spec.not_before,
        not_after=spec.not_after,
        alternative_names=spec.alternative_names,
        ca=spec.ca,
    )
    return build_certificate(fields, key_of(spec, seed), key_of(issuer, seed))


def _encoding(spec: ObjectSpec, known: tuple[str, ...]) -> str:
    encoding = spec.encoding or known[0]
    if encoding not in known:
        raise ScenarioError(f"unknown encoding {encoding!r} of a {spec.kind}; expected one of {', '.join(known)}")
    return encoding


def _certificate(spec: ObjectSpec, seed: str) -> PlantedObject:
    encoding = _encoding(spec, CERTIFICATE_ENCODINGS)
    content = certificate_der(spec, seed)
    key = key_of(spec, seed)
    data = content
    if encoding != "der":
        data = pem("CERTIFICATE", content)
    if encoding == "pem-utf16":
        data = pem_to_utf16(data)
    return PlantedObject(
        kind=spec.kind,
        encoding=encoding,
        data=data,
        sha256=sha256(data).hexdigest(),
        algorithm=key.algorithm,
        bits=key.bits,
        curve=key.curve,
        key_id=key.key_id,
        der=content,
        thumbprint=sha1(content).hexdigest().upper(),  # noqa: S324 -- a thumbprint is SHA-1 by definition
        subject=parse_name(spec.subject).rfc4514_string(),
        issuer=parse_name((spec.issuer or spec).subject).rfc4514_string(),
    )


def _private_key(spec: ObjectSpec, seed: str) -> PlantedObject:
    key = key_of(spec, seed)
    encoding = spec.encoding or "pkcs8"
    if encoding in BUILDS:
        return _symcrypt_key(spec, seed)
    data = write_key(key, encoding)
    return PlantedObject(
        kind=spec.kind,
        encoding=location_encoding(encoding),
        data=data,
        sha256=sha256(data).hexdigest(),
        algorithm=key.algorithm,
        bits=key.bits,
        curve=key.curve,
        key_id=key.key_id,
    )


def _symcrypt_key(spec: ObjectSpec, seed: str) -> PlantedObject:
    key = key_of(spec, seed)
    build = _encoding(spec, PUBLIC_KEY_ENCODINGS)
    public_only = spec.kind == PublicKey.kind
    made = make_symcrypt(key, build, public_only=public_only, wrapped=spec.wrapped, seed=seed)
    return PlantedObject(
        kind=spec.kind,
        encoding=SYMCRYPT,
        library=made,
        algorithm=key.algorithm,
        bits=key.bits,
        curve=key.curve,
        key_id=key.key_id,
        layout=made.abi.layout,
        architecture=made.abi.architecture,
    )


def _symmetric_key(spec: ObjectSpec, seed: str) -> PlantedObject:
    key = make_symmetric_key(spec.algorithm, f"{seed}/{spec.key}")
    encoding = _encoding(spec, SYMMETRIC_KEY_ENCODINGS)
    planted = PlantedObject(
        kind=spec.kind,
        encoding=location_encoding(encoding),
        algorithm="AES",
        bits=len(key) * 8,
        key_id=symmetric_key_id("AES", key),
    )
    if encoding == SCHEDULE_ENCODING:
        data = expand(key)
        return replace(planted, data=data, sha256=sha256(data).hexdigest())
    made = make_aes(key, encoding)
    # Its layout never changed, and is the same wherever pointers have 8 bytes: nothing more can be told from it.
    architecture = made.abi.architecture if made.abi.pointer_size == 4 else None  # noqa: PLR2004 -- x86
    return replace(planted, library=made, architecture=architecture)


def _container(spec: ObjectSpec, seed: str) -> PlantedObject:
    encoding = _encoding(spec, CONTAINER_ENCODINGS)
    key = key_of(spec, seed)
    pkcs8 = write_key(key, "pkcs8")
    label = f"{seed}/{spec.key}/{spec.algorithm}"
    if encoding == "pkcs12":
        data = containers.pkcs12(pkcs8, certificate_der(spec, seed), spec.password, label, friendly_name=spec.key)
    else:
        data = containers.encrypted_pkcs8(pkcs8, spec.password, label)
        if encoding == "pem-encrypted":
            data = pem("ENCRYPTED PRIVATE KEY", data)
    return PlantedObject(
        kind=spec.kind,
        encoding=location_encoding(encoding),
        data=data,
        sha256=sha256(data).hexdigest(),
        container=_CONTAINERS[encoding],
        kdf=containers.KDF,
        cipher=containers.CIPHER,
        iterations=containers.ITERATIONS,
    )


def location_encoding(encoding: str) -> str:
    """Return the `Location.encoding` of an object that a specification's `encoding` writes."""
    if encoding in WRITERS:
        return WRITERS[encoding].encoding
    if encoding in BUILDS:
        return SYMCRYPT
    return {"pkcs8-encrypted": "der", "pkcs12": "der", "pem-encrypted": "pem"}.get(encoding, encoding)


def _rsa_numbers(spec: ObjectSpec, seed: str) -> rsa.RSAPrivateNumbers:
    key = key_of(spec, seed).private
    if not isinstance(key, rsa.RSAPrivateKey):
        raise ScenarioError(f"this decoy is made of an RSA key, not of {spec.algorithm!r}")
    return key.private_numbers()


def _broken_modulus(spec: ObjectSpec, seed: str) -> bytes:
    numbers = _rsa_numbers(spec, seed)
    public = rsa.RSAPublicNumbers(numbers.public_numbers.e, numbers.public_numbers.n + 2)
    return pkcs1(
        rsa.RSAPrivateNumbers(
            numbers.p, numbers.q, numbers.d, numbers.dmp1, numbers.dmq1, numbers.iqmp, public_numbers=public
        )
    )


def _broken_blob(spec: ObjectSpec, seed: str) -> bytes:
    blob = bytearray(write_key(key_of(spec, seed), "cng"))
    blob[-1] ^= 0x80
    return bytes(blob)


def _truncated_certificate(spec: ObjectSpec, seed: str) -> bytes:
    content = certificate_der(spec, seed)
    return content[: len(content) // 2]


def _garbled_certificate(spec: ObjectSpec, seed: str) -> bytes:
    content = certificate_der(spec, seed)
    return content[:16] + SeededBytes("decoy", seed, spec.key).take(len(content) - 16)


def _broken_pem(spec: ObjectSpec, seed: str) -> bytes:
    return pem("RSA PRIVATE KEY", _broken_modulus(spec, seed))


DECOYS: dict[str, Callable[[ObjectSpec, str], bytes]] = {
    "truncated-certificate": _truncated_certificate,
    "garbled-certificate": _garbled_certificate,
    "broken-modulus": _broken_modulus,
    "broken-blob": _broken_blob,
    "broken-pem": _broken_pem,
}
"""Things that open like a certificate or a key and are none: a scanner that reports them is wrong.

`broken-modulus`: a PKCS#1 key with n != p*q; `broken-pem`: the same as PEM; `broken-blob`: a CNG blob whose last number
is off; `truncated-certificate`: the first half; `garbled-certificate`: 16 right bytes, then noise.
"""

_GARBLED = {f"garbled-{build}": build for build in BUILDS}
FLAWS = (*DECOYS, *_GARBLED)
"""All decoys: those of `DECOYS`, and `garbled-symcrypt-x64` ...: a key of SymCrypt whose tags, sizes and pointers are
right and whose numbers are noise."""


def _decoy(spec: ObjectSpec, seed: str) -> PlantedObject:
    encoding = _encoding(spec, FLAWS)
    if encoding in _GARBLED:
        made = make_symcrypt(key_of(spec, seed), _GARBLED[encoding], wrapped=spec.wrapped, seed=seed)
        return PlantedObject(kind=spec.kind, encoding=encoding, library=garbled(made, f"{seed}/{spec.key}"))
    data = DECOYS[encoding](spec, seed)
    return PlantedObject(kind=spec.kind, encoding=encoding, data=data, sha256=sha256(data).hexdigest())


_MAKERS: dict[str, Callable[[ObjectSpec, str], PlantedObject]] = {
    Certificate.kind: _certificate,
    PrivateKey.kind: _private_key,
    PublicKey.kind: _symcrypt_key,
    SymmetricKey.kind: _symmetric_key,
    EncryptedContainer.kind: _container,
    DECOY: _decoy,
}
