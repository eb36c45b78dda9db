"""Key stores of Bouncy Castle: BKS and UBER.

Source: `org.bouncycastle.jcajce.provider.keystore.bc.BcKeyStoreSpi`. All numbers are big-endian:

    version (0 to 2), length of the salt (20), salt, iterations
    BKS: each entry: tag, alias (UTF), time (long, milliseconds), number of certificates, certificates, then
        1, certificate: certificate
        2, key (not encrypted): kind (byte), format (UTF), algorithm (UTF), length, encoding
        3, secret, and 4, sealed (a key encrypted by itself): length, content
    a tag of 0, HMAC-SHA1 of everything behind the iterations
    UBER: all of that, with a SHA-1 in the HMAC's place, encrypted with Twofish

    each certificate: type (UTF), length, DER; sealed content: length of the salt, salt, iterations, what is encrypted
"""

from __future__ import annotations

from dataclasses import dataclass, field
from hashlib import sha256
from typing import TYPE_CHECKING

from dumpscan.artifacts.containers.java_data import Cursor
from dumpscan.artifacts.decoded import BytesDecoder, Parsed, Raw, RefusedError
from dumpscan.artifacts.effort import charge
from dumpscan.findings import NOT_ENCRYPTED, EncryptedContainer
from dumpscan.scan.opening import opening

if TYPE_CHECKING:
    from dumpscan.artifacts.detector import Detector
    from dumpscan.memory.space import Memory

MAX_BYTES = 16 << 20
_MAX_ENTRIES = 10_000
_PER_BLOCK = 0.5
"""Microseconds to see whether a block looks encrypted."""
_MICROSECONDS = 20
"""To pass an entry."""
_MAX_CHAIN = 100
_MAX_OBJECT = 64 << 10
_VERSION = 2
_SALT = 20
_ITERATIONS = range(1024, 2048)
"""`MIN_ITERATIONS`, and ten random bits more."""
_MAC = 20
_END, _CERTIFICATE, _KEY, _SECRET, _SEALED = range(5)
_BLOCK = 16
_HEADER = 4 + 4 + _SALT + 4
_WINDOW = 64 << 10
"""Bytes of an UBER key store read at once."""
_MAX_UBER_BYTES = 1 << 20
_SAMPLE = 128
"""Bytes of an UBER key store that has an entry, at least."""
_LEAST_DIFFERENT_IN_SAMPLE = 85
"""Different bytes in them: random bytes have 101 on average, with a standard deviation of 3.7; certificates have 70."""
_LEAST_DIFFERENT = 10
"""Different bytes in a block of 16 that looks encrypted: a random block has fewer once in some millions of times."""


@dataclass(slots=True)
class _Store:
    """What a BKS key store holds.

    Attributes:
        iterations: Of its HMAC's key.
        sealed: Iterations of each encrypted key.
        entries: How many there are.
    """

    iterations: int
    sealed: list[int] = field(default_factory=list)
    entries: int = 0


def parse(data: bytes) -> Parsed:
    """Describe a key store of either kind."""
    try:
        store = _walk(_cursor(data))
    except RefusedError:
        return _describe_uber(data)
    return _describe_bks(data, store)


def _describe_bks(data: bytes, store: _Store) -> Parsed:
    """Say how the keys in a BKS key store are encrypted, if any are."""
    container = EncryptedContainer(
        sha256=sha256(data).hexdigest(),
        size=len(data),
        container="bks",
        kdf="PKCS12-KDF-SHA1" if store.sealed else None,
        cipher="3DES-CBC" if store.sealed else NOT_ENCRYPTED,
        iterations=store.sealed[0] if store.sealed else None,
        mac=f"HMAC-SHA1, {store.iterations} iterations",
        data=data,
    )
    return Parsed(container, "bks")


def _describe_uber(data: bytes) -> Parsed:
    """Say what can be said of an UBER key store, of which nothing but salt and iterations can be read."""
    container = EncryptedContainer(
        sha256=sha256(data).hexdigest(),
        size=len(data),
        container="uber",
        kdf="PKCS12-KDF-SHA1",
        cipher="Twofish-CBC",
        iterations=_take_header(_cursor(data)),
        data=data,
    )
    return Parsed(container, "uber")


def _cursor(data: bytes) -> Cursor:
    return Cursor(lambda offset, size: data[offset : offset + size], len(data))


def _take_header(cursor: Cursor) -> int:
    """Pass version and salt, and return the iterations."""
    cursor.integer(most=_VERSION)
    return _take_salt(cursor)


def _take_salt(cursor: Cursor) -> int:
    """Pass a salt, and return the iterations behind it."""
    if cursor.integer(most=_SALT) != _SALT or not _looks_encrypted(cursor.take(_SALT)[:_BLOCK]):
        raise RefusedError("no salt")
    iterations = cursor.integer(most=_ITERATIONS[-1])
    if iterations not in _ITERATIONS:
        raise RefusedError("a number of iterations that is never chosen")
    return iterations


def _walk(cursor: Cursor) -> _Store:
    """Pass a BKS key store, entry by entry."""
    store = _Store(_take_header(cursor))
    for _ in range(_MAX_ENTRIES):
        charge(_MICROSECONDS)
        tag = cursor.take(1)[0]
        if tag == _END:
            break
        store.entries += 1
        cursor.text()
        cursor.time()
        for _ in range(cursor.integer(most=_MAX_CHAIN)):
            _pass_certificate(cursor)
        if tag == _CERTIFICATE:
            _pass_certificate(cursor)
        elif tag == _KEY:
            cursor.skip(1)
            cursor.text()
            cursor.text()
            cursor.skip(cursor.integer(most=_MAX_OBJECT))
        elif tag in (_SECRET, _SEALED):
            content = cursor.take(cursor.integer(most=_MAX_OBJECT))
            if tag == _SEALED:
                store.sealed.append(_take_salt(_cursor(content)))
        else:
            raise RefusedError("an entry of no kind that is known")
    else:
        raise RefusedError("too many entries")
    if not store.entries:
        raise RefusedError("an empty key store")
    cursor.skip(_MAC)
    return store


def _pass_certificate(cursor: Cursor) -> None:
    cursor.text()
    cursor.object(most=_MAX_OBJECT)


def _extract(memory: Memory, address: int) -> Raw:
    cursor = Cursor(lambda offset, size: memory.read(address + offset, size), MAX_BYTES)
    try:
        _walk(cursor)
    except RefusedError:
        return _extract_uber(memory, address)
    return Raw(memory.read(address, cursor.offset), cursor.offset)


def _extract_uber(memory: Memory, address: int) -> Raw:
    """Read an UBER key store: its end is where the blocks no longer look encrypted."""
    charge(_MICROSECONDS)
    data = memory.read(address, _HEADER)
    _take_header(_cursor(data))
    for at in range(_HEADER, _MAX_UBER_BYTES, _WINDOW):
        window = memory.read(address + at, _WINDOW)
        charge(_PER_BLOCK * len(window) / _BLOCK)
        blocks = [window[begin : begin + _BLOCK] for begin in range(0, len(window), _BLOCK)]
        good = next((number for number, block in enumerate(blocks) if not _looks_encrypted(block)), len(blocks))
        data += window[: good * _BLOCK]
        if good * _BLOCK < _WINDOW:
            break
    if len(set(data[_HEADER : _HEADER + _SAMPLE])) < _LEAST_DIFFERENT_IN_SAMPLE:
        raise RefusedError("nothing encrypted")
    return Raw(data, len(data))


def _looks_encrypted(block: bytes) -> bool:
    return len(block) == _BLOCK and len(set(block)) >= _LEAST_DIFFERENT


_DECODER = BytesDecoder(_extract, parse)
_SALT_PATTERN = " ".join([".."] * _SALT)
DETECTORS: tuple[Detector, ...] = tuple(
    # version, length of the salt, salt, iterations; with either version in one place no sure bytes would be rare
    (opening(f"bouncycastle-{version}", f"00 00 00 {version} 00 00 00 14 {_SALT_PATTERN} 00 00 04-07 .."), _DECODER)
    for version in ("01", "02")
)
