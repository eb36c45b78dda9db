"""Key blobs of Windows' crypto interfaces."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dumpscan.artifacts.keys.windows import capi, cng
from dumpscan.findings import PrivateKey
from support.artifact_samples import (
    capi_rsa,
    cng_ec,
    cng_rsa,
    damaged,
    detect,
    detect_one,
    ec_key,
    key_id,
    pkcs8,
    rsa_key,
)

DETECTORS = (*cng.DETECTORS, *capi.DETECTORS)
KEY = rsa_key(1024)
BLOBS = {
    "RSA2": cng_rsa(KEY),
    "RSA3": cng_rsa(KEY, full=True),
    "CAPI exchange": capi_rsa(KEY),
    "CAPI signature": capi_rsa(KEY, 0x2400),
}
CURVES = {
    b"ECS2": "secp256r1",
    b"ECK2": "secp256r1",
    b"ECS4": "secp384r1",
    b"ECK4": "secp384r1",
    b"ECS6": "secp521r1",
    b"ECK6": "secp521r1",
}


@pytest.mark.parametrize("name", BLOBS)
def test_rsa(name: str) -> None:
    decoded = detect_one(DETECTORS, BLOBS[name])
    assert decoded.encoding == ("capi" if "CAPI" in name else "cng")
    assert isinstance(decoded.finding, PrivateKey)
    assert (decoded.finding.key_id, decoded.finding.pkcs8) == (key_id(KEY), pkcs8(KEY))
    assert (decoded.finding.sha256, decoded.finding.size) == (decoded.sha256, decoded.length)


@pytest.mark.parametrize("bits", [512, 2048, 3072])
def test_rsa_of_other_sizes(bits: int) -> None:
    for blob in (cng_rsa(rsa_key(bits)), cng_rsa(rsa_key(bits), full=True), capi_rsa(rsa_key(bits))):
        assert detect_one(DETECTORS, blob).finding.identity == ("private_key", key_id(rsa_key(bits)))


def test_a_private_exponent_of_zero_is_not_given() -> None:
    blob = cng_rsa(KEY, full=True)
    size = KEY.key_size // 8
    found = detect_one(DETECTORS, blob[:-size] + bytes(size)).finding
    assert isinstance(found, PrivateKey)
    assert (found.key_id, found.wrong_parts) == (key_id(KEY), ())


@pytest.mark.parametrize("magic", CURVES)
def test_ec(magic: bytes) -> None:
    key = ec_key(CURVES[magic])
    decoded = detect_one(DETECTORS, cng_ec(key, magic))
    assert isinstance(decoded.finding, PrivateKey)
    assert (decoded.encoding, decoded.finding.curve) == ("cng", CURVES[magic])
    assert (decoded.finding.key_id, decoded.finding.pkcs8) == (key_id(key), pkcs8(key))


@pytest.mark.parametrize("magic", [b"ECS1", b"ECK3", b"ECS5"])
def test_public_blobs_are_no_keys(magic: bytes) -> None:
    blob = cng_ec(ec_key("secp256r1"), magic)
    assert not detect(DETECTORS, blob)
    assert not detect(DETECTORS, BLOBS["RSA2"].replace(b"RSA2", b"RSA1"))


@pytest.mark.parametrize("name", [*BLOBS, *CURVES])
def test_damage_makes_no_other_key(name: str | bytes) -> None:
    data, identity = (
        (BLOBS[name], key_id(KEY))
        if isinstance(name, str)
        else (cng_ec(ec_key(CURVES[name]), name), key_id(ec_key(CURVES[name])))
    )
    lost = 0
    for copy in damaged(data):
        found = detect(DETECTORS, copy)
        lost += not found
        assert all(one.finding.identity == ("private_key", identity) for one in found)
    assert lost > 60
    for size in (4, 8, 12, 24, len(data) - 1):
        assert not detect(DETECTORS, data[:size])


@given(
    st.lists(st.one_of(st.integers(0, 4096), st.integers(0, 0xFFFFFFFF)), min_size=5, max_size=5),
    st.binary(max_size=64),
)
def test_any_lengths_are_survived(lengths: list[int], values: bytes) -> None:
    for magic in (b"RSA2", b"RSA3"):
        assert not detect(DETECTORS, struct.pack("<4s5I", magic, *lengths) + values * 40)
    for magic in CURVES:
        assert not detect(DETECTORS, struct.pack("<4sI", magic, lengths[0]) + values * 4)
    assert not detect(DETECTORS, struct.pack("<BBHI4sII", 7, 2, 0, 0xA400, b"RSA2", *lengths[:2]) + values * 40)


def test_a_size_that_the_modulus_does_not_have() -> None:
    numbers = bytearray(BLOBS["RSA2"])
    numbers[4:8] = (1023).to_bytes(4, "little")
    assert not detect(DETECTORS, bytes(numbers))
