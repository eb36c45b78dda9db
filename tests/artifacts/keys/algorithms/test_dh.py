"""Diffie-Hellman keys as PKCS#8."""

from __future__ import annotations

from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dumpscan.artifacts.decoded import RefusedError
from dumpscan.artifacts.keys.algorithms import dh
from dumpscan.artifacts.keys.private_key import DETECTORS
from dumpscan.findings import PrivateKey
from support.artifact_samples import damaged, detect, detect_one, openssl, parts_of, pem, tlv
from support.blob_samples import dh_numbers, numbers_of_order

DH, DHX = dh_numbers(), numbers_of_order()
PKCS3, X942 = bytes.fromhex("06092a864886f70d010301"), bytes.fromhex("06072a8648ce3e0201")


def _integer(value: int) -> bytes:
    return tlv(2, value.to_bytes(value.bit_length() // 8 + 1, "big"))


def _pkcs8(identifier: bytes, group: tuple[int, ...], x: int, y: int | None = None) -> bytes:
    algorithm = tlv(0x30, identifier, tlv(0x30, *map(_integer, group)))
    public = [] if y is None else [tlv(0x81, b"\0", _integer(y))]
    version = _integer(0) if y is None else _integer(1)
    return tlv(0x30, version, algorithm, tlv(4, _integer(x)), *public)


def _key(data: bytes) -> PrivateKey:
    decoded = detect_one(DETECTORS, data)
    assert isinstance(decoded.finding, PrivateKey)
    assert (decoded.encoding, decoded.finding.algorithm) == ("pkcs8", "DH")
    assert (decoded.finding.sha256, decoded.finding.size) == (sha256(data).hexdigest(), len(data))
    return decoded.finding


@pytest.mark.parametrize(
    ("arguments", "bits"),
    [
        (["DH", "-pkeyopt", "group:ffdhe2048"], 2048),
        (["DH", "-pkeyopt", "group:ffdhe3072"], 3072),
        (["DHX", "-pkeyopt", "dh_rfc5114:1"], 1024),
        (["DHX", "-pkeyopt", "dh_rfc5114:3"], 2048),
    ],
)
def test_what_openssl_makes(arguments: list[str], bits: int) -> None:
    data = openssl("genpkey", "-outform", "DER", "-algorithm", *arguments)
    found = _key(data)
    assert (found.bits, found.proof) == (bits, ())
    written = openssl("pkey", "-inform", "DER", "-pubout", "-outform", "DER", stdin=found.pkcs8)
    assert found.key_id == sha256(written).hexdigest()
    of_found = openssl("pkey", "-inform", "DER", "-text", "-noout", stdin=data)
    assert (
        openssl("pkey", "-text", "-noout", stdin=pem(found.pkcs8, "PRIVATE KEY")).splitlines()[1:20]
        == (of_found.splitlines()[1:20])
    )


def test_a_public_value_proves_the_key() -> None:
    found = _key(_pkcs8(PKCS3, (DH.p, DH.g), DH.x, DH.y))
    assert found.proof == ("y = g^x mod p",)
    assert found.key_id == _key(_pkcs8(PKCS3, (DH.p, DH.g, 225), DH.x)).key_id
    found = _key(_pkcs8(X942, (DHX.p, DHX.g, DHX.q), DHX.x, DHX.y))
    assert found.proof == ("y = g^x mod p", "q divides p-1", "g^q = 1 mod p")
    j = (DHX.p - 1) // DHX.q
    assert found.key_id == _key(_pkcs8(X942, (DHX.p, DHX.g, DHX.q, j), DHX.x)).key_id


@pytest.mark.parametrize(
    "data",
    [
        _pkcs8(PKCS3, (DH.p, DH.g), DH.x, DH.y + 1),
        _pkcs8(PKCS3, (DH.p - 2, DH.g), DH.x),
        _pkcs8(PKCS3, (DH.p - 1, DH.g), DH.x),
        _pkcs8(PKCS3, (DH.p, 1), DH.x),
        _pkcs8(PKCS3, (DH.p, DH.g), 0),
        _pkcs8(PKCS3, (DH.p, DH.g), DH.p - 1),
        _pkcs8(PKCS3, (DH.p,), DH.x),
        _pkcs8(PKCS3, ((1 << 8192) + 1, DH.g), DH.x),
        _pkcs8(X942, (DHX.p, DHX.g), DHX.x),
        _pkcs8(X942, (DHX.p, DHX.g, DHX.q + 2), DHX.x),
        _pkcs8(X942, (DHX.p, 2, DHX.q), DHX.x),
    ],
)
def test_what_does_not_belong_together_is_no_key(data: bytes) -> None:
    assert not detect(DETECTORS, data)


@pytest.mark.parametrize(
    "x", [2, 1 << 500, int.from_bytes(b"the prefix is a constant, and this is text" * 2, "big"), int("ff" * 40, 16)]
)
def test_a_value_that_is_not_random_needs_its_public_value(x: int) -> None:
    assert not detect(DETECTORS, _pkcs8(PKCS3, (DH.p, DH.g), x))
    assert _key(_pkcs8(PKCS3, (DH.p, DH.g), x, pow(DH.g, x, DH.p))).proof


def test_structures_that_are_none() -> None:
    whole = _pkcs8(PKCS3, (DH.p, DH.g), DH.x)
    version, (_, algorithm), private = parts_of(parts_of(whole)[0][1])
    identifier, group = parts_of(algorithm)
    parts = {"version": tlv(*version), "algorithm": tlv(0x30, algorithm), "private": tlv(*private)}
    assert detect(DETECTORS, tlv(0x30, *parts.values()))
    for name, wrong in (
        ("private", tlv(4, _integer(DH.x)[:-1])),
        ("private", tlv(4, _integer(DH.x), _integer(DH.x))),
        ("private", tlv(4, tlv(4, bytes(32)))),
        ("algorithm", tlv(0x30, tlv(*identifier), tlv(*group), tlv(*group))),
    ):
        assert not detect(DETECTORS, tlv(0x30, *(parts | {name: wrong}).values()))


def test_damage_makes_no_other_key() -> None:
    data = _pkcs8(PKCS3, (DH.p, DH.g), DH.x, DH.y)
    identity = _key(data).identity
    for copy in damaged(data, 24):
        assert all(one.finding.identity == identity for one in detect(DETECTORS, copy))


@given(st.lists(st.integers(-5, 1 << 600), min_size=4, max_size=5))
def test_any_numbers_are_survived(numbers: list[int]) -> None:
    p, g, x, y, *q = numbers
    with pytest.raises(RefusedError):
        dh.dh_key(p=p, g=g, x=x, y=y, q=q[0] if q else None)
