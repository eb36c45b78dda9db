"""Sessions of TLS 1.2: a master secret and two randoms from which keys follow that are in the same memory.

All three are needed to compute the keys, so a proof proves the randoms too. Where a library's layout gives the master
secret away (OpenSSL, GnuTLS, NSS, Java), it is tried with all pairs of randoms. Any 48 bytes with an edge are
tried with all pairs as long as they are few.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import chain
from typing import TYPE_CHECKING

import numpy as np

from dumpscan.artifacts.tls import windows
from dumpscan.artifacts.tls.derive import MASTER_SIZE, RANDOM_SIZE
from dumpscan.artifacts.tls.libraries import wolfssl
from dumpscan.artifacts.tls.libraries.openssl import connections
from dumpscan.artifacts.tls.libraries.wolfssl import arrays_of_12
from dumpscan.artifacts.tls.near import PAIR_SIZE, looks_random
from dumpscan.artifacts.tls.places import WORD, among
from dumpscan.artifacts.tls.prover import Master, Prover
from dumpscan.artifacts.tls.sessions import CLIENT_RANDOM, VERSION_12, Randoms, Secret, Session
from dumpscan.model.libraries.c_tls import (
    BORINGSSL_ID_LENGTH,
    BORINGSSL_MASTER,
    BORINGSSL_SESSION_SIZE,
    KEY_EXPANSION,
    MASTER_OFFSET,
    MBEDTLS_SUITE,
    RUNS_12,
    SCHANNEL_MAGIC,
    SCHANNEL_MAGIC_BEFORE,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from dumpscan.artifacts.tls.in_use.keys import KeysInUse
    from dumpscan.artifacts.tls.places import Addresses, Places
    from dumpscan.artifacts.tls.traffic import Effort

MAX_LIKELY = 20_000
MAX_TRIED = 4_000
"""Master secrets times pairs of randoms that are tried in one process: of those that a layout gives away, of others."""
MAX_BEHIND_RUN = 48
"""Bytes behind a run of a master secret and both randoms, within which it must end."""
MAX_EXPANSIONS = 1 << 10
"""Labels of key blocks that are read."""
MAX_EXPANDED = 40_000
MAX_EXPANDED_MACS = 10_000
"""Any windows times the randoms behind such labels that are tried in one process: without MAC keys, and with them."""
MAX_PAIRS = 1 << 12
"""Pairs of randoms that are remembered."""
MAX_MASTERS = 1 << 12
_BORINGSSL_LENGTHS = (BORINGSSL_MASTER, BORINGSSL_SESSION_SIZE - 1)
"""Where the length of the master secret is in its sessions: before it, or behind it."""
MAX_SUITE = 0xFFFF
"""The highest number of a cipher suite."""
BY_OBJECT = "the object with both randoms points to it; no key that follows from it is in use"


def sessions_12(places: Places, in_use: KeysInUse, effort: Effort) -> Iterator[Session]:
    """Find the sessions of TLS 1.2 in a process.

    Args:
        places: What was found there.
        in_use: Its traffic keys.
        effort: Is told what was not tried.
    """
    prover = Prover(in_use)
    told: set[tuple[bytes, bytes]] = set()
    placed: list[Session] = []
    proven = _proven(places, prover, effort, placed)
    for session in chain(proven, prover.without_schedule(), placed):
        randoms = session.randoms or Randoms(b"")
        key = (session.secrets[0].secret, randoms.client)
        if key not in told:
            told.add(key)
            yield session


def _proven(places: Places, prover: Prover, effort: Effort, placed: list[Session]) -> Iterator[Session]:
    """Yield sessions of which a key is in use; others that OpenSSL's objects tell are added to `placed`."""
    done: set[bytes] = set()
    every = (_in_arrays(places, prover), _in_runs(places, prover), _of_expansions(places, prover, effort))
    for session in chain(_connected(places, prover), *every):
        if session.randoms is not None and session.randoms.proven:
            done.add(session.secrets[0].secret)
            yield session
        else:
            placed.append(session)
    pairs = _pairs(places)
    if not pairs:
        return
    likely = {**_openssl(places), **_boringssl(places), **_schannel(places), **_by_length(places)}
    others = _with_edge(places) if places.aes_keys else {}  # without any, ChaCha20 alone is possible
    for masters, limit in ((likely, MAX_LIKELY if places.aes_keys else MAX_TRIED), (others, MAX_TRIED)):
        wanted = [master for secret, master in masters.items() if secret not in done]
        count = max(limit // len(pairs), 1)
        effort.untried += len(wanted[count:])
        for master in wanted[:count]:
            for found in prover.sessions(master, _in_order(pairs, master)):
                done.add(master.secret)
                yield found


def _connected(places: Places, prover: Prover) -> Iterator[Session]:
    """Find the sessions of OpenSSL whose connections point to them. The object gives the randoms; keys may prove them.

    There may be no keys of theirs: the connection was closed and the session kept, or its cipher is not known here.
    """
    for address, held in connections(places):
        data = places.memory.read(held + MASTER_OFFSET, MASTER_SIZE)
        pair = places.memory.read(address, PAIR_SIZE)
        if len(data) < MASTER_SIZE or len(pair) < PAIR_SIZE or not looks_random(data):
            continue
        master = Master(data, held + MASTER_OFFSET, "openssl", "ssl_session_st", sure=True)
        (randoms,) = _in_order([(address, pair)], master)
        proven = [*prover.sessions(master, [randoms])]
        secret = Secret(CLIENT_RANDOM, data, master.address, MASTER_SIZE, (BY_OBJECT,))
        placed = Session(VERSION_12, "", (secret,), replace(randoms, proven=False), master.library, master.structure)
        yield from proven or [placed]


def _in_order(pairs: list[tuple[int, bytes]], master: Master) -> list[Randoms]:
    """Return the randoms that may belong to a master secret, the nearest first; the server's is the first of a pair."""
    nearest = sorted(pairs, key=lambda place: abs(place[0] - master.address))
    return [
        Randoms(pair[RANDOM_SIZE:], pair[:RANDOM_SIZE], proven=True, address=address + RANDOM_SIZE)
        for address, pair in nearest
    ]


def _pairs(places: Places) -> list[tuple[int, bytes]]:
    """Return the pairs of randoms, each once."""
    addresses, rows = places.read(places.random_pairs()[:MAX_PAIRS], PAIR_SIZE)
    first: dict[bytes, int] = {}
    for address, row in zip(addresses.tolist(), rows, strict=True):
        first.setdefault(row.tobytes(), address)
    return [(address, pair) for pair, address in first.items()]


def _openssl(places: Places) -> dict[bytes, Master]:
    """Return the master secrets in OpenSSL's sessions."""
    found = places.of(windows.SESSION)[:MAX_MASTERS] + np.uint64(MASTER_OFFSET)
    return _masters(places, found, "openssl", "ssl_session_st", sure=True)


def _boringssl(places: Places) -> dict[bytes, Master]:
    """Return the master secrets in BoringSSL's sessions, which begin at any byte."""
    found = {}
    for address in places.of(windows.BORINGSSL_SESSION)[:MAX_MASTERS].tolist():
        data = places.memory.read(address, windows.BORINGSSL_SESSION.length)
        for at in range(windows.WORD):
            head = data[at : at + BORINGSSL_ID_LENGTH + 1]
            lengths = [head[place : place + 1] == bytes((MASTER_SIZE,)) for place in _BORINGSSL_LENGTHS]
            begin = BORINGSSL_MASTER + lengths[0]
            secret = head[begin : begin + MASTER_SIZE]
            if head[:2] == b"\3\3" and any(lengths) and looks_random(secret):
                place = address + at + begin
                found[secret] = Master(secret, place, "boringssl", "ssl_session_st", sure=True)
    return found


def _by_length(places: Places) -> dict[bytes, Master]:
    """Return windows with a length before them.

    It is their own in objects of NSS and arrays of Java. In mbedTLS it is that of a session id which lies between;
    where the server gave none, because it gave a ticket, the suite before it tells.
    """
    edges = places.of(windows.EDGE_48)
    fits = places.with_length(windows.EDGE_48)
    before = [places.word(edges - np.uint64(distance)) for distance in range(WORD, MBEDTLS_SUITE + 1, WORD)]
    *session_id, id_length, suite = before
    fits |= id_length == np.uint64(RANDOM_SIZE)
    fits |= ~np.any([*session_id, id_length], axis=0) & (suite > 0) & (suite <= np.uint64(MAX_SUITE))
    return _masters(places, edges[fits & (edges >= np.uint64(MBEDTLS_SUITE))][:MAX_MASTERS], sure=True)


def _schannel(places: Places) -> dict[bytes, Master]:
    """Return the master secrets in Schannel's objects, which are in lsass."""
    edges = places.of(windows.EDGE_48)
    edges = edges[edges >= np.uint64(SCHANNEL_MAGIC_BEFORE)]
    magic = places.word(edges - np.uint64(SCHANNEL_MAGIC_BEFORE)) & np.uint64(0xFFFFFFFF)
    found = edges[magic == np.uint64(int.from_bytes(SCHANNEL_MAGIC, "little"))]
    return _masters(places, found[:MAX_MASTERS], "schannel", "ssl5", sure=True)


def _with_edge(places: Places) -> dict[bytes, Master]:
    """Return all windows with an edge."""
    return _masters(places, places.of(windows.EDGE_48))


def _masters(
    places: Places,
    addresses: Addresses,
    library: str | None = None,
    structure: str | None = None,
    *,
    sure: bool = False,
) -> dict[bytes, Master]:
    held, rows = places.read(addresses, MASTER_SIZE)
    found: dict[bytes, Master] = {}
    for address, row in zip(held.tolist(), rows, strict=True):
        secret = row.tobytes()
        found.setdefault(secret, Master(secret, address, library, structure, sure))
    return found


def _in_runs(places: Places, prover: Prover) -> Iterator[Session]:
    """Find the runs of 112 bytes in which a master secret and both randoms lie."""
    every = {32: (windows.EDGE_32, windows.ALIGNED_32, windows.INNER_32)}
    every[48] = (windows.EDGE_48, windows.ALIGNED_48, windows.INNER_48)
    for (library, structure), (master_at, client_at, server_at) in RUNS_12.items():
        parts = sorted(((master_at, MASTER_SIZE), (client_at, RANDOM_SIZE), (server_at, RANDOM_SIZE)))
        starts = places.of(windows.EDGE_48 if master_at == 0 else windows.EDGE_32)
        for distance, size in parts[1:]:
            there = [among(starts + np.uint64(distance), places.of(each)) for each in every[size]]
            starts = starts[np.any(there, axis=0)]
        starts = starts[_run_ends(places, starts + np.uint64(MASTER_SIZE + PAIR_SIZE))]
        addresses, rows = places.read(starts[:MAX_MASTERS], MASTER_SIZE + PAIR_SIZE)
        for address, row in zip(addresses.tolist(), rows, strict=True):
            data = row.tobytes()
            secret = data[master_at:][:MASTER_SIZE]
            client, server = (data[at:][:RANDOM_SIZE] for at in (client_at, server_at))
            # rustls has no suites with MAC keys.
            master = Master(secret, address + master_at, library, structure, sure=library == "gnutls")
            yield from prover.sessions(master, [Randoms(client, server, proven=True)])


def _in_arrays(places: Places, prover: Prover) -> Iterator[Session]:
    """Find the sessions of wolfSSL, which has the secret and both randoms in one object."""
    for address, secret, randoms in arrays_of_12(places):
        yield from prover.sessions(Master(secret, address, wolfssl.LIBRARY, "Arrays", sure=True), [randoms])


def _run_ends(places: Places, addresses: Addresses) -> NDArray[np.bool_]:
    """Say whether random bytes end soon behind addresses: behind a session id, at the latest."""
    words = np.stack([places.word(addresses + np.uint64(at)) for at in range(0, MAX_BEHIND_RUN, WORD)], axis=-1)
    upper = words.view(np.uint16)[:, 1::2]
    return np.asarray(np.any((upper == 0) | (upper == np.iinfo(np.uint16).max), axis=1))


def _of_expansions(places: Places, prover: Prover, effort: Effort) -> Iterator[Session]:
    """Find master secrets of which both randoms are told by the label before them; the secrets lie anywhere."""
    addresses = places.of(windows.EXPANSION)[:MAX_EXPANSIONS].tolist()
    seeds = {places.memory.read(address, windows.EXPANSION.length)[len(KEY_EXPANSION) :] for address in addresses}
    wanted = {
        Randoms(seed[RANDOM_SIZE:], seed[:RANDOM_SIZE], proven=True)
        for seed in seeds
        if len(seed) == PAIR_SIZE and looks_random(seed[:RANDOM_SIZE]) and looks_random(seed[RANDOM_SIZE:])
    }
    if not wanted:
        return
    every = np.concatenate((places.of(windows.EDGE_48), places.of(windows.ALIGNED_48)))
    masters = _masters(places, every[: MAX_EXPANDED // len(wanted)])
    for sure, limit in ((False, MAX_EXPANDED), (True, MAX_EXPANDED_MACS)):
        count = limit // max(len(wanted), 1)
        effort.untried += max(len(every) - count, 0)
        for master in [*masters.values()][:count]:
            for found in prover.sessions(replace(master, sure=sure), [*wanted]):
                masters.pop(master.secret, None)
                if found.randoms is not None:
                    wanted.discard(found.randoms)
                yield found
