"""PEM text (RFC 7468)."""

from __future__ import annotations

import base64


def pem(label: str, content: bytes) -> bytes:
    """Return `content` as PEM text that ends with a newline, as tools write it."""
    body = base64.b64encode(content)
    lines = [body[at : at + 64] for at in range(0, len(body), 64)]
    return b"\n".join((b"-----BEGIN %s-----" % label.encode(), *lines, b"-----END %s-----\n" % label.encode()))


def pem_to_utf16(text: bytes) -> bytes:
    """Return PEM text as Windows programs hold it: in UTF-16LE, with carriage returns."""
    return text.decode("ascii").replace("\n", "\r\n").encode("utf-16-le")
