"""The library as its documentation shows it."""

from __future__ import annotations

import re
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

import dumpscan
from support.corpus import ROOT, SAMPLES
from support.kernel_images import build_lab

if TYPE_CHECKING:
    from pathlib import Path

SAMPLE = SAMPLES / "webserver.dmp"
(EXAMPLE,) = re.findall(r"^```python\n(.*?)^```$", (ROOT / "docs" / "api.md").read_text(), re.MULTILINE | re.DOTALL)


def test_the_documented_example_lists_the_keys_of_a_dump() -> None:
    done = subprocess.run([sys.executable, "-c", EXAMPLE, SAMPLE], capture_output=True, text=True, check=True, cwd=ROOT)
    lines = done.stdout.splitlines()
    assert lines[0] == "minidump w3wp.exe"
    assert any(line.startswith("RSA 2048 w3wp.exe 0x") and "shop.contoso.example" in line for line in lines[1:])
    assert done.stderr == ""


def test_every_public_name_is_there() -> None:
    assert all(hasattr(dumpscan, name) for name in dumpscan.__all__)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        dumpscan.nothing  # noqa: B018 - asked for


def test_importing_the_package_imports_nothing_heavy() -> None:
    code = (
        "import sys, dumpscan; print([name for name in ('numpy', 'cryptography', 'hyperscan') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.strip() == "[]"


def test_findings_outlive_the_dump() -> None:
    with dumpscan.open_dump(str(SAMPLE)) as dump:
        result = dumpscan.search(dump, "x509")
    kinds = [finding.kind for finding in result]
    assert len(result) == len(kinds)
    assert {"certificate", "private_key", "encrypted_container"} == set(kinds)
    assert result.problems == ()
    assert all(place.extents for finding in result for place in finding.locations)


def test_only_the_processes_asked_for(tmp_path: Path) -> None:
    lab = build_lab(tmp_path)
    with dumpscan.open_dump(lab.image, symbols=[lab.symbols]) as image:
        found = dumpscan.search(image, "x509", pids=[5120])
        assert {place.process.pid for each in found for place in each.locations if place.process} == {5120}
        with pytest.raises(dumpscan.NoSuchProcessError):
            dumpscan.search(image, "x509", pids=[4242])
    with dumpscan.open_dump(SAMPLE) as dump, pytest.raises(dumpscan.NoSuchProcessError, match="w3wp"):
        dumpscan.search(dump, names=["lsass.exe"])


def test_a_search_that_there_is_not() -> None:
    with dumpscan.open_dump(SAMPLE) as dump, pytest.raises(dumpscan.UsageError, match="expected one of x509"):
        dumpscan.search(dump, "passwords")
