"""Keys and certificates planted in a real Linux machine: each is found where it lies, with its process or file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from dumpscan.artifacts.registry import KEYS
from dumpscan.findings import PrivateKey
from dumpscan.memory.kernel.image import KernelImage
from dumpscan.search.merge import Collector
from dumpscan.search.run import search

if TYPE_CHECKING:
    from pathlib import Path

    from dumpscan.findings import Finding, Location

ENCRYPTED = "cached-encrypted"
HOLDERS = {
    "nginx-rsa": {"nginx"},
    "nginx-ec": {"nginx"},
    "sshd-rsa": {"sshd"},
    "sshd-ecdsa": {"sshd"},
    "sshd-ed25519": {"sshd"},
    "agent-rsa": {"ssh-agent"},
    "agent-ed25519": {"ssh-agent"},
    "holder-generated": {"python3"},
    "holder-object": {"python3"},
    "crossing": {"python3"},
    "protnone": {"python3"},
    "swapped": {"python3"},
    "huge": {"python3"},
    "hugetlb": {"python3"},
}
FILES = {
    "nginx-rsa": "/etc/nginx/tls/rsa.key",
    "client-ed25519": "/root/.ssh/id_ed25519",
    "tmpfs": "/run/secret/tmpfs.der",
    "cached-file": "/opt/lab/cached.der",
    "shared": "/dev/shm/shared",  # noqa: S108 - where it lay
}


@pytest.fixture(scope="module")
def findings(linux_image: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Finding]:
    collector = Collector()
    with KernelImage(linux_image, cache_dir=tmp_path_factory.mktemp("cache")) as image:
        assert not search(image, KEYS, collector)
    return collector.findings()


@pytest.fixture(scope="module")
def places(findings: list[Finding], linux_truth: dict[str, Any]) -> dict[str, tuple[Location, ...]]:
    """Where each planted key was found, by its name."""
    names = {key["spki_sha256"]: key["name"] for key in linux_truth["keys"]}
    keys = [finding for finding in findings if isinstance(finding, PrivateKey)]
    return {names[key.key_id]: key.locations for key in keys if key.key_id in names}


def test_every_key_is_found_but_the_encrypted_one(
    places: dict[str, tuple[Location, ...]], linux_truth: dict[str, Any]
) -> None:
    assert set(places) == {key["name"] for key in linux_truth["keys"]} - {ENCRYPTED}


def test_keys_are_found_whole(places: dict[str, tuple[Location, ...]]) -> None:
    assert all(any(not place.missing for place in found) for found in places.values())


@pytest.mark.parametrize("name", HOLDERS)
def test_a_process_holds_it(places: dict[str, tuple[Location, ...]], name: str) -> None:
    found = {place.process.name for place in places[name] if place.process is not None}
    assert found >= HOLDERS[name]


@pytest.mark.parametrize("name", FILES)
def test_a_file_holds_it(places: dict[str, tuple[Location, ...]], name: str) -> None:
    assert FILES[name] in {place.page_path for place in places[name]}


def test_the_key_of_a_killed_process_lies_in_free_memory(places: dict[str, tuple[Location, ...]]) -> None:
    assert [(place.process, place.page_owner) for place in places["killed"]] == [(None, "free")]


def test_pages_of_swap_are_said_to_be_so(places: dict[str, tuple[Location, ...]]) -> None:
    assert "swap cache" in {place.page_owner for place in places["swapped"]}
