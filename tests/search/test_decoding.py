"""The decoding budget: what proofs cost, and what is said of what was not looked into."""

from __future__ import annotations

import base64
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from dumpscan.artifacts import effort
from dumpscan.artifacts.decoded import BytesDecoder, CutShortError, Decoded, Parsed, Raw, RefusedError
from dumpscan.artifacts.keys import public_keys
from dumpscan.artifacts.registry import X509_DETECTORS
from dumpscan.findings import Certificate, PrivateKey
from dumpscan.scan.signature import Hit, Signature
from dumpscan.search import decoding as decoding_module
from dumpscan.search.contents import Contents
from dumpscan.search.decoding import Decoding
from dumpscan.search.merge import Collector
from dumpscan.search.scanner import Scanner
from support.artifact_samples import BASE, Space, all_keys, certificate_der, ec_key, parse_any, pem, pkcs8, traditional

if TYPE_CHECKING:
    from dumpscan.artifacts.decoded import Decoder
    from dumpscan.memory.space import Memory


OF_PUBLIC_KEYS = [
    decoder
    for _, decoder in public_keys.DETECTORS
    if isinstance(decoder, BytesDecoder) and decoder.parse is public_keys.parse_info
]


def _space_of_a_hit(decoder: Decoder) -> tuple[Decoding, Space, Hit]:
    space = Space({BASE: b"hit" + bytes(100)})
    return Decoding({"hit": decoder}), space, Hit(Signature("hit", b"hit", 3), BASE)


def test_proofs_wear_out_patience_by_what_they_cost(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten proofs of a tenth of a second are paid for; the eleventh is not begun, and nothing after it."""
    monkeypatch.setattr(decoding_module, "_FIRST_PATIENCE", 1_050_000)
    begun = 0

    def extract(memory: Memory, address: int) -> Raw:
        return Raw(memory.read(address, 8), 9)  # the same bytes again are not parsed again, but where some are missing

    def parse(_: bytes) -> Parsed:
        nonlocal begun
        effort.charge(100_000)
        begun += 1
        raise RefusedError("no key")

    decoding, space, hit = _space_of_a_hit(BytesDecoder(extract, parse, lambda raw: parse(raw.data)))
    assert all(decoding.decode(space, hit) is None for _ in range(15))
    assert begun == 10
    (note,) = decoding.problems
    assert note.startswith("5 openings of objects passed over")


@pytest.mark.parametrize(("proof", "found"), [(("Q = d*G",), 100), ((), 10)])
def test_what_is_proven_uses_up_no_patience(
    monkeypatch: pytest.MonkeyPatch, proof: tuple[str, ...], found: int
) -> None:
    """A key that nothing proves does: a dump could be full of them."""
    monkeypatch.setattr(decoding_module, "_FIRST_PATIENCE", 10 * (30 + 100 + 200))
    key = parse_any(traditional(ec_key("secp256r1"))).finding
    assert isinstance(key, PrivateKey)

    def decoder(_: Memory, address: int) -> Decoded:
        effort.charge(100)
        return Decoded(replace(key, proof=proof), address, 121, "00", "sec1")

    monkeypatch.setattr(decoding_module, "_COST_OF_FOLLOWING", 30)
    decoding, space, hit = _space_of_a_hit(decoder)
    assert sum(decoding.decode(space, hit) is not None for _ in range(100)) == found


def test_keys_cut_short_are_said_with_their_places() -> None:
    def decoder(_memory: Memory, _address: int) -> None:
        raise CutShortError("RSA private key")

    decoding, space, hit = _space_of_a_hit(decoder)
    for number in range(12):
        assert decoding.decode(space, Hit(hit.signature, 0x1000 * (number % 10 + 1))) is None
    first, *_, last = decoding.problems
    assert first == "the RSA private key at 0x1000 is cut short: the dump does not hold enough of it to make the key"
    assert last == "2 more private keys are cut short"
    assert len(decoding.problems) == 9


def test_a_value_nobody_chose_at_random_is_a_key_in_text_only() -> None:
    algorithm = bytes.fromhex("301306072a8648ce3d020106082a8648ce3d030107")
    sec1 = bytes.fromhex("3025020101") + b"\x04\x20" + (3).to_bytes(32, "big")
    body = bytes.fromhex("020100") + algorithm + b"\x04" + bytes([len(sec1)]) + sec1
    der = b"\x30" + bytes([len(body)]) + body
    pem = b"-----BEGIN PRIVATE KEY-----\n" + base64.b64encode(der) + b"\n-----END PRIVATE KEY-----\n"
    for data, count in ((der, 0), (pem, 1)):
        collector = Collector()
        Scanner(X509_DETECTORS).scan(Space({BASE: bytes(64) + data + bytes(64)}), collector)
        assert len(collector.findings()) == count


def test_within_what_text_stands_for_a_value_must_look_random() -> None:
    """A program in base64 has its constants, too."""
    constant = bytes.fromhex("302e020100300506032b657004220420") + bytes(16) + b"\xff" * 16
    certificate = certificate_der("ed25519")
    for data in (pem(certificate + constant, "CERTIFICATE"), base64.b64encode(bytes(range(200)) + constant)):
        collector = Collector()
        Scanner(X509_DETECTORS).scan(Space({BASE: bytes(64) + data + bytes(64)}), collector)
        assert all(isinstance(finding, Certificate) for finding in collector.findings())
    collector = Collector()
    Scanner(X509_DETECTORS).scan(Space({BASE: bytes(64) + pem(constant, "PRIVATE KEY") + bytes(64)}), collector)
    assert len(collector.findings()) == 1


def test_a_value_cut_short_in_text_is_reported_at_the_place_of_its_text() -> None:
    data = traditional(ec_key("secp256r1"))[:44]
    space = Space({BASE: b"\0" * 5 + base64.b64encode(data)})
    problems = Scanner(X509_DETECTORS).scan(space, Collector())
    assert not [problem for problem in problems if "0x7ff600001235" not in problem]


def test_a_public_key_within_a_certificate_is_not_read_again() -> None:
    read: list[bytes] = []

    def parse(data: bytes) -> Parsed:
        read.append(data)
        return public_keys.parse_info(data)

    detectors = [
        (finder, replace(decoder, parse=parse) if decoder in OF_PUBLIC_KEYS else decoder)
        for finder, decoder in X509_DETECTORS
    ]
    info = ec_key("secp256r1").public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    certificate = certificate_der("secp256r1")
    other = certificate[: certificate.index(info)]  # its public key is cut off, and lies behind it by itself
    collector = Collector()
    Scanner(detectors).scan(Space({BASE: bytes(64) + certificate + bytes(64) + info + bytes(64) + other}), collector)
    assert read == [info]


@pytest.mark.parametrize("name", list(all_keys()))
def test_what_opens_near_a_place_is_what_the_engine_finds_there(name: str) -> None:
    engine = Scanner(X509_DETECTORS).engine
    assert engine is not None
    data = b"\x30\x82" + pkcs8(all_keys()[name])[:300]
    found = Contents(engine).near(data)
    assert found
    assert set(found) == set(Contents(engine).anywhere(data))
