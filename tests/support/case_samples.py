"""Cases for tests, made without reading any dump."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from dumpscan.case.records import DumpRecord
from dumpscan.case.store.writer import CaseWriter, DumpResult
from dumpscan.findings import Status
from support import output_samples as samples

if TYPE_CHECKING:
    from pathlib import Path

    from dumpscan.findings import Finding, Process

BEGUN = datetime(2025, 6, 1, 8, 0, 0, 250000, tzinfo=UTC)
DONE = datetime(2025, 6, 1, 8, 0, 1, tzinfo=UTC)


def result(
    path: str, *found: Finding, processes: tuple[Process, ...] = (samples.PROCESS,), **fields: object
) -> DumpResult:
    """What was learnt of a dump in which these findings lie."""
    placed = tuple(
        replace(finding, locations=tuple(replace(place, file=path) for place in finding.locations)) for finding in found
    )
    members: dict[str, object] = {
        "path": path,
        "size": 1000,
        "modified": BEGUN,
        "sha256": "ab" * 32,
        "format": "minidump",
        "status": Status.OK,
        "tool_version": "1.2",
        "settings": {"aes": False, "hash": True, "store_keys": False, "symbols": []},
        "started": BEGUN,
        "finished": DONE,
        "processes": processes,
    }
    record = DumpRecord(**(members | fields))  # type: ignore[arg-type]
    return DumpResult(record=record, findings=placed, modified_ns=1_700_000_000_123_456_789, tag=None)


def write_case(path: Path, *results: DumpResult) -> Path:
    """Write a case file."""
    with CaseWriter.open(path) as writer:
        for each in results:
            writer.add(each)
    return path
