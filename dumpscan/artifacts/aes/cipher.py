"""The arithmetic of AES key schedules (FIPS 197): expansion of a key, and the schedule of its inverse cipher.

Tables are made by computation. `substituted` and `mixed` work on numpy arrays of words as they lie in memory.
"""

from __future__ import annotations

from functools import cache, reduce
from operator import xor
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Words = NDArray[np.uint32]

WORD = 4
BLOCK_WORDS = 4
KEY_WORDS = (4, 6, 8)
"""Nk of AES-128, AES-192 and AES-256."""
_REDUCTION = 0x11B
"""The polynomial of GF(2^8): x^8 + x^4 + x^3 + x + 1."""
_LATER_SUBSTITUTION = 6
"""Of keys with more words than this, one word more in each Nk goes through the S-box."""


def rounds(key_words: int) -> int:
    """Nr: the rounds of a key of so many words. There is one round key more."""
    return key_words + 6


def schedule_size(key_words: int) -> int:
    """Bytes of the schedule of a key of so many words."""
    return WORD * BLOCK_WORDS * (rounds(key_words) + 1)


def _doubled(value: int) -> int:
    """Multiply by x in GF(2^8)."""
    return value << 1 ^ (_REDUCTION if value & 0x80 else 0)


@cache
def _sbox() -> NDArray[np.uint8]:
    """Compute the S-box (FIPS 197, 5.1.1): the inverse in GF(2^8), then an affine map."""
    powers, value = [], 1
    for _ in range(255):
        powers.append(value)
        value ^= _doubled(value)  # times 3, which generates the field
    inverse = [0] * 256
    for exponent, power in enumerate(powers):
        inverse[power] = powers[-exponent % 255]
    box = [number ^ 0x63 for number in inverse]
    for shift in range(1, 5):
        box = [old ^ (number << shift | number >> 8 - shift) & 0xFF for old, number in zip(box, inverse, strict=True)]
    return np.array(box, np.uint8)


@cache
def _multiples(factor: int) -> NDArray[np.uint8]:
    """Compute the products of all bytes with one in GF(2^8)."""
    products = np.zeros(256, np.uint8)
    power = np.arange(256)
    while factor:
        if factor & 1:
            products ^= power.astype(np.uint8)
        power = power << 1 ^ np.where(power & 0x80, _REDUCTION, 0)
        factor >>= 1
    return products


def substituted(words: Words) -> Words:
    """Compute SubWord(RotWord(word)) and add the first round constant."""
    through: Words = _sbox()[words.view(np.uint8)].view("<u4")
    return (through >> np.uint32(8) | through << np.uint32(24)) ^ np.uint32(1)


def mixed(words: Words, *, inverse: bool = False) -> Words:
    """Apply MixColumns to words, or InvMixColumns (FIPS 197, 5.1.3 and 5.3.3)."""
    factors = (14, 11, 13, 9) if inverse else (2, 3, 1, 1)
    columns = words.view(np.uint8).reshape(-1, WORD)
    result = np.zeros_like(columns)
    for distance, factor in enumerate(factors):
        result ^= _multiples(factor)[np.roll(columns, -distance, axis=1)]
    return result.view("<u4").reshape(words.shape)


@cache
def _round_table() -> NDArray[np.uint32]:
    """Return what SubBytes and MixColumns make of each byte in each row of a column, of shape (4, 256)."""
    words = np.zeros((WORD, 256, WORD), np.uint8)
    for row in range(WORD):
        words[row, :, row] = _sbox()
    return mixed(words.reshape(-1).view("<u4")).reshape(WORD, 256)


def encrypt_zeros(keys: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Encrypt the block of zeros under many keys (FIPS 197, 5.1).

    Args:
        keys: Of shape (n, 16), (n, 24) or (n, 32).

    Returns:
        The blocks, of shape (n, 16).
    """
    table = _round_table()
    first, *others, last = _round_keys(np.ascontiguousarray(keys))
    rows = first
    for round_key in others:
        columns = (table[row].take(each) for row, each in enumerate(_shifted_rows(rows)))
        rows = reduce(xor, columns) ^ round_key
    columns = (_sbox().take(each).astype("<u4") << 8 * row for row, each in enumerate(_shifted_rows(rows)))
    blocks: Words = np.ascontiguousarray((reduce(xor, columns) ^ last).T)
    return blocks.view(np.uint8)


def _shifted_rows(words: NDArray[np.uint32]) -> list[NDArray[np.uint8]]:
    """Apply ShiftRows (FIPS 197, 5.1.2) to many blocks, whose words are of shape (4, n); return their rows."""
    rows = np.ascontiguousarray(words).view(np.uint8).reshape(BLOCK_WORDS, -1, WORD)
    return [np.roll(rows[:, :, row], -row, axis=0) for row in range(WORD)]


def _round_keys(keys: NDArray[np.uint8]) -> list[Words]:
    """Expand many keys of one size; return their round keys, each of shape (4, n)."""
    key_words = keys.shape[1] // WORD
    words = list(np.ascontiguousarray(keys.view("<u4").T))
    constant = 1
    for index in range(key_words, schedule_size(key_words) // WORD):
        last = words[-1]
        if index % key_words == 0:
            last = substituted(last) ^ np.uint32(constant ^ 1)
            constant = _doubled(constant)
        elif key_words > _LATER_SUBSTITUTION and index % key_words == BLOCK_WORDS:
            last = _sbox().take(last.view(np.uint8)).view("<u4")
        words.append(words[-key_words] ^ last)
    return [np.stack(words[at : at + BLOCK_WORDS]) for at in range(0, len(words), BLOCK_WORDS)]


def expand(key: bytes) -> bytes:
    """Return the schedule of a key (FIPS 197, 5.2)."""
    box = _sbox().tolist()
    key_words = len(key) // WORD
    words = [key[at : at + WORD] for at in range(0, len(key), WORD)]
    constant = 1
    for index in range(key_words, schedule_size(key_words) // WORD):
        last = words[-1]
        if index % key_words == 0:
            last = bytes((box[last[1]] ^ constant, box[last[2]], box[last[3]], box[last[0]]))
            constant = _doubled(constant)
        elif key_words > _LATER_SUBSTITUTION and index % key_words == BLOCK_WORDS:
            last = bytes(box[byte] for byte in last)
        words.append(bytes(a ^ b for a, b in zip(last, words[-key_words], strict=True)))
    return b"".join(words)


def invert(schedule: bytes) -> bytes:
    """Return the schedule of the equivalent inverse cipher (FIPS 197, 5.3.5), as programs keep it for decryption.

    The round keys stand in the order of their use, which is the reverse; all but the first and the last have gone
    through InvMixColumns.
    """
    round_keys = np.frombuffer(schedule, "<u4").reshape(-1, BLOCK_WORDS)[::-1].copy()
    round_keys[1:-1] = mixed(round_keys[1:-1].reshape(-1), inverse=True).reshape(-1, BLOCK_WORDS)
    return round_keys.tobytes()


def swap(data: bytes) -> bytes:
    """Turn every word's bytes round."""
    return np.frombuffer(data, ">u4").astype("<u4").tobytes()
