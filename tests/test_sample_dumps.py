"""Every planted object of the sample scenarios is found where it lies, with what it is, and nothing else is."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from dumpscan.artifacts.registry import EVERYTHING, KEYS
from dumpscan.artifacts.symcrypt.aes import search_aes
from dumpscan.cli.app import app
from dumpscan.cli.messages import EXIT_GATE
from dumpscan.findings import Certificate, Finding, PrivateKey
from dumpscan.memory.minidump.dump import Minidump
from dumpscan.search.merge import Collector
from dumpscan.search.pairs import with_pairs
from dumpscan.search.scanner import Scanner, source_of
from dumpscan.synth.minidump.build import build_minidump
from support.corpus import ROOT

if TYPE_CHECKING:
    from pathlib import Path

SAMPLES = ROOT / "sample_dumps"
SCENARIOS = [path for path in sorted(SAMPLES.glob("*.toml")) if "\n[dump]" in path.read_text()]


def scan(path: Path) -> list[Finding]:
    collector = Collector()
    with Minidump(path) as dump:
        assert dump.damage == ()
        assert Scanner(KEYS.detectors).scan(dump, collector) == ()
        source = source_of(dump)
        for decoded in search_aes(dump):
            collector.add(decoded, source)
    return with_pairs(EVERYTHING.shown(collector.findings()))


def places(findings: list[Finding]) -> set[tuple[str, str, int, str, tuple[tuple[int, int], ...]]]:
    """Kind, encoding, address, SHA-256 and extents of every place."""
    return {
        (finding.kind, place.encoding, place.virtual_address or 0, place.sha256, place.extents)
        for finding in findings
        for place in finding.locations
    }


def planted(truth: dict[str, Any]) -> set[tuple[str, str, int, str, tuple[tuple[int, int], ...]]]:
    return {
        (
            entry["kind"],
            entry["encoding"],
            place["virtual_address"],
            place.get("sha256") or entry["sha256"],
            tuple((offset, length) for offset, length in place["extents"]),
        )
        for entry in truth["objects"]
        for place in entry["locations"]
    }


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda path: path.stem)
def test_all_that_was_planted_and_nothing_else(scenario: Path, tmp_path: Path) -> None:
    dump, truth_path = build_minidump(scenario, tmp_path)
    truth = json.loads(truth_path.read_text())
    findings = scan(dump)
    assert places(findings) == planted(truth)
    keys = {finding.key_id for finding in findings if isinstance(finding, PrivateKey)}
    assert keys == {entry["key_id"] for entry in truth["objects"] if entry["kind"] == "private_key"}
    thumbprints = {finding.thumbprint for finding in findings if isinstance(finding, Certificate)}
    assert thumbprints == {entry["thumbprint"] for entry in truth["objects"] if entry["kind"] == "certificate"}
    pairs = {
        (finding.key_id, certificate.thumbprint)
        for finding in findings
        if isinstance(finding, PrivateKey)
        for certificate in finding.certificates
    }
    assert pairs == {(pair["key_id"], thumbprint) for pair in truth["pairs"] for thumbprint in pair["certificates"]}


def test_the_key_of_a_certificate_that_is_valid_until_2050_closes_the_gate(tmp_path: Path) -> None:
    command = [
        "triage",
        str(SAMPLES / "tls-server.dmp"),
        "-c",
        str(tmp_path / "case.db"),
        "--fail-on",
        "live-key",
        "--at",
        "now",
    ]
    done = CliRunner().invoke(app, command)
    assert done.exit_code == EXIT_GATE
    (reason,) = (line for line in done.stderr.splitlines() if line.startswith("dumpscan: gate: live-key: "))
    assert "RSA 2048 key" in reason
    assert "shop.contoso.example" in reason
    assert "2050-02-01" in reason


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda path: path.stem)
def test_the_process_is_the_scenarios(scenario: Path, tmp_path: Path) -> None:
    dump, truth_path = build_minidump(scenario, tmp_path)
    told = json.loads(truth_path.read_text())["process"]
    with Minidump(dump) as opened:
        process = opened.process
    assert (process.pid, process.command_line) == (told["pid"], told["command_line"])
    assert list(process.environment) == told["environment"]
