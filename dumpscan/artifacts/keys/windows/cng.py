"""Private keys as CNG exports them: RSA and EC.

Layouts: `dumpscan.model.c_keyblob`, from Microsoft's `bcrypt.h`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.asymmetric import ec

from dumpscan.artifacts.decoded import BytesDecoder, Detector, Parsed, Raw, RefusedError
from dumpscan.artifacts.keys import proof as key_proof
from dumpscan.artifacts.keys.private_key import read_from
from dumpscan.artifacts.keys.windows.blob import Numbers, read_header
from dumpscan.artifacts.opening import opening
from dumpscan.model.c_keyblob import c_keyblob

if TYPE_CHECKING:
    from dumpscan.memory.space import Memory

_FULL = b"RSA3"
_CURVES: dict[bytes, ec.EllipticCurve] = {b"2": ec.SECP256R1(), b"4": ec.SECP384R1(), b"6": ec.SECP521R1()}
"""By the last character of a private blob's magic."""

_RSA_HEADER = len(c_keyblob.BCRYPT_RSAKEY_BLOB)
_EC_HEADER = len(c_keyblob.BCRYPT_ECCKEY_BLOB)

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
        private_exponent = numbers.take(head.cbModulus)
    key = key_proof.rsa_key(modulus=modulus, exponent=exponent, p=p, q=q, private_exponent=private_exponent, crt=crt)
    return Parsed(read_from(key, data), "cng")


def parse_ec(data: bytes) -> Parsed:
    """Prove a BCRYPT_ECCPRIVATE_BLOB of a NIST curve."""
    head = c_keyblob.BCRYPT_ECCKEY_BLOB(data)
    curve, values = _CURVES[head.dwMagic[3:]], data[_EC_HEADER:]
    point, private_value = b"\x04" + values[: 2 * head.cbKey], int.from_bytes(values[2 * head.cbKey :], "big")
    return Parsed(read_from(key_proof.ec_key(curve, private_value, point), data), "cng")


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
    curve = _CURVES.get(head.dwMagic[3:])
    if curve is None or head.cbKey != (curve.key_size + 7) // 8:
        raise RefusedError("a size that the curve does not have")
    length = _EC_HEADER + 3 * head.cbKey
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
)
