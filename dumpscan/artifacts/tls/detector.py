"""The detector of TLS secrets: everything that `windows` found in one process, put together to proven sessions."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from hashlib import sha256
from typing import TYPE_CHECKING

from dumpscan.artifacts.decoded import Decoded, RefusedError
from dumpscan.artifacts.tls.hello import Hellos
from dumpscan.artifacts.tls.in_use.keys import KeysInUse
from dumpscan.artifacts.tls.libraries.openssl import LIBRARY, openssl_peer
from dumpscan.artifacts.tls.places import Places
from dumpscan.artifacts.tls.recorded.match import Recorded
from dumpscan.artifacts.tls.session12 import sessions_12
from dumpscan.artifacts.tls.session13 import sessions_13
from dumpscan.artifacts.tls.sessions import Peer
from dumpscan.artifacts.tls.traffic import MAX_DERIVED, Effort, traffic_secrets
from dumpscan.artifacts.tls.windows import TlsSearcher
from dumpscan.artifacts.x509.certificate import parse
from dumpscan.findings import Certificate, KeyObject, TlsSecret

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dumpscan.artifacts.detector import GroupDetector
    from dumpscan.artifacts.tls.recorded.capture import Capture
    from dumpscan.artifacts.tls.sessions import Secret, Session
    from dumpscan.memory.regions import ReadWords
    from dumpscan.memory.space import Memory
    from dumpscan.scan.searcher import Matches

ENCODING = "tls-secret"
SOURCE_ENCODING = "tls-secret-source"
"""Of bytes that are not the secret itself, but what it follows from: a master secret of TLS 1.3, say."""
MAX_DERIVED_IN_ALL = 4 * MAX_DERIVED
"""Keys derived in all processes of an image of physical memory."""
MAX_SECRETS = 1 << 12
"""Places of traffic secrets in one process that are put together."""
_LABEL = b"dumpscan tls secret\0"


class TlsDetector:
    """Finds the secrets of TLS sessions in one process after another.

    Args:
        capture: What was recorded of the sessions that are wanted; None if all are.

    Attributes:
        searcher: Finds where they may lie.
        recorded: The sessions of the capture; None without one.
        left: Keys that may still be derived, in all processes of the dump.
        untried: Places that were left out so far.
    """

    def __init__(self, capture: Capture | None = None) -> None:
        self.searcher = TlsSearcher()
        self.recorded = Recorded(capture) if capture is not None else None
        self.left = MAX_DERIVED_IN_ALL
        self.untried = 0

    @property
    def detectors(self) -> tuple[GroupDetector, ...]:
        """The searcher with the decoder, as `registry` lists them."""
        return ((self.searcher, self.decode),)

    @property
    def left_out(self) -> tuple[str, ...]:
        """What was not tried, a sentence each."""
        missing = self.recorded.left_out if self.recorded is not None else ()
        untried = self.untried + self.searcher.untried
        if not untried:
            return missing
        return (
            *missing,
            f"{untried:,} places that look random, those that promise least, were not tried as TLS secrets",
        )

    def decode(self, memory: Memory, words: ReadWords, matches: Matches) -> Iterator[Decoded]:
        """Decode the secrets in one process (see `dumpscan.artifacts.detector.GroupDecoder`)."""
        places = Places(memory, words, matches)
        in_use = KeysInUse(places)
        effort = Effort(min(MAX_DERIVED, self.left))
        found = []
        for each in traffic_secrets(places, in_use, effort):
            found.append(each)
            if len(found) == MAX_SECRETS:
                break
        copies: dict[bytes, list[int]] = {}
        for each in found:
            copies.setdefault(each.secret, []).append(each.address)
        hellos = Hellos(places)
        sessions = [*sessions_13(places, found, hellos), *sessions_12(places, in_use, effort)]
        sessions = [replace(each, peer=_peer(memory, each, hellos)) for each in sessions]
        if self.recorded is not None:
            sessions = list(self.recorded.proven(places, sessions, effort))
        for session in sessions:
            for secret in session.secrets:
                yield from _decoded(memory, session, secret, copies.pop(secret.secret, []))
        self.left -= effort.tried
        self.untried += effort.untried


def _peer(memory: Memory, session: Session, hellos: Hellos) -> Peer:
    """Return who is at the other end: by the ClientHello with the session's random, and by the library's objects."""
    asked = hellos.names.get(session.randoms.client) if session.randoms is not None else None
    held = openssl_peer(memory, session) if session.library == LIBRARY else Peer()
    return Peer(asked).or_else(held)


@lru_cache(maxsize=64)
def _certificate(data: bytes) -> Certificate | None:
    """Read a peer's certificate, which many sessions may have; None if it is not known, or makes no sense."""
    try:
        found = parse(data).finding if data else None
    except RefusedError:
        return None
    return found if isinstance(found, Certificate) else None


def _decoded(memory: Memory, session: Session, secret: Secret, copies: list[int]) -> Iterator[Decoded]:
    """Yield a secret once for each of its places."""
    held = None
    if session.library is not None:
        held = KeyObject(library=session.library, structure=session.structure, has_private=True)
    places = {secret.address: (SOURCE_ENCODING if secret.derived else ENCODING, secret.length, held)}
    for address in copies:
        places.setdefault(address, (ENCODING, len(secret.secret), None))
    finding = _finding(session, secret)
    for address, (encoding, length, key_object) in places.items():
        data = memory.read(address, length)
        digest = sha256(data).hexdigest()
        yield Decoded(finding, address, length, digest, encoding, length - len(data), key_object)


def _finding(session: Session, secret: Secret) -> TlsSecret:
    randoms, peer = session.randoms, session.peer
    certificate = _certificate(peer.certificate)
    return TlsSecret(
        sha256="",
        size=len(secret.secret),
        secret_id=sha256(_LABEL + secret.secret).hexdigest(),
        label=secret.label,
        version=session.version,
        cipher_suite=session.suite or None,
        client_random=randoms.client.hex() if randoms else None,
        server_random=(randoms.server.hex() or None) if randoms else None,
        random_proven=randoms is not None and randoms.proven,
        server_name=peer.server_name,
        peer_thumbprint=certificate.thumbprint if certificate is not None else None,
        peer_subject=certificate.subject if certificate is not None else None,
        resumed=session.resumed,
        proof=secret.proof,
        secret=secret.secret,
    )
