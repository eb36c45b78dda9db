"""X.509 certificates in DER."""

from __future__ import annotations

from hashlib import sha1, sha256
from typing import TYPE_CHECKING, Any

from dumpscan.artifacts import der
from dumpscan.artifacts.decoded import BytesDecoder, Detector, Parsed, Raw, RefusedError
from dumpscan.artifacts.opening import opening
from dumpscan.artifacts.x509.fields import read_fields, read_fields_of_head
from dumpscan.artifacts.x509.parts import take_apart_head
from dumpscan.findings import Certificate

if TYPE_CHECKING:
    from dumpscan.memory.space import Memory

MOST_BYTES = 1 << 20


def parse(data: bytes) -> Parsed:
    """Read the certificate that fills `data`."""
    return Parsed(_certificate(data), "der")


def parse_first(data: bytes) -> Certificate:
    """Read the certificate that `data` begins with; more may follow, as in OpenSSL's trusted certificates."""
    return _certificate(data[: der.header(data).total])


def parse_head(raw: Raw) -> Parsed:
    """Read what there is of a certificate whose end is missing. Its hashes are those of the bytes that are there."""
    fields, complaint = read_fields_of_head(raw.data)
    gap = f"the last {raw.missing} of {raw.length} bytes are missing"
    return Parsed(_finding(raw.data, fields, f"{gap}; {complaint}" if complaint else gap), "der")


def _certificate(data: bytes) -> Certificate:
    return _finding(data, *read_fields(data))


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
    outer = der.header(head)
    signed = der.header(head, outer.size)
    if outer.total > MOST_BYTES or signed.total >= outer.content:
        raise RefusedError("lengths that do not belong together")
    if outer.total <= der.SMALL:
        return Raw(head[: outer.total], outer.total)
    if not der.members_are_there(memory, address, outer):
        take_apart_head(head)
    return Raw(memory.read(address, outer.total), outer.total)


_DECODER = BytesDecoder(_extract, parse, parse_head)

_VERSION = "a0 03 02 01 00-02 02"
"""[0] with the version, and the tag of the serial number."""
_NO_VERSION = "02 01-28"
"""Version 1 does not say so: tag and length of the serial number."""
_OPENINGS = {
    "83-83": f"30 83 01-0f .. .. 30 83 .. .. .. {_VERSION}",
    "83-82": f"30 83 01-0f .. .. 30 82 .. .. {_VERSION}",
    "82-82": f"30 82 .. .. 30 82 .. .. {_VERSION}",
    "82-81": f"30 82 .. .. 30 81 .. {_VERSION}",
    "82-short": f"30 82 .. .. 30 40-7f {_VERSION}",
    "81-81": f"30 81 .. 30 81 .. {_VERSION}",
    "81-short": f"30 81 .. 30 40-7f {_VERSION}",
    # Without a version there is little to go by; that no such certificate has 4 KiB makes the scan a tenth faster.
    "v1-82-82": f"30 82 01-0f .. 30 82 .. .. {_NO_VERSION}",
    "v1-82-81": f"30 82 01-0f .. 30 81 .. {_NO_VERSION}",
    "v1-82-short": f"30 82 01-0f .. 30 40-7f {_NO_VERSION}",
    "v1-81-81": f"30 81 .. 30 81 .. {_NO_VERSION}",
    "v1-81-short": f"30 81 .. 30 40-7f {_NO_VERSION}",
}
"""By the forms of the lengths of the certificate and of the part that is signed."""

DETECTORS: tuple[Detector, ...] = tuple(
    (opening(f"x509-{form}", pattern), _DECODER) for form, pattern in _OPENINGS.items()
)
