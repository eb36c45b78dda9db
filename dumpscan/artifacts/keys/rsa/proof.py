"""Proof of RSA private keys (RFC 8017, 3.2), with two primes or more.

A key is valid if n is the product of its primes and e*d = 1 modulo p-1 for each of them. The values of the Chinese
remainder theorem (CRT) only make it faster: wrong ones are named, and do not make the key wrong.
"""

from __future__ import annotations

import math
from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from dumpscan.artifacts import effort
from dumpscan.artifacts.decoded import RefusedError
from dumpscan.artifacts.keys import encode
from dumpscan.artifacts.keys.finding import LIBRARY_ERRORS, finding_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dumpscan.findings import PrivateKey

MOST_RSA_BITS = 16384
LEAST_RSA_BITS = 512
MOST_SIGNING_BITS = 4096
"""Larger keys are proven by their relations alone: a signature takes a second at 16384 bits, and a dump could be full
of forged ones."""
MOST_EXPONENT_BITS = 256
"""FIPS 186-5, 5.4 (e): the public exponent is below 2^256."""
MAX_PRIMES = 8
"""Of a multi-prime key. RFC 8017 sets no limit; OpenSSL allows 5 (RSA_MAX_PRIME_NUM)."""
MIN_PRIME_BITS = 64
_SMALL_PRIMES = math.prod(
    number for number in range(3, 1000, 2) if all(number % odd for odd in range(3, 32, 2) if odd < number)
)
"""Product of the odd primes below 1000: refuses most composite factors for the price of one gcd. The rest fail the
signature, whose round trip is Fermat's test to a random base, at OpenSSL's speed."""
_SIGNING_2048 = 700
_FAILING_2048 = 3500
"""Microseconds for the signature of a key of 2048 bits, and for a failure: OpenSSL then tries it again without CRT."""
_MOST_KNOWN = 256
"""Keys whose slow part of the proof is remembered: the same one lies in memory in several encodings."""

PRODUCT = "n = p*q"
INVERSE = "e*d = 1 mod lcm(p-1, q-1)"

MODULUS = "modulus"
EXPONENT = "public exponent"
PRIME_1 = "prime 1"
PRIME_2 = "prime 2"
PRIVATE_EXPONENT = "private exponent"
CRT_EXPONENT_1 = "CRT exponent 1"
CRT_EXPONENT_2 = "CRT exponent 2"
CRT_COEFFICIENT = "CRT coefficient"
"""Names of the parts of a key, as in `PrivateKey.wrong_parts`."""


def rsa_key(
    *,
    modulus: int,
    exponent: int,
    p: int,
    q: int,
    private_exponent: int | None = None,
    crt: tuple[int | None, int | None, int | None] | None = None,
) -> PrivateKey:
    """Prove a two-prime RSA key.

    Args:
        modulus: n.
        exponent: e.
        p: First prime.
        q: Second prime.
        private_exponent: d, where it was stored.
        crt: d mod (p-1), d mod (q-1) and the inverse of q mod p, as far as they were stored. Those that are wrong are
            named in the key's `wrong_parts`.

    Raises:
        RefusedError: The numbers are not an RSA key.
    """
    check_public(modulus, exponent)
    _check_factors(modulus, p, q)
    proof = [PRODUCT]
    if private_exponent is None:
        private_exponent = _inverse(exponent, math.lcm(p - 1, q - 1))
    elif belong_together(modulus, exponent, private_exponent, (p, q)):
        proof.append(INVERSE)
    else:
        raise RefusedError("the exponents do not belong together")
    coefficient = _coefficient(p, q, crt[2] if crt else None)
    wrong = []
    if crt is not None:
        right = private_exponent % (p - 1), private_exponent % (q - 1), coefficient
        names = CRT_EXPONENT_1, CRT_EXPONENT_2, CRT_COEFFICIENT
        wrong = [name for name, stored, value in zip(names, crt, right, strict=True) if stored not in (None, value)]
        relations = "dp = d mod (p-1)", "dq = d mod (q-1)", "q*qinv = 1 mod p"
        proof += [relation for relation, stored, value in zip(relations, crt, right, strict=True) if stored == value]
    key = _working_key(modulus, exponent, p, q, private_exponent, coefficient)
    return replace(key, proof=(*proof, *key.proof), wrong_parts=tuple(wrong))


def multi_prime_key(
    *, modulus: int, exponent: int, private_exponent: int, primes: Sequence[int], structure: bytes
) -> PrivateKey:
    """Prove a key with more than two primes (RFC 8017, 3.2). No library takes it apart, so it is exported as stored.

    Args:
        modulus: n.
        exponent: e.
        private_exponent: d.
        primes: All of them.
        structure: The RSAPrivateKey (RFC 8017, A.1.2) that holds the numbers.

    Raises:
        RefusedError: The numbers are not an RSA key.
    """
    check_public(modulus, exponent)
    if not 2 < len(primes) <= MAX_PRIMES or len(set(primes)) < len(primes):  # noqa: PLR2004
        raise RefusedError("no number of different primes that keys have")
    if not all(prime & 1 and MIN_PRIME_BITS <= prime.bit_length() <= modulus.bit_length() for prime in primes):
        raise RefusedError("a factor is too small or too large")
    if math.prod(primes) != modulus:
        raise RefusedError("the modulus is not the product of its factors")
    if not belong_together(modulus, exponent, private_exponent, primes):
        raise RefusedError("the exponents do not belong together")
    _check_primes(modulus, tuple(primes))
    info = _public_info(modulus, exponent)
    return encode.private_key(
        "RSA",
        modulus.bit_length(),
        info,
        encode.pkcs8(encode.RSA_ALGORITHM, structure),
        proof=(
            f"n = the product of {len(primes)} primes",
            "e*d = 1 mod r-1 for each prime r",
            "each prime passes Fermat's test to base 2",
        ),
    )


def check_public(modulus: int, exponent: int) -> None:
    """Refuse what cannot be a public key.

    Raises:
        RefusedError: Their sizes are not in use, or the exponent is even.
    """
    if not LEAST_RSA_BITS <= modulus.bit_length() <= MOST_RSA_BITS:
        raise RefusedError("no RSA modulus of a size in use")
    if not (exponent & 1 and exponent > 1 and exponent.bit_length() <= MOST_EXPONENT_BITS):
        raise RefusedError("no public exponent")


def has_small_factor(number: int) -> bool:
    """Return whether an odd prime below 1000 divides a number."""
    return math.gcd(number, _SMALL_PRIMES) > 1


def belong_together(modulus: int, exponent: int, private_exponent: int, primes: Sequence[int]) -> bool:
    """Return whether e*d = 1 modulo p-1 for each prime p."""
    return 1 < private_exponent < modulus and all(exponent * private_exponent % (prime - 1) == 1 for prime in primes)


@lru_cache(maxsize=_MOST_KNOWN)
def _working_key(  # noqa: PLR0917 - the numbers of a key, which a cache takes by position
    modulus: int, exponent: int, p: int, q: int, private_exponent: int, coefficient: int
) -> PrivateKey:
    """Make the key of numbers whose relations hold, and check that it works."""
    bits = modulus.bit_length()
    numbers = rsa.RSAPrivateNumbers(
        p=p,
        q=q,
        d=private_exponent,
        dmp1=private_exponent % (p - 1),
        dmq1=private_exponent % (q - 1),
        iqmp=coefficient,
        public_numbers=rsa.RSAPublicNumbers(exponent, modulus),
    )
    try:
        key = numbers.private_key(unsafe_skip_rsa_key_validation=True)
        if bits > MOST_SIGNING_BITS:
            return finding_of(key, "RSA", bits, proof=())
        effort.charge(100 + _SIGNING_2048 * (bits / 2048) ** 3)
        key.public_key().verify(key.sign(b"", PKCS1v15(), SHA256()), b"", PKCS1v15(), SHA256())
    except (*LIBRARY_ERRORS, InvalidSignature):
        effort.charge(_FAILING_2048 * (bits / 2048) ** 3)
        raise RefusedError("the RSA key does not work") from None
    return finding_of(key, "RSA", bits, proof=("a signature by the private key verifies with the public key",))


@lru_cache(maxsize=_MOST_KNOWN)
def _check_primes(modulus: int, primes: tuple[int, ...]) -> None:
    """Refuse numbers one of which is certainly not prime."""
    if has_small_factor(modulus):
        raise RefusedError("a factor is not prime")
    for prime in primes:
        effort.charge_power(prime.bit_length(), prime.bit_length())
        if pow(2, prime - 1, prime) != 1:
            raise RefusedError("a factor is not prime")


def _check_factors(modulus: int, p: int, q: int) -> None:
    if p.bit_length() + q.bit_length() > modulus.bit_length() + 1:
        raise RefusedError("the factors are too large for the modulus")
    if not (min(p, q) > 1 and p & q & 1 and p != q and p * q == modulus):
        raise RefusedError("the modulus is not the product of two odd factors")
    if has_small_factor(modulus):
        raise RefusedError("a factor is not prime")


def _public_info(modulus: int, exponent: int) -> bytes:
    try:
        key = rsa.RSAPublicNumbers(exponent, modulus).public_key()
        return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    except LIBRARY_ERRORS:
        raise RefusedError("the library refuses the public key") from None


def _coefficient(p: int, q: int, stored: int | None) -> int:
    """Return the inverse of q modulo p: the stored one if it is that, which a multiplication tells much sooner."""
    if stored is not None and 0 < stored < p and q * stored % p == 1:
        return stored
    return _inverse(q, p)


def _inverse(number: int, modulus: int) -> int:
    effort.charge_inverse(min(number.bit_length(), modulus.bit_length()))
    try:
        return pow(number, -1, modulus)
    except ValueError:
        raise RefusedError("a number has no inverse") from None
