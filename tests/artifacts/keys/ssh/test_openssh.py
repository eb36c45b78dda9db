"""OpenSSH's own private key format."""

from __future__ import annotations

import base64
import re
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from dumpscan.artifacts.keys.ssh.openssh import DETECTORS
from dumpscan.findings import EncryptedContainer, PrivateKey
from support.artifact_samples import BASE, all_keys, damaged, detect, detect_one, key_id, memory_of, pkcs8

if TYPE_CHECKING:
    from pathlib import Path

KINDS = ("rsa1024", "rsa2048", "secp256r1", "secp384r1", "secp521r1", "ed25519")


def _text(name: str) -> bytes:
    written: bytes = all_keys()[name].private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())
    return written


def _string(data: bytes) -> bytes:
    return len(data).to_bytes(4, "big") + data


def _encrypted(cipher: bytes = b"aes256-ctr", kdf: bytes = b"bcrypt", behind: bytes = b"") -> bytes:
    """A blob as OpenSSH writes it under a password; what is encrypted is noise to all who lack that."""
    options = _string(bytes(16)) + (24).to_bytes(4, "big")
    public = _string(_string(b"ssh-ed25519") + _string(bytes(32)))
    strings = _string(cipher) + _string(kdf) + _string(options)
    return b"openssh-key-v1\0" + strings + b"\0\0\0\x01" + public + _string(bytes(range(160))) + behind


def _blob(text: bytes) -> bytes:
    return base64.b64decode(b"".join(text.splitlines()[1:-1]))


@pytest.mark.parametrize("name", KINDS)
def test_a_key(name: str) -> None:
    decoded = detect_one(DETECTORS, _blob(_text(name)))
    assert decoded.encoding == "openssh"
    assert isinstance(decoded.finding, PrivateKey)
    key = all_keys()[name]
    assert (decoded.finding.key_id, decoded.finding.pkcs8) == (key_id(key), pkcs8(key))


def test_an_encrypted_key() -> None:
    finding = detect_one(DETECTORS, _encrypted()).finding
    assert isinstance(finding, EncryptedContainer)
    assert (finding.container, finding.kdf, finding.cipher) == ("openssh", "bcrypt", "AES-256-CTR")
    assert finding.iterations == 24
    assert _blob(finding.data) == _encrypted()
    assert detect_one(DETECTORS, _encrypted(b"aes256-gcm@openssh.com", behind=bytes(16)))
    for wrong in (
        _encrypted(b"rot13"),
        _encrypted(kdf=b"none"),
        _encrypted(b"none"),
        _encrypted(b"aes256-gcm@openssh.com"),
    ):
        assert not detect(DETECTORS, wrong)


@pytest.mark.parametrize(
    ("cipher", "name"),
    [
        ("aes128-cbc", "AES-128-CBC"),
        ("aes256-gcm@openssh.com", "AES-256-GCM"),
        ("chacha20-poly1305@openssh.com", "ChaCha20-Poly1305"),
    ],
)
def test_what_openssh_encrypts(cipher: str, name: str, tmp_path: Path) -> None:
    program = shutil.which("ssh-keygen")
    if program is None:
        pytest.skip("no ssh-keygen on this machine")
    path = tmp_path / "key"
    subprocess.run([program, "-q", "-t", "ed25519", "-a", "3", "-Z", cipher, "-N", "secret", "-f", path], check=True)
    finding = detect_one(DETECTORS, _blob(path.read_bytes())).finding
    assert isinstance(finding, EncryptedContainer)
    assert (finding.cipher, finding.iterations, finding.data) == (name, 3, path.read_bytes())


@pytest.mark.parametrize("name", KINDS)
def test_damage_makes_no_other_key(name: str) -> None:
    data = _blob(_text(name))
    for copy in damaged(data):
        for decoded in detect(DETECTORS, copy):
            assert decoded.finding.identity == ("private_key", key_id(all_keys()[name]))
    for size in (15, 20, 60, len(data) - 1):
        assert not detect(DETECTORS, data[:size])


@given(st.binary(max_size=200), st.integers(0, 200))
def test_any_damage_is_survived(noise: bytes, at: int) -> None:
    for data in (_blob(_text("ed25519")), _encrypted()):
        detect(DETECTORS, data[:15] + noise)
        detect(DETECTORS, data[:at] + noise + data[at + len(noise) :])


def test_no_more_is_read_than_the_cipher_needs() -> None:
    """An opening that nothing follows costs next to nothing."""
    memory = memory_of(b"openssh-key-v1\0" + b"\xff" * (1 << 20))
    asked: list[int] = []
    read = memory.read
    memory.read = lambda address, size: asked.append(size) or read(address, size)  # type: ignore[method-assign,func-returns-value]
    assert DETECTORS[0][1](memory, BASE) is None
    assert sum(asked) < 100


def test_padding_and_check_numbers() -> None:
    blob = _blob(_text("secp256r1"))
    assert blob.endswith(bytes(range(1, 9)))
    assert not detect(DETECTORS, blob[:-1] + b"\x09")
    check = blob.index(_string(b"ecdsa-sha2-nistp256"), 150) - 4
    assert not detect(DETECTORS, blob[:check] + bytes(4) + blob[check + 4 :])


def test_the_public_value_is_stored_twice() -> None:
    blob = _blob(_text("ed25519"))
    public = all_keys()["ed25519"].public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    places = [found.start() for found in re.finditer(re.escape(public), blob)]
    assert len(places) == 3
    for place in places[1:]:
        assert not detect(DETECTORS, blob[:place] + bytes(32) + blob[place + 32 :])
