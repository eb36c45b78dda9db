"""AES keys in use with vpaes, the code of OpenSSL and BoringSSL for processors that permute bytes but know no AES.

Its schedule is in another basis of GF(2^8), so none of the relations of FIPS 197 holds in it. The first round key is
the first 16 bytes of the key, each in that basis.

Source: `.Lk_ipt` and `_vpaes_schedule_core` in OpenSSL's and BoringSSL's `vpaes-x86_64.pl`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from dumpscan.artifacts.tls.in_use.word_index import WordIndex
    from dumpscan.memory.space import Memory

_WORD = 8
_ROUND_KEY = 16
_LOWER = bytes.fromhex("00702a5a98e8b2c20878225290e0baca")
_UPPER = bytes.fromhex("004d7c317d30014c81ccfdb0fcb180cd")
"""The images of a byte's lower and upper four bits; that of a byte is the sum of both."""
_BASIS = bytes(_LOWER[byte & 15] ^ _UPPER[byte >> 4] for byte in range(256))


def first_round_key(key: bytes) -> bytes:
    """Return the first 16 bytes of a key's schedule."""
    return key[:_ROUND_KEY].translate(_BASIS)


def with_schedule(memory: Memory, words: WordIndex, keys: Sequence[bytes]) -> Iterator[int]:
    """Yield the numbers of those keys whose schedules are in a process.

    Args:
        memory: The memory of the process.
        words: What may begin there.
        keys: The keys.
    """
    wanted = [first_round_key(key) for key in keys]
    first = np.frombuffer(b"".join(wanted), "<u8").reshape(-1, _ROUND_KEY // _WORD)[:, 0]
    found = {number for number, address in words.find(first) if memory.read(address, _ROUND_KEY) == wanted[number]}
    yield from sorted(found)
