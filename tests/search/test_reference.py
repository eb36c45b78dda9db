"""Certificates and keys that a user names, in every form that they are kept in."""

from __future__ import annotations

import base64
from datetime import UTC, datetime
from hashlib import sha1, sha256
from typing import TYPE_CHECKING

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    pkcs7,
)

from dumpscan.exceptions import UsageError
from dumpscan.search.reference import read_references, references
from support.artifact_samples import certificate_der, rewritten

if TYPE_CHECKING:
    from pathlib import Path

KEY = rsa.generate_private_key(65537, 1024)  # noqa: S505 - quick to make
INFO = KEY.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
KEY_ID = sha256(INFO).hexdigest()
NAME = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "www.example.org")])
CERTIFICATE = x509.CertificateBuilder(
    NAME, NAME, KEY.public_key(), 1, datetime(2026, 1, 1, tzinfo=UTC), datetime(2050, 1, 1, tzinfo=UTC)
).sign(KEY, hashes.SHA256())
DER = CERTIFICATE.public_bytes(Encoding.DER)
PEM = CERTIFICATE.public_bytes(Encoding.PEM)
THUMBPRINT = sha1(DER, usedforsecurity=False).hexdigest().upper()
SSH = KEY.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)
REQUEST = x509.CertificateSigningRequestBuilder(NAME).sign(KEY, hashes.SHA256())

CERTIFICATES = {
    "der": DER,
    "pem": PEM,
    "pem after text": b"subject=CN=www.example.org\n\n" + PEM + b"SHA1 Fingerprint=00\n",
    "pem of PowerShell": b"\xff\xfe" + PEM.decode().encode("utf-16-le"),
    "base64": base64.encodebytes(DER),
    "trusted": PEM.replace(b"CERTIFICATE", b"TRUSTED CERTIFICATE"),
    "pkcs7 der": pkcs7.serialize_certificates([CERTIFICATE], Encoding.DER),
    "pkcs7 pem": pkcs7.serialize_certificates([CERTIFICATE], Encoding.PEM),
}
KEYS = {
    "spki der": INFO,
    "spki pem": KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
    "pkcs1 der": KEY.public_key().public_bytes(Encoding.DER, PublicFormat.PKCS1),
    "pkcs1 pem": KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.PKCS1),
    "ssh": SSH + b" alice@example.org\n",
    "authorized_keys": b'# admins\ncommand="ls -l",no-pty ' + SSH + b" alice\n",
    "known_hosts": b"host.example.org,10.0.0.1 " + SSH + b"\n",
    "rfc4716": b'---- BEGIN SSH2 PUBLIC KEY ----\nComment: "a \\\nkey"\n'
    + base64.encodebytes(base64.b64decode(SSH.split()[1]))
    + b"---- END SSH2 PUBLIC KEY ----\n",
    "request": REQUEST.public_bytes(Encoding.PEM),
    "private": KEY.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()),
    "private der": KEY.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption()),
    "private openssh": KEY.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()),
}
PAIRS = [THUMBPRINT[at : at + 2] for at in range(0, 40, 2)]
THUMBPRINTS = (
    THUMBPRINT,
    THUMBPRINT.lower(),
    ":".join(PAIRS),
    " ".join(PAIRS).lower(),
    "-".join(PAIRS),
    f"\u200e{THUMBPRINT}",
    f"sha1 Fingerprint={':'.join(PAIRS)}",
    f"Cert Hash(sha1): {THUMBPRINT.lower()}",
    f"Thumbprint : {THUMBPRINT}",
)


@pytest.mark.parametrize("form", CERTIFICATES)
def test_a_certificate_names_itself_and_its_key(form: str, tmp_path: Path) -> None:
    path = tmp_path / "certificate"
    path.write_bytes(CERTIFICATES[form])

    (reference,) = references(str(path))

    assert (reference.thumbprint, reference.sha256) == (THUMBPRINT, sha256(DER).hexdigest())
    assert (reference.key_id, reference.public_info) == (KEY_ID, INFO)
    assert reference.what == "certificate CN=www.example.org"


@pytest.mark.parametrize("form", KEYS)
def test_a_key_names_its_certificates_too(form: str, tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_bytes(KEYS[form])

    (reference,) = references(str(path))

    assert (reference.key_id, reference.public_info, reference.thumbprint) == (KEY_ID, INFO, None)


@pytest.mark.parametrize("text", THUMBPRINTS, ids=range(len(THUMBPRINTS)))
def test_thumbprints_in_every_spelling(text: str) -> None:
    (reference,) = references(text)

    assert (reference.thumbprint, reference.key_id) == (THUMBPRINT, None)


@pytest.mark.parametrize(
    "text",
    [KEY_ID, KEY_ID.upper(), f"key id: {KEY_ID}", f"sha256//{base64.b64encode(bytes.fromhex(KEY_ID)).decode()}"],
    ids=["lower", "upper", "named", "base64"],
)
def test_key_ids(text: str) -> None:
    (reference,) = references(text)

    assert reference.key_id == KEY_ID


def test_a_bundle_names_each_of_its_parts_once(tmp_path: Path) -> None:
    other = ec.generate_private_key(ec.SECP256R1()).public_key()
    path = tmp_path / "bundle.pem"
    path.write_bytes(PEM + other.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo) + PEM)

    assert [reference.what.split()[0] for reference in references(str(path))] == ["certificate", "public"]


def test_a_compressed_point_is_the_same_key(tmp_path: Path) -> None:
    key = ec.derive_private_key(7, ec.SECP256R1()).public_key()
    info = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    point = key.public_bytes(Encoding.X962, PublicFormat.CompressedPoint)
    path = tmp_path / "key.der"
    path.write_bytes(b"\x30\x39" + info[2:23] + b"\x03\x22\x00" + point)

    assert references(str(path))[0].key_id == sha256(info).hexdigest()


def test_a_list_has_comments_and_every_spelling(tmp_path: Path) -> None:
    path = tmp_path / "list"
    path.write_text(f"# known\n\n{THUMBPRINTS[2]}  # the web server\n{KEY_ID}\n{SSH.decode()}\n")

    listed = read_references(path)
    assert [reference.given for reference in listed] == [f"{path}, line {number}" for number in (3, 5)]
    assert listed[0].names | listed[1].names == {THUMBPRINT.lower(), KEY_ID}
    assert listed[1].public_info == INFO


ENCRYPTED = BestAvailableEncryption(b"secret")


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "holds nothing"),
        (b"abc\n", "line 1: expected a certificate or public key"),
        (b"\x30\x03\x02\x01\x00", "neither a certificate nor a public key"),
        (b"\xfe\x80\x81", "neither a certificate nor a key nor text"),
        (PEM[:-20], "without its last line"),
        (PEM.replace(b"MII", b"NII"), "has a certificate that cannot be read"),
        (KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, ENCRYPTED), "encrypted private key"),
        (KEY.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, ENCRYPTED), "encrypted private key"),
    ],
)
def test_what_names_nothing_is_refused(data: bytes, said: str, tmp_path: Path) -> None:
    path = tmp_path / "given"
    path.write_bytes(data)

    with pytest.raises(UsageError, match=said) as refused:
        references(str(path))
    assert str(path) in str(refused.value)


def test_what_is_no_file_is_refused_with_what_it_may_be() -> None:
    with pytest.raises(UsageError, match=r"DEADBEEF: cannot be read: No such file.*thumbprint"):
        references("DEADBEEF")


def test_a_certificate_of_an_unknown_version_names_itself_and_its_key(tmp_path: Path) -> None:
    """The library refuses it with an exception of its own kind."""
    path = tmp_path / "odd.cer"
    path.write_bytes(rewritten(certificate_der("secp256r1"), version=bytes.fromhex("a00302017f")))
    (found,) = read_references(path)
    assert found.sha256 == sha256(path.read_bytes()).hexdigest()
    assert found.key_id is not None
