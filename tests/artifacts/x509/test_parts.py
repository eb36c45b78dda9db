"""The structure of a certificate."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dumpscan.artifacts.decoded import RefusedError
from dumpscan.artifacts.x509.parts import Parts, take_apart, take_apart_head
from support.artifact_samples import all_keys, certificate_der, damaged, parts_of, rewritten, tlv, traditional

DER = certificate_der()
NAME = tlv(0x30, tlv(0x31, tlv(0x30, bytes.fromhex("0603550403"), tlv(0x0C, b"x"))))
TIME = b"\x17\x0d240102030405Z"


def _refused(data: bytes) -> bool:
    try:
        take_apart(data)
    except RefusedError:
        return True
    return False


def test_parts_of_a_real_one() -> None:
    parts = take_apart(DER)
    assert (parts.version, parts.serial_number) == (3, 0x0123456789ABCDEF)
    signed = parts_of(parts_of(DER)[0][1])[0]
    members = [tlv(*member) for member in parts_of(signed[1])][2:]
    assert [parts.algorithm, parts.issuer, parts.validity, parts.subject, parts.public_key, parts.extensions] == members


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"version": b""}, {"version": 1}),
        ({"version": bytes.fromhex("a003020101")}, {"version": 2}),
        ({"version": bytes.fromhex("a003020100")}, {"version": 1}),
        ({"version": bytes.fromhex("a003020103")}, {"version": 4}),
        ({"version": bytes.fromhex("a0030201ff")}, {"version": 0}),
        ({"subject": b"\x30\x02\x31\x00"}, {"subject": b"\x30\x02\x31\x00"}),
        ({"serialNumber": b"\x02\x01\x80"}, {"serial_number": -128}),
        ({"serialNumber": b"\x02\x01\x00"}, {"serial_number": 0}),
        ({"serialNumber": tlv(2, b"\x7f" * 40)}, {"serial_number": int("7f" * 40, 16)}),
        ({"issuer": b"\x30\x00"}, {"issuer": b"\x30\x00"}),
        ({"extensions": b""}, {"extensions": None}),
        ({"validity": tlv(0x30, tlv(0x17, b"odd"), tlv(0x18, b"more odd"))}, {"version": 3}),
        ({"extensions": tlv(0x81, b"\0id") + tlv(0x82, b"\0id")}, {"extensions": None}),
    ],
)
def test_what_may_be_different(changes: dict[str, bytes], expected: dict[str, object]) -> None:
    parts = take_apart(rewritten(DER, **changes))
    assert {name: getattr(parts, name) for name in expected} == expected


@pytest.mark.parametrize(
    "changes",
    [
        {"version": bytes.fromhex("a0020200")},
        {"version": bytes.fromhex("a00402020102")},
        {"serialNumber": b"\x02\x00"},
        {"serialNumber": tlv(2, bytes(65))},
        {"serialNumber": b"\x04\x01\x01"},
        {"signature": b"\x30\x00"},
        {"signature": b"\x30\x02\x05\x00"},
        {"issuer": b""},
        {"issuer": b"\x30\x02\x30\x00"},
        {"issuer": b"\x31\x00"},
        {"validity": TIME},
        {"validity": tlv(0x30, TIME)},
        {"validity": tlv(0x30, TIME, tlv(4, b"no time"))},
        {"validity": tlv(0x30, TIME, tlv(0x17))},
        {"validity": tlv(0x30, TIME, tlv(0x17, bytes(33)))},
        {"subjectPublicKeyInfo": b""},
        {"subjectPublicKeyInfo": tlv(0x30, NAME)},
        {"subjectPublicKeyInfo": tlv(0x30, bytes.fromhex("300506032b6570"), tlv(3))},
        {"subjectPublicKeyInfo": tlv(0x30, bytes.fromhex("300506032b6570"), tlv(3, b"\x08a"))},
        {"extensions": tlv(0xA3, tlv(0x31))},
        {"extensions": tlv(0xA3, tlv(0x30, b"\x05\x00"))},
        {"extensions": tlv(0xA4, tlv(0x30))},
        {"extensions": tlv(0xA3, tlv(0x30)) * 2},
        {"extensions": tlv(0xA3, tlv(0x30)) + tlv(0x81, b"\0id")},
    ],
)
def test_what_is_no_certificate(changes: dict[str, bytes]) -> None:
    assert _refused(rewritten(DER, **changes))


def test_other_structures_are_none() -> None:
    signed, algorithm, signature = (tlv(*part) for part in parts_of(parts_of(DER)[0][1]))
    assert not _refused(tlv(0x30, signed, algorithm, signature))
    for wrong in (
        tlv(0x30, signed, algorithm),
        tlv(0x30, signed, algorithm, signature, b"\x05\x00"),
        tlv(0x30, signed, signature, algorithm),
        tlv(0x30, tlv(0x31, signed[2:]), algorithm, signature),
        tlv(0x31, signed, algorithm, signature),
        DER + b"\0",
        DER[:-1],
        b"",
        signed,
    ):
        assert _refused(wrong)
    for key in all_keys().values():
        for other in (NAME, traditional(key) if hasattr(key, "key_size") else b""):
            assert _refused(other)


@given(st.binary(max_size=600))
def test_noise_behind_an_opening_is_none(noise: bytes) -> None:
    for opening in ("3082025c308201c5a003020102", "3082025c308201c50201", "308181306da003020102", ""):
        data = bytes.fromhex(opening) + noise
        assert _refused(data)
        assert _refused(tlv(0x30, tlv(0x30, noise), bytes.fromhex("300506032b6570"), b"\x03\x02\x00a"))


def test_damage_is_refused_or_still_a_certificate() -> None:
    refused = sum(map(_refused, damaged(DER, 200)))
    assert 20 < refused < 380


@given(st.integers(0, len(DER)), st.booleans())
def test_heads(size: int, versioned: bool) -> None:  # noqa: FBT001 -- drawn by hypothesis
    data = DER if versioned else rewritten(DER, version=b"")
    whole = take_apart(data)
    last = whole.algorithm if versioned else whole.validity or b""
    least = data.index(last) + len(last)
    try:
        parts = take_apart_head(data[:size])
    except RefusedError:
        assert size < least
        return
    assert size >= least
    assert isinstance(parts, Parts)
    at = 0
    for name in ("version", "serial_number", "algorithm", "issuer", "validity", "subject", "public_key", "extensions"):
        value = getattr(whole, name)
        if isinstance(value, bytes):
            at = data.index(value, at) + len(value)
        assert getattr(parts, name) == (value if at <= size else None)


def test_a_revocation_list_has_no_certificate_s_head() -> None:
    """Its version 2 is the INTEGER 1, where a certificate of version 1 has its serial number."""
    algorithm = bytes.fromhex("300a06082a8648ce3d040302")
    revoked = tlv(0x30, tlv(0x30, tlv(2, b"\x05"), TIME) * 20)
    signed = tlv(0x30, b"\x02\x01\x01", algorithm, NAME, TIME, TIME, revoked)
    data = tlv(0x30, signed, algorithm, tlv(3, b"\0sign"))
    for size in range(len(data) + 1):
        with pytest.raises(RefusedError):
            take_apart_head(data[:size])
    assert _refused(data)
