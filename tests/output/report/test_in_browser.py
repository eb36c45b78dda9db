"""The report as a browser lays it out: on paper all of it, on a phone nothing that is cut."""

from __future__ import annotations

import io
import re
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from dumpscan.output.report.html import write_report
from support import report_samples as cases

if TYPE_CHECKING:
    from pathlib import Path

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
PDFTOTEXT = shutil.which("pdftotext")
PHONE = 390
"""Pixels; a window of headless Chromium is wider, so that the page is shown in a frame."""

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report with folded tables: more keys than have a card, more certificates than are shown at once."""
    path = tmp_path_factory.mktemp("report") / "report.html"
    stream = io.StringIO()
    findings = [*cases.findings(), *cases.certificates(60)]
    write_report(cases.dumps(), findings, stream, title="Incident 7", generated=cases.NOW, version="0.5.0")
    path.write_text(stream.getvalue(), encoding="utf-8")
    return path


def browse(page: Path, *arguments: str) -> str:
    """Run Chromium on a page, and return what it prints."""
    options = ("--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={page.parent / 'profile'}")
    command = [str(CHROMIUM), *options, *arguments, page.as_uri()]
    return subprocess.run(command, capture_output=True, check=True).stdout.decode()


@pytest.mark.skipif(PDFTOTEXT is None, reason="no pdftotext on this machine")
def test_paper_has_every_hash(page: Path) -> None:
    printed = page.with_suffix(".pdf")
    browse(page, f"--print-to-pdf={printed}")
    text = subprocess.run([str(PDFTOTEXT), "-raw", printed, "-"], capture_output=True, check=True).stdout.decode()
    text = re.sub(r"\s+", "", text)
    hashes = set(re.findall(r"\b(?:[0-9A-Fa-f]{40}|[0-9A-Fa-f]{64})\b", page.read_text(encoding="utf-8")))
    assert len(hashes) > 100
    assert [each for each in hashes if each not in text] == []


def test_a_phone_needs_no_scrolling_sideways(page: Path) -> None:
    """All that is folded is open; fingerprints and chains have lines of their own."""
    script = (
        "document.querySelectorAll('details').forEach(each => each.open = true);"
        "const lines = [...document.querySelectorAll('.key dd .sub')].map(each => getComputedStyle(each).display);"
        "parent.postMessage([document.documentElement.scrollWidth, ...lines].join(';'), '*');"
    )
    text = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", page.read_text(encoding="utf-8"))
    framed = page.with_name("framed.html")
    framed.write_text(text.replace("</body>", f"<script>{script}</script></body>"), encoding="utf-8")
    frame = page.with_name("frame.html")
    frame.write_text(
        f'<iframe src="{framed.name}" style="width:{PHONE}px;height:900px;border:0"></iframe><pre id="told"></pre>'
        "<script>onmessage = event => document.getElementById('told').textContent = event.data</script>",
        encoding="utf-8",
    )
    shown = browse(frame, "--allow-file-access-from-files", "--virtual-time-budget=5000", "--dump-dom")
    told = re.search(r'<pre id="told">([^<]+)</pre>', shown)
    assert told is not None
    width, *lines = told[1].split(";")
    assert int(width) <= PHONE
    assert set(lines) == {"block"}
