"""SymCrypt's AES keys, written as the library lays them out."""

from __future__ import annotations

from functools import reduce
from operator import xor
from typing import TYPE_CHECKING

from dumpscan.artifacts.aes.cipher import expand

if TYPE_CHECKING:
    from dumpscan.model.c_symcrypt import Abi

_ROUND_KEY = 16


def aes_key(abi: Abi, address: int, key: bytes) -> bytes:
    """Return a SYMCRYPT_AES_EXPANDED_KEY: the round keys of encryption, then those of decryption.

    The last round key of encryption is also the first of decryption.
    """
    schedule = expand(key)
    last = len(schedule) - _ROUND_KEY
    inverse = [_inv_mix_columns(schedule[at : at + _ROUND_KEY]) for at in range(last - _ROUND_KEY, 0, -_ROUND_KEY)]
    rounds = schedule + b"".join(inverse) + schedule[:_ROUND_KEY]
    form = abi.c.SYMCRYPT_AES_EXPANDED_KEY
    data = form(
        RoundKey=list(rounds.ljust(len(form.fields["RoundKey"].type), b"\0")),
        lastEncRoundKey=address + last,
        lastDecRoundKey=address + 2 * last,
    )
    return bytes(data).ljust(abi.aes_key_size, b"\0")


def _inv_mix_columns(data: bytes) -> bytes:
    """Return any number of columns after InvMixColumns (FIPS 197, 5.3.3)."""
    mixed = bytearray()
    for at in range(0, len(data), 4):
        column = data[at : at + 4]
        for row in range(4):
            products = map(_times, (14, 11, 13, 9), column[row:] + column[:row])
            mixed.append(reduce(xor, products))
    return bytes(mixed)


def _times(a: int, b: int) -> int:
    """Return a product in GF(2^8) (FIPS 197, 4.2)."""
    product = 0
    while a:
        product ^= b if a & 1 else 0
        b = b << 1 ^ (0x11B if b & 0x80 else 0)
        a >>= 1
    return product
