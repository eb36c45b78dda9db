"""What certificates say."""

from __future__ import annotations

from datetime import UTC, datetime
from hashlib import sha256

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from dumpscan.artifacts.x509.parts import take_apart
from support.artifact_samples import (
    ALTERNATIVE_NAMES,
    all_keys,
    certificate_der,
    certificate_in,
    certificate_of,
    ec_key,
    key_id,
    parts_of,
    rewritten,
    tlv,
)

KEYS = all_keys()
NAMES = {
    **{name: "RSA" for name in KEYS if name.startswith("rsa")},
    **{name: "EC" for name in KEYS if name.startswith(("secp", "brainpool"))},
    "ed25519": "Ed25519",
    "ed448": "Ed448",
    "x25519": "X25519",
    "x448": "X448",
    "dsa": "DSA",
}
SIZES = {"ed25519": 256, "ed448": 456, "x25519": 256, "x448": 448}
EXTENDED_TIME = tlv(0x30, tlv(0x17, b"2401020304+0200"), tlv(0x18, b"20340102030405.5Z"))


@pytest.mark.parametrize("name", NAMES)
def test_fields(name: str) -> None:
    key = KEYS[name]
    found = certificate_in(certificate_der(name))
    assert found.problem is None
    assert (found.version, found.serial_number) == (3, "123456789ABCDEF")
    assert found.subject == found.issuer == "CN=example.org,O=Example\\, Inc.,C=DE"
    assert found.subject_common_name == found.issuer_common_name == "example.org"
    assert found.not_before == datetime(2024, 1, 2, 3, 4, 5, tzinfo=UTC)
    assert found.not_after == datetime(2034, 1, 2, 3, 4, 5, tzinfo=UTC)
    assert found.public_key_algorithm == NAMES[name]
    assert found.public_key_size == (SIZES.get(name) or getattr(key, "key_size", None))
    assert found.public_key_curve == (name if NAMES[name] == "EC" else None)
    assert found.public_key_exponent == (65537 if NAMES[name] == "RSA" else None)
    assert found.key_id == key_id(key)
    assert found.alternative_names == ALTERNATIVE_NAMES
    assert found.is_ca is True
    assert found.sha256 == sha256(found.der).hexdigest()


@pytest.mark.parametrize(
    ("name", "algorithm"),
    [
        ("rsa1024", "sha256WithRSAEncryption"),
        ("secp256r1", "ecdsa-with-SHA256"),
        ("ed25519", "Ed25519"),
        ("ed448", "Ed448"),
        ("dsa", "dsa-with-sha256"),
    ],
)
def test_signature_algorithms(name: str, algorithm: str) -> None:
    assert certificate_in(certificate_der(name)).signature_algorithm == algorithm


@pytest.mark.parametrize(
    ("changes", "fields"),
    [
        (
            {"serialNumber": b"\x02\x01\x85"},
            {"serial_number": "-7B", "subject_common_name": "example.org", "is_ca": True},
        ),
        (
            {"validity": EXTENDED_TIME},
            {"not_before": datetime(2024, 1, 2, 1, 4, tzinfo=UTC), "subject_common_name": "example.org", "is_ca": True},
        ),
        ({"validity": tlv(0x30, tlv(0x17, b"odd"), tlv(0x18, b"odd"))}, {"not_before": None, "not_after": None}),
        ({"subject": tlv(0x30, tlv(0x31, b"\x05\x00"))}, {"subject": None, "issuer_common_name": "example.org"}),
        (
            {
                "subjectPublicKeyInfo": tlv(
                    0x30, bytes.fromhex("301306072a8648ce3d020106082a8648ce3d030107"), tlv(3, b"\0\4\1")
                )
            },
            {
                "public_key_algorithm": "EC",
                "public_key_size": None,
                "not_after": datetime(2034, 1, 2, 3, 4, 5, tzinfo=UTC),
            },
        ),
        (
            {"subjectPublicKeyInfo": tlv(0x30, bytes.fromhex("300606042a030405"), tlv(3, b"\0abc"))},
            {"public_key_algorithm": "1.2.3.4.5", "alternative_names": ALTERNATIVE_NAMES},
        ),
        ({"signature": bytes.fromhex("300606042a808001")}, {"subject_common_name": "example.org"}),
        ({"extensions": tlv(0xA3, tlv(0x30, b"\x30\x00"))}, {"alternative_names": (), "is_ca": None}),
        (
            {"extensions": tlv(0xA3, tlv(0x30, tlv(0x30, b"\x06\x03\x55\x1d\x13", tlv(4, b"?"))))},
            {"is_ca": None, "version": 3},
        ),
    ],
    ids=["serial", "zone", "times", "name", "point", "algorithm", "signature", "extensions", "constraints"],
)
def test_what_the_library_refuses_is_kept(changes: dict[str, bytes], fields: dict[str, object]) -> None:
    data = rewritten(certificate_der(), **changes)
    found = certificate_in(data)
    assert found.problem
    assert {name: getattr(found, name) for name in fields} == fields


def test_one_bad_extension_does_not_hide_the_others() -> None:
    whole = take_apart(certificate_der()).extensions or b""
    ((_, inner),) = parts_of(parts_of(whole)[0][1])
    bad = tlv(0x30, bytes.fromhex("0603551d0f"), tlv(4, b"?"))
    found = certificate_in(rewritten(certificate_der(), extensions=tlv(0xA3, tlv(0x30, bad, inner))))
    assert found.problem
    assert (found.alternative_names, found.is_ca) == (ALTERNATIVE_NAMES, True)


def test_more_extensions_than_are_taken_apart() -> None:
    """What the library reads needs no taking apart."""
    ((_, inner),) = parts_of(parts_of(take_apart(certificate_der()).extensions or b"")[0][1])
    many = b"".join(tlv(0x30, bytes((6, 3, 0x55, 0x1D, number)), tlv(4, b"\5\0")) for number in range(0x41, 0x7F))
    assert len(parts_of(inner + many)) == 64
    for extra in (b"", tlv(0x30, b"\6\3\x55\x1d\x7f", tlv(4, b"\5\0"))):
        found = certificate_in(rewritten(certificate_der(), extensions=tlv(0xA3, tlv(0x30, inner, many, extra))))
        assert (found.alternative_names, found.is_ca, found.problem) == (ALTERNATIVE_NAMES, True, None)
    twice = rewritten(certificate_der(), extensions=tlv(0xA3, tlv(0x30, inner, inner, many)))
    found = certificate_in(twice)
    assert found.problem
    assert (found.alternative_names, found.subject_common_name) == ((), "example.org")


def test_an_exponent_of_thousands_of_digits() -> None:
    huge = tlv(0x30, tlv(2, b"\x01" + bytes(2999) + b"\x01"), tlv(2, b"\x01" + bytes(2000) + b"\x01"))
    info = tlv(0x30, bytes.fromhex("300d06092a864886f70d0101010500"), tlv(3, b"\0", huge))
    found = certificate_in(rewritten(certificate_der(), subjectPublicKeyInfo=info))
    assert (found.public_key_algorithm, found.public_key_exponent) == ("RSA", None)


def test_compressed_points_and_missing_parameters_do_not_change_the_key_id() -> None:
    key = ec_key("secp256r1")
    numbers = key.public_key().public_numbers()
    point = bytes((2 + numbers.y % 2,)) + numbers.x.to_bytes(32, "big")
    info = tlv(0x30, bytes.fromhex("301306072a8648ce3d020106082a8648ce3d030107"), tlv(3, b"\0", point))
    assert certificate_in(rewritten(certificate_der(), subjectPublicKeyInfo=info)).key_id == key_id(key)


def _with_extensions(**values: bytes) -> bytes:
    """A certificate with extensions, by the last number of their identifiers under 2.5.29, and nothing else."""
    written = [tlv(0x30, bytes((6, 3, 0x55, 0x1D, int(number[1:]))), tlv(4, value)) for number, value in values.items()]
    return rewritten(certificate_der(), extensions=tlv(0xA3, tlv(0x30, *written)))


DNS, ADDRESS = tlv(0x82, b"good.example"), tlv(0x87, bytes((192, 0, 2, 7)))
SERVER_AUTH = bytes.fromhex("06082b06010505070301")
NAMES_READ = ("DNS:good.example", "IP:192.0.2.7")


def test_usages() -> None:
    purposes = [x509.ExtendedKeyUsageOID.SERVER_AUTH, x509.ObjectIdentifier("1.2.3.4")]
    extensions = [
        x509.KeyUsage(
            digital_signature=True,
            content_commitment=False,
            key_encipherment=False,
            data_encipherment=False,
            key_agreement=True,
            key_cert_sign=False,
            crl_sign=True,
            encipher_only=False,
            decipher_only=True,
        ),
        x509.ExtendedKeyUsage(purposes),
    ]
    der = certificate_of(ec_key("secp256r1"), extensions=extensions).public_bytes(Encoding.DER)
    found = certificate_in(der)
    assert found.key_usage == ("digitalSignature", "keyAgreement", "cRLSign", "decipherOnly")
    assert found.extended_key_usage == ("serverAuth", "1.2.3.4")
    assert found.problem is None
    assert certificate_in(certificate_der()).key_usage == ()


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ((tlv(0x82, b"m\xc3\xbcller.\xff"), DNS, ADDRESS), ("DNS:mÃ¼ller.ÿ",)),
        ((DNS, tlv(0x82, b"m\xfcller.example"), ADDRESS), ("DNS:müller.example",)),
        ((DNS, tlv(0x87, bytes(5)), ADDRESS), ()),
        ((DNS, tlv(0x88, b""), ADDRESS), ()),
        ((DNS, tlv(0xA4, b"\x30\x02\x05\x00"), ADDRESS), ()),
        ((DNS, tlv(0x9F, b"x"), ADDRESS), None),
        ((DNS, tlv(0x89, b"x"), ADDRESS), ()),
        ((tlv(0x81, b"\xff@example"), DNS, ADDRESS), ("email:ÿ@example",)),
        ((tlv(0x86, b"http://\xe9/"), DNS, ADDRESS), ("URI:http://é/",)),
    ],
    ids=["mixed", "latin-1", "address", "id", "directory", "long-tag", "unknown", "email", "uri"],
)
def test_one_malformed_name_does_not_hide_the_others(
    names: tuple[bytes, ...], expected: tuple[str, ...] | None
) -> None:
    constraints = tlv(0x30, b"\x01\x01\xff")
    found = certificate_in(_with_extensions(_17=tlv(0x30, *names), _19=constraints))
    assert found.problem
    assert found.is_ca is True
    if expected is not None:
        assert set(found.alternative_names) == {*NAMES_READ, *expected}


@pytest.mark.parametrize(
    ("extensions", "expected"),
    [
        ({"_15": b"\x03\x01\x00"}, {"key_usage": ()}),
        ({"_15": b"\x03\x02\x00\xa0"}, {"key_usage": ("digitalSignature", "keyEncipherment")}),
        ({"_15": b"\x03\x03\x00\x06\x80"}, {"key_usage": ("keyCertSign", "cRLSign", "decipherOnly")}),
        ({"_15": b"\x03\x02\x09\x06"}, {"key_usage": ("keyCertSign", "cRLSign")}),
        ({"_19": tlv(0x30, b"\x01\x01\x01")}, {"is_ca": True}),
        ({"_19": tlv(0x30, b"\x01\x01\x00")}, {"is_ca": False}),
        ({"_19": tlv(0x30, b"\x01\x01\xff", b"\x02\x01\xff")}, {"is_ca": True}),
        (
            {"_37": tlv(0x30, bytes.fromhex("06082b06010505070301"), b"\x06\x00")},
            {"extended_key_usage": ("serverAuth",)},
        ),
    ],
    ids=["none", "unused-bits", "nine", "wrong-count", "true", "false", "path-length", "purposes"],
)
def test_extensions_are_read_each_for_itself(extensions: dict[str, bytes], expected: dict[str, object]) -> None:
    bad = {"_14": b"?", "_17": tlv(0x30, DNS, ADDRESS)}  # a subject key identifier that is none
    found = certificate_in(_with_extensions(**bad, **extensions))
    assert found.problem
    assert found.alternative_names == NAMES_READ
    assert {name: getattr(found, name) for name in expected} == expected


def _rdn(value: bytes, kind: str = "0603550403") -> bytes:
    return tlv(0x31, tlv(0x30, bytes.fromhex(kind), value))


@pytest.mark.parametrize(
    ("odd", "expected"),
    [
        (b"\x31\x00", "CN=good"),
        (tlv(0x31, b"\x05\x00"), "CN=good"),
        (_rdn(tlv(0x0C, b"M\xfcller"), "060355040a"), "CN=good,O=Müller"),
        (_rdn(tlv(0x13, b"M\xc3\xbcller"), "060355040a"), "CN=good,O=Müller"),
        (_rdn(tlv(0x1E, b"\0Mx"), "060355040a"), "CN=good,O=M\ufffd"),
        (_rdn(tlv(0x1C, b"\0\0\0M"), "060355040a"), "CN=good,O=M"),
    ],
    ids=["empty", "no-pair", "latin-1", "printable", "bmp", "universal"],
)
def test_one_odd_name_does_not_hide_the_others(odd: bytes, expected: str) -> None:
    found = certificate_in(rewritten(certificate_der(), subject=tlv(0x30, odd, _rdn(tlv(0x0C, b"good")))))
    assert (found.subject, found.subject_common_name) == (expected, "good")
    assert found.issuer_common_name == "example.org"
