"""Proof of a secret by the records of a capture: what it decrypts says by its tag, or by its form, that it is the one.

Source: RFC 8446, 5.2 and 5.3; RFC 5246, 6.2.3; RFC 5288, 3; RFC 7905, 2.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CBC

from dumpscan.artifacts.tls.derive import CHACHA20, HASHES, SHA256, SUITES_13, key_block, traffic_iv, traffic_key
from dumpscan.artifacts.tls.sessions import VERSION_12, VERSION_13

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from dumpscan.artifacts.tls.derive import Suite
    from dumpscan.artifacts.tls.recorded.capture import Record, RecordedSession

PROOF = "it decrypts a record of the capture"
HANDSHAKE = 22
"""The type of records with messages of the handshake; in TLS 1.3, it is behind what is encrypted."""
_NONCE = 12
_EXPLICIT = 8
_TAG = 16
_BLOCK = 16
_FINISHED = b"\x14\0\0\x0c"
"""How the first encrypted message of each side begins in TLS 1.2: its type and its length."""
_MACS = (20, 32, 48)


class Sides(NamedTuple):
    """Which side's records something decrypts."""

    client: bool
    server: bool


def decrypts_13(secret: bytes, session: RecordedSession) -> Sides:
    """Say whose records follow from a traffic secret of TLS 1.3.

    The records of the handshake come first, and those of the application begin to count anew; so each is tried as the
    first.
    """
    suite = SUITES_13.get(session.suite)
    if session.version != VERSION_13 or suite is None or len(secret) != suite.hash.size:
        return Sides(client=False, server=False)
    cipher = _aead(suite, traffic_key(secret, suite))
    nonce = traffic_iv(secret, suite)

    def opens(records: Sequence[Record]) -> bool:
        return any(_opens(cipher, nonce, record.body, record.header) for record in records)

    return Sides(opens(session.client), opens(session.server))


def handshake_of_13(secret: bytes, session: RecordedSession) -> bytes:
    """Return the messages of the server's handshake in TLS 1.3, as far as they are recorded without a gap.

    Args:
        secret: The server's secret of the handshake.
        session: The session that it belongs to.
    """
    suite = SUITES_13.get(session.suite)
    messages = b""
    if suite is None:
        return messages
    cipher = _aead(suite, traffic_key(secret, suite))
    nonce = int.from_bytes(traffic_iv(secret, suite), "big")
    for number, record in enumerate(session.server):
        try:
            inner = cipher.decrypt((nonce ^ number).to_bytes(_NONCE, "big"), record.body, record.header).rstrip(b"\0")
        except (InvalidTag, ValueError):
            break
        if inner[-1:] == bytes((HANDSHAKE,)):
            messages += inner[:-1]
    return messages


def decrypts_12(master: bytes, session: RecordedSession) -> str | None:
    """Return the cipher of the client's first record that a master secret of TLS 1.2 decrypts; None if it does not."""
    if session.version != VERSION_12 or not (session.client or session.server):
        return None
    for hash_ in HASHES:
        block = key_block(master, session.client_random, session.server_random, hash_, 2 * (48 + 32 + 12))
        for number, records in enumerate((session.client, session.server)):
            for name in _ciphers_12(block, number, records[0]) if records else ():
                if hash_ is SHA256 or "ChaCha" not in name:
                    return f"{name} with {hash_.name.upper()}"
    return None


def _ciphers_12(block: bytes, side: int, record: Record) -> Iterator[str]:
    """Yield the ciphers with which the first record of a side opens."""
    for size in (16, 32):
        key, salt = block[side * size :][:size], block[2 * size + 4 * side :][:4]
        if len(record.body) > _EXPLICIT + _TAG:
            nonce = salt + record.body[:_EXPLICIT]
            if _opens(AESGCM(key), nonce, record.body[_EXPLICIT:], _associated(record, _EXPLICIT)):
                yield f"AES-{8 * size}-GCM"
        yield from _cbc(block, side, size, record)
    nonce = block[64 + 12 * side :][:12]
    if _opens(ChaCha20Poly1305(block[32 * side :][:32]), nonce, record.body, _associated(record, 0)):
        yield "ChaCha20-Poly1305"


def _cbc(block: bytes, side: int, size: int, record: Record) -> Iterator[str]:
    """Yield the cipher if the record is Finished, with padding, behind a block that begins the chain.

    The message authentication code is within what is encrypted, or behind it (RFC 7366).
    """
    for mac in _MACS:
        key = block[2 * mac + side * size :][:size]
        for behind in (0, mac):
            data = record.body[_BLOCK : len(record.body) - behind]
            if data and len(data) % _BLOCK == 0:
                plain = Cipher(AES(key), CBC(record.body[:_BLOCK])).decryptor().update(data)
                padding = plain[-1] + 1
                if plain.startswith(_FINISHED) and plain.endswith(bytes((padding - 1,)) * padding):
                    yield f"AES-{8 * size}-CBC"


def _associated(record: Record, explicit: int) -> bytes:
    """Return the additional data of TLS 1.2: the number of the record, which is 0, and its header without the rest."""
    size = len(record.body) - explicit - _TAG
    return bytes(8) + record.header[:3] + max(size, 0).to_bytes(2, "big")


def _aead(suite: Suite, key: bytes) -> AESGCM | ChaCha20Poly1305:
    return ChaCha20Poly1305(key) if suite is CHACHA20 else AESGCM(key)


def _opens(cipher: AESGCM | ChaCha20Poly1305, nonce: bytes, data: bytes, associated: bytes) -> bool:
    if len(data) < _TAG:
        return False
    try:
        cipher.decrypt(nonce, data, associated)
    except InvalidTag:
        return False
    return True
