"""Key stores of Java and Bouncy Castle, and PVK files."""

from __future__ import annotations

import base64
import shutil
import struct
import subprocess
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given
from hypothesis import strategies as st

from dumpscan.artifacts.containers import bouncycastle, java, pvk
from dumpscan.artifacts.keys.windows import capi
from dumpscan.findings import NOT_ENCRYPTED, EncryptedContainer
from support.artifact_samples import (
    BASE,
    capi_rsa,
    certificate_der,
    certificate_of,
    damaged,
    detect,
    detect_one,
    memory_of,
    openssl,
    pkcs8,
    rsa_key,
    scan,
    tlv,
)

DETECTORS = (*java.DETECTORS, *bouncycastle.DETECTORS, *pvk.DETECTORS)
PASSWORD = "secret1"  # noqa: S105 -- of files made for a test
BOUNCY_CASTLE = Path("/usr/share/java/bcprov.jar")
TIME = (1_700_000_000_000).to_bytes(8, "big")
NOISE = bytes((number * 89 + 31) % 256 for number in range(1024))
"""Every block of 16 bytes in it has 16 different ones."""


def _int(value: int) -> bytes:
    return value.to_bytes(4, "big")


def _text(text: str) -> bytes:
    return len(text).to_bytes(2, "big") + text.encode()


def _certificate(version: int = 2) -> bytes:
    data = certificate_der()
    return (_text("X.509") if version == 2 else b"") + _int(len(data)) + data


JKS_OID, JCEKS_OID = bytes.fromhex("060a2b060104012a02110101"), bytes.fromhex("06092b060104012a021301")


def _encrypted_key(identifier: bytes, *parameters: bytes) -> bytes:
    return tlv(0x30, tlv(0x30, identifier, *parameters), tlv(4, NOISE[:160]))


JKS_KEY = _encrypted_key(JKS_OID, b"\5\0")
JCEKS_KEY = _encrypted_key(JCEKS_OID, tlv(0x30, tlv(4, NOISE[:8]), b"\2\2\x27\x10"))


def _key_entry(key: bytes = JKS_KEY, *, version: int = 2, alias: str = "key") -> bytes:
    return _int(1) + _text(alias) + TIME + _int(len(key)) + key + _int(1) + _certificate(version)


def _trusted_entry(version: int = 2) -> bytes:
    return _int(2) + _text("trusted") + TIME + _certificate(version)


def _store(*entries: bytes, magic: int = 0xFEEDFEED, version: int = 2, count: int | None = None) -> bytes:
    counted = len(entries) if count is None else count
    return _int(magic) + _int(version) + _int(counted) + b"".join(entries) + NOISE[:20]


def _bks(*entries: bytes, version: int = 2) -> bytes:
    return _int(version) + _int(20) + NOISE[:20] + _int(1500) + b"".join(entries) + b"\0" + NOISE[:20]


SEALED_CONTENT = _int(20) + NOISE[:20] + _int(1100) + NOISE[:160]
SEALED = b"\4" + _text("key") + TIME + _int(1) + _certificate() + _int(len(SEALED_CONTENT)) + SEALED_CONTENT
TRUSTED = b"\1" + _text("trusted") + TIME + _int(0) + _certificate()
PLAIN = b"\2" + _text("p") + TIME + _int(0) + b"\0" + _text("PKCS#8") + _text("RSA") + _int(5) + b"12345"
SECRET = b"\3" + _text("s") + TIME + _int(0) + _int(5) + b"12345"
UBER = _int(1) + _int(20) + NOISE[:20] + _int(1500) + NOISE[:512]


def _pvk(blob: bytes, salt: bytes = NOISE[:16]) -> bytes:
    """As OpenSSL writes it; what is encrypted is noise to all who lack the password."""
    return struct.pack("<6I", 0xB0B5F11E, 0, 1, 1, len(salt), len(blob)) + salt + blob


SAMPLES = {
    "jks": _store(_key_entry(), _trusted_entry()),
    "jceks": _store(_key_entry(JCEKS_KEY), _key_entry(JCEKS_KEY, alias="other"), magic=0xCECECECE),
    "bks": _bks(SEALED, TRUSTED, PLAIN, SECRET),
    "uber": UBER,
    "pvk": _pvk(capi_rsa(rsa_key(1024))[:8] + NOISE[:600]),
}


def _found(data: bytes) -> EncryptedContainer:
    decoded = detect_one(DETECTORS, data)
    assert isinstance(decoded.finding, EncryptedContainer)
    assert (decoded.finding.data, decoded.finding.sha256, decoded.finding.size) == (data, decoded.sha256, len(data))
    assert decoded.encoding == decoded.finding.container
    return decoded.finding


@pytest.mark.parametrize("name", ["jks", "jceks"])
def test_in_base64(name: str) -> None:
    """As Kubernetes secrets hold a key store."""
    found = scan(b"  keystore: " + base64.b64encode(SAMPLES[name]) + b"\n")
    (store,) = (finding for finding in found if isinstance(finding, EncryptedContainer))
    assert (store.container, store.data) == (name, SAMPLES[name])


@pytest.mark.parametrize(
    ("name", "kdf", "cipher", "iterations", "mac"),
    [
        ("jks", "SHA1", "XOR with SHA1 (JKS)", None, "SHA1 with the password"),
        ("jceks", "PBEWithMD5AndTripleDES", "3DES-CBC", 10000, "SHA1 with the password"),
        ("bks", "PKCS12-KDF-SHA1", "3DES-CBC", 1100, "HMAC-SHA1, 1500 iterations"),
        ("uber", "PKCS12-KDF-SHA1", "Twofish-CBC", 1500, None),
        ("pvk", "SHA1", "RC4", None, None),
    ],
)
def test_the_protection_is_named(name: str, kdf: str, cipher: str, iterations: int | None, mac: str | None) -> None:
    found = _found(SAMPLES[name])
    assert found.container == name
    assert (found.kdf, found.cipher, found.iterations, found.mac) == (kdf, cipher, iterations, mac)
    assert found.is_encrypted


@pytest.mark.parametrize(
    "data",
    [
        _store(_trusted_entry(), _trusted_entry()),
        _store(_trusted_entry(1), version=1),
        _store(_trusted_entry(), magic=0xCECECECE),
        _bks(TRUSTED),
        _bks(PLAIN, version=1),
    ],
)
def test_a_store_without_encrypted_keys_is_said_to_be_open(data: bytes) -> None:
    found = _found(data)
    assert (found.kdf, found.cipher, found.iterations) == (None, NOT_ENCRYPTED, None)
    assert not found.is_encrypted


def test_version_1_of_java() -> None:
    assert _found(_store(_key_entry(version=1), _trusted_entry(1), version=1)).cipher == "XOR with SHA1 (JKS)"


@cache
def _keytool(kind: str, *, secret: bool = False) -> bytes:
    """Return a key store with two key pairs and a trusted certificate, as Java's own tool makes it."""
    program = shutil.which("keytool")
    if program is None:
        pytest.skip("no keytool on this machine")
    options = ["-storetype", kind, "-storepass", PASSWORD]
    if kind in ("BKS", "UBER"):
        if not BOUNCY_CASTLE.exists():
            pytest.skip(f"no Bouncy Castle at {BOUNCY_CASTLE}")
        provider = "org.bouncycastle.jce.provider.BouncyCastleProvider"
        options += ["-provider", provider, "-providerpath", str(BOUNCY_CASTLE)]
    with TemporaryDirectory() as directory:
        store, trusted = Path(directory) / "store", Path(directory) / "trusted.cer"
        trusted.write_bytes(certificate_of(rsa_key(2048)).public_bytes(Encoding.DER))
        pair = ["-genkeypair", "-keyalg", "EC", "-dname", "CN=x", "-keypass", PASSWORD]
        commands = [[*pair, "-alias", "one"], [*pair, "-alias", "two"]]
        commands.append(["-importcert", "-alias", "trusted", "-noprompt", "-file", str(trusted)])
        if secret:
            commands.append(["-genseckey", "-alias", "s", "-keyalg", "AES", "-keysize", "128", "-keypass", PASSWORD])
        for command in commands:
            done = subprocess.run(
                [program, *command, *options, "-keystore", store], capture_output=True, text=True, check=False
            )
            if done.returncode:
                pytest.skip(f"this keytool cannot make {kind}: {done.stdout[-200:]}")
        return store.read_bytes()


@pytest.mark.parametrize(
    ("kind", "cipher"), [("JKS", "JKS"), ("JCEKS", "3DES-CBC"), ("BKS", "3DES-CBC"), ("UBER", "Twofish-CBC")]
)
def test_what_keytool_makes(kind: str, cipher: str) -> None:
    data = _keytool(kind)
    (decoded,) = detect(DETECTORS, data + bytes(64))
    assert isinstance(decoded.finding, EncryptedContainer)
    assert (decoded.finding.container, decoded.finding.data) == (kind.lower(), data)
    assert cipher in (decoded.finding.cipher or "")


def test_secret_keys_of_jceks() -> None:
    data = _keytool("JCEKS", secret=True)
    (decoded,) = detect(DETECTORS, data + bytes(64))
    assert decoded.length == len(data)
    (*_, decoded) = detect(DETECTORS, data[:-1] + bytes(1))
    assert decoded.length == len(data)
    serialized = data.index(bytes.fromhex("aced0005"))
    for at in range(serialized, serialized + 400, 3):
        for found in detect(DETECTORS, data[:at] + b"\xfe" + data[at + 1 :]):
            assert isinstance(found.finding, EncryptedContainer)


@pytest.mark.parametrize("strength", ["-pvk-strong", "-pvk-weak"])
def test_what_openssl_makes(strength: str) -> None:
    data = openssl(
        *("rsa", "-inform", "DER", "-outform", "PVK", strength, "-passout", f"pass:{PASSWORD}"),
        *("-provider", "legacy", "-provider", "default"),
        stdin=pkcs8(rsa_key(2048)),
    )
    assert _found(data).container == "pvk"


def test_a_pvk_without_a_password_gives_its_key() -> None:
    data = openssl(*("rsa", "-inform", "DER", "-outform", "PVK", "-pvk-none"), stdin=pkcs8(rsa_key(2048)))
    assert not detect(DETECTORS, data)
    assert detect(capi.DETECTORS, data[24:])


@pytest.mark.parametrize("name", SAMPLES)
def test_what_is_cut_off_is_none(name: str) -> None:
    data = SAMPLES[name]
    sizes = (4, 12, 30, 60) if name == "uber" else (4, 12, 30, 60, len(data) - 1)
    for size in sizes:
        assert all(found.missing for found in detect(DETECTORS, data[:size]))


@pytest.mark.parametrize(
    "data",
    [
        _store(_key_entry(), count=2),
        _store(_key_entry(), _int(3) + _text("secret") + TIME),
        _store(_key_entry(), _int(4) + _text("other") + TIME),
        _store(_key_entry(), _int(1) + _text("other") + b"\xff" * 8),
        _store(_key_entry(), _int(1) + b"\xff\xff" + bytes(70000)),
        _store(_key_entry(), _int(1) + _text("other") + TIME + _int(1 << 20) + bytes(1 << 20)),
        _store(_key_entry(tlv(0x30, tlv(0x30, JKS_OID)))),
        _store(_key_entry(tlv(0x30, tlv(0x30, JKS_OID), tlv(2, b"\1")))),
        _store(_key_entry(_encrypted_key(bytes.fromhex("06092a864886f70d010701")))),
        _store(_key_entry(_encrypted_key(JCEKS_OID)), magic=0xCECECECE),
        _store(_key_entry(_encrypted_key(JCEKS_OID, tlv(0x30, b"\2\1\1", b"\2\1\1"))), magic=0xCECECECE),
        _bks(),
        _bks(b"\5" + SEALED[1:]),
        _bks(SEALED, b"\7"),
        _bks(TRUSTED, TRUSTED[:10] + b"\xff" * 8 + TRUSTED[18:]),
        _bks(TRUSTED.replace(b"trusted", b"trust\0d")),
        _bks(TRUSTED.replace(_certificate(), _certificate().replace(b"\x30\x82", b"\x31\x82", 1))),
        _bks(TRUSTED.replace(_certificate(), _text("X.509") + _int(0))),
        _bks(TRUSTED)[:8] + bytes(20) + _bks(TRUSTED)[28:],
        _bks(TRUSTED).replace(_int(1500), _int(1023), 1),
        _bks(TRUSTED).replace(_int(1500), _int(2048), 1),
        _bks(SEALED.replace(_int(1100), _int(2048))),
        _store(_key_entry(), _int(2) + _text("old") + bytes(8) + _certificate()),
        _bks(SEALED.replace(_int(20) + NOISE[:20] + _int(1100), _int(19) + NOISE[:20] + _int(1100))),
        UBER[:8] + b"a" * 20 + UBER[28:],
        UBER[:32] + bytes(512),
        UBER[:32] + b"text is not what is encrypted" * 9,
        SAMPLES["pvk"].replace(struct.pack("<I", 0xA400), struct.pack("<I", 0x6610)),
        _pvk(b"\6" + capi_rsa(rsa_key(1024))[1:8] + NOISE),
        _pvk(NOISE[:20]),
        _pvk(capi_rsa(rsa_key(1024)), salt=b""),
    ],
)
def test_what_is_no_key_store(data: bytes) -> None:
    assert not detect(DETECTORS, data + bytes(100))


def test_an_uber_store_ends_where_it_no_longer_looks_encrypted() -> None:
    for behind in (bytes(64), b"text behind the key store, on and on and on" * 3):
        (decoded,) = detect(DETECTORS, UBER + behind)
        assert decoded.length == len(UBER)


@given(st.sampled_from(sorted(SAMPLES)), st.integers(0, 400), st.binary(max_size=40))
def test_any_damage_is_survived(name: str, at: int, noise: bytes) -> None:
    data = SAMPLES[name]
    for copy in (data[:at] + noise + data[at + len(noise) :], data[:at] + noise):
        assert all(isinstance(found.finding, EncryptedContainer) for found in detect(DETECTORS, copy))


def test_damage_all_over() -> None:
    for data in SAMPLES.values():
        for copy in damaged(data):
            detect(DETECTORS, copy)


def test_a_count_that_is_too_large_costs_little() -> None:
    memory = memory_of(_store(_key_entry(), count=9999) + bytes(1 << 20))
    asked: list[int] = []
    read = memory.read
    memory.read = lambda address, size: asked.append(size) or read(address, size)  # type: ignore[method-assign,func-returns-value]
    assert java.DETECTORS[0][1](memory, BASE) is None
    assert sum(asked) < 2000
