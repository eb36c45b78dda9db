"""Numbers that signatures were made with: each has a public point, as a private key has, but is the key of nobody.

ECDSA (FIPS 186-5, 6.4.1) draws k, calculates r = x(k*G) and s = (e + r*d)/k modulo the order. Go keeps the numbers that
it calculated with until its memory is collected.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dumpscan.artifacts import effort

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from dumpscan.artifacts.openssl.ec import EcKey
    from dumpscan.artifacts.openssl.numbers import Numbers

MAX_SIGNATURES = 256
"""Numbers that are tried as s of a signature."""
_MIN_SPARE = 64
"""Bits that a hash must have less than the order, for a small e to tell a signature from chance."""
_INVERSE = 20
_SIGNATURE = 3
"""Microseconds to invert a number, and to try one signature."""


def without_nonces(keys: Sequence[EcKey], numbers: Numbers) -> Iterator[EcKey]:
    """Yield those keys that no signature was made with.

    Args:
        keys: All that were found in a process.
        numbers: All numbers of the process.

    Raises:
        TooCostlyError: There are too many.
    """
    values = numbers.headers.keys()
    by_limbs = numbers.by_limbs() if keys else {}
    for key in keys:
        effort.charge(_INVERSE)
        if pow(key.scalar, -1, key.curve.order) in values:
            continue
        signers = [each.scalar for each in keys if each.curve is key.curve and each.scalar != key.scalar]
        if not _signed(key, signers, values, by_limbs.get(key.curve.limbs, [])):
            yield key


def _signed(key: EcKey, signers: Sequence[int], values: Collection[int], others: Sequence[int]) -> bool:
    """Say whether a number is the k of a signature by some other key: then k*s - r*d is the hash."""
    order = key.curve.order
    r = key.point[0] % order
    for signer in signers:
        effort.charge(_SIGNATURE * len(others[:MAX_SIGNATURES]))
        for s in others[:MAX_SIGNATURES]:
            digest = (key.scalar * s - r * signer) % order
            if digest.bit_length() <= order.bit_length() - _MIN_SPARE or digest in values:
                return True
    return False
