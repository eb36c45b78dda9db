"""Proof of DSA private keys (FIPS 186-4, 4.1)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.asymmetric import dsa

from dumpscan.artifacts import effort
from dumpscan.artifacts.decoded import RefusedError
from dumpscan.artifacts.keys.finding import LIBRARY_ERRORS, finding_of
from dumpscan.artifacts.keys.randomness import looks_random

if TYPE_CHECKING:
    from dumpscan.findings import PrivateKey

MOST_DSA_BITS = 4096
MOST_DSA_ORDER_BITS = 512


def dsa_key(*, p: int, q: int, g: int, x: int, y: int | None = None) -> PrivateKey:
    """Prove a DSA key (FIPS 186-4, 4.1): its group, and its public value where that was stored.

    Without a public value nothing proves x, and the key's `proof` is empty.

    Raises:
        RefusedError: The numbers do not belong together, or there is no public value and x does not look random.
    """
    if p.bit_length() > MOST_DSA_BITS or not 1 < q.bit_length() <= MOST_DSA_ORDER_BITS or not p > q:
        raise RefusedError("no DSA group of a size in use")
    if (p - 1) % q or not 1 < g < p:
        raise RefusedError("the generator cannot be of the order stored")
    if not 0 < x < q or (y is not None and not 1 < y < p):
        raise RefusedError("a value is out of the group's range")
    if y is None and not looks_random(x.to_bytes((q.bit_length() + 7) // 8, "big")):
        raise RefusedError("nothing vouches for the private value, and it is not random")
    effort.charge_power(p.bit_length(), q.bit_length())
    if pow(g, q, p) != 1:
        raise RefusedError("the generator is not of the order stored")
    effort.charge_power(p.bit_length(), x.bit_length())
    derived = pow(g, x, p)
    if y is not None and y != derived:
        raise RefusedError("the public value is not that of the private one")
    effort.charge_power(p.bit_length(), q.bit_length())  # the library computes the public value, too
    numbers = dsa.DSAPrivateNumbers(x, dsa.DSAPublicNumbers(derived, dsa.DSAParameterNumbers(p, q, g)))
    try:
        key = numbers.private_key()
    except LIBRARY_ERRORS:
        raise RefusedError("the library refuses the DSA key") from None
    proof = () if y is None else ("q divides p-1", "g^q = 1 mod p", "y = g^x mod p")
    return finding_of(key, "DSA", p.bit_length(), proof=proof)
