"""PuTTY's private key files (PPK), versions 2 and 3, without a passphrase.

Source: PuTTY's manual, appendix C (PPK file format). The blobs are in the encoding of SSH (RFC 4251, 5).
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import textwrap
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from dumpscan.synth.objects.private_keys.members import rsa_members

if TYPE_CHECKING:
    from collections.abc import Callable

SshKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey
_COMMENT = b"imported-openssh-key"
_V2_MAC_KEY = hashlib.sha1(b"putty-private-key-file-mac-key").digest()  # noqa: S324 -- as the format wants it


def ppk(version: int) -> Callable[[SshKey], bytes]:
    """Return a function that writes a key as a PPK file of version 2 or 3."""
    key_of_mac, digest = (_V2_MAC_KEY, "sha1") if version == 2 else (b"", "sha256")  # noqa: PLR2004

    def write(key: SshKey) -> bytes:
        name, encoded, *_ = key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).split(b" ")
        public, private = base64.b64decode(encoded), _private(key)
        mac = hmac.digest(key_of_mac, b"".join(map(ssh_string, (name, b"none", _COMMENT, public, private))), digest)
        lines = (
            f"PuTTY-User-Key-File-{version}: {name.decode()}",
            "Encryption: none",
            f"Comment: {_COMMENT.decode()}",
            *_lines("Public", public),
            *_lines("Private", private),
            f"Private-MAC: {mac.hex()}",
        )
        return "".join(f"{line}\n" for line in lines).encode()

    return write


def _private(key: SshKey) -> bytes:
    match key:
        case rsa.RSAPrivateKey():
            members = rsa_members(key)
            return b"".join(ssh_mpint(members[name]) for name in ("d", "p", "q", "qi"))
        case ec.EllipticCurvePrivateKey():
            return ssh_mpint(key.private_numbers().private_value)
        case _:
            return ssh_string(key.private_bytes_raw())


def ssh_string(content: bytes) -> bytes:
    """Return a string in the encoding of SSH."""
    return len(content).to_bytes(4, "big") + content


def ssh_mpint(value: int) -> bytes:
    """Return a number in the encoding of SSH."""
    return ssh_string(value.to_bytes(value.bit_length() // 8 + 1, "big"))


def _lines(name: str, content: bytes) -> list[str]:
    lines = textwrap.wrap(base64.b64encode(content).decode(), 64)
    return [f"{name}-Lines: {len(lines)}", *lines]
