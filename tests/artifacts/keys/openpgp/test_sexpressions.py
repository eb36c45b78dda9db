"""S-expressions of private keys: of gpg-agent where it is installed, and written here in both forms."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from cryptography.hazmat.primitives.asymmetric import dsa, ec, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_der_public_key,
)
from hypothesis import given
from hypothesis import strategies as st

from dumpscan.artifacts.keys.openpgp.sexpressions import DETECTORS
from dumpscan.findings import EncryptedContainer, PrivateKey, PublicKey
from dumpscan.search.merge import Collector
from dumpscan.search.scanner import Scanner
from support.artifact_samples import BASE as START
from support.artifact_samples import Space, all_keys, damaged, detect, key_id

SCANNER = Scanner(DETECTORS)
NAMES = ("rsa2048", "dsa", "secp256r1", "secp521r1", "ed25519", "x25519", "ed448", "x448")
KEYS = {name: key for name, key in all_keys().items() if name in NAMES}
CURVES = {"secp256r1": b"NIST P-256", "secp521r1": b"1.3.132.0.35"}
RAW = {"ed25519": b"Ed25519", "x25519": b"Curve25519", "ed448": b"Ed448", "x448": b"X448"}


def number(value: int) -> bytes:
    """As libgcrypt writes it: with a zero before a first bit that is set."""
    return value.to_bytes(value.bit_length() // 8 + 1, "big")


def members(name: str) -> tuple[bytes, dict[bytes, bytes]]:
    """The algorithm and the members of a key, as libgcrypt's manual has them."""
    key = KEYS[name]
    if isinstance(key, rsa.RSAPrivateKey):
        numbers = key.private_numbers()
        p, q = sorted((numbers.p, numbers.q))
        public = numbers.public_numbers
        values = {b"n": public.n, b"e": public.e, b"d": numbers.d, b"p": p, b"q": q, b"u": pow(p, -1, q)}
        return b"rsa", {name: number(value) for name, value in values.items()}
    if isinstance(key, dsa.DSAPrivateKey):
        group, public_key = key.parameters().parameter_numbers(), key.private_numbers().public_numbers
        values = {b"p": group.p, b"q": group.q, b"g": group.g, b"y": public_key.y, b"x": key.private_numbers().x}
        return b"dsa", {name: number(value) for name, value in values.items()}
    if isinstance(key, ec.EllipticCurvePrivateKey):
        point = key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
        return b"ecc", {b"curve": CURVES[name], b"q": point, b"d": number(key.private_numbers().private_value)}
    private = key.private_bytes(Encoding.Raw, PrivateFormat.Raw, NoEncryption())
    public_value = key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    if name == "x25519":
        private = private[::-1]
    return b"ecc", {b"curve": RAW[name], b"flags": b"eddsa", b"q": b"\x40" + public_value, b"d": private}


def canonical(name: str) -> bytes:
    def atom(data: bytes) -> bytes:
        return b"%d:%b" % (len(data), data)

    algorithm, values = members(name)
    inside = b"".join(b"(" + atom(key) + atom(value) + b")" for key, value in values.items())
    return b"(" + atom(b"private-key") + b"(" + atom(algorithm) + inside + b")" + b"(7:comment3:abc))"


def advanced(name: str) -> bytes:
    algorithm, values = members(name)
    lines = []
    for key, value in values.items():
        written = b'"%b"' % value if key in (b"curve", b"flags") else b"#%b#" % value.hex().upper().encode()
        lines.append(b"(%b %b)" % (key, written.replace(b"00", b"00\n ")))
    return b"(private-key\n (" + algorithm + b" " + b"\n  ".join(lines) + b"))"


def quoted(name: str) -> bytes:
    """As libgcrypt writes bytes that are nearly text; here all are, with every kind of escape."""
    algorithm, values = members(name)
    named = {8: b"\\b", 9: b"\\t", 10: b"\\n", 11: b"\\v", 12: b"\\f", 13: b"\\r", 34: b'\\"', 39: b"\\'", 92: b"\\\\"}
    escapes = [
        named.get(value, bytes((value,)) if value > 127 else b"\\%03o" % value if value & 1 else b"\\x%02x" % value)
        for value in range(256)
    ]
    lines = [
        b'(%b "%b")' % (key, b"".join(escapes[each] + b"\\\n" * (each == 70) for each in value))
        for key, value in values.items()
    ]
    return b"(private-key\n (" + algorithm + b" " + b"\n  ".join(lines) + b"))"


@pytest.mark.parametrize("write", [canonical, advanced, quoted])
@pytest.mark.parametrize("name", KEYS)
def test_keys_of_every_algorithm(name: str, write: object) -> None:
    data = write(name)  # type: ignore[operator]
    collector = Collector()
    assert SCANNER.scan(Space({START: b"\xff" * 30 + data + b"\0" * 30}), collector) == ()
    (finding,) = collector.findings()
    assert isinstance(finding, PrivateKey)
    assert (finding.key_id, finding.size) == (key_id(KEYS[name]), len(data))
    assert finding.proof
    assert [place.encoding for place in finding.locations] == ["s-expression"]


@pytest.mark.parametrize("write", [canonical, advanced, quoted])
@pytest.mark.parametrize("name", KEYS)
def test_no_key_of_a_damaged_one(name: str, write: object) -> None:
    """A number that is another, or a list that is cut, is no key; a name or a comment that is another may be one."""
    data = write(name)  # type: ignore[operator]
    for changed in damaged(data):
        for decoded in detect(DETECTORS, changed):
            assert isinstance(decoded.finding, PrivateKey)
            assert decoded.finding.key_id == key_id(KEYS[name])


@pytest.mark.parametrize(
    "data",
    [
        b"(private-key (rsa (n %m)(e %m)(d %m)))",
        b"(private-key " * 50,
        b"(11:private-key(3:rsa(1:n99999:" + b"x" * 200,
        b"(11:private-key(3:rsa))",
        b"(11:private-key(3:ecc(5:curve7:unknown)(1:d32:" + b"\x5b" * 32 + b")))",
        b"(11:private-key(3:ecc(5:curve40:1.2.3.99999999999999999999999999999999999999(1:d1:a)))",
        b"(11:private-key3:rsa)",
        b"(21:protected-private-key(3:rsa(1:n1:a)(9:protected1:x)))",
        b"(21:protected-private-key(3:rsa(9:protected1:x((4:sha1)1:n)1:e)))" * 2,
    ],
)
def test_what_is_no_key(data: bytes) -> None:
    assert [decoded for decoded in detect(DETECTORS, data) if isinstance(decoded.finding, PrivateKey)] == []


@given(
    st.binary(max_size=400), st.sampled_from([b"(11:private-key(", b"(private-key\n(", b"(21:protected-private-key("])
)
def test_arbitrary_bytes(data: bytes, opening: bytes) -> None:
    assert [each for each in detect(DETECTORS, opening + data) if isinstance(each.finding, PrivateKey)] == []


@pytest.mark.parametrize("password", ["", "secret"])
def test_what_gpg_agent_keeps(password: str) -> None:
    program, killer = shutil.which("gpg"), shutil.which("gpgconf")
    if program is None or killer is None:
        pytest.skip("no gpg on this machine")
    with TemporaryDirectory(dir="/tmp") as home:
        environment = {**os.environ, "GNUPGHOME": home}
        options = ["--batch", "--quiet", "--pinentry-mode", "loopback", "--passphrase", password]
        try:
            for algorithm in ("rsa2048", "ed25519", "nistp384"):
                command = [program, *options, "--quick-gen-key", algorithm, algorithm, "sign", "never"]
                done = subprocess.run(command, capture_output=True, check=False, env=environment)
                if done.returncode:
                    pytest.skip(f"this gpg cannot make keys: {done.stderr.decode(errors='replace')[-200:]}")
            files = [path.read_bytes() for path in Path(home, "private-keys-v1.d").iterdir()]
        finally:
            subprocess.run([killer, "--kill", "gpg-agent"], env=environment, capture_output=True, check=False)
    assert len(files) == 3
    for data in files:
        collector = Collector()
        assert SCANNER.scan(Space({START: data}), collector) == ()
        finding, *others = collector.findings()
        if password:
            assert isinstance(finding, EncryptedContainer)
            assert finding.cipher.startswith("AES-128")
            assert (finding.kdf, finding.container) == ("S2K iterated SHA1", "s-expression")
            assert finding.iterations
            (public,) = others  # it lies in clear beside what is protected
            assert isinstance(public, PublicKey)
            assert public.locations == finding.locations
            info = load_der_public_key(public.public_info)
            assert info.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo) == public.public_info
        else:
            assert others == []
            assert isinstance(finding, PrivateKey)
            assert finding.proof
