"""Key stores of Java: JKS and JCEKS.

Sources: `sun.security.provider.JavaKeyStore` and `KeyProtector`, `com.sun.crypto.provider.JceKeyStore` and
`KeyProtector` of OpenJDK. All numbers are big-endian:

    magic (feedfeed JKS, cececece JCEKS), version (1 or 2), number of entries
    each entry: tag, alias (UTF), creation time (long, milliseconds), then
        1, private key: length, EncryptedPrivateKeyInfo, number of certificates, certificates
        2, trusted certificate: certificate
        3, secret key (JCEKS): a serialized SealedObject
    each certificate: type (UTF, version 2 only), length, DER
    SHA-1 of the password, a constant and everything before

The certificates are not encrypted, and are found by themselves.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from hashlib import sha256
from typing import TYPE_CHECKING

from dumpscan.artifacts import der
from dumpscan.artifacts.containers.java_data import Cursor, take_object
from dumpscan.artifacts.decoded import BytesDecoder, Parsed, Raw, RefusedError
from dumpscan.artifacts.effort import charge
from dumpscan.findings import NOT_ENCRYPTED, EncryptedContainer
from dumpscan.scan.opening import opening

if TYPE_CHECKING:
    from dumpscan.artifacts.detector import Detector
    from dumpscan.memory.space import Memory

MAX_BYTES = 16 << 20
_MAX_ENTRIES = 10_000
_MICROSECONDS = 20
"""To pass an entry."""
_MAX_CHAIN = 100
_MAX_OBJECT = 64 << 10
"""Bytes of a key or a certificate."""
_JKS, _JCEKS = bytes.fromhex("feedfeed"), bytes.fromhex("cececece")
_VERSION_2 = 2
_KEY, _CERTIFICATE, _SECRET = 1, 2, 3
_DIGEST = 20

_JKS_PROTECTOR = bytes.fromhex("060a2b060104012a02110101")
_JCEKS_PROTECTOR = bytes.fromhex("06092b060104012a021301")
"""Sun's object identifiers of the two ways to protect a key."""
_JCEKS_KDF = "PBEWithMD5AndTripleDES"
_MAX_ITERATIONS_BYTES = 5


@dataclass(slots=True)
class _Store:
    """What a key store holds.

    Attributes:
        name: `jks` or `jceks`.
        keys: The encrypted private keys.
        secrets: Serialized secret keys, each as its fields.
    """

    name: str
    keys: list[bytes] = field(default_factory=list)
    secrets: list[list[bytes]] = field(default_factory=list)


def parse(data: bytes) -> Parsed:
    """Describe a key store: how its keys are encrypted, if it has any."""
    store = _walk(Cursor(lambda offset, size: data[offset : offset + size], len(data)))
    protections = [_protection(key) for key in store.keys]
    protections += [(_JCEKS_KDF, "3DES-CBC", _iterations(fields[0])) for fields in store.secrets]
    kdf, cipher, iterations = protections[0] if protections else (None, NOT_ENCRYPTED, None)
    container = EncryptedContainer(
        sha256=sha256(data).hexdigest(),
        size=len(data),
        container=store.name,
        kdf=kdf,
        cipher=cipher,
        iterations=iterations,
        mac="SHA1 with the password",
        data=data,
    )
    return Parsed(container, store.name)


def _walk(cursor: Cursor) -> _Store:
    """Pass a key store, entry by entry."""
    magic, version = cursor.take(4), cursor.integer(most=_VERSION_2)
    store = _Store("jks" if magic == _JKS else "jceks")
    for _ in range(cursor.integer(most=_MAX_ENTRIES)):
        charge(_MICROSECONDS)
        tag = cursor.integer(most=_SECRET)
        cursor.text()
        cursor.time()
        if tag == _KEY:
            store.keys.append(cursor.take(cursor.integer(most=_MAX_OBJECT)))
            for _ in range(cursor.integer(most=_MAX_CHAIN)):
                _pass_certificate(cursor, version)
        elif tag == _CERTIFICATE:
            _pass_certificate(cursor, version)
        elif tag == _SECRET and magic == _JCEKS:
            store.secrets.append(take_object(cursor, most=_MAX_OBJECT))
        else:
            raise RefusedError("an entry of no kind that is known")
    cursor.skip(_DIGEST)
    return store


def _pass_certificate(cursor: Cursor, version: int) -> None:
    if version == _VERSION_2:
        cursor.text()
    cursor.object(most=_MAX_OBJECT)


def _protection(key: bytes) -> tuple[str, str, int | None]:
    """Return key derivation, cipher and iterations of an EncryptedPrivateKeyInfo."""
    algorithm, content = der.members(key, least=2, most=2)
    identifier, *parameters = der.members(algorithm.encoded, least=1, most=2)
    if content.tag != der.OCTET_STRING:
        raise RefusedError("no encrypted key")
    if identifier.encoded == _JKS_PROTECTOR:
        return "SHA1", "XOR with SHA1 (JKS)", None
    if identifier.encoded == _JCEKS_PROTECTOR and parameters:
        return _JCEKS_KDF, "3DES-CBC", _iterations(parameters[0].encoded)
    raise RefusedError("a protection that key stores do not have")


def _iterations(parameters: bytes) -> int:
    """Return the iterations of PBEParameter (RFC 8018, A.3)."""
    salt, count = der.members(parameters, least=2, most=2)
    if salt.tag != der.OCTET_STRING:
        raise RefusedError("no salt")
    return der.integer(count, most=_MAX_ITERATIONS_BYTES)


def _extract(memory: Memory, address: int) -> Raw:
    cursor = Cursor(lambda offset, size: memory.read(address + offset, size), MAX_BYTES)
    _walk(cursor)
    return Raw(memory.read(address, cursor.offset), cursor.offset)


_DECODER = BytesDecoder(_extract, parse)
_COUNTS = "00 00 00 01|02 00 00 00-27 .. 00 00 00"
DETECTORS: tuple[Detector, ...] = (
    # magic, version, number of entries, tag of the first
    (opening("jks", f"fe ed fe ed {_COUNTS} 01|02 00"), _DECODER),
    (opening("jceks", f"ce ce ce ce {_COUNTS} 01-03 00"), _DECODER),
)
