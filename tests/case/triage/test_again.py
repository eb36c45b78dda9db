"""Which files of a case are read again."""

from __future__ import annotations

import json
import lzma
import os
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import py7zr
import pytest

from dumpscan.case.records import MissingSymbols
from dumpscan.case.store.query import query
from dumpscan.case.store.writer import CaseWriter, KnownDump
from dumpscan.case.triage.again import Rereading
from dumpscan.case.triage.environment import Environment
from dumpscan.case.triage.inputs import Input
from dumpscan.case.triage.run import TriageOutcome, triage
from dumpscan.case.triage.task import ReadSettings
from dumpscan.case.triage.workers import Here
from dumpscan.exceptions import DumpscanError
from dumpscan.findings import Status
from support.corpus import ROOT
from support.kernel_images import Lab, build_lab

if TYPE_CHECKING:
    from pathlib import Path

SAMPLE = ROOT / "sample_dumps" / "webserver.dmp"
PASSWORD = "hunter2hunter2"  # noqa: S105 - of nobody
FILE = Input(path="/dumps/a.dmp", size=10, modified_ns=20)
READ = KnownDump(
    size=10,
    modified_ns=20,
    tag=None,
    status=Status.OK,
    format="minidump",
    settings=ReadSettings().recorded(),  # type: ignore[arg-type]
    opened=True,
    missing_symbols=(),
)
MISSING = MissingSymbols(pdb="ntkrnlmp.pdb", guid="AB" * 16, age=1)


def needed(before: KnownDump, each: Input = FILE, **settings: Any) -> bool:  # noqa: ANN401 - settings
    return Rereading(ReadSettings(**settings)).needed(each, before)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({}, False),
        ({"size": 11}, True),
        ({"modified_ns": 21}, True),
        ({"tag": "x"}, True),
        ({"status": Status.PENDING}, True),
        ({"status": Status.OTHER, "opened": False}, False),
        ({"status": Status.UNREADABLE, "format": None}, False),
        ({"status": Status.DAMAGED}, False),
        ({"settings": {}}, True),  # not hashed
    ],
)
def test_what_has_changed_is_read_again(change: dict[str, Any], *, expected: bool) -> None:
    assert needed(replace(READ, **change)) is expected


def test_more_settings_mean_reading_again_and_fewer_do_not() -> None:
    without_aes = replace(READ, settings=ReadSettings(aes=False).recorded())  # type: ignore[arg-type]
    assert needed(without_aes, aes=True)
    assert not needed(READ, aes=False)
    assert needed(READ, store_keys=True)
    assert not needed(replace(READ, status=Status.UNREADABLE), store_keys=True)
    everything = ReadSettings(aes=True, store_keys=True).recorded()
    assert not needed(replace(READ, settings=everything))  # type: ignore[arg-type]


@pytest.mark.parametrize("before", Environment)
@pytest.mark.parametrize("now", Environment)
def test_another_wish_for_environments_means_reading_again(before: Environment, now: Environment) -> None:
    settings = ReadSettings(environment=before).recorded()
    assert needed(replace(READ, settings=settings), environment=now) is (before is not now)  # type: ignore[arg-type]


def test_what_the_system_did_not_open_is_tried_when_it_may_be_read(tmp_path: Path) -> None:
    closed = replace(READ, status=Status.UNREADABLE, format=None, opened=False)
    path = tmp_path / "a.dmp"
    path.write_bytes(b"x")
    assert needed(closed, replace(FILE, path=str(path)))
    assert not needed(closed, replace(FILE, path=str(tmp_path / "gone")))
    assert needed(closed, replace(FILE, path="https://host/a.dmp"))
    assert not needed(closed, replace(FILE, unusable="no regular file"))


def test_a_missing_table_is_looked_for_once_in_a_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found: list[Path | None] = [None]
    asked = []

    def find(_store: object, pdb: object) -> Path | None:
        asked.append(pdb)
        return found[0]

    monkeypatch.setattr("dumpscan.memory.symbols.store.SymbolStore.find", find)
    damaged = replace(READ, status=Status.DAMAGED, format="kernel: raw", missing_symbols=(MISSING,))
    rereading = Rereading(ReadSettings())
    assert not any(rereading.needed(replace(FILE, path=f"/{number}"), damaged) for number in range(5))
    assert len(asked) == 1
    assert needed(damaged, offline=False)  # it may be fetched
    found[0] = tmp_path / "table.json.xz"
    assert needed(damaged)
    refused = replace(MISSING, refused=str(found[0]))
    assert not needed(replace(damaged, missing_symbols=(refused,)))
    assert not needed(replace(damaged, missing_symbols=(refused,)), offline=False)
    assert needed(replace(damaged, missing_symbols=(refused, MISSING)))


# --- With images and tables ------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Lab:
    return build_lab(tmp_path_factory.mktemp("lab"))


def run(case: Path, *names: object, **settings: Any) -> TriageOutcome:  # noqa: ANN401 - settings
    with CaseWriter.open(case) as writer:
        return triage(writer, list(map(str, names)), ReadSettings(**settings), workers=Here())


def test_an_image_is_read_again_when_its_symbol_table_was_added(
    lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, case = tmp_path / "store", tmp_path / "case.db"
    store.mkdir()
    monkeypatch.setenv("DUMPSCAN_SYMBOLS", str(store))
    assert run(case, lab.image).statuses == {Status.NO_SYMBOLS: 1}
    (row,) = query(case, "SELECT pdb, guid, age, refused FROM missing_symbols").rows
    assert row == (lab.table.parent.name, *_identity(lab), None)
    assert run(case, lab.image).read == 0
    (store / lab.table.name).write_bytes(lab.table.read_bytes())  # as `symbols add` does
    assert run(case, lab.image).statuses == {Status.OK: 1}
    assert query(case, "SELECT * FROM missing_symbols").rows == ()
    assert run(case, lab.image).read == 0


def test_an_image_is_read_again_when_its_table_may_be_fetched(
    lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    case, fetched = tmp_path / "case.db", []

    def download(pdb: object) -> Path:
        fetched.append(pdb)
        if len(fetched) == 1:
            raise DumpscanError("the network is down")
        return lab.table

    monkeypatch.setattr("dumpscan.memory.symbols.server.download", download)
    assert run(case, lab.image).statuses == {Status.NO_SYMBOLS: 1}
    assert run(case, lab.image, offline=False).statuses == {Status.NO_SYMBOLS: 1}
    assert run(case, lab.image).read == 0
    assert run(case, lab.image, offline=False).statuses == {Status.OK: 1}
    assert run(case, lab.image, offline=False).read == 0
    assert len(fetched) == 2


def test_a_table_that_cannot_be_used_is_tried_once(lab: Lab, tmp_path: Path) -> None:
    bad, case = tmp_path / "bad", tmp_path / "case.db"
    bad.mkdir()
    table = json.loads(lzma.decompress(lab.table.read_bytes()))
    table["symbols"], table["user_types"], table["enums"] = {}, {}, {}
    path = bad / lab.table.name
    path.write_bytes(lzma.compress(json.dumps(table).encode()))
    assert run(case, lab.image, symbols=(str(bad),)).statuses == {Status.NO_SYMBOLS: 1}
    assert query(case, "SELECT refused FROM missing_symbols").rows == ((str(path),),)
    assert run(case, lab.image, symbols=(str(bad),)).read == 0
    assert run(case, lab.image, symbols=(str(lab.symbols), str(bad))).statuses == {Status.OK: 1}


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may read everything")
def test_a_file_is_read_when_it_may_be(tmp_path: Path) -> None:
    path, case = tmp_path / "a.dmp", tmp_path / "case.db"
    path.write_bytes(SAMPLE.read_bytes())
    path.chmod(0)
    assert run(case, path).statuses == {Status.UNREADABLE: 1}
    assert run(case, path).read == 0
    path.chmod(0o600)
    assert run(case, path).statuses == {Status.OK: 1}


# --- Packed files ----------------------------------------------------------------------------------------------------


def test_what_was_refused_is_unpacked_with_a_password_or_wider_bounds() -> None:
    refused = replace(READ, status=Status.UNREADABLE, settings=ReadSettings(scratch_limit=100).recorded())  # type: ignore[arg-type]
    assert not needed(refused, scratch_limit=100)
    assert needed(refused, scratch_limit=101)
    assert needed(refused, scratch_limit=100, archive_password=PASSWORD)
    old = replace(READ, status=Status.UNREADABLE, settings={})
    assert not needed(old)
    assert needed(old, archive_password=PASSWORD)


def in_case(case: Path) -> dict[str, str]:
    rows = query(case, "SELECT path, status FROM dumps").rows
    return {str(path).rpartition("/")[2]: str(status) for path, status in rows}


@pytest.mark.parametrize("listed", [True, False])
def test_an_archive_is_read_when_its_password_is_given(tmp_path: Path, *, listed: bool) -> None:
    """One whose list of files is encrypted is a row by itself until then, and no longer."""
    archive, case = tmp_path / "a.7z", tmp_path / "case.db"
    with py7zr.SevenZipFile(archive, "w", password=PASSWORD, header_encryption=not listed) as file:
        file.write(SAMPLE, "w.dmp")
    refused = "a.7z!w.dmp" if listed else "a.7z"
    assert run(case, archive).statuses == {Status.UNREADABLE: 1}
    assert in_case(case) == {refused: "unreadable"}
    assert run(case, archive).read == 0
    assert run(case, archive, archive_password=PASSWORD).statuses == {Status.OK: 1}
    assert in_case(case) == {"a.7z!w.dmp": "ok"}
    again = run(case, archive)
    assert (again.read, again.statuses) == (0, {Status.OK: 1})
    assert in_case(case) == {"a.7z!w.dmp": "ok"}


def _identity(lab: Lab) -> tuple[str, int]:
    guid, _, age = lab.table.name.partition(".")[0].rpartition("-")
    return guid.upper(), int(age)
