"""The block of zeros under many keys, against another implementation."""

from __future__ import annotations

import random

import numpy as np
import pytest
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import ECB

from dumpscan.artifacts.aes.cipher import encrypt_zeros


@pytest.mark.parametrize("size", [16, 24, 32])
@pytest.mark.parametrize("count", [0, 1, 300])
def test_the_block_of_zeros_is_encrypted_under_each_key(size: int, count: int) -> None:
    made = random.Random(size)  # noqa: S311 - the same each time
    keys = [made.randbytes(size) for _ in range(count)]
    blocks = encrypt_zeros(np.frombuffer(b"".join(keys), np.uint8).reshape(count, size))
    assert [row.tobytes() for row in blocks] == [
        Cipher(AES(key), ECB()).encryptor().update(bytes(16))  # noqa: S305 - one block, to compare
        for key in keys
    ]
