"""A kernel's symbol table that is not there: a status of its own, one line for all images, in every command."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner
from jsonschema import Draft202012Validator

from dumpscan.case.store.query import query
from dumpscan.case.store.reader import Case
from dumpscan.cli.app import app
from dumpscan.exceptions import UsageError
from dumpscan.findings import Status
from dumpscan.output.json_schema import schemas
from support.kernel_images import build_lab

if TYPE_CHECKING:
    from pathlib import Path

    from click.testing import Result

    from support.kernel_images import Lab


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Lab:
    return build_lab(tmp_path_factory.mktemp("lab"))


@pytest.fixture
def images(lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.delenv("DUMPSCAN_SYMBOLS", raising=False)
    paths = (tmp_path / "a.raw", tmp_path / "b.raw")
    for path in paths:
        shutil.copyfile(lab.image, path)
    return paths


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(each) for each in arguments])


def about_symbols(done: Result) -> list[str]:
    return [line for line in done.stderr.splitlines() if "symbol table" in line]


def test_a_search_says_so_once_and_is_done(images: tuple[Path, Path]) -> None:
    done = run("kernel", "x509", *images, "--format", "json")

    assert done.exit_code == 0
    (line,) = about_symbols(done)
    assert "warning: " in line
    assert "2 images" in line
    assert "(a.raw, b.raw)" in line
    told = json.loads(done.stdout)
    assert [each["status"] for each in told["inputs"]] == ["no-symbols", "no-symbols"]
    Draft202012Validator(schemas()["document.schema.json"]).validate(told)


def test_triage_does_the_same(images: tuple[Path, Path], tmp_path: Path) -> None:
    case = tmp_path / "a.case"
    done = run("triage", *images, "--case", case, "--jobs", 1, "--no-progress")

    assert done.exit_code == 0
    (line,) = about_symbols(done)
    assert "2 images" in line
    assert "Files: 2: 2 without symbols." in done.stdout
    with Case.open(case) as opened:
        assert {dump.status for dump in opened.dumps()} == {Status.NO_SYMBOLS}
        assert opened.summary().dumps == {Status.NO_SYMBOLS: 2}
    assert query(case, "SELECT DISTINCT status FROM dumps").rows == (("ok",),)


def test_they_are_read_again_when_the_table_is_there(images: tuple[Path, Path], lab: Lab, tmp_path: Path) -> None:
    case = tmp_path / "a.case"
    run("triage", *images, "--case", case, "--jobs", 1, "-q", "--no-progress")
    done = run("triage", *images, "--case", case, "--jobs", 1, "--no-progress", "--symbols", lab.symbols)
    assert not about_symbols(done)
    assert "Files: 2: 2 whole." in done.stdout


def test_a_report_tells_it_apart_from_damage(images: tuple[Path, Path], tmp_path: Path) -> None:
    run("triage", *images, "--case", tmp_path / "a.case", "--jobs", 1, "-q", "--no-progress")
    run("report", tmp_path / "a.case", "-o", tmp_path / "a.html", "-q")
    text = (tmp_path / "a.html").read_text(encoding="utf-8")
    assert '<span class="badge notice">no symbols</span>' in text
    assert "could be read only in part" not in text


def test_what_cannot_be_had_without_it_fails_in_one_line(images: tuple[Path, Path]) -> None:
    done = run("kernel", "pslist", *images)
    assert done.exit_code == 1
    (line,) = about_symbols(done)
    assert "error: " in line
    assert done.stdout == ""


def test_needed_gives_the_address_and_fails(images: tuple[Path, Path], lab: Lab) -> None:
    done = run("symbols", "needed", images[0], "--format", "json")
    assert done.exit_code == 1
    (needed,) = json.loads(done.stdout)["findings"]
    symbols = needed["symbols"]
    assert symbols["url"] == f"https://msdl.microsoft.com/download/symbols/{symbols['server_path']}"
    assert symbols["url"] in run("symbols", "needed", images[0]).stdout
    assert run("symbols", "needed", images[0], "--symbols", lab.symbols).exit_code == 0


def test_tables_are_listed_and_removed(images: tuple[Path, Path], lab: Lab) -> None:
    assert run("symbols", "add", lab.table).exit_code == 0
    (table,) = json.loads(run("symbols", "list", "--format", "json").stdout)
    assert table["name"] == "ntkrnlmp.pdb"
    assert table["bytes"] > 0
    assert run("symbols", "needed", images[0]).exit_code == 0
    assert isinstance(run("symbols", "remove").exception, UsageError)
    assert run("symbols", "remove", "no-such").exit_code == 1
    done = run("symbols", "remove", table["guid"].lower())
    assert (done.exit_code, done.stdout.strip()) == (0, table["path"])
    assert json.loads(run("symbols", "list", "--format", "json").stdout) == []
    assert "there is no symbol table in" in run("symbols", "list").stderr
    assert run("symbols", "needed", images[0]).exit_code == 1
