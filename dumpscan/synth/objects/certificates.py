"""Certificates from a seed: of version 1 or 3, with any serial number and the same signature on every run.

`cryptography` encodes the names, extensions and keys. Its builder makes only version 3 and draws the nonce of a DSA
signature at random, so the certificate around them (RFC 5280, 4.1) is encoded here.
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
from dumpscan.synth.objects.keys import KeyPair, make_key
from dumpscan.synth.seeded import SeededBytes, dsa_signature

if TYPE_CHECKING:
    from dumpscan.synth.objects.spec import ObjectSpec

_ALGORITHMS = {
    "RSA": der.sequence(der.oid("1.2.840.113549.1.1.11"), der.NULL),  # sha256WithRSAEncryption
    "DSA": der.sequence(der.oid("2.16.840.1.101.3.4.3.2")),  # dsa-with-sha256
    "Ed25519": der.sequence(der.oid("1.3.101.112")),
    "Ed448": der.sequence(der.oid("1.3.101.113")),
}
"""AlgorithmIdentifier of signatures, by the signer's algorithm; for EC see `_ECDSA`."""
_ECDSA: dict[int, tuple[bytes, hashes.HashAlgorithm]] = {
    256: (der.sequence(der.oid("1.2.840.10045.4.3.2")), hashes.SHA256()),
    384: (der.sequence(der.oid("1.2.840.10045.4.3.3")), hashes.SHA384()),
    521: (der.sequence(der.oid("1.2.840.10045.4.3.4")), hashes.SHA512()),
}
_UTC_TIME_YEARS = range(1950, 2050)
"""Years that are written as UTCTime. All others are written as GeneralizedTime (RFC 5280, 4.1.2.5)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateFields:
    """The contents of a certificate.

    Attributes:
        version: 1 or 3. Version 1 has no extensions.
        serial: Any integer. `cryptography` refuses negative ones, but they occur in real certificates.
        subject: RFC 4514 distinguished name.
        issuer: RFC 4514 distinguished name.
        not_before: UTC.
        not_after: UTC.
        alternative_names: `DNS:name`, `IP:address`, `email:address`, `URI:address`.
        ca: Basic constraints: whether the certificate may sign others.
    """

    version: int
    serial: int
    subject: str
    issuer: str
    not_before: datetime
    not_after: datetime
    alternative_names: tuple[str, ...] = ()
    ca: bool = False


def key_of(spec: ObjectSpec, seed: str) -> KeyPair:
    """Return the key pair that `spec` names."""
    return make_key(spec.algorithm, f"{seed}/{spec.key}")


def certificate_der(spec: ObjectSpec, seed: str) -> bytes:
    """Return the certificate that `spec` describes in DER, whatever its kind and encoding.

    Raises:
        ScenarioError: If the version is unknown, a name is malformed, or the issuer's key cannot sign.
    """
    if spec.version not in (1, 3):
        raise ScenarioError(f"certificate version {spec.version}; expected 1 or 3")
    issuer, serial = spec.issuer or spec, spec.serial
    if serial is None:
        # 16 bytes and positive, as Windows makes them: the top bit is clear, the next one is set.
        label = "serial", seed, spec.key, spec.algorithm, spec.subject, str(spec.version), str(spec.not_before)
        serial = SeededBytes(*label).bits(126) | 1 << 126
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


def build_certificate(fields: CertificateFields, key: KeyPair, signer: KeyPair) -> bytes:
    """Return a certificate of `key`, signed by `signer`, in DER.

    Raises:
        ScenarioError: If a name is malformed, or the signer's key cannot sign.
    """
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
    """Return a distinguished name from its text in RFC 4514.

    Raises:
        ScenarioError: If the text is malformed.
    """
    try:
        return x509.Name.from_rfc4514_string(text)
    except ValueError as error:
        expected = "expected text in RFC 4514 such as CN=www.example.org,O=Example"
        raise ScenarioError(f"{text!r} is no distinguished name; {expected}") from error


def alternative_name(text: str) -> x509.GeneralName:
    """Return a general name from `TYPE:value`.

    Raises:
        ScenarioError: If the type is not DNS, IP, email or URI, or the value does not fit the type.
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
        raise ScenarioError(f"{text!r} is not an alternative name: {error}") from error
    raise ScenarioError(f"{text!r} is not an alternative name; expected DNS:, IP:, email: or URI: with a value")


def _time(moment: datetime) -> bytes:
    moment = moment.astimezone(UTC)
    if moment.year in _UTC_TIME_YEARS:
        return der.tlv(0x17, moment.strftime("%y%m%d%H%M%SZ").encode())
    return der.tlv(0x18, f"{moment.year:04}{moment:%m%d%H%M%S}Z".encode())


def _extensions(fields: CertificateFields) -> list[bytes]:
    if fields.version < 3:  # noqa: PLR2004 -- extensions came with version 3
        if fields.alternative_names or fields.ca:
            raise ScenarioError("a version 1 certificate has no extensions; leave out alternative_names and ca")
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
    if signer.algorithm == "EC":
        return _ECDSA[signer.bits][0]
    if signer.algorithm not in _ALGORITHMS:
        raise ScenarioError(f"a key of algorithm {signer.algorithm} cannot sign; give an issuer")
    return _ALGORITHMS[signer.algorithm]


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
            raise ScenarioError("an RSA key with more than two primes cannot sign; give an issuer")
