"""How OpenPGP protects secret keys: ciphers, and the derivation of their keys (S2K).

Source: RFC 9580, 3.7 (S2K), 9.3 (ciphers), 9.5 (hashes), 9.6 (AEAD); for the S2K of keys that are elsewhere, `DETAILS`
and `DETAILS.gpg` of GnuPG ("GNU extensions to the S2K algorithm").
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from dumpscan.artifacts.decoded import RefusedError

if TYPE_CHECKING:
    from dumpscan.artifacts.keys.openpgp.packets import Fields

AEAD, HASHED, SUMMED = 253, 254, 255
"""S2K usages: with an AEAD mode, with a SHA-1 or a sum of 16 bits of the secret part in it. Others name a cipher."""
_CIPHERS = {
    1: ("IDEA", 8),
    2: ("3DES", 8),
    3: ("CAST5", 8),
    4: ("Blowfish", 8),
    7: ("AES-128", 16),
    8: ("AES-192", 16),
    9: ("AES-256", 16),
    10: ("Twofish", 16),
    11: ("Camellia-128", 16),
    12: ("Camellia-192", 16),
    13: ("Camellia-256", 16),
}
"""Names, and bytes of a block."""
_AEADS = {1: ("EAX", 16), 2: ("OCB", 15), 3: ("GCM", 12)}
"""Names, and bytes of the nonce."""
_HASHES = {
    1: "MD5",
    2: "SHA1",
    3: "RIPEMD160",
    8: "SHA256",
    9: "SHA384",
    10: "SHA512",
    11: "SHA224",
    12: "SHA3-256",
    14: "SHA3-512",
}
_SIMPLE, _SALTED, _ITERATED, _ARGON2 = 0, 1, 3, 4
_SALT, _ARGON2_SALT = 8, 16


@dataclass(frozen=True, slots=True)
class Protection:
    """How a secret key is encrypted.

    Attributes:
        kdf: Key derivation, e.g. `S2K iterated SHA256`.
        cipher: e.g. `AES-256-CFB`.
        iterations: Bytes that are hashed (iterated), or passes (Argon2).
        mac: What shows a wrong password: `SHA1`, or nothing better than a sum.
    """

    kdf: str
    cipher: str
    iterations: int | None
    mac: str | None


def take_protection(fields: Fields, usage: int, *, counted: bool) -> Protection:
    """Read how a secret key is encrypted, up to the initialization vector and with it.

    Args:
        fields: Behind the usage (and in versions 5 and 6 the count of what is read here).
        usage: The S2K usage, which is not 0.
        counted: Whether the S2K has a count of its own before it, as in version 6.

    Raises:
        RefusedError: If it is not known, or the secret key is not there: on a card, or left out.
    """
    if usage not in (AEAD, HASHED, SUMMED):
        name, block = _cipher(usage)
        fields.take(block)
        return Protection("S2K simple MD5", f"{name}-CFB", None, None)
    name, block = _cipher(fields.number(1))
    mode, nonce = "CFB", block
    if usage == AEAD:
        mode, nonce = _aead(fields.number(1))
    if counted:
        fields.take(1)
    kdf, iterations = _take_s2k(fields)
    fields.take(nonce)
    return Protection(kdf, f"{name}-{mode}", iterations, "SHA1" if usage == HASHED else None)


def _cipher(number: int) -> tuple[str, int]:
    if number not in _CIPHERS:
        raise RefusedError("a cipher that is not known")
    return _CIPHERS[number]


def _aead(number: int) -> tuple[str, int]:
    if number not in _AEADS:
        raise RefusedError("an AEAD mode that is not known")
    return _AEADS[number]


def _take_s2k(fields: Fields) -> tuple[str, int | None]:
    kind = fields.number(1)
    if kind == _ARGON2:
        fields.take(_ARGON2_SALT)
        passes, _, _ = fields.take(3)
        return "Argon2id", passes
    digest = _HASHES.get(fields.number(1))
    if digest is None:
        raise RefusedError("a hash that is not known")
    if kind == _SIMPLE:
        return f"S2K simple {digest}", None
    if kind not in (_SALTED, _ITERATED):
        raise RefusedError("a secret key that is elsewhere, or protected in an unknown way")
    fields.take(_SALT)
    if kind == _SALTED:
        return f"S2K salted {digest}", None
    coded = fields.number(1)
    return f"S2K iterated {digest}", (16 + (coded & 15)) << ((coded >> 4) + 6)
