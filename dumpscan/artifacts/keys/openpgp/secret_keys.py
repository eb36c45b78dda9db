"""Secret-Key and Secret-Subkey packets of OpenPGP, versions 4 to 6: a key is proven, a protected one is described.

Source: RFC 9580, 5.5.3; for version 5, draft-koch-librepgp, 5.5.3. After the public part comes a byte that says how the
secret part is protected. In version 4 and 5 a sum of the secret part's bytes follows one that is not.
"""

from __future__ import annotations

import re
from dataclasses import replace
from hashlib import sha256
from typing import TYPE_CHECKING

from dumpscan.artifacts import effort
from dumpscan.artifacts.decoded import BytesDecoder, Parsed, Raw, RefusedError
from dumpscan.artifacts.keys.finding import read_from
from dumpscan.artifacts.keys.openpgp.algorithms import take_public
from dumpscan.artifacts.keys.openpgp.packets import (
    HEADER_SIZE,
    SECRET_KEY,
    SECRET_SUBKEY,
    SIGNATURE,
    USER_ID,
    Fields,
    header,
)
from dumpscan.artifacts.keys.openpgp.protection import AEAD, HASHED, SUMMED, take_protection
from dumpscan.findings import EncryptedContainer
from dumpscan.scan.opening import opening

if TYPE_CHECKING:
    from dumpscan.artifacts.decoded import Decoded
    from dumpscan.artifacts.detector import Detector
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


PACKET = BytesDecoder(_extract, parse)
"""Decodes the packet that begins at an address."""
_HEADER_SIZES = (2, 3, 5, 6)
_MODULUS_SIZES = range(64, 2049, 8)
_MPI_HEAD = 2
_MAX_USER_ID = 256
"""Bytes of a user id's packet."""
_MAX_SIGNED = 4 << 10
"""Bytes of a packet that is looked for from its end: ElGamal with 8192 bits takes 3 KiB."""
_MAX_HEADERS = 4
"""Packets that are tried that end at one address: hostile memory could have thousands, nested."""
_RSA_ALGORITHMS = (1, 2, 3)
_PER_BYTE, _PER_HEADER, _PER_PACKET = 0.02, 1, 30
"""Microseconds to look for what may open a packet, to read a header, and to read a packet that ends in nothing."""


def _at_content(memory: Memory, address: int) -> Decoded | None:
    """Decode the packet whose content begins at an address, whichever header is before it."""
    effort.charge(_PER_PACKET)
    head = _header_before(memory, address, _HEADER_SIZES, (SECRET_KEY, SECRET_SUBKEY))
    return None if head is None else PACKET(memory, head)


def _header_before(memory: Memory, address: int, sizes: tuple[int, ...], tags: tuple[int, ...]) -> int | None:
    """Return where the header of a packet begins whose content begins at an address; None if there is none."""
    for size in sizes:
        if address < size:
            continue
        try:
            head = header(memory.read(address - size, HEADER_SIZE))
        except RefusedError:
            continue
        if head.size == size and head.tag in tags:
            return address - size
    return None


def _decode_curve(memory: Memory, address: int) -> Decoded | None:
    """Decode the packet whose algorithm and curve are at an address; from version 5 on, a size is between them."""
    return _at_content(memory, address - 1 - _TIME)


def _decode_rsa(memory: Memory, address: int) -> Decoded | None:
    """Decode the packet whose public exponent is at an address: the modulus is before it, of a size that it tells."""
    longest = _MODULUS_SIZES[-1] + _MPI_HEAD + 1 + _COUNT
    begin = max(address - longest, 0)
    before = memory.read(begin, address - begin)
    if len(before) < address - begin:  # memory begins later: what is there ends at the address
        begin, before = _tail(memory, begin, address)
    for size in _MODULUS_SIZES:
        at = len(before) - size - _MPI_HEAD
        if at < 1:
            break
        bits = int.from_bytes(before[at : at + _MPI_HEAD], "big")
        if -(-bits // 8) != size:
            continue
        for extra in (0, _COUNT):
            where = at - 1 - extra
            if where >= 0 and before[where] in _RSA_ALGORITHMS:
                found = _at_content(memory, begin + where - 1 - _TIME)
                if found is not None:
                    return found
    return None


def _decode_signed(memory: Memory, address: int) -> Decoded | None:
    """Decode the key before the signature whose content begins at an address, with a user id between them or not."""
    end = _header_before(memory, address, _HEADER_SIZES[:2], (SIGNATURE,))
    if end is None:
        return None
    ends = (end, *_packets_before(memory, end, _MAX_USER_ID, (USER_ID,)))
    for key_end in ends:
        for key in _packets_before(memory, key_end, _MAX_SIGNED, (SECRET_KEY, SECRET_SUBKEY)):
            effort.charge(_PER_PACKET)
            found = PACKET(memory, key)
            if found is not None:
                return found
    return None


def _packets_before(memory: Memory, end: int, most: int, tags: tuple[int, ...]) -> list[int]:
    """Find where packets of some types begin that end at an address: nearer ones first, `most` bytes at the most.

    Random bytes of a key look like a header with its own distance from the end in one key of a hundred. The true one
    is behind it, so a few are found.
    """
    begin = max(end - most, 0)
    before = memory.read(begin, end - begin)
    if len(before) < end - begin:
        begin, before = _tail(memory, begin, end)
    places = [first.start() for first in _FIRST_BYTES[tags].finditer(before)]
    effort.charge(_PER_BYTE * len(before) + _PER_HEADER * len(places))
    found = []
    for at in reversed(places):
        try:
            head = header(before, at)
        except RefusedError:
            continue
        if at + head.size + head.content == len(before):
            found.append(begin + at)
            if len(found) == _MAX_HEADERS:
                break
    return found


def _first_bytes(*tags: int) -> re.Pattern[bytes]:
    """Match the first bytes of packets of some types: old formats with a length, and the new one."""
    firsts = bytes(first for tag in tags for first in (0xC0 | tag, *range(0x80 | tag << 2, (0x80 | tag << 2) + 3)))
    return re.compile(b"[%b]" % re.escape(firsts))


_FIRST_BYTES: dict[tuple[int, ...], re.Pattern[bytes]] = {
    tags: _first_bytes(*tags) for tags in ((USER_ID,), (SECRET_KEY, SECRET_SUBKEY))
}


def _tail(memory: Memory, begin: int, address: int) -> tuple[int, bytes]:
    """Read as much as there is right before an address, found by halves."""
    data = b""
    low, high = begin, address
    while low < high:
        middle = (low + high) // 2
        read = memory.read(middle, address - middle)
        if len(read) == address - middle:
            high, data = middle, read
        else:
            low = middle + 1
    return high, data


_CURVES = {
    "p256": "08 2a 86 48 ce 3d 03 01 07",
    "p384-p521": "05 2b 81 04 00 22|23",
    "secp256k1": "05 2b 81 04 00 0a",
    "brainpool": "09 2b 24 03 03 02 08 01 01 07|0b|0d",
    "ed25519": "09 2b 06 01 04 01 da 47 0f 01",
    "curve25519": "0a 2b 06 01 04 01 97 55 01 05 01",
}
"""Object identifiers of curves, with their length (RFC 9580, 9.2)."""
_SIGNATURES = {
    # Of a user id, and of a subkey, by DSA; ElGamal subkeys belong to such keys
    "dsa": "04 13 11 02|03|08-0b",
    "dsa-subkey": "04 18 11 02|03|08-0b",
    # Of a key by itself, and of a subkey, by Ed25519 and in version 6
    "ed25519": "06 1f 1b 08-0e 00",
    "ed25519-subkey": "06 18 1b 08-0e 00",
}
DETECTORS: tuple[Detector, ...] = (
    # The public exponent 65537 as a multiprecision integer, and how the secret part is protected
    (opening("openpgp-rsa", "00 11 01 00 01 00-14|fd-ff"), _decode_rsa),
    # ECDH, ECDSA or EdDSA, then the curve; from version 5 on the size of the public part is between them
    *((opening(f"openpgp-{name}", f"12|13|16 {pattern}"), _decode_curve) for name, pattern in _CURVES.items()),
    *(
        (opening(f"openpgp-{name}-counted", f"12|13|16 00 00 00 .. {pattern}"), _decode_curve)
        for name, pattern in _CURVES.items()
    ),
    # The signature behind a key that is numbers or bytes without anything rare: version, type, algorithm, hash
    *((opening(f"openpgp-signed-{name}", pattern), _decode_signed) for name, pattern in _SIGNATURES.items()),
)
"""What packets of keys have in them, or behind them: how a packet begins tells too little to be looked for."""
