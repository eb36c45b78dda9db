"""Encrypted PKCS#8 (RFC 5958, 3) and PKCS#12 (RFC 7292).

Nothing is decrypted. What is told is that it is there, and how it is kept; a PKCS#12 may hold everything unencrypted,
and then it is reported as not encrypted, while the keys and certificates in it are found by themselves.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from hashlib import sha256
from itertools import islice
from typing import TYPE_CHECKING

from dumpscan.artifacts import ber, der, effort
from dumpscan.artifacts.containers.protection import Protection, read_mac, read_protection
from dumpscan.artifacts.decoded import BytesDecoder, Parsed, RefusedError
from dumpscan.findings import NOT_ENCRYPTED, EncryptedContainer
from dumpscan.scan.opening import opening

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dumpscan.artifacts.detector import Detector

MOST_PKCS8_BYTES = 64 << 10
MOST_PKCS12_BYTES = 16 << 20
_MOST_MEMBERS = 1 << 14
"""Bags, or parts of the safe; there may be a certificate in each."""
_MOST_BAGS = 256
"""Bags that are looked into for the protection of a key; it is the same for all in what any program writes."""

_VERSION_3 = 3
_DATA = "1.2.840.113549.1.7.1"
_SIGNED_DATA = "1.2.840.113549.1.7.2"
_ENCRYPTED_DATA = "1.2.840.113549.1.7.6"
_SHROUDED_KEY_BAG = "1.2.840.113549.1.12.10.1.2"
_MICROSECONDS, _PER_BYTE = 100, 1.2
"""To take a container apart, whose smallest parts have ten bytes."""


def parse_pkcs8(data: bytes) -> Parsed:
    """Describe an EncryptedPrivateKeyInfo."""
    effort.charge(_MICROSECONDS)
    algorithm, content = der.members(data, least=2, most=2)
    protection = read_protection(algorithm.encoded)
    if content.tag != der.OCTET_STRING or not protection.allows(len(content.content)):
        raise RefusedError("nothing that the cipher can have produced")
    return Parsed(_container("pkcs8", data, protection, None), "der")


def parse_pkcs12(data: bytes) -> Parsed:
    """Describe a PFX, DER or BER."""
    try:
        finding = _pkcs12(data, data)
    except RefusedError:
        finding = _pkcs12(ber.to_der(data), data)
    return Parsed(finding, "der" if data[1] != ber.INDEFINITE else "ber")


def _pkcs12(written: bytes, data: bytes) -> EncryptedContainer:
    """Describe a PFX.

    Args:
        written: The PFX, at least its outermost elements in DER.
        data: As it lies in memory.
    """
    effort.charge(_MICROSECONDS + _PER_BYTE * len(written))
    version, content, *mac_data = der.members(written, least=2, most=3)
    if der.integer(version, most=1) != _VERSION_3:
        raise RefusedError("a version that PKCS#12 does not have")
    mac = read_mac(mac_data[0].encoded) if mac_data else None
    safe = [_content(each.encoded) for each in _members(_authenticated_safe(*_content(content.encoded)))]
    protections = list(islice(_protections(safe), _MOST_BAGS))
    keys = [protection for of_key, protection in protections if of_key]
    others = [protection for of_key, protection in protections if not of_key]
    finding = _container("pkcs12", data, next(iter(keys + others), None), mac)
    is_open = not protections and all(kind == _DATA for kind, _ in safe)
    return replace(finding, cipher=NOT_ENCRYPTED) if is_open else finding


def _content(data: bytes) -> tuple[str, der.Element]:
    """Return the type of a ContentInfo (RFC 5652, 3), and its content without the tag around it."""
    kind, content = der.members(data, least=2, most=2)
    return der.dotted(kind), der.inner(content)


def _authenticated_safe(kind: str, content: der.Element) -> bytes:
    """Return the AuthenticatedSafe, which a signature may be around."""
    if kind == _SIGNED_DATA:
        _version, _digests, signed, *_ = der.members(content.encoded, least=4)
        kind, content = _content(signed.encoded)
    if kind != _DATA:
        raise RefusedError("no PKCS#12")
    return _octets(content)


def _octets(element: der.Element) -> bytes:
    """Return the bytes of an OCTET STRING, which may be in pieces."""
    whole = element if element.tag == der.OCTET_STRING else der.one(ber.to_der(element.encoded), der.OCTET_STRING)
    return whole.content


def _members(data: bytes) -> list[der.Element]:
    """Return the members of a SEQUENCE, DER or BER, of which there may be many."""
    try:
        return der.elements(der.one(data, der.SEQUENCE).content, most=_MOST_MEMBERS)
    except RefusedError:
        return der.elements(der.one(ber.to_der(data), der.SEQUENCE).content, most=_MOST_MEMBERS)


def _protections(safe: list[tuple[str, der.Element]]) -> Iterator[tuple[bool, Protection]]:
    """Yield what protects a key by itself (True), and what protects whatever else is encrypted (False)."""
    for kind, content in safe:
        if kind == _ENCRYPTED_DATA:
            _version, encrypted, *_ = der.members(content.encoded, least=2)
            _type, algorithm, *_ = der.members(encrypted.encoded, least=2)
            yield False, read_protection(algorithm.encoded)
        elif kind == _DATA:
            for bag in _members(_octets(content)):
                identifier, value, *_ = der.members(bag.encoded, least=2, most=3)
                if der.dotted(identifier) == _SHROUDED_KEY_BAG:
                    algorithm, *_ = der.members(der.inner(value).encoded, least=2)
                    yield True, read_protection(algorithm.encoded)


def _container(kind: str, data: bytes, protection: Protection | None, mac: str | None) -> EncryptedContainer:
    return EncryptedContainer(
        sha256=sha256(data).hexdigest(),
        size=len(data),
        container=kind,
        kdf=protection.kdf if protection else None,
        cipher=protection.cipher if protection else None,
        iterations=protection.iterations if protection else None,
        mac=mac,
        data=data,
    )


_PKCS8 = BytesDecoder(partial(der.extract, most=MOST_PKCS8_BYTES), parse_pkcs8)
_PKCS12 = BytesDecoder(partial(ber.extract, most=MOST_PKCS12_BYTES), parse_pkcs12)

_PBES = "06 09 2a 86 48 86 f7 0d 01 05 01|03|04|06|0a|0b|0d 30"
_PKCS12_PBE = "06 0a 2a 86 48 86 f7 0d 01 0c 01 01-06 30"
_PKCS8_OPENINGS = {
    "pbes-long": f"30 82 .. .. 30 .. {_PBES}",
    "pbes-long-middle": f"30 82 .. .. 30 81 .. {_PBES}",
    "pbes-middle": f"30 81 .. 30 .. {_PBES}",
    "pbes-short": f"30 20-7f 30 .. {_PBES}",
    "pkcs12-long": f"30 82 .. .. 30 .. {_PKCS12_PBE}",
    "pkcs12-middle": f"30 81 .. 30 .. {_PKCS12_PBE}",
    "pkcs12-short": f"30 20-7f 30 .. {_PKCS12_PBE}",
}
_VERSION = "02 01 03"
_CONTENT_TYPE = "06 09 2a 86 48 86 f7 0d 01 07 01|02 a0"
_PKCS12_OPENINGS = {
    f"{outer}-{inner}": f"{outer_length} {_VERSION} {inner_length} {_CONTENT_TYPE}"
    for outer, outer_length in (
        ("82", "30 82 .. .."),
        ("83", "30 83 .. .. .."),
        ("84", "30 84 00 .. .. .."),
        ("ber", "30 80"),
    )
    for inner, inner_length in (
        ("81", "30 81 .."),
        ("82", "30 82 .. .."),
        ("83", "30 83 .. .. .."),
        ("84", "30 84 00 .. .. .."),
        ("ber", "30 80"),
    )
}

DETECTORS: tuple[Detector, ...] = (
    *((opening(f"encrypted-pkcs8-{name}", pattern), _PKCS8) for name, pattern in _PKCS8_OPENINGS.items()),
    *((opening(f"pkcs12-{name}", pattern), _PKCS12) for name, pattern in _PKCS12_OPENINGS.items()),
)
