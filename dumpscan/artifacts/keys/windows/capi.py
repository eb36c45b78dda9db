"""Private keys as CAPI exports them: PRIVATEKEYBLOB of RSA, DSA and Diffie-Hellman, of version 2 and 3.

Layouts: `dumpscan.model.c_keyblob`, from Microsoft's `wincrypt.h`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dumpscan.artifacts.decoded import BytesDecoder, Parsed, Raw, RefusedError
from dumpscan.artifacts.keys import proof as key_proof
from dumpscan.artifacts.keys.algorithms import dh
from dumpscan.artifacts.keys.finding import read_from
from dumpscan.artifacts.keys.windows.blob import Numbers, read_header
from dumpscan.model.c_keyblob import c_keyblob
from dumpscan.scan.opening import opening

if TYPE_CHECKING:
    from dumpscan.artifacts.detector import Detector
    from dumpscan.findings import PrivateKey
    from dumpscan.memory.space import Memory

_KEY = len(c_keyblob.PUBLICKEYSTRUC)
_RSA_HEADER = _KEY + len(c_keyblob.RSAPUBKEY)
_HEADER = _KEY + len(c_keyblob.DSSPUBKEY)
_HEADER_3 = _KEY + len(c_keyblob.DSSPRIVKEY_VER3)
_SEED = len(c_keyblob.DSSSEED)
_VERSION_2 = 2
_DSS = b"DSS"
"""The magic of both versions begins so in keys of DSA."""
_DSA_ORDER_BYTES = 20
"""Of q and x in version 2, which knows no other DSA than that of SHA-1."""
_LEAST_BITS, _MOST_BITS = key_proof.LEAST_RSA_BITS, key_proof.MOST_RSA_BITS


def parse_rsa(data: bytes) -> Parsed:
    """Prove a PRIVATEKEYBLOB of an RSA key."""
    head = c_keyblob.RSAPUBKEY(data[_KEY:])
    numbers, half = Numbers(data, _RSA_HEADER, "little"), head.bitlen // 16
    modulus, p, q, dp, dq, qinv, d = map(numbers.take, (2 * half, *[half] * 5, 2 * half))
    if modulus.bit_length() != head.bitlen:
        raise RefusedError("a modulus of another size than announced")
    key = key_proof.rsa_key(modulus=modulus, exponent=head.pubexp, p=p, q=q, private_exponent=d, crt=(dp, dq, qinv))
    return Parsed(read_from(key, data), "capi")


def parse_2(data: bytes) -> Parsed:
    """Derive the public key of a PRIVATEKEYBLOB of version 2 of DSA or Diffie-Hellman, which does not store it."""
    head = c_keyblob.DSSPUBKEY(data[_KEY:])
    numbers, size = Numbers(data, _HEADER, "little"), head.bitlen // 8
    if head.magic.startswith(_DSS):
        p, q, g, x = map(numbers.take, (size, _DSA_ORDER_BYTES, size, _DSA_ORDER_BYTES))
        key = key_proof.dsa_key(p=p, q=q, g=g, x=x)
    else:
        p, g, x = map(numbers.take, (size, size, size))
        key = dh.dh_key(p=p, g=g, x=x)
    return _of_size(key, head.bitlen, data)


def parse_3(data: bytes) -> Parsed:
    """Prove a PRIVATEKEYBLOB of version 3 of DSA or Diffie-Hellman."""
    head = c_keyblob.DSSPRIVKEY_VER3(data[_KEY:])
    size, order, rest, private = (bits // 8 for bits in (head.bitlenP, head.bitlenQ, head.bitlenJ, head.bitlenX))
    p, q, g, _, y, x = map(Numbers(data, _HEADER_3, "little").take, (size, order, size, rest, size, private))
    if head.magic.startswith(_DSS):
        key = key_proof.dsa_key(p=p, q=q, g=g, x=x, y=y or None)
    else:
        key = dh.dh_key(p=p, g=g, x=x, y=y or None, q=q or None)
    return _of_size(key, head.bitlenP, data)


def _of_size(key: PrivateKey, bits: int, data: bytes) -> Parsed:
    if key.bits != bits:
        raise RefusedError("a modulus of another size than announced")
    return Parsed(read_from(key, data), "capi")


def _extract_rsa(memory: Memory, address: int) -> Raw:
    bits = c_keyblob.RSAPUBKEY(read_header(memory, address, _RSA_HEADER)[_KEY:]).bitlen
    if not _LEAST_BITS <= bits <= _MOST_BITS or bits % 16:
        raise RefusedError("no size of an RSA key")
    length = _RSA_HEADER + 2 * (bits // 8) + 5 * (bits // 16)
    return Raw(memory.read(address, length), length)


def _extract_2(memory: Memory, address: int) -> Raw:
    head = c_keyblob.DSSPUBKEY(read_header(memory, address, _HEADER)[_KEY:])
    if not dh.LEAST_BITS <= head.bitlen <= dh.MOST_BITS or head.bitlen % 8:
        raise RefusedError("no size of a group")
    size = head.bitlen // 8
    values = 2 * size + 2 * _DSA_ORDER_BYTES + _SEED if head.magic.startswith(_DSS) else 3 * size
    return Raw(memory.read(address, _HEADER + values), _HEADER + values)


def _extract_3(memory: Memory, address: int) -> Raw:
    head = c_keyblob.DSSPRIVKEY_VER3(read_header(memory, address, _HEADER_3)[_KEY:])
    sizes = (head.bitlenP, head.bitlenQ, head.bitlenJ, head.bitlenX)
    if (
        not dh.LEAST_BITS <= head.bitlenP <= dh.MOST_BITS
        or max(sizes) > head.bitlenP
        or any(bits % 8 for bits in sizes)
    ):
        raise RefusedError("lengths that do not belong together")
    length = _HEADER_3 + (2 * head.bitlenP + sum(sizes)) // 8
    return Raw(memory.read(address, length), length)


def parse_group(data: bytes) -> Parsed:
    """Read a PRIVATEKEYBLOB of DSA or Diffie-Hellman, of either version."""
    return parse_2(data) if c_keyblob.PUBLICKEYSTRUC(data).bVersion == _VERSION_2 else parse_3(data)


def _extract_group(memory: Memory, address: int) -> Raw:
    head = c_keyblob.PUBLICKEYSTRUC(read_header(memory, address, _KEY))
    return _extract_2(memory, address) if head.bVersion == _VERSION_2 else _extract_3(memory, address)


_GROUPS = BytesDecoder(_extract_group, parse_group)

DETECTORS: tuple[Detector, ...] = (
    # bType, bVersion, reserved, aiKeyAlg, magic, bitlen
    (
        opening("capi-rsa", "07 02 00 00 00 24|a4 00 00 52 53 41 32 .. 02-40 00 00"),
        BytesDecoder(_extract_rsa, parse_rsa),
    ),
    (opening("capi-dsa", "07 02|03 00 00 00 22 00 00 44 53 53 32|34 .. 02-20 00 00"), _GROUPS),
    (opening("capi-dh", "07 02|03 00 00 01|02 aa 00 00 44 48 32|34 00 .. 02-20 00 00"), _GROUPS),
)
