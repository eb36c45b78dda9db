"""What the parts of a certificate say that `cryptography` refuses, as far as it can be told.

A part is put into an otherwise sound certificate, so that what is wrong with one part does not hide the others, and
nearly every field that is shown was read by the same parser. What it still refuses is read here, member by member.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import TYPE_CHECKING

from cryptography import x509

from dumpscan.artifacts import der
from dumpscan.artifacts.decoded import RefusedError
from dumpscan.artifacts.x509.oid_names import EXTENDED_KEY_USAGES, PUBLIC_KEY_ALGORITHMS
from dumpscan.artifacts.x509.readers import ERRORS, KEY_USAGES, READERS, common_name, read_extensions

if TYPE_CHECKING:
    from collections.abc import Callable

    from dumpscan.artifacts.x509.parts import Parts
    from dumpscan.artifacts.x509.readers import Fields

_MOST_NAMES = 1024
"""Alternative names read one by one."""
_MOST_USAGES = 64

_EXTENSIONS = 0xA3
_BOOLEAN, _UTF8_STRING, _UNIVERSAL_STRING, _BMP_STRING = 0x01, 0x0C, 0x1C, 0x1E
_TEXT_ENCODINGS = {_UNIVERSAL_STRING: "utf-32-be", _BMP_STRING: "utf-16-be"}
_TEXT_NAMES = {0x81: "email", 0x82: "DNS", 0x86: "URI"}
"""Alternative names that are text, by their tags (RFC 5280, 4.2.1.6)."""

_SOUND_VERSION = bytes.fromhex("a003020102")
_SOUND_SERIAL = bytes.fromhex("020101")
_SOUND: dict[str, bytes] = {
    "algorithm": bytes.fromhex("300506032b6570"),
    "issuer": der.encode(der.SEQUENCE),
    "validity": der.encode(der.SEQUENCE, *[b"\x17\x0d000101000000Z"] * 2),
    "subject": der.encode(der.SEQUENCE),
    "public_key": bytes.fromhex("302a300506032b6570032100") + bytes(32),
    "extensions": b"",
}
_NO_SIGNATURE = bytes.fromhex("030100")


def read_part(part: str, parts: Parts) -> Fields:
    """Read one part as if everything else were sound.

    Args:
        part: Its name in `Parts`, one of `READERS`.
        parts: Of the certificate.

    Raises:
        ERRORS: It is not sound itself.
    """
    return READERS[part](_sound_but_for(part, getattr(parts, part)))


def _sound_but_for(part: str, encoded: bytes) -> x509.Certificate:
    """Load a certificate that is sound but for one part."""
    found = _SOUND | {part: encoded}
    signed = der.encode(der.SEQUENCE, _SOUND_VERSION, _SOUND_SERIAL, *(found[name] for name in _SOUND))
    return x509.load_der_x509_certificate(der.encode(der.SEQUENCE, signed, found["algorithm"], _NO_SIGNATURE))


# --- Names ------------------------------------------------------------------------------------------------------------


def _odd_subject(parts: Parts) -> Fields:
    return _odd_name("subject", parts.subject or b"")


def _odd_issuer(parts: Parts) -> Fields:
    return _odd_name("issuer", parts.issuer or b"")


def _odd_name(part: str, encoded: bytes) -> Fields:
    """Read the relative distinguished names that can be read; an empty one has nothing to tell."""
    sound = [written for written in map(_sound_rdn, der.members(encoded)) if written is not None]
    if not sound:
        return {}
    name = _name(der.encode(der.SEQUENCE, *sound))
    return {part: name.rfc4514_string(), f"{part}_common_name": common_name(name)}


def _name(encoded: bytes) -> x509.Name:
    return _sound_but_for("subject", encoded).subject


def _sound_rdn(rdn: der.Element) -> bytes | None:
    """Return a relative distinguished name in a form that can be read; None if there is none."""
    for written in (rdn.encoded, _rdn_as_text(rdn)):
        try:
            if written and _name(der.encode(der.SEQUENCE, written)).rdns:
                return written
        except ERRORS:
            continue
    return None


def _rdn_as_text(rdn: der.Element) -> bytes | None:
    """Write the values of a relative distinguished name as UTF-8: some are in other character sets than they say."""
    try:
        pairs = [der.members(pair.encoded, least=2, most=2) for pair in der.elements(rdn.content)]
    except RefusedError:
        return None
    written = [
        der.encode(der.SEQUENCE, kind.encoded, der.encode(_UTF8_STRING, _text(value).encode())) for kind, value in pairs
    ]
    return der.encode(der.SET, *written) if written else None


def _text(value: der.Element) -> str:
    encoding = _TEXT_ENCODINGS.get(value.tag)
    return value.content.decode(encoding, "replace") if encoding else _decoded(value.content)


def _decoded(content: bytes) -> str:
    try:
        return content.decode()
    except UnicodeDecodeError:
        return content.decode("latin-1")


# --- Times and keys ---------------------------------------------------------------------------------------------------


def _odd_validity(parts: Parts) -> Fields:
    """Read times that DER does not allow but BER does: without seconds, or of another zone than UTC."""
    first, last = der.members(parts.validity or b"")
    times = {"not_before": _odd_time(first), "not_after": _odd_time(last)}
    return {name: time for name, time in times.items() if time is not None}


_UTC_TIME = re.compile(rb"(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)?()(Z|[+-]\d{4})?")
_GENERALIZED_TIME = re.compile(
    rb"(\d{4})(\d\d)(\d\d)(\d\d)(?:(\d\d)(\d\d)?)?(?:[.,](\d{1,9})\d*)?(Z|[+-]\d\d(?:\d\d)?)?"
)
"""X.680, 46 and 47: year, month, day, hour, minute, second, fraction of the last one, zone."""
_CENTURY = 50
"""Two digits of a year below this are of the century from 2000 (RFC 5280, 4.1.2.5.1)."""


def _odd_time(element: der.Element) -> datetime | None:
    short = element.tag == der.UTC_TIME
    found = (_UTC_TIME if short else _GENERALIZED_TIME).fullmatch(element.content)
    if found is None:
        return None
    year, month, day, hour, minute, second = (int(group or 0) for group in found.groups()[:6])
    year += (2000 if year < _CENTURY else 1900) if short else 0
    fraction = int(found[7]) / 10 ** len(found[7]) if found[7] else 0.0
    unit = timedelta(seconds=1) if found[6] else timedelta(minutes=1) if found[5] else timedelta(hours=1)
    try:
        return datetime(year, month, day, hour, minute, second, tzinfo=UTC) + fraction * unit - _zone(found[8])
    except (ValueError, OverflowError):
        return None


def _zone(text: bytes | None) -> timedelta:
    """Return how far a zone's clocks are before UTC; a time without one is taken as UTC."""
    if not text or text == b"Z":
        return timedelta()
    offset = timedelta(hours=int(text[1:3]), minutes=int(text[3:5] or 0))
    return -offset if text[:1] == b"-" else offset


def _odd_public_key(parts: Parts) -> Fields:
    """Name the algorithm of a public key that cannot be read."""
    info = parts.public_key or b""
    fields: Fields = {"key_id": sha256(info).hexdigest()}
    try:
        dotted = _sound_but_for("public_key", info).public_key_algorithm_oid.dotted_string
    except ERRORS:
        return fields
    return fields | {"public_key_algorithm": PUBLIC_KEY_ALGORITHMS.get(dotted, dotted)}


# --- Extensions -------------------------------------------------------------------------------------------------------


def _odd_extensions(parts: Parts) -> Fields:
    """Read the extensions that matter, each for itself."""
    fields: Fields = {}
    for extension in der.members(der.elements(parts.extensions or b"")[0].content):
        read = next((read for oid, read in _ODD_EXTENSIONS.items() if extension.content.startswith(oid)), None)
        if read is None:
            continue
        try:
            fields |= read_extensions(_sound_but_for("extensions", _only(extension.encoded)))
        except ERRORS:
            try:
                fields |= read(_value(extension))
            except RefusedError:
                continue
    return fields


def _value(extension: der.Element) -> der.Element:
    """Return what an extension holds: the first element in its last member, an OCTET STRING."""
    found = der.elements(der.members(extension.encoded)[-1].content, cut=True)
    if not found:
        raise RefusedError("an extension without a value")
    return found[0]


def _only(extension: bytes) -> bytes:
    """Write the extensions of a certificate that has one."""
    return der.encode(_EXTENSIONS, der.encode(der.SEQUENCE, extension))


def _odd_alternative_names(value: der.Element) -> Fields:
    """Read the names one by one; those that make no sense are left out."""
    names = (_alternative_name(name) for name in der.elements(value.content, cut=True, most=_MOST_NAMES))
    return {"alternative_names": tuple(name for name in names if name is not None)}


def _alternative_name(name: der.Element) -> str | None:
    extension = der.encode(
        der.SEQUENCE, _ALTERNATIVE_NAME, der.encode(der.OCTET_STRING, der.encode(der.SEQUENCE, name.encoded))
    )
    try:
        (written,) = read_extensions(_sound_but_for("extensions", _only(extension)))["alternative_names"]
    except ERRORS:
        kind = _TEXT_NAMES.get(name.tag)
        return f"{kind}:{_decoded(name.content)}" if kind else None
    return str(written)


def _odd_constraints(value: der.Element) -> Fields:
    """Read whether it is a CA's: any BOOLEAN that is not zero, as BER has it, and whatever follows."""
    return {"is_ca": any(member.tag == _BOOLEAN and any(member.content) for member in der.elements(value.content)[:1])}


def _odd_key_usage(value: der.Element) -> Fields:
    """Read the bits, whether or not the unused ones are counted as they should be."""
    bits = "".join(f"{byte:08b}" for byte in value.content[1:3])
    return {"key_usage": tuple(name for name, bit in zip(KEY_USAGES, bits, strict=False) if bit == "1")}


def _odd_extended_key_usage(value: der.Element) -> Fields:
    """Read the purposes that are object identifiers."""
    found = (_dotted(purpose) for purpose in der.elements(value.content, cut=True, most=_MOST_USAGES))
    return {"extended_key_usage": tuple(EXTENDED_KEY_USAGES.get(dotted, dotted) for dotted in found if dotted)}


def _dotted(element: der.Element) -> str | None:
    try:
        return der.dotted(element)
    except RefusedError:
        return None


_ALTERNATIVE_NAME = bytes.fromhex("0603551d11")
_ODD_EXTENSIONS: dict[bytes, Callable[[der.Element], Fields]] = {
    _ALTERNATIVE_NAME: _odd_alternative_names,
    bytes.fromhex("0603551d13"): _odd_constraints,
    bytes.fromhex("0603551d0f"): _odd_key_usage,
    bytes.fromhex("0603551d25"): _odd_extended_key_usage,
}
"""Readers of the extensions that matter, by their encoded object identifiers."""

ODD_READERS: dict[str, Callable[[Parts], Fields]] = {
    "issuer": _odd_issuer,
    "validity": _odd_validity,
    "subject": _odd_subject,
    "public_key": _odd_public_key,
    "extensions": _odd_extensions,
}
"""What is tried where `read_part` fails, by the attribute of `Parts`."""
