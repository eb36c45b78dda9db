"""PuTTY's private key files."""

from __future__ import annotations

import base64
import hmac
import json
import shutil
import subprocess
from functools import cache
from hashlib import sha1
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_ssh_private_key
from hypothesis import given
from hypothesis import strategies as st

from dumpscan.artifacts.keys.ssh.putty import DETECTORS
from dumpscan.findings import EncryptedContainer, PrivateKey
from support.artifact_samples import BASE, damaged, detect, detect_one, ec_key, key_id, raw_key, scan

PROGRAM = shutil.which("puttygen")
KINDS = {
    "rsa": ["-t", "rsa", "-b", "1024"],
    "dsa": ["-t", "dsa", "-b", "1024"],
    "ecdsa": ["-t", "ecdsa", "-b", "384"],
    "ed25519": ["-t", "ed25519"],
}


@cache
def _made(kind: str, version: int, *, password: str = "", kdf: str = "argon2id") -> tuple[bytes, bytes]:
    """Return a key file that PuTTY makes, and the same key as OpenSSH has it (nothing under a password)."""
    if PROGRAM is None:
        pytest.skip("no puttygen on this machine")
    with TemporaryDirectory() as directory:
        key, other, secret = (Path(directory) / name for name in ("key.ppk", "key", "password"))
        secret.write_text(password)
        parameters = f"version={version},kdf={kdf},memory=1024,passes=3"
        command = [PROGRAM, "-q", *KINDS[kind], "--ppk-param", parameters, "--new-passphrase", secret, "-o", key]
        subprocess.run(command, check=True, capture_output=True)
        if not password:
            form = "private-openssh" if kind == "dsa" else "private-openssh-new"
            subprocess.run([PROGRAM, "-q", key, "-O", form, "-o", other], check=True)
        return key.read_bytes().rstrip(), b"" if password else other.read_bytes()


def _string(data: bytes) -> bytes:
    return len(data).to_bytes(4, "big") + data


def _lines(name: str, data: bytes, end: str) -> str:
    text = base64.b64encode(data).decode()
    lines = [text[at : at + 64] for at in range(0, len(text), 64)]
    return end.join([f"{name}-Lines: {len(lines)}", *lines])


def _file(
    kind: bytes, public: bytes, private: bytes, *, version: int = 3, end: str = "\n", comment: str = "a b"
) -> bytes:
    """A file that is not encrypted, written from the manual's appendix C."""
    public = _string(kind) + public
    message = b"".join(map(_string, (kind, b"none", comment.encode(), public, private)))
    if version == 3:
        mac = hmac.digest(b"", message, "sha256")
    else:
        mac = hmac.digest(sha1(b"putty-private-key-file-mac-key", usedforsecurity=False).digest(), message, "sha1")
    head = [f"PuTTY-User-Key-File-{version}: {kind.decode()}", "Encryption: none", f"Comment: {comment}"]
    lines = [*head, _lines("Public", public, end), _lines("Private", private, end), f"Private-MAC: {mac.hex()}"]
    return end.join(lines).encode()


def _of_ed25519(**options: object) -> bytes:
    key = raw_key("ed25519")
    public, private = key.public_key().public_bytes_raw(), key.private_bytes_raw()  # type: ignore[union-attr]
    return _file(b"ssh-ed25519", _string(public), _string(private), **options)  # type: ignore[arg-type]


def _key(data: bytes) -> PrivateKey:
    decoded = detect_one(DETECTORS, data)
    assert isinstance(decoded.finding, PrivateKey)
    assert decoded.encoding == "ppk"
    return decoded.finding


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("version", [2, 3])
def test_what_puttygen_makes(kind: str, version: int) -> None:
    data, other = _made(kind, version)
    found = _key(data)
    load = load_ssh_private_key if b"OPENSSH" in other else load_pem_private_key
    assert found.key_id == key_id(load(other, None))
    assert found.proof[-1] == "the MAC is that of the file"
    assert not found.wrong_parts


@pytest.mark.parametrize(
    ("version", "kdf", "name", "iterations"),
    [
        (2, "argon2id", "SHA1", None),
        (3, "argon2id", "Argon2id", 3),
        (3, "argon2i", "Argon2i", 3),
        (3, "argon2d", "Argon2d", 3),
    ],
)
def test_what_puttygen_encrypts(version: int, kdf: str, name: str, iterations: int | None) -> None:
    data, _ = _made("ed25519", version, password="secret", kdf=kdf)  # noqa: S106 -- of a file made for a test
    found = detect_one(DETECTORS, data).finding
    assert isinstance(found, EncryptedContainer)
    assert (found.container, found.kdf, found.cipher, found.iterations) == ("putty", name, "AES-256-CBC", iterations)
    assert (found.data, found.mac) == (data, "HMAC-SHA1" if version == 2 else "HMAC-SHA256")


@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("comment", ["", "user@host", "Schlüssel: ein Kommentar"])
def test_every_way_to_write_it(version: int, end: str, comment: str) -> None:
    found = _key(_of_ed25519(version=version, end=end, comment=comment))
    assert (found.algorithm, found.key_id) == ("Ed25519", key_id(raw_key("ed25519")))
    assert found.proof == ("public value = that of the private value", "the MAC is that of the file")


def test_ed448_and_another_curve() -> None:
    key = raw_key("ed448")
    public, private = key.public_key().public_bytes_raw(), key.private_bytes_raw()  # type: ignore[union-attr]
    assert _key(_file(b"ssh-ed448", _string(public), _string(private))).key_id == key_id(key)
    numbers = ec_key("secp256r1").private_numbers()
    coordinates = (numbers.public_numbers.x, numbers.public_numbers.y)
    point = b"\4" + b"".join(value.to_bytes(32, "big") for value in coordinates)
    value = _string(numbers.private_value.to_bytes(32, "big"))
    data = _file(b"ecdsa-sha2-nistp256", _string(b"nistp256") + _string(point), value)
    assert _key(data).key_id == key_id(ec_key("secp256r1"))
    assert not detect(DETECTORS, _file(b"ecdsa-sha2-nistp256", _string(b"nistp999") + _string(point), value))


def test_a_mac_that_is_not_that_of_the_file() -> None:
    """The key is proven without it; that something else in the file was changed is said."""
    found = _key(_of_ed25519().replace(b"Comment: a b", b"Comment: a c"))
    assert found.wrong_parts == ("MAC",)
    assert "the MAC is that of the file" not in found.proof


@pytest.mark.parametrize(
    "data",
    [
        _of_ed25519().replace(b"File-3", b"File-1"),
        _of_ed25519().replace(b"Encryption: none", b"Encryption: rot13"),
        _of_ed25519().replace(b"Encryption: none", b"Encryption: aes256-cbc"),
        _of_ed25519(version=2).replace(b"Encryption: none", b"Encryption: aes256-cbc"),
        _of_ed25519().replace(b"3: ssh-ed25519", b"3: ssh-rsa"),
        _of_ed25519().replace(b"Private-Lines: 1\n", b"Private-Lines: 1\n="),
        _of_ed25519().replace(b"Private-MAC: ", b"Private-Hash: "),
        _of_ed25519()[:-30],
        _of_ed25519().replace(b"Public-Lines: 2\n", b"Public-Lines: 2\n\n"),
        _file(b"ssh-ed25519", _string(bytes(32)), _string(bytes(32))),
        _file(b"ssh-ed25519", _string(bytes(32)), b"\xff\xff\xff\xff" + bytes(32)),
        _file(b"ssh-unknown", _string(bytes(32)), _string(bytes(32))),
        _file(b"ssh-rsa", _string(b"\1\0\1") + _string(b"\x7f" * 128), _string(b"\1") * 4),
    ],
)
def test_what_is_no_key_file(data: bytes) -> None:
    assert not detect(DETECTORS, data + b"\n")


def test_something_behind_the_key() -> None:
    key = raw_key("ed25519")
    public, private = key.public_key().public_bytes_raw(), key.private_bytes_raw()  # type: ignore[union-attr]
    assert not detect(DETECTORS, _file(b"ssh-ed25519", _string(public) * 2, _string(private)))
    assert not detect(DETECTORS, _file(b"ssh-ed25519", _string(public), _string(private) * 2))


def test_damage_makes_no_other_key() -> None:
    for data in (_of_ed25519(), _of_ed25519(version=2, end="\r\n")):
        for copy in damaged(data):
            for decoded in detect(DETECTORS, copy):
                assert decoded.finding.identity == ("private_key", key_id(raw_key("ed25519")))


@given(st.integers(0, 400), st.binary(max_size=60))
def test_any_damage_is_survived(at: int, noise: bytes) -> None:
    data = _of_ed25519()
    for copy in (data[:at] + noise + data[at + len(noise) :], data[:at] + noise, data[:at] + noise + data[at:]):
        detect(DETECTORS, copy)


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_in_text_that_is_wide_or_escaped(end: str) -> None:
    text = _of_ed25519(end=end).decode()
    quoted = json.dumps({"key": text})
    lines = text.split(end)
    wrapped = {
        "ppk-utf16": text.encode("utf-16-le"),
        "ppk-utf32": text.encode("utf-32-le"),
        "ppk": quoted.encode(),
        "json+ppk": json.dumps(json.dumps(quoted)).encode(),
        "xml+ppk": text.replace("\r", "&#13;").replace("\n", "&#10;").encode(),
        "prefixed+ppk": "\n".join(f"# {line}" for line in lines).encode(),
        "source+ppk": " +\n".join(f'"{line}\\n"' for line in lines).encode(),
    }
    for encoding, data in wrapped.items():
        (found,) = scan(bytes(60) + data + bytes(60))
        assert isinstance(found, PrivateKey)
        assert found.key_id == key_id(raw_key("ed25519"))
        assert found.proof[-1] == "the MAC is that of the file"
        (place,) = found.locations
        assert place.encoding == encoding
        assert BASE + 60 <= (place.virtual_address or 0) < BASE + 100
        assert place.length <= len(data)
