"""DSA and Diffie-Hellman keys as CNG and CAPI export them, written from `bcrypt.h` and `wincrypt.h` alone."""

from __future__ import annotations

import struct
from dataclasses import dataclass, replace
from functools import cache
from hashlib import sha256
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric import dsa

UNKNOWN_SEED = b"\xff" * 24
"""Counter and seed of a group that nobody knows how it was made."""

FFDHE2048 = int(
    "ffffffffffffffffadf85458a2bb4a9aafdc5620273d3cf1d8b9c583ce2d3695a9e13641146433fbcc939dce249b3ef97d2fe363630c75d8"
    "f681b202aec4617ad3df1ed5d5fd65612433f51f5f066ed0856365553ded1af3b557135e7f57c935984f0c70e0e68b77e2a689daf3efe872"
    "1df158a136ade73530acca4f483a797abc0ab182b324fb61d108a94bb2c8e3fbb96adab760d7f4681d4f42a3de394df4ae56ede76372bb19"
    "0b07a7c8ee0a6d709e02fce1cdf7e2ecc03404cd28342f619172fe9ce98583ff8e4f1232eef28183c3fe3b1b4c6fad733bb5fcbc2ec22005"
    "c58ef1837d1683b2c6f34a26c1b2effa886b423861285c97ffffffffffffffff",
    16,
)
"""RFC 7919, A.1; its generator is 2."""


P_256 = int(
    "87a8e61db4b6663cffbbd19c651959998ceef608660dd0f25d2ceed4435e3b00e00df8f1d61957d4faf7df4561b2aa3016c3d91134096faa"
    "3bf4296d830e9a7c209e0c6497517abd5a8a9d306bcf67ed91f9e6725b4758c022e0b1ef4275bf7b6c5bfc11d45f9088b941f54eb1e59bb8"
    "bc39a0bf12307f5c4fdb70c581b23f76b63acae1caa6b7902d52526735488a0ef13c6d9a51bfa4ab3ad8347796524d8ef6a167b5a41825d9"
    "67e144e5140564251ccacb83e6b486f6b3ca3f7971506026c0b857f689962856ded4010abd0be621c3a3960a54e710c375f26375d7014103"
    "a4b54330c198af126116d2276e11715f693877fad7ef09cadb094ae91e1a1597",
    16,
)
G_256 = int(
    "3fb32c9b73134d0b2e77506660edbd484ca7b18f21ef205407f4793a1a0ba12510dbc15077be463fff4fed4aac0bb555be3a6c1b0c6b47b1"
    "bc3773bf7e8c6f62901228f8c28cbb18a55ae31341000a650196f931c77a57f2ddf463e5e9ec144b777de62aaab8a8628ac376d282d6ed38"
    "64e67982428ebc831d14348f6f2f9193b5045af2767164e1dfc967c1fb3f2e55a4bd1bffe83b9c80d052b985d182ea0adb2a3b7313d3fe14"
    "c8484b1e052588b9b7d2bbd2df016199ecd06e1557cd0915b3353bbb64e0ec377fd028370df92b52c7891428cdc67eb6184b523d1db246c3"
    "2f63078490f00ef8d647d148d47954515e2327cfef98c582664b4c0f6cc41659",
    16,
)
Q_256 = 0x8CF83642A709A097B447997640129DA299B1A47D1EB3750BA308B0FE64F5FBD3
"""RFC 5114, 2.3: a prime of 2048 bits and a generator whose order has 256."""


@dataclass(frozen=True)
class Numbers:
    """The numbers of a key of DSA or Diffie-Hellman; `q` is 0 where the group does not have it."""

    p: int
    g: int
    x: int
    y: int
    q: int = 0

    @property
    def size(self) -> int:
        return (self.p.bit_length() + 7) // 8

    @property
    def order_size(self) -> int:
        return (self.q.bit_length() + 7) // 8

    def without_public(self) -> Numbers:
        return replace(self, y=0)


def dsa_numbers(key: dsa.DSAPrivateKey) -> Numbers:
    numbers = key.private_numbers()
    group = numbers.public_numbers.parameter_numbers
    return Numbers(p=group.p, q=group.q, g=group.g, x=numbers.x, y=numbers.public_numbers.y)


@cache
def dh_numbers() -> Numbers:
    x = int.from_bytes(sha256(b"dh").digest(), "big")
    return Numbers(p=FFDHE2048, g=2, x=x, y=pow(2, x, FFDHE2048))


@cache
def numbers_of_order(label: str = "dsa") -> Numbers:
    """A key in a group whose order is known, of DSA or Diffie-Hellman."""
    x = int.from_bytes(sha256(label.encode()).digest(), "big") % Q_256
    return Numbers(p=P_256, g=G_256, x=x, y=pow(G_256, x, P_256), q=Q_256)


def cng_dsa(numbers: Numbers, magic: bytes = b"DSPV") -> bytes:
    """BCRYPT_DSA_PRIVATE_BLOB, of groups up to 1024 bits."""
    values = [(numbers.p, numbers.size), (numbers.g, numbers.size), (numbers.y, numbers.size), (numbers.x, 20)]
    return struct.pack("<4sI", magic, numbers.size) + UNKNOWN_SEED + numbers.q.to_bytes(20, "big") + _big(values)


def cng_dsa2(numbers: Numbers, magic: bytes = b"DPV2", seed: bytes = b"\xff" * 32) -> bytes:
    """BCRYPT_DSA_PRIVATE_BLOB with BCRYPT_DSA_KEY_BLOB_V2."""
    head = struct.pack("<4s5I4s", magic, numbers.size, 1, 1, len(seed), numbers.order_size, b"\xff" * 4)
    values = [(numbers.q, numbers.order_size), (numbers.p, numbers.size), (numbers.g, numbers.size)]
    return head + seed + _big([*values, (numbers.y, numbers.size), (numbers.x, numbers.order_size)])


def cng_dh(numbers: Numbers, magic: bytes = b"DHPV") -> bytes:
    """BCRYPT_DH_PRIVATE_BLOB."""
    values = (numbers.p, numbers.g, numbers.y, numbers.x)
    return struct.pack("<4sI", magic, numbers.size) + _big([(value, numbers.size) for value in values])


def capi_2(numbers: Numbers) -> bytes:
    """PRIVATEKEYBLOB of version 2: `DSS2` for a group with an order, else `DH2`."""
    size, bits = numbers.size, 8 * numbers.size
    if numbers.q:
        values = [(numbers.p, size), (numbers.q, 20), (numbers.g, size), (numbers.x, 20)]
        return struct.pack("<BBHI4sI", 7, 2, 0, 0x2200, b"DSS2", bits) + _little(values) + UNKNOWN_SEED
    values = [(value, size) for value in (numbers.p, numbers.g, numbers.x)]
    return struct.pack("<BBHI4sI", 7, 2, 0, 0xAA02, b"DH2\0", bits) + _little(values)


def capi_3(numbers: Numbers, magic: bytes, algorithm: int, factor: int = 0) -> bytes:
    """PRIVATEKEYBLOB of version 3 (`DSS4`, `DH4`), with or without j = (p-1)/q."""
    size, order, private = numbers.size, numbers.order_size, numbers.order_size or numbers.size
    rest = (factor.bit_length() + 7) // 8
    head = struct.pack("<BBHI4s4I", 7, 3, 0, algorithm, magic, 8 * size, 8 * order, 8 * rest, 8 * private)
    values = [(numbers.p, size), (numbers.q, order), (numbers.g, size), (factor, rest), (numbers.y, size)]
    return head + UNKNOWN_SEED + _little([*values, (numbers.x, private)])


def _big(values: list[tuple[int, int]]) -> bytes:
    return b"".join(value.to_bytes(width, "big") for value, width in values)


def _little(values: list[tuple[int, int]]) -> bytes:
    return b"".join(value.to_bytes(width, "little") for value, width in values)
