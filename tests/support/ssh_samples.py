"""Keys as OpenSSH serializes them."""

from __future__ import annotations

import base64

from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from support.artifact_samples import all_keys


def private_section(name: str) -> bytes:
    """Return what OpenSSH's format holds of a key, without check numbers, comment and padding."""
    text: bytes = all_keys()[name].private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())
    blob = base64.b64decode(b"".join(text.splitlines()[1:-1]))
    public = blob.index(b"\0\0\0\x01") + 4
    private = public + 4 + int.from_bytes(blob[public : public + 4], "big") + 4
    section = blob[private + 8 :]
    while section[-1:] != b"\0":
        section = section[:-1]
    return section[:-4]
