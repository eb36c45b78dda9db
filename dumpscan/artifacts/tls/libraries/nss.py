"""Sessions of TLS 1.3 in NSS, which keeps every secret as an object of its token and refers to it by a number.

The value of such an object says its own address and length before itself. A connection, `sslSocket`, holds both
randoms, and behind them pointers to the keys' handles: the client's secret, then the server's, then the exporter's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from dumpscan.artifacts.tls import windows
from dumpscan.artifacts.tls.derive import HASHES, RANDOM_SIZE
from dumpscan.artifacts.tls.near import PAIR_SIZE
from dumpscan.artifacts.tls.sessions import (
    BY_ORDER,
    CLIENT_TRAFFIC,
    EXPORTER,
    SERVER_TRAFFIC,
    VERSION_13,
    Randoms,
    Secret,
    Session,
)
from dumpscan.model.libraries.c_tls import CKA_VALUE, NSS_HANDLE, NSS_KEY_HANDLE, NSS_SECRETS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from dumpscan.artifacts.tls.places import Addresses, Places
    from dumpscan.artifacts.tls.traffic import TrafficSecret

MAX_CONNECTIONS = 1 << 14
"""Pairs of randoms whose pointers are followed."""
_LABELS = (CLIENT_TRAFFIC, SERVER_TRAFFIC, EXPORTER)
_BY_HANDLE = "a connection points to it"


def nss_sessions(places: Places, found: Sequence[TrafficSecret]) -> Iterator[Session]:
    """Yield the sessions of NSS.

    Args:
        places: What was found in the process.
        found: Proven secrets, once for each place.
    """
    known = {each.secret: each for each in found}
    values = _values(places)
    at = {each.address: each for each in found}
    if not any(address in at for address in values.values()):
        return
    pairs = places.random_pairs()[:MAX_CONNECTIONS]
    handles = [_handles(places, pairs, distance) for distance in NSS_SECRETS]
    for number, start in enumerate(pairs.tolist()):
        owned = [values.get(int(column[number])) for column in handles]
        proven = next((at[address] for address in owned[:2] if address is not None and address in at), None)
        if proven is None:
            continue
        size = len(proven.secret)
        secrets = []
        for label, address in zip(_LABELS, owned, strict=True):
            data = b"" if address is None else places.memory.read(address, size)
            if address is not None and len(data) == size:
                proof = (known[data].proof, _BY_HANDLE) if data in known else (_BY_HANDLE, BY_ORDER)
                secrets.append(Secret(label, data, address, size, proof))
        pair = places.memory.read(start, PAIR_SIZE)
        randoms = Randoms(pair[RANDOM_SIZE:], pair[:RANDOM_SIZE])
        yield Session(VERSION_13, proven.suite.name, tuple(secrets), randoms, "nss", "sslSocket")


def _values(places: Places) -> dict[int, int]:
    """Return the addresses of values of the token's objects, by the objects' handles."""
    found: dict[int, int] = {}
    for signature, hash_ in zip((windows.EDGE_32, windows.EDGE_48), HASHES, strict=True):
        addresses = places.of(signature)
        addresses = addresses[addresses > np.uint64(-NSS_HANDLE)]
        kind, own, length, handle = (
            places.word(addresses - np.uint64(distance)) for distance in (24, 16, 8, -NSS_HANDLE)
        )
        fits = (kind == np.uint64(CKA_VALUE)) & (own == addresses) & (length == np.uint64(hash_.size)) & (handle > 0)
        found.update(zip(handle[fits].tolist(), addresses[fits].tolist(), strict=True))
    return found


def _handles(places: Places, pairs: Addresses, distance: int) -> Addresses:
    """Follow the pointer at a distance from each client random; 0 where there is none."""
    keys = places.word(pairs + np.uint64(RANDOM_SIZE + distance))
    return places.word(keys + np.uint64(NSS_KEY_HANDLE)) * (keys > 0)
