"""A case as events for Timesketch, as JSON lines."""

from __future__ import annotations

from datetime import UTC, timedelta
from typing import TYPE_CHECKING, Any

from dumpscan.findings import Certificate, EncryptedContainer, PrivateKey
from dumpscan.output.exports.documents import EPOCH, describe, owner, pid_of, without_places, write_lines
from dumpscan.output.records import finding_record, process_record
from dumpscan.output.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from datetime import datetime
    from typing import TextIO

    from dumpscan.case.records import DumpRecord
    from dumpscan.findings import Finding, Location, Process
    from dumpscan.output.records import Record


def write_events(dumps: Sequence[DumpRecord], findings: Iterable[Finding], stream: TextIO) -> int:
    """Write an event a line; return how many."""
    return write_lines(events(dumps, findings), stream)


def events(dumps: Sequence[DumpRecord], findings: Iterable[Finding]) -> Iterator[Record]:
    """Yield events: dumps, processes, validity periods of certificates, and secrets at the time of their dump."""
    times = {dump.path: dump.moment for dump in dumps}
    for dump in dumps:
        about = {"dump": dump.path, "file.size": dump.size, "file.hash.sha256": dump.sha256, "status": str(dump.status)}
        name = f"Memory dump {dump.path}"
        if dump.captured is not None:
            yield _event(dump.captured, "Memory Captured", name, "dump", about)
        if dump.modified is not None:
            yield _event(dump.modified, "Content Modification Time", name, "dump", about)
        for process in dump.processes:
            yield from _process_events(process, dump)
    for finding in findings:
        about = {**_flat(without_places(finding_record(finding))), "location_count": finding.location_count}
        match finding:
            case Certificate():
                yield from _validity_events(finding, about)
            case PrivateKey() | EncryptedContainer():
                yield from _memory_events(finding, about, times)


def _event(
    moment: datetime, meaning: str, message: str, kind: str, about: Mapping[str, Any], *, tags: Sequence[str] = ()
) -> Record:
    """Return an event: the fields that Timesketch requires, then what is known, under flat names."""
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
    """Yield an event for each process that held something secret, at the time of its dump."""
    owners = {(place.file, pid_of(place)): place for place in reversed(finding.locations)}
    for place in reversed(owners.values()):
        moment = times.get(place.file)
        if moment is not None:
            message = f"{describe(finding)} in memory of {owner(place)}"
            yield _event(moment, "Found In Memory Dump", message, finding.kind, {**about, **_flat_place(place)})


def _flat(record: Record, path: str = "") -> Record:
    """Return a document with dotted names instead of nesting; a list of documents becomes a list for each name."""
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
