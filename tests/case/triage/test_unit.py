from __future__ import annotations

import hashlib
import json
import pickle
import zipfile
from typing import TYPE_CHECKING, BinaryIO

import pytest

from dumpscan.case.triage import unit
from dumpscan.case.triage.task import ReadSettings, Task
from dumpscan.case.triage.unit import read_dump
from dumpscan.findings import Certificate, EncryptedContainer, PrivateKey, Status, SymmetricKey
from support.corpus import ROOT, corpus_dumps
from support.kernel_images import build_lab, planted

if TYPE_CHECKING:
    from pathlib import Path

    from dumpscan.case.store.writer import DumpResult

SAMPLE = ROOT / "sample_dumps" / "webserver.dmp"


def read(path: Path, **settings: object) -> DumpResult:
    status = path.stat()
    return read_dump(
        Task(
            path=str(path),
            size=status.st_size,
            modified_ns=status.st_mtime_ns,
            settings=ReadSettings(**settings),  # type: ignore[arg-type]
        )
    )


def test_a_minidump_is_read_whole() -> None:
    result = read(SAMPLE)
    record = result.record
    assert (record.status, record.format, record.problems) == (Status.OK, "minidump", ())
    assert record.sha256 == hashlib.sha256(SAMPLE.read_bytes()).hexdigest()
    (process,) = record.processes
    assert process.pid == 5120
    assert process.command_line
    assert process.environment
    truth = json.loads(SAMPLE.with_name("webserver.truth.json").read_text())
    planted_hashes = {item["sha256"] for item in truth["objects"]}
    found = {place.sha256 for finding in result.findings for place in finding.locations}
    assert found <= planted_hashes
    assert {type(finding) for finding in result.findings} >= {Certificate, PrivateKey, EncryptedContainer}
    assert all(place.file == str(SAMPLE) for finding in result.findings for place in finding.locations)


def test_what_is_read_adds_up_to_the_file_s_size_over_all_passes() -> None:
    size = SAMPLE.stat().st_size
    advanced: list[int] = []
    read_dump(Task(path=str(SAMPLE), size=size, modified_ns=1, settings=ReadSettings()), advanced.append)
    assert sum(advanced) == size
    assert max(advanced) < size


def test_key_material_stays_where_it_was_found_unless_it_is_wanted() -> None:
    for finding in read(SAMPLE).findings:
        for name in ("pkcs8", "data", "key"):
            assert not getattr(finding, name, b"")
    kept = read(SAMPLE, store_keys=True).findings
    assert all(finding.pkcs8 for finding in kept if isinstance(finding, PrivateKey))
    assert all(finding.data for finding in kept if isinstance(finding, EncryptedContainer))


def test_results_travel() -> None:
    result = read(SAMPLE)
    assert pickle.loads(pickle.dumps(result)) == result  # noqa: S301 - our own


def test_hashing_beside_the_scan(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unit, "_HASHED_BESIDE", 1)
    assert read(SAMPLE).record.sha256 == hashlib.sha256(SAMPLE.read_bytes()).hexdigest()
    assert read(SAMPLE, hashes=False).record.sha256 is None


def test_an_archive_is_hashed_once_for_all_dumps_in_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "two.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.write(SAMPLE, "a.dmp")
        archive.write(SAMPLE, "b.dmp")
    hashed: list[str] = []
    digest = hashlib.file_digest

    def file_digest(file: BinaryIO, name: str) -> object:
        hashed.append(file.name)
        return digest(file, name)

    monkeypatch.setattr(hashlib, "file_digest", file_digest)

    for name in ("a.dmp", "b.dmp"):
        task = Task(path=f"{path}!{name}", size=path.stat().st_size, modified_ns=1, settings=ReadSettings())
        assert read_dump(task).record.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert hashed == [str(path)]


@pytest.mark.parametrize("path", corpus_dumps(), ids=lambda path: path.name)
def test_every_real_dump_is_read(path: Path) -> None:
    record = read(path).record
    assert record.status in {Status.OK, Status.DAMAGED}
    assert record.sha256


def test_a_kernel_image_is_read_with_its_processes(tmp_path: Path) -> None:
    lab = build_lab(tmp_path)
    result = read(lab.image, symbols=(str(lab.symbols),))
    assert result.record.format == "kernel: raw"
    assert {process.pid for process in result.record.processes} >= {each["pid"] for each in lab.listed()}
    assert any(process.environment for process in result.record.processes)
    found = {place.sha256 for finding in result.findings for place in finding.locations if not place.missing}
    assert {item[3] for item in planted(lab.truth) if not item[4]} <= found
    without = read(lab.image).record
    assert without.status is Status.NO_SYMBOLS
    assert "processes cannot be listed" in " ".join(without.problems)


@pytest.mark.parametrize("size", [31, 32, 100, 5000, 60_000, 200_000])
def test_a_dump_that_is_cut_short_is_damaged_or_unreadable(tmp_path: Path, size: int) -> None:
    path = tmp_path / "cut.dmp"
    path.write_bytes(SAMPLE.read_bytes()[:size])
    record = read(path).record
    assert record.status in {Status.DAMAGED, Status.UNREADABLE}
    assert record.problems
    assert record.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert str(path) not in " ".join(record.problems)


def test_what_is_no_dump(tmp_path: Path) -> None:
    path = tmp_path / "notes.dmp"
    path.write_text("nothing")
    record = read(path).record
    assert (record.status, record.format) == (Status.OTHER, None)
    assert "text" in record.problems[0]


def test_a_file_that_has_gone_meanwhile(tmp_path: Path) -> None:
    task = Task(path=str(tmp_path / "gone"), size=1, modified_ns=1, settings=ReadSettings())
    record = read_dump(task).record
    assert record.status is Status.UNREADABLE
    assert "cannot be opened" in record.problems[0]


def test_our_own_faults_end_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise ZeroDivisionError("in a decoder")

    monkeypatch.setattr(unit, "search", fail)
    record = read(SAMPLE).record
    assert record.status is Status.UNREADABLE
    assert "a fault of dumpscan" in record.problems[0]


def test_too_little_memory_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise MemoryError

    monkeypatch.setattr(unit, "search", fail)
    assert read(SAMPLE).record.status is Status.PENDING


def test_a_task_that_failed() -> None:
    task = Task(path="/a", size=7, modified_ns=1_000_000_000, settings=ReadSettings())
    result = task.failed("killed")
    assert (result.record.status, result.record.problems, result.record.size) == (Status.PENDING, ("killed",), 7)
    assert result.record.modified is not None
    assert result.record.modified.timestamp() == 1


def test_aes_keys_unless_they_are_not_wanted(wine_dump: Path) -> None:
    assert not any(isinstance(finding, SymmetricKey) for finding in read(wine_dump, aes=False).findings)
    found = [finding for finding in read(wine_dump).findings if isinstance(finding, SymmetricKey)]
    assert found
    assert not any(finding.key for finding in found)
