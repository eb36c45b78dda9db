"""OpenSSH's own private key format: `openssh-key-v1`, encrypted or not.

Source: `PROTOCOL.key` of OpenSSH. Lengths are 32-bit big-endian, each before what it counts.
"""

from __future__ import annotations

import base64
from hashlib import sha256
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.asymmetric import ec

from dumpscan.artifacts.decoded import BytesDecoder, Detector, Parsed, Raw, RefusedError
from dumpscan.artifacts.keys import proof as key_proof
from dumpscan.artifacts.keys.finding import read_from
from dumpscan.artifacts.opening import opening
from dumpscan.findings import EncryptedContainer

if TYPE_CHECKING:
    from collections.abc import Callable

    from dumpscan.findings import PrivateKey
    from dumpscan.memory.space import Memory

MAGIC = b"openssh-key-v1\0"
MOST_BYTES = 64 << 10
_WINDOWS = (4 << 10, MOST_BYTES)
"""Bytes read at first, and when those did not reach to the end."""
_COUNT = 4
_MOST_NUMBER = 2049
"""Bytes of the largest number in a key: 16384 bits and a sign."""
_MOST_PADDING = 255
_ONE_KEY = b"\0\0\0\x01"
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
_LINE = 70
"""Characters of base64 in a line, as `ssh-keygen` writes it."""


class _Strings:
    """Reads what a blob is made of, piece by piece."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.offset = 0

    def take(self, size: int) -> bytes:
        """Return the next `size` bytes."""
        begin = self.offset
        self.offset += size
        if self.offset > len(self._data):
            raise RefusedError("the data ends within a string")
        return self._data[begin : self.offset]

    def string(self) -> bytes:
        """Return the next string."""
        return self.take(int.from_bytes(self.take(_COUNT), "big"))

    def number(self) -> int:
        """Return the next number, which is a string in two's complement."""
        data = self.string()
        if len(data) > _MOST_NUMBER:
            raise RefusedError("a number of no key's size")
        return int.from_bytes(data, "big", signed=True)

    def rest(self) -> bytes:
        """Return all that follows."""
        return self.take(len(self._data) - self.offset)


def _opened(data: bytes) -> _Strings:
    strings = _Strings(data)
    if strings.take(len(MAGIC)) != MAGIC:
        raise RefusedError("not OpenSSH's format")
    return strings


def parse(data: bytes) -> Parsed:
    """Prove the key, or describe its protection, in a blob that has nothing behind it."""
    strings = _opened(data)
    cipher, kdf, options = strings.string(), strings.string(), strings.string()
    if strings.take(len(_ONE_KEY)) != _ONE_KEY:
        raise RefusedError("not one key")
    public = strings.string()
    private = strings.string()
    name = _CIPHERS.get(cipher, "")
    if strings.offset + _TAGS.get(name, 0) != len(data) or not private:
        raise RefusedError("something behind the key")
    if cipher == _NONE and kdf == _NONE:
        return Parsed(read_from(_prove(private), data), "openssh")
    if not name or kdf != b"bcrypt" or not public:
        raise RefusedError("a cipher that OpenSSH does not have")
    return Parsed(_encrypted(_armour(data), name, options), "openssh")


def _encrypted(text: bytes, cipher: str, options: bytes) -> EncryptedContainer:
    """Describe what `bcrypt` options (salt and rounds) and a cipher protect."""
    rounds = options[-_COUNT:]
    if len(options) < 2 * _COUNT or int.from_bytes(options[:_COUNT], "big") != len(options) - 2 * _COUNT:
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


def _prove(private: bytes) -> PrivateKey:
    """Prove the key in the private section, which is padded with 1, 2, 3 ... when it is not encrypted."""
    strings = _Strings(private)
    if strings.take(_COUNT) != strings.take(_COUNT):
        raise RefusedError("the two check numbers differ")
    kind = strings.string()
    if kind not in _KINDS:
        raise RefusedError("a key of a kind that is not known")
    key = _KINDS[kind](strings)
    strings.string()  # the comment
    padding = strings.rest()
    if padding != bytes(range(1, len(padding) + 1)[:_MOST_PADDING]):
        raise RefusedError("something behind the key")
    return key


def _rsa(strings: _Strings) -> PrivateKey:
    n, e, d, coefficient, p, q = (strings.number() for _ in range(6))
    if not min(p, q) > 1:
        raise RefusedError("no factors")
    crt = (d % (p - 1), d % (q - 1), coefficient)
    return key_proof.rsa_key(modulus=n, exponent=e, p=p, q=q, private_exponent=d, crt=crt)


def _ec(strings: _Strings) -> PrivateKey:
    curve, point, value = _CURVES.get(strings.string()), strings.string(), strings.number()
    if curve is None:
        raise RefusedError("a curve that OpenSSH does not have")
    return key_proof.ec_key(curve, value, point)


def _ed25519(strings: _Strings) -> PrivateKey:
    public, both = strings.string(), strings.string()
    size = key_proof.ED25519.size
    if both[size:] != public:
        raise RefusedError("two public values")
    return key_proof.raw_key(key_proof.ED25519, both[:size], public)


def _dsa(strings: _Strings) -> PrivateKey:
    p, q, g, y, x = (strings.number() for _ in range(5))
    return key_proof.dsa_key(p=p, q=q, g=g, y=y, x=x)


_CURVES: dict[bytes, ec.EllipticCurve] = {
    b"nistp256": ec.SECP256R1(),
    b"nistp384": ec.SECP384R1(),
    b"nistp521": ec.SECP521R1(),
}
_KINDS: dict[bytes, Callable[[_Strings], PrivateKey]] = {
    b"ssh-rsa": _rsa,
    b"ssh-dss": _dsa,
    b"ssh-ed25519": _ed25519,
    **{b"ecdsa-sha2-" + curve: _ec for curve in _CURVES},
}


def _armour(data: bytes) -> bytes:
    body = base64.b64encode(data)
    lines = [body[at : at + _LINE] for at in range(0, len(body), _LINE)]
    return b"\n".join((b"-----BEGIN OPENSSH PRIVATE KEY-----", *lines, b"-----END OPENSSH PRIVATE KEY-----", b""))


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
    for _ in range(2):
        strings.string()
    strings.take(len(_ONE_KEY))
    for _ in range(2):
        strings.string()
    strings.take(_TAGS.get(_CIPHERS.get(cipher, ""), 0))
    return strings.offset


DETECTORS: tuple[Detector, ...] = ((opening("openssh", MAGIC.hex(" ")), BytesDecoder(_extract, parse)),)
