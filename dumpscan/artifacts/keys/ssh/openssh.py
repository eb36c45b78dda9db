"""OpenSSH's own private key format: `openssh-key-v1`, encrypted or not.

Source: `PROTOCOL.key` of OpenSSH, which allows several keys in a file.
"""

from __future__ import annotations

from dataclasses import replace
from hashlib import sha256
from typing import TYPE_CHECKING

from dumpscan.artifacts.decoded import BytesDecoder, Parsed, Raw, RefusedError
from dumpscan.artifacts.keys.finding import read_from
from dumpscan.artifacts.keys.ssh.private_keys import take_key
from dumpscan.artifacts.keys.ssh.wire import COUNT_SIZE, Strings, key_file
from dumpscan.findings import EncryptedContainer
from dumpscan.scan.opening import opening

if TYPE_CHECKING:
    from dumpscan.artifacts.detector import Detector
    from dumpscan.findings import PrivateKey
    from dumpscan.memory.space import Memory

MAGIC = b"openssh-key-v1\0"
MOST_BYTES = 64 << 10
_WINDOWS = (4 << 10, MOST_BYTES)
"""Bytes read at first, and when those did not reach to the end."""
_MAX_KEYS = 64
"""In a file; what is more takes more than the bytes allowed, or is no key."""
_MOST_PADDING = 255
_NONE = b"none"
_CIPHERS = {
    b"3des-cbc": "3DES-CBC",
    b"aes128-cbc": "AES-128-CBC",
    b"aes192-cbc": "AES-192-CBC",
    b"aes256-cbc": "AES-256-CBC",
    b"aes128-ctr": "AES-128-CTR",
    b"aes192-ctr": "AES-192-CTR",
    b"aes256-ctr": "AES-256-CTR",
    b"aes128-gcm@openssh.com": "AES-128-GCM",
    b"aes256-gcm@openssh.com": "AES-256-GCM",
    b"chacha20-poly1305@openssh.com": "ChaCha20-Poly1305",
}
_TAGS = {"AES-128-GCM": 16, "AES-256-GCM": 16, "ChaCha20-Poly1305": 16}
"""Bytes of the authentication tag, which follows the last string."""
_LOOK = 64
"""Bytes that hold the magic and the name of any cipher."""


def _opened(data: bytes) -> Strings:
    strings = Strings(data)
    if strings.take(len(MAGIC)) != MAGIC:
        raise RefusedError("not OpenSSH's format")
    return strings


def parse(data: bytes) -> Parsed:
    """Prove the keys, or describe their protection, in a blob that has nothing behind it."""
    strings = _opened(data)
    cipher, kdf, options = strings.string(), strings.string(), strings.string()
    public = [strings.string() for _ in range(_key_count(strings))]
    private = strings.string()
    name = _CIPHERS.get(cipher, "")
    if strings.offset + _TAGS.get(name, 0) != len(data) or not private:
        raise RefusedError("something behind the key")
    if cipher == _NONE and kdf == _NONE:
        first, *others = (Parsed(read_from(key, data), "openssh") for key in _prove(private, len(public)))
        return replace(first, others=tuple(others))
    if not name or kdf != b"bcrypt" or not all(public):
        raise RefusedError("a cipher that OpenSSH does not have")
    text = key_file(b"-----BEGIN OPENSSH PRIVATE KEY-----", data, b"-----END OPENSSH PRIVATE KEY-----")
    return Parsed(_encrypted(text, name, options), "openssh")


def _key_count(strings: Strings) -> int:
    count = strings.count()
    if not 1 <= count <= _MAX_KEYS:
        raise RefusedError("no number of keys that a file has")
    return count


def _encrypted(text: bytes, cipher: str, options: bytes) -> EncryptedContainer:
    """Describe what `bcrypt` options (salt and rounds) and a cipher protect."""
    rounds = options[-COUNT_SIZE:]
    if len(options) < 2 * COUNT_SIZE or int.from_bytes(options[:COUNT_SIZE], "big") != len(options) - 2 * COUNT_SIZE:
        raise RefusedError("no options of bcrypt")
    return EncryptedContainer(
        sha256=sha256(text).hexdigest(),
        size=len(text),
        container="openssh",
        kdf="bcrypt",
        cipher=cipher,
        iterations=int.from_bytes(rounds, "big"),
        data=text,
    )


def _prove(private: bytes, count: int) -> list[PrivateKey]:
    """Prove the keys in the private section, which is padded with 1, 2, 3 ... when it is not encrypted."""
    strings = Strings(private)
    if strings.count() != strings.count():
        raise RefusedError("the two check numbers differ")
    keys: dict[str, PrivateKey] = {}
    for _ in range(count):
        key = take_key(strings)
        strings.string()  # the comment
        if key is not None:
            keys[key.key_id] = key
    padding = strings.rest()
    if padding != bytes(range(1, len(padding) + 1)[:_MOST_PADDING]):
        raise RefusedError("something behind the keys")
    if not keys:
        raise RefusedError("keys whose private half a security key holds")
    return list(keys.values())


def _extract(memory: Memory, address: int) -> Raw:
    """Read a blob as it lies in memory, without the armour of a file."""
    cipher = _opened(memory.read(address, _LOOK)).string()
    if cipher != _NONE and cipher not in _CIPHERS:
        raise RefusedError("a cipher that OpenSSH does not have")
    for size in _WINDOWS:
        data = memory.read(address, size)
        try:
            length = _length(data)
        except RefusedError:
            if len(data) < size:
                raise
        else:
            return Raw(data[:length], length)
    raise RefusedError("no end")


def _length(data: bytes) -> int:
    strings = _opened(data)
    cipher = strings.string()
    for _ in range(2):  # key derivation and its options
        strings.string()
    for _ in range(_key_count(strings) + 1):  # the public keys, and the private section
        strings.string()
    strings.take(_TAGS.get(_CIPHERS.get(cipher, ""), 0))
    return strings.offset


DETECTORS: tuple[Detector, ...] = ((opening("openssh", MAGIC.hex(" ")), BytesDecoder(_extract, parse)),)
