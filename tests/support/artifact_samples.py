"""Real objects for the tests of the decoders, made with `cryptography`, and memory to put them in."""

from __future__ import annotations

import base64
import re
import shutil
import struct
import subprocess
from bisect import bisect_right
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from hashlib import sha1, sha256, shake_256
from ipaddress import ip_address
from math import gcd, prod
from pathlib import Path
from typing import TYPE_CHECKING, cast

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, rsa, x448, x25519
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from dumpscan.artifacts import der
from dumpscan.artifacts.carrier import Carrier
from dumpscan.artifacts.decoded import CutShortError, Raw, RefusedError
from dumpscan.artifacts.keys import private_key
from dumpscan.artifacts.keys.randomness import is_not_constant
from dumpscan.artifacts.registry import X509_DETECTORS
from dumpscan.artifacts.x509.certificate import DETECTORS as CERTIFICATE_DETECTORS
from dumpscan.findings import Certificate
from dumpscan.memory.regions import reach_of
from dumpscan.memory.space import Region
from dumpscan.scan.signature import Hit, Signature
from dumpscan.search.decoding import Decoding
from dumpscan.search.merge import Collector
from dumpscan.search.scanner import Scanner

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from cryptography.hazmat.primitives.asymmetric.types import (
        CertificateIssuerPrivateKeyTypes,
        CertificatePublicKeyTypes,
        PrivateKeyTypes,
    )

    from dumpscan.artifacts.decoded import Decoded, Decoder, Parsed
    from dumpscan.artifacts.detector import Detector
    from dumpscan.findings import Finding, Process
    from dumpscan.memory.space import Memory

BASE = 0x7FF6_0000_1230
CURVES = {
    curve.name: curve
    for curve in (
        ec.SECP192R1(),
        ec.SECP224R1(),
        ec.SECP256R1(),
        ec.SECP384R1(),
        ec.SECP521R1(),
        ec.SECP256K1(),
        ec.BrainpoolP256R1(),
        ec.BrainpoolP384R1(),
        ec.BrainpoolP512R1(),
    )
}
RAW_KINDS: dict[str, Callable[[bytes], PrivateKeyTypes]] = {
    "ed25519": ed25519.Ed25519PrivateKey.from_private_bytes,
    "ed448": ed448.Ed448PrivateKey.from_private_bytes,
    "x25519": x25519.X25519PrivateKey.from_private_bytes,
    "x448": x448.X448PrivateKey.from_private_bytes,
}


@dataclass
class Space:
    """Pieces of memory at addresses; its file is the pieces, one behind the other. Satisfies `AddressSpace`."""

    pieces: dict[int, bytes]
    path: Path = Path("memory.dmp")
    process: Process | None = None
    pointer_size: int = 8
    modules: dict[range, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.buffer = memoryview(b"".join(self.pieces.values()))
        offset = 0
        regions = []
        for start, data in self.pieces.items():
            regions.append(Region(start, len(data), offset))
            offset += len(data)
        self.regions: Sequence[Region] = sorted(regions, key=lambda region: region.start)

    @property
    def reach(self) -> tuple[int, int]:
        return reach_of(self.regions)

    def extents(self, address: int, size: int) -> tuple[tuple[int, int], ...]:
        found = []
        at = bisect_right(self.regions, address, key=lambda region: region.start) - 1
        while size and 0 <= at < len(self.regions) and self.regions[at].start <= address < self.regions[at].end:
            region = self.regions[at]
            taken = min(size, region.end - address)
            found.append((region.file_offset + address - region.start, taken))
            address, size, at = address + taken, size - taken, at + 1
        return tuple(found)

    def read(self, address: int, size: int) -> bytes:
        return b"".join(bytes(self.buffer[at : at + length]) for at, length in self.extents(address, size))

    def module_at(self, address: int) -> str | None:
        return next((name for addresses, name in self.modules.items() if address in addresses), None)


def memory_of(data: bytes) -> Space:
    """Memory that holds nothing but `data`, at `BASE`."""
    return Space({BASE: data})


_SMALL = prod(range(3, 2000, 2))


def _prime(bits: int, seed: str) -> int:
    """Return a prime of `bits` bits whose two highest are set, the same for the same seed."""
    stream = b"".join(sha256(f"{seed}{number}".encode()).digest() for number in range(bits // 256 + 1))
    number = int.from_bytes(stream[: (bits + 7) // 8], "big") >> (-bits % 8) | 3 << (bits - 2) | 1
    while gcd(number, _SMALL) > 1 or pow(2, number - 1, number) != 1 or number % 65537 == 1:
        number += 2
    return number


def rsa_numbers(p: int, q: int, e: int = 65537) -> rsa.RSAPrivateNumbers:
    """Return all numbers of the key that two primes make."""
    d = rsa.rsa_recover_private_exponent(e, p, q)
    return rsa.RSAPrivateNumbers(
        p=p,
        q=q,
        d=d,
        dmp1=rsa.rsa_crt_dmp1(d, p),
        dmq1=rsa.rsa_crt_dmq1(d, q),
        iqmp=rsa.rsa_crt_iqmp(p, q),
        public_numbers=rsa.RSAPublicNumbers(e, p * q),
    )


@cache
def rsa_key(bits: int, e: int = 65537) -> rsa.RSAPrivateKey:
    """Return a key, the same one for the same size."""
    first = bits // 2 + bits % 2
    numbers = rsa_numbers(_prime(first, f"p{bits}"), _prime(bits - first, f"q{bits}"), e)
    return numbers.private_key(unsafe_skip_rsa_key_validation=True)


@cache
def ec_key(curve: str) -> ec.EllipticCurvePrivateKey:
    size = CURVES[curve].key_size
    value = int.from_bytes(shake_256(curve.encode()).digest(size // 8 + 1), "big") >> (9 - size % 8)
    return ec.derive_private_key(value, CURVES[curve])


@cache
def raw_key(kind: str) -> PrivateKeyTypes:
    size = {"ed448": 57, "x448": 56}.get(kind, 32)
    return RAW_KINDS[kind](shake_256(kind.encode()).digest(size))


@cache
def dsa_key() -> dsa.DSAPrivateKey:
    return dsa.generate_private_key(1024)  # noqa: S505 -- quick to make, and a size that old keys have


def all_keys() -> dict[str, PrivateKeyTypes]:
    """One key of every kind that the decoders know."""
    return {
        **{f"rsa{bits}": rsa_key(bits) for bits in (512, 1024, 2048)},
        **{curve: ec_key(curve) for curve in CURVES},
        **{kind: raw_key(kind) for kind in RAW_KINDS},
        "dsa": dsa_key(),
    }


def key_id(key: PrivateKeyTypes) -> str:
    public = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return sha256(public).hexdigest()


def pkcs8(key: PrivateKeyTypes) -> bytes:
    written: bytes = key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    return written


def traditional(key: PrivateKeyTypes) -> bytes:
    written: bytes = key.private_bytes(Encoding.DER, PrivateFormat.TraditionalOpenSSL, NoEncryption())
    return written


def pem(data: bytes, label: str, line_end: str = "\n") -> bytes:
    """Armour, without a line end behind the last line."""
    body = base64.b64encode(data).decode()
    lines = [body[at : at + 64] for at in range(0, len(body), 64)]
    return line_end.join((f"-----BEGIN {label}-----", *lines, f"-----END {label}-----")).encode()


def cng_rsa(key: rsa.RSAPrivateKey, *, full: bool = False) -> bytes:
    """BCRYPT_RSAPRIVATE_BLOB or BCRYPT_RSAFULLPRIVATE_BLOB, as bcrypt.h lays it out."""
    numbers = key.private_numbers()
    n, e = numbers.public_numbers.n, numbers.public_numbers.e
    size, half, exponent_size = key.key_size // 8, key.key_size // 16, (e.bit_length() + 7) // 8
    blob = struct.pack("<4s5I", b"RSA3" if full else b"RSA2", key.key_size, exponent_size, size, half, half)
    fields = [(e, exponent_size), (n, size), (numbers.p, half), (numbers.q, half)]
    if full:
        fields += [(numbers.dmp1, half), (numbers.dmq1, half), (numbers.iqmp, half), (numbers.d, size)]
    return blob + b"".join(value.to_bytes(width, "big") for value, width in fields)


def cng_ec(key: ec.EllipticCurvePrivateKey, magic: bytes) -> bytes:
    """BCRYPT_ECCPRIVATE_BLOB, as bcrypt.h lays it out."""
    numbers = key.private_numbers()
    size = (key.key_size + 7) // 8
    values = (numbers.public_numbers.x, numbers.public_numbers.y, numbers.private_value)
    return struct.pack("<4sI", magic, size) + b"".join(value.to_bytes(size, "big") for value in values)


def capi_rsa(key: rsa.RSAPrivateKey, algorithm: int = 0xA400) -> bytes:
    """PRIVATEKEYBLOB, as wincrypt.h lays it out."""
    numbers = key.private_numbers()
    n, e = numbers.public_numbers.n, numbers.public_numbers.e
    size, half = key.key_size // 8, key.key_size // 16
    blob = struct.pack("<BBHI4sII", 7, 2, 0, algorithm, b"RSA2", key.key_size, e)
    fields = [(n, size), *((value, half) for value in (numbers.p, numbers.q, numbers.dmp1, numbers.dmq1, numbers.iqmp))]
    return blob + b"".join(value.to_bytes(width, "little") for value, width in [*fields, (numbers.d, size)])


def certificate_of(
    key: PrivateKeyTypes,
    *,
    signer: CertificateIssuerPrivateKeyTypes | None = None,
    name: str = "example.org",
    extensions: Sequence[x509.ExtensionType] = (),
) -> x509.Certificate:
    """Return a certificate of a key's public half, self-signed where the key can sign."""
    issuer = cast("CertificateIssuerPrivateKeyTypes", signer or key)
    subject = x509.Name(
        [
            x509.NameAttribute(x509.NameOID.COUNTRY_NAME, "DE"),
            x509.NameAttribute(x509.NameOID.ORGANIZATION_NAME, "Example, Inc."),
            x509.NameAttribute(x509.NameOID.COMMON_NAME, name),
        ]
    )
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(cast("CertificatePublicKeyTypes", key.public_key()))
        .serial_number(0x0123456789ABCDEF)
        .not_valid_before(datetime(2024, 1, 2, 3, 4, 5, tzinfo=UTC))
        .not_valid_after(datetime(2034, 1, 2, 3, 4, 5, tzinfo=UTC))
    )
    for extension in extensions:
        builder = builder.add_extension(extension, critical=False)
    raw = isinstance(issuer, ed25519.Ed25519PrivateKey | ed448.Ed448PrivateKey)
    return builder.sign(issuer, None if raw else hashes.SHA256())


EXTENSIONS: tuple[x509.ExtensionType, ...] = (
    x509.BasicConstraints(ca=True, path_length=None),
    x509.SubjectAlternativeName(
        [
            x509.DNSName("example.org"),
            x509.IPAddress(ip_address("192.0.2.1")),
            x509.IPAddress(ip_address("2001:db8::1")),
            x509.RFC822Name("admin@example.org"),
            x509.UniformResourceIdentifier("https://example.org/"),
            x509.DirectoryName(x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "other")])),
            x509.RegisteredID(x509.ObjectIdentifier("1.2.3.4")),
            x509.OtherName(x509.ObjectIdentifier("1.3.6.1.4.1.311.20.2.3"), b"\x0c\x0buser@domain"),
            x509.OtherName(x509.ObjectIdentifier("1.2.3.5"), b"\x0c\x01x"),
        ]
    ),
)
ALTERNATIVE_NAMES = (
    "DNS:example.org",
    "IP:192.0.2.1",
    "IP:2001:db8::1",
    "email:admin@example.org",
    "URI:https://example.org/",
    "dirName:CN=other",
    "RID:1.2.3.4",
    "UPN:user@domain",
    "otherName:1.2.3.5",
)


@cache
def certificate_der(kind: str = "secp256r1") -> bytes:
    """A certificate with extensions, DER, of one of `all_keys`."""
    key = all_keys()[kind]
    signer = ec_key("secp256r1") if kind in ("x25519", "x448") else None
    return certificate_of(key, signer=signer, extensions=EXTENSIONS).public_bytes(Encoding.DER)


def tlv(tag: int, *parts: bytes) -> bytes:
    """A DER element."""
    content = b"".join(parts)
    size = len(content)
    if size < 128:
        return bytes((tag, size)) + content
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes((tag, 0x80 | len(length))) + length + content


def parts_of(data: bytes) -> list[tuple[int, bytes]]:
    """Split bytes into (tag, content) pairs."""
    found = []
    while data:
        size, begin = data[1], 2
        if size >= 128:
            begin = 2 + size - 128
            size = int.from_bytes(data[2:begin], "big")
        found.append((data[0], data[begin : begin + size]))
        data = data[begin + size :]
    return found


def rewritten(certificate: bytes, **parts: bytes) -> bytes:
    """Return a certificate with parts of what is signed replaced, by the names of RFC 5280; b"" leaves a part out."""
    names = [
        "version",
        "serialNumber",
        "signature",
        "issuer",
        "validity",
        "subject",
        "subjectPublicKeyInfo",
        "extensions",
    ]
    signed, algorithm, signature = parts_of(parts_of(certificate)[0][1])
    members = {name: tlv(*part) for name, part in zip(names, parts_of(signed[1]), strict=True)}
    members |= parts
    return tlv(0x30, tlv(0x30, *members.values()), tlv(*algorithm), tlv(*signature))


_FIRST_BYTES = 400
"""Bytes in which every signature of an object matches."""


@cache
def _scanner() -> Scanner:
    return Scanner(X509_DETECTORS)


def scan(data: bytes) -> list[Finding]:
    """Find what all detectors of files find in memory at `BASE`, in text as well."""
    collector = Collector()
    _scanner().scan(Space({BASE: data}), collector)
    return collector.findings()


def decode(decoder: Decoder | Carrier, memory: Memory, address: int) -> Decoded | None:
    """Decode what a decoder sees at an address; what text stands for is left to all detectors of files."""
    if not isinstance(decoder, Carrier):
        return decoder(memory, address)
    decoding = Decoding({**_scanner().decoders, "": decoder}, _scanner().contents)
    return decoding.decode(memory, Hit(Signature("", b"", 0), address))


def detect(detectors: Iterable[Detector], data: bytes) -> list[Decoded]:
    """Decode whatever the detectors find to begin where `data` does; a key that is cut short is nothing.

    Signatures may match a few bytes behind the beginning.
    """
    memory = memory_of(data)
    found = []
    for signature, decoder in detectors:
        for match in re.finditer(signature.expression, data[:_FIRST_BYTES], re.DOTALL):
            if not signature.lead and not signature.only_in_text:
                try:
                    found.append(decode(decoder, memory, BASE + match.start()))
                except CutShortError:
                    continue
    return [decoded for decoded in found if decoded is not None and decoded.address == BASE]


def detect_one(detectors: Iterable[Detector], data: bytes) -> Decoded:
    """Decode the one object that `data` is, whole, whatever follows."""
    (decoded,) = detect(detectors, data + b"\x5a" * 20)
    assert (decoded.address, decoded.length, decoded.missing) == (BASE, len(data), 0)
    assert decoded.sha256 == sha256(data).hexdigest()
    return decoded


def certificate_in(data: bytes) -> Certificate:
    """Decode a certificate in DER."""
    decoded = detect_one(CERTIFICATE_DETECTORS, data)
    assert decoded.encoding == "der"
    assert isinstance(decoded.finding, Certificate)
    assert decoded.finding.der == data
    assert decoded.finding.thumbprint == sha1(data, usedforsecurity=False).hexdigest().upper()
    return decoded.finding


def damaged(data: bytes, count: int = 48) -> Iterator[bytes]:
    """Yield copies with one byte changed, all over, and copies with a stretch overwritten."""
    for number in range(count):
        at = len(data) * number // count
        yield data[:at] + bytes((data[at] ^ 1 << number % 8,)) + data[at + 1 :]
        yield data[:at] + bytes(min(16, len(data) - at)) + data[at + 16 :]


def openssl(*arguments: str, stdin: bytes = b"") -> bytes:
    """Return what the program `openssl` writes; the test is skipped where it is absent or cannot do that."""
    program = shutil.which("openssl")
    if program is None:
        pytest.skip("no openssl on this machine")
    done = subprocess.run([program, *arguments], input=stdin, capture_output=True, check=False)
    if done.returncode:
        pytest.skip(f"this openssl cannot do {arguments[0]}: {done.stderr.decode(errors='replace')[-200:]}")
    return done.stdout


def parse_any(data: bytes) -> Parsed:
    """Prove a private key of any kind that text encodes, by `private_key`'s readers, also one whose end is missing.

    Raises:
        CutShortError: It is a key, of which too little is there.
        RefusedError: It is none.
    """
    length = der.header(data).total
    parses: tuple[Callable[[], Parsed], ...] = (
        lambda: private_key.parse_pkcs8(data, plausible=is_not_constant),
        lambda: private_key.parse_integers(data),
        lambda: private_key.parse_sec1(data, plausible=is_not_constant),
    )
    if length > len(data):
        raw = Raw(data, length)
        parses = (
            lambda: private_key.parse_pkcs8_head(raw, plausible=is_not_constant),
            lambda: private_key.parse_integers_head(raw),
            lambda: private_key.parse_sec1(data, plausible=is_not_constant),
        )
    cut_short = None
    for parse in parses:
        try:
            return parse()
        except CutShortError as error:
            cut_short = error
        except RefusedError:
            continue
    raise cut_short or RefusedError("no private key of a kind that is known")
