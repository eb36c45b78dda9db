"""One of every kind of record, always the same: with every field set, and with nothing that can be left out."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import TYPE_CHECKING

from dumpscan.findings import (
    Certificate,
    CertificateRef,
    EncryptedContainer,
    KeyObject,
    Location,
    PrivateKey,
    Process,
    PublicKey,
    SymmetricKey,
)

if TYPE_CHECKING:
    from dumpscan.findings import Finding

SECRET = b"the bytes of a key that no record may show"

PROCESS = Process(
    pid=5120,
    name="w3wp.exe",
    parent_pid=904,
    executable="C:\\Windows\\System32\\w3wp.exe",
    command_line='w3wp.exe -ap "DefaultAppPool" \ud800\x1b[31m',
    arguments=("w3wp.exe", "-ap", ""),
    command_line_32="w3wp.exe -32",
    environment=("=C:=C:\\Windows", "Path=C:\\Windows\\system32", "EMPTY=", "lonely"),
    architecture="x64",
    session=0,
    wow64=False,
    user_id=33,
    namespace_pids=(5120, 7),
    state="sleeping",
    kernel_thread=False,
    thread_count=4,
    created=datetime(2024, 6, 11, 9, 30, 12, 125000, tzinfo=UTC),
    exited=datetime(2024, 6, 12, 1, tzinfo=timezone(timedelta(hours=2))),
    unlisted=True,
    notes=("the stack is cut short", "no session"),
)
KEY_OBJECT = KeyObject(
    library="symcrypt",
    structure="SYMCRYPT_RSAKEY",
    layout="102+",
    architecture="x64",
    has_private=True,
    flags=0x1100,
    uses=("sign", "encrypt"),
    wrapper=0x1D3A4B00000,
    wrapper_algorithm=0xA400,
    missing_parts=("prime 1",),
    wrong_parts=("prime 2",),
    whole=False,
    parameters=(("p", "17"), ("g", "2")),
)
PLACE = Location(
    file="C:\\dumps\\w3wp.dmp",
    virtual_address=0xFFFFF80012345678,
    length=1200,
    extents=((4096, 1000), (8192, 100)),
    sha256="11" * 32,
    encoding="der",
    physical_address=0x12345678,
    region=(0xFFFFF80012340000, 0x10000),
    module="C:\\Windows\\System32\\bcrypt.dll",
    process=PROCESS,
    page_owner="page cache",
    page_path="/etc/rsa.key",
    page_offset=4096,
    page_inode=42,
    page_filesystem="ext4 on vda",
    missing=100,
    key_object=KEY_OBJECT,
)
BARE_PLACE = Location(
    file="memory.raw", virtual_address=None, length=32, extents=(), sha256="22" * 32, encoding="pem-utf16"
)
REFERENCE = CertificateRef(
    thumbprint="AB" * 20,
    subject="CN=www.contoso.example,O=Contoso",
    common_name="www.contoso.example",
    not_after=datetime(2027, 3, 1, tzinfo=UTC),
    same_process=True,
)
CERTIFICATE = Certificate(
    sha256="33" * 32,
    size=1200,
    locations=(PLACE, BARE_PLACE),
    location_count=7,
    der=SECRET,
    thumbprint="AB" * 20,
    version=3,
    serial_number="1A2B3C4D5E6F",
    subject="CN=www.contoso.example,O=Contoso",
    issuer="CN=Contoso Issuing CA 2",
    subject_common_name="www.contoso.example",
    issuer_common_name="Contoso Issuing CA 2",
    not_before=datetime(2022, 1, 1, tzinfo=UTC),
    not_after=datetime(2027, 3, 1, 12, 30, 15, 250, tzinfo=UTC),
    signature_algorithm="sha256WithRSAEncryption",
    public_key_algorithm="RSA",
    public_key_size=2048,
    public_key_curve="secp256r1",
    public_key_exponent=65537,
    alternative_names=("DNS:www.contoso.example", "DNS:contoso.example"),
    is_ca=False,
    key_usage=("digitalSignature", "keyEncipherment"),
    extended_key_usage=("serverAuth", "1.2.3.4"),
    key_id="44" * 32,
    problem="serial number is negative",
    private_keys=("44" * 32, "55" * 32),
)
PRIVATE_KEY = PrivateKey(
    sha256="66" * 32,
    size=1217,
    locations=(PLACE, replace(BARE_PLACE, encoding="pkcs8"), replace(BARE_PLACE, virtual_address=0, process=Process())),
    location_count=3,
    algorithm="RSA",
    bits=2048,
    curve="secp256r1",
    key_id="44" * 32,
    proof=("n = p*q", "e*d = 1 mod lcm(p-1, q-1)"),
    wrong_parts=("CRT coefficient",),
    pkcs8=SECRET,
    certificates=(REFERENCE, CertificateRef(thumbprint="CD" * 20, subject="")),
)
PUBLIC_KEY = PublicKey(
    sha256="77" * 32,
    size=294,
    locations=(PLACE,),
    location_count=1,
    algorithm="EC",
    bits=256,
    curve="secp256r1",
    key_id="88" * 32,
    proof=("the point lies on the curve",),
    public_info=SECRET,
    certificates=(REFERENCE,),
)
SYMMETRIC_KEY = SymmetricKey(
    sha256="99" * 32,
    size=176,
    locations=(PLACE,),
    location_count=1,
    algorithm="AES",
    bits=128,
    key=SECRET,
    key_id="aa" * 32,
    proof=("the schedule follows from its first round key",),
)
CONTAINER = EncryptedContainer(
    sha256="bb" * 32,
    size=2504,
    locations=(BARE_PLACE,),
    location_count=1,
    container="pkcs12",
    kdf="PBKDF2-HMAC-SHA256",
    cipher="AES-256-CBC",
    iterations=2048,
    mac="HMAC-SHA256, 2048 iterations",
    data=SECRET,
)


def findings() -> list[Finding]:
    """Every kind of finding: full first, then with as little as there can be of it."""
    bare_key = {"sha256": "00" * 32, "size": 0, "algorithm": "X25519", "bits": 253, "key_id": "cc" * 32, "proof": ()}
    return [
        CERTIFICATE,
        PRIVATE_KEY,
        PUBLIC_KEY,
        SYMMETRIC_KEY,
        CONTAINER,
        Certificate(sha256="00" * 32, size=0, der=SECRET, thumbprint="EF" * 20),
        replace(CERTIFICATE, locations=(), location_count=0, subject=None, public_key_exponent=1 << 63),
        PrivateKey(**bare_key, pkcs8=SECRET),
        PublicKey(**bare_key, public_info=SECRET, locations=(BARE_PLACE, BARE_PLACE), location_count=1),
        SymmetricKey(**bare_key, key=SECRET),
        EncryptedContainer(sha256="00" * 32, size=0, container="pem", data=SECRET),
        replace(CONTAINER, iterations=1 << 64),
    ]
