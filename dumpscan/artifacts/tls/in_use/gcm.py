"""AES keys in use with GCM, by the tables from which libraries compute its hash.

GHASH multiplies by H, the block of zeros under the key (NIST SP 800-38D, 6.3 and 6.4). Each library keeps H, or
multiples of it, for as long as the key is in use. Where it keeps the key's schedule in a form of its own, as BoringSSL
does on processors without instructions for AES, this table alone tells that a key is in use.

The bits of a block stand in the order of rising powers. So H is a number of 128 bits, the first byte highest, whose
highest bit is the power 0.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from dumpscan.artifacts.aes.cipher import encrypt_zeros

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from dumpscan.artifacts.tls.in_use.word_index import WordIndex
    from dumpscan.memory.space import Memory

    Words = NDArray[np.uint64]

BLOCK = 16
_WORD = 8
_HALVES = 128
"""Bytes from `HL` to `HH` in mbedTLS's context."""
_TABLE = 256
_ONE = np.uint64(1)
_LAST_BIT = np.uint64(63)
_TWIST = np.uint64(0xC200000000000000)
_REDUCTION = np.uint64(0xE100000000000000)
"""The polynomial 1 + x + x^2 + x^7 + x^128 (SP 800-38D, 6.3), in the order of bits above."""


class Blocks(NamedTuple):
    """Many blocks as numbers: their upper and lower halves."""

    high: Words
    low: Words

    def twisted(self) -> Blocks:
        """Divide by x. The product of reflected numbers is one bit short; those who use it have H divided by x."""
        carry = self.high >> _LAST_BIT
        return Blocks(
            self.high << _ONE ^ self.low >> _LAST_BIT ^ carry * _TWIST,
            self.low << _ONE ^ carry,
        )

    def multiplied(self) -> Blocks:
        """Multiply by x."""
        carry = self.low & _ONE
        return Blocks(self.high >> _ONE ^ carry * _REDUCTION, self.low >> _ONE ^ self.high << _LAST_BIT)


def with_table(memory: Memory, words: WordIndex, keys: Sequence[bytes]) -> Iterator[int]:
    """Yield the numbers of those keys whose tables are in a process.

    Args:
        memory: The memory of the process.
        words: What may begin there.
        keys: The keys, all of one size.
    """
    blocks = encrypt_zeros(np.frombuffer(b"".join(keys), np.uint8).reshape(len(keys), -1))
    hashes = Blocks(*(np.ascontiguousarray(half) for half in blocks.view(">u8").astype(np.uint64).T))
    found: set[int] = set()
    for first, second, distance in _forms(hashes):
        for number, address in words.find(first):
            if memory.read(address + distance, _WORD) == second[number].tobytes():
                found.add(number)
    transposed = _transposed(hashes)
    for row in range(0, BLOCK, 2):
        for number, address in words.find(transposed[:, 2 * row]):
            start = address - row * BLOCK
            if start >= 0 and memory.read(start, _TABLE) == transposed[number].tobytes():
                found.add(number)
    yield from sorted(found)


def _forms(blocks: Blocks) -> Iterator[tuple[Words, Words, int]]:
    """Yield two words of which a table has one at some distance from the other, for each way to keep H."""
    high, low = blocks
    yield high.byteswap(), low.byteswap(), _WORD  # the block itself: wolfSSL, nettle's table of 256 multiples
    yield high, low, _WORD  # OpenSSL's context and its table of 16 multiples; Java; mbedTLS since 3.6
    yield low, high, _WORD  # the bytes of the block turned round
    yield low, high, _HALVES  # mbedTLS before 3.6
    twisted = blocks.twisted()
    yield twisted.low, twisted.high, _WORD  # all that multiply with PCLMULQDQ
    yield twisted.high, twisted.low, _WORD  # ARMv8, BoringSSL in plain C


def _transposed(blocks: Blocks) -> Words:
    """Return BoringSSL's tables for SSSE3, of shape (n, 32).

    Row i holds byte i of all 16 multiples of H by polynomials of degree 3 and less, the lowest byte first. They are
    numbered by the polynomials' coefficients, that of x^0 being worth 8.
    """
    rows = np.zeros((len(blocks.high), BLOCK, BLOCK), np.uint8)
    for weight in (8, 4, 2, 1):
        multiple = np.stack((blocks.low, blocks.high), axis=-1).astype("<u8").view(np.uint8)
        rows[:, :, np.flatnonzero(np.arange(BLOCK) & weight)] ^= multiple[:, :, np.newaxis]
        blocks = blocks.multiplied()
    return rows.reshape(len(rows), _TABLE).view("<u8")
