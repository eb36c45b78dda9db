"""`report` and `case export` on a case file that was really written."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from dumpscan.case.moments import At
from dumpscan.case.store.writer import CaseWriter, DumpResult
from dumpscan.cli import report as commands
from dumpscan.exceptions import DumpscanError, ExportError, UsageError
from support import report_samples as cases

AT = datetime(2025, 6, 1, tzinfo=UTC)
report, export = commands.report.callback, commands.export.callback


@pytest.fixture
def case(tmp_path: Path) -> Path:
    path = tmp_path / "incident.db"
    with CaseWriter.open(path) as writer:
        for dump in cases.dumps():
            found = tuple(cases.findings()) if dump.path == cases.dump().path else ()
            writer.add(DumpResult(record=dump, findings=found))
    return path


def test_report(case: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = tmp_path / "report.html"
    assert report(case, output, at=At.on(AT)) == 0
    page = output.read_text(encoding="utf-8")
    assert "<h1>Case incident</h1>" in page
    assert "1 private key with a valid certificate lay readable in memory" in page
    assert f"report written to {output}" in capsys.readouterr().err
    with pytest.raises(ExportError, match="is there already"):
        report(case, output, at=At.on(AT))
    assert output.read_text(encoding="utf-8") == page
    assert report(case, output, title="Another", at=At.on(AT), force=True, quiet=True) == 0
    assert "<h1>Another</h1>" in output.read_text(encoding="utf-8")


def test_report_to_standard_output(case: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert report(case, Path("-"), at=At.on(AT)) == 0
    shown = capsys.readouterr()
    report(case, tmp_path / "a.html", at=At.on(AT), quiet=True)
    assert shown.out == (tmp_path / "a.html").read_text(encoding="utf-8")
    assert not shown.err


def test_export(case: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert export(case, "ecs") == 0
    documents = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {"dumpscan.private_key", "dumpscan.certificate", "dumpscan.dump", "dumpscan.process"} <= {
        document["event"]["dataset"] for document in documents
    }
    output = tmp_path / "events.jsonl"
    assert export(case, "timesketch", output) == 0
    assert f"{len(output.read_text().splitlines())} records written to {output}" in capsys.readouterr().err


def test_what_cannot_be_done_leaves_no_file(case: Path, tmp_path: Path) -> None:
    output = tmp_path / "out"
    with pytest.raises(UsageError, match="splunk"):
        export(case, "splunk", output)
    with pytest.raises(DumpscanError):
        report(tmp_path / "none.db", output)
    junk = tmp_path / "junk.db"
    junk.write_text("no case")
    with pytest.raises(DumpscanError):
        report(junk, output)
    assert not output.exists()
    assert not list(tmp_path.glob(".*.part"))
