"""Findings as a scan would make them, from real certificates and keys made on the spot."""

from __future__ import annotations

import dataclasses
import hashlib
from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa, x25519

from dumpscan.findings import (
    Certificate,
    CertificateRef,
    EncryptedContainer,
    Finding,
    KeyObject,
    Location,
    PrivateKey,
    Process,
    PublicKey,
    SymmetricKey,
    TlsSecret,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPrivateKeyTypes, PrivateKeyTypes

DUMP = "w3wp.exe_240611_093012.dmp"
NOW = datetime(2025, 6, 1, tzinfo=UTC)
PROCESS = Process(
    pid=5120,
    name="w3wp.exe",
    parent_pid=904,
    executable="C:\\Windows\\System32\\inetsrv\\w3wp.exe",
    command_line='c:\\windows\\system32\\inetsrv\\w3wp.exe -ap "DefaultAppPool" -v "v4.0" -l "webengine4.dll"',
    environment=("=C:=C:\\Windows", "Path=C:\\Windows\\system32;C:\\Windows", "EMPTY=", "lonely"),
    architecture="x64",
    session=0,
    created=datetime(2024, 6, 11, 9, 30, 12, 125000, tzinfo=UTC),
)
RAW_PROBLEM = "serial number is negative (-0x1f): RFC 5280 allows positive ones only"


def references(certificates: Iterable[Certificate]) -> tuple[CertificateRef, ...]:
    """Name certificates as a key's record does, the longest valid first."""
    ordered = sorted(certificates, key=lambda c: str(c.not_after), reverse=True)
    return tuple(
        CertificateRef(
            thumbprint=c.thumbprint,
            subject=c.subject or "",
            common_name=c.subject_common_name,
            not_after=c.not_after,
        )
        for c in ordered
    )


def place(
    address: int | None,
    data: bytes,
    encoding: str = "der",
    *,
    file: str = DUMP,
    process: Process | None = PROCESS,
    missing: int = 0,
) -> Location:
    """A location as the scanner of a minidump fills it in."""
    offset = 0x12A0 if address is None else (address & 0xFFFFFFF) + 0x12A0
    return Location(
        file=file,
        virtual_address=address,
        length=len(data),
        extents=((offset, len(data) - missing),),
        sha256=hashlib.sha256(data).hexdigest(),
        encoding=encoding,
        region=None if address is None else (address & ~0xFFF, 0x4000),
        module=None,
        process=process,
        missing=missing,
    )


def pkcs8(key: PrivateKeyTypes) -> bytes:
    return key.private_bytes(
        serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def key_id(key: PrivateKeyTypes) -> str:
    info = key.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(info).hexdigest()


def certificate(
    key: CertificateIssuerPrivateKeyTypes,
    common_name: str,
    address: int,
    *,
    until: datetime = datetime(2027, 3, 1, tzinfo=UTC),
    paired: bool = True,
    issuer: str | None = None,
    is_ca: bool = False,
    file: str = DUMP,
) -> Certificate:
    """A certificate's finding as the decoder fills it in."""
    subject = x509.Name(
        [
            x509.NameAttribute(x509.NameOID.COUNTRY_NAME, "NL"),
            x509.NameAttribute(x509.NameOID.ORGANIZATION_NAME, "Contoso"),
            x509.NameAttribute(x509.NameOID.COMMON_NAME, common_name),
        ]
    )
    signer = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, issuer)]) if issuer else subject
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(signer)
        .public_key(key.public_key())
        .serial_number(0x1A2B3C4D5E6F)
        .not_valid_before(datetime(2022, 1, 1, tzinfo=UTC))
        .not_valid_after(until)
        .sign(key, None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256())
    )
    der = made.public_bytes(serialization.Encoding.DER)
    size = getattr(key, "key_size", 256)
    curve = key.curve.name if isinstance(key, ec.EllipticCurvePrivateKey) else None
    algorithm = {"RSAPrivateKey": "RSA", "EllipticCurvePrivateKey": "EC", "ECPrivateKey": "EC"}.get(
        type(key).__name__, "Ed25519"
    )
    return Certificate(
        sha256=hashlib.sha256(der).hexdigest(),
        size=len(der),
        locations=(place(address, der, file=file),),
        location_count=1,
        der=der,
        thumbprint=hashlib.sha1(der, usedforsecurity=False).hexdigest().upper(),
        version=3,
        serial_number="1A2B3C4D5E6F",
        subject=made.subject.rfc4514_string(),
        issuer=made.issuer.rfc4514_string(),
        subject_common_name=common_name,
        issuer_common_name=issuer or common_name,
        not_before=datetime(2022, 1, 1, tzinfo=UTC),
        not_after=until,
        signature_algorithm="sha256WithRSAEncryption" if algorithm == "RSA" else "ecdsa-with-SHA256",
        public_key_algorithm=algorithm,
        public_key_size=size,
        public_key_curve=curve,
        public_key_exponent=65537 if algorithm == "RSA" else None,
        alternative_names=(f"DNS:{common_name}",),
        is_ca=is_ca,
        key_usage=("keyCertSign", "cRLSign") if is_ca else ("digitalSignature", "keyEncipherment"),
        extended_key_usage=() if is_ca else ("serverAuth",),
        key_id=key_id(key),
        private_keys=(key_id(key),) if paired else (),
    )


def private_key(
    key: PrivateKeyTypes, algorithm: str, addresses: dict[int, str], *certificates: Certificate, file: str = DUMP
) -> PrivateKey:
    """A key's finding, at one or several addresses in one or several encodings."""
    der = pkcs8(key)
    curve = key.curve.name if isinstance(key, ec.EllipticCurvePrivateKey) else None
    return PrivateKey(
        sha256=hashlib.sha256(der).hexdigest(),
        size=len(der),
        locations=tuple(place(address, der, encoding, file=file) for address, encoding in addresses.items()),
        location_count=len(addresses),
        algorithm=algorithm,
        bits=getattr(key, "key_size", 256),
        curve=curve,
        key_id=key_id(key),
        proof=("n = p*q", "e*d = 1 mod lcm(p-1, q-1)") if algorithm == "RSA" else ("Q = d*G",),
        wrong_parts=("CRT coefficient",) if algorithm == "RSA" else (),
        pkcs8=der,
        certificates=references(certificates),
    )


@cache
def rsa_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 2048)


@cache
def ec_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


@cache
def ed25519_key() -> ed25519.Ed25519PrivateKey:
    return ed25519.Ed25519PrivateKey.generate()


@cache
def x25519_key() -> x25519.X25519PrivateKey:
    return x25519.X25519PrivateKey.generate()


def raw_certificate(address: int = 0x1D3A4C00000) -> Certificate:
    """A certificate that the parser refused."""
    der = b"\x30\x82\x01\x00" + bytes(range(256))
    return Certificate(
        sha256=hashlib.sha256(der).hexdigest(),
        size=len(der),
        locations=(place(address, der),),
        location_count=1,
        der=der,
        thumbprint=hashlib.sha1(der, usedforsecurity=False).hexdigest().upper(),
        problem=RAW_PROBLEM,
    )


def container(kind: str = "pkcs12", address: int = 0x1D3A4D00000) -> EncryptedContainer:
    data = b"\x30\x82\x09\x00" + kind.encode() * 500
    return EncryptedContainer(
        sha256=hashlib.sha256(data).hexdigest(),
        size=len(data),
        locations=(place(address, data),),
        location_count=1,
        container=kind,
        kdf="PBKDF2-HMAC-SHA256",
        cipher="AES-256-CBC",
        iterations=2048,
        mac="HMAC-SHA256, 2048 iterations" if kind == "pkcs12" else None,
        data=data,
    )


KEY_OBJECT = KeyObject(
    library="symcrypt",
    structure="SYMCRYPT_RSAKEY",
    layout="102+",
    architecture="x64",
    has_private=True,
    flags=0x1100,
    uses=("sign",),
    wrapper=0x1D3A4B00000,
    wrapper_algorithm=0xA400,
    missing_parts=("prime 1",),
    wrong_parts=("prime 2",),
    parameters=(("p", "17"),),
)
AES_KEY = bytes.fromhex("2b7e151628aed2a6abf7158809cf4f3c")


def public_key(key: PrivateKeyTypes, address: int, *certificates: Certificate) -> PublicKey:
    info = key.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return PublicKey(
        sha256=hashlib.sha256(info).hexdigest(),
        size=len(info),
        locations=(dataclasses.replace(place(address, info, "symcrypt"), key_object=KEY_OBJECT),),
        location_count=1,
        algorithm="RSA",
        bits=2048,
        key_id=key_id(key),
        proof=("inv64*n = -1 mod 2^64",),
        public_info=info,
        certificates=references(certificates),
    )


def symmetric_key(address: int = 0x1D3A4F00000) -> SymmetricKey:
    schedule = AES_KEY * 11
    return SymmetricKey(
        sha256=hashlib.sha256(schedule).hexdigest(),
        size=len(schedule),
        locations=(place(address, schedule, "symcrypt"),),
        location_count=1,
        algorithm="AES",
        bits=128,
        key=AES_KEY,
        key_id=hashlib.sha256(b"dumpscan symmetric key\0AES\0" + AES_KEY).hexdigest(),
        proof=("the schedule follows from its first round key",),
    )


def tls_secret(address: int = 0x1D3A4F10000) -> TlsSecret:
    secret = bytes(range(48))
    return TlsSecret(
        sha256=hashlib.sha256(secret).hexdigest(),
        size=len(secret),
        locations=(place(address, secret, "tls"),),
        location_count=1,
        secret_id=hashlib.sha256(b"dumpscan tls secret\0" + secret).hexdigest(),
        label="CLIENT_RANDOM",
        version="TLS 1.2",
        cipher_suite="AES-128-GCM, SHA256",
        client_random="ab" * 32,
        server_random="cd" * 32,
        random_proven=True,
        server_name="a.example",
        peer_thumbprint="0123456789ABCDEF0123456789ABCDEF01234567",
        peer_subject="CN=a.example",
        resumed=True,
        proof=("the keys in use follow from it",),
        secret=secret,
    )


@cache
def findings() -> tuple[Finding, ...]:
    """What a web server's dump might hold: keys with and without certificates, containers, certificates."""
    web = certificate(rsa_key(), "www.contoso.example", 0x1D3A4B21340, issuer="Contoso Issuing CA 2")
    old = certificate(ec_key(), "vpn.contoso.example", 0x1D3A4B30020, until=datetime(2024, 1, 9, tzinfo=UTC))
    root = certificate(
        ec.generate_private_key(ec.SECP384R1()),
        "Contoso Root Certification Authority, Public Trust Services G2",
        0x7FFA12340000,
        paired=False,
        is_ca=True,
    )
    return (
        web,
        private_key(rsa_key(), "RSA", {0x1D3A4B20010: "pkcs8", 0x1D3A4B2002A: "pkcs1", 0x1D3A4B90000: "cng"}, web),
        old,
        private_key(ec_key(), "EC", {0x1D3A4B40010: "sec1"}, old),
        private_key(x25519_key(), "X25519", {0x1D3A4B50010: "pem-utf16"}),
        container(),
        container("pkcs8", 0x1D3A4E00000),
        root,
        raw_certificate(),
    )
