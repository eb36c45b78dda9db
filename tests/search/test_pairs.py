"""Which certificate belongs to which private key."""

from __future__ import annotations

from cryptography.hazmat.primitives.serialization import Encoding

from dumpscan.artifacts.keys import private_key
from dumpscan.artifacts.x509 import certificate
from dumpscan.findings import Certificate, EncryptedContainer, PrivateKey
from dumpscan.search.pairs import with_pairs
from support.artifact_samples import certificate_der, certificate_of, ec_key, pkcs8, rsa_key


def test_pairs() -> None:
    key = private_key.parse_any(pkcs8(rsa_key(1024))).finding
    lonely_key = private_key.parse_any(pkcs8(ec_key("secp384r1"))).finding
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


def test_nothing() -> None:
    assert with_pairs([]) == []
