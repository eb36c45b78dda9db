"""RSA from whatever parts of a key are left: a pure computation, no memory.

Given the modulus, any one of p, q, d, dp or dq gives the whole key:

* q = n / p;
* from d and a small e: e*d - 1 = k * (n - p - q + 1) with k < e, so that k divided by a small divisor of p-1 and q-1 is
  a convergent of (e*d - 1) / n, and p + q follows (Wiener, Cryptanalysis of short RSA secret exponents, 1990);
* from d and any e: e*d - 1 is a multiple of the order of every number mod n, so that a square root of 1 turns up whose
  difference from 1 shares a factor with n (NIST SP 800-56B Rev. 2, appendix C);
* from dp: g^(e*dp) = g mod p for every g, so that p = gcd(g^(e*dp) - g, n); likewise from dq.

Whatever is left over is compared with the result, and what does not agree is named.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from math import gcd, isqrt, lcm
from typing import TYPE_CHECKING, cast

from dumpscan.artifacts import effort
from dumpscan.artifacts.decoded import RefusedError
from dumpscan.artifacts.keys.rsa.proof import (
    CRT_COEFFICIENT,
    CRT_EXPONENT_1,
    CRT_EXPONENT_2,
    EXPONENT,
    INVERSE,
    MODULUS,
    MOST_EXPONENT_BITS,
    MOST_RSA_BITS,
    PRIME_1,
    PRIME_2,
    PRIVATE_EXPONENT,
    PRODUCT,
    belong_together,
    rsa_key,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dumpscan.findings import PrivateKey

MOST_FACTORED_BITS = 8192
"""A larger modulus is not factored from an exponent: that would take seconds for each of the candidates."""

USUAL_EXPONENTS = (65537, 3, 17, 5, 7, 257, 35, 37, 41)
"""Tried where the stored one is missing or wrong. Old versions of OpenSSH made keys with 35, PuTTY with 37, GnuPG with
41 and 257."""
MOST_STORED_EXPONENT_BITS = MOST_EXPONENT_BITS
_MOST_RECOVERED_EXPONENT_BITS = 33
"""A public exponent computed from d is believed if it is this small: by chance it would be as long as the modulus."""
_MAX_DIVISOR_BITS = 16
_SLACK_BITS = 16
_SMALL_EXPONENT_2048 = 130
"""Microseconds for factoring a modulus of 2048 bits with a small public exponent; 20 more, whatever its size."""
_BASES = (2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37)
"""Each splits the modulus with a probability of at least one half."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RsaParts:
    """Numbers as they were found; None is one that was not."""

    modulus: int | None = field(default=None, repr=False)
    exponent: int | None = None
    p: int | None = field(default=None, repr=False)
    q: int | None = field(default=None, repr=False)
    d: int | None = field(default=None, repr=False)
    dp: int | None = field(default=None, repr=False)
    dq: int | None = field(default=None, repr=False)

    def missing(self) -> tuple[str, ...]:
        """Name the parts that were not found."""
        return tuple(name for name, value in self.named() if value is None)

    def named(self) -> tuple[tuple[str, int | None], ...]:
        """Pair the parts with their names."""
        return (
            (MODULUS, self.modulus),
            (EXPONENT, self.exponent),
            (PRIME_1, self.p),
            (PRIME_2, self.q),
            (PRIVATE_EXPONENT, self.d),
            (CRT_EXPONENT_1, self.dp),
            (CRT_EXPONENT_2, self.dq),
        )


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """A proven key.

    Attributes:
        key: The key; its proof says which relations were checked.
        wrong: Names of the parts that were found and do not belong to it.
        primes: p and q, in the order in which the key has them, where that shows.
    """

    key: PrivateKey
    wrong: tuple[str, ...]
    primes: tuple[int, int] = field(repr=False)


def rebuild(parts: RsaParts, *, from_crt: bool = True) -> Rebuilt | None:
    """Make a key of its parts and prove it; None if they do not suffice, or make none.

    Args:
        parts: What is left of the key.
        from_crt: Whether to factor the modulus with a CRT exponent too, which is slow.
    """
    for p, q, how in _factorings(parts, from_crt=from_crt):
        exponent, relations = _exponent(parts, p, q)
        if exponent is None:
            continue
        right = {
            **_expected(parts, exponent, p, q),
            MODULUS: parts.modulus == p * q,
            EXPONENT: parts.exponent == exponent,
        }
        wrong = tuple(name for name, value in parts.named() if value is not None and not right[name])
        try:
            key = rsa_key(
                modulus=p * q,
                exponent=exponent,
                p=p,
                q=q,
                private_exponent=parts.d if parts.d is not None and right[PRIVATE_EXPONENT] else None,
            )
        except RefusedError:
            continue
        proof = (*how, *relations)
        return Rebuilt(_with_proof(key, proof), wrong, (p, q))
    return None


def stored_key(parts: RsaParts, coefficient: int | None) -> PrivateKey:
    """Prove the key of numbers that were stored together, all of a key's or the first of them.

    Args:
        parts: The numbers.
        coefficient: The inverse of q modulo p, where it was stored.

    Returns:
        The key; those of the numbers that do not belong to it are named in its `wrong_parts`.

    Raises:
        RefusedError: The numbers do not make a key.
    """
    n, e, d, p, q = parts.modulus, parts.exponent, parts.d, parts.p, parts.q
    if n and e and d and p and q and p * q == n and min(p, q) > 1 and belong_together(n, e, d, (p, q)):
        stored = parts.dp, parts.dq, coefficient
        crt = None if None in stored else cast("tuple[int, int, int]", stored)
        return rsa_key(modulus=n, exponent=e, p=p, q=q, private_exponent=d, crt=crt)
    rebuilt = rebuild(parts, from_crt=False)
    if rebuilt is None:
        raise RefusedError("the numbers do not make an RSA key")
    wrong, (p, q) = rebuilt.wrong, rebuilt.primes
    if coefficient is not None and coefficient * q % p != 1:
        wrong = (*wrong, CRT_COEFFICIENT)
    return replace(rebuilt.key, wrong_parts=wrong)


def _factorings(parts: RsaParts, *, from_crt: bool) -> Iterator[tuple[int, int, tuple[str, ...]]]:
    """Try every way to the two primes, the cheapest first.

    Yields:
        p, q (in the order in which the key has them, where that shows), and the relations that gave them.
    """
    n = parts.modulus
    if n is None or not n & 1 or not 1 < n.bit_length() <= MOST_RSA_BITS:
        n = None
    p, q = _factor(parts.p), _factor(parts.q)
    if p and q and p * q == n:
        yield p, q, (PRODUCT,)
        return
    if n is not None:
        if p and p < n and n % p == 0:
            yield p, n // p, ("p divides n",)
        if q and q < n and n % q == 0:
            yield n // q, q, ("q divides n",)
        yield from _factorings_by_small_exponent(parts, n)
    if p and q and _belong_together(_exponent(parts, p, q)[1]):
        yield p, q, ("n derived from p and q",)
    if n is not None and n.bit_length() <= MOST_FACTORED_BITS:
        yield from _factorings_by_exponent(parts, n, from_crt=from_crt)


def _belong_together(relations: tuple[str, ...]) -> bool:
    """Whether relations vouch for both primes, where no modulus does."""
    crt = {_RELATIONS[CRT_EXPONENT_1], _RELATIONS[CRT_EXPONENT_2]}
    return _RELATIONS[PRIVATE_EXPONENT] in relations or crt <= set(relations)


def _factorings_by_small_exponent(parts: RsaParts, n: int) -> Iterator[tuple[int, int, tuple[str, ...]]]:
    """Factor n with d and the stored public exponent, else with the usual ones (see `_factorings`)."""
    if parts.d is None or not parts.d & 1 or not 1 < parts.d < n:
        return
    stored = parts.exponent if parts.exponent is not None and _is_exponent(parts.exponent) else None
    for exponent in dict.fromkeys((stored, *USUAL_EXPONENTS)):
        if exponent is not None and (factor := _split_by_small_exponent(n, exponent, parts.d)):
            yield *_ordered(parts, factor, n // factor, exponent), ("n factored from d",)


def _factorings_by_exponent(parts: RsaParts, n: int, *, from_crt: bool) -> Iterator[tuple[int, int, tuple[str, ...]]]:
    """Factor n with a private exponent and any public one (see `_factorings`)."""
    exponent = parts.exponent if parts.exponent and parts.exponent & 1 else USUAL_EXPONENTS[0]
    if exponent.bit_length() > MOST_STORED_EXPONENT_BITS:
        return
    if from_crt:
        for value, name in ((parts.dp, "dp"), (parts.dq, "dq")):
            factor = _split_by_identity(n, exponent * value) if value is not None and 1 < value < n else None
            if factor:
                first = n // factor if name == "dq" else factor
                yield first, n // first, (f"n factored from {name}",)
    if parts.d is not None and 1 < parts.d < n and not _is_small(exponent, n):
        factor = _split_by_order(n, exponent * parts.d)
        if factor:
            yield *_ordered(parts, factor, n // factor, exponent), ("n factored from d",)


def _factor(value: int | None) -> int | None:
    """Drop what cannot be a prime of an RSA key."""
    return value if value is not None and value & 1 and 64 < value.bit_length() <= MOST_RSA_BITS else None  # noqa: PLR2004


def _ordered(parts: RsaParts, p: int, q: int, exponent: int) -> tuple[int, int]:
    """Return two primes in the key's order, as far as its other parts tell."""
    if parts.p in (p, q):
        straight = parts.p == p
    elif parts.q in (p, q):
        straight = parts.q == q
    elif parts.dp is not None and exponent * parts.dp % (p - 1) == 1:
        straight = True
    elif parts.dp is not None and exponent * parts.dp % (q - 1) == 1:
        straight = False
    else:
        straight = parts.dq is None or exponent * parts.dq % (p - 1) != 1
    return (p, q) if straight else (q, p)


def _is_small(exponent: int, n: int) -> bool:
    """Whether `_split_by_small_exponent` finds the factors with this public exponent."""
    return 2 * exponent.bit_length() + 4 * _MAX_DIVISOR_BITS + _SLACK_BITS <= n.bit_length()


def _split_by_small_exponent(n: int, e: int, d: int) -> int | None:
    """Return the larger factor of n, if e is small (`_is_small`) and e*d = 1 for the two factors.

    A common divisor of p-1 and q-1 above 2^16 is the one case in which it misses them: one key in 30,000.
    """
    effort.charge(20 + _SMALL_EXPONENT_2048 * (n.bit_length() / 2048) ** 2)
    multiple = e * d - 1
    before, numerator = 0, 1
    before_it, denominator = 1, 0
    dividend, divisor = multiple, n
    while divisor and denominator >> _MAX_DIVISOR_BITS == 0:
        quotient, rest = divmod(dividend, divisor)
        before, numerator = numerator, quotient * numerator + before
        before_it, denominator = denominator, quotient * denominator + before_it
        dividend, divisor = divisor, rest
        if numerator and multiple * denominator % numerator == 0:
            total = n + 1 - multiple * denominator // numerator
            square = total * total - 4 * n
            if total > 0 and square > 0 and isqrt(square) ** 2 == square:
                return (total + isqrt(square)) // 2
    return None


def _split_by_identity(n: int, power: int) -> int | None:
    """Return a factor of n modulo which x^power = x for every x."""
    for base in _BASES[:3]:
        effort.charge_power(n.bit_length(), power.bit_length())
        factor = gcd(pow(base, power, n) - base, n)
        if 1 < factor < n:
            return factor
        if factor == 1:
            return None
    return None


def _split_by_order(n: int, e_d: int) -> int | None:
    """Return the larger factor of n, if e*d - 1 is a multiple of the order of every number."""
    multiple = e_d - 1
    if multiple <= 0 or multiple & 1:
        return None
    twos = (multiple & -multiple).bit_length() - 1
    for base in _BASES:
        effort.charge_power(n.bit_length(), multiple.bit_length() - twos)
        root = pow(base, multiple >> twos, n)
        if root in (1, n - 1):
            continue
        for _ in range(twos):
            square = root * root % n
            if square == 1:
                factor = gcd(root - 1, n)
                return max(factor, n // factor)
            if square == n - 1:
                break
            root = square
        else:
            return None
    return None


def _expected(parts: RsaParts, exponent: int, p: int, q: int) -> dict[str, bool]:
    """Say which parts belong to the key."""
    return {
        PRIME_1: parts.p in (p, q),
        PRIME_2: parts.q in (p, q) and parts.q != parts.p,
        PRIVATE_EXPONENT: parts.d is not None and exponent * parts.d % (p - 1) == 1 == exponent * parts.d % (q - 1),
        CRT_EXPONENT_1: parts.dp is not None and exponent * parts.dp % (p - 1) == 1,
        CRT_EXPONENT_2: parts.dq is not None and exponent * parts.dq % (q - 1) == 1,
    }


_RELATIONS = {
    PRIVATE_EXPONENT: INVERSE,
    CRT_EXPONENT_1: "e*dp = 1 mod (p-1)",
    CRT_EXPONENT_2: "e*dq = 1 mod (q-1)",
}


def _agreeing(parts: RsaParts, exponent: int, p: int, q: int) -> tuple[str, ...]:
    """Name the private exponents that agree with a public one, by the relations that hold."""
    right = _expected(parts, exponent, p, q)
    return tuple(relation for name, relation in _RELATIONS.items() if right[name])


def _exponent(parts: RsaParts, p: int, q: int) -> tuple[int | None, tuple[str, ...]]:
    """Settle the public exponent: the stored one, if a private one agrees; else the one that agrees with those.

    Returns:
        The exponent, or None if there is none, and the relations that hold for it.
    """
    stored = parts.exponent if parts.exponent is not None and _possible(parts.exponent, p, q) else None
    for candidate in _candidates(parts, stored, p, q):
        relations = _agreeing(parts, candidate, p, q) if _possible(candidate, p, q) else ()
        if relations:
            return candidate, relations
    none_left = parts.d is None and parts.dp is None and parts.dq is None
    if stored is not None and (none_left or stored in USUAL_EXPONENTS):
        return stored, ()
    return None, ()


def _candidates(parts: RsaParts, stored: int | None, p: int, q: int) -> Iterator[int]:
    """Yield what the public exponent may be, the likeliest first."""
    if stored is not None:
        yield stored
    yield from USUAL_EXPONENTS
    for private, modulus in ((parts.d, lcm(p - 1, q - 1)), (parts.dp, p - 1), (parts.dq, q - 1)):
        if private:
            effort.charge_inverse(modulus.bit_length())
            recovered = pow(private, -1, modulus) if gcd(private, modulus) == 1 else 0
            if 0 < recovered.bit_length() <= _MOST_RECOVERED_EXPONENT_BITS:
                yield recovered


def _possible(exponent: int, p: int, q: int) -> bool:
    """Whether a number can be the key's public exponent."""
    return _is_exponent(exponent) and gcd(exponent, (p - 1) * (q - 1)) == 1


def _is_exponent(number: int) -> bool:
    return number > 1 and bool(number & 1) and number.bit_length() <= MOST_STORED_EXPONENT_BITS


def _with_proof(key: PrivateKey, relations: tuple[str, ...]) -> PrivateKey:
    """Put the relations that gave the key in place of those that follow from them."""
    rest = tuple(relation for relation in key.proof if relation not in relations)
    if PRODUCT not in relations:
        rest = tuple(relation for relation in rest if relation != PRODUCT)
    return replace(key, proof=(*relations, *rest))
