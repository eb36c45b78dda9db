"""Findings and processes as rows of a case file, and back. Nothing is lost on the way but key material."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from dumpscan.findings import (
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

if TYPE_CHECKING:
    from collections.abc import Mapping

Row = dict[str, Any]
"""Values by column."""

KINDS: tuple[type[Finding], ...] = (Certificate, PrivateKey, PublicKey, SymmetricKey, EncryptedContainer)
"""All kinds of finding, in the order in which a case hands them out."""
TABLES: Mapping[str, str] = {
    Certificate.kind: "certificates",
    PrivateKey.kind: "keys",
    PublicKey.kind: "keys",
    SymmetricKey.kind: "keys",
    EncryptedContainer.kind: "containers",
}
_INTEGER_BITS = 64
_ADDRESS_DIGITS = 16


# --- Values ----------------------------------------------------------------------------------------------------------


def time_text(moment: datetime | None) -> str | None:
    """Return a time as text that sorts as times do; one without a zone is taken as UTC."""
    if moment is None:
        return None
    moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    return moment.replace(tzinfo=None).isoformat() + "Z"


def time_of(text: str | None) -> datetime | None:
    """Undo `time_text`."""
    return None if text is None else datetime.fromisoformat(text)


def _number(value: int | None) -> int | str | None:
    """Return a number that an input chose as SQLite can keep it."""
    return hex(value) if value is not None and value.bit_length() >= _INTEGER_BITS else value


def _number_of(value: int | str | None) -> int | None:
    return int(value, 16) if isinstance(value, str) else value


def _address(value: int | None) -> str | None:
    return None if value is None else f"{value:#0{_ADDRESS_DIGITS + 2}x}"


def _address_of(text: str | None) -> int | None:
    return None if text is None else int(text, 16)


def _json(value: object) -> str:
    return json.dumps(value, separators=(",", ":"))


def _texts(text: str) -> tuple[str, ...]:
    return tuple(json.loads(text))


def _flag(value: int | None) -> bool | None:
    return None if value is None else bool(value)


# --- Processes -------------------------------------------------------------------------------------------------------


def process_row(process: Process) -> Row:
    """Return a row of `processes`, without its dump and its environment."""
    return {
        "pid": _number(process.pid),
        "name": process.name,
        "parent_pid": _number(process.parent_pid),
        "executable": process.executable,
        "command_line": process.command_line,
        "architecture": process.architecture,
        "session": _number(process.session),
        "wow64": process.wow64,
        "created": time_text(process.created),
        "exited": time_text(process.exited),
        "notes": _json(process.notes),
    }


def process_of(row: Row, environment: tuple[str, ...]) -> Process:
    """Undo `process_row`."""
    return Process(
        pid=_number_of(row["pid"]),
        name=row["name"],
        parent_pid=_number_of(row["parent_pid"]),
        executable=row["executable"],
        command_line=row["command_line"],
        environment=environment,
        architecture=row["architecture"],
        session=_number_of(row["session"]),
        wow64=_flag(row["wow64"]),
        created=time_of(row["created"]),
        exited=time_of(row["exited"]),
        notes=_texts(row["notes"]),
    )


# --- Places ----------------------------------------------------------------------------------------------------------


def location_row(location: Location) -> Row:
    """Return a row of `locations`, without what it belongs to."""
    process, region = location.process, location.region
    return {
        "virtual_address": _address(location.virtual_address),
        "physical_address": _address(location.physical_address),
        "file_offset": location.file_offset,
        "length": _number(location.length),
        "missing": _number(location.missing),
        "encoding": location.encoding,
        "sha256": location.sha256,
        "extents": _json(location.extents),
        "region_start": None if region is None else _address(region[0]),
        "region_size": None if region is None else _number(region[1]),
        "module": location.module,
        "pid": None if process is None else _number(process.pid),
        "process_name": None if process is None else process.name,
        "key_object": None if location.key_object is None else _json(asdict(location.key_object)),
    }


def location_of(row: Row, file: str, process: Process | None) -> Location:
    """Undo `location_row`.

    Args:
        row: The row.
        file: Path of its dump.
        process: The process that it belongs to, if that is one of the dump's.
    """
    if process is None and not (row["pid"] is None and row["process_name"] is None):
        process = Process(pid=_number_of(row["pid"]), name=row["process_name"])
    region_start = _address_of(row["region_start"])
    return Location(
        file=file,
        virtual_address=_address_of(row["virtual_address"]),
        length=_number_of(row["length"]) or 0,
        extents=tuple((offset, length) for offset, length in json.loads(row["extents"])),
        sha256=row["sha256"],
        encoding=row["encoding"],
        physical_address=_address_of(row["physical_address"]),
        region=None if region_start is None else (region_start, _number_of(row["region_size"]) or 0),
        module=row["module"],
        process=process,
        missing=_number_of(row["missing"]) or 0,
        key_object=None if row["key_object"] is None else _key_object_of(row["key_object"]),
    )


def _key_object_of(text: str) -> KeyObject:
    fields = json.loads(text)
    for name in ("uses", "missing_parts", "wrong_parts"):
        fields[name] = tuple(fields[name])
    fields["parameters"] = tuple((name, value) for name, value in fields["parameters"])
    return KeyObject(**fields)


# --- Findings --------------------------------------------------------------------------------------------------------


def finding_row(finding: Finding) -> Row:
    """Return a row of the table of the finding's kind, without its number.

    Raises:
        TypeError: There is no table for such a finding.
    """
    match finding:
        case Certificate():
            return {
                "thumbprint": finding.thumbprint,
                "key_id": finding.key_id,
                "version": _number(finding.version),
                "serial_number": finding.serial_number,
                "subject": finding.subject,
                "issuer": finding.issuer,
                "subject_common_name": finding.subject_common_name,
                "issuer_common_name": finding.issuer_common_name,
                "not_before": time_text(finding.not_before),
                "not_after": time_text(finding.not_after),
                "signature_algorithm": finding.signature_algorithm,
                "public_key_algorithm": finding.public_key_algorithm,
                "public_key_size": _number(finding.public_key_size),
                "public_key_curve": finding.public_key_curve,
                "public_key_exponent": _number(finding.public_key_exponent),
                "alternative_names": _json(finding.alternative_names),
                "is_ca": finding.is_ca,
                "problem": finding.problem,
                "der": finding.der,
            }
        case PrivateKey() | PublicKey() | SymmetricKey():
            return {
                "kind": finding.kind,
                "key_id": finding.key_id,
                "algorithm": finding.algorithm,
                "bits": _number(finding.bits),
                "curve": None if isinstance(finding, SymmetricKey) else finding.curve,
                "public_info": finding.public_info if isinstance(finding, PublicKey) else None,
            }
        case EncryptedContainer():
            return {
                "container": finding.container,
                "kdf": finding.kdf,
                "cipher": finding.cipher,
                "iterations": _number(finding.iterations),
                "mac": finding.mac,
            }
        case _:
            raise TypeError(f"no table for findings of kind {finding.kind}")


def finding_of(kind: str, row: Row, proof: tuple[str, ...], evidence: Mapping[str, Any], secret: bytes) -> Finding:
    """Undo `finding_row`.

    Args:
        kind: The finding's.
        row: The row.
        proof: What was proved of it, over all dumps.
        evidence: The common members: `sha256`, `size`, `locations`, `location_count`.
        secret: Its key material, empty where that is not stored.
    """
    match kind:
        case Certificate.kind:
            return Certificate(
                der=row["der"],
                thumbprint=row["thumbprint"],
                version=_number_of(row["version"]),
                serial_number=row["serial_number"],
                subject=row["subject"],
                issuer=row["issuer"],
                subject_common_name=row["subject_common_name"],
                issuer_common_name=row["issuer_common_name"],
                not_before=time_of(row["not_before"]),
                not_after=time_of(row["not_after"]),
                signature_algorithm=row["signature_algorithm"],
                public_key_algorithm=row["public_key_algorithm"],
                public_key_size=_number_of(row["public_key_size"]),
                public_key_curve=row["public_key_curve"],
                public_key_exponent=_number_of(row["public_key_exponent"]),
                alternative_names=_texts(row["alternative_names"]),
                is_ca=_flag(row["is_ca"]),
                key_id=row["key_id"],
                problem=row["problem"],
                **evidence,
            )
        case EncryptedContainer.kind:
            return EncryptedContainer(
                container=row["container"],
                kdf=row["kdf"],
                cipher=row["cipher"],
                iterations=_number_of(row["iterations"]),
                mac=row["mac"],
                data=secret,
                **evidence,
            )
    key: dict[str, Any] = {
        "algorithm": row["algorithm"],
        "bits": _number_of(row["bits"]) or 0,
        "key_id": row["key_id"],
        "proof": proof,
        **evidence,
    }
    match kind:
        case PrivateKey.kind:
            return PrivateKey(curve=row["curve"], pkcs8=secret, **key)
        case PublicKey.kind:
            return PublicKey(curve=row["curve"], public_info=row["public_info"], **key)
        case _:
            return SymmetricKey(key=secret, **key)


def proof_of(finding: Finding) -> str:
    """Return what was proved of a finding, as a column of `sightings`."""
    return _json(finding.proof if isinstance(finding, PrivateKey | PublicKey | SymmetricKey) else ())


def secret_of(finding: Finding) -> bytes:
    """Return a finding's key material (of an encrypted container: its bytes); empty if it has none."""
    match finding:
        case PrivateKey():
            return finding.pkcs8
        case SymmetricKey():
            return finding.key
        case EncryptedContainer():
            return finding.data
        case _:
            return b""
