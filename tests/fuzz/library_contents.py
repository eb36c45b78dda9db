"""Hostile contents with pointers in them: objects of libraries, as they lie at an address (see `contents`)."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import numpy as np
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding

from dumpscan.artifacts.aes.cipher import expand
from dumpscan.model.c_symcrypt import X64
from dumpscan.synth.objects.symcrypt import structures as symcrypt
from dumpscan.synth.objects.symcrypt.curves import CURVES
from support.artifact_samples import EXTENSIONS, certificate_of, ec_key, rewritten, rsa_key, tlv
from support.number_samples import bignum, go_slice, mpi, mpz

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

    from support.number_samples import Header

    Whole = Callable[[Random, int, int], bytes]  # random numbers, size, address

_WORD = 8


def odd(bits: int, rng: Random) -> int:
    """Return a number without small factors that is hardly ever prime."""
    while True:
        number = rng.getrandbits(bits) | 3 << (bits - 2) | 1
        if all(number % small for small in range(3, 1000, 2)):
            return number


def composite_rsa(bits: int, rng: Random) -> rsa.RSAPrivateNumbers:
    """Return numbers for which every relation of a key holds; the factors are not prime."""
    while True:
        p, q = odd(bits // 2, rng), odd(bits // 2, rng)
        try:
            d, inverse = pow(65537, -1, (p - 1) * (q - 1)), pow(q, -1, p)
        except ValueError:
            continue
        return rsa.RSAPrivateNumbers(p, q, d, d % (p - 1), d % (q - 1), inverse, rsa.RSAPublicNumbers(65537, p * q))


def _one_after_another(make: Callable[[Random, int], bytes], before: bytes = b"") -> Whole:
    """Lay objects behind one another, each at a multiple of 32."""

    def whole(rng: Random, size: int, base: int) -> bytes:
        made = bytearray(before)
        while len(made) < size:
            made += bytes(-len(made) % 32)
            made += make(rng, base + len(made))
        return bytes(made)

    return whole


def _symcrypt_rsa(bits: int, *, damaged: bool = False) -> Whole:
    def make(rng: Random, address: int) -> bytes:
        numbers = composite_rsa(bits, rng)
        if damaged:  # neither primes nor the private exponent are right: what is left is tried
            numbers = rsa.RSAPrivateNumbers(
                odd(bits // 2, rng), odd(bits // 2, rng), odd(bits - 1, rng), numbers.dmp1, numbers.dmq1, numbers.iqmp,
                numbers.public_numbers,
            )  # fmt: skip
        return symcrypt.rsa_key(X64, address, numbers.public_numbers, numbers)

    return _one_after_another(make)


def _symcrypt_ec(name: str) -> Whole:
    """Keys whose point is not that of their scalar, on a curve that lies before them."""

    def whole(rng: Random, size: int, base: int) -> bytes:
        curve = CURVES[name]
        head = symcrypt.ec_curve(X64, base, curve)

        def make(rng: Random, address: int) -> bytes:
            scalar = rng.randrange(1 << 100, curve.order)
            return symcrypt.ec_key(
                X64, address, base, curve, public=curve.generator, scalar=scalar, z=rng.getrandbits(60) | 1
            )

        return _one_after_another(make, head)(rng, size, base)

    return whole


def _symcrypt_dl(bits: int) -> Whole:
    """Keys in a group without an order, whose public element is not that of the private value."""

    def whole(rng: Random, size: int, base: int) -> bytes:
        p = rng.getrandbits(bits) | 1 << bits - 1 | 1
        head = symcrypt.dl_group(X64, base, p, None, 2)

        def make(rng: Random, address: int) -> bytes:
            key = bytearray(symcrypt.dl_key(X64, address, base, (p, None, 2), 3))
            at = key.rindex(b"\x49\x67")
            digits = X64.digits(bits)
            key[at - 2 :] = symcrypt.integer(X64, rng.getrandbits(bits - 2), digits)
            return bytes(key)

        return _one_after_another(make, head)(rng, size, base)

    return whole


def _symcrypt_tags(rng: Random, size: int, base: int) -> bytes:
    """Headers of numbers and nothing else."""
    del base
    return b"".join(symcrypt.integer(X64, rng.getrandbits(250), X64.digits(256)) for _ in range(size // 64))


def _modulus(rng: Random, address: int) -> bytes:
    return symcrypt.modulus(X64, address, odd(512, rng), X64.digits(512), flags=1)


def _group(rng: Random, address: int) -> bytes:
    """A group, and words that point to it: public keys are looked for around each."""
    return symcrypt.dl_group(X64, address, odd(512, rng), None, 2) + struct.pack("<Q", address) * 64


def _headers(header: Header, limbs: tuple[int, ...]) -> Whole:
    """Headers that share their limbs: each number begins a word behind the one before, so all are different."""

    def whole(rng: Random, size: int, base: int) -> bytes:
        numbers = size // 4
        heads = bytearray()
        word = 0
        while len(heads) < size - numbers:
            heads += header(base + word * _WORD % (numbers - max(limbs) * _WORD) // _WORD * _WORD, rng.choice(limbs))
            word += 1
        odd_words = [word | 1 | 1 << 63 for word in struct.unpack(f"<{numbers // _WORD}Q", rng.randbytes(numbers))]
        return struct.pack(f"<{numbers // _WORD}Q", *odd_words) + bytes(heads)

    return whole


def _shielded(rng: Random, size: int, base: int) -> bytes:
    heads = b"".join(
        struct.pack("<QQQQ", base + rng.randrange(size // 2) // 16 * 16, 1024, base + size // 2, 16 << 10)
        for _ in range(size // 64)
    )
    return heads + rng.randbytes(size - len(heads))


def _aes_relations(rng: Random, size: int, base: int) -> bytes:
    """Words among which the linear relation of AES-128 holds everywhere."""
    del base
    words = [rng.getrandbits(32) for _ in range(4)]
    while len(words) < size // 4:
        words.append(words[-1] ^ words[-4])
    return struct.pack(f"<{len(words)}I", *words)


def _aes_schedules(rng: Random, size: int, base: int) -> bytes:
    del base
    return b"".join(expand(rng.randbytes(16)) for _ in range(size // 176 + 1))


def _known_rsa(bits: int) -> Whole:
    """Certificates, and random words, each of which may begin one of its primes."""

    def whole(rng: Random, size: int, base: int) -> bytes:
        del base
        made = certificate_of(rsa_key(2048), extensions=EXTENSIONS[1:]).public_bytes(Encoding.DER)
        certificates = b""
        for _ in range(32):
            other = odd(bits, rng).to_bytes(bits // 8, "big")
            certificates += _resized(made, other)
        words = np.frombuffer(rng.randbytes((size - len(certificates)) // 8 * 8), "<u8") | np.uint64(1 << 63 | 1)
        return certificates.ljust(-(-len(certificates) // 8) * 8, b"\0") + words.astype("<u8").tobytes()

    return whole


def _resized(certificate: bytes, other: bytes) -> bytes:
    number = tlv(0x30, tlv(2, b"\0" + other), tlv(2, b"\1\0\1"))
    info = tlv(0x30, tlv(0x30, bytes.fromhex("06092a864886f70d010101"), b"\5\0"), tlv(3, b"\0" + number))
    return rewritten(certificate, subjectPublicKeyInfo=info)


def _known_ec(name: str) -> Whole:
    """A certificate on a curve, and pointers to random numbers."""

    def whole(rng: Random, size: int, base: int) -> bytes:
        certificate = certificate_of(ec_key(name)).public_bytes(Encoding.DER).ljust(2048, b"\0")
        half = size // 2 // _WORD
        pointers = struct.pack(f"<{half - 256}Q", *(base + size // 2 + _WORD * number for number in range(half - 256)))
        return certificate + pointers + rng.randbytes(size // 2)

    return whole


WHOLE: dict[str, Whole] = {
    "symcrypt-rsa-1024": _symcrypt_rsa(1024),
    "symcrypt-rsa-4096": _symcrypt_rsa(4096),
    "symcrypt-rsa-damaged": _symcrypt_rsa(2048, damaged=True),
    "symcrypt-p256": _symcrypt_ec("secp256r1"),
    "symcrypt-p521": _symcrypt_ec("secp521r1"),
    "symcrypt-unnamed-curve": _symcrypt_ec("secp160r1"),
    "symcrypt-x25519": _symcrypt_ec("curve25519"),
    "symcrypt-dl-2048": _symcrypt_dl(2048),
    "symcrypt-dl-8192": _symcrypt_dl(8192),
    "symcrypt-ints": _symcrypt_tags,
    "symcrypt-moduli": _one_after_another(_modulus),
    "symcrypt-groups": _one_after_another(_group),
    "numbers-openssl": _headers(bignum, (4, 6, 9)),
    "numbers-rsa": _headers(bignum, (8, 16)),
    "numbers-rsa-large": _headers(bignum, (128, 256)),
    "numbers-gmp": _headers(mpz, (16, 32)),
    "numbers-mbedtls": _headers(mpi, (16, 32)),
    "numbers-go": _headers(go_slice, (4, 16, 32)),
    "shielded": _shielded,
    "aes-relations": _aes_relations,
    "aes-schedules": _aes_schedules,
    "known-rsa-2048": _known_rsa(2048),
    "known-rsa-16384": _known_rsa(16384),
    "known-p256": _known_ec("secp256r1"),
    "known-p384": _known_ec("secp384r1"),
    "known-secp256k1": _known_ec("secp256k1"),
}
"""Kinds of memory whose objects point to one another."""
