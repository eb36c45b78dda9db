"""Connections of OpenSSL: which session belongs to which randoms, and who is at the other end.

`ssl_st` holds the name of the server, and points to `ssl_session_st`, which points to the certificate of the other
side. That is not kept as it was received: its signed part is, and its signature; the object also has the SHA-1 of the
whole, which proves what is put together of them.
"""

from __future__ import annotations

from hashlib import sha1
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np

from dumpscan.artifacts import der
from dumpscan.artifacts.decoded import RefusedError
from dumpscan.artifacts.tls import windows
from dumpscan.artifacts.tls.derive import MASTER_SIZE, RANDOM_SIZE
from dumpscan.artifacts.tls.hello import MAX_HOST_NAME, host_name
from dumpscan.artifacts.tls.places import among
from dumpscan.artifacts.tls.sessions import VERSION_12, Peer
from dumpscan.model.c_big_numbers import MAX_POINTER
from dumpscan.model.libraries.c_tls import (
    MASTER_OFFSET,
    MAX_SESSION_VERSION,
    OPENSSL_HOST_NAMES,
    OPENSSL_PEER,
    OPENSSL_SESSION,
    V_ASN1_BIT_STRING,
    V_ASN1_INTEGER,
    VERSION_OF_13,
    X509_SIZE,
    c_tls,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dumpscan.artifacts.tls.places import Places
    from dumpscan.artifacts.tls.sessions import Session
    from dumpscan.memory.space import Memory

LIBRARY = "openssl"
MAX_CONNECTIONS = 1 << 13
"""Pairs of randoms behind which a pointer to a session is looked for."""
MAX_CERTIFICATE = 32 << 10
"""Bytes of the signed part, and of the signature, of the largest certificate that is put together."""
MAX_HASHED = 2
"""What may be certificates of one session, and is put together to be hashed."""
_POINTER = 8
_BIT_STRING = 0x03
_VERSION_TAG = 0xA0


def connections(places: Places) -> Iterator[tuple[int, int]]:
    """Find the connections of TLS 1.2: the `ssl_st` with two randoms that point to a session of this version.

    Args:
        places: What was found in the process.

    Yields:
        Where the server's random lies, which the client's follows, and where the session lies.
    """
    sessions = places.of(windows.SESSION)
    is_12 = places.word(sessions) & np.uint64(0xFFFFFFFF) == np.uint64(MAX_SESSION_VERSION)
    sessions = sessions[is_12]
    pairs = places.random_pairs()[:MAX_CONNECTIONS]
    first, past = OPENSSL_SESSION
    begin = pairs + np.uint64(RANDOM_SIZE + first + _POINTER - 1) & ~np.uint64(_POINTER - 1)
    for at in range(0, past - first, _POINTER) if len(sessions) else ():
        pointers = places.word(begin + np.uint64(at))
        found = among(pointers, sessions)
        yield from zip(pairs[found].tolist(), pointers[found].tolist(), strict=True)
        pairs, begin = pairs[~found], begin[~found]  # each has one session


def openssl_peer(memory: Memory, session: Session) -> Peer:
    """Return who is at the other end of a session, as far as OpenSSL's objects say it.

    Args:
        memory: The memory of the process.
        session: One of OpenSSL.
    """
    master = session.secrets[0] if session.version == VERSION_12 else None
    random = session.randoms.address if session.randoms is not None else None
    found = _session_of(memory, random, master.secret if master is not None else b"") if random is not None else None
    if found is not None:
        place, held = found
        return Peer(_host_name(memory, place), next(_certificates(memory, held), b""))
    if master is not None:  # OpenSSL 1.1.1 has the randoms in another object
        return Peer(certificate=next(_certificates(memory, master.address - MASTER_OFFSET), b""))
    return Peer()


def _session_of(memory: Memory, random: int, master: bytes) -> tuple[int, int] | None:
    """Find the pointer `session` behind a client's random in `ssl_st`.

    Args:
        memory: The memory of the process.
        random: Where the random lies.
        master: The master secret that the session must have, of which there may be copies; empty in TLS 1.3.

    Returns:
        Where it lies, and what it points to; None if it was not found.
    """
    first, past = OPENSSL_SESSION
    begin = random + first
    begin += -begin % _POINTER
    for address, pointer in _pointers(memory, begin, random + past - begin):
        head = memory.read(pointer, MASTER_OFFSET + MASTER_SIZE)
        same = head[MASTER_OFFSET:] == master if master else int.from_bytes(head[:4], "little") == VERSION_OF_13
        if same:
            return address, pointer
    return None


def _pointers(memory: Memory, begin: int, size: int) -> Iterator[tuple[int, int]]:
    """Yield what may be pointers, with where they lie."""
    data = memory.read(begin, size)
    for at in range(0, len(data) - _POINTER + 1, _POINTER):
        pointer = int.from_bytes(data[at : at + _POINTER], "little")
        if 0 < pointer < MAX_POINTER and pointer % _POINTER == 0:
            yield begin + at, pointer


def _host_name(memory: Memory, place: int) -> str | None:
    """Return the name of the server, given where `session` lies."""
    for distance in OPENSSL_HOST_NAMES:
        pointer = int.from_bytes(memory.read(place + distance, _POINTER), "little")
        text, end, _ = memory.read(pointer, MAX_HOST_NAME + 1).partition(b"\0") if pointer < MAX_POINTER else (b"",) * 3
        name = host_name(text) if end else None
        if name is not None:
            return name
    return None


def _certificates(memory: Memory, session: int) -> Iterator[bytes]:
    """Yield the certificates that a session points to."""
    first, past = OPENSSL_PEER
    objects = (memory.read(pointer, X509_SIZE) for _, pointer in _pointers(memory, session + first, past - first))
    made = ((data, _put_together(memory, data)) for data in objects if len(data) == X509_SIZE)
    for data, certificate in islice((each for each in made if each[1]), MAX_HASHED):
        if sha1(certificate, usedforsecurity=False).digest() in data:
            yield certificate


def _put_together(memory: Memory, data: bytes) -> bytes:
    """Put a certificate together of its parts; nothing if `data` is no `x509_st`."""
    held = c_tls.x509_st(data)
    if (held.serial_number_type, held.signature_type) != (V_ASN1_INTEGER, V_ASN1_BIT_STRING):
        return b""
    if not (0 < held.signed_length <= MAX_CERTIFICATE and 0 < held.signature_length <= MAX_CERTIFICATE):
        return b""
    signed = memory.read(int(held.signed_data), int(held.signed_length))
    signature = memory.read(int(held.signature_data), int(held.signature_length))
    try:
        parts = der.members(signed)
    except RefusedError:
        return b""
    version = bool(parts) and parts[0].tag == _VERSION_TAG
    algorithm = b"".join(part.encoded for part in parts[1 + version : 2 + version])  # behind the serial number
    return der.encode(der.SEQUENCE, signed, algorithm, der.encode(_BIT_STRING, b"\0", signature))
