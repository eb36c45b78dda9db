"""The fields of a certificate that `cryptography` has parsed. Each reader raises what the parser does."""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING, Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, rsa, x448, x25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from dumpscan.artifacts import der
from dumpscan.artifacts.decoded import RefusedError
from dumpscan.artifacts.keys.proof import LIBRARY_ERRORS, MOST_EXPONENT_BITS
from dumpscan.artifacts.x509.oid_names import EXTENDED_KEY_USAGES, PUBLIC_KEY_ALGORITHMS, SIGNATURE_ALGORITHMS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes

ERRORS = (
    *LIBRARY_ERRORS,
    KeyError,  # older versions of cryptography: a string of a type that names do not have
    x509.InvalidVersion,
    x509.DuplicateExtension,
    x509.UnsupportedGeneralNameType,
    RefusedError,
)
"""What `cryptography` and the readers raise for a certificate that is not as it should be."""

Fields = dict[str, Any]
"""Fields of `Certificate`, by name."""

KEY_USAGES = (
    "digitalSignature",
    "nonRepudiation",
    "keyEncipherment",
    "dataEncipherment",
    "keyAgreement",
    "keyCertSign",
    "cRLSign",
    "encipherOnly",
    "decipherOnly",
)
"""The bits of the key usage extension from the first, by their names in RFC 5280, 4.2.1.3."""

_UPN = "1.3.6.1.4.1.311.20.2.3"
"""szOID_NT_PRINCIPAL_NAME: how Windows names the user that a certificate belongs to."""
_UTF8_STRING = 0x0C


def _subject(certificate: x509.Certificate) -> Fields:
    name = certificate.subject
    return {"subject": name.rfc4514_string(), "subject_common_name": common_name(name)}


def _issuer(certificate: x509.Certificate) -> Fields:
    name = certificate.issuer
    return {"issuer": name.rfc4514_string(), "issuer_common_name": common_name(name)}


def common_name(name: x509.Name) -> str | None:
    """Return the last common name of a name."""
    names = name.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
    if not names:
        return None
    value = names[-1].value
    return value if isinstance(value, str) else value.hex()


def _validity(certificate: x509.Certificate) -> Fields:
    return {"not_before": certificate.not_valid_before_utc, "not_after": certificate.not_valid_after_utc}


def _algorithm(certificate: x509.Certificate) -> Fields:
    dotted = certificate.signature_algorithm_oid.dotted_string
    return {"signature_algorithm": SIGNATURE_ALGORITHMS.get(dotted, dotted)}


def _public_key(certificate: x509.Certificate) -> Fields:
    key = certificate.public_key()
    # Written anew: a key is the same whether or not its certificate compressed the point or left out NULL parameters.
    info = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    dotted = certificate.public_key_algorithm_oid.dotted_string
    fields: Fields = {
        "key_id": sha256(info).hexdigest(),
        "public_key_algorithm": PUBLIC_KEY_ALGORITHMS.get(dotted, dotted),
    }
    return fields | _public_numbers(key)


def _public_numbers(key: CertificatePublicKeyTypes) -> Fields:
    match key:
        case rsa.RSAPublicKey():
            exponent = key.public_numbers().e
            sensible = exponent.bit_length() <= MOST_EXPONENT_BITS  # one of thousands of digits could not be shown
            return {"public_key_size": key.key_size, "public_key_exponent": exponent if sensible else None}
        case ec.EllipticCurvePublicKey():
            return {"public_key_size": key.curve.key_size, "public_key_curve": key.curve.name}
        case dsa.DSAPublicKey():
            return {"public_key_size": key.key_size}
        case ed25519.Ed25519PublicKey() | x25519.X25519PublicKey():
            return {"public_key_size": 256}
        case ed448.Ed448PublicKey():
            return {"public_key_size": 456}
        case x448.X448PublicKey():
            return {"public_key_size": 448}
        case _:
            return {}


def read_extensions(certificate: x509.Certificate) -> Fields:
    """Read the extensions that matter."""
    fields: Fields = {}
    for extension in certificate.extensions:
        match extension.value:
            case x509.SubjectAlternativeName() as names:
                fields["alternative_names"] = tuple(map(_general_name, names))
            case x509.BasicConstraints() as constraints:
                fields["is_ca"] = constraints.ca
            case x509.KeyUsage() as usage:
                fields["key_usage"] = tuple(name for name, allowed in _key_usages(usage) if allowed)
            case x509.ExtendedKeyUsage() as purposes:
                dotted = (purpose.dotted_string for purpose in purposes)
                fields["extended_key_usage"] = tuple(EXTENDED_KEY_USAGES.get(oid, oid) for oid in dotted)
    return fields


def _key_usages(usage: x509.KeyUsage) -> Iterator[tuple[str, bool]]:
    agreement = usage.key_agreement
    allowed = (
        usage.digital_signature,
        usage.content_commitment,
        usage.key_encipherment,
        usage.data_encipherment,
        agreement,
        usage.key_cert_sign,
        usage.crl_sign,
        agreement and usage.encipher_only,
        agreement and usage.decipher_only,
    )
    return zip(KEY_USAGES, allowed, strict=True)


def _general_name(name: x509.GeneralName) -> str:
    match name:
        case x509.DNSName():
            return f"DNS:{name.value}"
        case x509.IPAddress():
            return f"IP:{name.value}"
        case x509.RFC822Name():
            return f"email:{name.value}"
        case x509.UniformResourceIdentifier():
            return f"URI:{name.value}"
        case x509.DirectoryName():
            return f"dirName:{name.value.rfc4514_string()}"
        case x509.RegisteredID():
            return f"RID:{name.value.dotted_string}"
        case x509.OtherName() if name.type_id.dotted_string == _UPN:
            return f"UPN:{der.one(name.value, _UTF8_STRING).content.decode('utf-8', 'replace')}"
        case x509.OtherName():
            return f"otherName:{name.type_id.dotted_string}"
        case _:
            return type(name).__name__


READERS: dict[str, Callable[[x509.Certificate], Fields]] = {
    "issuer": _issuer,
    "subject": _subject,
    "validity": _validity,
    "algorithm": _algorithm,
    "public_key": _public_key,
    "extensions": read_extensions,
}
"""By the attribute of `Parts` that they depend on."""
