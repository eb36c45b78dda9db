"""Certificates, checked by `cryptography`."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import pytest
from cryptography import x509

from dumpscan.exceptions import ScenarioError
from dumpscan.synth.objects import keys
from dumpscan.synth.objects.certificates import CertificateFields, alternative_name, build_certificate

FIELDS = CertificateFields(
    version=3,
    serial=0x1234567890,
    subject="CN=leaf.example.org,OU=Ünïcode,O=Example\\, Inc.",
    issuer="CN=Issuer",
    not_before=datetime(2024, 1, 2, 3, 4, 5, tzinfo=UTC),
    not_after=datetime(2049, 12, 31, 23, 59, 59, tzinfo=UTC),
    alternative_names=(
        "DNS:leaf.example.org",
        "IP:192.0.2.1",
        "IP:2001:db8::1",
        "email:a@example.org",
        "URI:https://x/",
    ),
    ca=True,
)
SIGNERS = ["rsa-512", "rsa-1024", "ec-p256", "ec-p384", "ec-p521", "ec-secp256k1", "ed25519", "ed448", "dsa-1024"]


def issuer_of(signer: str) -> x509.Certificate:
    key = keys.make_key(signer, "ca")
    fields = replace(FIELDS, subject="CN=Issuer", alternative_names=())
    return x509.load_der_x509_certificate(build_certificate(fields, key, key))


@pytest.mark.parametrize("signer", SIGNERS)
@pytest.mark.parametrize("version", [1, 3])
def test_signature_and_fields_hold(signer: str, version: int) -> None:
    key = keys.make_key("ec-p256", "leaf")
    fields = FIELDS if version == 3 else replace(FIELDS, version=1, alternative_names=(), ca=False)
    der = build_certificate(fields, key, keys.make_key(signer, "ca"))
    certificate = x509.load_der_x509_certificate(der)
    certificate.verify_directly_issued_by(issuer_of(signer))
    assert certificate.version is (x509.Version.v3 if version == 3 else x509.Version.v1)
    assert certificate.serial_number == FIELDS.serial
    assert certificate.subject.rfc4514_string() == FIELDS.subject
    assert certificate.not_valid_before_utc == FIELDS.not_before
    assert certificate.not_valid_after_utc == FIELDS.not_after
    assert len(certificate.extensions) == (2 if version == 3 else 0)
    if version == 3:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        assert names.get_values_for_type(x509.DNSName) == ["leaf.example.org"]
        assert len(names) == 5
        assert certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca


@pytest.mark.parametrize("signer", SIGNERS)
def test_same_fields_same_bytes(signer: str) -> None:
    """DSA and ECDSA signatures too, whose nonces are random elsewhere."""
    key = keys.make_key("ec-p256", "leaf")
    assert len({build_certificate(FIELDS, key, keys.make_key(signer, "ca")) for _ in range(3)}) == 1


@pytest.mark.parametrize("year", [1, 1949, 1950, 1999, 2000, 2049, 2050, 9999])
def test_validity_is_written_as_the_year_demands(year: int) -> None:
    key = keys.make_key("ed25519", "leaf")
    moment = datetime(year, 6, 7, 8, 9, 10, tzinfo=UTC)
    der = build_certificate(replace(FIELDS, not_before=moment, not_after=moment), key, key)
    generalized = f"{year:04}0607080910Z".encode()
    utc = generalized[2:]
    if 1950 <= year < 2050:
        assert b"\x17\x0d" + utc in der
        assert x509.load_der_x509_certificate(der).not_valid_before_utc == moment
    else:
        assert b"\x18\x0f" + generalized in der


def test_validity_is_written_in_utc() -> None:
    key = keys.make_key("ed25519", "leaf")
    moment = datetime(2024, 1, 2, 1, 0, 0, tzinfo=timezone(timedelta(hours=2)))
    der = build_certificate(replace(FIELDS, not_before=moment), key, key)
    assert x509.load_der_x509_certificate(der).not_valid_before_utc == datetime(2024, 1, 1, 23, 0, 0, tzinfo=UTC)


def test_negative_serial_is_written_though_others_refuse_it() -> None:
    key = keys.make_key("ed25519", "leaf")
    der = build_certificate(replace(FIELDS, serial=-5), key, key)
    assert b"\xa0\x03\x02\x01\x02\x02\x01\xfb" in der


@pytest.mark.parametrize("algorithm", ["x25519", "x448"])
def test_keys_that_cannot_sign_need_an_issuer(algorithm: str) -> None:
    key = keys.make_key(algorithm, "leaf")
    with pytest.raises(ScenarioError, match="cannot sign"):
        build_certificate(FIELDS, key, key)
    certificate = x509.load_der_x509_certificate(build_certificate(FIELDS, key, keys.make_key("ed25519", "ca")))
    certificate.verify_directly_issued_by(issuer_of("ed25519"))


def test_version_one_has_no_extensions() -> None:
    key = keys.make_key("ed25519", "leaf")
    for fields in (replace(FIELDS, version=1, ca=False), replace(FIELDS, version=1, alternative_names=())):
        with pytest.raises(ScenarioError, match="version 1"):
            build_certificate(fields, key, key)


@pytest.mark.parametrize("text", ["CN=", "nonsense", "C=USA", "CN=" + "a" * 65, "=x"])
def test_malformed_names_are_refused(text: str) -> None:
    key = keys.make_key("ed25519", "leaf")
    with pytest.raises(ScenarioError, match="RFC 4514"):
        build_certificate(replace(FIELDS, subject=text), key, key)


@pytest.mark.parametrize("text", ["", "DNS", "dns:x", "IP:1.2.3", "DNS:ü.example", "IP:", "email:ü@x"])
def test_malformed_alternative_names_are_refused(text: str) -> None:
    with pytest.raises(ScenarioError, match="alternative name"):
        alternative_name(text)
