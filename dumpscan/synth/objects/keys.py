"""Key pairs and symmetric keys made from a seed."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import sha256
from math import lcm, prod
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, rsa, x448, x25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from dumpscan.exceptions import ScenarioError
from dumpscan.synth.seeded import SeededBytes, seeded_dsa_group, seeded_prime, seeded_rsa_primes

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True, slots=True)
class MultiPrimeKey:
    """An RSA key with more than two primes (RFC 8017), which `cryptography` cannot hold."""

    primes: tuple[int, ...] = field(repr=False)

    @property
    def d(self) -> int:
        """The private exponent."""
        return pow(RSA_EXPONENT, -1, lcm(*(prime - 1 for prime in self.primes)))

    def public_key(self) -> rsa.RSAPublicKey:
        """Return the public key."""
        return rsa.RSAPublicNumbers(RSA_EXPONENT, prod(self.primes)).public_key()


PrivateKeyObject = (
    rsa.RSAPrivateKey
    | MultiPrimeKey
    | dsa.DSAPrivateKey
    | ec.EllipticCurvePrivateKey
    | ed25519.Ed25519PrivateKey
    | ed448.Ed448PrivateKey
    | x25519.X25519PrivateKey
    | x448.X448PrivateKey
)

RSA_EXPONENT = 65537
RSA_BITS = (512, 768, 1024, 1536, 2048, 3072, 4096)
MULTI_PRIME = {"rsa-2048-3-primes": (2048, 3), "rsa-4096-4-primes": (4096, 4)}
"""The algorithms of RSA keys with more than two primes: bits of the modulus, and number of primes."""
DSA_BITS = {1024: 160, 2048: 256}
"""Bits of p, and of q, of the DSA groups (FIPS 186-4, 4.2)."""

CURVES: dict[str, type[ec.EllipticCurve]] = {
    "p256": ec.SECP256R1,
    "p384": ec.SECP384R1,
    "p521": ec.SECP521R1,
    "secp256k1": ec.SECP256K1,
}

_RAW: dict[str, tuple[str, int, int, Callable[[bytes], PrivateKeyObject]]] = {
    # algorithm: (its name in a finding, bits, bytes of the private value, constructor)
    "ed25519": ("Ed25519", 256, 32, ed25519.Ed25519PrivateKey.from_private_bytes),
    "x25519": ("X25519", 256, 32, x25519.X25519PrivateKey.from_private_bytes),
    "ed448": ("Ed448", 456, 57, ed448.Ed448PrivateKey.from_private_bytes),
    "x448": ("X448", 448, 56, x448.X448PrivateKey.from_private_bytes),
}

ALGORITHMS = (
    *(f"rsa-{bits}" for bits in RSA_BITS),
    *MULTI_PRIME,
    *(f"ec-{name}" for name in CURVES),
    *_RAW,
    *(f"dsa-{bits}" for bits in DSA_BITS),
)
"""The algorithms of key pairs."""

SYMMETRIC = {"aes-128": 16, "aes-192": 24, "aes-256": 32}
"""The algorithms of symmetric keys, and the bytes of a key."""


@dataclass(frozen=True, slots=True)
class KeyPair:
    """A key made from a seed.

    Attributes:
        algorithm: As in a finding: `RSA`, `EC`, `Ed25519`, `X25519`, `Ed448`, `X448`, `DSA`.
        bits: Of the modulus or field.
        curve: Name of the curve of an EC key, as in `cryptography` and in findings: `secp256r1`.
        private: The key. Its `repr` shows no numbers.
    """

    algorithm: str
    bits: int
    curve: str | None
    private: PrivateKeyObject

    @property
    def public_info(self) -> bytes:
        """SubjectPublicKeyInfo, in DER."""
        return self.private.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)

    @property
    def key_id(self) -> str:
        """SHA-256 (hex) of the SubjectPublicKeyInfo."""
        return sha256(self.public_info).hexdigest()


@lru_cache(maxsize=256)
def make_key(algorithm: str, seed: str) -> KeyPair:
    """Return the key determined by `algorithm` and `seed`.

    Raises:
        ScenarioError: If `algorithm` is not one of `ALGORITHMS`.
    """
    _check_algorithm(algorithm, ALGORITHMS)
    source = SeededBytes("key", algorithm, seed)
    family, _, variant = algorithm.partition("-")
    if algorithm in MULTI_PRIME:
        bits, count = MULTI_PRIME[algorithm]
        return KeyPair("RSA", bits, None, _multi_prime(source, bits, count))
    if family == "rsa":
        return KeyPair("RSA", int(variant), None, _rsa(source, int(variant)))
    if family == "dsa":
        return KeyPair("DSA", int(variant), None, _dsa(source, int(variant)))
    if family == "ec":
        curve = CURVES[variant]()
        return KeyPair("EC", curve.key_size, curve.name, _ec(source, curve))
    name, bits, size, construct = _RAW[algorithm]
    return KeyPair(name, bits, None, construct(source.take(size)))


def make_symmetric_key(algorithm: str, seed: str) -> bytes:
    """Return the key determined by `algorithm` and `seed`.

    Raises:
        ScenarioError: If `algorithm` is not one of `SYMMETRIC`.
    """
    _check_algorithm(algorithm, tuple(SYMMETRIC))
    return SeededBytes("symmetric key", algorithm, seed).take(SYMMETRIC[algorithm])


def _check_algorithm(algorithm: str, known: tuple[str, ...]) -> None:
    if algorithm not in known:
        raise ScenarioError(f"unknown algorithm {algorithm!r}; expected one of {', '.join(known)}")


def symmetric_key_id(name: str, key: bytes) -> str:
    """Return the id of a symmetric key as `findings.SymmetricKey` defines it."""
    return sha256(b"\0".join((b"dumpscan symmetric key", name.encode(), key))).hexdigest()


def _rsa(source: SeededBytes, bits: int) -> rsa.RSAPrivateKey:
    p, q = seeded_rsa_primes(source, bits, RSA_EXPONENT)
    d = rsa.rsa_recover_private_exponent(RSA_EXPONENT, p, q)
    crt = rsa.rsa_crt_dmp1(d, p), rsa.rsa_crt_dmq1(d, q), rsa.rsa_crt_iqmp(p, q)
    return rsa.RSAPrivateNumbers(p, q, d, *crt, rsa.RSAPublicNumbers(RSA_EXPONENT, p * q)).private_key()


def _multi_prime(source: SeededBytes, bits: int, count: int) -> MultiPrimeKey:
    while True:
        sizes = [bits // count + (number < bits % count) for number in range(count)]
        primes = tuple(seeded_prime(source, size, coprime_to=RSA_EXPONENT) for size in sizes)
        if prod(primes).bit_length() == bits and len(set(primes)) == count:
            return MultiPrimeKey(primes)


def _dsa(source: SeededBytes, bits: int) -> dsa.DSAPrivateKey:
    p, q, g = seeded_dsa_group(source, bits, DSA_BITS[bits])
    private = source.below(q - 1) + 1
    parameters = dsa.DSAParameterNumbers(p, q, g)
    return dsa.DSAPrivateNumbers(private, dsa.DSAPublicNumbers(pow(g, private, p), parameters)).private_key()


def _ec(source: SeededBytes, curve: ec.EllipticCurve) -> ec.EllipticCurvePrivateKey:
    while True:
        try:
            return ec.derive_private_key(source.bits(curve.key_size), curve)
        except ValueError:  # zero, or not below the order of the curve: draw again
            continue
