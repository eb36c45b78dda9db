"""Java key stores (JKS) with a key under a password and its certificate in the clear.

Source: OpenJDK, `sun.security.provider.JavaKeyStore` (the file, and the SHA-1 of password and content at its end) and
`KeyProtector` (the key: XOR with a chain of SHA-1 that begins with a salt, then the SHA-1 of password and key).
"""

from __future__ import annotations

from hashlib import sha1

from dumpscan.synth.objects import der
from dumpscan.synth.seeded import SeededBytes

_MAGIC = 0xFEED_FEED
_PRIVATE_KEY_ENTRY = 1
_KEY_PROTECTOR = der.sequence(der.oid("1.3.6.1.4.1.42.2.17.1.1"), der.NULL)
_CREATED = 1_704_067_200_000
"""2024-01-01 00:00:00 UTC, in milliseconds since 1970."""


def jks(pkcs8: bytes, certificate: bytes, password: str, seed: str, alias: str) -> bytes:
    """Return a JKS of version 2 that holds a PKCS#8 key and its certificate."""
    secret = password.encode("utf-16-be")
    content = b"".join(
        (
            _numbers(_MAGIC, 2, 1, _PRIVATE_KEY_ENTRY),
            _text(alias),
            _CREATED.to_bytes(8, "big"),
            _sized(der.sequence(_KEY_PROTECTOR, der.octet_string(_protected(pkcs8, secret, seed)))),
            _numbers(1),
            _text("X.509"),
            _sized(certificate),
        )
    )
    return content + sha1(secret + b"Mighty Aphrodite" + content).digest()  # noqa: S324 -- as the format wants it


def _protected(pkcs8: bytes, secret: bytes, seed: str) -> bytes:
    salt = block = SeededBytes("jks", seed).take(20)
    stream = b""
    while len(stream) < len(pkcs8):
        block = sha1(secret + block).digest()  # noqa: S324 -- as the format wants it
        stream += block
    hidden = bytes(left ^ right for left, right in zip(pkcs8, stream, strict=False))
    return salt + hidden + sha1(secret + pkcs8).digest()  # noqa: S324 -- as the format wants it


def _numbers(*values: int) -> bytes:
    return b"".join(value.to_bytes(4, "big") for value in values)


def _text(text: str) -> bytes:
    return len(text.encode()).to_bytes(2, "big") + text.encode()


def _sized(content: bytes) -> bytes:
    return len(content).to_bytes(4, "big") + content
