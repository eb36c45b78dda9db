"""A case as an event of MISP, in its core format, with objects of the templates `file`, `x509` and `crypto-material`.

Source: the MISP core format (draft-dulaunoy-misp-core-format) and the templates in the repository misp-objects, whose
identifiers and versions are below. Certificates of well-known authorities are left out unless their private key was
found: every machine has them, and MISP would tie all events together by them. All identifiers follow from the content.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from dumpscan.artifacts.x509.well_known import is_well_known
from dumpscan.findings import Certificate, PrivateKey
from dumpscan.output.exports.documents import EPOCH, MAX_TEXT, clean, describe, stable_uuid
from dumpscan.output.labels import base_name
from dumpscan.output.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from datetime import datetime
    from typing import TextIO

    from dumpscan.case.records import DumpRecord
    from dumpscan.findings import Finding, Location
    from dumpscan.output.records import Record

MAX_NAMES = 100
"""Alternative names that are written for one certificate, and dumps that one object refers to."""

_ONLY_US, _LIKE_THE_EVENT = "0", "5"
"""Who may see it: the organisation alone; who may see the event."""
_UNDEFINED_THREAT, _COMPLETE = "4", "2"


class _Template(NamedTuple):
    """A template of misp-objects, as it was on 2026-11-20."""

    name: str
    uuid: str
    version: str
    category: str


_FILE = _Template("file", "688c46fb-5edb-40a3-8273-1af7923e2215", "25", "file")
_X509 = _Template("x509", "d1ab756a-26b5-4349-9f43-765630f0911c", "14", "network")
_CRYPTO = _Template("crypto-material", "50677f82-ec9c-4484-bb29-2519cfe56823", "4", "misc")

_TYPES = {
    "filename": ("filename", "Payload delivery"),
    "size-in-bytes": ("size-in-bytes", "Other"),
    "sha256": ("sha256", "Payload delivery"),
    "x509-fingerprint-sha1": ("x509-fingerprint-sha1", "Network activity"),
    "x509-fingerprint-sha256": ("x509-fingerprint-sha256", "Network activity"),
    "validity-not-before": ("datetime", "Other"),
    "validity-not-after": ("datetime", "Other"),
    "is_ca": ("boolean", "Other"),
    "dns_names": ("hostname", "Network activity"),
    "ip": ("ip-dst", "Network activity"),
    "email": ("email-dst", "Network activity"),
    "uri": ("uri", "Network activity"),
}
"""Type and category of the attributes that are not plain text."""
_NAMES = {"DNS": "dns_names", "IP": "ip", "email": "email", "URI": "uri"}
_ALGORITHMS = {"RSA": "RSA", "DSA": "DSA", "EC": "ECDSA"}
_CURVES = {"secp224r1": "NIST P-224", "secp256r1": "NIST P-256", "secp384r1": "NIST P-384", "secp256k1": "secp256k1"}
"""Values that the template lists; anything else is `unknown`, or left out."""


@dataclass(frozen=True, slots=True)
class _Reference:
    """A relationship between two objects."""

    to: str
    kind: str


def write_event(dumps: Sequence[DumpRecord], findings: Iterable[Finding], stream: TextIO) -> int:
    """Write a case as one event; return how many objects it has.

    Raises:
        OSError: The stream cannot take it.
    """
    made = max((dump.moment for dump in dumps), default=EPOCH)
    identity = repr([(dump.path, dump.sha256) for dump in dumps])
    event = {
        "uuid": stable_uuid(f"misp event {identity}"),
        "info": f"Private keys and certificates in {len(dumps)} memory dumps",
        "date": made.date().isoformat(),
        "timestamp": _seconds(made),
        "analysis": _COMPLETE,
        "threat_level_id": _UNDEFINED_THREAT,
        "distribution": _ONLY_US,
        "published": False,
    }
    head = json.dumps({"Event": event})
    stream.write(f'{head[:-2]}, "Object": [')
    count = 0
    for each in _objects(dumps, findings, _seconds(made)):
        stream.write(f"{',' if count else ''}\n{json.dumps(clean(each))}")
        count += 1
    stream.write("\n]}}\n")
    return count


def _objects(dumps: Sequence[DumpRecord], findings: Iterable[Finding], moment: str) -> Iterator[Record]:
    """Yield dumps, certificates, then private keys, which refer to both."""
    for dump in dumps:
        if dump.is_dump:
            yield _object(_FILE, dump.path, _of_dump(dump), (), moment)
    shown: set[str] = set()
    keys: list[PrivateKey] = []
    for finding in findings:
        match finding:
            case Certificate() if finding.private_keys or not is_well_known(finding.key_id):
                shown.add(finding.thumbprint)
                references = _places(finding.locations)
                yield _object(_X509, finding.thumbprint, _of_certificate(finding), references, moment)
            case PrivateKey() if finding.proven:
                keys.append(finding)
    for key in keys:
        certificates = [ref.thumbprint for ref in key.certificates if ref.thumbprint in shown]
        references = [
            *(_Reference(_uuid(_X509, thumbprint), "related-to") for thumbprint in certificates[:MAX_NAMES]),
            *_places(key.locations),
        ]
        yield _object(_CRYPTO, key.key_id, _of_key(key), references, moment)


def _of_dump(dump: DumpRecord) -> Iterator[tuple[str, object]]:
    yield "filename", base_name(dump.path)
    yield "size-in-bytes", dump.size
    yield "sha256", dump.sha256


def _of_certificate(certificate: Certificate) -> Iterator[tuple[str, object]]:
    yield "x509-fingerprint-sha1", certificate.thumbprint.lower()
    yield "x509-fingerprint-sha256", certificate.sha256
    yield "version", certificate.version
    yield "serial-number", certificate.serial_number
    yield "subject", certificate.subject
    yield "subject-common-name", certificate.subject_common_name
    yield "issuer", certificate.issuer
    yield "issuer-common-name", certificate.issuer_common_name
    yield "validity-not-before", certificate.not_before and certificate.not_before.isoformat()
    yield "validity-not-after", certificate.not_after and certificate.not_after.isoformat()
    yield "signature_algorithm", certificate.signature_algorithm
    yield "pubkey-info-algorithm", certificate.public_key_algorithm
    yield "pubkey-info-size", certificate.public_key_size
    yield "pubkey-info-exponent", certificate.public_key_exponent
    yield "is_ca", None if certificate.is_ca is None else "1" if certificate.is_ca else "0"
    yield from (("key_usage", usage) for usage in certificate.key_usage)
    yield from (("extended_key_usage", usage) for usage in certificate.extended_key_usage[:MAX_NAMES])
    for name in certificate.alternative_names[:MAX_NAMES]:
        kind, _, value = name.partition(":")
        if kind in _NAMES:
            yield _NAMES[kind], value
    found = "its private key was found" if certificate.private_keys else "its private key was not found"
    yield "text", f"{found}; SHA-256 of its SubjectPublicKeyInfo: {certificate.key_id or 'unknown'}"


def _of_key(key: PrivateKey) -> Iterator[tuple[str, object]]:
    yield "type", _ALGORITHMS.get(key.algorithm, "unknown")
    yield "origin", "memory-interception"
    yield "rsa-modulus-size", key.bits if key.algorithm == "RSA" else None
    yield "curve-length", key.bits if key.algorithm == "EC" else None
    yield "ecdsa-type", _CURVES.get(key.curve or "")
    about = (
        f"{describe(key)}, exposed in {key.place_count} place(s) of memory; the key itself is not in this event. "
        f"Key id (SHA-256 of the SubjectPublicKeyInfo): {key.key_id}. Proven: {', '.join(key.proof)}."
    )
    yield "text", about


def _places(locations: Iterable[Location]) -> list[_Reference]:
    """Return references to the dumps that something lies in."""
    files = list(dict.fromkeys(place.file for place in locations))
    return [_Reference(_uuid(_FILE, file), "contained-within") for file in files[:MAX_NAMES]]


def _object(
    template: _Template,
    identity: str,
    values: Iterable[tuple[str, object]],
    references: Iterable[_Reference],
    moment: str,
) -> Record:
    own = _uuid(template, identity)
    return {
        "uuid": own,
        "name": template.name,
        "meta-category": template.category,
        "template_uuid": template.uuid,
        "template_version": template.version,
        "timestamp": moment,
        "distribution": _LIKE_THE_EVENT,
        "Attribute": [
            _attribute(own, number, name, printable(str(value))[:MAX_TEXT], moment)
            for number, (name, value) in enumerate(values)
            if value not in {None, ""}
        ],
        "ObjectReference": [
            {
                "uuid": stable_uuid(f"{own} {each.to} {each.kind}"),
                "object_uuid": own,
                "referenced_uuid": each.to,
                "relationship_type": each.kind,
                "timestamp": moment,
            }
            for each in references
        ],
    }


def _attribute(owner: str, number: int, name: str, value: str, moment: str) -> Record:
    kind, category = _TYPES.get(name, ("text", "Other"))
    return {
        "uuid": stable_uuid(f"{owner} {number} {name}"),
        "object_relation": name,
        "type": kind,
        "category": category,
        "value": value,
        "to_ids": False,
        "disable_correlation": not name.startswith(("x509-fingerprint", "sha256")),
        "distribution": _LIKE_THE_EVENT,
        "timestamp": moment,
    }


def _uuid(template: _Template, identity: str) -> str:
    return stable_uuid(f"misp {template.name} {identity}")


def _seconds(moment: datetime) -> str:
    return str(max(int((moment - EPOCH).total_seconds()), 0))
