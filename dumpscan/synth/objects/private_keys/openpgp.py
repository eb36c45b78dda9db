"""OpenPGP secret keys of version 4 without a passphrase, as packets and in ASCII armor.

Sources: RFC 9580, 5.5.3 (secret-key packet), 9.2 (curves), 6 (armor). Packets have headers of the old format, as GnuPG
writes them.
"""

from __future__ import annotations

import base64
import textwrap

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from dumpscan.synth.objects import der
from dumpscan.synth.objects.private_keys.members import rsa_members

PgpKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey

_CREATED = 1_704_067_200
"""2024-01-01 00:00:00 UTC."""
_RSA, _ECDSA, _EDDSA_LEGACY = 1, 19, 22
_CURVES = {
    "secp256r1": "1.2.840.10045.3.1.7",
    "secp384r1": "1.3.132.0.34",
    "secp521r1": "1.3.132.0.35",
    "secp256k1": "1.3.132.0.10",
}
_ED25519_LEGACY = "1.3.6.1.4.1.11591.15.1"
_USER_ID = b"Example <user@example.org>"


def openpgp(key: PgpKey) -> bytes:
    """Return a secret-key packet and a user ID packet."""
    algorithm, public, secret = _numbers(key)
    body = b"\x04" + _CREATED.to_bytes(4, "big") + bytes([algorithm]) + public
    checksum = (sum(secret) & 0xFFFF).to_bytes(2, "big")
    return _packet(5, body + b"\0" + secret + checksum) + _packet(13, _USER_ID)


def openpgp_armor(key: PgpKey) -> bytes:
    """Return the packets as text with a checksum."""
    packets = openpgp(key)
    body = textwrap.wrap(base64.b64encode(packets).decode(), 64)
    checksum = base64.b64encode(_crc24(packets).to_bytes(3, "big")).decode()
    label = "PGP PRIVATE KEY BLOCK-----"
    lines = (f"-----BEGIN {label}", "", *body, f"={checksum}", f"-----END {label}")
    return "".join(f"{line}\n" for line in lines).encode()


def _numbers(key: PgpKey) -> tuple[int, bytes, bytes]:
    """Return the algorithm, the public and the secret fields of a key."""
    if isinstance(key, rsa.RSAPrivateKey):
        members = rsa_members(key)
        p, q = sorted((members["p"], members["q"]))  # p < q, as the coefficient p^-1 mod q requires
        return _RSA, _mpis(members["n"], members["e"]), _mpis(members["d"], p, q, pow(p, -1, q))
    if isinstance(key, ec.EllipticCurvePrivateKey):
        numbers, size = key.private_numbers(), (key.key_size + 7) // 8
        point = 4 << 16 * size | numbers.public_numbers.x << 8 * size | numbers.public_numbers.y
        return _ECDSA, _curve(_CURVES[key.curve.name]) + _mpis(point), _mpis(numbers.private_value)
    point = int.from_bytes(b"\x40" + key.public_key().public_bytes_raw(), "big")
    seed = int.from_bytes(key.private_bytes_raw(), "big")
    return _EDDSA_LEGACY, _curve(_ED25519_LEGACY) + _mpis(point), _mpis(seed)


def _packet(tag: int, body: bytes) -> bytes:
    return bytes([0x80 | tag << 2 | 1]) + len(body).to_bytes(2, "big") + body


def _curve(dotted: str) -> bytes:
    """Return the OBJECT IDENTIFIER of a curve without its tag."""
    return der.oid(dotted)[1:]


def _mpis(*values: int) -> bytes:
    return b"".join(
        value.bit_length().to_bytes(2, "big") + value.to_bytes((value.bit_length() + 7) // 8, "big") for value in values
    )


def _crc24(content: bytes) -> int:
    """Return the checksum of the armor (RFC 4880, 6.1)."""
    crc = 0xB704CE
    for byte in content:
        crc ^= byte << 16
        for _ in range(8):
            crc = crc << 1 ^ (0x1864CFB if crc & 0x800000 else 0)
    return crc & 0xFFFFFF
