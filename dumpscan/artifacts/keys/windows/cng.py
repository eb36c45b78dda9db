"""Private keys as CNG exports them: RSA, EC, DSA and Diffie-Hellman.

A public value that is all zero was not given (dotnet/runtime#33874 shows programs that write keys so).

Layouts: `dumpscan.model.c_keyblob`, from Microsoft's `bcrypt.h`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.asymmetric import ec

from dumpscan.artifacts.decoded import BytesDecoder, Parsed, Raw, RefusedError
from dumpscan.artifacts.keys import proof as key_proof
from dumpscan.artifacts.keys.algorithms import dh
from dumpscan.artifacts.keys.finding import read_from
from dumpscan.artifacts.keys.private_key import on_some_curve
from dumpscan.artifacts.keys.windows.blob import Numbers, read_header
from dumpscan.model.c_keyblob import c_keyblob
from dumpscan.scan.opening import opening

if TYPE_CHECKING:
    from dumpscan.artifacts.detector import Detector
    from dumpscan.findings import PrivateKey
    from dumpscan.memory.space import Memory

_FULL = b"RSA3"
_CURVES: dict[bytes, ec.EllipticCurve] = {b"2": ec.SECP256R1(), b"4": ec.SECP384R1(), b"6": ec.SECP521R1()}
"""By the last character of a private blob's magic."""
_GENERIC = b"V"
"""The same character where the curve is not named."""
_LEAST_FIELD_BYTES, _MOST_FIELD_BYTES = 14, 66
"""Of the curves that CNG knows: secP112r1 and nistP521."""

_RSA_HEADER = len(c_keyblob.BCRYPT_RSAKEY_BLOB)
_EC_HEADER = len(c_keyblob.BCRYPT_ECCKEY_BLOB)
_DSA_HEADER = len(c_keyblob.BCRYPT_DSA_KEY_BLOB)
_DSA2_HEADER = len(c_keyblob.BCRYPT_DSA_KEY_BLOB_V2)
_DH_HEADER = len(c_keyblob.BCRYPT_DH_KEY_BLOB)
_DSA_ORDER_BYTES = 20
_LEAST_DSA_BYTES, _MOST_DSA_BYTES = 64, key_proof.MOST_DSA_BITS // 8
_MOST_ORDER_BYTES = key_proof.MOST_DSA_ORDER_BITS // 8

_LEAST_BITS, _MOST_BITS = key_proof.LEAST_RSA_BITS, key_proof.MOST_RSA_BITS


def parse_rsa(data: bytes) -> Parsed:
    """Prove a BCRYPT_RSAPRIVATE_BLOB or BCRYPT_RSAFULLPRIVATE_BLOB."""
    head = c_keyblob.BCRYPT_RSAKEY_BLOB(data)
    numbers, prime1, prime2 = Numbers(data, _RSA_HEADER, "big"), head.cbPrime1, head.cbPrime2
    exponent, modulus, p, q = map(numbers.take, (head.cbPublicExp, head.cbModulus, prime1, prime2))
    if modulus.bit_length() != head.BitLength:
        raise RefusedError("a modulus of another size than announced")
    crt = private_exponent = None
    if head.Magic == _FULL:
        crt = (numbers.take(prime1), numbers.take(prime2), numbers.take(prime1))
        private_exponent = numbers.take(head.cbModulus) or None
    key = key_proof.rsa_key(modulus=modulus, exponent=exponent, p=p, q=q, private_exponent=private_exponent, crt=crt)
    return Parsed(read_from(key, data), "cng")


def parse_ec(data: bytes) -> Parsed:
    """Prove a BCRYPT_ECCPRIVATE_BLOB, of a NIST curve or of one that it does not name."""
    head = c_keyblob.BCRYPT_ECCKEY_BLOB(data)
    coordinates, value = data[_EC_HEADER : _EC_HEADER + 2 * head.cbKey], data[_EC_HEADER + 2 * head.cbKey :]
    points = [b"\x04" + coordinates] if any(coordinates) else []
    curve = _CURVES.get(head.dwMagic[3:])
    if curve is not None:
        key = key_proof.ec_key(curve, int.from_bytes(value, "big"), *points)
    elif head.cbKey == key_proof.X25519.size and points and not any(coordinates[head.cbKey :]):
        key = key_proof.raw_key(key_proof.X25519, value, coordinates[: head.cbKey])
    else:
        key = on_some_curve(value, points)
    return Parsed(read_from(key, data), "cng")


def parse_dsa(data: bytes) -> Parsed:
    """Prove a BCRYPT_DSA_PRIVATE_BLOB of version 1."""
    head = c_keyblob.BCRYPT_DSA_KEY_BLOB(data)
    q = int.from_bytes(bytes(head.q), "big")
    numbers = Numbers(data, _DSA_HEADER, "big")
    p, g, y, x = map(numbers.take, (*[head.cbKey] * 3, _DSA_ORDER_BYTES))
    return Parsed(read_from(_dsa(p, q, g, y, x), data), "cng")


def parse_dsa2(data: bytes) -> Parsed:
    """Prove a BCRYPT_DSA_PRIVATE_BLOB of version 2."""
    head = c_keyblob.BCRYPT_DSA_KEY_BLOB_V2(data)
    numbers = Numbers(data, _DSA2_HEADER + head.cbSeedLength, "big")
    q, p, g, y, x = map(numbers.take, (head.cbGroupSize, *[head.cbKey] * 3, head.cbGroupSize))
    return Parsed(read_from(_dsa(p, q, g, y, x), data), "cng")


def _dsa(p: int, q: int, g: int, y: int, x: int) -> PrivateKey:
    return key_proof.dsa_key(p=p, q=q, g=g, x=x, y=y or None)


def parse_dh(data: bytes) -> Parsed:
    """Prove a BCRYPT_DH_PRIVATE_BLOB."""
    size = c_keyblob.BCRYPT_DH_KEY_BLOB(data).cbKey
    numbers = Numbers(data, _DH_HEADER, "big")
    p, g, y, x = (numbers.take(size) for _ in range(4))
    return Parsed(read_from(dh.dh_key(p=p, g=g, x=x, y=y or None), data), "cng")


def _extract_rsa(memory: Memory, address: int) -> Raw:
    head = c_keyblob.BCRYPT_RSAKEY_BLOB(read_header(memory, address, _RSA_HEADER))
    modulus, prime1, prime2 = head.cbModulus, head.cbPrime1, head.cbPrime2
    fits = (
        _LEAST_BITS <= head.BitLength <= _MOST_BITS
        and modulus == (head.BitLength + 7) // 8
        and 0 < head.cbPublicExp <= key_proof.MOST_EXPONENT_BITS // 8
        and modulus <= prime1 + prime2 <= modulus + 2
    )
    if not fits:
        raise RefusedError("lengths that do not belong together")
    length = _RSA_HEADER + head.cbPublicExp + modulus + prime1 + prime2
    if head.Magic == _FULL:
        length += 2 * prime1 + prime2 + modulus
    return Raw(memory.read(address, length), length)


def _extract_ec(memory: Memory, address: int) -> Raw:
    head = c_keyblob.BCRYPT_ECCKEY_BLOB(read_header(memory, address, _EC_HEADER))
    kind = head.dwMagic[3:]
    if kind == _GENERIC:
        fits = _LEAST_FIELD_BYTES <= head.cbKey <= _MOST_FIELD_BYTES
    else:
        fits = kind in _CURVES and head.cbKey == (_CURVES[kind].key_size + 7) // 8
    if not fits:
        raise RefusedError("a size that the curve does not have")
    length = _EC_HEADER + 3 * head.cbKey
    return Raw(memory.read(address, length), length)


def _extract_dsa(memory: Memory, address: int) -> Raw:
    size = c_keyblob.BCRYPT_DSA_KEY_BLOB(read_header(memory, address, _DSA_HEADER)).cbKey
    if not _LEAST_DSA_BYTES <= size <= _MOST_DSA_BYTES:
        raise RefusedError("no size of a DSA key")
    length = _DSA_HEADER + 3 * size + _DSA_ORDER_BYTES
    return Raw(memory.read(address, length), length)


def _extract_dsa2(memory: Memory, address: int) -> Raw:
    head = c_keyblob.BCRYPT_DSA_KEY_BLOB_V2(read_header(memory, address, _DSA2_HEADER))
    fits = (
        _LEAST_DSA_BYTES <= head.cbKey <= _MOST_DSA_BYTES
        and _DSA_ORDER_BYTES <= head.cbGroupSize <= _MOST_ORDER_BYTES
        and head.cbSeedLength <= _MOST_ORDER_BYTES
    )
    if not fits:
        raise RefusedError("lengths that do not belong together")
    length = _DSA2_HEADER + head.cbSeedLength + 2 * head.cbGroupSize + 3 * head.cbKey
    return Raw(memory.read(address, length), length)


def _extract_dh(memory: Memory, address: int) -> Raw:
    size = c_keyblob.BCRYPT_DH_KEY_BLOB(read_header(memory, address, _DH_HEADER)).cbKey
    if not dh.LEAST_BITS // 8 <= size <= dh.MOST_BITS // 8:
        raise RefusedError("no size of a Diffie-Hellman key")
    length = _DH_HEADER + 4 * size
    return Raw(memory.read(address, length), length)


_RSA = BytesDecoder(_extract_rsa, parse_rsa)
_EC = BytesDecoder(_extract_ec, parse_ec)

DETECTORS: tuple[Detector, ...] = (
    # Magic, BitLength, cbPublicExp, cbModulus, cbPrime1, cbPrime2
    (
        opening("cng-rsa", "52 53 41 32|33 .. 02-40 00 00 01-20 00 00 00 .. 00-08 00 00 .. 00-04 00 00 .. 00-04 00 00"),
        _RSA,
    ),
    (opening("cng-ec-256", "45 43 53|4b 32 20 00 00 00"), _EC),
    (opening("cng-ec-384", "45 43 53|4b 34 30 00 00 00"), _EC),
    (opening("cng-ec-521", "45 43 53|4b 36 42 00 00 00"), _EC),
    (opening("cng-ec-generic", "45 43 44|4b 56 0e-42 00 00 00"), _EC),
    # dwMagic, cbKey
    (opening("cng-dsa", "44 53 50 56 .. 00-02 00 00"), BytesDecoder(_extract_dsa, parse_dsa)),
    (opening("cng-dsa-2", "44 50 56 32 .. 00-02 00 00"), BytesDecoder(_extract_dsa2, parse_dsa2)),
    (opening("cng-dh", "44 48 50 56 .. 00-04 00 00"), BytesDecoder(_extract_dh, parse_dh)),
)
