"""Key blobs of DSA and Diffie-Hellman, and blobs of CNG that say less than they could."""

from __future__ import annotations

import struct
from dataclasses import replace
from hashlib import sha256

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from dumpscan.artifacts.keys.windows import capi, cng
from dumpscan.findings import PrivateKey
from support.artifact_samples import cng_ec, damaged, detect, detect_one, ec_key, key_id, openssl, pkcs8, raw_key
from support.artifact_samples import dsa_key as sample_dsa_key
from support.blob_samples import (
    Numbers,
    capi_2,
    capi_3,
    cng_dh,
    cng_dsa,
    cng_dsa2,
    dh_numbers,
    dsa_numbers,
    numbers_of_order,
)

DETECTORS = (*cng.DETECTORS, *capi.DETECTORS)
SMALL = dsa_numbers(sample_dsa_key())
LARGE = numbers_of_order()
DH = dh_numbers()
J = (LARGE.p - 1) // LARGE.q
BLOBS: dict[str, tuple[bytes, Numbers, str]] = {
    "DSPV": (cng_dsa(SMALL), SMALL, "DSA"),
    "DPV2": (cng_dsa2(LARGE), LARGE, "DSA"),
    "DPV2 short": (cng_dsa2(SMALL, seed=bytes(20)), SMALL, "DSA"),
    "DHPV": (cng_dh(DH), DH, "DH"),
    "DSS4": (capi_3(LARGE, b"DSS4", 0x2200), LARGE, "DSA"),
    "DSS4 with j": (capi_3(LARGE, b"DSS4", 0x2200, J), LARGE, "DSA"),
    "DH4": (capi_3(DH, b"DH4\0", 0xAA01), DH, "DH"),
    "DH4 with q": (capi_3(LARGE, b"DH4\0", 0xAA02), LARGE, "DH"),
}
WITHOUT_PUBLIC: dict[str, tuple[bytes, Numbers, str]] = {
    "DSPV": (cng_dsa(SMALL.without_public()), SMALL, "DSA"),
    "DPV2": (cng_dsa2(LARGE.without_public()), LARGE, "DSA"),
    "DHPV": (cng_dh(DH.without_public()), DH, "DH"),
    "DSS2": (capi_2(SMALL), SMALL, "DSA"),
    "DH2": (capi_2(DH), DH, "DH"),
    "DSS4": (capi_3(LARGE.without_public(), b"DSS4", 0x2200), LARGE, "DSA"),
    "DH4": (capi_3(DH.without_public(), b"DH4\0", 0xAA01), DH, "DH"),
}


def _public_info(found: PrivateKey) -> str:
    """Return the hash of the SubjectPublicKeyInfo that OpenSSL makes of a key's PKCS#8."""
    return sha256(openssl("pkey", "-inform", "DER", "-pubout", "-outform", "DER", stdin=found.pkcs8)).hexdigest()


def _key(data: bytes) -> PrivateKey:
    finding = detect_one(DETECTORS, data).finding
    assert isinstance(finding, PrivateKey)
    assert (finding.sha256, finding.size) == (sha256(data).hexdigest(), len(data))
    return finding


@pytest.mark.parametrize("name", BLOBS)
def test_a_blob_with_its_public_value(name: str) -> None:
    data, numbers, algorithm = BLOBS[name]
    found = _key(data)
    assert detect_one(DETECTORS, data).encoding == ("cng" if name.startswith(("DSPV", "DPV2", "DHPV")) else "capi")
    assert (found.algorithm, found.bits) == (algorithm, numbers.p.bit_length())
    assert "y = g^x mod p" in found.proof
    assert found.key_id == _public_info(found)


@pytest.mark.parametrize("name", WITHOUT_PUBLIC)
def test_the_public_value_is_derived_where_it_is_not_given(name: str) -> None:
    data, numbers, algorithm = WITHOUT_PUBLIC[name]
    whole = BLOBS[{"DSA": "DSPV" if numbers is SMALL else "DPV2", "DH": "DHPV"}[algorithm]][0]
    assert _key(data).key_id == _key(whole).key_id
    assert _key(data).proof == ()


def test_a_value_that_is_not_random_needs_its_public_value() -> None:
    x = int.from_bytes(b"text behind a group!", "big")
    dsa, dh = replace(LARGE, x=x, y=pow(LARGE.g, x, LARGE.p)), replace(DH, x=x, y=pow(DH.g, x, DH.p))
    for whole, alone in (
        (cng_dsa2(dsa), cng_dsa2(dsa.without_public())),
        (cng_dh(dh), cng_dh(dh.without_public())),
        (capi_3(dh, b"DH4\0", 0xAA01), capi_2(dh)),
    ):
        assert _key(whole).proof
        assert not detect(DETECTORS, alone)


@pytest.mark.parametrize("name", BLOBS)
def test_damage_makes_no_other_key(name: str) -> None:
    data = BLOBS[name][0]
    identity = _key(data).identity
    lost = 0
    for copy in damaged(data, 24):
        found = detect(DETECTORS, copy)
        lost += not found
        assert all(one.finding.identity == identity for one in found)
    assert lost > 30
    for size in (4, 8, 12, 32, len(data) - 1):
        assert not detect(DETECTORS, data[:size])


def test_public_blobs_and_parameters_are_no_keys() -> None:
    for data in (cng_dsa(SMALL, b"DSPB"), cng_dsa2(LARGE, b"DPB2"), cng_dh(DH, b"DHPB"), cng_dh(DH, b"DHPM")):
        assert not detect(DETECTORS, data)


@pytest.mark.parametrize(
    "change", [{"y": 5}, {"x": 0}, {"p": DH.p - 2, "y": 0}, {"p": DH.p - 1}, {"g": 1}, {"x": DH.p}]
)
def test_numbers_of_diffie_hellman_that_do_not_belong_together(change: dict[str, int]) -> None:
    wrong = replace(DH, **change)
    assert not detect(DETECTORS, cng_dh(wrong))
    assert not detect(DETECTORS, capi_3(wrong, b"DH4\0", 0xAA01))


@pytest.mark.parametrize("change", [{"y": 5}, {"x": 0}, {"q": LARGE.q + 2}, {"g": 2}, {"x": LARGE.q}])
def test_numbers_of_dsa_that_do_not_belong_together(change: dict[str, int]) -> None:
    wrong = replace(LARGE, **change)
    assert not detect(DETECTORS, cng_dsa2(wrong))
    assert not detect(DETECTORS, capi_3(wrong, b"DSS4", 0x2200))
    assert not detect(DETECTORS, capi_3(wrong, b"DH4\0", 0xAA01)) or change == {"x": LARGE.q}


def test_sizes_that_no_group_has() -> None:
    assert not detect(DETECTORS, struct.pack("<4sI", b"DSPV", 48) + bytes(2000))
    assert not detect(DETECTORS, struct.pack("<4sI", b"DHPV", 48) + bytes(2000))
    assert not detect(DETECTORS, struct.pack("<4s5I", b"DPV2", 256, 1, 1, 4000, 32) + bytes(6000))
    assert not detect(DETECTORS, struct.pack("<4s5I", b"DPV2", 256, 1, 1, 32, 4000) + bytes(9000))
    assert not detect(DETECTORS, capi_2(SMALL).replace(struct.pack("<I", 1024), struct.pack("<I", 1023)))
    assert not detect(DETECTORS, struct.pack("<BBHI4s4I", 7, 3, 0, 0x2200, b"DSS4", 1024, 4096, 0, 160) + bytes(2000))
    wide = capi_2(DH).replace(struct.pack("<I", 2048), struct.pack("<I", 2056))
    assert not detect(DETECTORS, wide + bytes(3))


@pytest.mark.parametrize("magic", [b"ECS2", b"ECK4"])
def test_a_point_of_zeros_is_not_given(magic: bytes) -> None:
    key = ec_key("secp256r1" if magic.endswith(b"2") else "secp384r1")
    size = (key.key_size + 7) // 8
    blob = cng_ec(key, magic)
    found = _key(blob[:8] + bytes(2 * size) + blob[8 + 2 * size :])
    assert (found.key_id, found.pkcs8) == (key_id(key), pkcs8(key))
    assert "Q = d*G" not in found.proof
    assert not detect(DETECTORS, blob[:8] + bytes(size) + blob[8 + size :])


@pytest.mark.parametrize("curve", ["secp256r1", "secp256k1", "brainpoolP256r1", "secp384r1", "secp521r1", "secp224r1"])
@pytest.mark.parametrize("magic", [b"ECDV", b"ECKV"])
def test_a_curve_that_the_blob_does_not_name(curve: str, magic: bytes) -> None:
    key = ec_key(curve)
    found = _key(cng_ec(key, magic))
    assert (found.curve, found.key_id) == (curve, key_id(key))
    assert "Q = d*G" in found.proof


def test_no_point_tells_of_no_curve() -> None:
    key = ec_key("secp256r1")
    value = key.private_numbers().private_value.to_bytes(32, "big")
    for magic in (b"ECDV", b"ECKV"):
        assert not detect(DETECTORS, struct.pack("<4sI", magic, 32) + bytes(64) + value)
        assert not detect(DETECTORS, struct.pack("<4sI", magic, 32) + bytes(64) + value[::-1])
        assert not detect(DETECTORS, struct.pack("<4sI", magic, 13) + bytes(64))


def test_curve25519() -> None:
    key = raw_key("x25519")
    public = key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    private = key.private_bytes_raw()  # type: ignore[union-attr]
    blob = struct.pack("<4sI", b"ECKV", 32) + public + bytes(32) + private
    found = _key(blob)
    assert (found.algorithm, found.key_id, found.pkcs8) == ("X25519", key_id(key), pkcs8(key))
    assert found.proof == ("public value = that of the private value",)
    assert not detect(DETECTORS, blob[:8] + bytes((public[0] ^ 1,)) + blob[9:])


@given(
    st.lists(st.one_of(st.integers(0, 600), st.integers(0, 0xFFFFFFFF)), min_size=5, max_size=5), st.binary(max_size=99)
)
def test_any_lengths_are_survived(lengths: list[int], values: bytes) -> None:
    for magic in (b"DSPV", b"DPV2", b"DHPV", b"ECDV", b"ECKV"):
        assert not detect(DETECTORS, struct.pack("<4s5I", magic, *lengths) + values * 40)
    for version, algorithm, magic in (
        (2, 0x2200, b"DSS2"),
        (2, 0xAA01, b"DH2\0"),
        (3, 0x2200, b"DSS4"),
        (3, 0xAA02, b"DH4\0"),
    ):
        assert not detect(DETECTORS, struct.pack("<BBHI4s5I", 7, version, 0, algorithm, magic, *lengths) + values * 40)
