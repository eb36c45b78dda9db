"""OpenSSH's own private key format: `openssh-key-v1`, encrypted or not.

Source: `PROTOCOL.key` of OpenSSH. Lengths are 32-bit big-endian, each before what it counts.
"""

from __future__ import annotations

import base64
from hashlib import sha256
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from cryptography.hazmat.primitives.serialization.ssh import load_ssh_private_key

from dumpscan.artifacts import key_proof
from dumpscan.artifacts.decoded import BytesDecoder, Detector, Parsed, Raw, RefusedError
from dumpscan.artifacts.opening import opening
from dumpscan.artifacts.private_key import read_from
from dumpscan.findings import EncryptedContainer

if TYPE_CHECKING:
    from dumpscan.findings import PrivateKey
    from dumpscan.memory.space import Memory

MAGIC = b"openssh-key-v1\0"
MOST_BYTES = 64 << 10
_COUNT = 4
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
    """Reads what the blob is made of, piece by piece."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.offset = len(MAGIC)
        if not data.startswith(MAGIC):
            raise RefusedError("not OpenSSH's format")

    def take(self, size: int) -> bytes:
        begin = self.offset
        self.offset += size
        if self.offset > len(self._data):
            raise RefusedError("the data ends within a string")
        return self._data[begin : self.offset]

    def string(self) -> bytes:
        return self.take(int.from_bytes(self.take(_COUNT), "big"))


def parse(data: bytes) -> Parsed:
    """Prove the key, or describe its protection, in a blob that has nothing behind it."""
    strings = _Strings(data)
    cipher, kdf, options = strings.string(), strings.string(), strings.string()
    if strings.take(len(_ONE_KEY)) != _ONE_KEY:
        raise RefusedError("not one key")
    public = strings.string()
    private = strings.string()
    name = _CIPHERS.get(cipher, "")
    if strings.offset + _TAGS.get(name, 0) != len(data) or not private:
        raise RefusedError("something behind the key")
    text = _armour(data)
    if cipher == _NONE and kdf == _NONE:
        return Parsed(read_from(_prove(text), data), "openssh")
    if not name or kdf != b"bcrypt" or not public:
        raise RefusedError("a cipher that OpenSSH does not have")
    return Parsed(_encrypted(text, name, options), "openssh")


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


def _prove(text: bytes) -> PrivateKey:
    try:
        key = load_ssh_private_key(text, None, unsafe_skip_rsa_key_validation=True)
        raw = (Encoding.Raw, PublicFormat.Raw)
        match key:
            case rsa.RSAPrivateKey():
                numbers = key.private_numbers()
                return key_proof.rsa_key(
                    modulus=numbers.public_numbers.n,
                    exponent=numbers.public_numbers.e,
                    p=numbers.p,
                    q=numbers.q,
                    private_exponent=numbers.d,
                    crt=(numbers.dmp1, numbers.dmq1, numbers.iqmp),
                )
            case ec.EllipticCurvePrivateKey():
                point = key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
                return key_proof.ec_key(key.curve, key.private_numbers().private_value, point)
            case ed25519.Ed25519PrivateKey():
                private = key.private_bytes(Encoding.Raw, PrivateFormat.Raw, NoEncryption())
                return key_proof.raw_key(key_proof.ED25519, private, key.public_key().public_bytes(*raw))
            case dsa.DSAPrivateKey():
                secret = key.private_numbers()
                group = secret.public_numbers.parameter_numbers
                return key_proof.dsa_key(p=group.p, q=group.q, g=group.g, x=secret.x, y=secret.public_numbers.y)
    except key_proof.LIBRARY_ERRORS:
        raise RefusedError("the library refuses the key") from None
    raise RefusedError("a key of a kind that is not known")


def _armour(data: bytes) -> bytes:
    body = base64.b64encode(data)
    lines = [body[at : at + _LINE] for at in range(0, len(body), _LINE)]
    return b"\n".join((b"-----BEGIN OPENSSH PRIVATE KEY-----", *lines, b"-----END OPENSSH PRIVATE KEY-----", b""))


def _extract(memory: Memory, address: int) -> Raw:
    """Read a blob as it lies in memory, without the armour of a file."""
    cipher = _Strings(memory.read(address, _LOOK)).string()
    if cipher != _NONE and cipher not in _CIPHERS:
        raise RefusedError("a cipher that OpenSSH does not have")
    data = memory.read(address, MOST_BYTES)
    strings = _Strings(data)
    strings.string()
    for _ in range(2):
        strings.string()
    strings.take(len(_ONE_KEY))
    for _ in range(2):
        strings.string()
    strings.take(_TAGS.get(_CIPHERS.get(cipher, ""), 0))
    return Raw(data[: strings.offset], strings.offset)


DETECTORS: tuple[Detector, ...] = ((opening("openssh", MAGIC.hex(" ")), BytesDecoder(_extract, parse)),)
