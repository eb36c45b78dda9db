"""Which certificate belongs to which private key."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from dumpscan.artifacts.x509 import certificate
from dumpscan.findings import Certificate, EncryptedContainer, Finding, Location, PrivateKey, Process
from dumpscan.search.pairs import with_pairs
from support.artifact_samples import certificate_der, certificate_of, ec_key, parse_any, pkcs8, rsa_key


def test_pairs() -> None:
    key = parse_any(pkcs8(rsa_key(1024))).finding
    lonely_key = parse_any(pkcs8(ec_key("secp384r1"))).finding
    own = certificate.parse(certificate_der("rsa1024")).finding
    renewed = certificate.parse(certificate_of(rsa_key(1024), name="new").public_bytes(Encoding.DER)).finding
    lonely = certificate.parse(certificate_der("secp256r1")).finding
    container = EncryptedContainer(sha256="", size=0, container="pkcs12", data=b"")
    findings = [own, key, container, lonely, renewed, lonely_key]
    paired = with_pairs(findings)
    assert [finding.identity for finding in paired] == [finding.identity for finding in findings]
    found_key, found_lonely_key = paired[1], paired[5]
    assert isinstance(found_key, PrivateKey)
    assert isinstance(found_lonely_key, PrivateKey)
    assert [reference.thumbprint for reference in found_key.certificates] == [own.thumbprint, renewed.thumbprint]  # type: ignore[attr-defined]
    assert [reference.subject for reference in found_key.certificates][1].startswith("CN=new,")
    assert found_lonely_key.certificates == ()
    certificates = [finding for finding in paired if isinstance(finding, Certificate)]
    assert [finding.private_keys for finding in certificates] == [(found_key.key_id,), (), (found_key.key_id,)]
    assert with_pairs(paired) == paired
    assert paired[2] == container


def lying(finding: Finding, *places: tuple[str, Process | None]) -> Finding:
    """Return a finding that lies in these files and processes."""
    return replace(
        finding,
        locations=tuple(
            Location(
                file=file, virtual_address=1, length=1, extents=(), sha256="00" * 32, encoding="der", process=process
            )
            for file, process in places
        ),
    )


EARLY, LATE = (datetime(year, 1, 1, tzinfo=UTC) for year in (2020, 2025))


@pytest.mark.parametrize(
    ("ours", "theirs", "same"),
    [
        (("a", Process(pid=7)), ("a", Process(pid=7)), True),
        (("a", Process(pid=7)), ("a", Process(pid=8)), False),
        (("a", Process(pid=7)), ("b", Process(pid=7)), False),  # on another machine, or at another time
        (("a", Process(pid=7)), ("a", None), False),
        (("a", None), ("a", None), False),
        (("a", Process()), ("a", Process()), False),
        # Process ids are given out again.
        (("a", Process(pid=7, created=EARLY)), ("a", Process(pid=7, created=LATE)), False),
        (("a", Process(pid=7, created=EARLY)), ("a", Process(pid=7, created=EARLY)), True),
    ],
)
def test_a_pair_in_one_process(
    ours: tuple[str, Process | None], theirs: tuple[str, Process | None], *, same: bool
) -> None:
    key = parse_any(pkcs8(rsa_key(1024))).finding
    own = certificate.parse(certificate_der("rsa1024")).finding
    elsewhere = ("c", Process(pid=1))
    (paired, *_) = with_pairs([lying(key, elsewhere, ours), lying(own, theirs)])
    assert isinstance(paired, PrivateKey)
    assert [reference.same_process for reference in paired.certificates] == [same]


def test_certificates_of_the_keys_own_process_come_first() -> None:
    key = parse_any(pkcs8(rsa_key(1024))).finding
    own = certificate.parse(certificate_der("rsa1024")).finding
    later = replace(own, thumbprint="AB" * 20, not_after=LATE.replace(year=9999))  # type: ignore[call-arg]
    here, there = ("a", Process(pid=7)), ("a", Process(pid=8))
    for mine, others in ((own, later), (later, own)):
        (paired, *_) = with_pairs([lying(key, here), lying(others, there), lying(mine, here)])
        assert isinstance(paired, PrivateKey)
        assert [(each.thumbprint, each.same_process) for each in paired.certificates] == [
            (mine.thumbprint, True),  # type: ignore[attr-defined]
            (others.thumbprint, False),  # type: ignore[attr-defined]
        ]


def test_nothing() -> None:
    assert with_pairs([]) == []
