"""Numbers in, proven private key out: whatever a key was written as, it is a key only if its arithmetic holds.

The proofs have a module for each algorithm; this one names them all. Every function raises `RefusedError` unless all
that it was given fits together. Sizes are limited before any arithmetic, and slow steps are charged
(`dumpscan.artifacts.effort`), so that the time which hostile numbers can cost is bounded. The texts of errors never
hold a number.
"""

from __future__ import annotations

from dumpscan.artifacts.keys.algorithms.dsa import MOST_DSA_BITS, MOST_DSA_ORDER_BITS, dsa_key
from dumpscan.artifacts.keys.ec.proof import ec_key
from dumpscan.artifacts.keys.finding import LIBRARY_ERRORS
from dumpscan.artifacts.keys.raw import ED448, ED25519, X448, X25519, RawAlgorithm, raw_key
from dumpscan.artifacts.keys.rsa.proof import (
    LEAST_RSA_BITS,
    MOST_EXPONENT_BITS,
    MOST_RSA_BITS,
    MOST_SIGNING_BITS,
    multi_prime_key,
    rsa_key,
)

__all__ = [
    "ED448",
    "ED25519",
    "LEAST_RSA_BITS",
    "LIBRARY_ERRORS",
    "MOST_DSA_BITS",
    "MOST_DSA_ORDER_BITS",
    "MOST_EXPONENT_BITS",
    "MOST_RSA_BITS",
    "MOST_SIGNING_BITS",
    "X448",
    "X25519",
    "RawAlgorithm",
    "dsa_key",
    "ec_key",
    "multi_prime_key",
    "raw_key",
    "rsa_key",
]
