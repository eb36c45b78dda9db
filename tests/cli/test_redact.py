"""`dumpscan redact`: the command line."""

from __future__ import annotations

import json
import shutil
import sqlite3
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner
from jsonschema import Draft202012Validator

from dumpscan.cli.app import app
from dumpscan.exceptions import DumpscanError, UsageError
from dumpscan.output.json_schema import schemas
from support.corpus import SAMPLES

if TYPE_CHECKING:
    from pathlib import Path

    from click.testing import Result

SAMPLE = SAMPLES / "webserver.dmp"
RECORD = Draft202012Validator(schemas()["record.schema.json"])
DOCUMENT = Draft202012Validator(schemas()["document.schema.json"])


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["redact", *map(str, arguments)])


def test_a_copy_and_its_report(tmp_path: Path) -> None:
    target, report = tmp_path / "clean.dmp", tmp_path / "report.json"

    done = run(SAMPLE, "-o", target, "--report", report)

    assert done.exit_code == 0
    assert "8 secrets in " in done.stdout
    assert f"the copy is {target}" in done.stdout
    record = json.loads(report.read_text())
    RECORD.validate(record)
    assert record["redaction"]["output"]["file"] == str(target)
    assert {each["what"] for each in record["redaction"]["removed"]} == {"private-keys", "containers", "environment"}
    assert run("--verify", target).exit_code == 0


def test_a_report_holds_no_secret(tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    run(SAMPLE, "-o", tmp_path / "clean.dmp", "--report", report)

    removed = json.loads(report.read_text())["redaction"]["removed"]

    variable = next(each for each in removed if each["label"] == "ORDERS_API")
    assert set(variable) == {"what", "label", "hash", "place_count", "size", "places"}
    assert "orders.contoso" not in report.read_text()


def test_verify_tells_by_the_exit_code(tmp_path: Path) -> None:
    assert run("--verify", SAMPLE).exit_code == 4
    assert run("--verify", tmp_path / "absent.dmp").exit_code == 1


def test_a_dry_run_in_json(tmp_path: Path) -> None:
    done = run(SAMPLE, "--dry-run", "--format", "json")

    assert done.exit_code == 0
    document = json.loads(done.stdout)
    DOCUMENT.validate(document)
    (record,) = document["findings"]
    data = SAMPLE.read_bytes()
    places = [place for each in record["redaction"]["removed"] for place in each["places"]]
    assert all(0 < place["file_offset"] < len(data) - place["length"] for place in places)
    assert not list(tmp_path.iterdir())


def test_csv_has_a_row_for_each_place() -> None:
    header, *rows = run(SAMPLE, "--dry-run", "--format", "csv").stdout.splitlines()

    assert header == "file,what,label,key_id,file_offset,length,encoding"
    assert len(rows) >= 8


def test_keep_and_what(tmp_path: Path) -> None:
    done = run(
        SAMPLE, "-o", tmp_path / "a.dmp", "--what", "private-keys", "--what", "containers", "--keep", "containers"
    )

    assert "private-keys" in done.stdout
    assert "containers" not in done.stdout
    assert "environment" not in done.stdout


def test_strings_from_a_file(tmp_path: Path) -> None:
    values = tmp_path / "values.txt"
    values.write_text("inetpub\n")
    target = tmp_path / "clean.dmp"
    assert "inetpub".encode("utf-16-le") in SAMPLE.read_bytes()

    run(SAMPLE, "-o", target, "--value-file", values)

    assert "inetpub".encode("utf-16-le") not in target.read_bytes()


def test_a_directory_one_bad_file_stops_nothing_and_a_second_run_goes_on(tmp_path: Path) -> None:
    dumps, copies = tmp_path / "dumps", tmp_path / "copies"
    (dumps / "deep").mkdir(parents=True)
    shutil.copy(SAMPLE, dumps / "a.dmp")
    shutil.copy(SAMPLE, dumps / "deep" / "b.dmp")
    (dumps / "bad.dmp").write_bytes(b"MDMP\x93\xa7\0\0" + bytes(24))
    (dumps / "notes.txt").write_text("no dump")

    done = run(dumps, "-o", copies, "--jobs", 2)

    assert done.exit_code == 1
    assert "bad.dmp" in done.stderr
    assert "1 files are not dumps" in done.stderr
    names = sorted(str(path.relative_to(copies)) for path in copies.rglob("*") if path.is_file())
    assert names == ["a.dmp", "a.dmp.redaction.json", "deep/b.dmp", "deep/b.dmp.redaction.json"]
    RECORD.validate(json.loads((copies / "a.dmp.redaction.json").read_text()))
    assert run("--verify", copies).exit_code == 0
    (copies / "a.dmp").unlink()

    again = run(dumps, "-o", copies)

    assert "1 copies are there already" in again.stderr
    assert (copies / "a.dmp").exists()


def test_a_damaged_case_may_name_dumps_by_relative_paths(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for name in ("a.dmp", "b.dmp"):
        shutil.copy(SAMPLES / "webserver.dmp", tmp_path / "in" / name)
    case = tmp_path / "a.case"
    CliRunner().invoke(app, ["triage", str(tmp_path / "in"), "-c", str(case), "-j", "1", "-q", "--no-progress"])
    with sqlite3.connect(case) as database:
        database.execute("UPDATE dumps SET path = 'nowhere.dmp' WHERE path LIKE '%b.dmp'")

    done = run(case, "--dry-run")

    assert done.exit_code == 1
    assert "nowhere.dmp: cannot be opened" in done.stderr


def test_a_case_names_the_dumps(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    shutil.copy(SAMPLE, tmp_path / "in" / "a.dmp")
    case = tmp_path / "a.case"
    CliRunner().invoke(app, ["triage", str(tmp_path / "in"), "-c", str(case), "-j", "1", "-q", "--no-progress"])
    assert sqlite3.connect(case).execute("SELECT count(*) FROM dumps").fetchone() == (1,)

    done = run(case, "-o", tmp_path / "out")

    assert done.exit_code == 0
    assert (tmp_path / "out" / "a.dmp").exists()


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ((), "give one of"),
        (("-o", "x", "--verify"), "give one of"),
        (("--dry-run", "--regex", "("), "not a regular expression"),
        (("--dry-run", "--regex", "a*"), "matches everywhere"),
        (("--dry-run", "--value-file", "/nowhere"), "cannot be read"),
    ],
)
def test_what_makes_no_sense(arguments: tuple[str, ...], problem: str) -> None:
    done = run(SAMPLE, *arguments)

    assert isinstance(done.exception, DumpscanError | UsageError)
    assert problem in str(done.exception)
