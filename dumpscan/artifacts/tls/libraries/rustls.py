"""Handshakes of rustls that are over: their secrets and both randoms, which are often left in memory that was freed.

They lie anywhere, since nothing points to them any more. Where one handshake is left and one session has no randoms,
they belong together; nothing checks that.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from dumpscan.artifacts.tls import windows
from dumpscan.artifacts.tls.derive import RANDOM_SIZE
from dumpscan.artifacts.tls.near import PAIR_SIZE, looks_random
from dumpscan.artifacts.tls.sessions import CLIENT_HANDSHAKE, CLIENT_TRAFFIC, SERVER_HANDSHAKE, Randoms, Secret
from dumpscan.model.libraries.c_tls import RUSTLS_LEFT, RUSTLS_RANDOM, RUSTLS_STEP

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from dumpscan.artifacts.tls.places import Places
    from dumpscan.artifacts.tls.sessions import Session
    from dumpscan.artifacts.tls.traffic import TrafficSecret

LIBRARY = "rustls"
MAX_HANDSHAKES = 1 << 10
"""Places of handshakes that are read."""
ONLY_ONE = "it is of the only handshake that is left in memory; nothing checks that it is this session's"
BEFORE_COPY = "it is before a copy of the client's secret, where rustls has those of its handshake"
_LENGTH = 8


def with_randoms(places: Places, found: Sequence[TrafficSecret], sessions: Iterable[Session]) -> Iterator[Session]:
    """Yield sessions; those of rustls without randoms get the handshake before a copy of their client's secret.

    If one alone is still without, it gets the only handshake that is left.

    Args:
        places: What was found in the process.
        found: Proven secrets, once for each place.
        sessions: Sessions of TLS 1.3.
    """
    copies: dict[bytes, list[int]] = {}
    for each in found:
        copies.setdefault(each.secret, []).append(each.address)
    every = [_with_handshake_before(places, session, copies) if _lacks(session) else session for session in sessions]
    without = [session for session in every if _lacks(session)]
    used = {session.randoms.client for session in every if session.randoms is not None}
    for session in every:
        left = _handshakes(places, len(session.secrets[0].secret), used) if without == [session] else {}
        if len(left) == 1:
            ((randoms, secrets),) = left.items()
            yield replace(session, randoms=randoms, secrets=(*secrets, *session.secrets))
        else:
            yield session


def _lacks(session: Session) -> bool:
    return session.library == LIBRARY and session.randoms is None


def _with_handshake_before(places: Places, session: Session, copies: Mapping[bytes, Sequence[int]]) -> Session:
    """Return a session with the handshake that a copy of its client's secret was left behind of."""
    secret = next((each.secret for each in session.secrets if each.label == CLIENT_TRAFFIC), b"")
    for address in copies.get(secret, ()):
        found = _handshake_at(places, address - RUSTLS_LEFT, len(secret), BEFORE_COPY)
        if found is not None:
            return replace(session, randoms=found[0], secrets=(*found[1], *session.secrets))
    return session


def _handshake_at(places: Places, address: int, size: int, proof: str) -> tuple[Randoms, tuple[Secret, Secret]] | None:
    """Return the randoms and secrets of a handshake at an address; None if there are none."""
    whole = RUSTLS_RANDOM + PAIR_SIZE
    data = places.memory.read(address, whole) if address >= 0 else b""
    lengths = {data[at - _LENGTH : at] for at in (RUSTLS_STEP, RUSTLS_RANDOM)}
    secrets = [data[at : at + size] for at in (0, RUSTLS_STEP)]
    client, server = (data[at : at + RANDOM_SIZE] for at in (RUSTLS_RANDOM, RUSTLS_RANDOM + RANDOM_SIZE))
    if len(data) < whole or lengths != {size.to_bytes(_LENGTH, "little")}:
        return None
    if not all(map(looks_random, (client, server, *secrets))):
        return None
    first, second = (
        Secret(label, secret, address + at, size, (proof,))
        for label, at, secret in zip((CLIENT_HANDSHAKE, SERVER_HANDSHAKE), (0, RUSTLS_STEP), secrets, strict=True)
    )
    return Randoms(client, server), (first, second)


def _handshakes(places: Places, size: int, used: set[bytes]) -> dict[Randoms, tuple[Secret, Secret]]:
    """Return the secrets of handshakes that are left, by their randoms.

    Args:
        places: What was found in the process.
        size: Bytes of the secrets.
        used: Randoms of clients whose sessions are known.
    """
    clients = places.of(windows.EDGE_32 if size == windows.EDGE_32.length else windows.EDGE_48)
    for number in (1, 2):
        length = clients + np.uint64(number * RUSTLS_STEP - _LENGTH)
        clients = clients[places.word(length) == np.uint64(size)]
    found: dict[Randoms, tuple[Secret, Secret]] = {}
    for address in clients[:MAX_HANDSHAKES].tolist():
        handshake = _handshake_at(places, address, size, ONLY_ONE)
        if handshake is not None and handshake[0].client not in used:
            found.setdefault(*handshake)
    return found
