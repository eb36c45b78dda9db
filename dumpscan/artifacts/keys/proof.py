"""Numbers in, proven private key out: whatever a key was written as, it is a key only if its arithmetic holds.

Every function raises `RefusedError` unless all that it was given fits together. Sizes are limited before any
arithmetic, so that the time which hostile numbers can cost is bounded; the texts of errors never hold a number.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import lru_cache
from hashlib import sha256
from typing import TYPE_CHECKING

from cryptography.exceptions import InternalError, InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, rsa, x448, x25519
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from dumpscan.artifacts.decoded import RefusedError
from dumpscan.findings import PrivateKey

if TYPE_CHECKING:
    from collections.abc import Callable

MOST_RSA_BITS = 16384
LEAST_RSA_BITS = 512
MOST_SIGNING_BITS = 4096
"""Larger keys are proven by their relations alone: a signature takes a second at 16384 bits, and a dump could be full
of forged ones."""
MOST_EXPONENT_BITS = 256
"""FIPS 186-5, 5.4 (e): the public exponent is below 2^256."""
_SMALL_PRIMES = math.prod(
    number for number in range(3, 1000, 2) if all(number % odd for odd in range(3, 32, 2) if odd < number)
)
"""Product of the odd primes below 1000: refuses most composite factors for the price of one gcd. The rest fail the
signature, whose round trip is Fermat's test to a random base, at OpenSSL's speed."""
MOST_DSA_BITS = 4096
MOST_DSA_ORDER_BITS = 512

_MOST_KNOWN = 256
"""Keys whose slow part of the proof is remembered: the same one lies in memory in several encodings."""

LIBRARY_ERRORS = (ValueError, TypeError, OverflowError, UnsupportedAlgorithm, InternalError)
"""What `cryptography` raises for numbers and encodings that it does not like."""

_Key = (
    rsa.RSAPrivateKey
    | dsa.DSAPrivateKey
    | ec.EllipticCurvePrivateKey
    | ed25519.Ed25519PrivateKey
    | ed448.Ed448PrivateKey
    | x25519.X25519PrivateKey
    | x448.X448PrivateKey
)


@dataclass(frozen=True, slots=True)
class RawAlgorithm:
    """An algorithm whose private key is a string of bytes (RFC 7748, RFC 8032).

    Attributes:
        name: As in a finding.
        bits: Of the field, as its public key's size is given.
        size: Bytes of the private value, and of the public one.
        load: Makes a key of the private value.
    """

    name: str
    bits: int
    size: int
    load: Callable[
        [bytes], ed25519.Ed25519PrivateKey | ed448.Ed448PrivateKey | x25519.X25519PrivateKey | x448.X448PrivateKey
    ]


X25519 = RawAlgorithm("X25519", 256, 32, x25519.X25519PrivateKey.from_private_bytes)
X448 = RawAlgorithm("X448", 448, 56, x448.X448PrivateKey.from_private_bytes)
ED25519 = RawAlgorithm("Ed25519", 256, 32, ed25519.Ed25519PrivateKey.from_private_bytes)
ED448 = RawAlgorithm("Ed448", 456, 57, ed448.Ed448PrivateKey.from_private_bytes)


def rsa_key(
    *,
    modulus: int,
    exponent: int,
    p: int,
    q: int,
    private_exponent: int | None = None,
    crt: tuple[int, int, int] | None = None,
) -> PrivateKey:
    """Prove a two-prime RSA key (RFC 8017, 3.2).

    Args:
        modulus: n.
        exponent: e.
        p: First prime.
        q: Second prime.
        private_exponent: d, where it was stored.
        crt: d mod (p-1), d mod (q-1) and the inverse of q mod p, where they were stored.
    """
    if not LEAST_RSA_BITS <= modulus.bit_length() <= MOST_RSA_BITS:
        raise RefusedError("no RSA modulus of a size in use")
    if not (exponent & 1 and exponent > 1 and exponent.bit_length() <= MOST_EXPONENT_BITS):
        raise RefusedError("no public exponent")
    _check_factors(modulus, p, q)
    proof = ["n = p*q"]
    if private_exponent is None:
        private_exponent = _inverse(exponent, math.lcm(p - 1, q - 1))
    elif 1 < private_exponent < modulus and all(exponent * private_exponent % (prime - 1) == 1 for prime in (p, q)):
        proof.append("e*d = 1 mod lcm(p-1, q-1)")
    else:
        raise RefusedError("the exponents do not belong together")
    first, second, coefficient = private_exponent % (p - 1), private_exponent % (q - 1), _inverse(q, p)
    if crt is not None:
        if crt != (first, second, coefficient):
            raise RefusedError("the CRT values do not belong to the key")
        proof += ["dp = d mod (p-1)", "dq = d mod (q-1)", "q*qinv = 1 mod p"]
    key = _working_rsa(modulus, exponent, p, q, private_exponent)
    return replace(key, proof=(*proof, *key.proof))


@lru_cache(maxsize=_MOST_KNOWN)
def _working_rsa(modulus: int, exponent: int, p: int, q: int, private_exponent: int) -> PrivateKey:
    """Make the key of numbers whose relations hold, and see it work."""
    numbers = rsa.RSAPrivateNumbers(
        p=p,
        q=q,
        d=private_exponent,
        dmp1=private_exponent % (p - 1),
        dmq1=private_exponent % (q - 1),
        iqmp=pow(q, -1, p),
        public_numbers=rsa.RSAPublicNumbers(exponent, modulus),
    )
    try:
        key = numbers.private_key(unsafe_skip_rsa_key_validation=True)
        if modulus.bit_length() > MOST_SIGNING_BITS:
            return _finding(key, "RSA", modulus.bit_length(), [])
        key.public_key().verify(key.sign(b"", PKCS1v15(), SHA256()), b"", PKCS1v15(), SHA256())
    except (*LIBRARY_ERRORS, InvalidSignature):
        raise RefusedError("the RSA key does not work") from None
    return _finding(key, "RSA", modulus.bit_length(), ["a signature by the private key verifies with the public key"])


def _check_factors(modulus: int, p: int, q: int) -> None:
    if p.bit_length() + q.bit_length() > modulus.bit_length() + 1:
        raise RefusedError("the factors are too large for the modulus")
    if not (min(p, q) > 1 and p & q & 1 and p != q and p * q == modulus):
        raise RefusedError("the modulus is not the product of two odd factors")
    if math.gcd(modulus, _SMALL_PRIMES) > 1:
        raise RefusedError("a factor is not prime")


def ec_key(curve: ec.EllipticCurve, private_value: int, *public_points: bytes) -> PrivateKey:
    """Prove a key on a named curve (SEC 1, 3.2).

    Args:
        curve: The curve, whose generator is G.
        private_value: d.
        *public_points: Q, wherever it was stored, as SEC 1, 2.3.3 writes it (uncompressed, compressed or hybrid).
    """
    key, forms = _derived_ec(type(curve), private_value)
    if not forms.issuperset(public_points):
        raise RefusedError("the public point is not that of the private value")
    return replace(key, proof=("Q = d*G",)) if public_points else key


@lru_cache(maxsize=_MOST_KNOWN)
def _derived_ec(curve: type[ec.EllipticCurve], private_value: int) -> tuple[PrivateKey, frozenset[bytes]]:
    """Return the key of a private value, and its public point in each of the three forms of SEC 1, 2.3.3."""
    try:
        key = ec.derive_private_key(private_value, curve())
    except LIBRARY_ERRORS:
        raise RefusedError("the private value is out of the curve's range") from None
    public = key.public_key()
    whole = public.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    compressed = public.public_bytes(Encoding.X962, PublicFormat.CompressedPoint)
    hybrid = bytes((compressed[0] + 4,)) + whole[1:]
    finding = _finding(key, "EC", curve().key_size, ["0 < d < order of G", "Q = d*G derived"], curve().name)
    return finding, frozenset((whole, compressed, hybrid))


def raw_key(algorithm: RawAlgorithm, private_value: bytes, public_value: bytes | None = None) -> PrivateKey:
    """Prove a key of Curve25519 or Curve448; any string of the right length is a private value."""
    if len(private_value) != algorithm.size:
        raise RefusedError("a private value of the wrong size")
    try:
        key = algorithm.load(private_value)
        derived = key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    except LIBRARY_ERRORS:
        raise RefusedError("the library refuses the private value") from None
    if public_value is None:
        return _finding(key, algorithm.name, algorithm.bits, ["public value derived"])
    if public_value != derived:
        raise RefusedError("the public value is not that of the private one")
    return _finding(key, algorithm.name, algorithm.bits, ["public value = that of the private value"])


def dsa_key(*, p: int, q: int, g: int, x: int, y: int | None = None) -> PrivateKey:
    """Prove a DSA key (FIPS 186-4, 4.1): its group, and its public value where that was stored."""
    if p.bit_length() > MOST_DSA_BITS or not 1 < q.bit_length() <= MOST_DSA_ORDER_BITS or not p > q:
        raise RefusedError("no DSA group of a size in use")
    if (p - 1) % q or not 1 < g < p or pow(g, q, p) != 1:
        raise RefusedError("the generator is not of the order stored")
    if not 0 < x < q:
        raise RefusedError("the private value is out of range")
    derived = pow(g, x, p)
    if y is not None and y != derived:
        raise RefusedError("the public value is not that of the private one")
    numbers = dsa.DSAPrivateNumbers(x, dsa.DSAPublicNumbers(derived, dsa.DSAParameterNumbers(p, q, g)))
    try:
        key = numbers.private_key()
    except LIBRARY_ERRORS:
        raise RefusedError("the library refuses the DSA key") from None
    relation = "y = g^x mod p derived" if y is None else "y = g^x mod p"
    return _finding(key, "DSA", p.bit_length(), ["q divides p-1", "g^q = 1 mod p", relation])


def _finding(key: _Key, algorithm: str, bits: int, proof: list[str], curve: str | None = None) -> PrivateKey:
    """Make the finding; its hash and size stay empty until it is known which bytes the key was read from."""
    try:
        public = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        pkcs8 = key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    except LIBRARY_ERRORS:
        raise RefusedError("the library cannot write the key") from None
    return PrivateKey(
        sha256="",
        size=0,
        algorithm=algorithm,
        bits=bits,
        curve=curve,
        key_id=sha256(public).hexdigest(),
        proof=tuple(proof),
        pkcs8=pkcs8,
    )


def _inverse(number: int, modulus: int) -> int:
    try:
        return pow(number, -1, modulus)
    except ValueError:
        raise RefusedError("a number has no inverse") from None
