"""X.509 certificates in DER, in BER, and in DER with TLS record headers between.

A certificate of version 1 does not name its version, and there are not bytes enough at its beginning that are sure. It
is found by its validity, and its beginning is looked for before that. All others have their version behind the headers
of certificate and TBSCertificate: its bytes are looked for, and the headers, in whatever form their lengths have, are
read backwards from there.
"""

from __future__ import annotations

import re
from dataclasses import replace
from functools import cache
from hashlib import sha1, sha256
from typing import TYPE_CHECKING, Any

from dumpscan.artifacts import ber, der, effort
from dumpscan.artifacts.decoded import BytesDecoder, Parsed, Raw, RefusedError
from dumpscan.artifacts.x509 import tls_records
from dumpscan.artifacts.x509.fields import read_fields_of_head, read_part_by_part, read_whole
from dumpscan.artifacts.x509.parts import has_its_parts, take_apart_head
from dumpscan.findings import Certificate
from dumpscan.memory.space import read_before
from dumpscan.scan.opening import opening

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dumpscan.artifacts.detector import Detector
    from dumpscan.memory.space import Memory

MOST_BYTES = 1 << 20
_MICROSECONDS, _PER_BYTE = 15, 0.3
"""What reading a certificate takes."""
_PER_OPENING = 3
"""Microseconds to see whether a validity belongs to an opening before it."""
_MOST_BEFORE_VALIDITY = 4 << 10
"""Bytes of a certificate before its validity: serial number, algorithm and the issuer's name."""
_SEQUENCE = bytes((der.SEQUENCE,))


def parse(data: bytes) -> Parsed:
    """Read the certificate that fills `data`. One in BER is written as DER, which is what its issuer signed."""
    effort.charge(_MICROSECONDS + _PER_BYTE * len(data))
    written, encoding = _without_records(data)
    found = read_whole(written)
    if found is None and encoding == "der":
        written = ber.to_der(data)
        if written != data:
            encoding = "ber"
            found = read_whole(written)
    return Parsed(_finding(written, *(found or read_part_by_part(written))), encoding)


def _without_records(data: bytes) -> tuple[bytes, str]:
    """Return the certificate's own bytes, and how they lay in memory."""
    if data[1:2] != ber.INDEFINITE_LENGTH:
        size = der.header(data).total
        if size < len(data):
            return tls_records.without_headers(data, size), "tls+der"
    return data, "der"


def parse_head(raw: Raw) -> Parsed:
    """Read what there is of a certificate whose end is missing. Its hashes are those of the bytes that are there."""
    fields, complaint = read_fields_of_head(raw.data)
    gap = f"the last {raw.missing} of {raw.length} bytes are missing"
    return Parsed(_finding(raw.data, fields, f"{gap}; {complaint}" if complaint else gap), "der")


def _finding(data: bytes, fields: dict[str, Any], problem: str | None) -> Certificate:
    return Certificate(
        sha256=sha256(data).hexdigest(),
        size=len(data),
        der=data,
        thumbprint=sha1(data, usedforsecurity=False).hexdigest().upper(),
        problem=problem,
        **fields,
    )


def _extract(memory: Memory, address: int) -> Raw:
    """Read a certificate; a large one only if its members fill it, or its beginning is one's and the memory ends."""
    head = memory.read(address, der.SMALL)
    if head[1:2] == ber.INDEFINITE_LENGTH:
        return ber.extract(memory, address, most=MOST_BYTES)
    outer = der.header(head)
    if outer.total > MOST_BYTES or not _fits(head[outer.size :], outer.content):
        raise RefusedError("lengths that do not belong together")
    if outer.total <= der.SMALL:
        raw = Raw(head[: outer.total], outer.total)
        return (not raw.missing and _extract_records(memory, address, outer.total, head)) or raw
    return _extract_large(memory, address, outer, head)


def _fits(data: bytes, room: int) -> bool:
    """Whether the TBSCertificate that `data` begins with leaves room for what follows it."""
    return data[1:2] == ber.INDEFINITE_LENGTH or der.header(data).total < room


def _extract_large(memory: Memory, address: int, outer: der.Header, head: bytes) -> Raw:
    if tls_records.is_listed(memory, address, outer.total):
        found = _extract_records(
            memory, address, outer.total, memory.read(address, outer.total + tls_records.HEADER_SIZE)
        )
        if found is not None:
            return found
    if head[outer.size + 1 : outer.size + 2] != ber.INDEFINITE_LENGTH and not der.members_are_there(
        memory, address, outer
    ):
        take_apart_head(head)
    return Raw(memory.read(address, outer.total), outer.total)


def _extract_records(memory: Memory, address: int, size: int, data: bytes) -> Raw | None:
    """Read a certificate of `size` bytes with TLS record headers in it; None if there are none among `data`."""
    if tls_records.MARK not in data[: size + tls_records.HEADER_SIZE]:
        return None
    return tls_records.extract(memory, address, size, whole=has_its_parts(data[:size]))


def _extract_by_version(memory: Memory, address: int) -> Raw:
    """Read the certificate whose version is at `address`."""
    ahead = _size_of_headers(read_before(memory, address, 2 * der.HEADER_SIZE))
    effort.charge(_MICROSECONDS)
    return replace(_extract(memory, address - ahead), ahead=ahead)


def _size_of_headers(before: bytes) -> int:
    """Return the bytes of the headers of certificate and TBSCertificate that end where `before` does.

    Raises:
        RefusedError: If there are none.
    """
    for signed in _headers_before(before, len(before)):
        for outer in _headers_before(before, signed):
            head = before[outer:signed]
            if head[1] == ber.INDEFINITE or _fits(before[signed:], der.header(head).content):
                return len(before) - outer
    raise RefusedError("no headers of a certificate")


def _headers_before(data: bytes, end: int) -> Iterator[int]:
    """Yield where the header of a SEQUENCE can begin that ends at `end`."""
    for size in range(2, der.HEADER_SIZE + 1):
        begin = end - size
        if begin < 0 or data[begin] != der.SEQUENCE:
            continue
        length = data[begin + 1]
        if size == (2 if length <= ber.INDEFINITE else 2 + length - ber.INDEFINITE):
            yield begin


def _extract_by_validity(memory: Memory, address: int) -> Raw:
    """Read the certificate of version 1 whose validity is at `address`."""
    effort.charge(_MICROSECONDS)
    before = read_before(memory, address, _MOST_BEFORE_VALIDITY)
    ahead = len(before) - _opening_before(before)
    return replace(_extract(memory, address - ahead), ahead=ahead)


def _opening_before(before: bytes) -> int:
    """Return where a certificate of version 1 opens whose validity follows on `before`.

    Raises:
        RefusedError: If there is none.
    """
    for opened in _opening_of_version_1().finditer(before):
        effort.charge(_PER_OPENING)
        at = opened.end(1) + before[opened.end(1) - 1]  # behind the serial number
        for _ in ("algorithm", "issuer"):
            header = before[at : at + der.HEADER_SIZE]
            if header[:1] != _SEQUENCE:
                break
            at += der.header(header).total
        else:
            if at == len(before):
                return opened.start()
    raise RefusedError("no certificate opens before")


@cache
def _opening_of_version_1() -> re.Pattern[bytes]:
    """Return what finds where one may open; places may overlap. Group 1 ends with the length of the serial number."""
    tag = re.escape(_SEQUENCE)
    behind = b"|".join(opening(name, pattern.removeprefix("30 ")).expression for name, pattern in _OPENINGS.items())
    return re.compile(tag + b"(?=(%s))" % behind, re.DOTALL)


_DECODER = BytesDecoder(_extract, parse, parse_head)
_BY_VALIDITY = BytesDecoder(_extract_by_validity, parse, parse_head)
_BY_VERSION = BytesDecoder(_extract_by_version, parse, parse_head)

_VERSIONS = {
    "version": "a0 03 02 01 .. 02",
    "version-long": "a0 81 03 02 01 .. 02",
    "version-indefinite": "a0 80 02 01 .. 00 00 02",
}
"""[0] with the version, and the tag of the serial number."""
_NO_VERSION = "02 01-28"
"""Version 1 does not say so: tag and length of the serial number."""
_OPENINGS = {
    "v1-82-82": f"30 82 01-0f .. 30 82 .. .. {_NO_VERSION}",
    "v1-82-81": f"30 82 01-0f .. 30 81 .. {_NO_VERSION}",
    "v1-82-short": f"30 82 01-0f .. 30 40-7f {_NO_VERSION}",
    "v1-81-81": f"30 81 .. 30 81 .. {_NO_VERSION}",
    "v1-81-short": f"30 81 .. 30 40-7f {_NO_VERSION}",
    "v1-83-82": f"30 83 00 01-0f .. 30 82 .. .. {_NO_VERSION}",
}
"""By the forms of the lengths of the certificate and of the part that is signed."""
_BER_OPENINGS = {
    "v1-ber-82": f"30 80 30 82 .. .. {_NO_VERSION}",
    "v1-ber-ber": f"30 80 30 80 {_NO_VERSION}",
}
_VALIDITIES = {
    "validity-utc": "30 1e|20 17 0d 30-39",
    "validity-generalized": "30 20|22 18 0f 30-39",
    "validity-short": "30 1a|1c 17 0b 30-39",
    "validity-offset": "30 22|24|26 17 11 30-39",
    "validity-ber": "30 80 17|18 0b|0d|0f|11|13 30-39",
    "validity-long": "30 81 1a|1e|20|22|26 17|18 0b|0d|0f|11|13 30-39",
}
"""The validity of a certificate, by its first time (RFC 5280, 4.1.2.5; X.690, 11.7 and 11.8): with seconds, without
(0b), or with an offset from UTC (11, 13)."""

DETECTORS: tuple[Detector, ...] = (
    *((opening(f"x509-{form}", pattern), _BY_VERSION) for form, pattern in _VERSIONS.items()),
    *((opening(f"x509-{form}", pattern), _DECODER) for form, pattern in _BER_OPENINGS.items()),
    *((opening(f"x509-{form}", pattern), _BY_VALIDITY) for form, pattern in _VALIDITIES.items()),
    *((opening(f"x509-{form}", pattern, only_in_text=True), _DECODER) for form, pattern in _OPENINGS.items()),
)
