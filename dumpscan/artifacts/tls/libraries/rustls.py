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
from dumpscan.artifacts.tls.sessions import CLIENT_HANDSHAKE, SERVER_HANDSHAKE, Randoms, Secret
from dumpscan.model.libraries.c_tls import RUSTLS_RANDOM, RUSTLS_STEP

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from dumpscan.artifacts.tls.places import Places
    from dumpscan.artifacts.tls.sessions import Session

LIBRARY = "rustls"
MAX_HANDSHAKES = 1 << 10
"""Places of handshakes that are read."""
ONLY_ONE = "it is of the only handshake that is left in memory; nothing checks that it is this session's"
_LENGTH = 8


def with_randoms(places: Places, sessions: Iterable[Session]) -> Iterator[Session]:
    """Yield sessions; if one alone of rustls has no randoms, it gets those of the handshake that is left.

    Args:
        places: What was found in the process.
        sessions: Sessions of TLS 1.3.
    """
    every = list(sessions)
    without = [session for session in every if session.library == LIBRARY and session.randoms is None]
    used = {session.randoms.client for session in every if session.randoms is not None}
    for session in every:
        found = _handshakes(places, len(session.secrets[0].secret), used) if without == [session] else {}
        if len(found) == 1:
            ((randoms, secrets),) = found.items()
            yield replace(session, randoms=randoms, secrets=(*secrets, *session.secrets))
        else:
            yield session


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
        pair = places.memory.read(address + RUSTLS_RANDOM, PAIR_SIZE)
        client, server = pair[:RANDOM_SIZE], pair[RANDOM_SIZE:]
        if len(pair) == PAIR_SIZE and client not in used and looks_random(client) and looks_random(server):
            first, second = (
                Secret(label, places.memory.read(address + at, size), address + at, size, (ONLY_ONE,))
                for label, at in ((CLIENT_HANDSHAKE, 0), (SERVER_HANDSHAKE, RUSTLS_STEP))
            )
            found.setdefault(Randoms(client, server), (first, second))
    return found
