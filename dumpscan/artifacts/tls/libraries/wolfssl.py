"""Sessions of wolfSSL, where it keeps what it calls `Arrays` behind the handshake: both randoms, and the master secret.

`WOLFSSL` holds the traffic secrets of TLS 1.3, the client's first whichever side it is, behind a pointer to them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dumpscan.artifacts.tls import windows
from dumpscan.artifacts.tls.derive import MASTER_SIZE, RANDOM_SIZE
from dumpscan.artifacts.tls.near import PAIR_SIZE, looks_random
from dumpscan.artifacts.tls.sessions import (
    BY_ORDER,
    CLIENT_TRAFFIC,
    SERVER_TRAFFIC,
    VERSION_13,
    Randoms,
    Secret,
    Session,
)
from dumpscan.model.c_big_numbers import MAX_POINTER
from dumpscan.model.libraries.c_tls import (
    WOLFSSL_ARRAYS,
    WOLFSSL_MASTER,
    WOLFSSL_RANDOM,
    WOLFSSL_STEP,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from dumpscan.artifacts.tls.places import Places
    from dumpscan.artifacts.tls.traffic import TrafficSecret
    from dumpscan.memory.space import Memory

LIBRARY = "wolfssl"
MAX_ARRAYS = 1 << 12
"""Objects that are tried."""
_POINTER = 8


def wolfssl_sessions(places: Places, found: Sequence[TrafficSecret]) -> Iterator[Session]:
    """Yield the sessions of TLS 1.3 in wolfSSL.

    Args:
        places: What was found in the process.
        found: Proven secrets, once for each place.
    """
    known = {each.address: each for each in found}
    for client in found:
        server = known.get(client.address + WOLFSSL_STEP)
        randoms = _randoms(places.memory, client.address) if server is not None else None
        if server is not None and randoms is not None:
            secrets = tuple(
                Secret(label, each.secret, each.address, len(each.secret), (each.proof, BY_ORDER))
                for label, each in ((CLIENT_TRAFFIC, client), (SERVER_TRAFFIC, server))
            )
            yield Session(VERSION_13, client.suite.name, secrets, randoms, LIBRARY, "WOLFSSL")


def _randoms(memory: Memory, address: int) -> Randoms | None:
    """Return the randoms in the object to which a pointer before the client's secret points."""
    pointer = int.from_bytes(memory.read(max(address + WOLFSSL_ARRAYS, 0), _POINTER), "little")
    pair = memory.read(pointer + WOLFSSL_RANDOM, PAIR_SIZE) if 0 < pointer < MAX_POINTER else b""
    client, server = pair[:RANDOM_SIZE], pair[RANDOM_SIZE:]
    if len(pair) < PAIR_SIZE or not (looks_random(client) and looks_random(server)):
        return None
    return Randoms(client, server)


def arrays_of_12(places: Places) -> Iterator[tuple[int, bytes, Randoms]]:
    """Yield what may be a master secret of TLS 1.2 in `Arrays`, with its place and with the randoms beside it."""
    for announced in places.of(windows.WOLFSSL)[:MAX_ARRAYS].tolist():
        address = announced + windows.WOLFSSL_LEAD
        master = places.memory.read(address + WOLFSSL_MASTER, MASTER_SIZE)
        pair = places.memory.read(address, PAIR_SIZE)
        client, server = pair[:RANDOM_SIZE], pair[RANDOM_SIZE:]
        if len(master) == MASTER_SIZE and looks_random(master) and looks_random(client) and looks_random(server):
            yield address + WOLFSSL_MASTER, master, Randoms(client, server, proven=True)
