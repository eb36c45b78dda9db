"""Public keys by themselves: they serve to find their private halves, and are listed by no command."""

from __future__ import annotations

import base64

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from dumpscan.artifacts.keys.public_keys import DETECTORS
from dumpscan.artifacts.registry import EVERYTHING, X509_DETECTORS
from dumpscan.findings import PublicKey
from dumpscan.search.merge import Collector
from dumpscan.search.scanner import Scanner
from support.artifact_samples import BASE, Space, all_keys, certificate_der, damaged, detect, key_id, pem, pkcs8

SCANNER = Scanner(X509_DETECTORS)
NAMES = ("rsa1024", "rsa2048", "secp256r1", "secp384r1", "secp521r1", "secp256k1", "ed25519", "x25519", "ed448", "x448")
KEYS = {name: key for name, key in all_keys().items() if name in NAMES}
SSH = ("rsa1024", "rsa2048", "secp256r1", "secp384r1", "secp521r1", "ed25519")


def info(name: str) -> bytes:
    return KEYS[name].public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def ssh(name: str) -> bytes:
    text = KEYS[name].public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)
    return base64.b64decode(text.split()[1])


def collected(data: bytes) -> Collector:
    collector = Collector()
    assert SCANNER.scan(Space({BASE: b"\xff" * 40 + data + b"\xff" * 40}), collector) == ()
    return collector


@pytest.mark.parametrize("name", KEYS)
def test_subject_public_key_info(name: str) -> None:
    for data in (info(name), pem(info(name), "PUBLIC KEY"), base64.b64encode(pem(info(name), "PUBLIC KEY"))):
        (finding,) = collected(data).findings()
        assert isinstance(finding, PublicKey)
        assert (finding.key_id, finding.public_info) == (key_id(KEYS[name]), info(name))
        assert finding.location_count == 1
        assert EVERYTHING.shown([finding]) == []


@pytest.mark.parametrize("name", SSH)
def test_keys_as_ssh_sends_them(name: str) -> None:
    (finding,) = collected(ssh(name)).findings()
    assert isinstance(finding, PublicKey)
    assert (finding.key_id, finding.size) == (key_id(KEYS[name]), len(ssh(name)))


@pytest.mark.parametrize("name", ["rsa2048", "secp256r1"])
def test_one_that_something_bears_is_no_finding_of_its_own(name: str) -> None:
    for other in (certificate_der(name), pkcs8(KEYS[name])):
        (finding,) = collected(info(name) + other).findings()
        assert finding.kind != "public_key"


@pytest.mark.parametrize("name", KEYS)
def test_damaged_ones(name: str) -> None:
    """What comes of one is another key, or none; never the same."""
    for data in damaged(info(name)):
        for decoded in detect(DETECTORS, data):
            assert isinstance(decoded.finding, PublicKey)
            assert data == info(name) or decoded.finding.key_id != key_id(KEYS[name])


@given(st.binary(max_size=300), st.sampled_from([info("rsa2048")[:24], info("secp256r1")[:23], ssh("rsa2048")[:21]]))
def test_arbitrary_bytes(data: bytes, opening: bytes) -> None:
    for decoded in detect(DETECTORS, opening + data):
        assert decoded.length <= len(opening) + len(data)


def test_a_compressed_point_that_the_library_does_not_read() -> None:
    """OpenSSH writes no such key; the search goes on to the key behind it."""
    compressed = bytearray(ssh("secp256r1"))
    at = compressed.index(b"\0\0\0\x41\x04")
    compressed[at : at + 5] = b"\0\0\0\x21\x02"
    (finding,) = collected(bytes(compressed[: at + 4 + 33]) + ssh("rsa2048")).findings()
    assert finding.key_id == key_id(KEYS["rsa2048"])
