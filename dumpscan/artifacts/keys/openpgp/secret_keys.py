"""Secret-Key and Secret-Subkey packets of OpenPGP, versions 4 to 6: a key is proven, a protected one is described.

Source: RFC 9580, 5.5.3; for version 5, draft-koch-librepgp, 5.5.3. After the public part comes a byte that says how the
secret part is protected. In version 4 and 5 a sum of the secret part's bytes follows one that is not.
"""

from __future__ import annotations

from dataclasses import replace
from hashlib import sha256
from typing import TYPE_CHECKING

from dumpscan.artifacts.decoded import BytesDecoder, Detector, Parsed, Raw, RefusedError
from dumpscan.artifacts.keys.finding import read_from
from dumpscan.artifacts.keys.openpgp.algorithms import take_public
from dumpscan.artifacts.keys.openpgp.packets import HEADER_SIZE, SECRET_KEY, SECRET_SUBKEY, Fields, header
from dumpscan.artifacts.keys.openpgp.protection import AEAD, HASHED, SUMMED, take_protection
from dumpscan.artifacts.opening import opening
from dumpscan.findings import EncryptedContainer

if TYPE_CHECKING:
    from dumpscan.artifacts.keys.openpgp.algorithms import PublicPart
    from dumpscan.artifacts.keys.openpgp.protection import Protection
    from dumpscan.findings import PrivateKey
    from dumpscan.memory.space import Memory

ENCODING = "openpgp"
MAX_BYTES = 16 << 10
"""Of a packet: RSA with 16384 bits takes 7 KiB."""
_VERSION_4, _VERSION_5, _VERSION_6 = 4, 5, 6
_TIME = 4
_COUNT = 4
_SUM_SIZE = 2
_BEHIND_SECRET = {AEAD: 16, HASHED: 20, SUMMED: _SUM_SIZE}
"""Bytes encrypted behind the secret part, by the usage: a tag, a SHA-1 or a sum."""
_SUM = "checksum"
_SUM_PROOF = "the checksum is that of the secret part"


def parse(data: bytes) -> Parsed:
    """Prove the key in a packet, header included, or describe its protection."""
    head = header(data)
    if head.tag not in (SECRET_KEY, SECRET_SUBKEY) or head.size + head.content != len(data):
        raise RefusedError("no packet of a secret key")
    fields = Fields(data[head.size :])
    version, _, algorithm = fields.number(1), fields.take(_TIME), fields.number(1)
    if not _VERSION_4 <= version <= _VERSION_6:
        raise RefusedError("a version that is not known")
    end = fields.number(_COUNT) + fields.offset if version > _VERSION_4 else None
    public = take_public(algorithm, fields)
    if end is not None and end != fields.offset:
        raise RefusedError("a public part of another size than announced")
    usage = fields.number(1)
    if usage:
        protection = _protection(fields, version, usage, public)
        return Parsed(_container(data, protection), ENCODING)
    return Parsed(read_from(_key(fields, version, public), data), ENCODING)


def _key(fields: Fields, version: int, public: PublicPart) -> PrivateKey:
    """Prove a key that is not encrypted."""
    if version == _VERSION_5:
        fields.take(fields.number(1))  # nothing, where nothing is encrypted
        fields.take(_COUNT)
    secret = fields.rest()
    parts = Fields(secret)
    key = public.take_secret(parts)
    secret, behind = secret[: parts.offset], secret[parts.offset :]
    if len(behind) != (_SUM_SIZE if version < _VERSION_6 else 0):
        raise RefusedError("something behind the key")
    if not behind:
        return key
    if sum(secret) % (1 << 8 * _SUM_SIZE) == int.from_bytes(behind, "big"):
        return replace(key, proof=(*key.proof, _SUM_PROOF))
    return replace(key, wrong_parts=(*key.wrong_parts, _SUM))


def _protection(fields: Fields, version: int, usage: int, public: PublicPart) -> Protection:
    """Read how a key is protected, from what follows the usage to the end."""
    count = fields.number(1) if version > _VERSION_4 else None
    begin = fields.offset
    protection = take_protection(fields, usage, counted=version == _VERSION_6)
    if count is not None and count != fields.offset - begin:
        raise RefusedError("parameters of another size than announced")
    if version == _VERSION_5:
        fields.take(_COUNT)
    size = len(fields.rest())
    if not size or (public.secret_size is not None and size != public.secret_size + _BEHIND_SECRET.get(usage, size)):
        raise RefusedError("nothing that such a key can be encrypted to")
    return protection


def _container(data: bytes, protection: Protection) -> EncryptedContainer:
    return EncryptedContainer(
        sha256=sha256(data).hexdigest(),
        size=len(data),
        container="openpgp",
        kdf=protection.kdf,
        cipher=protection.cipher,
        iterations=protection.iterations,
        mac=protection.mac,
        data=data,
    )


def _extract(memory: Memory, address: int) -> Raw:
    head = header(memory.read(address, HEADER_SIZE))
    if not head.content or head.content > MAX_BYTES:
        raise RefusedError("no size of a secret key")
    length = head.size + head.content
    return Raw(memory.read(address, length), length)


_DECODER = BytesDecoder(_extract, parse)
_HEADERS = {
    # Of the old and of the new format; the length in one byte, in two, in four and in five
    "1": "94|9c|c5|c7 20-ff",
    "2": "95|9d|c5|c7 .. ..",
    "4": "96|9e 00 00 .. ..",
    "5": "c5|c7 ff 00 00 .. ..",
}
_TIMES = "28-7f .. .. .."
"""From 1991, when the first keys were made, to 2037."""
_CONTENTS = {
    # RSA, ElGamal and DSA: the modulus has from 512 to 16384 bits
    "numbers": f"04 {_TIMES} 01-03|10|11|14 02-40 ..",
    # ECDH, ECDSA and EdDSA: an object identifier of 5 to 10 bytes
    "curve": f"04 {_TIMES} 12|13|16 05-0a 2a|2b ..",
    # X25519, X448, Ed25519 and Ed448: a public key, which is random
    "bytes": f"04 {_TIMES} 19-1c",
    # Version 5 or 6, with the size of the public part
    "counted": f"05|06 {_TIMES} 01-1c 00 00 00-10 ..",
}
DETECTORS: tuple[Detector, ...] = tuple(
    (opening(f"openpgp-{content}-{size}", f"{head} {pattern}"), _DECODER)
    for content, pattern in _CONTENTS.items()
    for size, head in _HEADERS.items()
)
