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

from asn1crypto import pkcs12

from dumpscan.artifacts import ber, der
from dumpscan.artifacts.containers.protection import PARSER_ERRORS, Protection, read_mac, read_protection
from dumpscan.artifacts.decoded import BytesDecoder, Parsed, RefusedError
from dumpscan.findings import NOT_ENCRYPTED, EncryptedContainer
from dumpscan.scan.opening import opening

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dumpscan.artifacts.detector import Detector

MOST_PKCS8_BYTES = 64 << 10
MOST_PKCS12_BYTES = 16 << 20
_MOST_BAGS = 256
"""Bags that are looked into for the protection of a key; it is the same for all in what any program writes."""


def parse_pkcs8(data: bytes) -> Parsed:
    """Describe an EncryptedPrivateKeyInfo."""
    algorithm, content = der.members(data, least=2, most=2)
    protection = read_protection(algorithm.encoded)
    if content.tag != der.OCTET_STRING or not protection.allows(len(content.content)):
        raise RefusedError("nothing that the cipher can have produced")
    return Parsed(_container("pkcs8", data, protection, None), "der")


def parse_pkcs12(data: bytes) -> Parsed:
    """Describe a PFX, DER or BER."""
    try:
        pfx = pkcs12.Pfx.load(data, strict=True)
        if pfx["version"].native != "v3":
            raise RefusedError("a version that PKCS#12 does not have")
        mac = read_mac(pfx["mac_data"])
        safe = pfx.authenticated_safe
        protections = list(islice(_protections(safe), _MOST_BAGS))
        is_open = not protections and all(content["content_type"].native == "data" for content in safe)
    except PARSER_ERRORS:
        raise RefusedError("no PKCS#12") from None
    keys = [protection for of_key, protection in protections if of_key]
    others = [protection for of_key, protection in protections if not of_key]
    encoding = "der" if data[1] != ber.INDEFINITE else "ber"
    finding = _container("pkcs12", data, next(iter(keys + others), None), mac)
    return Parsed(replace(finding, cipher=NOT_ENCRYPTED) if is_open else finding, encoding)


def _protections(safe: pkcs12.AuthenticatedSafe) -> Iterator[tuple[bool, Protection]]:
    """Yield what protects a key by itself (True), and what protects whatever else is encrypted (False)."""
    for content in safe:
        kind = content["content_type"].native
        if kind == "encrypted_data":
            algorithm = content["content"]["encrypted_content_info"]["content_encryption_algorithm"]
            yield False, read_protection(algorithm.dump())
        elif kind == "data":
            for bag in pkcs12.SafeContents.load(content["content"].native):
                if bag["bag_id"].native == "pkcs8_shrouded_key_bag":
                    yield True, read_protection(bag["bag_value"]["encryption_algorithm"].dump())


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
