"""A folder of packed dumps in triage: they are read, and what is not read is said loudly."""

from __future__ import annotations

import gzip
import lzma
import zipfile
from typing import TYPE_CHECKING

import py7zr
import pytest
from click.testing import CliRunner

from dumpscan.cli.app import app
from dumpscan.exceptions import UsageError
from support.corpus import SAMPLES

if TYPE_CHECKING:
    from pathlib import Path

    from click.testing import Result

SAMPLE = SAMPLES / "webserver.dmp"


def triage(folder: Path, *arguments: object) -> Result:
    given = ["triage", folder, "--case", folder.with_suffix(".case"), "--jobs", 2, "--no-progress", *arguments]
    return CliRunner().invoke(app, [str(each) for each in given])


@pytest.fixture
def locked(tmp_path: Path) -> Path:
    """Inputs that cannot be read: a bomb, a password, a truncated file."""
    folder = tmp_path / "locked"
    folder.mkdir()
    with gzip.open(folder / "bomb.gz", "wb") as bomb:
        for _ in range(300):
            bomb.write(bytes(1 << 20))
    with py7zr.SevenZipFile(folder / "e.7z", "w", password="secret") as archive:  # noqa: S106 - a test's
        archive.write(SAMPLE, "lsass.dmp")
    (folder / "cut.gz").write_bytes(gzip.compress(SAMPLE.read_bytes())[:5000])
    return folder


def test_packed_dumps_close_the_gate(tmp_path: Path) -> None:
    folder = tmp_path / "packed"
    folder.mkdir()
    (folder / "a.dmp.gz").write_bytes(gzip.compress(SAMPLE.read_bytes()))
    (folder / "b.dmp.xz").write_bytes(lzma.compress(SAMPLE.read_bytes(), preset=0))
    with zipfile.ZipFile(folder / "lsass.zip", "w") as archive:
        archive.write(SAMPLE, "lsass.dmp")

    done = triage(folder, "--fail-on", "private-key", "--fail-on", "unread")

    assert done.exit_code == 4
    assert done.stderr.count("gate: private-key: ") == 2
    assert "and 2 more dumps" in done.stderr
    assert "Files: 3: 3 whole" in done.stdout


def test_what_was_not_read_is_said(locked: Path) -> None:
    done = triage(locked, "--fail-on", "private-key")

    assert done.exit_code == 1
    assert "No private keys were found, but 3 of 3 files could not be read" in done.stdout
    assert "bomb.gz: is a gzip archive, and unpacks to more than 1000 times its size: taken for a bomb" in done.stderr


def test_the_gate_closes_for_what_was_not_read(locked: Path) -> None:
    done = triage(locked, "--fail-on", "unread")

    assert done.exit_code == 4
    assert done.stderr.count("gate: unread: ") == 3
    assert f"gate: unread: {locked / 'bomb.gz'}: " in done.stderr


def test_a_password_opens_what_it_locks(locked: Path) -> None:
    done = triage(locked, "--fail-on", "private-key", "--archive-password", "secret")

    assert done.exit_code == 4
    assert "e.7z!lsass.dmp" in done.stderr


def test_standard_input_has_no_name_to_be_kept_by(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["triage", "-", "--case", str(tmp_path / "a.case")])
    assert isinstance(done.exception, UsageError)
    assert "give a file" in str(done.exception)
    assert not (tmp_path / "a.case").exists()
