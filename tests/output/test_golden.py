"""What users' scripts read stays as it is, byte for byte: today's output against the files in `golden/`."""

from __future__ import annotations

import csv
import io
from dataclasses import MISSING, dataclass, field, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from dumpscan import __version__
from dumpscan.findings import InputStatus, Process, Status
from dumpscan.memory.symbols.pdb import PdbRecord
from dumpscan.memory.symbols.store import SymbolsState
from dumpscan.output.formats.registry import make_renderer
from dumpscan.output.formats.render import View
from dumpscan.output.records import (
    finding_record,
    info_record,
    process_record,
    symbols_record,
)
from support import record_samples as samples

if TYPE_CHECKING:
    from dumpscan.output.records import Record

GOLDEN = Path(__file__).with_name("golden")


@dataclass
class Module:
    """A part of a description, as the readers of dumps make them."""

    name: str
    base: int
    seen: datetime
    digest: bytes
    nothing: int | None = None
    hidden: bytes = field(default=samples.SECRET, repr=False)


def records() -> dict[View, list[Record]]:
    pdb = PdbRecord(name="ntkrnlmp.pdb", guid="8B4FFB8A5C6A4D3D9F1E2A3B4C5D6E7F", age=1)
    present = SymbolsState(Path("a.raw"), pdb, Path("/symbols/nt.json.xz"))
    unknown = SymbolsState(Path("b.raw"), None, problem="no kernel was found")
    module = Module("a\u202e.dll", 0x7FFA12340000, datetime(2024, 1, 1, tzinfo=UTC), b"\x00\xff")
    description = {
        "size": 4096,
        "ratio": 0.5,
        "flags": None,
        "modules": [module, {"name": "b.dll", "size": 1 << 70}],
        "system": {"version": "10.0.19045", "wow64": True, "notes": []},
    }
    return {
        View.FINDINGS: [finding_record(finding) for finding in samples.findings()],
        View.ENVARS: [
            process_record(process, "a.dmp", environment=True) for process in (samples.PROCESS, Process(pid=4))
        ],
        View.PSLIST: [
            process_record(process, "a.dmp", environment=False) for process in (samples.PROCESS, Process(pid=4))
        ],
        View.SYMBOLS: [
            symbols_record("a.raw", present),
            symbols_record("b.raw", unknown),
        ],
        View.INFO: [info_record("minidump", "a.dmp", description)],
    }


def inputs() -> list[InputStatus]:
    return [
        InputStatus("a.dmp", 4096),
        InputStatus("b\u202e.dmp", 0, Status.DAMAGED, ("cut short", "no modules")),
        InputStatus("c.dmp", None, Status.UNREADABLE, ("c.dmp: cannot be opened",)),
    ]


def written(form: str, view: View, records_of_view: list[Record]) -> str:
    stream = io.StringIO()
    renderer = make_renderer(form, command="minidump x509", view=view, stream=stream)
    for record in records_of_view:
        renderer.add(record)
    for status in inputs():
        renderer.add_input(status)
    renderer.close()
    return stream.getvalue()


def golden(name: str) -> str:
    return (GOLDEN / name).read_text(encoding="utf-8")


def test_every_field_of_a_finding_is_in_the_samples() -> None:
    full = (samples.CERTIFICATE, samples.PRIVATE_KEY, samples.PUBLIC_KEY, samples.SYMMETRIC_KEY, samples.CONTAINER)
    parts: tuple[Any, ...] = (samples.PROCESS, samples.KEY_OBJECT, samples.PLACE, samples.REFERENCE)
    for sample in (*full, *parts):
        for each in fields(sample):
            value = getattr(sample, each.name)
            assert value not in (None, (), ""), (type(sample).__name__, each.name)
            if each.default is not MISSING and not isinstance(value, bool | int):
                assert value != each.default, (type(sample).__name__, each.name)


@pytest.mark.parametrize("view", records())
def test_json_is_what_it_was(view: View) -> None:
    expected = golden(f"{view}.json").replace('"version": "0"', f'"version": "{__version__}"')
    assert written("json", view, records()[view]) == expected


@pytest.mark.parametrize("view", records())
def test_json_lines_are_what_they_were(view: View) -> None:
    assert written("jsonl", view, records()[view]) == golden(f"{view}.jsonl")


@pytest.mark.parametrize("view", records())
def test_every_column_of_csv_is_there_with_the_text_it_had(view: View) -> None:
    before = list(csv.DictReader(io.StringIO(golden(f"{view}.csv"))))
    now = list(csv.DictReader(io.StringIO(written("csv", view, records()[view]))))
    assert [{name: row[name] for name in before[0]} for row in now] == before
