"""Random bytes from a seed, and the primes, groups and signatures that `cryptography` cannot make from one.

The same seed gives the same bytes on every machine and Python version. Keys made from a seed are for test dumps only:
anyone who has the scenario can make them again.
"""

from __future__ import annotations

from functools import cache
from hashlib import shake_256
from math import gcd, isqrt

_SIEVE_LIMIT = 1 << 16
_WITNESSES = (2, 3, 5, 7, 11, 13, 17, 19)
"""Bases of the Miller-Rabin test. A random number of 256 bits or more that passes is composite with a probability far
below 2^-80 (Damgard, Landrock, Pomerance 1993)."""


class SeededBytes:
    """An endless stream of bytes determined by a label: SHAKE-256 of a block counter and the label."""

    def __init__(self, *label: str) -> None:
        self._label = "\x1f".join(label).encode()
        self._block = 0

    def take(self, size: int) -> bytes:
        """Return the next `size` bytes."""
        self._block += 1
        return shake_256(self._block.to_bytes(8, "little") + self._label).digest(size)

    def bits(self, count: int) -> int:
        """Return an integer of `count` random bits."""
        return int.from_bytes(self.take((count + 7) // 8), "big") >> (-count % 8)

    def below(self, limit: int) -> int:
        """Return a uniform integer from 0 up to, not including, `limit`."""
        while True:
            value = self.bits(limit.bit_length())
            if value < limit:
                return value


@cache
def _small_primes() -> tuple[int, ...]:
    sieve = bytearray(b"\x01") * _SIEVE_LIMIT
    sieve[:2] = b"\x00\x00"
    for number in range(2, isqrt(_SIEVE_LIMIT) + 1):
        if sieve[number]:
            sieve[number * number :: number] = bytes(len(range(number * number, _SIEVE_LIMIT, number)))
    return tuple(number for number, flag in enumerate(sieve) if flag)


def _is_prime(number: int) -> bool:
    """Return whether an odd number without small factors passes the Miller-Rabin test."""
    shift = ((number - 1) & (1 - number)).bit_length() - 1
    odd = (number - 1) >> shift
    for witness in _WITNESSES:
        power = pow(witness, odd, number)
        if power in (1, number - 1):
            continue
        for _ in range(shift - 1):
            power = power * power % number
            if power == number - 1:
                break
        else:
            return False
    return True


def prime_in_progression(start: int, step: int, count: int) -> int | None:
    """Return the first prime among the `count` numbers start, start + step, ...; None if there is none.

    All these numbers must be odd and greater than 2^16.
    """
    composite = bytearray(count)
    for prime in _small_primes()[1:]:
        if step % prime:
            first = -start * pow(step, -1, prime) % prime
            composite[first::prime] = b"\x01" * len(range(first, count, prime))
    index = composite.find(0)
    while index >= 0:
        candidate = start + index * step
        if _is_prime(candidate):
            return candidate
        index = composite.find(0, index + 1)
    return None


def seeded_prime(source: SeededBytes, bits: int, *, coprime_to: int = 1) -> int:
    """Return a prime p of exactly `bits` bits whose two top bits are set, with gcd(p - 1, coprime_to) == 1."""
    while True:
        start = source.bits(bits) | 1 | 3 << (bits - 2)
        prime = prime_in_progression(start, 2, 8 * bits)
        if prime is not None and prime.bit_length() == bits and gcd(prime - 1, coprime_to) == 1:
            return prime


def seeded_rsa_primes(source: SeededBytes, bits: int, exponent: int) -> tuple[int, int]:
    """Return the primes p > q of an RSA modulus of exactly `bits` bits, an even number."""
    p = seeded_prime(source, bits // 2, coprime_to=exponent)
    while True:
        q = seeded_prime(source, bits // 2, coprime_to=exponent)
        if q != p:
            return max(p, q), min(p, q)


def seeded_dsa_group(source: SeededBytes, bits: int, order_bits: int) -> tuple[int, int, int]:
    """Return (p, q, g) of a DSA group: primes p of `bits` and q of `order_bits` bits, and g of order q modulo p."""
    q = seeded_prime(source, order_bits)
    while True:
        start = source.bits(bits) | 1 << (bits - 1)
        start += 1 - start % (2 * q)
        p = prime_in_progression(start, 2 * q, 8 * bits)
        if p is not None and p.bit_length() == bits:
            g = pow(2, (p - 1) // q, p)
            if g != 1:
                return p, q, g


def dsa_signature(numbers: tuple[int, int, int], private: int, digest: bytes, source: SeededBytes) -> tuple[int, int]:
    """Sign `digest` in the group (p, q, g) and return (r, s) (FIPS 186-4, 4.6).

    The nonce comes from `source`. `cryptography` draws it at random, so its signatures differ from run to run.
    """
    p, q, g = numbers
    hashed = int.from_bytes(digest[: q.bit_length() // 8], "big")
    while True:
        nonce = source.below(q - 1) + 1
        r = pow(g, nonce, p) % q
        s = pow(nonce, -1, q) * (hashed + private * r) % q
        if r and s:
            return r, s
