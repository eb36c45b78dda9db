"""The commands that need no group: what each file is decides how it is read."""

from __future__ import annotations

import json
import shutil
import struct
import subprocess
import sys
import zipfile
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from dumpscan.artifacts.aes.cipher import expand
from dumpscan.cli.app import app
from dumpscan.exceptions import NoSuchProcessError, UsageError
from support.artifact_samples import certificate_der
from support.corpus import ROOT, SAMPLES
from support.kernel_images import build_lab
from support.minidump_bytes import MinidumpBytes

if TYPE_CHECKING:
    from pathlib import Path

    from click.testing import Result

    from support.kernel_images import Lab

SAMPLE = SAMPLES / "webserver.dmp"


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Lab:
    return build_lab(tmp_path_factory.mktemp("lab"))


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(each) for each in arguments])


def document(*arguments: object) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(run(*arguments, "--format", "json").stdout)
    return told


@pytest.mark.parametrize("command", ["info", "cmdline", "envars", "x509", "keys", "symcrypt"])
def test_the_same_as_in_its_group(command: str, lab: Lab) -> None:
    alone, grouped = document(command, SAMPLE), document("minidump", command, SAMPLE)
    assert alone["findings"] == grouped["findings"]
    assert alone["dumpscan"]["command"] == command
    symbols = ("--symbols", lab.symbols)
    alone, grouped = document(command, lab.image, *symbols), document("kernel", command, lab.image, *symbols)
    assert alone["findings"] == grouped["findings"]
    assert alone["inputs"] == grouped["inputs"]


def test_both_kinds_at_once(lab: Lab) -> None:
    told = document("x509", SAMPLE, lab.image, "--symbols", lab.symbols)
    files = {place["file"] for finding in told["findings"] for place in finding["locations"]}
    assert files == {str(SAMPLE), str(lab.image)}


def test_a_directory_is_walked(tmp_path: Path) -> None:
    (tmp_path / "below").mkdir()
    shutil.copy(SAMPLE, tmp_path / "below" / "crash.dmp")
    (tmp_path / "notes.txt").write_text("no dump")
    done = run("x509", tmp_path, "--format", "json")
    assert done.exit_code == 0
    told = json.loads(done.stdout)
    assert [each["file"] for each in told["inputs"]] == [str(tmp_path / "below" / "crash.dmp")]
    assert "1 file in the directories is not a dump" in done.stderr


def test_a_file_that_is_named_and_no_dump_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("no dump")
    done = run("x509", tmp_path / "notes.txt", SAMPLE, "--format", "json")
    assert done.exit_code == 1
    assert f"{tmp_path / 'notes.txt'}: no dump: it begins like a text" in done.stderr
    assert [each["status"] for each in json.loads(done.stdout)["inputs"]] == ["unreadable", "ok"]


def test_an_archive_without_a_dump_is_an_error_where_it_is_named_and_counted_in_a_directory(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "wheel.zip", "w") as archive:
        archive.writestr("a.txt", "a")
        archive.writestr("b.txt", "b")

    named = run("x509", tmp_path / "wheel.zip")
    walked = run("x509", tmp_path)

    assert (named.exit_code, walked.exit_code) == (1, 0)
    assert f"{tmp_path / 'wheel.zip'}: is an archive of 2 files, none of which is a dump" in named.stderr
    assert "1 file in the directories is not a dump" in walked.stderr


def test_where_no_input_has_the_process_all_are_named(lab: Lab) -> None:
    done = run("cmdline", SAMPLE, lab.image, "--symbols", lab.symbols, "--pid", 4242)
    assert str(SAMPLE) in str(done.exception)
    assert str(lab.image) in str(done.exception)


def test_a_file_of_another_kind_names_its_command(lab: Lab) -> None:
    done = run("kernel", "x509", SAMPLE)
    assert done.exit_code == 1
    assert "is a minidump: use `dumpscan minidump`" in done.stderr
    done = run("minidump", "x509", lab.image)
    assert done.exit_code == 1
    assert "not a minidump" in done.stderr


def test_an_input_without_the_process_is_a_note(lab: Lab) -> None:
    symbols = ("--symbols", lab.symbols)
    done = run("cmdline", SAMPLE, lab.image, *symbols, "--pid", 5200)
    assert done.exit_code == 0
    assert f"note: {SAMPLE}: its process is 5120 (w3wp.exe)" in done.stderr
    done = run("cmdline", SAMPLE, lab.image, *symbols, "--pid", 4242)
    assert isinstance(done.exception, NoSuchProcessError)  # a usage error, which ends with exit code 2


def test_scan_shows_everything() -> None:
    told = document("scan", SAMPLE)
    assert {"certificate", "private_key", "encrypted_container"} <= {each["kind"] for each in told["findings"]}
    table = run("scan", SAMPLE).stdout
    assert "Private keys: " in table
    assert "Certificates: " in table
    assert "Processes: 1" in table
    assert "w3wp.exe" in table


def test_a_certificate_of_version_4_does_not_end_the_search(tmp_path: Path) -> None:
    der = certificate_der("rsa1024")
    assert der[4:].count(bytes.fromhex("a003020102")) == 1
    made = MinidumpBytes()
    made.system()
    made.memory64(
        (0x10000, bytes(64) + der.replace(bytes.fromhex("a003020102"), bytes.fromhex("a003020103")) + bytes(64))
    )
    (tmp_path / "made.dmp").write_bytes(made.finish())
    done = run("scan", tmp_path / "made.dmp", "--format", "json")
    assert done.exception is None or isinstance(done.exception, SystemExit)
    assert [each["x509"]["version_number"] for each in json.loads(done.stdout)["findings"]] == [4]


def test_pslist_without_a_group(lab: Lab) -> None:
    told = document("pslist", SAMPLE, lab.image, "--symbols", lab.symbols)
    assert {5120, 5200} <= {each["process"]["pid"] for each in told["findings"]}
    assert "No such command" in run("minidump", "pslist", SAMPLE).stderr


@pytest.mark.parametrize("output_format", ["csv", "jsonl", "table"])
def test_what_is_exported_is_exported_though_nobody_reads(tmp_path: Path, output_format: str) -> None:
    command = [sys.executable, "-m", "dumpscan", "keys", SAMPLE, "-o", tmp_path / "out", "--format", output_format]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd=ROOT)
    assert process.stdout is not None
    process.stdout.close()
    process.wait()
    assert (tmp_path / "out" / "manifest.jsonl").exists()


@pytest.mark.parametrize("command", ["keys", "scan", "symcrypt"])
def test_aes_keys_at_words_by_default_and_anywhere_if_asked(command: str, tmp_path: Path) -> None:
    made = MinidumpBytes()
    made.system()
    aligned, odd = bytes(range(16)), bytes(range(32))
    made.memory64((0x10000, bytes(64) + expand(aligned) + bytes(65) + expand(odd) + bytes(64)))
    (tmp_path / "made.dmp").write_bytes(made.finish())

    def bits(*options: str) -> list[int]:
        told = document(command, tmp_path / "made.dmp", *options)
        return sorted(finding["key"]["bits"] for finding in told["findings"] if finding["kind"] == "symmetric_key")

    assert bits() == bits("--aes") == [128]
    assert bits("--no-aes") == []
    assert bits("--aes-unaligned") == [128, 256]


@pytest.mark.parametrize("command", ["x509", "keys", "scan"])
def test_a_certificate_that_is_named_is_read_or_refused(command: str, tmp_path: Path) -> None:
    certificate = tmp_path / "known.cer"
    certificate.write_bytes(certificate_der("rsa1024"))
    done = run(command, "--certificate", certificate, SAMPLE, "--format", "json")
    assert (done.exception, done.stderr) == (None, "")
    image = tmp_path / "zeros.lime"
    image.write_bytes(struct.pack("<IIQQ8x", 0x4C694D45, 1, 0, 0x7FFF) + bytes(0x8000))
    told = run(command, "--certificate", certificate, image).stderr
    assert "physical memory alone is searched" in told
    thumbprint = tmp_path / "thumbprint.txt"
    thumbprint.write_text("0a" * 20)
    refused = run(command, "--certificate", thumbprint, SAMPLE)
    assert isinstance(refused.exception, UsageError)
    assert str(refused.exception).endswith("to search for a private key takes the certificate or public key itself")


def test_each_image_without_the_process_is_named(lab: Lab, tmp_path: Path) -> None:
    other = tmp_path / "other.raw"
    shutil.copyfile(lab.image, other)
    symbols = ("--symbols", lab.symbols)
    done = run("cmdline", SAMPLE, lab.image, other, *symbols, "--name", "HIDDEN")
    assert done.exit_code == 0
    assert done.stdout.count("hidden.exe") >= 2
    assert done.stderr.count("note: ") == 1
    done = run("cmdline", SAMPLE, lab.image, other, *symbols, "--name", "w3wp", "--pid", "5120", "--format", "json")
    assert done.exit_code == 0
    done = run("kernel", "cmdline", lab.image, other, *symbols, "--name", "no-such")
    assert isinstance(done.exception, NoSuchProcessError)
    assert str(done.exception).startswith(f"{lab.image}: no process has a name like 'no-such'")
    done = run("cmdline", SAMPLE, lab.image, *symbols, "--pid", 4)
    assert f"note: {SAMPLE}: its process is 5120" in done.stderr
    done = run("cmdline", SAMPLE, lab.image, *symbols, "--name", "W3WP.EXE")
    assert done.exit_code == 0
