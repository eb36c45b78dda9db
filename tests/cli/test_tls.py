"""`dumpscan tls`, and what other commands make of TLS secrets, on a core with one session of OpenSSL."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner
from jsonschema import Draft202012Validator

from dumpscan.cli.app import app
from dumpscan.exceptions import InputError
from dumpscan.output.json_schema import schemas
from support.core_bytes import CoreBytes
from support.tls_samples import BASE, SUITES, Session13

if TYPE_CHECKING:
    from pathlib import Path

    from click.testing import Result

SESSION = Session13(SUITES["aes-128"])
RECORD = Draft202012Validator(schemas()["record.schema.json"])


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, [*map(str, arguments)])


@pytest.fixture
def core(tmp_path: Path) -> Path:
    randoms = bytes(204) + SESSION.server_random + SESSION.client_random + bytes(1508 - 32 - 512)
    made = CoreBytes().process(4711, "nginx")
    made.memory(BASE, SESSION.key_material() + bytes(64)).memory(
        BASE + 0x10000, randoms + SESSION.openssl() + bytes(64)
    )
    path = tmp_path / "nginx.core"
    path.write_bytes(made.finish())
    return path


@pytest.mark.parametrize("form", ["table", "json", "jsonl", "csv"])
def test_secrets_are_in_the_key_log_and_nowhere_else(core: Path, tmp_path: Path, form: str) -> None:
    done = run("tls", core, "-o", tmp_path / "out", "--format", form)
    assert done.exit_code == 0
    lines = (tmp_path / "out" / "sslkeys.log").read_text().splitlines()
    assert {line for line in lines if not line.startswith("#")} == {
        f"{label} {SESSION.client_random.hex()} {secret.hex()}" for label, secret in SESSION.secrets.items()
    }
    manifest = (tmp_path / "out" / "manifest.jsonl").read_text()
    for label, secret in SESSION.secrets.items():
        assert label in done.stdout
        assert secret.hex() not in done.stdout + done.stderr + manifest


def test_records_are_as_the_schema_says(core: Path) -> None:
    records = [json.loads(line) for line in run("tls", core, "--format", "jsonl").stdout.splitlines()]
    assert len(records) == len(SESSION.secrets)
    for record in records:
        RECORD.validate(record)
        assert record["kind"] == "tls_secret"
        assert record["tls"]["proof"]
        assert record["tls"]["random_proven"] is False


def test_the_gate_and_the_case(core: Path, tmp_path: Path) -> None:
    case = tmp_path / "case.db"
    assert run("triage", core, "-c", case, "-q").exit_code == 0
    query = ("case", "query", case, "SELECT count(*) FROM tls_secrets")
    assert run(*query).stdout.split()[-1] == "0"  # they were not looked for
    done = run("triage", core, "-c", case, "-q", "--fail-on", "tls-secret")
    assert done.exit_code == 4
    assert done.stderr.count("gate: tls-secret") == len(SESSION.secrets)
    assert run(*query).stdout.split()[-1] == str(len(SESSION.secrets))
    assert run("report", case, "-o", tmp_path / "report.html").exit_code == 0
    report = (tmp_path / "report.html").read_text()
    assert "CLIENT_TRAFFIC_SECRET_0" in report
    for secret in SESSION.secrets.values():
        assert secret.hex() not in report
        assert secret not in case.read_bytes()


def test_a_redacted_copy_has_no_secret(core: Path, tmp_path: Path) -> None:
    done = run("redact", core, "-o", tmp_path / "clean.core")
    assert done.exit_code == 0
    data = (tmp_path / "clean.core").read_bytes()
    assert not any(secret in data for secret in SESSION.secrets.values())
    assert not run("tls", tmp_path / "clean.core", "--format", "jsonl").stdout


def test_what_is_no_capture_is_named(core: Path) -> None:
    pytest.importorskip("dpkt")
    done = run("tls", core, "--capture", core)
    assert isinstance(done.exception, InputError)
    assert "expected pcap or pcapng" in str(done.exception)
