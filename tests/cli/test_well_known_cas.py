"""Certificates of well-known authorities do not bury the two that matter."""

from __future__ import annotations

import base64
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import certifi
import pytest
from click.testing import CliRunner

from dumpscan.cli.app import app
from support.corpus import SAMPLES
from support.minidump_bytes import MinidumpBytes

if TYPE_CHECKING:
    from click.testing import Result

SAMPLE = SAMPLES / "webserver.dmp"
COUNT = 40


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(each) for each in arguments])


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dump with a trust store in it, and the certificates of a private authority and its server."""
    bundle = Path(certifi.where()).read_text(encoding="utf-8")
    blocks = re.findall(r"-----BEGIN CERTIFICATE-----([^-]+)-----END", bundle)[:COUNT]
    exported = tmp_path_factory.mktemp("exported")
    run("x509", SAMPLE, "-o", exported, "-q")
    own = [path.read_bytes() for path in sorted(exported.glob("*Contoso*.cer"))]
    dump = MinidumpBytes()
    dump.system()
    dump.memory64((0x10000, b"".join(each + bytes(16) for each in (*map(base64.b64decode, blocks), *own))))
    path = tmp_path_factory.mktemp("browser") / "browser.dmp"
    path.write_bytes(dump.finish())
    return path


def test_a_table_counts_them(browser: Path) -> None:
    shown = run("x509", browser).stdout
    assert "Certificates: 2\n" in shown
    assert "Contoso Root CA" in shown
    assert f"{COUNT} certificates of well-known CAs; --all shows them" in shown
    assert len(run("x509", browser, "--all").stdout.splitlines()) > COUNT


def test_json_marks_them(browser: Path) -> None:
    told: dict[str, Any] = json.loads(run("x509", browser, "--format", "json").stdout)
    assert sum(each["well_known_ca"] for each in told["findings"]) == COUNT
    assert len(told["findings"]) == COUNT + 2


def test_triage_and_the_report_fold_them(browser: Path, tmp_path: Path) -> None:
    case, page = tmp_path / "a.case", tmp_path / "a.html"
    done = run("triage", browser, "--case", case, "--jobs", 1, "-q", "--no-progress")
    assert f"Also: {COUNT + 2} certificates ({COUNT} of the certificates are of well-known CAs)." in done.stdout
    run("report", case, "-o", page, "-q")
    text = page.read_text(encoding="utf-8")
    groups = re.findall(r"<h3>(Of [^<]*?) <span class=\"count\">(\d+)</span></h3>", text)
    assert groups == [("Of certification authorities", "2"), ("Of well-known certification authorities", str(COUNT))]
    folded = text[text.index("Of well-known certification authorities") :]
    assert folded.index("<details>") < folded.index("<table")
    shown = run("case", "show", case, "--dump", browser).stdout
    assert f"{COUNT} certificates of well-known CAs; --all shows them" in shown
