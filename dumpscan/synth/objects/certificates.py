"""Certificates from a seed: versions 1 and 3, any serial number, and signatures that are the same on every run.

`cryptography` does the names, extensions and keys, but its builder makes version 3 only and cannot sign DSA the same
way twice; so the certificate around them (RFC 5280, 4.1) is put together here.
"""

from __future__ import annotations

import hashlib
import ipaddress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, padding, rsa

from dumpscan.exceptions import ScenarioError
from dumpscan.synth.objects import der
from dumpscan.synth.seeded import SeededBytes, dsa_signature

if TYPE_CHECKING:
    from dumpscan.synth.objects.keys import KeyPair

_RSA_SHA256 = der.sequence(der.oid("1.2.840.113549.1.1.11"), der.NULL)
_DSA_SHA256 = der.sequence(der.oid("2.16.840.1.101.3.4.3.2"))
_ED25519 = der.sequence(der.oid("1.3.101.112"))
_ED448 = der.sequence(der.oid("1.3.101.113"))
_ECDSA: dict[int, tuple[bytes, hashes.HashAlgorithm]] = {
    256: (der.sequence(der.oid("1.2.840.10045.4.3.2")), hashes.SHA256()),
    384: (der.sequence(der.oid("1.2.840.10045.4.3.3")), hashes.SHA384()),
    521: (der.sequence(der.oid("1.2.840.10045.4.3.4")), hashes.SHA512()),
}
_UTC_TIME_YEARS = range(1950, 2050)
"""Years that a validity gives as UTCTime; all others as GeneralizedTime (RFC 5280, 4.1.2.5)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateFields:
    """What a certificate says.

    Attributes:
        version: 1 or 3; version 1 has no extensions.
        serial: Any integer, negative ones too (`cryptography` refuses those, and memory holds them).
        subject: RFC 4514 distinguished name.
        issuer: RFC 4514 distinguished name.
        not_before: UTC.
        not_after: UTC.
        alternative_names: `DNS:name`, `IP:address`, `email:address`, `URI:address`.
        ca: Basic constraints: whether it may sign others.
    """

    version: int
    serial: int
    subject: str
    issuer: str
    not_before: datetime
    not_after: datetime
    alternative_names: tuple[str, ...] = ()
    ca: bool = False


def build_certificate(fields: CertificateFields, key: KeyPair, signer: KeyPair) -> bytes:
    """Return the DER of a certificate of `key`, signed by `signer`.

    Raises:
        ScenarioError: If a name is malformed, or the signer's algorithm cannot sign.
    """
    if signer.algorithm in ("X25519", "X448"):
        raise ScenarioError(f"a key of algorithm {signer.algorithm} cannot sign: name an issuer")
    algorithm = _signature_algorithm(signer)
    extensions = _extensions(fields)
    body = der.sequence(
        der.explicit(0, der.integer(fields.version - 1)) if fields.version > 1 else b"",
        der.integer(fields.serial),
        algorithm,
        parse_name(fields.issuer).public_bytes(),
        der.sequence(_time(fields.not_before), _time(fields.not_after)),
        parse_name(fields.subject).public_bytes(),
        key.public_info,
        der.explicit(3, der.sequence(*extensions)) if extensions else b"",
    )
    return der.sequence(body, algorithm, der.bit_string(_sign(signer, body)))


def parse_name(text: str) -> x509.Name:
    """Return a distinguished name from its RFC 4514 text.

    Raises:
        ScenarioError: If it is malformed.
    """
    try:
        return x509.Name.from_rfc4514_string(text)
    except ValueError as error:
        raise ScenarioError(
            f"{text!r} is no distinguished name (RFC 4514), e.g. CN=www.example.org,O=Example"
        ) from error


def alternative_name(text: str) -> x509.GeneralName:
    """Return a general name from `TYPE:value`.

    Raises:
        ScenarioError: If the type is none of DNS, IP, email, URI, or the value is none of its kind.
    """
    kind, _, value = text.partition(":")
    try:
        match kind if value else "":
            case "DNS":
                return x509.DNSName(value)
            case "IP":
                return x509.IPAddress(ipaddress.ip_address(value))
            case "email":
                return x509.RFC822Name(value)
            case "URI":
                return x509.UniformResourceIdentifier(value)
    except ValueError as error:
        raise ScenarioError(f"{text!r} is no alternative name: {error}") from error
    raise ScenarioError(f"{text!r} is no alternative name; expected DNS:, IP:, email: or URI: and a value")


def _time(moment: datetime) -> bytes:
    moment = moment.astimezone(UTC)
    if moment.year in _UTC_TIME_YEARS:
        return der.tlv(0x17, moment.strftime("%y%m%d%H%M%SZ").encode())
    return der.tlv(0x18, f"{moment.year:04}{moment:%m%d%H%M%S}Z".encode())


def _extensions(fields: CertificateFields) -> list[bytes]:
    if fields.version < 3:  # noqa: PLR2004 -- extensions came with version 3
        if fields.alternative_names or fields.ca:
            raise ScenarioError("a version 1 certificate has no extensions: no alternative names, no ca")
        return []
    extensions: list[tuple[x509.ExtensionType, bool]] = [
        (x509.BasicConstraints(ca=fields.ca, path_length=None), True),
    ]
    if fields.alternative_names:
        names = [alternative_name(name) for name in fields.alternative_names]
        extensions.append((x509.SubjectAlternativeName(names), False))
    return [
        der.sequence(
            der.oid(extension.oid.dotted_string),
            der.TRUE if critical else b"",
            der.octet_string(extension.public_bytes()),
        )
        for extension, critical in extensions
    ]


def _signature_algorithm(signer: KeyPair) -> bytes:
    match signer.algorithm:
        case "RSA":
            return _RSA_SHA256
        case "DSA":
            return _DSA_SHA256
        case "EC":
            return _ECDSA[signer.bits][0]
        case "Ed25519":
            return _ED25519
        case _:
            return _ED448


def _sign(signer: KeyPair, body: bytes) -> bytes:
    match signer.private:
        case rsa.RSAPrivateKey() as key:
            return key.sign(body, padding.PKCS1v15(), hashes.SHA256())
        case ec.EllipticCurvePrivateKey() as key:
            return key.sign(body, ec.ECDSA(_ECDSA[signer.bits][1], deterministic_signing=True))
        case ed25519.Ed25519PrivateKey() | ed448.Ed448PrivateKey() as key:
            return key.sign(body)
        case dsa.DSAPrivateKey() as key:
            numbers = key.private_numbers()
            group = numbers.public_numbers.parameter_numbers
            digest = hashlib.sha256(body).digest()
            source = SeededBytes("dsa-nonce", signer.key_id, digest.hex())
            r, s = dsa_signature((group.p, group.q, group.g), numbers.x, digest, source)
            return der.sequence(der.integer(r), der.integer(s))
        case _:
            raise ScenarioError(f"a key of algorithm {signer.algorithm} cannot sign: name an issuer")
