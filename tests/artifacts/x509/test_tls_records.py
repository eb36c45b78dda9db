"""Certificates with TLS record headers in them."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dumpscan.artifacts.x509.certificate import DETECTORS
from dumpscan.findings import Certificate
from support.artifact_samples import BASE, certificate_der, memory_of, rewritten, tlv

FIRST, SECOND = certificate_der("rsa2048"), certificate_der("secp256r1")
SERVER_HELLO = b"\x02" + (74).to_bytes(3, "big") + b"\x03\x03" + bytes(72)


def message(*certificates: bytes) -> bytes:
    """A Certificate message of TLS 1.2 (RFC 5246, 7.4.2)."""
    listed = b"".join(len(each).to_bytes(3, "big") + each for each in certificates)
    content = len(listed).to_bytes(3, "big") + listed
    return b"\x0b" + len(content).to_bytes(3, "big") + content


def records(handshake: bytes, size: int) -> bytes:
    """Cut a handshake into records of `size` bytes each."""
    parts = [handshake[at : at + size] for at in range(0, len(handshake), size)]
    return b"".join(b"\x16\x03\x03" + len(part).to_bytes(2, "big") + part for part in parts)


def found(data: bytes) -> dict[bytes, str]:
    """Decode what every signature announces anywhere in `data`; return certificates with their encoding."""
    memory = memory_of(data + bytes(50))
    certificates = {}
    for signature, decoder in DETECTORS:
        for match in re.finditer(signature.expression, data, re.DOTALL):
            decoded = decoder(memory, BASE + match.start())
            if decoded is not None:
                assert isinstance(decoded.finding, Certificate)
                assert data.startswith(decoded.finding.der[:14], decoded.address - BASE)
                certificates[decoded.finding.der] = decoded.encoding
    return certificates


@pytest.mark.parametrize("before", [b"", SERVER_HELLO], ids=["alone", "after-hello"])
@pytest.mark.parametrize("size", [64, 100, 256, 512, 600, 700, 900, 1010])
def test_of_a_chain_every_certificate_is_put_together(size: int, before: bytes) -> None:
    data = records(before + message(FIRST, SECOND), size)
    encodings = {each: "der" if each in data else "tls+der" for each in (FIRST, SECOND) if each[:14] in data}
    assert "tls+der" in encodings.values()
    assert found(data) == encodings


def test_wherever_it_is_cut() -> None:
    """Not in the headers and the version, by which it is found; in the signature, only the record before tells."""
    for cut in range(17, len(FIRST)):
        handshake = message(FIRST)
        begin = handshake.index(FIRST)
        data = records(handshake[: begin + cut], 1 << 14) + records(handshake[begin + cut :], 1 << 14)
        assert found(data) == {FIRST: "tls+der"}, cut


def test_bytes_that_look_like_a_header_do_no_harm() -> None:
    """In a signature they may be there by chance."""
    for at in (5, 100, 200):
        cut = len(FIRST) - at
        data = FIRST[: cut - 5] + b"\x16\x03\x03\x01\x00" + FIRST[cut:]
        assert found(data) == {data: "der"}
        assert found(b"\x16\x03\x01\x00\x40" + data + b"\x16\x03\x03\x00\x01") == {data: "der"}


def test_a_large_one() -> None:
    padding = tlv(0x30, bytes.fromhex("0603550411"), tlv(4, bytes(30_000)))
    large = rewritten(FIRST, extensions=tlv(0xA3, tlv(0x30, padding)))
    for size in (512, 16384):
        assert found(records(message(large), size)) == {large: "tls+der"}


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: data.replace(b"\x16\x03\x03", b"\x17\x03\x03"),
        lambda data: data[:520] + bytes((data[520] ^ 1,)) + data[521:],
        lambda data: data[:700],
    ],
    ids=["type", "length", "cut"],
)
def test_records_that_do_not_fit_give_no_certificate(damage: object) -> None:
    data = damage(records(message(FIRST), 512))  # type: ignore[operator]
    assert FIRST not in found(data)


@given(st.data())
def test_any_headers_are_survived(draw: st.DataObject) -> None:
    data = bytearray(FIRST)
    for _ in range(draw.draw(st.integers(1, 40))):
        at = draw.draw(st.integers(20, len(FIRST) - 5))
        data[at : at + 5] = b"\x16\x03\x03" + draw.draw(st.integers(0, 300)).to_bytes(2, "big")
    found(bytes(data) * 2)
