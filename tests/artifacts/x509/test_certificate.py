"""Certificates in memory."""

from __future__ import annotations

import re
from hashlib import sha256
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given
from hypothesis import strategies as st

from dumpscan.artifacts.der import SMALL
from dumpscan.artifacts.x509.certificate import DETECTORS, MOST_BYTES
from dumpscan.artifacts.x509.parts import take_apart
from dumpscan.findings import Certificate
from support.artifact_samples import (
    ALTERNATIVE_NAMES,
    BASE,
    Space,
    certificate_der,
    certificate_in,
    certificate_of,
    damaged,
    decode,
    detect,
    detect_one,
    key_id,
    memory_of,
    openssl,
    parts_of,
    rewritten,
    rsa_key,
    tlv,
)

if TYPE_CHECKING:
    from pathlib import Path

HEADERS = 8
"""Bytes of the headers of certificate and TBSCertificate before the version, where each length has two bytes."""


def test_the_smallest() -> None:
    """Ed25519 certificates have short lengths outside and inside."""
    tiny = rewritten(certificate_der("ed25519"), issuer=b"\x30\x00", subject=b"\x30\x00", extensions=b"")
    assert tiny[:2] == b"\x30\x81"
    assert tiny[4] < 0x80
    assert certificate_in(tiny).public_key_algorithm == "Ed25519"


def test_every_form_of_lengths() -> None:
    forms = set()
    for key, extra in (("ed25519", 0), ("secp256r1", 30), ("secp256r1", 200), ("rsa2048", 300), ("ed25519", 70_000)):
        for version in (bytes.fromhex("a003020102"), b""):
            padding = tlv(0x30, bytes.fromhex("0603550411"), tlv(4, bytes(extra)))
            extensions = tlv(0xA3, tlv(0x30, padding)) if extra else b""
            data = rewritten(certificate_der(key), version=version, issuer=b"\x30\x00", extensions=extensions)
            forms.add(data[1])
            if version or extra < 70_000:
                assert certificate_in(data).version == (3 if version else 1)
    assert forms == {0x81, 0x82, 0x83}


@pytest.mark.parametrize(
    ("validity", "expected"),
    [
        ("170d3234303130323033303430355a170d3334303130323033303430355a", "2024-01-02 03:04:05+00:00"),
        ("170d3234303130323033303430355a180f32303630303130323033303430355a", "2024-01-02 03:04:05+00:00"),
        ("180f32303234303130323033303430355a180f39393939303130323033303430355a", "2024-01-02 03:04:05+00:00"),
        ("170b323430313032303330345a170b333430313032303330345a", "2024-01-02 03:04:00+00:00"),
        (
            "17113234303130323033303430352b3030303017113334303130323033303430352b30303030",
            "2024-01-02 03:04:05+00:00",
        ),
    ],
)
@pytest.mark.parametrize("issuer", [0, 100, 3000])
def test_version_1_is_found_by_its_validity(validity: str, expected: str, issuer: int) -> None:
    name = tlv(0x30, tlv(0x31, tlv(0x30, bytes.fromhex("0603550403"), tlv(0x0C, b"x" * issuer)))) if issuer else b"0\0"
    data = rewritten(
        certificate_der(), version=b"", issuer=name, validity=tlv(0x30, bytes.fromhex(validity)), extensions=b""
    )
    before = b"\x30\x82\x03\x00\x30\x82\x02\x00\x02" * 3  # looks as if one opened there
    memory = memory_of(before + data)
    (decoded,) = (
        decoded
        for signature, decoder in DETECTORS
        for match in re.finditer(signature.expression, before + data, re.DOTALL)
        if not signature.only_in_text and (decoded := decode(decoder, memory, BASE + match.start())) is not None
    )
    assert (decoded.address, decoded.length, decoded.missing) == (BASE + len(before), len(data), 0)
    assert isinstance(decoded.finding, Certificate)
    assert str(decoded.finding.not_before) == expected


def test_version_1_of_openssl(tmp_path: Path) -> None:
    key, request = tmp_path / "key.pem", tmp_path / "request.pem"
    key.write_bytes(openssl("genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:1024"))
    request.write_bytes(openssl("req", "-new", "-key", str(key), "-subj", "/CN=old"))
    found = certificate_in(openssl("x509", "-req", "-in", str(request), "-signkey", str(key), "-outform", "DER"))
    assert (found.subject, found.version, found.public_key_size) == ("CN=old", 1, 1024)


def test_large_ones_are_looked_at_before_they_are_read() -> None:
    data = certificate_of(rsa_key(1024)).public_bytes(Encoding.DER)
    padding = tlv(0x30, bytes.fromhex("0603550411"), tlv(4, bytes(50_000)))
    large = rewritten(certificate_der("rsa1024"), extensions=tlv(0xA3, tlv(0x30, padding)))
    assert certificate_in(large).subject_common_name == "example.org"
    for wrong in (
        large[:-200] + b"\xff" * 200,
        large[:4] + b"\x30\x82\xc0\x00" + large[8:],
        large[:2] + b"\xff\xff" + large[4:],
    ):
        memory = memory_of(wrong + bytes(70_000))
        asked: list[int] = []
        read = memory.read
        memory.read = lambda address, size, read=read, asked=asked: asked.append(size) or read(address, size)  # type: ignore[method-assign,misc]
        assert DETECTORS[0][1](memory, BASE + HEADERS) is None
        assert SMALL < sum(asked) < SMALL + 200
    huge = tlv(0x30, data + bytes(MOST_BYTES))
    assert not detect(DETECTORS, huge)


def test_across_a_seam() -> None:
    data = certificate_der("rsa2048")
    space = Space({BASE + 40: data[40:], BASE: data[:40]})
    decoded = DETECTORS[0][1](space, BASE + HEADERS)
    assert decoded is not None
    assert decoded.sha256 == sha256(data).hexdigest()


@pytest.mark.parametrize("missing", [1, 30, 300])
def test_a_certificate_without_its_end(missing: int) -> None:
    data = certificate_der("rsa2048")
    (decoded,) = detect(DETECTORS, data[:-missing])
    assert (decoded.missing, decoded.length) == (missing, len(data))
    assert isinstance(decoded.finding, Certificate)
    assert decoded.finding.der == data[:-missing]
    assert decoded.finding.problem == f"the last {missing} of {len(data)} bytes are missing"
    assert decoded.finding.serial_number == "123456789ABCDEF"
    assert decoded.finding.subject_common_name == "example.org"
    assert decoded.finding.key_id == (key_id(rsa_key(2048)) if missing <= 300 else None)


@pytest.mark.parametrize("opening", ["3082ffff3082fff0a0030201020202", "3083 0fffff 3083 0fff00 a0030201020202"])
def test_an_opening_whose_end_is_missing_is_looked_at_before_all_is_read(opening: str) -> None:
    data = bytes.fromhex(opening)
    memory = memory_of(data + b"\x55" * 50_000)
    asked: list[int] = []
    read = memory.read
    memory.read = lambda address, size: asked.append(size) or read(address, size)  # type: ignore[method-assign,func-returns-value]
    assert DETECTORS[0][1](memory, BASE + data.index(b"\xa0\3\2\1")) is None
    assert SMALL < sum(asked) < SMALL + 200


def test_too_little_of_a_certificate_is_nothing() -> None:
    data = certificate_der("rsa2048")
    least = data.index(take_apart(data).algorithm) + len(take_apart(data).algorithm)
    assert detect(DETECTORS, data[:least])
    for size in range(least):
        assert not detect(DETECTORS, data[:size])


@pytest.mark.parametrize("name", ["secp256r1", "rsa1024"])
def test_damage_is_survived(name: str) -> None:
    data = certificate_der(name)
    for copy in damaged(data, 120):
        for decoded in detect(DETECTORS, copy):
            assert isinstance(decoded.finding, Certificate)
            assert decoded.finding.der == copy[: decoded.length]


@given(st.data())
def test_any_damage_is_survived(draw: st.DataObject) -> None:
    data = certificate_der()
    at = draw.draw(st.integers(0, len(data)))
    size = draw.draw(st.integers(0, 20))
    detect(DETECTORS, data[:at] + draw.draw(st.binary(max_size=20)) + data[at + size :])


def _indefinite(data: bytes, depth: int) -> bytes:
    """Write an element, and what is in it down to a depth, with indefinite lengths."""
    ((tag, content),) = parts_of(data)
    if not tag & 0x20 or not depth:
        return data
    return bytes((tag, 0x80)) + b"".join(_indefinite(tlv(*part), depth - 1) for part in parts_of(content)) + b"\0\0"


def _with_long_length(data: bytes, size: int) -> bytes:
    """Write an element with a length in so many bytes."""
    ((tag, content),) = parts_of(data)
    return bytes((tag, 0x80 | size)) + len(content).to_bytes(size, "big") + content


def _with_signed(data: bytes, signed: bytes) -> bytes:
    """Exchange a certificate's TBSCertificate."""
    _, algorithm, signature = parts_of(parts_of(data)[0][1])
    return tlv(0x30, signed, tlv(*algorithm), tlv(*signature))


def _signed(data: bytes) -> bytes:
    return tlv(*parts_of(parts_of(data)[0][1])[0])


def _ber_forms(data: bytes) -> dict[str, bytes]:
    return {
        **{f"indefinite-{depth}": _indefinite(data, depth) for depth in (1, 2, 3, 9)},
        **{f"length-{size}": _with_long_length(data, size) for size in (3, 4)},
        "signed-indefinite": _with_signed(data, _indefinite(_signed(data), 1)),
        **{f"signed-length-{size}": _with_signed(data, _with_long_length(_signed(data), size)) for size in (3, 4)},
        "version": rewritten(data, version=bytes.fromhex("a08103020102")),
        "serial": rewritten(data, serialNumber=bytes.fromhex("0281080123456789abcdef")),
        "subject": rewritten(data, subject=_with_long_length(tlv(*parts_of(_content(data))[5]), 2)),
    }


def _content(data: bytes) -> bytes:
    return parts_of(_signed(data))[0][1]


@pytest.mark.parametrize("form", _ber_forms(certificate_der()))
@pytest.mark.parametrize("key", ["secp256r1", "rsa2048"])
def test_ber_is_written_as_der(form: str, key: str) -> None:
    data = certificate_der(key)
    written = _ber_forms(data)[form]
    assert written != data
    decoded = detect_one(DETECTORS, written)
    assert decoded.encoding == "ber"
    assert decoded.finding == certificate_in(data)


def test_ber_of_version_1() -> None:
    data = rewritten(certificate_der(), version=b"")
    for written in (_indefinite(data, 1), _indefinite(data, 2), _with_long_length(data, 3)):
        decoded = detect_one(DETECTORS, written)
        assert (decoded.encoding, decoded.finding) == ("ber", certificate_in(data))


def test_ber_without_its_end_is_nothing() -> None:
    for written in (_indefinite(certificate_der(), 1), _indefinite(certificate_der(), 9)):
        assert not detect(DETECTORS, written[:-1])


@pytest.mark.parametrize("number", [3, 4, 9, 0x7F, 0xFF])
def test_odd_versions(number: int) -> None:
    found = certificate_in(rewritten(certificate_der(), version=bytes((0xA0, 3, 2, 1, number))))
    assert found.version == (number + 1) % 256
    assert found.problem
    assert (found.subject_common_name, found.is_ca) == ("example.org", True)
    assert found.alternative_names == ALTERNATIVE_NAMES
