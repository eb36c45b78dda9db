"""A case in the languages of other tools: Timesketch's events, documents of the Elastic Common Schema, STIX 2.1.

All of them are written record by record. Names are those of the findings' JSON (`dumpscan.output.records`). Key
material is in none of them, nor are environments, which hold passwords more often than not.
"""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from dumpscan._version import __version__
from dumpscan.exceptions import UsageError
from dumpscan.findings import Certificate, EncryptedContainer, PrivateKey
from dumpscan.output.records import finding_record, process_record, timestamp
from dumpscan.output.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from typing import TextIO

    from dumpscan.case.records import DumpRecord
    from dumpscan.findings import Finding, Location, Process
    from dumpscan.output.records import Record

ECS_VERSION = "8.11.0"
"""The version of the Elastic Common Schema whose names are used."""

LONGEST_TEXT = 8000
"""Characters of a text; Lucene refuses a whole document for one keyword of more than 32766 bytes, four a character."""

_LONG = 1 << 63
"""Elasticsearch's and OpenSearch's `long` ends below it; addresses beyond it are there in hex."""

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
"""The time of what has none."""


class Target(StrEnum):
    """The tools that a case can be written for."""

    TIMESKETCH = "timesketch"
    ECS = "ecs"
    STIX = "stix"


def export_case(dumps: Iterable[DumpRecord], findings: Iterable[Finding], to: str, stream: TextIO) -> int:
    """Write a case for another tool; the same case gives the same text, in ASCII.

    Args:
        dumps: The inputs of the case.
        findings: Every finding once, pairs made.
        to: `timesketch` (JSON lines), `ecs` (JSON lines) or `stix` (one bundle).
        stream: Where to write.

    Returns:
        How many records (STIX: objects) were written.

    Raises:
        UsageError: There is no such target, or the library for it is not installed. Nothing was written.
        OSError: The stream cannot take it.
    """
    records = sorted(dumps, key=lambda dump: dump.path)
    match to:
        case Target.TIMESKETCH:
            return _write_lines(timesketch_events(records, findings), stream)
        case Target.ECS:
            return _write_lines(ecs_documents(records, findings), stream)
        case Target.STIX:
            from dumpscan.output.exports.stix import write_bundle  # noqa: PLC0415 - an optional dependency, slow to import

            return write_bundle(records, findings, stream)
        case _:
            raise UsageError(f"no export to {to!r}: expected one of {', '.join(Target)}")


def ecs_documents(dumps: Sequence[DumpRecord], findings: Iterable[Finding]) -> Iterator[Record]:
    """Yield ECS documents: one for each dump, each process, and each place of each finding.

    `x509.*`, `file.hash.*` (of the certificate) and `process.*` stand where ECS has them; a private key has the
    `x509.*` of its certificate that is valid longest. The rest of the finding's JSON, its place and the dump are under
    `dumpscan.*`, as ECS wants it for names that are not its own. `event.id` is the same whenever the case is exported.
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
        if isinstance(finding, PrivateKey):  # after all certificates, to be told with theirs
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


def timesketch_events(dumps: Sequence[DumpRecord], findings: Iterable[Finding]) -> Iterator[Record]:
    """Yield Timesketch events: dumps, processes, certificates' periods, and secrets at the time of their dump."""
    times = {dump.path: dump.modified or dump.started for dump in dumps}
    for dump in dumps:
        about = {"dump": dump.path, "file.size": dump.size, "file.hash.sha256": dump.sha256, "status": str(dump.status)}
        name = f"Memory dump {dump.path}"
        if dump.modified is not None:
            yield _event(dump.modified, "Content Modification Time", name, "dump", about)
        for process in dump.processes:
            yield from _process_events(process, dump)
    for finding in findings:
        about = {**_flat(_without_places(finding_record(finding))), "location_count": finding.location_count}
        match finding:
            case Certificate():
                yield from _validity_events(finding, about)
            case PrivateKey() | EncryptedContainer():
                yield from _memory_events(finding, about, times)


def describe(finding: Finding) -> str:
    """Return a finding in a few words, unescaped."""
    match finding:
        case Certificate():
            name = finding.subject or finding.subject_common_name or f"with thumbprint {finding.thumbprint}"
            return f"Certificate {name}{' (its private key was found)' if finding.private_keys else ''}"
        case PrivateKey():
            names = ", ".join(ref.subject for ref in finding.certificates[:3])
            return f"{finding.algorithm} private key ({finding.bits} bits) {f'of {names}' if names else finding.key_id}"
        case EncryptedContainer():
            return f"Encrypted {finding.container} container, SHA-256 {finding.sha256}"
        case _:
            return f"{finding.kind.replace('_', ' ').capitalize()} {getattr(finding, 'key_id', finding.sha256)}"


def clean(value: Any) -> Any:  # noqa: ANN401 - JSON's own types
    r"""Return a document as every JSON reader takes it: lone surrogates as `\udXXX`, texts cut, numbers within 64 bits.

    A member that is a larger number is left out, as is one that is None.
    """
    match value:
        case str():
            text = value if len(value) <= LONGEST_TEXT else f"{value[:LONGEST_TEXT]}… ({len(value)} characters in all)"
            return text.encode("utf-8", "backslashreplace").decode()
        case dict():
            return {clean(name): clean(item) for name, item in value.items() if _fits(item)}
        case list() | tuple():
            return [clean(item) for item in value if _fits(item)]
        case _:
            return value


def _fits(value: object) -> bool:
    return value is not None and (not isinstance(value, int) or -_LONG <= value < _LONG)


def _write_lines(documents: Iterable[Record], stream: TextIO) -> int:
    count = 0
    for document in documents:
        stream.write(json.dumps(clean(document), separators=(",", ":"), allow_nan=False) + "\n")
        count += 1
    return count


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
        dump.modified or dump.started,
        f"Memory dump {dump.path}: {dump.status}",
        kind="state",
        dataset="dump",
        category="file",
        identity=(dump.path,),
    )
    own = {"format": dump.format, "status": str(dump.status), "problems": list(dump.problems[:20])}
    document["observer"]["version"] = dump.tool_version
    return document | {"file": file, "dumpscan": {"dump": own}}


def _ecs_process(process: Process, dump: DumpRecord, number: int) -> Record:
    record = process_record(process, dump.path, environment=False)
    document = _ecs(
        process.created or dump.modified or dump.started,
        f"Process {process.name or ''} ({process.pid}) in {dump.path}",
        kind="state",
        dataset="process",
        category="process",
        identity=(dump.path, number, process.pid),
    )
    return document | {"process": record["process"], "dumpscan": {"dump": _about(dump), "notes": record["notes"]}}


def _ecs_finding(
    finding: Finding,
    record: Record,
    dumps: Mapping[str, DumpRecord],
    processes: Mapping[tuple[str, int | None], Process],
) -> Iterator[Record]:
    """Yield a document for each place; `record` is the finding's JSON."""
    common = _without_places(record)
    standard: Record = {name: common.pop(name) for name in ("x509", "file") if name in common}
    hashes = [finding.sha256, *([finding.thumbprint.lower()] if isinstance(finding, Certificate) else [])]
    kind = "alert" if isinstance(finding, PrivateKey) else "state"
    for place, described in zip(finding.locations, record["locations"], strict=True):
        dump = dumps.get(place.file)
        document = _ecs(
            (dump.modified or dump.started) if dump else EPOCH,
            f"{describe(finding)} in memory of {_owner(place)}",
            kind=kind,
            dataset=finding.kind,
            category="file",
            identity=(*finding.identity, place.file, place.extents, place.virtual_address, _pid(place)),
        )
        own = {**common, "location": described, "dump": _about(dump) if dump else {"path": place.file}}
        document |= {**standard, "dumpscan": own, "related": {"hash": hashes}}
        if place.process is not None:
            process = processes.get((place.file, place.process.pid), place.process)
            document["process"] = process_record(process, place.file, environment=False)["process"]
        yield document


def _about(dump: DumpRecord) -> Record:
    return {"path": dump.path, "format": dump.format, "sha256": dump.sha256}


def _event(
    moment: datetime, meaning: str, message: str, kind: str, about: Mapping[str, Any], *, tags: Sequence[str] = ()
) -> Record:
    """Return an event: what Timesketch requires, then whatever is known, under flat names."""
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return {
        "message": printable(message),
        "datetime": moment.isoformat(),
        "timestamp": (moment - EPOCH) // timedelta(microseconds=1),
        "timestamp_desc": meaning,
        "data_type": f"dumpscan:{kind}",
        "tag": list(tags),
        **about,
    }


def _process_events(process: Process, dump: DumpRecord) -> Iterator[Record]:
    about = {**_flat({"process": process_record(process, dump.path, environment=False)["process"]}), "dump": dump.path}
    name = f"{process.name or 'Process'} ({process.pid})"
    line = f": {process.command_line}" if process.command_line else ""
    moments = ((process.created, "started", "Start Time"), (process.exited, "ended", "Exit Time"))
    for moment, verb, meaning in moments:
        if moment is not None:
            yield _event(moment, meaning, f"{name} {verb}{line}", "process", about)


def _validity_events(certificate: Certificate, about: Record) -> Iterator[Record]:
    place = _flat_place(certificate.locations[0]) if certificate.locations else {}
    tags = ("private_key_exposed",) if certificate.private_keys else ()
    moments = (
        (certificate.not_before, "Certificate Valid From"),
        (certificate.not_after, "Certificate Valid Until"),
    )
    for moment, meaning in moments:
        if moment is not None:
            yield _event(moment, meaning, describe(certificate), certificate.kind, {**about, **place}, tags=tags)


def _memory_events(finding: Finding, about: Record, times: Mapping[str, datetime]) -> Iterator[Record]:
    """Yield an event for each process that something secret lay in, at the time of its dump."""
    owners = {(place.file, _pid(place)): place for place in reversed(finding.locations)}
    for place in reversed(owners.values()):
        moment = times.get(place.file)
        if moment is not None:
            message = f"{describe(finding)} in memory of {_owner(place)}"
            yield _event(moment, "Found In Memory Dump", message, finding.kind, {**about, **_flat_place(place)})


def _flat(record: Record, path: str = "") -> Record:
    """Return a document without nesting: dotted names; of a list of documents, a list for each name in them."""
    flat: Record = {}
    for name, item in record.items():
        dotted = f"{path}{name}"
        match item:
            case dict():
                flat |= _flat(item, f"{dotted}.")
            case [dict(), *_]:
                for inner in dict.fromkeys(key for element in item for key in element):
                    flat[f"{dotted}.{inner}"] = [element[inner] for element in item if inner in element]
            case _:
                flat[dotted] = item
    return flat


def _flat_place(place: Location) -> Record:
    process = place.process
    address = None if place.virtual_address is None else hex(place.virtual_address)
    return {
        "dump": place.file,
        "location.address": address,
        "location.file_offset": place.file_offset,
        "process.pid": None if process is None else process.pid,
        "process.name": None if process is None else process.name,
        "process.command_line": None if process is None else process.command_line,
    }


def _without_places(record: Record) -> Record:
    return {name: value for name, value in record.items() if name != "locations"}


def _owner(place: Location) -> str:
    """Return whose memory a place lies in, and the dump's name."""
    process = place.process
    name = "no process" if process is None else f"{process.name or 'process'} ({process.pid})"
    return f"{name}, {base_name(place.file)}"


def _pid(place: Location) -> int | None:
    return None if place.process is None else place.process.pid


def base_name(path: str) -> str:
    """Return the last part of a path of whatever system, of a URL too."""
    return path.replace("\\", "/").rstrip("/").rpartition("/")[2] or path
