"""The TLS sessions in the streams of a capture: hellos, and the first encrypted records of both sides.

Source: RFC 8446, 4.1 and 5.1; RFC 5246, 6.2 and 7.1.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dumpscan.artifacts.tls.hello import extensions, server_name
from dumpscan.artifacts.tls.recorded.capture import Capture, Record, RecordedSession
from dumpscan.artifacts.tls.recorded.packets import read_streams
from dumpscan.artifacts.tls.recorded.streams import begins_tls
from dumpscan.artifacts.tls.sessions import VERSION_12, VERSION_13

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from dumpscan.artifacts.tls.recorded.streams import Stream

MAX_SESSIONS = 1 << 14
MAX_RECORDS = 24
"""Encrypted records that are kept of each direction: with a long chain of certificates, the handshake has ten."""
MAX_RECORD = (16 << 10) + 2048
_HEADER = 5
_HANDSHAKE = 22
_APPLICATION_DATA = 23
_CHANGE_CIPHER_SPEC = 20
_CLIENT_HELLO = 1
_SERVER_HELLO = 2
_CERTIFICATE = 11
_MESSAGE_HEAD = 4
_RANDOM = slice(6, 38)
_ID_LENGTH = 38
_LEAST_HELLO = 41
"""Bytes up to the suites, without the session id."""
_MAJOR_VERSION = b"\3"
_SUPPORTED_VERSIONS = 43
_PRE_SHARED_KEY = 41
_RETRY = bytes.fromhex("cf21ad74e59a6111be1d8c021e65b891c2a211167abb8c5e079e09e2c8a8339c")
"""The random of a HelloRetryRequest (RFC 8446, 4.1.3)."""


def read_capture(path: Path) -> Capture:
    """Read the TLS sessions of a capture.

    Args:
        path: A pcap or pcapng file.

    Raises:
        InputError: It cannot be read, or is something else.
        UsageError: dpkt is not installed.
    """
    streams = read_streams(path)
    sessions: list[RecordedSession] = []
    for one, other in streams.pairs:
        for client, server in ((one, other), (other, one)):
            session = _session(_tls_of(client), _tls_of(server))
            if session is not None and len(sessions) < MAX_SESSIONS:
                sessions.append(session)
    return Capture(tuple(sessions), streams.problems)


def _tls_of(stream: Stream) -> bytes:
    """Return what a stream has of TLS."""
    begin = begins_tls(stream.data)
    return b"" if begin is None else bytes(stream.data[begin:])


def _session(client: bytes, server: bytes) -> RecordedSession | None:
    """Return the session of two streams; None if they do not begin with hellos."""
    asked, sent = _split(client)
    answered, received = _split(server)
    hello, answer = _hello(asked, _CLIENT_HELLO), _hello(answered, _SERVER_HELLO)
    if hello is None or answer is None:
        return None
    id_length = answer[_ID_LENGTH]
    behind = _ID_LENGTH + 1 + id_length
    suite = int.from_bytes(answer[behind : behind + 2], "big")
    told = dict(extensions(answer[behind + 3 :]))
    is_13 = told.get(_SUPPORTED_VERSIONS) == b"\x03\x04"
    same_id = id_length > 0 and answer[_ID_LENGTH:behind] == hello[_ID_LENGTH : _ID_LENGTH + 1 + hello[_ID_LENGTH]]
    return RecordedSession(
        client_random=hello[_RANDOM],
        server_random=answer[_RANDOM],
        suite=suite,
        version=VERSION_13 if is_13 else VERSION_12,
        resumed=_PRE_SHARED_KEY in told if is_13 else same_id,
        client=sent,
        server=received,
        server_name=server_name(hello),
        certificate=first_certificate(answered),
    )


def first_certificate(messages: bytes, *, is_13: bool = False) -> bytes:
    """Return the first certificate among messages of a handshake, in DER; nothing if there is none.

    Args:
        messages: The messages, one behind the other.
        is_13: Whether they are of TLS 1.3, where a context comes first.
    """
    while len(messages) >= _MESSAGE_HEAD:
        size = _MESSAGE_HEAD + int.from_bytes(messages[1:_MESSAGE_HEAD], "big")
        message, messages = messages[:size], messages[size:]
        if message[0] == _CERTIFICATE and len(message) == size:
            listed = message[_MESSAGE_HEAD:]
            listed = listed[1 + listed[0] :] if is_13 and listed else listed
            length = int.from_bytes(listed[3:6], "big")  # behind that of all
            found = listed[6 : 6 + length]
            return found if len(found) == length else b""
    return b""


def _split(stream: bytes) -> tuple[bytes, tuple[Record, ...]]:
    """Return the plain messages of the handshake that a stream begins with, and its first encrypted records."""
    plain, encrypted, changed = b"", [], False
    for record in _records(stream):
        content = record.header[0]
        if content == _CHANGE_CIPHER_SPEC:
            changed = True
        elif content == _APPLICATION_DATA or (changed and content == _HANDSHAKE):
            encrypted.append(record)
        elif content == _HANDSHAKE:
            plain += record.body
        if len(encrypted) == MAX_RECORDS:
            break
    return plain, tuple(encrypted)


def _hello(messages: bytes, kind: int) -> bytes | None:
    """Return the last hello among the messages that a stream begins with: the first may be answered by a retry."""
    found = None
    while messages[:1] == bytes((kind,)):
        size = 4 + int.from_bytes(messages[1:4], "big")
        message, messages = messages[:size], messages[size:]
        if len(message) < size or size < _LEAST_HELLO or size < _LEAST_HELLO + message[_ID_LENGTH]:
            break
        if message[_RANDOM] != _RETRY:
            found = message
    return found


def _records(stream: bytes) -> Iterator[Record]:
    """Yield the whole records at the beginning of a stream."""
    at = 0
    while at + _HEADER <= len(stream):
        header = stream[at : at + _HEADER]
        size = int.from_bytes(header[3:], "big")
        body = stream[at + _HEADER : at + _HEADER + size]
        known = _CHANGE_CIPHER_SPEC <= header[0] <= _APPLICATION_DATA and header[1:2] == _MAJOR_VERSION
        if not known or size > MAX_RECORD or len(body) < size:
            return
        yield Record(header, body)
        at += _HEADER + size
