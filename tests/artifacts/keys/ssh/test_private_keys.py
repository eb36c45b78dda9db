"""Private keys as OpenSSH serializes them: messages to an agent, and key files with several keys or none."""

from __future__ import annotations

import shutil
import socket
import struct
import subprocess
import threading
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from hypothesis import given
from hypothesis import strategies as st

from dumpscan.artifacts.keys.ssh import openssh, private_keys
from dumpscan.findings import PrivateKey
from support.artifact_samples import all_keys, damaged, detect, detect_one, key_id, pem, pkcs8
from support.ssh_samples import private_section

if TYPE_CHECKING:
    from pathlib import Path

DETECTORS = private_keys.DETECTORS
KINDS = ("rsa1024", "rsa2048", "secp256r1", "secp384r1", "secp521r1", "ed25519")


def _string(data: bytes) -> bytes:
    return len(data).to_bytes(4, "big") + data


def _file(*keys: bytes, count: int | None = None, check: int = 7) -> bytes:
    """A key file that is not encrypted, with any keys in it."""
    public = b"".join(_string(b"public") for _ in keys)
    private = struct.pack(">II", 7, check) + b"".join(key + _string(b"comment") for key in keys)
    private += bytes(range(1, 1 + -len(private) % 8))
    head = b"openssh-key-v1\0" + _string(b"none") * 2 + _string(b"")
    return head + (len(keys) if count is None else count).to_bytes(4, "big") + public + _string(private)


_HANDLE = _string(b"ssh:") + b"\1" + _string(b"handle") + _string(b"")
SECURITY_KEY = _string(b"sk-ssh-ed25519@openssh.com") + _string(bytes(32)) + _HANDLE
SECURITY_EC = (
    _string(b"sk-ecdsa-sha2-nistp256@openssh.com") + _string(b"nistp256") + _string(b"\4" + bytes(64)) + _HANDLE
)


@pytest.mark.parametrize("name", KINDS)
def test_a_key_without_a_file_around_it(name: str) -> None:
    decoded = detect_one(DETECTORS, private_section(name))
    assert decoded.encoding == "ssh"
    assert isinstance(decoded.finding, PrivateKey)
    assert (decoded.finding.key_id, decoded.finding.pkcs8) == (key_id(all_keys()[name]), pkcs8(all_keys()[name]))


@pytest.mark.parametrize("name", KINDS)
def test_a_public_key_is_none(name: str) -> None:
    """A public key begins in the same way, with fewer numbers."""
    section = private_section(name)
    assert not detect(DETECTORS, section[: len(section) // 2])
    if name.startswith("secp"):
        assert not detect(DETECTORS, section[:-36] + bytes(36))


@pytest.mark.parametrize("name", KINDS)
def test_damage_makes_no_other_key(name: str) -> None:
    data = private_section(name)
    for copy in damaged(data):
        for decoded in detect(DETECTORS, copy):
            assert decoded.finding.identity == ("private_key", key_id(all_keys()[name]))


@pytest.mark.parametrize("name", ["secp256r1", "ed25519", "rsa2048"])
@pytest.mark.parametrize("options", [[], ["-t", "600"]])
def test_what_ssh_add_sends(name: str, options: list[str], tmp_path: Path) -> None:
    program = shutil.which("ssh-add")
    if program is None:
        pytest.skip("no ssh-add on this machine")
    file, address = tmp_path / "key", tmp_path / "agent"
    file.write_bytes(
        all_keys()[name].private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())
        if name == "ed25519"
        else pem(pkcs8(all_keys()[name]), "PRIVATE KEY") + b"\n"
    )
    file.chmod(0o600)
    received: list[bytes] = []
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(address))
        server.listen()
        server.settimeout(250)
        agent = threading.Thread(target=_serve, args=(server, received), daemon=True)
        agent.start()
        environment = {"SSH_AUTH_SOCK": str(address)}
        done = subprocess.run([program, *options, file], env=environment, capture_output=True, check=False)
        agent.join(timeout=250)
    assert done.returncode == 0, done.stderr
    (message,) = (each for each in received if each[:1] in (b"\x11", b"\x19"))
    (decoded,) = detect(DETECTORS, message[1:])
    assert isinstance(decoded.finding, PrivateKey)
    assert decoded.finding.key_id == key_id(all_keys()[name])


def _serve(server: socket.socket, received: list[bytes]) -> None:
    """Be an agent to one client: take every message, and say that all is well."""
    connection, _ = server.accept()
    with connection, connection.makefile("rb") as stream:
        while size := stream.read(4):
            received.append(stream.read(int.from_bytes(size, "big")))
            connection.sendall(b"\0\0\0\1\6")


def test_a_file_with_several_keys() -> None:
    data = _file(private_section("ed25519"), SECURITY_KEY, private_section("rsa1024"), SECURITY_EC)
    decoded = detect_one(openssh.DETECTORS, data)
    assert [one.finding.identity[1] for one in decoded] == [key_id(all_keys()[name]) for name in ("ed25519", "rsa1024")]
    assert {(one.address, one.length, one.encoding) for one in decoded} == {(decoded.address, len(data), "openssh")}
    twice = detect_one(openssh.DETECTORS, _file(*[private_section("ed25519")] * 2))
    assert not twice.others


@pytest.mark.parametrize(
    "data",
    [
        _file(SECURITY_KEY),
        _file(SECURITY_EC),
        _file(),
        _file(private_section("ed25519"), count=0),
        _file(private_section("ed25519"), count=2),
        _file(private_section("ed25519"), count=1 << 31),
        _file(private_section("ed25519"), check=8),
        _file(private_section("ed25519"), SECURITY_KEY[:-1]),
        _file(private_section("ed25519"), _string(b"ssh-unknown")),
        _file(private_section("ed25519").replace(b"ssh-ed25519", b"ssh-ed25518")),
    ],
)
def test_files_that_give_no_key(data: bytes) -> None:
    assert not detect(openssh.DETECTORS, data)


def test_a_key_of_a_real_security_key_file() -> None:
    """A file of an encrypted security key is still a container."""
    data = _file(SECURITY_KEY)
    options = _string(bytes(16)) + (16).to_bytes(4, "big")
    cipher = _string(b"aes256-ctr") + _string(b"bcrypt") + _string(options)
    (decoded,) = detect(openssh.DETECTORS, data.replace(_string(b"none") * 2 + _string(b""), cipher))
    assert decoded.finding.kind == "encrypted_container"


@given(st.sampled_from(KINDS), st.integers(0, 300), st.binary(max_size=40))
def test_any_damage_is_survived(name: str, at: int, noise: bytes) -> None:
    data = private_section(name)
    for copy in (data[:at] + noise + data[at + len(noise) :], data[:at] + noise):
        for decoded in detect(DETECTORS, copy):
            assert decoded.finding.identity == ("private_key", key_id(all_keys()[name]))
    detect(openssh.DETECTORS, _file(data[:at] + noise, SECURITY_KEY))


def test_only_what_is_stored_is_proven() -> None:
    """OpenSSH stores the coefficient of the CRT values and not its exponents."""
    found = detect_one(DETECTORS, private_section("rsa1024")).finding
    assert isinstance(found, PrivateKey)
    assert "q*qinv = 1 mod p" in found.proof
    assert not [relation for relation in found.proof if relation.startswith("dp")]
