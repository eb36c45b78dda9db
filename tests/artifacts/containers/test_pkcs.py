"""Encrypted PKCS#8 and PKCS#12."""

from __future__ import annotations

import pytest
from asn1crypto import pkcs12 as asn1_pkcs12
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_der_private_key,
    pkcs12,
)
from hypothesis import given
from hypothesis import strategies as st

from dumpscan.artifacts.containers.pkcs import DETECTORS
from dumpscan.artifacts.keys import private_key
from dumpscan.findings import NOT_ENCRYPTED, EncryptedContainer
from support.artifact_samples import (
    certificate_of,
    damaged,
    detect,
    detect_one,
    ec_key,
    openssl,
    parts_of,
    pkcs8,
    raw_key,
    rsa_key,
    tlv,
)

PASSWORD = b"secret"
KEY = rsa_key(1024)
PBES = pkcs12.PBES


def _pkcs8(key: object = KEY) -> bytes:
    written: bytes = key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, BestAvailableEncryption(PASSWORD))  # type: ignore[attr-defined]
    return written


def _pkcs12(scheme: PBES | None, digest: hashes.HashAlgorithm, rounds: int = 2000) -> bytes:
    builder = PrivateFormat.PKCS12.encryption_builder().hmac_hash(digest).kdf_rounds(rounds)
    if scheme:
        builder = builder.key_cert_algorithm(scheme)
    certificate = certificate_of(KEY)
    return pkcs12.serialize_key_and_certificates(b"name", KEY, certificate, None, builder.build(PASSWORD))


def _container(data: bytes) -> EncryptedContainer:
    decoded = detect_one(DETECTORS, data)
    assert decoded.encoding == ("ber" if data[1] == 0x80 else "der")
    assert isinstance(decoded.finding, EncryptedContainer)
    assert (decoded.finding.data, decoded.finding.sha256) == (data, decoded.sha256)
    return decoded.finding


@pytest.mark.parametrize("key", [KEY, ec_key("secp256r1"), rsa_key(2048)])
def test_pkcs8(key: object) -> None:
    finding = _container(_pkcs8(key))
    assert (finding.container, finding.kdf, finding.cipher) == ("pkcs8", "PBKDF2-HMAC-SHA256", "AES-256-CBC")
    assert finding.iterations
    assert finding.mac is None


@pytest.mark.parametrize(
    ("options", "kdf", "cipher", "iterations"),
    [
        (["-v2", "aes-128-cbc", "-v2prf", "hmacWithSHA1", "-iter", "10"], "PBKDF2-HMAC-SHA1", "AES-128-CBC", 10),
        (["-v2", "des3", "-iter", "5000"], "PBKDF2-HMAC-SHA256", "3DES-CBC", 5000),
        (["-scrypt", "-scrypt_N", "1024", "-scrypt_r", "8", "-scrypt_p", "1"], "scrypt", "AES-256-CBC", None),
        (["-v1", "PBE-SHA1-3DES", "-iter", "77"], "PKCS12-KDF-SHA1", "3DES-CBC", 77),
        (["-v1", "PBE-MD5-DES", "-provider", "legacy", "-provider", "default"], "PBKDF1-MD5", "DES-CBC", 2048),
        (["-v2", "camellia-256-cbc"], "PBKDF2-HMAC-SHA256", "1.2.392.200011.61.1.1.1.4", 2048),
        (
            ["-v1", "PBE-SHA1-RC4-128", "-provider", "legacy", "-provider", "default"],
            "PKCS12-KDF-SHA1",
            "RC4-128",
            2048,
        ),
    ],
)
def test_pkcs8_of_openssl(options: list[str], kdf: str, cipher: str, iterations: int | None) -> None:
    arguments = ["pkcs8", "-topk8", "-inform", "DER", "-outform", "DER", "-passout", "pass:secret"]
    finding = _container(openssl(*arguments, *options, stdin=pkcs8(KEY)))
    assert (finding.kdf, finding.cipher, finding.iterations) == (kdf, cipher, iterations)


@pytest.mark.parametrize("scheme", ["PBE-SHA1-3DES", "PBE-SHA1-2DES", "PBE-MD5-DES"])
def test_pkcs8_of_less_than_128_bytes(scheme: str) -> None:
    arguments = ["pkcs8", "-topk8", "-inform", "DER", "-outform", "DER", "-passout", "pass:secret", "-v1", scheme]
    data = openssl(*arguments, "-provider", "legacy", "-provider", "default", stdin=pkcs8(raw_key("ed25519")))
    assert len(data) < 128
    assert _container(data).container == "pkcs8"


@pytest.mark.parametrize(
    ("scheme", "kdf", "cipher"),
    [
        (PBES.PBESv2SHA256AndAES256CBC, "PBKDF2-HMAC-SHA256", "AES-256-CBC"),
        (PBES.PBESv1SHA1And3KeyTripleDESCBC, "PKCS12-KDF-SHA1", "3DES-CBC"),
    ],
)
@pytest.mark.parametrize(("digest", "name"), [(hashes.SHA1(), "SHA1"), (hashes.SHA256(), "SHA256")])  # noqa: S303 -- as old files have it
def test_pkcs12(scheme: PBES, kdf: str, cipher: str, digest: hashes.HashAlgorithm, name: str) -> None:
    finding = _container(_pkcs12(scheme, digest))
    assert (finding.container, finding.kdf, finding.cipher, finding.iterations) == ("pkcs12", kdf, cipher, 2000)
    assert finding.mac is not None
    assert finding.mac.startswith(f"HMAC-{name}, ")


def test_pkcs12_that_only_its_mac_protects() -> None:
    certificate = certificate_of(KEY)
    data = pkcs12.serialize_key_and_certificates(b"name", KEY, certificate, None, NoEncryption())
    finding = _container(data)
    assert (finding.kdf, finding.cipher, finding.iterations) == (None, NOT_ENCRYPTED, None)
    assert not finding.is_encrypted
    assert pkcs8(KEY) in data
    assert detect(private_key.DETECTORS, data[data.index(pkcs8(KEY)) :])


def test_pkcs12_of_openssl_with_another_cipher_for_certificates() -> None:
    source = KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    source += certificate_of(KEY).public_bytes(Encoding.PEM)
    arguments = ["pkcs12", "-export", "-passout", "pass:secret", "-maciter", "-iter", "321", "-macalg", "SHA512"]
    finding = _container(openssl(*arguments, "-keypbe", "AES-128-CBC", "-certpbe", "PBE-SHA1-3DES", stdin=source))
    assert (finding.cipher, finding.iterations) == ("AES-128-CBC", 321)
    assert finding.mac == "HMAC-SHA512, 321 iterations"


def _of_library(data: bytes) -> list[str]:
    """Name the algorithms that protect keys, as an independent reader finds them."""
    found = []
    for content in asn1_pkcs12.Pfx.load(data, strict=True).authenticated_safe:
        if content["content_type"].native == "data":
            for bag in asn1_pkcs12.SafeContents.load(content["content"].native):
                if bag["bag_id"].native == "pkcs8_shrouded_key_bag":
                    algorithm = bag["bag_value"]["encryption_algorithm"]
                    name = algorithm["algorithm"].native
                    if name == "pbes2":
                        name = algorithm["parameters"]["encryption_scheme"]["algorithm"].native
                    found.append(name)
    return found


@pytest.mark.parametrize(
    ("options", "name"),
    [
        (["-keypbe", "AES-128-CBC"], "aes128_cbc"),
        (["-keypbe", "AES-192-CBC"], "aes192_cbc"),
        (["-keypbe", "PBE-SHA1-3DES"], "pkcs12_sha1_tripledes_3key"),
        (["-keypbe", "PBE-SHA1-2DES"], "pkcs12_sha1_tripledes_2key"),
    ],
)
def test_pkcs12_agrees_with_a_library(options: list[str], name: str) -> None:
    source = KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    source += certificate_of(KEY).public_bytes(Encoding.PEM)
    data = openssl("pkcs12", "-export", "-passout", "pass:secret", *options, stdin=source)
    assert _of_library(data) == [name]
    named = {"aes128_cbc": "AES-128-CBC", "aes192_cbc": "AES-192-CBC", "pkcs12_sha1_tripledes_3key": "3DES-CBC"}
    assert _container(data).cipher == named.get(name, "3DES-2KEY-CBC")


def test_pkcs12_of_many_certificates() -> None:
    certificates = [certificate_of(KEY)] * 700
    data = pkcs12.serialize_key_and_certificates(b"name", KEY, None, certificates, NoEncryption())
    assert _container(data).cipher == NOT_ENCRYPTED


def test_pkcs12_that_says_to_be_of_another_type_is_none() -> None:
    data = _pkcs12(PBES.PBESv2SHA256AndAES256CBC, hashes.SHA256())
    data_type = bytes.fromhex("2a864886f70d010701")
    assert detect(DETECTORS, data)
    assert not detect(DETECTORS, data.replace(data_type, data_type[:-1] + b"\x02", 1))  # signed data that is none


def _as_ber(data: bytes) -> bytes:
    """Write a PFX as NSS does: lengths left open, the safe in octet strings of some bytes each."""
    version, safe, mac = parts_of(parts_of(data)[0][1])
    kind, content = parts_of(safe[1])
    octets = parts_of(content[1])[0][1]
    chunks = b"".join(tlv(4, octets[at : at + 100]) for at in range(0, len(octets), 100))
    inner = b"\xa0\x80\x24\x80" + chunks + bytes(4)
    return b"\x30\x80" + tlv(*version) + b"\x30\x80" + tlv(*kind) + inner + bytes(2) + tlv(*mac) + bytes(2)


def test_pkcs12_in_ber() -> None:
    data = _pkcs12(PBES.PBESv2SHA256AndAES256CBC, hashes.SHA256())
    der, ber = _container(data), _container(_as_ber(data))
    assert (ber.kdf, ber.cipher, ber.iterations, ber.mac) == (der.kdf, der.cipher, der.iterations, der.mac)
    assert ber.container == "pkcs12"
    for size in (2, 20, 200, len(ber.data) - 1):
        assert not detect(DETECTORS, ber.data[:size])


@pytest.mark.parametrize("make", [_pkcs8, lambda: _pkcs12(PBES.PBESv2SHA256AndAES256CBC, hashes.SHA256())])
def test_what_is_cut_off_or_lacks_its_structure_is_none(make: object) -> None:
    data = make()  # type: ignore[operator]
    for size in (4, 20, len(data) // 2, len(data) - 1):
        assert not detect(DETECTORS, data[:size])
    for copy in damaged(data[:40]):
        for decoded in detect(DETECTORS, copy + data[40:]):
            assert isinstance(decoded.finding, EncryptedContainer)


def test_cipher_text_of_a_length_that_the_cipher_cannot_have() -> None:
    algorithm, content = parts_of(parts_of(_pkcs8())[0][1])
    assert detect(DETECTORS, tlv(0x30, tlv(*algorithm), tlv(*content)))
    assert not detect(DETECTORS, tlv(0x30, tlv(*algorithm), tlv(4, content[1][:-1])))
    assert not detect(DETECTORS, tlv(0x30, tlv(*algorithm), tlv(4)))
    assert not detect(DETECTORS, tlv(0x30, tlv(*algorithm), tlv(2, content[1])))


@given(st.data())
def test_any_damage_is_survived(draw: st.DataObject) -> None:
    data = draw.draw(st.sampled_from(SAMPLES))
    at = draw.draw(st.integers(0, len(data)))
    size = draw.draw(st.integers(0, 20))
    detect(DETECTORS, data[:at] + draw.draw(st.binary(max_size=20)) + data[at + size :])


SAMPLES = (
    _pkcs8(),
    _pkcs12(PBES.PBESv2SHA256AndAES256CBC, hashes.SHA256(), 1),
    _as_ber(_pkcs12(PBES.PBESv2SHA256AndAES256CBC, hashes.SHA256(), 1)),
)


def test_samples_are_real() -> None:
    assert load_der_private_key(SAMPLES[0], PASSWORD)
    assert pkcs12.load_key_and_certificates(SAMPLES[1], PASSWORD)[0]
