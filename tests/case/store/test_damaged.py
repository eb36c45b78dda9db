"""No value in a case file ends a command in a traceback."""

from __future__ import annotations

import io
import json
import sqlite3
from typing import TYPE_CHECKING

import pytest

from dumpscan.case.records import CaseError
from dumpscan.case.store.reader import Case
from dumpscan.case.store.writer import CaseWriter
from dumpscan.exceptions import DumpscanError
from dumpscan.output.case_summary import case_summary
from dumpscan.output.exports.registry import Target, export_case
from dumpscan.output.records import finding_record
from dumpscan.output.report.html import write_report
from support import output_samples as samples
from support.case_damage import VALUES, columns, read_everything, whole_case, with_value
from support.corpus import ROOT

if TYPE_CHECKING:
    from pathlib import Path

HOSTILE = sorted((ROOT.parent / "shared" / "corpus" / "hostile" / "case").glob("*.xz"))
TABLES = (
    "case_info",
    "certificates",
    "containers",
    "dumps",
    "environment",
    "findings",
    "keys",
    "locations",
    "processes",
    "secrets",
    "sightings",
)


def write_everything(path: Path) -> None:
    """Write what the commands write, but for showing it."""
    with Case.open(path) as case:
        case_summary(case.summary(samples.NOW), case.exposed_keys(samples.NOW), case.dumps(processes=False))
        for finding in case.findings():
            json.dumps(finding_record(finding))
        write_report(case.dumps(), case.findings(), io.StringIO(), title="", generated=samples.NOW, settings={})
        for target in Target:
            export_case(case.dumps(), case.findings(), target, io.StringIO())


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return whole_case(tmp_path_factory.mktemp("whole") / "case.db")


def test_every_table_is_tried(whole: Path) -> None:
    assert {table for table, _ in columns(whole)} == set(TABLES)


@pytest.mark.parametrize("table", TABLES)
def test_any_value_in_any_column(whole: Path, tmp_path: Path, table: str) -> None:
    refused = 0
    for number, (_, column) in enumerate(each for each in columns(whole) if each[0] == table):
        for value in VALUES[number % 6 :: 6]:
            path = with_value(whole, tmp_path / "case.db", table, column, value)
            if path is None:
                continue
            try:
                read_everything(path)
            except CaseError as error:
                refused += 1
                assert str(path) in str(error)  # noqa: PT017 - it need not be raised
            else:
                write_everything(path)
            for ending in ("", "-wal", "-shm"):
                path.with_name(path.name + ending).unlink(missing_ok=True)
    assert refused


@pytest.mark.parametrize("column", ["path", "size", "modified_ns", "settings", "status", "opened"])
def test_triage_of_a_damaged_case(whole: Path, tmp_path: Path, column: str) -> None:
    for value in VALUES[len(column) % 3 :: 3]:
        path = with_value(whole, tmp_path / "case.db", "dumps", column, value)
        if path is not None:
            try:
                with CaseWriter.open(path) as writer:
                    writer.known()
            except DumpscanError:
                pass
            for ending in ("", "-wal", "-shm"):
                path.with_name(path.name + ending).unlink(missing_ok=True)


@pytest.mark.parametrize("packed", HOSTILE, ids=lambda path: path.name)
def test_damaged_cases_of_others(packed: Path, tmp_path: Path) -> None:
    import lzma  # noqa: PLC0415 - where there are any

    path = tmp_path / "case.db"
    path.write_bytes(lzma.decompress(packed.read_bytes()))
    with pytest.raises(DumpscanError, match=r"case\.db"):
        read_everything(path)


def test_a_value_that_is_too_long(tmp_path: Path) -> None:
    path = whole_case(tmp_path / "case.db")
    connection = sqlite3.connect(path)
    connection.execute("UPDATE dumps SET path = printf('%.*c', 17000000, 'x') WHERE id = 1")
    connection.commit()
    connection.close()
    with pytest.raises(CaseError, match="damaged"):
        read_everything(path)
