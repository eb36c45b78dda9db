"""OpenPGP secret keys, as packets and in ASCII armour."""

from __future__ import annotations

import base64
import os
import shutil
import subprocess
from functools import cache
from hashlib import sha256
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_ssh_public_key
from hypothesis import given
from hypothesis import strategies as st

from dumpscan.artifacts.decoded import RefusedError
from dumpscan.artifacts.keys import private_key
from dumpscan.artifacts.keys.openpgp import armour, secret_keys
from dumpscan.artifacts.keys.openpgp.packets import header
from dumpscan.artifacts.registry import X509_DETECTORS
from dumpscan.findings import EncryptedContainer, PrivateKey
from dumpscan.scan.signature import Signature
from dumpscan.search.merge import Collector
from dumpscan.search.scanner import Scanner
from support.artifact_samples import (
    BASE,
    Space,
    all_keys,
    damaged,
    detect,
    detect_one,
    dsa_key,
    ec_key,
    key_id,
    raw_key,
    rsa_key,
)
from support.blob_samples import dh_numbers, dsa_numbers

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from cryptography.hazmat.primitives.asymmetric import ec, rsa

DETECTORS = ((Signature("packet", b".", 1), secret_keys.PACKET),)
"""Decodes a packet where it begins; how one is found in memory is another question."""
TIME = (1_700_000_000).to_bytes(4, "big")
SUM_PROOF = "the checksum is that of the secret part"

VERSION_6 = """
xUsGY4d/4xsAAAAg+U2nu0jWCmHlZ3BqZYfQMxmZu52JGggkLq2EVD34laMAGXKB
exK+cH6NX1hs5hNhIB00TrJmosgv3mg1ditlsLfCsQYfGwoAAABCBYJjh3/jAwsJ
BwUVCg4IDAIWAAKbAwIeCSIhBssYbE8GCaaX5NUt+mxyKwwfHifBilZwj2Ul7Ce6
2azJBScJAgcCAAAAAK0oIBA+LX0ifsDm185Ecds2v8lwgyU2kCcUmKfvBXbAf6rh
RYWzuQOwEn7E/aLwIwRaLsdry0+VcallHhSu4RN6HWaEQsiPlR4zxP/TP7mhfVEe
7XWPxtnMUMtf15OyA51YBMdLBmOHf+MZAAAAIIaTJINn+eUBXbki+PSAld2nhJh/
LVmFsS+60WyvXkQ1AE1gCk95TUR3XFeibg/u/tVY6a//1q0NWC1X+yui3O24wpsG
GBsKAAAALAWCY4d/4wKbDCIhBssYbE8GCaaX5NUt+mxyKwwfHifBilZwj2Ul7Ce6
2azJAAAAAAQBIKbpGG2dWTX8j+VjFM21J0hqWlEg+bdiojWnKfA5AQpWUWtnNwDE
M0g12vYxoWM8Y81W+bHBw805I8kWVkXU6vFOi+HWvv/ira7ofJu16NnoUkhclkUr
k0mXubZvyl4GBg==
"""
"""RFC 9580, A.4: Ed25519 and X25519 in version 6, not encrypted."""
VERSION_6_LOCKED = """
xYIGY4d/4xsAAAAg+U2nu0jWCmHlZ3BqZYfQMxmZu52JGggkLq2EVD34laP9JgkC
FARdb9ccngltHraRe25uHuyuAQQVtKipJ0+r5jL4dacGWSAheCWPpITYiyfyIOPS
3gIDyg8f7strd1OB4+LZsUhcIjOMpVHgmiY/IutJkulneoBYwrEGHxsKAAAAQgWC
"""
"""RFC 9580, A.5: the first packet of the same under a password, and some of the next."""


def _mpi(value: int) -> bytes:
    return value.bit_length().to_bytes(2, "big") + value.to_bytes((value.bit_length() + 7) // 8, "big")


def _short(data: bytes) -> bytes:
    return bytes((len(data),)) + data


def _packet(body: bytes, tag: int = 5, *, form: str = "new") -> bytes:
    size = len(body)
    if form == "old":
        width = 0 if size < 256 else 1
        return bytes((0x80 | tag << 2 | width,)) + size.to_bytes(1 << width, "big") + body
    if form == "old4":
        return bytes((0x80 | tag << 2 | 2,)) + size.to_bytes(4, "big") + body
    if form == "new5":
        return bytes((0xC0 | tag, 255)) + size.to_bytes(4, "big") + body
    if size < 192:
        return bytes((0xC0 | tag, size)) + body
    return bytes((0xC0 | tag, (size - 192 >> 8) + 192, size - 192 & 255)) + body


def _sum(secret: bytes) -> bytes:
    return (sum(secret) % 65536).to_bytes(2, "big")


def _rsa_parts(key: rsa.RSAPrivateKey) -> tuple[int, bytes, bytes]:
    numbers = key.private_numbers()
    p, q = sorted((numbers.p, numbers.q))
    secret = b"".join(map(_mpi, (numbers.d, p, q, pow(p, -1, q))))
    return 1, _mpi(numbers.public_numbers.n) + _mpi(numbers.public_numbers.e), secret


def _ec_parts(key: ec.EllipticCurvePrivateKey, algorithm: int, identifier: str) -> tuple[int, bytes, bytes]:
    numbers = key.private_numbers()
    size = (key.key_size + 7) // 8
    x, y = (value.to_bytes(size, "big") for value in (numbers.public_numbers.x, numbers.public_numbers.y))
    public = _short(bytes.fromhex(identifier)) + _mpi(int.from_bytes(b"\4" + x + y, "big"))
    return algorithm, public + (b"\3\1\x08\x07" if algorithm == 18 else b""), _mpi(numbers.private_value)


def _raw_halves(kind: str) -> tuple[bytes, bytes]:
    key = raw_key(kind)
    return key.public_key().public_bytes_raw(), key.private_bytes_raw()  # type: ignore[union-attr]


def _legacy(kind: str, algorithm: int, identifier: str) -> tuple[int, bytes, bytes]:
    public, private = _raw_halves(kind)
    value = int.from_bytes(private, "big" if algorithm == 22 else "little")
    head = _short(bytes.fromhex(identifier)) + _mpi(int.from_bytes(b"\x40" + public, "big"))
    return algorithm, head + (b"\3\1\x08\x07" if algorithm == 18 else b""), _mpi(value)


DSA, DH = dsa_numbers(dsa_key()), dh_numbers()
PARTS = {
    "rsa1024": _rsa_parts(rsa_key(1024)),
    "dsa": (17, b"".join(map(_mpi, (DSA.p, DSA.q, DSA.g, DSA.y))), _mpi(DSA.x)),
    "elgamal": (16, b"".join(map(_mpi, (DH.p, DH.g, DH.y))), _mpi(DH.x)),
    "secp256r1": _ec_parts(ec_key("secp256r1"), 19, "2a8648ce3d030107"),
    "secp384r1": _ec_parts(ec_key("secp384r1"), 18, "2b81040022"),
    "secp521r1": _ec_parts(ec_key("secp521r1"), 19, "2b81040023"),
    "secp256k1": _ec_parts(ec_key("secp256k1"), 19, "2b8104000a"),
    "brainpoolP512r1": _ec_parts(ec_key("brainpoolP512r1"), 19, "2b240303020801010d"),
    "legacy ed25519": _legacy("ed25519", 22, "2b06010401da470f01"),
    "legacy x25519": _legacy("x25519", 18, "2b060104019755010501"),
    "x25519": (25, *_raw_halves("x25519")),
    "x448": (26, *_raw_halves("x448")),
    "ed25519": (27, *_raw_halves("ed25519")),
    "ed448": (28, *_raw_halves("ed448")),
}
"""Number, public part and secret part by the name of the key, as in `all_keys`."""


def _head(name: str, version: int) -> bytes:
    algorithm, public, _ = PARTS[name]
    count = b"" if version == 4 else len(public).to_bytes(4, "big")
    return bytes((version,)) + TIME + bytes((algorithm,)) + count + public


def _open(name: str, version: int = 4) -> bytes:
    """The content of a packet that is not encrypted."""
    secret = PARTS[name][2]
    if version == 5:
        return _head(name, 5) + b"\0\0" + len(secret).to_bytes(4, "big") + secret + _sum(secret)
    return _head(name, version) + b"\0" + secret + (_sum(secret) if version == 4 else b"")


def _key(data: bytes) -> PrivateKey:
    decoded = detect_one(DETECTORS, data)
    assert decoded.encoding == "openpgp"
    assert isinstance(decoded.finding, PrivateKey)
    return decoded.finding


@pytest.mark.parametrize("name", PARTS)
@pytest.mark.parametrize("version", [4, 5, 6])
def test_every_algorithm(name: str, version: int) -> None:
    found = _key(_packet(_open(name, version)))
    if name != "elgamal":
        assert found.key_id == key_id(all_keys()[name.removeprefix("legacy ")])
    assert (SUM_PROOF in found.proof) == (version < 6)
    assert [relation for relation in found.proof if relation != SUM_PROOF]
    assert not found.wrong_parts


def test_elgamal() -> None:
    found = _key(_packet(_open("elgamal")))
    assert (found.algorithm, found.bits) == ("ElGamal", 2048)
    assert found.proof == ("y = g^x mod p", SUM_PROOF)
    assert found.pkcs8[:30].hex().find("2b0e07020101") > 0


@pytest.mark.parametrize("form", ["old", "old4", "new", "new5"])
@pytest.mark.parametrize("tag", [5, 7])
def test_every_header(form: str, tag: int) -> None:
    for name in ("rsa1024", "legacy ed25519", "ed25519"):
        assert _key(_packet(_open(name), tag, form=form)).key_id == key_id(all_keys()[name.removeprefix("legacy ")])


def test_a_wrong_checksum_is_said() -> None:
    body = _open("secp256r1")
    found = _key(_packet(body[:-1] + bytes((body[-1] ^ 1,))))
    assert found.wrong_parts == ("checksum",)
    assert SUM_PROOF not in found.proof


PROTECTIONS = {
    "AES-256-CFB": (b"\xfe\x09\x03\x08" + bytes(8) + b"\x60" + bytes(16), "S2K iterated SHA256", 65536, "SHA1"),
    "3DES-CFB": (b"\xff\x02\x01\x02" + bytes(8) + bytes(8), "S2K salted SHA1", None, None),
    "CAST5-CFB": (b"\xfe\x03\x00\x01" + bytes(8), "S2K simple MD5", None, "SHA1"),
    "Twofish-CFB": (b"\x0a" + bytes(16), "S2K simple MD5", None, None),
    "AES-128-OCB": (b"\xfd\x07\x02\x04" + bytes(16) + b"\3\4\x10" + bytes(15), "Argon2id", 3, None),
    "AES-192-EAX": (b"\xfd\x08\x01\x03\x0a" + bytes(8) + b"\xff" + bytes(16), "S2K iterated SHA512", 65011712, None),
    "Camellia-256-GCM": (b"\xfd\x0d\x03\x01\x0c" + bytes(8) + bytes(12), "S2K salted SHA3-256", None, None),
}


def _secret(name: str, usage: int) -> bytes:
    """As many bytes as the secret part has, encrypted."""
    return bytes(len(PARTS[name][2]) + {253: 16, 254: 20, 255: 2}.get(usage, 2))


@pytest.mark.parametrize("cipher", PROTECTIONS)
@pytest.mark.parametrize("name", ["rsa1024", "legacy ed25519", "ed25519"])
def test_the_protection_is_named(cipher: str, name: str) -> None:
    parameters, kdf, iterations, mac = PROTECTIONS[cipher]
    data = _packet(_head(name, 4) + parameters + _secret(name, parameters[0]))
    if name == "ed25519" and parameters[0] < 253:
        assert not detect(DETECTORS, data)  # no program writes it so, and any bytes could be read as that
        return
    found = detect_one(DETECTORS, data).finding
    assert isinstance(found, EncryptedContainer)
    assert (found.container, found.kdf, found.cipher, found.iterations, found.mac) == (
        *("openpgp", kdf, cipher, iterations, mac),
    )
    assert found.data == data


def _counted(parameters: bytes, version: int) -> bytes:
    """Write how a key is protected as versions 5 and 6 do, with counts."""
    usage, rest = parameters[:1], parameters[1:]
    if version == 6 and usage[0] >= 253:
        ciphers = 2 if usage[0] == 253 else 1
        size = {0: 2, 1: 10, 3: 11, 4: 20}[rest[ciphers]]
        rest = rest[:ciphers] + bytes((size,)) + rest[ciphers:]
    return usage + _short(rest) + (b"\0\0\0\x11" if version == 5 else b"")


@pytest.mark.parametrize("version", [5, 6])
@pytest.mark.parametrize("cipher", PROTECTIONS)
def test_the_protection_in_later_versions(cipher: str, version: int) -> None:
    parameters = _counted(PROTECTIONS[cipher][0], version)
    secret = _secret("legacy ed25519", parameters[0])
    found = detect_one(DETECTORS, _packet(_head("legacy ed25519", version) + parameters + secret)).finding
    assert isinstance(found, EncryptedContainer)
    assert (found.kdf, found.cipher) == (PROTECTIONS[cipher][1], cipher)
    wrong = parameters[:1] + bytes((parameters[1] + 1,)) + parameters[2:]
    assert not detect(DETECTORS, _packet(_head("legacy ed25519", version) + wrong + secret))


ENCRYPTED = PROTECTIONS["AES-256-CFB"][0] + bytes(52)


@pytest.mark.parametrize(
    "body",
    [
        _head("ed25519", 4) + b"\xfe\x09\x65\x00GNU\x01",
        _head("rsa1024", 4) + b"\xfe\x09\x65\x00GNU\x02" + _short(bytes(16)),
        _head("ed25519", 4) + b"\xfe\x09\x65\x08" + bytes(60),
        _head("ed25519", 4) + b"\xfe\x05\x03\x08" + bytes(60),
        _head("ed25519", 4) + b"\xfe\x09\x03\x07" + bytes(60),
        _head("ed25519", 4) + b"\xfd\x09\x04\x03\x08" + bytes(60),
        _head("ed25519", 4) + b"\x05" + bytes(60),
        _head("ed25519", 4) + PROTECTIONS["AES-256-CFB"][0],
        _head("ed25519", 4) + ENCRYPTED[:-1],
        _head("ed25519", 4) + ENCRYPTED + b"\0",
        _head("ed25519", 4) + b"\xff" + ENCRYPTED[1:],
        _head("ed25519", 4) + PROTECTIONS["AES-256-CFB"][0][:-1],
        _head("ed25519", 4),
        _open("ed25519")[:-1],
        _open("ed25519") + b"\0",
        _open("ed25519", 6) + b"\0",
        _open("secp256r1", 5) + b"\0",
        b"\3" + _open("ed25519")[1:],
        b"\7" + _open("ed25519")[1:],
        _open("ed25519", 6)[:9] + b"\x21" + _open("ed25519", 6)[10:],
        _open("ed25519").replace(_raw_halves("ed25519")[0], bytes(32)),
        _open("rsa1024").replace(b"\x04\x00", b"\x04\x01", 1),
        _open("secp256r1").replace(bytes.fromhex("2a8648ce3d030107"), bytes.fromhex("2a8648ce3d030102")),
        _open("secp384r1").replace(b"\3\1\x08\x07", b"\0", 1),
        _open("legacy ed25519").replace(b"\x01\x07\x40", b"\x01\x07\x41"),
        _head("secp256r1", 4).replace(b"\x02\x03\x04", b"\x02\x03\x05") + b"\0" + PARTS["secp256r1"][2] + b"\0\0",
        _head("legacy ed25519", 4) + b"\0" + _mpi(1 << 300) + bytes(2),
        bytes((4,)) + TIME + b"\x15" + PARTS["rsa1024"][1] + ENCRYPTED,
        bytes((4,)) + TIME + b"\1\0\0" + ENCRYPTED,
        bytes((4,)) + TIME + b"\1" + _mpi(1 << 1023) + _mpi(65537) + ENCRYPTED,
        bytes((4,)) + TIME + b"\x10" + _mpi(1 << 1023) + _mpi(2) * 2 + ENCRYPTED,
        bytes((4,)) + TIME + b"\x11" + _mpi(DSA.p) + _mpi(4) + _mpi(2) * 2 + ENCRYPTED,
    ],
)
def test_what_is_no_secret_key(body: bytes) -> None:
    for form in ("old", "new", "new5"):
        assert not detect(DETECTORS, _packet(body, form=form))


def test_packets_of_other_types_are_none() -> None:
    for tag in (2, 6, 13, 14):
        assert not detect(DETECTORS, _packet(_open("ed25519"), tag))
        with pytest.raises(RefusedError):
            secret_keys.parse(_packet(_open("ed25519"), tag))
    for data in (b"", b"\x05", b"\x97\1", b"\xc5\xe0"):
        with pytest.raises(RefusedError):
            header(data)


@pytest.mark.parametrize("name", PARTS)
def test_damage_makes_no_other_key(name: str) -> None:
    data = _packet(_open(name))
    identity = _key(data).identity
    for copy in damaged(data):
        for decoded in detect(DETECTORS, copy):
            assert decoded.finding.identity == identity or isinstance(decoded.finding, EncryptedContainer)


@given(st.sampled_from(sorted(PARTS)), st.sampled_from([4, 5, 6]), st.integers(0, 200), st.binary(max_size=40))
def test_any_damage_is_survived(name: str, version: int, at: int, noise: bytes) -> None:
    body = _open(name, version)
    for copy in (body[:at] + noise + body[at + len(noise) :], body[:at] + noise, _head(name, version) + noise):
        try:
            secret_keys.parse(_packet(copy))
        except RefusedError:
            continue


def test_the_examples_of_version_6() -> None:
    text = f"-----BEGIN PGP PRIVATE KEY BLOCK-----\n{VERSION_6}-----END PGP PRIVATE KEY BLOCK-----".encode()
    decoded = detect_one(armour.DETECTORS, text)
    kinds = [(one.finding.algorithm, one.encoding) for one in decoded if isinstance(one.finding, PrivateKey)]
    assert kinds == [("Ed25519", "armour+openpgp"), ("X25519", "armour+openpgp")]
    locked = base64.b64decode("".join(VERSION_6_LOCKED.split())[: 4 * 44])
    (found,) = detect(DETECTORS, locked)
    assert isinstance(found.finding, EncryptedContainer)
    assert (found.finding.kdf, found.finding.cipher, found.length) == ("Argon2id", "AES-256-OCB", 132)


def _armoured(content: bytes, *, end: str = "\n", headers: str = "", checksum: str = "=abcd", width: int = 64) -> bytes:
    text = base64.b64encode(content).decode()
    lines = [text[at : at + width] for at in range(0, len(text), width)]
    label = "PGP PRIVATE KEY BLOCK-----"
    head = [f"-----BEGIN {label}", *headers.splitlines(), ""]
    return end.join([*head, *lines, *([checksum] if checksum else []), f"-----END {label}"]).encode()


USER = _packet(b"somebody <somebody@example.org>", 13)


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("headers", ["", "Version: GnuPG v1\nComment: a b: c"])
@pytest.mark.parametrize("checksum", ["", "=abcd"])
@pytest.mark.parametrize("width", [64, 76])
def test_armour(end: str, headers: str, checksum: str, width: int) -> None:
    protected = _packet(_head("secp256r1", 4) + ENCRYPTED, 7)
    content = _packet(_open("rsa1024")) + USER + _packet(_open("legacy x25519"), 7, form="old") + protected
    data = _armoured(content, end=end, headers=headers, checksum=checksum, width=width)
    first, second, third = detect_one(armour.DETECTORS, data)
    assert [one.finding.identity[1] for one in (first, second)] == [key_id(rsa_key(1024)), key_id(raw_key("x25519"))]
    assert isinstance(third.finding, EncryptedContainer)
    assert third.finding.data == protected
    assert {one.encoding for one in (first, second, third)} == {"armour+openpgp"}


@pytest.mark.parametrize(
    "data",
    [
        _armoured(USER),
        _armoured(b"\1\2\3"),
        _armoured(_packet(_open("ed25519"), 6)),
        _armoured(USER + b"\xc5\xe0" + bytes(100)),
        _armoured(_packet(_open("ed25519"))).replace(b"PRIVATE", b"PUBLIC"),
        _armoured(_packet(_open("ed25519")))[:-20],
        _armoured(_packet(_open("ed25519"))).replace(b"\n\n", b"\n", 1).replace(b"BLOCK-----\n", b"BLOCK-----x\n", 1),
        _armoured(_packet(_open("ed25519"))).replace(b"=abcd\n", b"A\n"),
        b"-----BEGIN PGP PRIVATE KEY BLOCK-----",
    ],
)
def test_what_is_no_armour(data: bytes) -> None:
    assert not detect(armour.DETECTORS, data + b"\n")


@given(st.integers(0, 300), st.binary(max_size=60))
def test_any_armour_is_survived(at: int, noise: bytes) -> None:
    data = _armoured(_packet(_open("ed25519")) + USER)
    detect(armour.DETECTORS, data[:at] + noise + data[at + len(noise) :])
    detect(armour.DETECTORS, _armoured(noise + _packet(_open("ed25519"))))


@cache
def _gpg(algorithm: str, subkey: str, password: str = "") -> tuple[bytes, bytes, str]:
    """Return what GnuPG exports of a key pair that it makes: binary, in armour, and the public key as SSH has it."""
    program, killer = shutil.which("gpg"), shutil.which("gpgconf")
    if program is None or killer is None:
        pytest.skip("no gpg on this machine")
    with TemporaryDirectory(dir="/tmp") as home:
        environment = {**os.environ, "GNUPGHOME": home}

        def run(*arguments: str, may_fail: bool = False) -> bytes:
            options = ["--batch", "--quiet", "--pinentry-mode", "loopback", "--passphrase", password]
            command = [program, *options, *arguments]
            done = subprocess.run(command, capture_output=True, check=False, env=environment)
            if done.returncode and not may_fail:
                pytest.skip(f"this gpg cannot make {algorithm}: {done.stderr.decode(errors='replace')[-200:]}")
            return done.stdout

        try:
            run("--quick-gen-key", "somebody", algorithm, "default", "never")
            listed = run("--list-keys", "--with-colons").decode().splitlines()
            fingerprint = next(line.split(":")[9] for line in listed if line.startswith("fpr"))
            run("--quick-add-key", fingerprint, subkey, "encr", "never")
            exported = run("--export-secret-keys"), run("--armor", "--export-secret-keys")
            return *exported, run("--export-ssh-key", f"{fingerprint}!", may_fail=True).decode()
        finally:
            subprocess.run([killer, "--kill", "gpg-agent"], env=environment, capture_output=True, check=False)


def _packets(data: bytes) -> list[bytes]:
    found = []
    while data:
        head = header(data)
        found.append(data[: head.size + head.content])
        data = data[head.size + head.content :]
    return found


@pytest.mark.parametrize(
    ("algorithm", "subkey", "names"),
    [
        ("rsa2048", "rsa2048", ["RSA", "RSA"]),
        ("ed25519", "cv25519", ["Ed25519", "X25519"]),
        ("dsa1024", "elg1024", ["DSA", "ElGamal"]),
        ("nistp521", "brainpoolP384r1", ["EC", "EC"]),
    ],
)
def test_what_gpg_makes(algorithm: str, subkey: str, names: list[str]) -> None:
    binary, text, ssh = _gpg(algorithm, subkey)
    keys = [found.finding for packet in _packets(binary) for found in detect(DETECTORS, packet)]
    assert [key.algorithm for key in keys if isinstance(key, PrivateKey)] == names
    assert all(SUM_PROOF in key.proof for key in keys if isinstance(key, PrivateKey))
    if ssh and names[0] != "DSA":
        assert keys[0].identity[1] == _spki_hash(ssh)
    (decoded,) = detect(armour.DETECTORS, text)
    assert [one.finding.identity for one in decoded] == [key.identity for key in keys]
    for key in keys:
        assert isinstance(key, PrivateKey)
        if key.algorithm != "ElGamal":
            assert private_key.parse_pkcs8(key.pkcs8).finding.identity == key.identity


def _spki_hash(ssh: str) -> str:
    public = load_ssh_public_key(ssh.encode())
    return sha256(public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).hexdigest()


def test_what_gpg_protects() -> None:
    binary, text, _ = _gpg("ed25519", "rsa1024", "secret")
    found = [found.finding for packet in _packets(binary) for found in detect(DETECTORS, packet)]
    for one in found:
        assert isinstance(one, EncryptedContainer)
        assert (one.container, one.mac) == ("openpgp", "SHA1")
        assert one.cipher.startswith("AES-")
        assert one.kdf.startswith("S2K iterated")
    (decoded,) = detect(armour.DETECTORS, text)
    assert len(list(decoded)) == len(found) > 1  # every export encrypts anew


def test_what_sequoia_makes(tmp_path: Path) -> None:
    program = shutil.which("sq")
    if program is None:
        pytest.skip("no sq on this machine")
    path = tmp_path / "key.pgp"
    command = [program, "key", "generate", "--userid", "somebody", "--export", path]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("this sq makes keys in another way")
    (decoded,) = detect(armour.DETECTORS, path.read_bytes())
    assert len(list(decoded)) > 1
    assert {one.finding.kind for one in decoded} == {"private_key"}


@pytest.mark.parametrize("name", [name for name in PARTS if name.startswith(("rsa", "legacy", "secp", "ec"))])
@pytest.mark.parametrize("version", [4, 5, 6])
@pytest.mark.parametrize("gap", [0, 100])
def test_a_packet_is_found_in_memory(name: str, version: int, gap: int) -> None:
    collector = Collector()
    packet = _packet(_open(name, version))
    Scanner(secret_keys.DETECTORS).scan(Space({BASE: bytes(gap) + packet + bytes(50)}), collector)
    (found,) = collector.findings()
    assert [(place.virtual_address, place.length) for place in found.locations] == [(BASE + gap, len(packet))]


@pytest.mark.parametrize(
    "name", ["rsa1024", "secp256r1", "secp521r1", "brainpoolP512r1", "legacy ed25519", "legacy x25519"]
)
@pytest.mark.parametrize("gap", [0, 1, 2])
@pytest.mark.parametrize("write", [base64.b64encode, base64.encodebytes])
def test_a_packet_in_base64(name: str, gap: int, write: Callable[[bytes], bytes]) -> None:
    """As a secret in a variable holds it: what gpg exports, without armour."""
    key, protected = _packet(_open(name), form="old"), _packet(_head(name, 4) + ENCRYPTED)
    for packet, kind in ((key, PrivateKey), (protected, EncryptedContainer)):
        collector = Collector()
        Scanner(X509_DETECTORS).scan(
            Space({BASE: bytes(50) + write(bytes(gap) + packet + USER) + bytes(50)}), collector
        )
        (found,) = collector.findings()
        assert isinstance(found, kind)
        assert found.sha256 == sha256(packet).hexdigest() if kind is EncryptedContainer else found.proof
        assert [place.encoding for place in found.locations] == ["base64"]


def _signature(kind: int, algorithm: int, version: int = 4) -> bytes:
    """A signature packet, as far as is looked at."""
    return _packet(bytes((version, kind, algorithm, 8, 0, 0)) + bytes(range(90)), 2)


@pytest.mark.parametrize("gap", [0, 5000])
@pytest.mark.parametrize("form", ["old", "new"])
def test_keys_are_found_by_the_signature_behind_them(gap: int, form: str) -> None:
    """DSA and ElGamal have nothing rare in them, and the keys of version 6 are random bytes alone."""
    for packets in (
        [_packet(_open("dsa"), form=form), USER, _signature(0x13, 17), _packet(_open("elgamal"), 7, form=form)],
        [_packet(_open("ed25519", 6)), _signature(0x1F, 27, 6), USER, _packet(_open("x25519", 6), 7)],
    ):
        version = 4 if len(packets[0]) > 200 else 6
        last = _signature(0x18, 17 if version == 4 else 27, version)
        collector = Collector()
        Scanner(secret_keys.DETECTORS).scan(Space({BASE: bytes(gap) + b"".join(packets) + last + bytes(50)}), collector)
        found = {finding.sha256: finding for finding in collector.findings()}
        keys = [packet for packet in packets if header(packet).tag in (5, 7)]
        assert sorted(found) == sorted(sha256(key).hexdigest() for key in keys)
        assert all(isinstance(finding, PrivateKey) for finding in found.values())


@pytest.mark.parametrize("form", ["old", "new"])
@pytest.mark.parametrize("ending", [b"\xc7\x03abc", b"\x94\x03abc", b"\xcd\x02ab", b"\xb4\x02ab"])
@pytest.mark.parametrize("user", [b"", USER, _packet(b"some\xcd\1b", 13), _packet(b"some\xc5\1b", 13)])
def test_bytes_that_look_like_a_header_hide_no_key(form: str, ending: bytes, user: bytes) -> None:
    """A key's last bytes, or a user id's, may be the header of a packet that ends where they do."""
    private = Ed25519PrivateKey.from_private_bytes(bytes(range(32 - len(ending))) + ending)
    public, secret = private.public_key().public_bytes_raw(), private.private_bytes_raw()
    key = _packet(b"\6" + TIME + b"\x1b" + (32).to_bytes(4, "big") + public + b"\0" + secret, form=form)
    signature = _signature(0x1F, 27, 6)
    collector = Collector()
    Scanner(secret_keys.DETECTORS).scan(Space({BASE: key + user + signature + bytes(50)}), collector)
    assert [finding.sha256 for finding in collector.findings()] == [sha256(key).hexdigest()]


def test_signatures_that_no_key_is_before() -> None:
    for before in (b"", USER, _packet(_open("dsa"), 6), bytes(3000), _packet(_open("dsa"))[:-1]):
        collector = Collector()
        data = before + _signature(0x13, 17) + bytes(50)
        Scanner(secret_keys.DETECTORS).scan(Space({BASE: data}), collector)
        assert not collector.findings()


def test_what_gpg_exports_is_found_in_memory() -> None:
    for algorithm, subkey in (("dsa1024", "elg1024"), ("rsa2048", "rsa2048"), ("ed25519", "cv25519")):
        binary, _, _ = _gpg(algorithm, subkey)
        collector = Collector()
        Scanner(secret_keys.DETECTORS).scan(Space({BASE: bytes(64) + binary + bytes(64)}), collector)
        assert len(collector.findings()) == 2, algorithm
