"""Real processes with live sessions whose secrets are known: every one that must be in the key log is, and no other."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

import dumpscan
from dumpscan.artifacts.registry import TLS
from dumpscan.findings import TlsSecret
from dumpscan.search.merge import Collector
from dumpscan.search.run import search
from support.corpus import CORES

if TYPE_CHECKING:
    from pathlib import Path

APPLICATION = ("CLIENT_TRAFFIC_SECRET_0", "SERVER_TRAFFIC_SECRET_0")
WITHOUT_RANDOMS = {"rustls"}
"""What does not keep the client's random."""
CASES = [
    path
    for path in sorted(CORES.glob("*.zst"))
    if (CORES / f"{path.name.split('.')[0]}.truth.json").exists()
    and path.name.split("-")[0]
    in {"boring", "gnutls", "go119", "java17", "mbed", "nginx", "node20", "nss", "pyssl", "rustls"}
    | {"winnode14", "winnode18", "winnode20"}
    and not {"gcore", "gcore-master"} & set(path.name.split("."))
]
pytestmark = pytest.mark.skipif(not CASES, reason=f"no corpus of real cores at {CORES}")


@pytest.mark.parametrize("packed", CASES, ids=lambda path: path.name)
def test_the_secrets_of_live_sessions_are_found_and_nothing_else(packed: Path) -> None:
    name = packed.name.split("-")[0]
    sessions = json.loads((CORES / f"{packed.name.split('.')[0]}.truth.json").read_text())["sessions"]
    truth = {
        secret: (label, session["client_random"])
        for session in sessions
        for label, secret in session["secrets"].items()
    }
    collector = Collector()
    with dumpscan.open_dump(packed) as dump:
        assert not search(dump, TLS, collector)
    found = {each.secret.hex(): each for each in collector.findings() if isinstance(each, TlsSecret)}
    assert set(found) <= set(truth)
    expected = {secret for secret, (label, _) in truth.items() if label in APPLICATION or label == "CLIENT_RANDOM"}
    assert expected <= set(found)
    for secret in expected:
        finding, (label, random) = found[secret], truth[secret]
        assert finding.label == label
        assert finding.proof
        assert finding.client_random == (None if name in WITHOUT_RANDOMS else random)
