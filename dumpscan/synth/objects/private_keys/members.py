"""The numbers of an RSA private key, and the DER that holds them.

Source: RFC 8017, A.1.2 (RSAPrivateKey). The DER is written here because `cryptography` refuses numbers that do not make
a valid key, and keys with more than two primes.
"""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING

from dumpscan.synth.objects import der
from dumpscan.synth.objects.keys import RSA_EXPONENT, MultiPrimeKey

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

Members = dict[str, int]
_RSA_ENCRYPTION = der.sequence(der.oid("1.2.840.113549.1.1.1"), der.NULL)


def rsa_members(key: RSAPrivateKey | MultiPrimeKey) -> Members:
    """Return the numbers of a key in the order of RSAPrivateKey, without its version and further primes."""
    if isinstance(key, MultiPrimeKey):
        p, q, *_ = key.primes
        n, e, d = prod(key.primes), RSA_EXPONENT, key.d
    else:
        numbers = key.private_numbers()
        n, e, d = numbers.public_numbers.n, numbers.public_numbers.e, numbers.d
        p, q = numbers.p, numbers.q
    return {"n": n, "e": e, "d": d, "p": p, "q": q, "dp": d % (p - 1), "dq": d % (q - 1), "qi": pow(q, -1, p)}


def pkcs1(members: Mapping[str, int], *, version: int = 0, others: bytes = b"") -> bytes:
    """Return an RSAPrivateKey of these numbers, which need not make a valid key."""
    return der.sequence(der.integer(version), *map(der.integer, members.values()), others)


def multi_prime_pkcs1(key: MultiPrimeKey) -> bytes:
    """Return an RSAPrivateKey of version 1, which also holds the primes after the second."""
    others = [
        der.sequence(*map(der.integer, (prime, key.d % (prime - 1), pow(prod(key.primes[:index]), -1, prime))))
        for index, prime in enumerate(key.primes[2:], 2)
    ]
    return pkcs1(rsa_members(key), version=1, others=der.sequence(*others))


def rsa_pkcs8(content: bytes) -> bytes:
    """Return an RSAPrivateKey as a PrivateKeyInfo (RFC 5958, 2)."""
    return der.sequence(der.integer(0), _RSA_ENCRYPTION, der.octet_string(content))


def _changed(members: Members, **values: int) -> Members:
    return {**members, **values}


ODD_MEMBERS: dict[str, Callable[[Members], Members]] = {
    "stale-qi": lambda m: _changed(m, qi=pow(m["p"], -1, m["q"])),
    "swapped-primes": lambda m: _changed(m, p=m["q"], q=m["p"], dp=m["dq"], dq=m["dp"]),
    "zero-crt": lambda m: _changed(m, dp=0, dq=0, qi=0),
    "zero-primes": lambda m: _changed(m, p=0, q=0, dp=0, dq=0, qi=0),
    "no-crt": lambda m: {name: m[name] for name in ("n", "e", "d", "p", "q")},
}
"""Ways in which programs write RSA keys that still work, although some of their numbers are wrong or missing.

`stale-qi` has the coefficient of the primes in the other order, `swapped-primes` the primes in the other order with the
old coefficient, `zero-crt` zeros for the CRT values, `zero-primes` zeros for the primes too, and `no-crt` ends after q.
"""
