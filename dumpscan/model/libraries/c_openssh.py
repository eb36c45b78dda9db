"""The part of OpenSSH's `struct sshkey` that holds a shielded private key, for 64-bit programs.

Source: OpenSSH 8.1 and later, `sshkey.h` (struct sshkey) and `sshkey.c` (sshkey_shield_private). Compared with the
processes of OpenSSH 9.2 and 10.0; see `docs/memory-layouts.md`, "OpenSSH: shielded keys".
"""

from __future__ import annotations

from dumpscan.model.structures import structures

PREKEY_SIZE = 16 << 10
"""SSHKEY_SHIELD_PREKEY_LEN: bytes of the random string from which the key of the cipher is derived."""
SHIELD_KEY_SIZE = 32
"""Bytes of the key of SSHKEY_SHIELD_CIPHER, which is AES-256 in counter mode."""
SHIELD_BLOCK = 16
"""Bytes of that cipher's block: what is encrypted is a multiple of it."""
MAX_SHIELDED = 64 << 10
"""Bytes of the longest shielded key looked at: ten times those of an RSA key with 16384 bits."""

_DEFINITIONS = """
struct sshkey_shield {
    uint64  shielded_private;
    uint64  shielded_len;
    uint64  shield_prekey;
    uint64  shield_prekey_len;
};
"""

c_openssh = structures(_DEFINITIONS)
