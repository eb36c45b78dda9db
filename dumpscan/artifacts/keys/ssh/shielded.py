"""Shielded private keys of sshd and ssh-agent: what OpenSSH makes of a key while it does not use it.

The private numbers are encrypted; the string from which the encryption's key comes lies elsewhere in the same process.
`struct sshkey` points to both. The decrypted text is a serialized key, which proves itself.

Source: `sshkey_shield_private` in OpenSSH's `sshkey.c`, 8.1 and later.
"""

from __future__ import annotations

from hashlib import sha256, sha512
from typing import TYPE_CHECKING

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CTR

from dumpscan.artifacts import effort
from dumpscan.artifacts.decoded import Decoded
from dumpscan.artifacts.keys.finding import read_from
from dumpscan.artifacts.keys.ssh.private_keys import take_key
from dumpscan.artifacts.keys.ssh.wire import Strings
from dumpscan.findings import KeyObject
from dumpscan.model.libraries.c_openssh import MAX_SHIELDED, PREKEY_SIZE, SHIELD_BLOCK, SHIELD_KEY_SIZE, c_openssh
from dumpscan.scan.signature import Signature

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dumpscan.findings import PrivateKey
    from dumpscan.memory.space import Memory

ENCODING = "openssh-shielded"
STRUCTURE = "sshkey"

SHIELD = Signature(ENCODING, b"", 32)
"""The fields shielded_private, shielded_len, shield_prekey and shield_prekey_len; they are too much like other memory,
and have too many zeros, for the engine to look for."""
MARK = np.uint64(PREKEY_SIZE)
"""The last of them, by which they are found."""
_HEAD_WORDS = 3
_MAX_POINTER = np.uint64(1 << 48)
_ALIGNMENT = 8
_MICROSECONDS = 60
"""What the hash of a prekey and the decryption of a key take together."""


def decode_shielded(memory: Memory, address: int) -> Decoded | None:
    """Decode the key to which the shield's fields at an address belong.

    Args:
        memory: The memory of one process.
        address: Of the field `shielded_private`.

    Returns:
        The key, at the address of those fields; None if there is none, or a part of it is not held.

    Raises:
        RefusedError: What was decrypted is not a private key.
    """
    form = c_openssh.sshkey_shield
    data = memory.read(address, len(form))
    if address % _ALIGNMENT or len(data) < len(form):
        return None
    shield = form(data)
    size = int(shield.shielded_len)
    if size % SHIELD_BLOCK or not 0 < size <= MAX_SHIELDED:
        return None
    text = memory.read(int(shield.shielded_private), size)
    if len(text) < size:
        return None
    prekey = memory.read(int(shield.shield_prekey), PREKEY_SIZE)
    if len(prekey) < PREKEY_SIZE:
        return None
    effort.charge(_MICROSECONDS)
    key = _key_in(_unshielded(text, prekey))
    if key is None:
        return None
    return Decoded(
        finding=read_from(key, data),
        address=address,
        length=len(data),
        sha256=sha256(data).hexdigest(),
        encoding=ENCODING,
        key_object=KeyObject(library="openssh", structure=STRUCTURE, layout="shielded", has_private=True),
    )


def shield_parts(memory: Memory, address: int) -> tuple[tuple[int, int], ...]:
    """Return address and size of the encrypted key and of the prekey, as the shield's fields at an address say."""
    form = c_openssh.sshkey_shield
    data = memory.read(address, len(form))
    if len(data) < len(form):
        return ()
    shield = form(data)
    size = min(int(shield.shielded_len), MAX_SHIELDED)
    return (int(shield.shielded_private), size), (int(shield.shield_prekey), PREKEY_SIZE)


def _unshielded(text: bytes, prekey: bytes) -> bytes:
    """Decrypt a shielded key."""
    secret = sha512(prekey).digest()
    key, counter = secret[:SHIELD_KEY_SIZE], secret[SHIELD_KEY_SIZE:][:SHIELD_BLOCK]
    return Cipher(AES(key), CTR(counter)).decryptor().update(text)


def _key_in(text: bytes) -> PrivateKey | None:
    """Prove the key in a decrypted text; None unless the padding 1, 2, 3 and so on follows it."""
    strings = Strings(text)
    key = take_key(strings)
    padding = strings.rest()
    return key if padding == bytes(range(1, len(padding) + 1)) else None


def shields(words: NDArray[np.uint64], at: NDArray[np.int64]) -> NDArray[np.int64]:
    """Find the shield's fields among words of memory.

    Args:
        words: Words of memory.
        at: Indexes of those that are `MARK`.

    Returns:
        Indexes of the fields `shielded_private`.
    """
    at = at[at >= _HEAD_WORDS] - _HEAD_WORDS
    private, size, prekey = (words.take(at + number) for number in range(_HEAD_WORDS))
    fits = (private < _MAX_POINTER) & (prekey < _MAX_POINTER) & (private > 0) & (prekey > 0)
    fits &= (size > 0) & (size <= np.uint64(MAX_SHIELDED)) & (size % np.uint64(SHIELD_BLOCK) == 0)
    return at[fits]
