r"""Findings as JSON documents: the one form from which every other format is derived.

A document is a nested dict of strings, integers, booleans, lists and dicts. Names are those of the Elastic Common
Schema (ECS) where it has one (`x509.*`, `file.hash.*`, `process.*`); `x509.is_ca`, `process.architecture`,
`process.session`, `process.wow64` and all that stands outside those groups are ours.

What is not known is left out (in Elasticsearch as in jq that reads as null); lists are always there, perhaps empty, so
that they can be iterated over without a guard. Strings are the dump's own, unescaped: lone surrogates of UTF-16 come
through `json.dumps` as `\udXXX`. Fields that a dataclass keeps out of its `repr` (key material, raw bytes) are in no
document.
"""

from __future__ import annotations

import dataclasses
import enum
import math
import numbers
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from datetime import UTC, datetime
from typing import Any

from dumpscan.findings import (
    SCHEMA_VERSION,
    Certificate,
    EncryptedContainer,
    Finding,
    KeyObject,
    Location,
    PrivateKey,
    Process,
    PublicKey,
    SymmetricKey,
)

Record = dict[str, Any]
"""A document, as described above."""

_LONGEST_NUMBER = 64
"""Bits of the largest integer that is written as a number; Python refuses to print very long ones in decimal."""


class Status(enum.StrEnum):
    """How much of an input could be used."""

    OK = "ok"
    DAMAGED = "damaged"
    UNREADABLE = "unreadable"


@dataclasses.dataclass(frozen=True, slots=True)
class InputStatus:
    """What became of one input file.

    Attributes:
        file: Its path, as it was given.
        size: Its length in bytes, where that is known.
        status: How much of it could be used.
        problems: What was wrong with it, in words.
    """

    file: str
    size: int | None = None
    status: Status = Status.OK
    problems: tuple[str, ...] = ()

    def record(self) -> Record:
        """Return it as a document."""
        return _known(
            {"file": self.file, "size": self.size, "status": self.status.value, "problems": list(self.problems)}
        )


def timestamp(moment: datetime) -> str:
    """Return a time as ISO 8601 in UTC with a final `Z`; one without a time zone is taken as UTC."""
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    try:
        moment = moment.astimezone(UTC)
    except OverflowError:  # hours from the year 1 or 9999, in another zone: as it stands
        return moment.isoformat()
    return moment.isoformat().replace("+00:00", "Z")


def plain(value: object) -> Any:  # noqa: ANN401 - JSON's own types
    """Return any value as JSON's types: dataclasses become dicts of the fields that their `repr` shows.

    None inside a dataclass or mapping is left out; times become ISO 8601, bytes hex, enumeration members their names.
    """
    match value:
        case None:
            return None
        case enum.Enum():
            return plain(value.value) if value.name is None else value.name
        case bytes() | bytearray() | memoryview():
            return bytes(value).hex()
        case datetime():
            return timestamp(value)
        case bool() | str() | numbers.Real():
            return _scalar(value)
        case Mapping():
            return _known({str(plain(key)): plain(item) for key, item in value.items()})
        case Sequence() | AbstractSet():
            return [plain(item) for item in value]
        case _ if dataclasses.is_dataclass(value):
            return _known({f.name: plain(getattr(value, f.name)) for f in dataclasses.fields(value) if f.repr})
        case _:
            return str(value)


def finding_record(finding: Finding) -> Record:
    """Return a finding as a document: the common envelope, then what its kind has."""
    record: Record = {
        "schema": SCHEMA_VERSION,
        "kind": finding.kind,
        "sha256": finding.sha256,
        "size": finding.size,
        "location_count": max(finding.location_count, len(finding.locations)),
    }
    match finding:
        case Certificate():
            record |= _certificate(finding)
        case PrivateKey() | PublicKey():
            record |= _key(finding, curve=finding.curve)
            record["certificates"] = [
                _known(
                    {
                        "thumbprint": ref.thumbprint,
                        "subject": ref.subject,
                        "common_name": ref.common_name,
                        "not_after": ref.not_after and timestamp(ref.not_after),
                        "same_process": ref.same_process,
                    }
                )
                for ref in finding.certificates
            ]
        case SymmetricKey():
            record |= _key(finding)
        case EncryptedContainer():
            record |= _container(finding)
        case _:
            record |= {name: value for name, value in plain(finding).items() if name not in record}
    record["locations"] = [location_record(location) for location in finding.locations]
    return record


def process_record(process: Process, dump: str, *, environment: bool) -> Record:
    """Return a process as a document.

    Args:
        process: The process.
        dump: Path of the dump that it was read from.
        environment: Whether its environment goes in (as ECS's `process.env_vars`).
    """
    fields = {
        "pid": process.pid,
        "name": process.name,
        "parent": _known({"pid": process.parent_pid}) or None,
        "executable": process.executable,
        "command_line": process.command_line,
        "architecture": process.architecture,
        "session": process.session,
        "wow64": process.wow64,
        "start": process.created and timestamp(process.created),
        "end": process.exited and timestamp(process.exited),
        "env_vars": list(process.environment) if environment else None,
    }
    return {
        "schema": SCHEMA_VERSION,
        "kind": "process",
        "dump": dump,
        "process": _known(fields),
        "notes": list(process.notes),
    }


def symbols_record(
    image: str,
    state: str,
    pdb: tuple[str, str, int, str] | None,
    *,
    table: str | None = None,
    problem: str | None = None,
) -> Record:
    """Return which symbol table an image needs as a document.

    Args:
        image: Path of the image.
        state: `present`, `missing` or `unknown`.
        pdb: Name, GUID, age, and path on a symbol server; None if the image has no kernel.
        table: Path of the table on this machine.
        problem: What is doubtful.
    """
    named = dict(zip(("pdb", "guid", "age", "server_path"), pdb or (), strict=False))
    fields = {"state": state, **named, "table": table, "problem": problem}
    return {"schema": SCHEMA_VERSION, "kind": "symbols", "dump": image, "symbols": _known(fields)}


def info_record(kind: str, dump: str, info: object) -> Record:
    """Return what a dump says of itself as a document.

    Args:
        kind: The record's kind, e.g. `minidump`; the description stands under the same name.
        dump: Path of the dump.
        info: The description: a dataclass or mapping of any depth.
    """
    return {"schema": SCHEMA_VERSION, "kind": kind, "dump": dump, kind: plain(info)}


def location_record(location: Location) -> Record:
    """Return a place as a document. `address` is the virtual address in hex, exact where jq's numbers end at 2^53."""
    process = location.process
    region = location.region
    return _known(
        {
            "file": location.file,
            "file_offset": location.file_offset,
            "extents": [{"file_offset": offset, "length": length} for offset, length in location.extents],
            "virtual_address": location.virtual_address,
            "address": None if location.virtual_address is None else hex(location.virtual_address),
            "physical_address": location.physical_address,
            "length": location.length,
            "missing": location.missing,
            "encoding": location.encoding,
            "sha256": location.sha256,
            "region": None if region is None else {"start": region[0], "address": hex(region[0]), "size": region[1]},
            "module": location.module,
            "process": None if process is None else _known({"pid": process.pid, "name": process.name}),
            "key_object": None if location.key_object is None else _key_object(location.key_object),
        }
    )


def environment_entry(entry: str) -> tuple[str, str]:
    """Split `NAME=value` of an environment block; the `=` that opens a name such as `=C:` belongs to the name."""
    cut = entry.find("=", 1)
    return (entry, "") if cut < 0 else (entry[:cut], entry[cut + 1 :])


def _known(fields: Mapping[str, Any]) -> Record:
    return {name: value for name, value in fields.items() if value is not None}


def _long(number: int | None) -> int | None:
    """Return a number that an input chose if it fits ECS's `long` (64 bits with sign); a larger one is left out."""
    return None if number is None or number.bit_length() >= _LONGEST_NUMBER else number


def _scalar(value: bool | str | numbers.Real) -> bool | str | int | float:  # noqa: FBT001 - any of JSON's scalars
    match value:
        case bool():
            return value
        case str():
            return str(value)  # of a subclass, the plain string
        case numbers.Integral():
            number = int(value)
            return number if number.bit_length() <= _LONGEST_NUMBER else hex(number)
        case _:
            number_or_not = float(value)
            return number_or_not if math.isfinite(number_or_not) else str(number_or_not)


def _name(distinguished: str | None, common: str | None) -> Record:
    return _known({"distinguished_name": distinguished, "common_name": [] if common is None else [common]})


def _certificate(certificate: Certificate) -> Record:
    x509 = {
        "version_number": certificate.version,
        "serial_number": certificate.serial_number,
        "subject": _name(certificate.subject, certificate.subject_common_name),
        "issuer": _name(certificate.issuer, certificate.issuer_common_name),
        "not_before": certificate.not_before and timestamp(certificate.not_before),
        "not_after": certificate.not_after and timestamp(certificate.not_after),
        "signature_algorithm": certificate.signature_algorithm,
        "public_key_algorithm": certificate.public_key_algorithm,
        "public_key_size": certificate.public_key_size,
        "public_key_curve": certificate.public_key_curve,
        "public_key_exponent": _long(certificate.public_key_exponent),
        "alternative_names": list(certificate.alternative_names),
        "is_ca": certificate.is_ca,
    }
    return _known(
        {
            "thumbprint": certificate.thumbprint,
            "key_id": certificate.key_id,
            "problem": certificate.problem,
            "private_keys": list(certificate.private_keys),
            "x509": _known(x509),
            "file": {"hash": {"sha256": certificate.sha256, "sha1": certificate.thumbprint.lower()}},
        }
    )


def _key(key: PrivateKey | PublicKey | SymmetricKey, curve: str | None = None) -> Record:
    encodings = dict.fromkeys(location.encoding for location in key.locations)
    return {
        "key": _known(
            {
                "id": key.key_id,
                "algorithm": key.algorithm,
                "bits": key.bits,
                "curve": curve,
                "proof": list(key.proof),
                "encodings": list(encodings),
            }
        )
    }


def _key_object(key_object: KeyObject) -> Record:
    """Return what a library's key object says; the parameters of a curve or group are public ones."""
    record: Record = plain(key_object)
    return record | {"parameters": dict(key_object.parameters), "consistent": key_object.consistent}


def _container(container: EncryptedContainer) -> Record:
    return {
        "container": _known(
            {
                "type": container.container,
                "kdf": container.kdf,
                "cipher": container.cipher,
                "iterations": _long(container.iterations),
                "mac": container.mac,
            }
        )
    }
