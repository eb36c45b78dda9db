"""What exports of a case have in common: short descriptions, and documents that every JSON reader takes.

Exports are written record by record. Names are those of the findings' JSON (`dumpscan.output.records`).
"""

from __future__ import annotations

import json
import uuid
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from dumpscan.findings import Certificate, EncryptedContainer, PrivateKey
from dumpscan.output.labels import base_name

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import TextIO

    from dumpscan.findings import Finding, Location
    from dumpscan.output.records import Record

MAX_TEXT = 8000
"""Characters of a text. Lucene refuses a document with a keyword of more than 32766 bytes, up to four a character."""

_LONG = 1 << 63
"""The type `long` of Elasticsearch and OpenSearch ends below it; higher addresses are there in hex."""

_NAMESPACE = uuid.UUID("6f1b3f0a-0d0c-5d8e-9a55-2c7f5e9b41d3")
"""Namespace of identifiers; a random number, drawn once."""

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
"""The time of events that have none."""


def stable_uuid(name: str) -> str:
    """Return an identifier that follows from a name and has the form of a random one (UUIDv4).

    STIX asks for that form in all ids but those of objects whose id it derives itself (STIX 2.1, 2.9 and 6.13).
    """
    return str(uuid.UUID(bytes=uuid.uuid5(_NAMESPACE, clean(name)).bytes, version=4))


def write_lines(documents: Iterable[Record], stream: TextIO) -> int:
    """Write documents as JSON lines; return how many."""
    count = 0
    for document in documents:
        stream.write(json.dumps(clean(document), separators=(",", ":"), allow_nan=False) + "\n")
        count += 1
    return count


def describe(finding: Finding) -> str:
    """Describe a finding in a few words, unescaped."""
    match finding:
        case Certificate():
            name = finding.subject or finding.subject_common_name or f"with thumbprint {finding.thumbprint}"
            return f"Certificate {name}{' (its private key was found)' if finding.private_keys else ''}"
        case PrivateKey():
            names = ", ".join(ref.subject for ref in finding.certificates[:3])
            what = f"{finding.algorithm} private key" if finding.proven else f"Unproven {finding.algorithm} private key"
            return f"{what} ({finding.bits} bits) {f'of {names}' if names else finding.key_id}"
        case EncryptedContainer():
            return f"Encrypted {finding.container} container, SHA-256 {finding.sha256}"
        case _:
            return f"{finding.kind.replace('_', ' ').capitalize()} {getattr(finding, 'key_id', finding.sha256)}"


def clean(value: Any) -> Any:  # noqa: ANN401 - JSON's own types
    r"""Return a document as every JSON reader takes it: lone surrogates as `\udXXX`, texts cut, numbers within 64 bits.

    A member that is a larger number (or infinity) is left out, as is one that is None.
    """
    match value:
        case str():
            text = value if len(value) <= MAX_TEXT else f"{value[:MAX_TEXT]}… ({len(value)} characters in all)"
            return text.encode("utf-8", "backslashreplace").decode()
        case dict():
            return {clean(name): clean(item) for name, item in value.items() if _fits(item)}
        case list() | tuple():
            return [clean(item) for item in value if _fits(item)]
        case _:
            return value


def without_places(record: Record) -> Record:
    """Return a finding's document without its places, each of which has a document of its own."""
    return {name: value for name, value in record.items() if name != "locations"}


def owner(place: Location) -> str:
    """Return in whose memory a place lies, and the name of the dump."""
    process = place.process
    name = "no process" if process is None else f"{process.name or 'process'} ({process.pid})"
    return f"{name}, {base_name(place.file)}"


def pid_of(place: Location) -> int | None:
    """Return the id of the process that a place lies in."""
    return None if place.process is None else place.process.pid


def _fits(value: object) -> bool:
    return value is not None and (not isinstance(value, int | float) or -_LONG <= value < _LONG)
