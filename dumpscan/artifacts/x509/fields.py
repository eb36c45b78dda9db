"""What a certificate says, read with `cryptography`; where that refuses it, read as far as it can be.

`cryptography` parses a certificate as a whole, and some of its fields only when they are asked for. A certificate that
it refuses is taken apart, and each part put into an otherwise sound one, so that what is wrong with one part does not
hide the others, and every field that is shown was read by the same parser.
"""

from __future__ import annotations

import warnings
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from asn1crypto import core, parser
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, rsa, x448, x25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from dumpscan.artifacts import der
from dumpscan.artifacts.decoded import RefusedError
from dumpscan.artifacts.keys.proof import LIBRARY_ERRORS, MOST_EXPONENT_BITS
from dumpscan.artifacts.x509.oid_names import PUBLIC_KEY_ALGORITHMS, SIGNATURE_ALGORITHMS
from dumpscan.artifacts.x509.parts import Parts, take_apart, take_apart_head

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes

_ERRORS = (
    *LIBRARY_ERRORS,
    KeyError,  # older versions of cryptography: a string of a type that names do not have
    x509.InvalidVersion,
    x509.DuplicateExtension,
    x509.UnsupportedGeneralNameType,
    RefusedError,
)
_MOST_COMPLAINT = 400

_Fields = dict[str, Any]
"""Fields of `Certificate`, by name."""

_UPN = "1.3.6.1.4.1.311.20.2.3"
"""szOID_NT_PRINCIPAL_NAME: how Windows names the user that a certificate belongs to."""
_UTF8_STRING = 0x0C
_ALTERNATIVE_NAME = bytes.fromhex("0603551d11")
_BASIC_CONSTRAINTS = bytes.fromhex("0603551d13")


def read_fields(data: bytes) -> tuple[_Fields, str | None]:
    """Read what the certificate that fills `data` says.

    Returns:
        Fields of `Certificate`, as many as could be read, and the complaints of the parser, if any.

    Raises:
        RefusedError: If it is not exactly one certificate.
    """
    with _gathered_complaints() as complaints:
        try:
            whole = x509.load_der_x509_certificate(data)
        except _ERRORS as error:
            complaints.add(str(error))
            fields = _read_parts(take_apart(data), complaints)
        else:
            fields = _read_whole(whole, data, complaints)
    return fields, complaints.said


def read_fields_of_head(data: bytes) -> tuple[_Fields, str | None]:
    """Read what a certificate says that `data` is the beginning of (see `take_apart_head`)."""
    with _gathered_complaints() as complaints:
        fields = _read_parts(take_apart_head(data), complaints)
    return fields, complaints.said


class _Complaints:
    """Gathers what the parser says of a certificate."""

    def __init__(self) -> None:
        self._said: dict[str, None] = {}

    def add(self, text: str, part: str = "") -> None:
        """Note what was said of a part; what was said of the whole already is not said again."""
        text = " ".join(text.split())
        if text not in self._said:
            self._said[f"{part.replace('_', ' ')}: {text}" if part else text] = None

    @property
    def said(self) -> str | None:
        """All of it."""
        return "; ".join(self._said)[:_MOST_COMPLAINT] or None


@contextmanager
def _gathered_complaints() -> Iterator[_Complaints]:
    """Gather complaints; the parser's warnings are among them in the end, and go no further."""
    complaints = _Complaints()
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        yield complaints
    for warning in warned:
        complaints.add(str(warning.message).partition(". ")[0])


def _read_whole(whole: x509.Certificate, data: bytes, complaints: _Complaints) -> _Fields:
    fields: _Fields = {"version": whole.version.value + 1, "serial_number": f"{whole.serial_number:X}"}
    for part, read in _READERS.items():
        try:
            fields |= read(whole)
        except _ERRORS as error:
            complaints.add(str(error), part)
            with suppress(RefusedError):
                fields |= _FALLBACKS[part](take_apart(data)) if part in _FALLBACKS else {}
    return fields


def _read_parts(parts: Parts, complaints: _Complaints) -> _Fields:
    fields: _Fields = {"version": parts.version, "serial_number": f"{parts.serial_number:X}"}
    for part, read in _READERS.items():
        if getattr(parts, part) is None:
            continue
        try:
            fields |= read(_sound_but_for(part, parts))
        except _ERRORS as error:
            complaints.add(str(error), part)
            fields |= _FALLBACKS[part](parts) if part in _FALLBACKS else {}
    return fields


def _subject(certificate: x509.Certificate) -> _Fields:
    name = certificate.subject
    return {"subject": name.rfc4514_string(), "subject_common_name": _common_name(name)}


def _issuer(certificate: x509.Certificate) -> _Fields:
    name = certificate.issuer
    return {"issuer": name.rfc4514_string(), "issuer_common_name": _common_name(name)}


def _common_name(name: x509.Name) -> str | None:
    names = name.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
    if not names:
        return None
    value = names[-1].value
    return value if isinstance(value, str) else value.hex()


def _validity(certificate: x509.Certificate) -> _Fields:
    return {"not_before": certificate.not_valid_before_utc, "not_after": certificate.not_valid_after_utc}


def _algorithm(certificate: x509.Certificate) -> _Fields:
    dotted = certificate.signature_algorithm_oid.dotted_string
    return {"signature_algorithm": SIGNATURE_ALGORITHMS.get(dotted, dotted)}


def _public_key(certificate: x509.Certificate) -> _Fields:
    key = certificate.public_key()
    # Written anew: a key is the same whether or not its certificate compressed the point or left out NULL parameters.
    info = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    dotted = certificate.public_key_algorithm_oid.dotted_string
    fields: _Fields = {
        "key_id": sha256(info).hexdigest(),
        "public_key_algorithm": PUBLIC_KEY_ALGORITHMS.get(dotted, dotted),
    }
    return fields | _public_numbers(key)


def _public_numbers(key: CertificatePublicKeyTypes) -> _Fields:
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


def _extensions(certificate: x509.Certificate) -> _Fields:
    fields: _Fields = {}
    for extension in certificate.extensions:
        match extension.value:
            case x509.SubjectAlternativeName() as names:
                fields["alternative_names"] = tuple(map(_general_name, names))
            case x509.BasicConstraints() as constraints:
                fields["is_ca"] = constraints.ca
    return fields


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


_READERS: dict[str, Callable[[x509.Certificate], _Fields]] = {
    "issuer": _issuer,
    "subject": _subject,
    "validity": _validity,
    "algorithm": _algorithm,
    "public_key": _public_key,
    "extensions": _extensions,
}
"""By the attribute of `Parts` that they depend on."""


def _sequence(*members: bytes) -> bytes:
    encoded: bytes = parser.emit(0, 1, 16, b"".join(members))
    return encoded


_SOUND_VERSION = bytes.fromhex("a003020102")
_SOUND_SERIAL = bytes.fromhex("020101")
_SOUND: dict[str, bytes] = {
    "algorithm": bytes.fromhex("300506032b6570"),
    "issuer": _sequence(),
    "validity": _sequence(*[b"\x17\x0d000101000000Z"] * 2),
    "subject": _sequence(),
    "public_key": bytes.fromhex("302a300506032b6570032100") + bytes(32),
    "extensions": b"",
}
_NO_SIGNATURE = bytes.fromhex("030100")


def _sound_but_for(part: str, parts: Parts) -> x509.Certificate:
    """Load a certificate in which nothing but one part is that of `parts`."""
    return _load(_SOUND | {part: getattr(parts, part)})


def _load(parts: dict[str, bytes]) -> x509.Certificate:
    signed = _sequence(_SOUND_VERSION, _SOUND_SERIAL, *(parts[part] for part in _SOUND))
    return x509.load_der_x509_certificate(_sequence(signed, parts["algorithm"], _NO_SIGNATURE))


def _odd_validity(parts: Parts) -> _Fields:
    """Read times that DER does not allow but BER does: without seconds, or of another zone than UTC."""
    first, last = der.members(parts.validity or b"")
    times = {"not_before": _odd_time(first), "not_after": _odd_time(last)}
    return {name: time for name, time in times.items() if time is not None}


def _odd_time(element: der.Element) -> datetime | None:
    kind = core.UTCTime if element.tag == der.UTC_TIME else core.GeneralizedTime
    try:
        time = kind.load(element.encoded).native
        return time.astimezone(UTC) if isinstance(time, datetime) else None
    except (ValueError, TypeError, OverflowError):
        return None


def _odd_public_key(parts: Parts) -> _Fields:
    """Name the algorithm of a public key that cannot be read."""
    info = parts.public_key or b""
    fields: _Fields = {"key_id": sha256(info).hexdigest()}
    try:
        dotted = _sound_but_for("public_key", parts).public_key_algorithm_oid.dotted_string
    except _ERRORS:
        return fields
    return fields | {"public_key_algorithm": PUBLIC_KEY_ALGORITHMS.get(dotted, dotted)}


def _odd_extensions(parts: Parts) -> _Fields:
    """Read the extensions that matter, each by itself."""
    fields: _Fields = {}
    for extension in _single_extensions(parts):
        try:
            fields |= _extensions(_load(_SOUND | {"extensions": extension}))
        except _ERRORS:
            continue
    return fields


def _single_extensions(parts: Parts) -> Iterator[bytes]:
    for extension in der.members(der.elements(parts.extensions or b"")[0].content):
        if extension.content.startswith((_ALTERNATIVE_NAME, _BASIC_CONSTRAINTS)):
            encoded: bytes = parser.emit(2, 1, 3, _sequence(extension.encoded))
            yield encoded


_FALLBACKS: dict[str, Callable[[Parts], _Fields]] = {
    "validity": _odd_validity,
    "public_key": _odd_public_key,
    "extensions": _odd_extensions,
}
