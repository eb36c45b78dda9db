"""The data model of results: plain frozen dataclasses, evidence included. Nothing here reads a dump or renders.

The JSON records, the CSV columns and the JSON Schema are derived from the fields declared here, in their order
(`dumpscan.output.fields`). A field with `repr=False` holds key material or raw bytes: it is in no record and no log,
and leaves only through an export.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime  # noqa: TC003 - the annotations of the fields are evaluated
from enum import StrEnum
from typing import ClassVar

SCHEMA_VERSION = 1
"""Version of the records' JSON form. It grows when a field is renamed, removed or changes its meaning."""


class Status(StrEnum):
    """How much of an input file could be used."""

    OK = "ok"
    DAMAGED = "damaged"
    """Read as far as possible; the problems say what is missing."""
    NO_SYMBOLS = "no-symbols"
    """Read whole, but for want of the kernel's symbol table its processes are known by their page tables alone."""
    UNREADABLE = "unreadable"
    """It cannot be opened, or it is a dump from which nothing could be read."""
    OTHER = "other"
    """It can be read and is not a dump; the problems say what it is, where that is known."""
    PENDING = "pending"
    """Not finished: its reader was killed or ran out of memory. The next triage tries again."""


@dataclass(frozen=True, slots=True)
class InputStatus:
    """What became of one input file.

    Attributes:
        file: Its path, as it was given.
        size: Its length in bytes; None where that is not known.
        status: How much of it could be used.
        problems: What was wrong with it, a sentence each.
        captured: When the dump was made by its own account, UTC; None where it does not say.
    """

    file: str
    size: int | None = None
    status: Status = Status.OK
    problems: tuple[str, ...] = ()
    captured: datetime | None = None


class Validity(StrEnum):
    """Where a moment stands in relation to a certificate's validity period. The values are shown to users."""

    VALID = "valid"
    EXPIRED = "expired"
    FUTURE = "not valid yet"
    UNKNOWN = "validity unknown"


def validity(not_before: datetime | None, not_after: datetime | None, moment: datetime) -> Validity:
    """Return whether a certificate with this validity period is valid at a moment.

    A certificate that lacks one of its dates is never valid: it may have expired or not have begun, else its validity
    is unknown.
    """
    if not_after is not None and not_after < moment:
        return Validity.EXPIRED
    if not_before is not None and not_before > moment:
        return Validity.FUTURE
    return Validity.UNKNOWN if not_before is None or not_after is None else Validity.VALID


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """A process as the dump shows it. What the dump does not hold is None (or empty, for the environment).

    Attributes:
        pid: Process id.
        name: File name of the executable, e.g. `w3wp.exe`.
        parent_pid: Id of the parent process.
        executable: Path of the executable's image.
        command_line: The whole command line. Lone surrogates of the UTF-16 original are kept.
        arguments: In images of Linux kernels, what the command line consists of, empty arguments included. With a NUL
            behind each, they are `/proc/PID/cmdline`. Bytes that are not UTF-8 are kept as lone surrogates.
        command_line_32: In a 32-bit process on a 64-bit system, that of its 32-bit block where it is another.
        architecture: `x86`, `x64` or `arm64`.
        session: Terminal Services session id.
        wow64: Whether it is a 32-bit process on a 64-bit system.
        user_id: On Linux, the id of the user whose rights it has.
        namespace_pids: On Linux, its ids in all namespaces that see it, from the outermost to its own; None if the
            outermost is its own.
        state: On Linux, what it was doing, as `/proc/PID/status` has it: `sleeping`, `zombie` …
        kernel_thread: On Linux, whether it is a thread of the kernel.
        thread_count: On Linux, how many threads it has.
        created: Start time, UTC.
        exited: End time, UTC.
        environment: `NAME=value` entries in their order in memory; a name may begin with `=`. A 32-bit process on a
            64-bit system has two blocks: those entries of the 32-bit one that the other lacks come last, and count.
        unlisted: Whether the kernel's list of processes does not have it: it was found by its own record in memory, or
            by its page tables. None for a process that the list has, or where there is no list.
        notes: What is missing or damaged, in words; empty when all was read.
    """

    pid: int | None = None
    name: str | None = None
    parent_pid: int | None = None
    executable: str | None = None
    command_line: str | None = None
    arguments: tuple[str, ...] | None = None
    command_line_32: str | None = None
    architecture: str | None = None
    session: int | None = None
    wow64: bool | None = None
    user_id: int | None = None
    namespace_pids: tuple[int, ...] | None = None
    state: str | None = None
    kernel_thread: bool | None = None
    thread_count: int | None = None
    created: datetime | None = None
    exited: datetime | None = None
    environment: tuple[str, ...] = ()
    unlisted: bool | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyObject:
    """A key as a cryptographic library holds it: what its own object at one place says beside the key itself.

    Attributes:
        library: `symcrypt`; None for a key schedule that no object of a known library surrounds.
        structure: Name of the object's structure, e.g. `SYMCRYPT_RSAKEY`.
        layout: `pre-102` or `102+` (SymCrypt's version); None where it cannot be told.
        architecture: Of the code that made it: `x64`, `arm64` or `x86`; None where it cannot be told.
        has_private: What the object's own flag says; None where that is not held.
        flags: `fAlgorithmInfo`, in layouts that have it.
        uses: What the flags allow: `sign`, `encrypt`, `ecdsa`, `ecdh`, `dsa`, `dh`.
        wrapper: Address of the provider's handle structure that points to the key.
        wrapper_algorithm: The algorithm id in it, e.g. 0xa400.
        missing_parts: Parts that the dump does not hold (or whose own tags are gone), e.g. `prime 1`.
        wrong_parts: Parts that it holds and that do not belong to the proven key.
        whole: Whether the private key is complete, by itself or rebuilt; False for a private key of which only the
            public half could be had.
        parameters: Public parameters of a curve or group that has no name: (name, value in hex).
    """

    library: str | None
    structure: str | None
    layout: str | None = None
    architecture: str | None = None
    has_private: bool | None = None
    flags: int | None = None
    uses: tuple[str, ...] = ()
    wrapper: int | None = None
    wrapper_algorithm: int | None = None
    missing_parts: tuple[str, ...] = ()
    wrong_parts: tuple[str, ...] = ()
    whole: bool = True
    parameters: tuple[tuple[str, str], ...] = ()

    @property
    def consistent(self) -> bool:
        """Whether everything that is there agrees."""
        return not self.wrong_parts


@dataclass(frozen=True, slots=True, kw_only=True)
class Location:
    """One place where a finding's bytes lie: the evidence.

    Attributes:
        file: Path of the dump, as it was given.
        extents: (file offset, length) pairs, in address order; more than one where it is not contiguous in the file.
        virtual_address: Address of the first byte; None in memory that no process maps.
        physical_address: Physical address of the first byte, in kernel images.
        length: Bytes of the object, present or not.
        missing: Bytes of the object that the dump does not hold.
        encoding: How the object is written here: `der`, `pem`, `pem-utf16`, `pkcs1`, `pkcs8`, `sec1`, `cng`, `capi` …
        sha256: SHA-256 of the bytes at this place (hex), exactly as they lie there.
        region: (start address, size) of the region that holds the first byte.
        module: Loaded module that owns the address.
        process: The process whose memory it is.
        page_owner: In images of Linux kernels, what the system uses the page of the first byte for: `page cache`,
            `deleted file`, `anonymous`, `swap cache`, `slab`, `page table`, `kernel image`, `free` or `kernel`.
        page_path: Path of the file that the page belongs to, as the system's first process sees it.
        page_offset: Offset of the first byte in that file.
        page_inode: Number of that file's inode.
        page_filesystem: Type of its file system and name of the device, e.g. `ext4 on vda`.
        key_object: What a library's own key object there says, where it is one.
    """

    file: str
    extents: tuple[tuple[int, int], ...]
    virtual_address: int | None
    physical_address: int | None = None
    length: int
    missing: int = 0
    encoding: str
    sha256: str
    region: tuple[int, int] | None = None
    module: str | None = None
    process: Process | None = None
    page_owner: str | None = None
    page_path: str | None = None
    page_offset: int | None = None
    page_inode: int | None = None
    page_filesystem: str | None = None
    key_object: KeyObject | None = None

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
    def place_count(self) -> int:
        """How many places there are, also where `location_count` was not set."""
        return max(self.location_count, len(self.locations))

    @property
    def encodings(self) -> tuple[str, ...]:
        """How the object is written at its places, each encoding once."""
        return tuple(dict.fromkeys(location.encoding for location in self.locations))

    @property
    def live_in(self) -> tuple[str, ...]:
        """Libraries whose objects hold it at some of its places, each once; `unknown` where that is not told.

        It is empty for what lies in memory only as a file or a message writes it.
        """
        held = (location.key_object for location in self.locations)
        return tuple(dict.fromkeys(each.library or "unknown" for each in held if each is not None))

    @property
    def identity(self) -> tuple[str, str]:
        """What makes two findings one: equal identities are merged, and their locations added."""
        return (self.kind, self.sha256)


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateRef:
    """A certificate as a key's record names it.

    Attributes:
        thumbprint: As in `Certificate`.
        subject: RFC 4514 distinguished name.
        common_name: The last common name of the subject.
        not_after: As in `Certificate`.
        same_process: Whether both lie in the memory of one process.
    """

    thumbprint: str
    subject: str
    common_name: str | None = None
    not_after: datetime | None = None
    same_process: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate(Finding):
    """An X.509 certificate.

    Attributes:
        der: The certificate itself.
        thumbprint: SHA-1 of the DER, upper-case hex, as Windows shows it.
        key_id: SHA-256 (hex) of the SubjectPublicKeyInfo.
        problem: The parser's complaint, where the certificate is kept raw because it could not be parsed whole.
        private_keys: Key ids of private keys found that belong to it.
        version: 1, 2 or 3.
        serial_number: Upper-case hex without separators; a negative one has a leading `-`.
        subject: RFC 4514 distinguished name.
        subject_common_name: The last common name of the subject.
        issuer: RFC 4514 distinguished name.
        issuer_common_name: The last common name of the issuer.
        not_before: UTC.
        not_after: UTC.
        signature_algorithm: e.g. `sha256WithRSAEncryption`.
        public_key_algorithm: `RSA`, `EC`, `Ed25519`, `DSA` …
        public_key_size: Bits.
        public_key_curve: e.g. `secp256r1`.
        public_key_exponent: RSA only.
        alternative_names: e.g. `DNS:example.org`.
        is_ca: Whether its basic constraints allow it to sign other certificates.
        key_usage: What its key may be used for, by the names of RFC 5280, 4.2.1.3, e.g. `digitalSignature`.
        extended_key_usage: Purposes of its key, e.g. `serverAuth`; an object identifier where it has no known name.
    """

    kind: ClassVar[str] = "certificate"

    der: bytes = field(repr=False)
    thumbprint: str
    key_id: str | None = None
    problem: str | None = None
    private_keys: tuple[str, ...] = ()
    version: int | None = None
    serial_number: str | None = None
    subject: str | None = None
    subject_common_name: str | None = None
    issuer: str | None = None
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
    key_usage: tuple[str, ...] = ()
    extended_key_usage: tuple[str, ...] = ()

    def validity(self, moment: datetime) -> Validity:
        """Return whether the certificate is valid at a moment."""
        return validity(self.not_before, self.not_after, moment)


@dataclass(frozen=True, slots=True, kw_only=True)
class PrivateKey(Finding):
    """A private key whose arithmetic holds.

    Attributes:
        key_id: SHA-256 (hex) of the SubjectPublicKeyInfo; equal to that of its certificates.
        algorithm: `RSA`, `EC`, `Ed25519`, `X25519`, `DSA`, `DH`, `ElGamal`, `ML-DSA-65`, `ML-KEM-768` …
        bits: Size of the modulus or field in bits; of the public key, for ML-DSA and ML-KEM.
        curve: Name of the curve, for EC keys.
        proof: The relations that were checked, e.g. `n = p*q`. Empty if there is nothing in the key's bytes that its
            private value can be checked against: any number of that size would have been read as a key.
        wrong_parts: Values stored with it that do not belong to it, e.g. `CRT coefficient`. The key works without them:
            `pkcs8` holds the right ones.
        needs_support: Whether this is one of several readings of the same bytes, at most one of which is right (an
            EC private value whose curve is not told): to be reported only if something else bears its public key.
        pkcs8: The key as unencrypted PKCS#8 DER. Secret: for export only.
        certificates: Certificates found that bear its public key.
    """

    kind: ClassVar[str] = "private_key"

    key_id: str
    algorithm: str
    bits: int
    curve: str | None = None
    proof: tuple[str, ...]
    wrong_parts: tuple[str, ...] = ()
    needs_support: bool = field(default=False, repr=False)
    pkcs8: bytes = field(repr=False)
    certificates: tuple[CertificateRef, ...] = ()

    @property
    def proven(self) -> bool:
        """Whether anything shows that this is a key: its own numbers, or another finding that bears its public key."""
        return bool(self.proof)

    @property
    def identity(self) -> tuple[str, str]:
        """A key is one finding however it is written: its public key names it."""
        return (self.kind, self.key_id)


NOT_ENCRYPTED = "not encrypted"
"""The cipher of a container that could be encrypted and is not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EncryptedContainer(Finding):
    """Key material that needs a password: it is there, and how it is protected.

    Attributes:
        container: `pkcs8`, `pkcs12`, `pem` (RFC 1421 headers), `openssh`, `jks`, `jceks`, `bks`, `uber`, `pvk`,
            `putty`, `ssh.com`, `openpgp` or `s-expression`.
        kdf: Key derivation, e.g. `PBKDF2-HMAC-SHA256`.
        cipher: e.g. `AES-256-CBC`; `not encrypted` for a PKCS#12 or a key store that anybody can read.
        iterations: Of the key derivation.
        mac: PKCS#12: how its integrity is protected, e.g. `HMAC-SHA256, 2048 iterations`.
        data: The container's bytes; for `pem`, `openssh` and `ssh.com` its text, ASCII with line feeds.
    """

    kind: ClassVar[str] = "encrypted_container"

    container: str
    kdf: str | None = None
    cipher: str | None = None
    iterations: int | None = None
    mac: str | None = None
    data: bytes = field(repr=False)

    @property
    def is_encrypted(self) -> bool:
        """Whether a password protects what is in it."""
        return self.cipher != NOT_ENCRYPTED


@dataclass(frozen=True, slots=True, kw_only=True)
class PublicKey(Finding):
    """A public key that a cryptographic library holds without its private half.

    Attributes:
        key_id: SHA-256 (hex) of the SubjectPublicKeyInfo; equal to that of its certificates.
        algorithm: As in `PrivateKey`.
        bits: Size of the modulus or field in bits.
        curve: Name of the curve, for EC keys.
        proof: The relations that were checked.
        public_info: The key as SubjectPublicKeyInfo DER.
        certificates: Certificates found that bear it.
    """

    kind: ClassVar[str] = "public_key"

    key_id: str
    algorithm: str
    bits: int
    curve: str | None = None
    proof: tuple[str, ...]
    public_info: bytes = field(repr=False)
    certificates: tuple[CertificateRef, ...] = ()

    @property
    def identity(self) -> tuple[str, str]:
        """Its SubjectPublicKeyInfo names it."""
        return (self.kind, self.key_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class SymmetricKey(Finding):
    """A key of a symmetric cipher, found by its expanded form.

    Attributes:
        key_id: SHA-256 (hex) of `dumpscan symmetric key`, a zero byte, the algorithm, a zero byte and the key. It names
            the key and does not reveal it: 128 bits or more cannot be searched, and with the label before them it is
            not the plain SHA-256 of the key, which a protocol may use as a secret of its own.
        algorithm: `AES`.
        bits: 128, 192 or 256.
        key: The key itself. Secret: for export only.
        proof: The relations that were checked.
    """

    kind: ClassVar[str] = "symmetric_key"

    key_id: str
    algorithm: str
    bits: int
    key: bytes = field(repr=False)
    proof: tuple[str, ...]

    @property
    def identity(self) -> tuple[str, str]:
        """The key names it, wherever its schedule lies."""
        return (self.kind, self.key_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsSecret(Finding):
    """A secret of a TLS session, from which the keys of its records follow.

    Attributes:
        secret_id: SHA-256 (hex) of `dumpscan tls secret`, a zero byte and the secret. It names the secret and does not
            reveal it (see `SymmetricKey.key_id`).
        label: Its name in the key log of NSS: `CLIENT_RANDOM` (the master secret of TLS 1.2), `CLIENT_TRAFFIC_SECRET_0`
            … or, which the key log does not know, `CLIENT_TRAFFIC_SECRET_N` after an update of keys, and
            `TRAFFIC_SECRET_0` where it is not known whose it is.
        version: `TLS 1.2` or `TLS 1.3`.
        cipher_suite: Of TLS 1.3, its name; of TLS 1.2, the cipher and the hash, which are all that keys tell.
        client_random: The client's random (hex), by which a capture's session is known; None if it was not found.
        server_random: The server's random (hex), likewise.
        random_proven: Whether keys or secrets in memory follow from the client's random; otherwise it was placed: it
            lies where the session's would, and nothing checks it.
        server_name: The name of the server that the client asked for: of the ClientHello with this random, or of the
            library's object.
        peer_thumbprint: Thumbprint (see `Certificate`) of the certificate of the side that the process is not; of the
            server's, where a capture shows it.
        peer_subject: Its subject, an RFC 4514 distinguished name.
        resumed: Whether the session goes on with what an earlier one agreed upon, by a ticket or a session id; None if
            no capture tells.
        proof: The relations that were checked.
        secret: The secret itself. For export only.
    """

    kind: ClassVar[str] = "tls_secret"

    secret_id: str
    label: str
    version: str
    cipher_suite: str | None = None
    client_random: str | None = None
    server_random: str | None = None
    random_proven: bool = False
    server_name: str | None = None
    peer_thumbprint: str | None = None
    peer_subject: str | None = None
    resumed: bool | None = None
    proof: tuple[str, ...]
    secret: bytes = field(repr=False)

    @property
    def identity(self) -> tuple[str, str]:
        """The secret names it, wherever it lies; with the client's random where several sessions may have it."""
        shared = self.label == "CLIENT_RANDOM" and self.client_random is not None
        return (self.kind, f"{self.secret_id} {self.client_random}" if shared else self.secret_id)

    def joined(self, other: TlsSecret) -> TlsSecret:
        """Return this with what is known of it only where `other` lies: one process knows more than another.

        Of randoms that differ, the proven ones count.
        """
        better = other.random_proven > self.random_proven or self.client_random is None
        randoms = other if better else self
        return replace(
            self,
            cipher_suite=self.cipher_suite or other.cipher_suite,
            client_random=randoms.client_random,
            server_random=randoms.server_random,
            random_proven=randoms.random_proven,
            server_name=self.server_name or other.server_name,
            peer_thumbprint=self.peer_thumbprint or other.peer_thumbprint,
            peer_subject=self.peer_subject or other.peer_subject,
            resumed=other.resumed if self.resumed is None else self.resumed,
        )


KINDS: tuple[type[Finding], ...] = (PrivateKey, PublicKey, SymmetricKey, Certificate, EncryptedContainer, TlsSecret)
"""Every kind of finding that a scan reports."""
