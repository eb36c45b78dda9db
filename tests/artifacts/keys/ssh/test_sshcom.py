"""Keys in ssh.com's format, as puttygen writes them and as its layout says."""

from __future__ import annotations

import base64
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from dumpscan.artifacts.keys.ssh.sshcom import DETECTORS
from dumpscan.findings import EncryptedContainer, PrivateKey
from support.artifact_samples import damaged, detect, dsa_key, key_id, rsa_key, scan

if TYPE_CHECKING:
    from pathlib import Path

RSA, DSA = rsa_key(1024), dsa_key()
RSA_TYPE = b"if-modn{sign{rsa-pkcs1-sha1},encrypt{rsa-pkcs1v2-oaep}}"
DSA_TYPE = b"dl-modp{sign{dsa-nist-sha1},dh{plain}}"


def _string(data: bytes) -> bytes:
    return len(data).to_bytes(4, "big") + data


def _number(value: int) -> bytes:
    return value.bit_length().to_bytes(4, "big") + value.to_bytes((value.bit_length() + 7) // 8, "big")


def _file(kind: bytes, private: bytes, cipher: bytes = b"none") -> bytes:
    body = _string(kind) + _string(cipher) + _string(private)
    return bytes.fromhex("3f6ff9eb") + (8 + len(body)).to_bytes(4, "big") + body


def _rsa(d: int = RSA.private_numbers().d) -> bytes:
    numbers = RSA.private_numbers()
    n, e, p, q = numbers.public_numbers.n, numbers.public_numbers.e, numbers.p, numbers.q
    return _file(RSA_TYPE, _string(b"".join(map(_number, (e, d, n, pow(p, -1, q), p, q)))))


def _dsa(group: bytes = bytes(4)) -> bytes:
    numbers = DSA.private_numbers()
    public = numbers.public_numbers
    parameters = public.parameter_numbers
    values = (parameters.p, parameters.g, parameters.q, public.y, numbers.x)
    return _file(DSA_TYPE, _string(group + b"".join(map(_number, values))))


def test_keys_that_are_not_encrypted() -> None:
    for data, key, algorithm in ((_rsa(), RSA, "RSA"), (_dsa(), DSA, "DSA")):
        (decoded,) = detect(DETECTORS, data)
        assert isinstance(decoded.finding, PrivateKey)
        assert (decoded.finding.key_id, decoded.finding.algorithm) == (key_id(key), algorithm)
        assert (decoded.finding.wrong_parts, decoded.length, decoded.encoding) == ((), len(data), "ssh.com")


def test_what_is_no_key() -> None:
    wrong = (_rsa(d=RSA.private_numbers().d ^ 4), _dsa(group=b"\0\0\0\1"), _file(b"ec-modp{}", _string(bytes(200))))
    for data in (*wrong, _file(RSA_TYPE, bytes(200), b"aes"), _file(RSA_TYPE, bytes(201), b"3des-cbc")):
        assert detect(DETECTORS, data) == []


def test_damaged_keys_are_refused_or_the_same_key() -> None:
    for data in damaged(_rsa()):
        found = [each.finding for each in detect(DETECTORS, data)]
        assert all(isinstance(each, PrivateKey) and each.key_id == key_id(RSA) for each in found)


@pytest.mark.parametrize("password", ["", "secret"])
def test_what_puttygen_writes(password: str, tmp_path: Path) -> None:
    program = shutil.which("puttygen")
    if program is None:
        pytest.skip("no puttygen on this machine")
    (tmp_path / "key").write_bytes(RSA.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()))
    (tmp_path / "password").write_text(password)
    options = ["-O", "private-sshcom", "-o", tmp_path / "out", "--new-passphrase", tmp_path / "password"]
    done = subprocess.run([program, tmp_path / "key", *options], capture_output=True, check=False, timeout=60)
    if done.returncode:
        pytest.skip(f"this puttygen cannot write the format: {done.stderr.decode(errors='replace')}")
    text = (tmp_path / "out").read_bytes()
    for data, suffix in ((text, ""), (text.decode().encode("utf-16-le"), "-utf16")):
        (found,) = scan(bytes(64) + data + bytes(64))
        assert found.locations[0].encoding == f"base64{suffix}"
        if not password:
            assert isinstance(found, PrivateKey)
            assert (found.key_id, found.wrong_parts) == (key_id(RSA), ())
            continue
        assert isinstance(found, EncryptedContainer)
        assert (found.container, found.kdf, found.cipher) == ("ssh.com", "MD5", "3DES-CBC")
        body = b"".join(line for line in text.split(b"\n") if line and not line.startswith((b"-", b"Comment")))
        assert b"".join(found.data.split(b"\n")[1:-2]) == body
        assert base64.b64decode(body)
