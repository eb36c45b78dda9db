"""RSA from whatever parts of a key are left: a pure computation, no memory.

Given the modulus, any one of p, q, d, dp or dq gives the whole key:

* q = n / p;
* from d: e*d - 1 is a multiple of the order of every number mod n, so that a square root of 1 turns up whose difference
  from 1 shares a factor with n (NIST SP 800-56B Rev. 2, appendix C);
* from dp: g^(e*dp) = g mod p for every g, so that p = gcd(g^(e*dp) - g, n); likewise from dq.

Whatever is left over is compared with the result, and what does not agree is named.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from math import gcd, lcm
from typing import TYPE_CHECKING

from dumpscan.artifacts.decoded import RefusedError
from dumpscan.artifacts.keys.proof import MOST_RSA_BITS, rsa_key

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dumpscan.findings import PrivateKey

MOST_FACTORED_BITS = 8192
"""A larger modulus is not factored from an exponent: that would take seconds for each of the candidates."""

USUAL_EXPONENTS = (65537, 3, 17)
MOST_STORED_EXPONENT_BITS = 64
_MOST_RECOVERED_EXPONENT_BITS = 33
"""A public exponent computed from d is believed if it is this small: by chance it would be as long as the modulus."""
_BASES = (2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37)
"""Each splits the modulus with a probability of at least one half."""

MODULUS = "modulus"
EXPONENT = "public exponent"
PRIME_1 = "prime 1"
PRIME_2 = "prime 2"
PRIVATE_EXPONENT = "private exponent"
CRT_EXPONENT_1 = "CRT exponent 1"
CRT_EXPONENT_2 = "CRT exponent 2"


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
    """

    key: PrivateKey
    wrong: tuple[str, ...]


def rebuild(parts: RsaParts) -> Rebuilt | None:
    """Make a key of its parts and prove it; None if they do not suffice, or make none."""
    for p, q, how in _factorings(parts):
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
        return Rebuilt(_with_proof(key, proof), wrong)
    return None


def _factorings(parts: RsaParts) -> Iterator[tuple[int, int, tuple[str, ...]]]:
    """Try every way to the two primes, the cheapest first.

    Yields:
        p, q (in the order in which the key has them, where that shows), and the relations that gave them.
    """
    n = parts.modulus
    if n is None or not n & 1 or not 1 < n.bit_length() <= MOST_RSA_BITS:
        n = None
    p, q = _factor(parts.p), _factor(parts.q)
    if p and q and p * q == n:
        yield p, q, ("n = p*q",)
        return
    if n is not None:
        if p and p < n and n % p == 0:
            yield p, n // p, ("p divides n",)
        if q and q < n and n % q == 0:
            yield n // q, q, ("q divides n",)
    if p and q and _belong_together(_exponent(parts, p, q)[1]):
        yield p, q, ("n derived from p and q",)
    if n is not None and n.bit_length() <= MOST_FACTORED_BITS:
        yield from _factorings_by_exponent(parts, n)


def _belong_together(relations: tuple[str, ...]) -> bool:
    """Whether relations vouch for both primes, where no modulus does."""
    crt = {_RELATIONS[CRT_EXPONENT_1], _RELATIONS[CRT_EXPONENT_2]}
    return _RELATIONS[PRIVATE_EXPONENT] in relations or crt <= set(relations)


def _factorings_by_exponent(parts: RsaParts, n: int) -> Iterator[tuple[int, int, tuple[str, ...]]]:
    """Factor n with each private exponent that there is (see `_factorings`)."""
    exponent = parts.exponent if parts.exponent and parts.exponent & 1 else USUAL_EXPONENTS[0]
    if exponent.bit_length() > MOST_STORED_EXPONENT_BITS:
        return
    for value, name in ((parts.dp, "dp"), (parts.dq, "dq"), (parts.d, "d")):
        if value is None or not 1 < value < n:
            continue
        split = _split_by_order if name == "d" else _split_by_identity
        factor = split(n, exponent * value)
        if factor:
            first = n // factor if name == "dq" or (name == "d" and not _is_first(parts, factor)) else factor
            yield first, n // first, (f"n factored from {name}",)


def _factor(value: int | None) -> int | None:
    """Drop what cannot be a prime of an RSA key."""
    return value if value is not None and value & 1 and 64 < value.bit_length() <= MOST_RSA_BITS else None  # noqa: PLR2004


def _is_first(parts: RsaParts, factor: int) -> bool:
    """Whether a factor is the key's first one, as far as its other parts tell."""
    if parts.p is not None and parts.q is not None and factor in (parts.p, parts.q):
        return factor == parts.p
    exponent = parts.exponent or USUAL_EXPONENTS[0]
    if parts.dp is not None:
        return exponent * parts.dp % (factor - 1) == 1
    return parts.dq is None or exponent * parts.dq % (factor - 1) != 1


def _split_by_identity(n: int, power: int) -> int | None:
    """Return a factor of n modulo which x^power = x for every x."""
    for base in _BASES[:3]:
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
    PRIVATE_EXPONENT: "e*d = 1 mod lcm(p-1, q-1)",
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
    stored = parts.exponent
    if stored is not None and not _possible(stored, p, q):
        stored = None
    candidates = [stored, *USUAL_EXPONENTS]
    for private, modulus in ((parts.d, lcm(p - 1, q - 1)), (parts.dp, p - 1), (parts.dq, q - 1)):
        if private is not None and gcd(private, modulus) == 1:
            recovered = pow(private, -1, modulus)
            candidates.append(recovered if recovered.bit_length() <= _MOST_RECOVERED_EXPONENT_BITS else None)
    for candidate in candidates:
        if candidate is not None and _possible(candidate, p, q):
            relations = _agreeing(parts, candidate, p, q)
            if relations:
                return candidate, relations
    none_left = parts.d is None and parts.dp is None and parts.dq is None
    if stored is not None and (none_left or stored in USUAL_EXPONENTS):
        return stored, ()
    return None, ()


def _possible(exponent: int, p: int, q: int) -> bool:
    """Whether a number can be the key's public exponent."""
    return (
        exponent > 1
        and bool(exponent & 1)
        and exponent.bit_length() <= MOST_STORED_EXPONENT_BITS
        and gcd(exponent, (p - 1) * (q - 1)) == 1
    )


def _with_proof(key: PrivateKey, relations: tuple[str, ...]) -> PrivateKey:
    """Put the relations that gave the key in place of those that follow from them."""
    rest = tuple(relation for relation in key.proof if relation not in relations)
    if "n = p*q" not in relations:
        rest = tuple(relation for relation in rest if relation != "n = p*q")
    return replace(key, proof=(*relations, *rest))
