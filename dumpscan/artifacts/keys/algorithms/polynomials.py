"""Polynomials modulo X^256 + 1 and a prime q, as ML-KEM (FIPS 203) and ML-DSA (FIPS 204) compute with them.

`cryptography` makes such keys from their seeds alone, and not all of them. Keys are also stored expanded, and then only
this arithmetic tells whether they are whole.

A polynomial is an array of 256 coefficients; arrays of more dimensions hold vectors of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from dumpscan.artifacts.decoded import RefusedError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Coefficients = NDArray[np.int64]

DEGREE = 256


class Transform:
    """The number-theoretic transform (FIPS 203, 4.3; FIPS 204, 7.5), as a product with a matrix.

    Args:
        q: The prime.
        root: The root of unity that the standard names (zeta).
        factors: Factors into which X^256 + 1 falls: 256 of degree one (ML-DSA), or 128 of degree two (ML-KEM).

    Attributes:
        q: The prime.
        roots: X^(256/factors), modulo each of the factors.
    """

    def __init__(self, q: int, root: int, factors: int) -> None:
        self.q = q
        self._factors = factors
        width = factors.bit_length() - 1
        powers = [pow(root, 2 * int(f"{number:0{width}b}"[::-1], 2) + 1, q) for number in range(factors)]
        self.roots: Coefficients = np.array(powers, np.int64)
        self._forward = np.array([[pow(power, index, q) for index in range(factors)] for power in powers], np.int64)
        scale = pow(factors, -1, q)
        self._inverse = np.array(
            [[scale * pow(power, -index, q) % q for power in powers] for index in range(factors)], np.int64
        )

    def forward(self, polynomials: Coefficients) -> Coefficients:
        """Transform each polynomial; the result's coefficients lie in [0, q)."""
        return self._times(self._forward, polynomials)

    def inverse(self, transformed: Coefficients) -> Coefficients:
        """Undo `forward`; the result's coefficients lie in [0, q)."""
        return self._times(self._inverse, transformed)

    def _times(self, matrix: Coefficients, polynomials: Coefficients) -> Coefficients:
        # Below 2^23 * 2^23 * 2^8 for the larger q: no sum leaves the 64 bits.
        parts = (polynomials % self.q).reshape(*polynomials.shape[:-1], self._factors, -1)
        product: Coefficients = (matrix @ parts % self.q).reshape(polynomials.shape)
        return product

    def centered(self, polynomials: Coefficients) -> Coefficients:
        """Return the coefficients of least magnitude that are the same modulo q."""
        half = self.q // 2
        return (polynomials + half) % self.q - half


def unpack(data: bytes, width: int) -> Coefficients:
    """Read polynomials whose coefficients are `width` bits wide, the low bit first (FIPS 203, ByteDecode).

    Returns:
        An array of (polynomials, 256).
    """
    bits = np.unpackbits(np.frombuffer(data, np.uint8), bitorder="little").reshape(-1, width)
    return (bits.astype(np.int64) @ (1 << np.arange(width))).reshape(-1, DEGREE)


def pack(polynomials: Coefficients, width: int) -> bytes:
    """Write what `unpack` reads; no coefficient may be negative or wider."""
    bits = polynomials.reshape(-1, 1) >> np.arange(width) & 1
    return np.packbits(bits.astype(np.uint8).ravel(), bitorder="little").tobytes()


def first_below(candidates: Coefficients, bound: int) -> Coefficients:
    """Return the first 256 candidates that are below `bound`, which make a polynomial.

    Raises:
        RefusedError: If there are fewer. The standards choose the number of candidates so that it does not happen.
    """
    accepted = candidates[candidates < bound][:DEGREE]
    if len(accepted) < DEGREE:
        raise RefusedError("a seed that makes no polynomial")
    return accepted
