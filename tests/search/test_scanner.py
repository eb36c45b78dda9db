"""From bytes in memory to findings."""

from __future__ import annotations

import json
import re
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from hypothesis import given, settings
from hypothesis import strategies as st

from dumpscan.artifacts import der
from dumpscan.artifacts.keys.ec.named import NamedCurve, all_curves
from dumpscan.artifacts.keys.ec.proof import ec_key
from dumpscan.artifacts.registry import EVERYTHING, X509_DETECTORS
from dumpscan.exceptions import DumpscanError
from dumpscan.findings import Certificate, PrivateKey, Process
from dumpscan.memory.minidump.dump import Minidump
from dumpscan.search import decoding as decoding_module
from dumpscan.search.decoding import Decoding
from dumpscan.search.merge import Collector
from dumpscan.search.pairs import SUPPORTED, with_pairs
from dumpscan.search.scanner import Scanner
from support.artifact_samples import (
    BASE,
    Space,
    all_keys,
    capi_rsa,
    certificate_der,
    cng_ec,
    cng_rsa,
    damaged,
    key_id,
    pem,
    pkcs8,
    rewritten,
    rsa_key,
    tlv,
    traditional,
)
from support.corpus import corpus_dumps

if TYPE_CHECKING:
    from dumpscan.findings import Finding

SCANNER = Scanner(X509_DETECTORS)
GAP = bytes(37)


def _scan(*spaces: Space) -> list[Finding]:
    collector = Collector()
    for number, space in enumerate(spaces):
        assert SCANNER.scan(space, collector, order=(number,)) == ()
    return with_pairs(collector.findings())


def _every_encoding(name: str) -> dict[str, bytes]:
    """Every way to write the key of that name, by what is expected to be said of it."""
    key = all_keys()[name]
    written = {"pkcs8": pkcs8(key), "pem": pem(pkcs8(key), "PRIVATE KEY")}
    written["pem-utf16"] = pem(pkcs8(key), "PRIVATE KEY", "\r\n").decode().encode("utf-16-le")
    if name == "ed25519":
        return written
    ssh = key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())
    written["pem "] = ssh
    written["pem  "] = pem(traditional(key), "RSA PRIVATE KEY" if "rsa" in name else "EC PRIVATE KEY", "\\n")
    if name.startswith("rsa"):
        rsa = {"pkcs1": traditional(key), "cng": cng_rsa(key), "cng ": cng_rsa(key, full=True)}  # type: ignore[arg-type]
        return written | rsa | {"capi": capi_rsa(key), "capi ": capi_rsa(key, 0x2400)}  # type: ignore[arg-type]
    blobs = {"cng": cng_ec(key, b"ECS2"), "cng ": cng_ec(key, b"ECK2")}  # type: ignore[arg-type]
    return written | {"sec1": traditional(key)} | blobs


@pytest.mark.parametrize("name", ["rsa1024", "rsa2048", "secp256r1", "ed25519"])
def test_every_encoding_of_a_key_is_one_finding(name: str) -> None:
    written = _every_encoding(name)
    space = Space({BASE: GAP + GAP.join(written.values()) + GAP})
    (found,) = _scan(space)
    assert isinstance(found, PrivateKey)
    assert found.key_id == key_id(all_keys()[name])
    assert found.location_count == len(found.locations) == len(written)
    offset = len(GAP)
    for location, (encoding, data) in zip(found.locations, written.items(), strict=True):
        assert location.encoding == encoding.strip()
        assert (location.virtual_address, location.length) == (BASE + offset, len(data))
        assert location.extents == ((offset, len(data)),)
        assert location.sha256 == sha256(data).hexdigest()
        offset += len(data) + len(GAP)


def test_a_certificate_in_der_and_pem_is_one_finding_and_pairs_with_its_key() -> None:
    der = certificate_der("rsa1024")
    texts = [pem(der, "CERTIFICATE"), pem(der, "X509 CERTIFICATE", "\r\n").decode().encode("utf-16-le")]
    space = Space({0x10000: GAP + der + GAP, 0x20000: GAP.join(texts) + GAP, 0x90000: traditional(rsa_key(1024)) + GAP})
    certificate, key = _scan(space)
    assert isinstance(certificate, Certificate)
    assert isinstance(key, PrivateKey)
    assert [location.encoding for location in certificate.locations] == ["der", "pem", "pem-utf16"]
    assert certificate.private_keys == (key.key_id,)
    assert [reference.thumbprint for reference in key.certificates] == [certificate.thumbprint]


def test_where_an_object_lies() -> None:
    der = certificate_der("rsa2048")
    process = Process(pid=4711, name="a.exe")
    space = Space(
        {0x5000: b"tail" + der[:100], 0x5000 + 104: der[100:] + GAP, 0x1000: GAP},
        path=Path("some.dmp"),
        process=process,
        modules={range(0x5000, 0x6000): "crypt32.dll"},
    )
    (found,) = _scan(space)
    (location,) = found.locations
    assert (location.file, location.virtual_address, location.length) == ("some.dmp", 0x5004, len(der))
    assert location.extents == ((4, 100), (104, len(der) - 100))
    assert location.region == (0x5000, 104)
    assert (location.module, location.process, location.missing) == ("crypt32.dll", process, 0)


def test_files_are_told_apart() -> None:
    der = certificate_der("ed25519")
    spaces = [Space({BASE: GAP + der + GAP}, path=Path(name)) for name in ("b.dmp", "a.dmp")]
    (found,) = _scan(*spaces)
    assert [location.file for location in found.locations] == ["b.dmp", "a.dmp"]


def test_a_certificate_that_the_dump_ends_in() -> None:
    der = certificate_der("rsa2048")
    space = Space({0x1000: GAP + der, 0x8000: GAP + der[:700]})
    (found,) = _scan(space)
    assert [(at.virtual_address, at.length, at.missing) for at in found.locations] == [
        (0x1000 + len(GAP), len(der), 0),
        (0x8000 + len(GAP), len(der), len(der) - 700),
    ]
    assert found.locations[1].extents == ((len(GAP) + len(der) + len(GAP), 700),)
    assert isinstance(found, Certificate)
    assert found.problem is None


def test_names_of_signatures_are_unique_and_expressions_are_fast() -> None:
    names = [signature.name for signature, _ in X509_DETECTORS]
    assert len({*names}) == len(names)
    assert max(signature.length for signature, _ in X509_DETECTORS) < 64


@pytest.mark.parametrize("kind", all_keys())
def test_copies_with_damage_are_no_other_keys(kind: str) -> None:
    """Only what has no stored public value can change into another key without anybody being able to tell."""
    key = all_keys()[kind]
    if kind in ("ed25519", "ed448", "x25519", "x448", "dsa"):
        pytest.skip("its PKCS#8 form stores no public value")
    copies = list(damaged(pkcs8(key), 24))
    space = Space({BASE: GAP.join(copies) + GAP})
    assert {found.identity for found in _scan(space)} <= {("private_key", key_id(key))}


@settings(max_examples=25)
@given(st.lists(st.tuples(st.sampled_from(range(len(X509_DETECTORS))), st.binary(max_size=40)), max_size=30))
def test_noise_behind_openings_is_nothing(pieces: list[tuple[int, bytes]]) -> None:
    examples = [_example(signature.expression) for signature, _ in X509_DETECTORS]
    data = b"".join(examples[number] + noise for number, noise in pieces)
    # Any 32 bytes are a public key of Curve25519; such keys only help to find others, and are not shown.
    assert EVERYTHING.shown(_scan(Space({BASE: data + GAP}))) == []


def _example(expression: bytes) -> bytes:
    """Some bytes that an expression matches: the last of every range, zero for any byte."""
    text, made = expression.decode(), bytearray()
    while text:
        if text[0] == "[":
            inside, text = text[1:].split("]", 1)
            made.append(int(inside[-2:], 16))
        else:
            size = 4 if text[0] == "\\" else 1
            made.append(0x2F if size == 1 else int(text[2:4], 16))
            text = text[size:]
    return bytes(made)


@pytest.mark.parametrize(
    "opening",
    [
        "3082ffff3082fff0a003020102020430820100",
        "308210003082 0f00a003020102020101",
        "3082ffff02010002820101",
        "30800201033080 06092a864886f70d010701a080 2480",
        "3084007fffff0201033080 06092a864886f70d010701a0",
        "2d2d2d2d2d424547494e2043455254494649434154452d2d2d2d2d",
        "52534132 00400000 03000000 00080000 00040000 00040000",
        "6f70656e7373682d6b65792d763100",
    ],
)
def test_a_file_full_of_openings(opening: str) -> None:
    """It says nothing, and every real object that lies among them a little apart is found all the same."""
    lure = bytes.fromhex(opening)
    der = certificate_der("secp256r1")
    data = lure * (200_000 // len(lure)) + b"\0" * 16 + der + b"\0" * 16 + lure * (100_000 // len(lure))
    collector = Collector()
    notes = SCANNER.scan(Space({BASE: data}), collector)
    assert [found.sha256 for found in collector.findings()] == [sha256(der).hexdigest()]
    assert notes == ()


def test_what_announces_too_much_is_given_up_and_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """Structures within one another that all fit: few of the large ones are read; small objects are found anyway."""
    monkeypatch.setattr(decoding_module, "_FIRST_ALLOWANCE", 1 << 20)
    lure = bytes.fromhex("3082ff07 020100 0282ff00")
    der = certificate_der("ed25519")
    collector = Collector()
    (note,) = SCANNER.scan(Space({BASE: lure * 30_000 + GAP + der + bytes(1 << 16)}), collector)
    assert re.match(r"\d{5} large objects not looked into", note)
    assert [found.sha256 for found in collector.findings()] == [sha256(der).hexdigest()]


def test_hits_that_come_to_nothing_wear_out_patience_and_that_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """After too many of them nothing is looked into until more has been scanned."""
    monkeypatch.setattr(decoding_module, "_FIRST_PATIENCE", 1000)
    lure = bytes.fromhex("3082ffff 3082fff0 a003020102 020101")
    der = certificate_der("ed25519")
    collector = Collector()
    (note,) = SCANNER.scan(Space({BASE: der + GAP + lure * 30_000}), collector)
    assert re.match(r"\d{5} openings of objects passed over", note)
    assert [found.sha256 for found in collector.findings()] == [sha256(der).hexdigest()]


def test_patience_comes_back_with_what_was_scanned(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoding_module, "_FIRST_PATIENCE", 0)
    der = certificate_der("ed25519")
    space = Space({BASE: der})
    decoding = Decoding(SCANNER.decoders)
    hit, *_ = SCANNER.engine.scan(space)
    assert decoding.decode(space, hit) is None
    assert decoding.passed_over == 1
    decoding.scanned(1 << 20)
    assert decoding.decode(space, hit) is not None


def test_the_allowance_grows_with_what_was_scanned() -> None:
    padding = tlv(0x30, bytes.fromhex("0603550411"), tlv(4, bytes(20_000)))
    data = rewritten(certificate_der("ed25519"), extensions=tlv(0xA3, tlv(0x30, padding)))
    space = Space({BASE: data})
    decoding = Decoding(SCANNER.decoders)
    hit, *_ = SCANNER.engine.scan(space)
    decoding._allowance = len(data)
    assert decoding.decode(space, hit) is not None
    assert decoding.decode(space, hit) is None
    assert decoding.skipped == 1
    decoding.scanned(len(data))
    assert decoding.decode(space, hit) is not None
    assert decoding.skipped == 1


def test_a_scan_adds_to_the_allowance(monkeypatch: pytest.MonkeyPatch) -> None:
    """Large objects as far apart as real ones are all found, however many there are."""
    padding = tlv(0x30, bytes.fromhex("0603550411"), tlv(4, bytes(50_000)))
    data = rewritten(certificate_der("ed25519"), extensions=tlv(0xA3, tlv(0x30, padding)))
    monkeypatch.setattr(decoding_module, "_FIRST_ALLOWANCE", 2 * len(data))
    pieces = {0x1000_0000 * number: data + bytes(4 << 20) for number in range(1, 5)}
    (found,) = _scan(Space(pieces))
    assert found.location_count == 4


def test_copies_without_number() -> None:
    der = certificate_der("ed25519")
    count = 20_000
    collector = Collector(most_locations=10)
    assert SCANNER.scan(Space({BASE: (der + GAP) * count}), collector) == ()
    (found,) = collector.findings()
    assert (found.location_count, len(found.locations)) == (count, 10)


def test_results_known_are_forgotten_when_there_are_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoding_module, "_MOST_KNOWN", 2)
    data = [certificate_der(name) for name in ("ed25519", "secp256r1", "rsa1024", "ed448")]
    assert len(_scan(Space({BASE: GAP.join(data * 2) + GAP}))) == 4


def test_progress_adds_up() -> None:
    done: list[int] = []
    space = Space({BASE: bytes(9 << 20), 0x1000: bytes(123)})
    SCANNER.scan(space, Collector(), progress=done.append)
    assert sum(done) == (9 << 20) + 123


@pytest.mark.parametrize("path", corpus_dumps(), ids=lambda path: path.stem)
def test_real_dumps_without_keys(path: Path) -> None:
    try:
        dump = Minidump(path)
    except DumpscanError:
        return
    with dump:
        collector = Collector()
        SCANNER.scan(dump, collector)
    assert not [found for found in collector.findings() if isinstance(found, PrivateKey)]


def test_a_real_process(wine_dump: Path, wine_truth: dict[str, Any]) -> None:
    with Minidump(wine_dump) as dump:
        collector = Collector()
        assert SCANNER.scan(dump, collector) == ()
        found = with_pairs(collector.findings())
        places = {location.virtual_address: (finding, location) for finding in found for location in finding.locations}
        expected = {"rsa.cer": "der", "ec.pem": "pem", "ec.trad": "sec1", "rsa.p8": "pkcs8"}
        for name, encoding in expected.items():
            finding, location = places.pop(wine_truth[name]["va"])
            assert (location.length, location.encoding) == (wine_truth[name]["size"], encoding)
            assert b"".join(bytes(dump.buffer[at : at + size]) for at, size in location.extents) == dump.read(
                wine_truth[name]["va"], wine_truth[name]["size"]
            )
            assert isinstance(finding, Certificate if name == "rsa.cer" else PrivateKey)
        assert all(isinstance(finding, Certificate) for finding, _ in places.values())
    certificate = next(finding for finding in found if isinstance(finding, Certificate))
    keys = {finding.algorithm: finding for finding in found if isinstance(finding, PrivateKey)}
    assert certificate.private_keys == (keys["RSA"].key_id,)
    assert keys["EC"].location_count == 2
    assert json.dumps(sorted(keys)) == '["EC", "RSA"]'


_BY_NUMBERS = {curve.curve: curve for curve in reversed(all_curves())}
_SECOND_NAMES = [curve for curve in all_curves() if _BY_NUMBERS[curve.curve] is not curve]


@pytest.mark.parametrize("curve", _SECOND_NAMES, ids=lambda curve: curve.name)
def test_a_key_on_a_curve_with_two_names_is_one_finding(curve: NamedCurve) -> None:
    """The structure of SEC 1 within PKCS#8 does not name the curve; where it lies alone it is of the first name."""
    key = ec_key(curve, 0xC0FFEE << 80 | 0x1234567, plausible=lambda _: True)
    (found,) = _scan(Space({BASE: GAP + key.pkcs8 + GAP}))
    assert isinstance(found, PrivateKey)
    assert (found.curve, found.key_id, found.proof) == (curve.name, key.key_id, ("Q = d*G",))
    *_, private = der.members(key.pkcs8)
    both = _scan(Space({BASE: GAP + key.pkcs8 + GAP + private.content + GAP}))
    assert {each.curve for each in both if isinstance(each, PrivateKey)} == {
        curve.name,
        _BY_NUMBERS[curve.curve].name,
    }


@pytest.mark.parametrize("name", ["secp256r1", "ed25519"])
def test_a_public_key_in_text_proves_a_private_key_that_tells_none(name: str) -> None:
    key = all_keys()[name]
    data = pkcs8(key)
    if name == "secp256r1":
        value = key.private_numbers().private_value.to_bytes(32, "big")  # type: ignore[union-attr]
        data = tlv(0x30, b"\x02\x01\x01", tlv(0x04, value))
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    found = [
        finding for finding in _scan(Space({BASE: GAP + data + GAP + public + GAP})) if isinstance(finding, PrivateKey)
    ]
    assert [(finding.key_id, finding.proof) for finding in found if finding.proof] == [(key_id(key), (SUPPORTED,))]
