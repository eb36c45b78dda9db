"""Real processes whose keys are known: every key that a library holds is found, and no other."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

import dumpscan
from dumpscan.artifacts.registry import KEYS
from dumpscan.findings import PrivateKey
from dumpscan.search.merge import Collector
from dumpscan.search.options import SearchOptions
from dumpscan.search.run import search
from support.corpus import CORES

if TYPE_CHECKING:
    from pathlib import Path

LIBRARIES = {
    "boring": "boringssl",
    "gnutls": "gmp",
    "go119": "go",
    "mbed": "mbedtls",
    "nginx": "openssl",
    "node20": "openssl",
    "pyssl": "openssl",
    "sshagent": "openssh",
    "sshd": "openssh",
    "winnode14": "openssl",
    "winnode18": "openssl",
    "winnode20": "openssl",
}
CASES = [
    path
    for path in sorted(CORES.glob("*.zst"))
    if path.name.split("-")[0] in LIBRARIES and "client" not in path.name and not path.name.startswith("core.")
]
pytestmark = pytest.mark.skipif(not CASES, reason=f"no corpus of real cores at {CORES}")


@pytest.mark.parametrize("deep", [False, True])
def test_keys_whose_layout_is_not_known_are_found_by_their_certificates(deep: bool) -> None:  # noqa: FBT001
    """NSS keeps its numbers big-endian, Java in words of 32 bits; rustls (ring) keeps one prime and no other number."""
    for case, encodings in (
        ("nss-a", {"rsa-prime-be", "ec-scalar-be", "ec-scalar-le"}),
        ("rustls-a", {"rsa-prime-le"}),  # its PEM text is still there too
    ):
        keys = {key["spki_sha256"] for key in json.loads((CORES / f"{case}.truth.json").read_text())["keys"]}
        found = _found(CORES / f"{case}.abrt.core.zst", deep=deep)
        assert set(found) == keys
        places = [place for finding in found.values() for place in finding.locations if place.key_object is not None]
        assert {place.encoding for place in places} == encodings


def _found(path: Path, *, deep: bool = False) -> dict[str, PrivateKey]:
    collector = Collector()
    with dumpscan.open_dump(path) as dump:
        search(dump, KEYS, collector, options=SearchOptions(deep=deep))
    keys = [finding for finding in collector.findings() if isinstance(finding, PrivateKey) and finding.proof]
    return {finding.key_id: finding for finding in keys}


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.name)
def test_every_key_is_found_as_its_library_holds_it(path: Path) -> None:
    case, library = path.name.split(".")[0], LIBRARIES[path.name.split("-")[0]]
    truth = {key["spki_sha256"]: key for key in json.loads((CORES / f"{case}.truth.json").read_text())["keys"]}
    found = _found(path)
    assert set(found) == set(truth)
    for key_id, key in truth.items():
        libraries = {place.key_object.library for place in found[key_id].locations if place.key_object is not None}
        bare = case.startswith("go") and key["kind"] == "ed25519"  # seed and public key, which any library may keep so
        assert libraries == ({None} if bare else {library})
