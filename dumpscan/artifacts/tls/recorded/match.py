"""Which secrets of a process are those of a capture's sessions: those that decrypt its records."""

from __future__ import annotations

from dataclasses import replace
from itertools import chain, islice
from typing import TYPE_CHECKING

from dumpscan.artifacts.tls import windows
from dumpscan.artifacts.tls.derive import MASTER_SIZE, SUITES_13
from dumpscan.artifacts.tls.recorded.proof import PROOF, decrypts_12, decrypts_13, handshake_of_13
from dumpscan.artifacts.tls.recorded.records import first_certificate
from dumpscan.artifacts.tls.sessions import (
    BY_ORDER,
    CLIENT_HANDSHAKE,
    CLIENT_RANDOM,
    CLIENT_TRAFFIC,
    OTHER_SIDE,
    SERVER_HANDSHAKE,
    SERVER_TRAFFIC,
    UNKNOWN_SIDE,
    VERSION_12,
    VERSION_13,
    Peer,
    Randoms,
    Secret,
    Session,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from dumpscan.artifacts.tls.places import Places
    from dumpscan.artifacts.tls.recorded.capture import Capture, RecordedSession
    from dumpscan.artifacts.tls.recorded.proof import Sides
    from dumpscan.artifacts.tls.traffic import Effort

MAX_TRIED = 40_000
"""Secrets and windows that are tried with sessions of a capture, in one process: some seconds."""
_CLIENTS = frozenset((CLIENT_TRAFFIC, CLIENT_HANDSHAKE))


class Recorded:
    """The sessions of a capture, and which of them have secrets in the dump.

    Args:
        capture: The capture.

    Attributes:
        missing: The sessions of which nothing has been found yet.
    """

    def __init__(self, capture: Capture) -> None:
        self.missing: list[RecordedSession] = list(capture.sessions)
        self._count = len(capture.sessions)

    @property
    def left_out(self) -> tuple[str, ...]:
        """What was not found, a sentence each."""
        if not self.missing:
            return ()
        resumed = f", of which {count} resumed another" if (count := sum(each.resumed for each in self.missing)) else ""
        return (f"no secret of {len(self.missing)} of the capture's {self._count} TLS sessions was found{resumed}",)

    def proven(self, places: Places, sessions: Sequence[Session], effort: Effort) -> Iterator[Session]:
        """Yield the sessions in a process that the capture has, with what its records prove of them.

        Args:
            places: What was found in the process.
            sessions: The sessions that were found there without the capture.
            effort: Is told what was not tried.
        """
        for recorded in self.missing[:]:
            found = _among(recorded, sessions) or _in_windows(recorded, places, effort)
            if found is not None:
                self.missing.remove(recorded)
                yield replace(found, peer=_peer(recorded, found).or_else(found.peer), resumed=recorded.resumed)


def _peer(recorded: RecordedSession, session: Session) -> Peer:
    """Return who the server is: by the hello and the certificate, which is encrypted in TLS 1.3."""
    certificate = recorded.certificate
    for secret in session.secrets:
        if secret.label == SERVER_HANDSHAKE and not certificate:
            certificate = first_certificate(handshake_of_13(secret.secret, recorded), is_13=True)
    return Peer(recorded.server_name, certificate)


def _among(recorded: RecordedSession, sessions: Sequence[Session]) -> Session | None:
    """Find a session among those that were found, the one with the same random first."""
    own = recorded.client_random
    same = [each for each in sessions if each.randoms is not None and each.randoms.client == own]
    if recorded.version == VERSION_12:
        return _of_12(recorded, same[0]) if same else _resumed_12(recorded, sessions)
    others = (each for each in sessions if each not in same)
    tried = (each for each in chain(same, others) if each.version == VERSION_13)
    return next((found for each in islice(tried, MAX_TRIED) if (found := _of_13(recorded, each))), None)


def _of_12(recorded: RecordedSession, session: Session) -> Session:
    secret = session.secrets[0]
    if decrypts_12(secret.secret, recorded) is None:  # it is proven by its keys: the capture may begin too late
        return session
    return replace(session, secrets=(replace(secret, proof=(*secret.proof, PROOF)),))


def _resumed_12(recorded: RecordedSession, sessions: Sequence[Session]) -> Session | None:
    """Find the session of TLS 1.2 whose master secret a recorded one has too, with randoms of its own."""
    if not recorded.resumed:
        return None
    randoms = Randoms(recorded.client_random, recorded.server_random, proven=True)
    for session in islice((each for each in sessions if each.version == VERSION_12), MAX_TRIED):
        cipher = decrypts_12(session.secrets[0].secret, recorded)
        if cipher is not None:
            secret = replace(session.secrets[0], proof=(PROOF,))
            return replace(session, suite=cipher, secrets=(secret,), randoms=randoms, peer=Peer())
    return None


def _of_13(recorded: RecordedSession, session: Session) -> Session | None:
    """Return a session with the labels, randoms and proofs that records give it; None if no secret of it opens any."""
    sides = {secret.secret: decrypts_13(secret.secret, recorded) for secret in session.secrets}
    if not any(chain.from_iterable(sides.values())):
        return None
    turned = any(_contradicts(secret.label, sides[secret.secret]) for secret in session.secrets)
    secrets = tuple(_labelled(secret, sides[secret.secret], turned=turned) for secret in session.secrets)
    randoms = Randoms(recorded.client_random, recorded.server_random, proven=True)
    return replace(session, secrets=secrets, randoms=randoms)


def _contradicts(label: str, sides: Sides) -> bool:
    """Say whether a secret opens the records of the other side than its label says."""
    return label in OTHER_SIDE and any(sides) and sides.client != (label in _CLIENTS)


def _labelled(secret: Secret, sides: Sides, *, turned: bool) -> Secret:
    label = secret.label
    if label == UNKNOWN_SIDE and any(sides):
        label = CLIENT_TRAFFIC if sides.client else SERVER_TRAFFIC
    elif turned:
        label = OTHER_SIDE.get(label, label)
    if not any(sides):
        return replace(secret, label=label)
    proof = tuple(each for each in secret.proof if each != BY_ORDER)
    return replace(secret, label=label, proof=(*proof, PROOF))


def _in_windows(recorded: RecordedSession, places: Places, effort: Effort) -> Session | None:
    """Try the windows with an edge: their keys need not be in memory."""
    is_12 = recorded.version == VERSION_12
    suite = SUITES_13.get(recorded.suite)
    size = MASTER_SIZE if is_12 or suite is None else suite.hash.size
    signature = windows.EDGE_48 if size == MASTER_SIZE else windows.EDGE_32
    every = places.of(signature)
    count = min(len(every), max(MAX_TRIED - effort.recorded, 0))
    effort.recorded += count
    effort.untried += len(every) - count
    held, rows = places.read(every[:count], size)
    candidates = zip(held.tolist(), (row.tobytes() for row in rows), strict=True)
    randoms = Randoms(recorded.client_random, recorded.server_random, proven=True)
    if is_12:
        for address, data in candidates:
            cipher = decrypts_12(data, recorded)
            if cipher is not None:
                return Session(VERSION_12, cipher, (Secret(CLIENT_RANDOM, data, address, size, (PROOF,)),), randoms)
        return None
    secrets = tuple(_opening(recorded, candidates))
    return Session(VERSION_13, suite.name, secrets, randoms) if suite is not None and secrets else None


def _opening(recorded: RecordedSession, candidates: Iterable[tuple[int, bytes]]) -> Iterator[Secret]:
    """Yield the secrets that open records."""
    for address, data in candidates:
        sides = decrypts_13(data, recorded)
        if any(sides):
            label = CLIENT_TRAFFIC if sides.client else SERVER_TRAFFIC
            yield Secret(label, data, address, len(data), (PROOF,))
