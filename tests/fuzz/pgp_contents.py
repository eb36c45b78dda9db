"""Hostile contents in the forms of OpenPGP, GnuPG and SSH (see `contents`)."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from fuzz.library_contents import composite_rsa

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

    Piece = Callable[[Random], bytes]

_SECRET_KEY, _USER_ID = 0xC5, 0xCD


def _bytes(value: int) -> bytes:
    return value.to_bytes((value.bit_length() + 7) // 8, "big")


def _mpi(value: int) -> bytes:
    return struct.pack(">H", value.bit_length()) + _bytes(value)


def _string(data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + data


def _packet(rng: Random) -> bytes:
    """A version 4 RSA secret key of OpenPGP whose factors are not prime."""
    key = composite_rsa(2048, rng)
    secret = b"".join(map(_mpi, (key.d, key.p, key.q, pow(key.p, -1, key.q))))
    body = b"\x04" + bytes(4) + b"\x01" + _mpi(key.public_numbers.n) + _mpi(key.public_numbers.e) + b"\0" + secret
    body += struct.pack(">H", sum(secret) & 0xFFFF)
    return b"\x95" + struct.pack(">H", len(body)) + body


def _length(size: int) -> bytes:
    """Write a length in the new format of packets."""
    return bytes((size,)) if size < 192 else struct.pack(">H", size - 192 + (192 << 8))


def _nested(tag: int, count: int, step: int, end: int) -> bytes:
    """Headers of packets that all end `end` bytes behind the last of them, `step` bytes from one to the next."""
    made = b""
    for number in range(count):
        behind = end + (count - number) * step
        size = behind - 2 if behind - 2 < 192 else behind - 3
        made += (bytes((tag,)) + _length(size)).ljust(step, b"\4")
    return made + bytes(end)


_SIGNED = bytes.fromhex("880404131102")


def _before_signatures(rng: Random) -> bytes:
    """Signatures of DSA behind user ids within one another, behind secret keys within one another."""
    return _nested(_SECRET_KEY, 200, 4, 0) + rng.randbytes(2) + _nested(_USER_ID, 40, 4, 0) + _SIGNED


def _rsa_exponents(_: Random) -> bytes:
    """Public exponents behind what may be packets' headers and moduli of every size."""
    made = b""
    for size in range(504, 0, -8):
        made += bytes((0x95, 4, 0, 0, 0, 1)) + struct.pack(">H", 8 * size)
    return made + bytes.fromhex("001101000100")


def _ssh(rng: Random) -> bytes:
    key = composite_rsa(2048, rng)
    numbers = key.public_numbers.n, key.public_numbers.e, key.d, pow(key.q, -1, key.p), key.p, key.q
    return _string(b"ssh-rsa") + b"".join(_string(each.to_bytes(each.bit_length() // 8 + 1, "big")) for each in numbers)


_UNCLOSED = b"(private-key (" * 7

PGP_AND_SSH: dict[str, Piece] = {
    "openpgp": _packet,
    "openpgp-signatures": lambda _: _SIGNED,
    "openpgp-headers": lambda _: bytes((_SECRET_KEY,)) * 26 + _SIGNED,
    "openpgp-nested": _before_signatures,
    "openpgp-exponents": _rsa_exponents,
    "openpgp-curves": lambda _: bytes.fromhex("c5290400000000122b0608 2a8648ce3d030107".replace(" ", "")),
    "openpgp-armour": lambda _: b"-----BEGIN PGP PRIVATE KEY BLOCK-----\n\nlQOY\n",
    "s-expression": lambda _: b"(11:private-key(3:rsa(1:n4:aaaa)(1:e1:a)",
    "s-expression-atoms": lambda _: b"(private-key (rsa " + b"a " * 100,
    "s-expression-spaces": lambda _: _UNCLOSED + b" " * 400,
    "s-expression-text": lambda _: _UNCLOSED + b'"' + b"a" * 400 + b"\0",
    "s-expression-escapes": lambda _: _UNCLOSED + b'"' + b"\\a" * 200 + b"\0",
    "s-expression-hex": lambda _: _UNCLOSED + b"#" + b"4 " * 200,
    "s-expression-long": lambda _: b"(11:private-key(1:a9999:",
    "ssh": _ssh,
    "ssh-strings": lambda _: _string(b"ssh-rsa") + bytes.fromhex("0000000100") * 6,
    "ssh-ed25519": lambda rng: _string(b"ssh-ed25519") + 2 * (public := _string(rng.randbytes(32))) + public,
    "ssh-add": lambda _: b"\x11" + _string(b"ssh-dss") + bytes.fromhex("0000008000"),
    "ssh.com": lambda _: bytes.fromhex("3f6ff9eb0000004000000008") + b"if-modn{" + _string(b"none") + bytes(8),
    "ssh.com-headers": lambda _: bytes.fromhex("3f6ff9eb0000400000000000"),
}
