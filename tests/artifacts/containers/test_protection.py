"""Names for how key material is protected."""

from __future__ import annotations

import pytest
from asn1crypto import algos, core
from hypothesis import given
from hypothesis import strategies as st

from dumpscan.artifacts.containers.protection import Protection, read_protection
from dumpscan.artifacts.decoded import RefusedError
from support.artifact_samples import tlv


def _pbes2(prf: str | None, cipher: str, iterations: int = 2048) -> bytes:
    parameters: dict[str, object] = {"salt": core.OctetString(bytes(8)), "iteration_count": iterations}
    if prf:
        parameters["prf"] = {"algorithm": prf}
    scheme = {
        "algorithm": "pbes2",
        "parameters": {
            "key_derivation_func": {"algorithm": "pbkdf2", "parameters": parameters},
            "encryption_scheme": {"algorithm": cipher, "parameters": core.OctetString(bytes(16))},
        },
    }
    written: bytes = algos.EncryptionAlgorithm(scheme).dump()
    return written


@pytest.mark.parametrize(
    ("prf", "cipher", "expected"),
    [
        ("sha256", "aes256_cbc", Protection("PBKDF2-HMAC-SHA256", "AES-256-CBC", 2048)),
        (None, "aes128_cbc", Protection("PBKDF2-HMAC-SHA1", "AES-128-CBC", 2048)),
        ("sha512_256", "tripledes_3key", Protection("PBKDF2-HMAC-SHA512-256", "3DES-CBC", 2048)),
    ],
)
def test_pbes2(prf: str | None, cipher: str, expected: Protection) -> None:
    assert read_protection(_pbes2(prf, cipher)) == expected


def test_algorithms_without_a_name_keep_their_identifiers() -> None:
    data = _pbes2("sha256", "aes256_cbc")
    for known, other in (
        ("2.16.840.1.101.3.4.1.42", "2.16.840.1.101.3.4.9.42"),
        ("1.2.840.113549.2.9", "1.2.840.113549.2.99"),
    ):
        data = data.replace(core.ObjectIdentifier(known).dump(), core.ObjectIdentifier(other).dump())
    expected = Protection("PBKDF2-HMAC-1.2.840.113549.2.99", "2.16.840.1.101.3.4.9.42", 2048)
    assert read_protection(data) == expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("pbes1_md5_des", Protection("PBKDF1-MD5", "DES-CBC", 1000)),
        ("pbes1_sha1_rc2", Protection("PBKDF1-SHA1", "RC2-64-CBC", 1000)),
        ("pkcs12_sha1_tripledes_3key", Protection("PKCS12-KDF-SHA1", "3DES-CBC", 1000)),
        ("pkcs12_sha1_rc2_40", Protection("PKCS12-KDF-SHA1", "RC2-40-CBC", 1000)),
        ("pkcs12_sha1_rc4_128", Protection("PKCS12-KDF-SHA1", "RC4-128", 1000)),
    ],
)
def test_schemes_of_one_identifier(name: str, expected: Protection) -> None:
    scheme = {"algorithm": name, "parameters": {"salt": bytes(8), "iterations": 1000}}
    assert read_protection(algos.EncryptionAlgorithm(scheme).dump()) == expected


def test_scrypt() -> None:
    parameters = tlv(0x30, tlv(4, bytes(16)), b"\x02\x02\x40\x00", b"\x02\x01\x08", b"\x02\x01\x01")
    kdf = tlv(0x30, bytes.fromhex("06092b06010401da47040b"), parameters)
    cipher = tlv(0x30, bytes.fromhex("060960864801650304012a"), tlv(4, bytes(16)))
    data = tlv(0x30, bytes.fromhex("06092a864886f70d01050d"), tlv(0x30, kdf, cipher))
    assert read_protection(data) == Protection("scrypt", "AES-256-CBC", None)


def test_what_a_cipher_can_produce() -> None:
    for cipher, sizes in {
        "AES-256-CBC": [False, False, False, True],
        "3DES-CBC": [False, False, True, True],
        "DES-CBC": [False, False, True, True],
        "AES-256-GCM": [False, True, True, True],
        "RC4-128": [False, True, True, True],
        "1.2.3": [False, True, True, True],
    }.items():
        assert [Protection("", cipher, 1).allows(size) for size in (0, 9, 24, 48)] == sizes


@pytest.mark.parametrize("iterations", [0, -1, 1 << 32, 1 << 20000], ids=["none", "negative", "many", "huge"])
def test_impossible_iterations(iterations: int) -> None:
    with pytest.raises(RefusedError):
        read_protection(_pbes2("sha256", "aes256_cbc", iterations))


@pytest.mark.parametrize("algorithm", ["aes256_cbc", "rsaes_pkcs1v15"])
def test_what_needs_no_password(algorithm: str) -> None:
    parameters = core.OctetString(bytes(16)) if algorithm == "aes256_cbc" else core.Null()
    data = algos.EncryptionAlgorithm({"algorithm": algorithm, "parameters": parameters}).dump()
    with pytest.raises(RefusedError):
        read_protection(data)


@given(st.data())
def test_any_damage_is_refused_or_read(draw: st.DataObject) -> None:
    data = draw.draw(st.sampled_from([_pbes2("sha256", "aes256_cbc"), _pbes2(None, "tripledes_3key")]))
    at = draw.draw(st.integers(0, len(data)))
    size = draw.draw(st.integers(0, 12))
    try:
        read_protection(data[:at] + draw.draw(st.binary(max_size=12)) + data[at + size :])
    except RefusedError:
        return
