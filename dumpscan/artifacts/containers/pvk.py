"""Private key files of Microsoft's code signing tools (`.pvk`) under a password.

Layout: `dumpscan.model.c_keyblob`. The PRIVATEKEYBLOB in a file without a password is found by itself.
"""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING

from dumpscan.artifacts.decoded import BytesDecoder, Parsed, Raw, RefusedError
from dumpscan.findings import EncryptedContainer
from dumpscan.model.c_keyblob import c_keyblob
from dumpscan.scan.opening import opening

if TYPE_CHECKING:
    from dumpscan.artifacts.detector import Detector
    from dumpscan.memory.space import Memory

_HEADER = len(c_keyblob.PVK_HEADER)
_MAX_SALT = 64
"""Bytes; every program writes 16."""
_LEAST_KEY, _MAX_KEY = 64, 16 << 10
"""Bytes of a PRIVATEKEYBLOB: more than its header, and no more than one of RSA with 16384 bits."""
_PRIVATE_KEY_BLOB = 7
_ALGORITHMS = frozenset((0xA400, 0x2400, 0x2200))


def parse(data: bytes) -> Parsed:
    """Describe an encrypted file, whose key begins with a header that is not encrypted."""
    head = c_keyblob.PVK_HEADER(data)
    blob = c_keyblob.PUBLICKEYSTRUC(data[_HEADER + head.saltlen :])
    if blob.bType != _PRIVATE_KEY_BLOB or blob.reserved or blob.aiKeyAlg not in _ALGORITHMS:
        raise RefusedError("no private key behind the salt")
    container = EncryptedContainer(
        sha256=sha256(data).hexdigest(), size=len(data), container="pvk", kdf="SHA1", cipher="RC4", data=data
    )
    return Parsed(container, "pvk")


def _extract(memory: Memory, address: int) -> Raw:
    data = memory.read(address, _HEADER)
    if len(data) < _HEADER:
        raise RefusedError("the memory ends within the header")
    head = c_keyblob.PVK_HEADER(data)
    if not 0 < head.saltlen <= _MAX_SALT or not _LEAST_KEY <= head.keylen <= _MAX_KEY:
        raise RefusedError("lengths that such a file does not have")
    length = _HEADER + head.saltlen + head.keylen
    return Raw(memory.read(address, length), length)


DETECTORS: tuple[Detector, ...] = (
    # magic, reserved, keytype, encrypted, saltlen, keylen
    (
        opening("pvk", "1e f1 b5 b0 00 00 00 00 01|02 00 00 00 01 00 00 00 .. 00 00 00 .. 00-40 00 00"),
        BytesDecoder(_extract, parse),
    ),
)
