"""Key blobs of Windows: CNG (bcrypt.h) and CryptoAPI (wincrypt.h). Layouts: `dumpscan.model.c_keyblob`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from dumpscan.model.c_keyblob import c_keyblob
from dumpscan.synth.objects.private_keys.members import rsa_members

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

_PRIMES = ("n", "p", "q")
_ALL = ("n", "p", "q", "dp", "dq", "qi", "d")
_EC_MAGICS = {256: 2, 384: 4, 521: 6}
"""Last digit of the magics of private EC blobs (ECS2, ECK2 ...), by bits of the field."""


def cng_rsa(key: RSAPrivateKey, *, full: bool = False) -> bytes:
    """Return a BCRYPT_RSAPRIVATE_BLOB or, if `full`, a BCRYPT_RSAFULLPRIVATE_BLOB, which holds d and the CRT values."""
    size, e = key.key_size // 8, key.public_key().public_numbers().e
    exponent = e.to_bytes((e.bit_length() + 7) // 8, "big")
    header = c_keyblob.BCRYPT_RSAKEY_BLOB(
        Magic=b"RSA3" if full else b"RSA2",
        BitLength=key.key_size,
        cbPublicExp=len(exponent),
        cbModulus=size,
        cbPrime1=size // 2,
        cbPrime2=size // 2,
    )
    return bytes(header) + exponent + _numbers(key, _ALL if full else _PRIMES, "big")


def cng_ec(key: EllipticCurvePrivateKey, *, agreement: bool = False) -> bytes:
    """Return a BCRYPT_ECCPRIVATE_BLOB for ECDSA or, if `agreement`, for ECDH."""
    numbers = key.private_numbers()
    size = (key.key_size + 7) // 8
    magic = f"EC{'K' if agreement else 'S'}{_EC_MAGICS[key.key_size]}".encode()
    values = (numbers.public_numbers.x, numbers.public_numbers.y, numbers.private_value)
    return bytes(c_keyblob.BCRYPT_ECCKEY_BLOB(dwMagic=magic, cbKey=size)) + b"".join(
        value.to_bytes(size, "big") for value in values
    )


def capi(key: RSAPrivateKey) -> bytes:
    """Return a PRIVATEKEYBLOB of CryptoAPI for CALG_RSA_KEYX."""
    head = c_keyblob.PUBLICKEYSTRUC(bType=7, bVersion=2, reserved=0, aiKeyAlg=0xA400)
    body = c_keyblob.RSAPUBKEY(magic=b"RSA2", bitlen=key.key_size, pubexp=key.public_key().public_numbers().e)
    return bytes(head) + bytes(body) + _numbers(key, _ALL, "little")


def _numbers(key: RSAPrivateKey, names: Iterable[str], order: Literal["big", "little"]) -> bytes:
    """Return members of a key at their full width: n and d that of the modulus, the others half of it."""
    members, size = rsa_members(key), key.key_size // 8
    return b"".join(members[name].to_bytes(size if name in "nd" else size // 2, order) for name in names)
