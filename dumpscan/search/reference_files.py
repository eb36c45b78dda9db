"""Certificates and public keys in the files that people keep them in: DER, PEM, PKCS#7, SSH.

Sources: RFC 7468 (PEM and its labels), RFC 5652 (PKCS#7 and CMS), RFC 2986 (certificate requests), RFC 4716 (SSH public
key files), sshd(8), "AUTHORIZED_KEYS FILE FORMAT" and "SSH_KNOWN_HOSTS FILE FORMAT".
"""

from __future__ import annotations

import base64
import binascii
import re
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, pkcs7

from dumpscan.artifacts import der
from dumpscan.artifacts.decoded import RefusedError
from dumpscan.artifacts.keys.encode import RSA_ALGORITHM, public_info
from dumpscan.artifacts.x509 import certificate as certificates
from dumpscan.artifacts.x509.parts import take_apart
from dumpscan.artifacts.x509.readers import ERRORS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from dumpscan.findings import Certificate

MAX_OBJECTS = 100_000
"""Certificates and keys that one file may hold."""

_PEM = re.compile(
    rb"-----BEGIN (?P<label>[ -~]{1,64}?)-----(?P<body>(?:(?!-----).)*+)-----END (?P=label)-----", re.DOTALL
)
_RFC4716 = re.compile(rb"---- BEGIN SSH2 PUBLIC KEY ----(?P<body>[^\0]{0,65536}?)---- END SSH2 PUBLIC KEY ----")
_RFC4716_HEADER = re.compile(rb"^[!-9;-~]{1,64}: .*(?:(?<=\\)\n.*)*$", re.MULTILINE)
_SSH = re.compile(
    r"(?P<type>(?:ssh|ecdsa|sk-ssh|sk-ecdsa)-[a-z0-9@.-]{1,64}) +(?P<blob>AAAA[A-Za-z0-9+/]{20,65536}={0,2})"
)
"""Options or a host's name may stand before it, a comment behind."""
_BASE64_OF_SEQUENCE = re.compile(rb"\s*M[A-Za-z0-9+/\s]{30,}={0,2}\s*")
"""DER that begins with a SEQUENCE, in base64 without armour."""
_CERTIFICATE_LABELS = {b"CERTIFICATE", b"X509 CERTIFICATE", b"TRUSTED CERTIFICATE"}
_PRIVATE_LABEL = re.compile(rb"(?:[A-Z0-9]+ )*PRIVATE KEY")


class NotHereError(Exception):
    """A file is of a kind that holds certificates or keys, and does not give them. The text says why."""


@dataclass(frozen=True, slots=True)
class PublicPart:
    """A certificate or a public key.

    Attributes:
        what: What it is, in words.
        certificate: The certificate, without places; None for a key.
        public_info: The public key as SubjectPublicKeyInfo DER, written as key ids have it; None if it cannot be read.
    """

    what: str
    certificate: Certificate | None
    public_info: bytes | None


def is_der_of_size(head: bytes, size: int) -> bool:
    """Whether a file that begins so is one SEQUENCE of its whole size (or less by a line's end)."""
    try:
        header = der.header(head)
    except RefusedError:
        return False
    return header.tag == der.SEQUENCE and 0 <= size - header.total <= len("\r\n")


def read_objects(data: bytes) -> list[PublicPart]:
    """Return the certificates and public keys of a file; none if it is of another kind.

    Raises:
        NotHereError: It is a key or certificate that cannot be read, or needs a password.
    """
    with warnings.catch_warnings(action="ignore"):  # the parsers' opinions of what others have written
        if data[:1] == b"\x30" and (not data.isascii() or b"\0" in data):  # in text, that is the digit 0
            return _in_der(data)
        found = list(_in_pem(data))
        if not found and _BASE64_OF_SEQUENCE.fullmatch(data):
            try:
                return _in_der(base64.b64decode(b"".join(data.split()), validate=True))
            except (binascii.Error, NotHereError):
                return []
    return found


def read_ssh_line(line: str) -> PublicPart | None:
    """Return the public key in a line of a `.pub` file, `authorized_keys` or `known_hosts`; None if there is none."""
    found = _SSH.search(line)
    if found is None:
        return None
    with warnings.catch_warnings(action="ignore"):
        return _ssh_key(found["type"].encode(), found["blob"].encode())


# --- DER -------------------------------------------------------------------------------------------------------------


def _in_der(data: bytes) -> list[PublicPart]:
    for read in (_certificate, _public_key, _pkcs7, _request, _pkcs1, _private_key):
        try:
            return read(data)
        except ERRORS:
            continue
    raise NotHereError("is DER, and neither a certificate nor a public key, or damaged")


def _certificate(data: bytes) -> list[PublicPart]:
    found = certificates.parse(data).finding
    return [certificate_part(found)]  # type: ignore[arg-type]


def certificate_part(certificate: Certificate) -> PublicPart:
    """Return a certificate with its public key."""
    try:
        info: bytes | None = _info(x509.load_der_x509_certificate(certificate.der).public_key())
    except ERRORS:
        try:
            info = _info_of_der(take_apart(certificate.der).public_key or b"")
        except ERRORS:
            info = None
    return PublicPart("certificate", certificate, info)


def _public_key(data: bytes) -> list[PublicPart]:
    return [PublicPart("public key", None, _info_of_der(data))]


def _info_of_der(data: bytes) -> bytes:
    """Write a SubjectPublicKeyInfo anew, as key ids have it; one of an algorithm that is not known is left as it is."""
    try:
        return _info(serialization.load_der_public_key(data))
    except ERRORS:
        algorithm, key = der.members(data, least=2, most=2)
        if (algorithm.tag, key.tag) != (der.SEQUENCE, der.BIT_STRING):
            raise RefusedError("no public key") from None
        if der.elements(algorithm.content)[0].tag != der.OBJECT_IDENTIFIER:
            raise RefusedError("no algorithm") from None
        return data


def _pkcs7(data: bytes) -> list[PublicPart]:
    return [_certificate(each.public_bytes(Encoding.DER))[0] for each in pkcs7.load_der_pkcs7_certificates(data)]


def _request(data: bytes) -> list[PublicPart]:
    return [PublicPart("public key", None, _info(x509.load_der_x509_csr(data).public_key()))]


def _pkcs1(data: bytes) -> list[PublicPart]:
    """Read an RSA public key without its algorithm (RFC 8017, A.1.1)."""
    numbers = der.members(data, least=2, most=2)
    if any(number.tag != der.INTEGER for number in numbers):
        raise RefusedError("no RSA public key")
    return _public_key(public_info(RSA_ALGORITHM, data))


def _private_key(data: bytes) -> list[PublicPart]:
    return _public_half(lambda: serialization.load_der_private_key(data, None))


def _public_half(load: Callable[[], Any]) -> list[PublicPart]:
    try:
        return [PublicPart("public key", None, _info(load().public_key()))]
    except TypeError as error:  # of a password that is not given
        raise NotHereError("is an encrypted private key: give its certificate or public key") from error


def _info(key: Any) -> bytes:  # noqa: ANN401 - any of the library's public keys
    info: bytes = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return info


# --- Text ------------------------------------------------------------------------------------------------------------


def _in_pem(data: bytes) -> Iterator[PublicPart]:
    blocks = list(_limited(_PEM.finditer(data)))
    for block in blocks:
        yield from _in_block(block["label"], block["body"], block[0])
    for block in _limited(_RFC4716.finditer(data)):
        blob = b"".join(_RFC4716_HEADER.sub(b"", block["body"].replace(b"\r\n", b"\n")).split())
        kind = _ssh_type(blob)
        key = _ssh_key(kind, blob) if kind else None
        if key is None:
            raise NotHereError("has an SSH public key that cannot be read")
        yield key
    if not blocks and b"-----BEGIN " in data:
        raise NotHereError("is PEM without its last line, or damaged")


def _limited(found: Iterable[re.Match[bytes]]) -> Iterator[re.Match[bytes]]:
    for number, each in enumerate(found):
        if number == MAX_OBJECTS:
            raise NotHereError(f"holds more than {MAX_OBJECTS} certificates and keys")
        yield each


def _in_block(label: bytes, body: bytes, text: bytes) -> list[PublicPart]:
    """Return what a block of PEM holds; nothing for what is neither certificate nor key, such as parameters."""
    try:
        if _PRIVATE_LABEL.fullmatch(label):
            return _of_private_label(label, text)
        read = _READERS.get(label)
        if read is None:
            return []
        content = base64.b64decode(b"".join(body.split()), validate=True)
        if label in _CERTIFICATE_LABELS:
            content = content[: der.header(content).total]  # OpenSSL writes what it is trusted for behind it
        return read(content)
    except (*ERRORS, binascii.Error) as error:
        raise NotHereError(f"has a {label.decode().lower()} that cannot be read") from error


def _of_private_label(label: bytes, text: bytes) -> list[PublicPart]:
    if label == b"OPENSSH PRIVATE KEY":
        return _public_half(lambda: serialization.load_ssh_private_key(text, None))
    if label == b"ENCRYPTED PRIVATE KEY":
        raise NotHereError("is an encrypted private key: give its certificate or public key")
    return _public_half(lambda: serialization.load_pem_private_key(text, None))


_READERS: dict[bytes, Callable[[bytes], list[PublicPart]]] = {
    **dict.fromkeys(_CERTIFICATE_LABELS, _certificate),
    b"PUBLIC KEY": _public_key,
    b"RSA PUBLIC KEY": _pkcs1,
    b"PKCS7": _pkcs7,
    b"CMS": _pkcs7,
    b"CERTIFICATE REQUEST": _request,
    b"NEW CERTIFICATE REQUEST": _request,
}


def _ssh_type(blob: bytes) -> bytes | None:
    """Return the type that a key in base64 begins with (RFC 4253, 6.6)."""
    try:
        data = base64.b64decode(blob, validate=True)
    except binascii.Error:
        return None
    return data[4 : 4 + int.from_bytes(data[:4], "big")] or None


def _ssh_key(kind: bytes, blob: bytes) -> PublicPart | None:
    """Read an SSH public key, or that of an SSH certificate."""
    try:
        identity: Any = serialization.load_ssh_public_identity(kind + b" " + blob)
        if isinstance(identity, serialization.SSHCertificate):
            identity = identity.public_key()
        return PublicPart("public key", None, _info(identity))
    except ERRORS:
        return None
