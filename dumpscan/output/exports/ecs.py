"""A case as documents of the Elastic Common Schema (ECS), as JSON lines."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

from dumpscan._version import __version__
from dumpscan.findings import Certificate, PrivateKey
from dumpscan.output.exports.documents import EPOCH, describe, owner, pid_of, without_places, write_lines
from dumpscan.output.labels import base_name
from dumpscan.output.records import finding_record, process_record, timestamp
from dumpscan.output.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from datetime import datetime
    from typing import TextIO

    from dumpscan.case.records import DumpRecord
    from dumpscan.findings import Finding, Process
    from dumpscan.output.records import Record

ECS_VERSION = "8.11.0"
"""The version of the schema whose names are used."""

_X509 = frozenset(
    {
        "alternative_names",
        "issuer",
        "not_after",
        "not_before",
        "public_key_algorithm",
        "public_key_curve",
        "public_key_exponent",
        "public_key_size",
        "serial_number",
        "signature_algorithm",
        "subject",
        "version_number",
    }
)
_PROCESS = frozenset({"command_line", "end", "executable", "name", "parent", "pid", "start"})
"""Names of ours that ECS has too, in `x509` and `process`."""


def write_documents(dumps: Sequence[DumpRecord], findings: Iterable[Finding], stream: TextIO) -> int:
    """Write a document a line; return how many."""
    return write_lines(documents(dumps, findings), stream)


def documents(dumps: Sequence[DumpRecord], findings: Iterable[Finding]) -> Iterator[Record]:
    """Yield ECS documents: one for each dump, each process, and each place of each finding.

    `file.x509.*`, `file.hash.*` (of the certificate) and `process.*` stand where ECS has them; a private key has the
    `file.x509.*` of its certificate that is valid the longest. What ECS has no name for is under `dumpscan.*`: further
    fields of certificates and processes, the rest of the finding's JSON, its place and the dump. `event.id` is the same
    in every export of a case.
    """
    by_path = {dump.path: dump for dump in dumps}
    processes = _processes(dumps)
    for dump in dumps:
        yield _ecs_dump(dump)
        for number, process in enumerate(dump.processes):
            yield _ecs_process(process, dump, number)
    certificates: dict[str, Record] = {}
    keys: list[PrivateKey] = []
    for finding in findings:
        if isinstance(finding, PrivateKey):  # written after all certificates, with those of its own
            keys.append(finding)
            continue
        record = finding_record(finding)
        if isinstance(finding, Certificate) and finding.private_keys:
            certificates[finding.thumbprint] = record["x509"]
        yield from _ecs_finding(finding, record, by_path, processes)
    for key in keys:
        record = finding_record(key)
        own = [certificates[ref.thumbprint] for ref in key.certificates if ref.thumbprint in certificates]
        if own:
            record["x509"] = max(own, key=lambda x509: str(x509.get("not_after", "")))
        yield from _ecs_finding(key, record, by_path, processes)


def _processes(dumps: Iterable[DumpRecord]) -> dict[tuple[str, int | None], Process]:
    return {(dump.path, process.pid): process for dump in dumps for process in dump.processes}


def _ecs(
    moment: datetime, message: str, *, kind: str, dataset: str, category: str, identity: Sequence[object]
) -> Record:
    return {
        "@timestamp": timestamp(moment),
        "message": printable(message),
        "ecs": {"version": ECS_VERSION},
        "event": {
            "id": hashlib.sha256(json.dumps([dataset, *identity], default=str).encode()).hexdigest()[:32],
            "kind": kind,
            "category": [category],
            "type": ["info"],
            "module": "dumpscan",
            "dataset": f"dumpscan.{dataset}",
        },
        "observer": {"name": "dumpscan", "type": "scanner", "version": __version__},
    }


def _ecs_dump(dump: DumpRecord) -> Record:
    """Return a dump's document. Here `file.*` is the dump itself."""
    file = {
        "path": dump.path,
        "name": base_name(dump.path),
        "size": dump.size,
        "mtime": dump.modified and timestamp(dump.modified),
        "hash": {"sha256": dump.sha256} if dump.sha256 else None,
    }
    document = _ecs(
        dump.moment,
        f"Memory dump {dump.path}: {dump.status}",
        kind="state",
        dataset="dump",
        category="file",
        identity=(dump.path,),
    )
    own = {
        "captured": dump.captured and timestamp(dump.captured),
        "format": dump.format,
        "status": str(dump.status),
        "problems": list(dump.problems[:20]),
    }
    document["observer"]["version"] = dump.tool_version
    return document | {"file": file, "dumpscan": {"dump": own}}


def _ecs_process(process: Process, dump: DumpRecord, number: int) -> Record:
    record = process_record(process, dump.path, environment=False)
    document = _ecs(
        process.created or dump.moment,
        f"Process {process.name or ''} ({process.pid}) in {dump.path}",
        kind="state",
        dataset="process",
        category="process",
        identity=(dump.path, number, process.pid),
    )
    standard, own = _split(record["process"], _PROCESS)
    return document | {
        "process": standard,
        "dumpscan": {"dump": _about(dump), "process": own, "notes": record["notes"]},
    }


def _ecs_finding(
    finding: Finding,
    record: Record,
    dumps: Mapping[str, DumpRecord],
    processes: Mapping[tuple[str, int | None], Process],
) -> Iterator[Record]:
    """Yield a document for each place; `record` is the finding's JSON."""
    common = without_places(record)
    standard, own_x509 = _split(common.pop("x509", {}), _X509)
    file = common.pop("file", {}) | ({"x509": standard} if standard else {})
    if own_x509:
        common["x509"] = own_x509
    hashes = [finding.sha256, *([finding.thumbprint.lower()] if isinstance(finding, Certificate) else [])]
    kind = "alert" if isinstance(finding, PrivateKey) and finding.proven else "state"
    for place, described in zip(finding.locations, record["locations"], strict=True):
        dump = dumps.get(place.file)
        document = _ecs(
            dump.moment if dump else EPOCH,
            f"{describe(finding)} in memory of {owner(place)}",
            kind=kind,
            dataset=finding.kind,
            category="file",
            identity=(*finding.identity, place.file, place.extents, place.virtual_address, pid_of(place)),
        )
        own = {**common, "location": described, "dump": _about(dump) if dump else {"path": place.file}}
        document |= {"dumpscan": own, "related": {"hash": hashes}} | ({"file": file} if file else {})
        if place.process is not None:
            process = processes.get((place.file, place.process.pid), place.process)
            about = process_record(process, place.file, environment=False)["process"]
            document["process"], own["process"] = _split(about, _PROCESS)
        yield document


def _split(record: Record, names: frozenset[str]) -> tuple[Record, Record]:
    """Split a document into what ECS has a name for, and the rest."""
    return (
        {name: value for name, value in record.items() if name in names},
        {name: value for name, value in record.items() if name not in names},
    )


def _about(dump: DumpRecord) -> Record:
    return {"path": dump.path, "format": dump.format, "sha256": dump.sha256}
