"""ML-KEM (FIPS 203): the decapsulation key that a seed makes, and the check of one that is stored expanded."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha3_256, sha3_512, shake_128, shake_256
from typing import TYPE_CHECKING

import numpy as np

from dumpscan.artifacts.decoded import RefusedError
from dumpscan.artifacts.effort import charge
from dumpscan.artifacts.keys.algorithms.polynomials import DEGREE, Transform, first_below, pack, unpack

if TYPE_CHECKING:
    from dumpscan.artifacts.keys.algorithms.polynomials import Coefficients

Q = 3329
SEED_SIZE = 64
"""Bytes of d and z."""
_HALF_SEED = 32
_WIDTH = 12
_POLYNOMIAL = DEGREE * _WIDTH // 8
_CANDIDATE_BYTES = 840
"""FIPS 203, appendix B: with more than 280 steps, SampleNTT fails with a probability below 2^-261."""
_MICROSECONDS = 100
"""For each polynomial of the matrix, with what else is done."""


@dataclass(frozen=True, slots=True)
class ParameterSet:
    """A parameter set (FIPS 203, table 2).

    Attributes:
        name: As in a finding.
        k: Polynomials in a vector.
        eta: The largest coefficient of a secret (eta1).
    """

    name: str
    k: int
    eta: int

    seed_size = SEED_SIZE
    relations = ("H(ek) is the hash of ek", "s and t - A*s are small")
    """What `check` checks."""

    @property
    def public_size(self) -> int:
        """Bytes of the encapsulation key."""
        return self.k * _POLYNOMIAL + _HALF_SEED

    @property
    def expanded_size(self) -> int:
        """Bytes of the decapsulation key: s, the encapsulation key, its hash and z."""
        return self.k * _POLYNOMIAL + self.public_size + 2 * _HALF_SEED

    def expand(self, seed: bytes) -> tuple[bytes, bytes]:
        """Make the decapsulation key of a seed, and the encapsulation key (FIPS 203, algorithm 16)."""
        charge(_MICROSECONDS * self.k * self.k)
        d, z = seed[:_HALF_SEED], seed[_HALF_SEED:]
        both = sha3_512(d + bytes((self.k,))).digest()
        rho, sigma = both[:_HALF_SEED], both[_HALF_SEED:]
        secrets = np.stack([self._secret(sigma, number) for number in range(2 * self.k)])
        s, e = _transform().forward(secrets).reshape(2, self.k, DEGREE)
        public = pack((self._times_matrix(rho, s) + e) % Q, _WIDTH) + rho
        return pack(s, _WIDTH) + public + sha3_256(public).digest() + z, public

    def check(self, expanded: bytes) -> bytes:
        """Check a decapsulation key, and return the encapsulation key in it.

        Raises:
            RefusedError: If one does not.
        """
        charge(_MICROSECONDS * self.k * self.k)
        begin, end = self.k * _POLYNOMIAL, self.k * _POLYNOMIAL + self.public_size
        public = expanded[begin:end]
        if sha3_256(public).digest() != expanded[end : end + _HALF_SEED]:
            raise RefusedError("the hash is not that of the encapsulation key")
        s, t = unpack(expanded[:begin], _WIDTH), unpack(public[:-_HALF_SEED], _WIDTH)
        if max(s.max(), t.max()) >= Q:
            raise RefusedError("a coefficient that is not reduced")
        e = t - self._times_matrix(public[-_HALF_SEED:], s)
        transform = _transform()
        if np.abs(transform.centered(transform.inverse(np.stack([s, e])))).max() > self.eta:
            raise RefusedError("the secret does not belong to the encapsulation key")
        return public

    def _secret(self, sigma: bytes, number: int) -> Coefficients:
        """Make a polynomial with small coefficients (FIPS 203, algorithm 8)."""
        stream = shake_256(sigma + bytes((number,))).digest(64 * self.eta)
        bits = np.unpackbits(np.frombuffer(stream, np.uint8), bitorder="little").astype(np.int64)
        x, y = bits.reshape(DEGREE, 2, self.eta).sum(axis=2).T
        return np.asarray(x - y)

    def _times_matrix(self, rho: bytes, vector: Coefficients) -> Coefficients:
        """Return the transformed product of the matrix that `rho` makes with a transformed vector."""
        rows = []
        for row in range(self.k):
            matrix = np.stack([_uniform(rho + bytes((column, row))) for column in range(self.k)])
            rows.append(_products(matrix, vector).sum(axis=0) % Q)
        return np.stack(rows)


def _uniform(seed: bytes) -> Coefficients:
    """Make a polynomial of the matrix, already transformed (FIPS 203, algorithm 7)."""
    stream = np.frombuffer(shake_128(seed).digest(_CANDIDATE_BYTES), np.uint8).astype(np.int64).reshape(-1, 3)
    first, second = stream[:, 0] + 256 * (stream[:, 1] % 16), stream[:, 1] // 16 + 16 * stream[:, 2]
    return first_below(np.stack([first, second], axis=1).ravel(), Q)


def _products(first: Coefficients, second: Coefficients) -> Coefficients:
    """Multiply transformed polynomials, pair by pair (FIPS 203, algorithm 11)."""
    a0, a1 = first[..., 0::2], first[..., 1::2]
    b0, b1 = second[..., 0::2], second[..., 1::2]
    even = a0 * b0 + a1 * b1 % Q * _transform().roots
    odd = a0 * b1 + a1 * b0
    return np.stack([even, odd], axis=-1).reshape(first.shape) % Q


@lru_cache(maxsize=1)
def _transform() -> Transform:
    return Transform(Q, 17, DEGREE // 2)


ML_KEM_512 = ParameterSet("ML-KEM-512", 2, 3)
ML_KEM_768 = ParameterSet("ML-KEM-768", 3, 2)
ML_KEM_1024 = ParameterSet("ML-KEM-1024", 4, 2)
