"""ML-DSA (FIPS 204): the private key that a seed makes, and the check of one that is stored expanded."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from hashlib import shake_128, shake_256
from typing import TYPE_CHECKING

import numpy as np

from dumpscan.artifacts.decoded import RefusedError
from dumpscan.artifacts.effort import charge
from dumpscan.artifacts.keys.algorithms.polynomials import DEGREE, Transform, first_below, pack, unpack

if TYPE_CHECKING:
    from dumpscan.artifacts.keys.algorithms.polynomials import Coefficients

Q = 8380417
SEED_SIZE = 32
_RHO, _K, _TR = 32, 32, 64
"""Bytes of the parts of a private key before its polynomials."""
_LOW_BITS = 13
"""Bits of t that the public key leaves out (d)."""
_HIGH_BITS = 10
_UNIFORM_BYTES, _SMALL_BYTES = 894, 481
"""FIPS 204, appendix C: with more, RejNTTPoly and RejBoundedPoly fail with a probability below 2^-256."""
_SMALL_BOUND = {2: 15, 4: 9}
"""Half bytes below this make a coefficient, by eta."""
_MICROSECONDS = 100
"""For each polynomial of the matrix, with what else is done."""


@dataclass(frozen=True, slots=True)
class ParameterSet:
    """A parameter set (FIPS 204, table 1).

    Attributes:
        name: As in a finding.
        k: Rows of the matrix.
        columns: Its columns (l).
        eta: The largest coefficient of a secret.
    """

    name: str
    k: int
    columns: int
    eta: int

    seed_size = SEED_SIZE
    relations = ("tr is the hash of the public key", "t0 = low bits of A*s1 + s2")
    """What `check` checks."""

    @property
    def public_size(self) -> int:
        """Bytes of the public key."""
        return _RHO + self.k * DEGREE * _HIGH_BITS // 8

    @property
    def expanded_size(self) -> int:
        """Bytes of the private key: rho, K, tr, s1, s2 and t0."""
        secrets = (self.k + self.columns) * DEGREE * self._secret_width // 8
        return _RHO + _K + _TR + secrets + self.k * DEGREE * _LOW_BITS // 8

    @property
    def _secret_width(self) -> int:
        return (2 * self.eta).bit_length()

    def expand(self, seed: bytes) -> tuple[bytes, bytes]:
        """Make the private key of a seed, and the public key (FIPS 204, algorithm 6)."""
        charge(_MICROSECONDS * self.k * self.columns)
        stream = shake_256(seed + bytes((self.k, self.columns))).digest(128)
        rho, rho_prime, k = stream[:32], stream[32:96], stream[96:]
        secrets = np.stack([self._secret(rho_prime, number) for number in range(self.columns + self.k)])
        t1, t0 = self._public(rho, secrets)
        public = rho + pack(t1, _HIGH_BITS)
        low = pack((1 << _LOW_BITS - 1) - t0, _LOW_BITS)
        head = rho + k + shake_256(public).digest(_TR)
        return head + pack(self.eta - secrets, self._secret_width) + low, public

    def check(self, expanded: bytes) -> bytes:
        """Check a private key, and return the public key, which it does not hold.

        Raises:
            RefusedError: If one does not.
        """
        charge(_MICROSECONDS * self.k * self.columns)
        rho, (begin, end) = expanded[:_RHO], (_RHO + _K + _TR, len(expanded) - self.k * DEGREE * _LOW_BITS // 8)
        secrets = self.eta - unpack(expanded[begin:end], self._secret_width)
        stored = (1 << _LOW_BITS - 1) - unpack(expanded[end:], _LOW_BITS)
        if np.abs(secrets).max() > self.eta:
            raise RefusedError("a secret that is too large")
        t1, t0 = self._public(rho, secrets)
        if not np.array_equal(t0, stored):
            raise RefusedError("the secret does not belong to t0")
        public = rho + pack(t1, _HIGH_BITS)
        if shake_256(public).digest(_TR) != expanded[begin - _TR : begin]:
            raise RefusedError("the hash is not that of the public key")
        return public

    def _secret(self, rho_prime: bytes, number: int) -> Coefficients:
        """Make a polynomial with small coefficients (FIPS 204, algorithm 31)."""
        stream = np.frombuffer(shake_256(rho_prime + bytes((number, 0))).digest(_SMALL_BYTES), np.uint8)
        halves = np.stack([stream % 16, stream // 16], axis=1).ravel().astype(np.int64)
        accepted = first_below(halves, _SMALL_BOUND[self.eta])
        return self.eta - accepted % (2 * self.eta + 1)

    def _public(self, rho: bytes, secrets: Coefficients) -> tuple[Coefficients, Coefficients]:
        """Compute t = A*s1 + s2, and return its high and its low bits (FIPS 204, algorithm 35)."""
        transform = _transform()
        s1 = transform.forward(secrets[: self.columns])
        rows = []
        for row in range(self.k):
            matrix = np.stack([_uniform(rho + bytes((column, row))) for column in range(self.columns)])
            rows.append((matrix * s1).sum(axis=0) % Q)
        t = (transform.inverse(np.stack(rows)) + secrets[self.columns :]) % Q
        half = 1 << _LOW_BITS - 1
        low = (t + half - 1) % (1 << _LOW_BITS) - half + 1
        return t - low >> _LOW_BITS, low


def _uniform(seed: bytes) -> Coefficients:
    """Make a polynomial of the matrix, already transformed (FIPS 204, algorithm 30)."""
    stream = np.frombuffer(shake_128(seed).digest(_UNIFORM_BYTES), np.uint8).astype(np.int64).reshape(-1, 3)
    return first_below(stream[:, 0] + (stream[:, 1] << 8) + (stream[:, 2] % 128 << 16), Q)


@lru_cache(maxsize=1)
def _transform() -> Transform:
    return Transform(Q, 1753, DEGREE)


ML_DSA_44 = ParameterSet("ML-DSA-44", 4, 4, 2)
ML_DSA_65 = ParameterSet("ML-DSA-65", 6, 5, 4)
ML_DSA_87 = ParameterSet("ML-DSA-87", 8, 7, 2)
