"""Cases for reports and exports: dumps, and findings in them, made on the spot."""

from __future__ import annotations

import dataclasses
import hashlib
from datetime import UTC, datetime
from typing import Any, TypeVar

from dumpscan.case.records import DumpRecord
from dumpscan.findings import Certificate, Finding, Process, Status
from support import output_samples as samples

NOW = samples.NOW
FOLDER = "/evidence/"
Found = TypeVar("Found", bound=Finding)


def dump(path: str = FOLDER + samples.DUMP, **fields: Any) -> DumpRecord:  # noqa: ANN401 - the record's own types
    """A dump that was read whole, with the samples' process in it, unless told otherwise."""
    given: dict[str, Any] = {
        "path": path,
        "size": 56767561,
        "modified": datetime(2025, 5, 30, 18, 12, tzinfo=UTC),
        "sha256": hashlib.sha256(path.encode("utf-8", "surrogatepass")).hexdigest(),
        "format": "minidump",
        "status": Status.OK,
        "tool_version": "0.5.0",
        "settings": {"aes": True, "symbols": ["/srv/symbols"]},
        "started": datetime(2025, 6, 1, 9, 30, tzinfo=UTC),
        "finished": datetime(2025, 6, 1, 9, 31, tzinfo=UTC),
        "processes": (samples.PROCESS,),
    }
    return DumpRecord(**(given | fields))


def dumps() -> list[DumpRecord]:
    """One good dump, one of each kind of bad one, and a file that is no dump."""
    return [
        dump(),
        dump(
            FOLDER + "server01.raw",
            format="kernel: crash dump",
            processes=tuple(
                Process(pid=4 * number, name=f"svchost{number}.exe", command_line=f"svchost.exe -k group{number}")
                for number in range(1, 9)
            ),
        ),
        dump(FOLDER + "cut.dmp", status=Status.DAMAGED, problems=("memory list cut short",), processes=()),
        dump(
            FOLDER + "locked.dmp",
            status=Status.UNREADABLE,
            problems=("permission denied",),
            sha256=None,
            size=None,
            format=None,
            processes=(),
        ),
        dump(FOLDER + "notes.txt", status=Status.OTHER, problems=("text",), format=None, processes=()),
    ]


def in_dump(finding: Found, path: str = FOLDER + samples.DUMP, process: Process | None = samples.PROCESS) -> Found:
    """The same finding, all its places in one dump and process."""
    places = tuple(dataclasses.replace(place, file=path, process=process) for place in finding.locations)
    return dataclasses.replace(finding, locations=places)


def findings() -> list[Finding]:
    """One of everything."""
    extra = (samples.public_key(samples.ed25519_key(), 0x55000), samples.symmetric_key())
    return [in_dump(finding) for finding in (*samples.findings(), *extra)]


def certificates(count: int) -> list[Certificate]:
    """Many certificates, without the work of signing them."""
    base = in_dump(samples.certificate(samples.ed25519_key(), "many.example", 0x99000, paired=False))
    return [named(base, f"host{number:05}.example", number) for number in range(count)]


def named(base: Certificate, name: str, number: int = 0) -> Certificate:
    """A certificate of another name and thumbprint."""
    digest = hashlib.sha256(f"{number}".encode()).hexdigest()
    return dataclasses.replace(
        base,
        sha256=digest,
        thumbprint=digest[:40].upper(),
        key_id=digest,
        subject=f"CN={name}",
        subject_common_name=name,
        issuer_common_name=name,
        alternative_names=(f"DNS:{name}",),
    )
