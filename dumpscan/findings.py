"""Floor 1: the one data model of results. Plain frozen records, evidence included; nothing here renders or reads.

Key material (`PrivateKey.pkcs8`) is kept out of `repr`, and no renderer shows it: it leaves only through an export.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from datetime import datetime

SCHEMA_VERSION = 1
"""Version of the records' JSON form. It grows when a field is renamed, removed or changes its meaning."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """A process as the dump shows it. What the dump does not hold is None (or empty, for the environment).

    Attributes:
        pid: Process id.
        name: File name of the executable, e.g. `w3wp.exe`.
        parent_pid: Id of the parent process.
        executable: Path of the executable's image.
        command_line: The whole command line. Lone surrogates of the UTF-16 original are kept.
        environment: `NAME=value` entries in their order in memory; a name may begin with `=`.
        architecture: `x86`, `x64` or `arm64`.
        session: Terminal Services session id.
        wow64: Whether it is a 32-bit process on a 64-bit system.
        created: Start time, UTC.
        exited: End time, UTC.
        notes: What is missing or damaged, in words; empty when all was read.
    """

    pid: int | None = None
    name: str | None = None
    parent_pid: int | None = None
    executable: str | None = None
    command_line: str | None = None
    environment: tuple[str, ...] = ()
    architecture: str | None = None
    session: int | None = None
    wow64: bool | None = None
    created: datetime | None = None
    exited: datetime | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Location:
    """One place where a finding's bytes lie: the evidence.

    Attributes:
        file: Path of the dump, as it was given.
        virtual_address: Address of the first byte; None in memory that no process maps.
        length: Bytes of the object, present or not.
        extents: (file offset, length) pairs, in address order; more than one where it is not contiguous in the file.
        sha256: SHA-256 of the bytes at this place (hex), exactly as they lie there.
        encoding: How the object is written here: `der`, `pem`, `pem-utf16`, `pkcs1`, `pkcs8`, `sec1`, `cng`, `capi` …
        physical_address: Physical address of the first byte, in kernel images.
        region: (start address, size) of the region that holds the first byte.
        module: Loaded module that owns the address.
        process: The process whose memory it is.
        missing: Bytes of the object that the dump does not hold.
    """

    file: str
    virtual_address: int | None
    length: int
    extents: tuple[tuple[int, int], ...]
    sha256: str
    encoding: str
    physical_address: int | None = None
    region: tuple[int, int] | None = None
    module: str | None = None
    process: Process | None = None
    missing: int = 0

    @property
    def file_offset(self) -> int | None:
        """Offset of the first byte in the file."""
        return self.extents[0][0] if self.extents else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Something found in memory: one object, however often it lies there.

    Attributes:
        sha256: SHA-256 (hex) of the object's bytes: the DER of a certificate, the bytes at the first place of a key.
        size: Length of those bytes.
        locations: Where it lies, by file and address.
        location_count: How many places there are; more than `locations` holds when their number passed the limit.
    """

    kind: ClassVar[str]

    sha256: str
    size: int
    locations: tuple[Location, ...] = ()
    location_count: int = 0

    @property
    def identity(self) -> tuple[str, str]:
        """What makes two findings one: equal identities are merged, and their locations added."""
        return (self.kind, self.sha256)


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateRef:
    """A certificate as a key's record names it."""

    thumbprint: str
    subject: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate(Finding):
    """An X.509 certificate.

    Attributes:
        der: The certificate itself.
        thumbprint: SHA-1 of the DER, upper-case hex, as Windows shows it.
        version: 1, 2 or 3.
        serial_number: Upper-case hex without separators; a negative one has a leading `-`.
        subject: RFC 4514 distinguished name.
        issuer: RFC 4514 distinguished name.
        subject_common_name: The last common name of the subject.
        issuer_common_name: The last common name of the issuer.
        not_before: UTC.
        not_after: UTC.
        signature_algorithm: e.g. `sha256WithRSAEncryption`.
        public_key_algorithm: `RSA`, `EC`, `Ed25519`, `DSA` …
        public_key_size: Bits.
        public_key_curve: e.g. `secp256r1`.
        public_key_exponent: RSA only.
        alternative_names: e.g. `DNS:example.org`.
        is_ca: Basic constraints say that it may sign others.
        key_id: SHA-256 (hex) of the SubjectPublicKeyInfo.
        problem: The parser's complaint, where the certificate is kept raw because it could not be parsed whole.
        private_keys: Key ids of private keys found that belong to it.
    """

    kind: ClassVar[str] = "certificate"

    der: bytes = field(repr=False)
    thumbprint: str
    version: int | None = None
    serial_number: str | None = None
    subject: str | None = None
    issuer: str | None = None
    subject_common_name: str | None = None
    issuer_common_name: str | None = None
    not_before: datetime | None = None
    not_after: datetime | None = None
    signature_algorithm: str | None = None
    public_key_algorithm: str | None = None
    public_key_size: int | None = None
    public_key_curve: str | None = None
    public_key_exponent: int | None = None
    alternative_names: tuple[str, ...] = ()
    is_ca: bool | None = None
    key_id: str | None = None
    problem: str | None = None
    private_keys: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class PrivateKey(Finding):
    """A private key whose arithmetic holds.

    Attributes:
        algorithm: `RSA`, `EC`, `Ed25519`, `X25519`, `DSA` …
        bits: Size of the modulus or field in bits.
        curve: Name of the curve, for EC keys.
        key_id: SHA-256 (hex) of the SubjectPublicKeyInfo; equal to that of its certificates.
        proof: The relations that were checked, e.g. `n = p*q`.
        pkcs8: The key as unencrypted PKCS#8 DER. Secret: for export only.
        certificates: Certificates found that bear its public key.
    """

    kind: ClassVar[str] = "private_key"

    algorithm: str
    bits: int
    curve: str | None = None
    key_id: str
    proof: tuple[str, ...]
    pkcs8: bytes = field(repr=False)
    certificates: tuple[CertificateRef, ...] = ()

    @property
    def identity(self) -> tuple[str, str]:
        """A key is one finding however it is written: its public key names it."""
        return (self.kind, self.key_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class EncryptedContainer(Finding):
    """Key material that needs a password: it is there, and how it is protected.

    Attributes:
        container: `pkcs8`, `pkcs12`, `pem` (RFC 1421 headers) or `openssh`.
        kdf: Key derivation, e.g. `PBKDF2-HMAC-SHA256`.
        cipher: e.g. `AES-256-CBC`.
        iterations: Of the key derivation.
        data: The container's bytes.
    """

    kind: ClassVar[str] = "encrypted_container"

    container: str
    kdf: str | None = None
    cipher: str | None = None
    iterations: int | None = None
    data: bytes = field(repr=False)
