"""The key schedule of TLS 1.3 around a proven traffic secret: what it was derived from, and what else follows.

    early secret -> handshake secret -> master secret          (HKDF-Extract of "derived")
                    |- c hs, s hs traffic   (transcript up to ServerHello)
                                        |- c ap, s ap traffic, exp master   (transcript up to the server's Finished)

Whoever keeps the master secret and the hash of the transcript near the traffic secrets, as OpenSSL and Go do, lets all
of them be computed. That tells the client's from the server's too. Source: RFC 8446, 7.1 and 4.4.4.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from hmac import digest
from typing import TYPE_CHECKING

from dumpscan.artifacts.tls.derive import derive_secret, expand_label, label_info
from dumpscan.artifacts.tls.near import windows_near
from dumpscan.artifacts.tls.sessions import (
    CLIENT_HANDSHAKE,
    CLIENT_TRAFFIC,
    EXPORTER,
    SERVER_HANDSHAKE,
    SERVER_TRAFFIC,
    Secret,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from dumpscan.artifacts.tls.derive import Hash
    from dumpscan.artifacts.tls.traffic import TrafficSecret
    from dumpscan.memory.space import Memory

MAX_WINDOWS = 64
"""The nearest of them, each of which is tried as master secret with each as transcript."""
MAX_SIZED = 4 * MAX_WINDOWS
"""The nearest windows with their own length that are looked at, where a secret has its own length too."""
MAX_UPDATES = 64
"""Updates of the keys of one side that are tried."""

_APPLICATION = {b"c ap traffic": CLIENT_TRAFFIC, b"s ap traffic": SERVER_TRAFFIC}
_HANDSHAKE = {b"c hs traffic": CLIENT_HANDSHAKE, b"s hs traffic": SERVER_HANDSHAKE}
_FROM_MASTER = "it follows from the master secret and the transcript beside it"
_FROM_HANDSHAKE = "it follows from the handshake secret, from which the master secret follows too"

Place = tuple[int, bytes]
"""An address and the bytes there."""


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of secrets beside the key schedule.

    Attributes:
        proofs: What else was checked.
        place: Returns where a secret lies; None if that is not known.
    """

    proofs: Mapping[bytes, str] = field(repr=False)
    place: Callable[[bytes], int | None]

    def describe(self, label: str, secret: bytes, source: Place, proof: str) -> Secret:
        """Describe a secret that follows from a source, whose place it gets if it has none of its own."""
        checked = (*((self.proofs[secret],) if secret in self.proofs else ()), proof)
        address = self.place(secret)
        if address is None:
            return Secret(label, secret, source[0], len(source[1]), checked, derived=True)
        return Secret(label, secret, address, len(secret), checked)


@dataclass(frozen=True, slots=True)
class Chain:
    """The secrets from which those of a session follow.

    Attributes:
        hash: Of the suite.
        master: Where the master secret lies, and it.
        transcript: Where the hash of the messages up to the server's Finished lies, and it.
        handshake: Where the handshake secret lies, and it; None if it was not found.
        handshake_transcript: The hash of the messages up to ServerHello; empty if it is not known.
    """

    hash: Hash
    master: Place = field(repr=False)
    transcript: Place
    handshake: Place | None = field(default=None, repr=False)
    handshake_transcript: bytes = b""

    def secrets(self, known: Known) -> Iterator[Secret]:
        """Derive the secrets of the session."""
        for label, name in {**_APPLICATION, b"exp master": EXPORTER}.items():
            secret = derive_secret(self.master[1], self.hash, label, self.transcript[1])
            yield known.describe(name, secret, self.master, _FROM_MASTER)
        if self.handshake is not None and self.handshake_transcript:
            for label, name in _HANDSHAKE.items():
                secret = derive_secret(self.handshake[1], self.hash, label, self.handshake_transcript)
                yield known.describe(name, secret, self.handshake, _FROM_HANDSHAKE)


def chain_of(memory: Memory, found: TrafficSecret, sized: Mapping[bytes, int]) -> Chain | None:
    """Find what a proven secret was derived from; None if it does not lie near.

    Args:
        memory: The memory of the process.
        found: The secret.
        sized: Windows of its size that have their own length before them, and where each lies first. What belongs to
            one of them may be as far away as other objects were allocated between.
    """
    hash_ = found.suite.hash

    def distance(place: Place) -> int:
        return abs(place[0] - found.address)

    if found.secret in sized:
        near = sorted(((address, data) for data, address in sized.items()), key=distance)[:MAX_SIZED]
    else:
        near = windows_near(memory, found.address, hash_.size)
    nearest = sorted(near, key=distance)[:MAX_WINDOWS]
    for transcript in nearest:
        infos = [label_info(label, hash_.size, transcript[1]) for label in _APPLICATION]
        for master in nearest:
            if any(digest(master[1], info, hash_.name) == found.secret for info in infos):
                return _whole(near, master, transcript, hash_)
    return None


def chain_at(memory: Memory, found: TrafficSecret, master: int, transcript: int) -> Chain | None:
    """Find what a proven secret was derived from at known places, if need be by some updates of keys (RFC 8446, 7.2).

    Args:
        memory: The memory of the process.
        found: The secret.
        master: Where the master secret would be.
        transcript: Where the hash of the messages up to the server's Finished would be.
    """
    hash_ = found.suite.hash
    if min(master, transcript) < 0:
        return None
    source = (master, memory.read(master, hash_.size))
    messages = (transcript, memory.read(transcript, hash_.size))
    for label in _APPLICATION:
        secret = derive_secret(source[1], hash_, label, messages[1])
        for _ in range(MAX_UPDATES + 1):
            if secret == found.secret:
                return _whole(windows_near(memory, found.address, hash_.size), source, messages, hash_)
            secret = expand_label(secret, hash_, b"traffic upd", hash_.size)
    return None


def _whole(near: list[Place], master: Place, transcript: Place, hash_: Hash) -> Chain:
    """Add the secrets of the handshake, if they are near."""
    handshake = handshake_secret(near, master[1], hash_)
    before = _handshake_transcript(near, handshake[1], hash_) if handshake else b""
    return Chain(hash_, master, transcript, handshake, before)


def handshake_secret(near: list[Place], master: bytes, hash_: Hash) -> Place | None:
    """Find the secret among some windows from which a master secret follows."""
    return next((place for place in near if master_of(place[1], hash_) == master), None)


def master_of(handshake: bytes, hash_: Hash) -> bytes:
    """Compute the master secret that follows from a handshake secret."""
    nothing = hashlib.new(hash_.name).digest()
    return digest(derive_secret(handshake, hash_, b"derived", nothing), bytes(hash_.size), hash_.name)


def _handshake_transcript(near: list[Place], handshake: bytes, hash_: Hash) -> bytes:
    """Find the hash of the messages up to ServerHello.

    A traffic secret of the handshake that follows with it is there itself, or the key of Finished that follows from it.
    """
    there = {secret for _, secret in near}
    for _, transcript in near:
        for label in _HANDSHAKE:
            secret = derive_secret(handshake, hash_, label, transcript)
            if secret in there or expand_label(secret, hash_, b"finished", hash_.size) in there:
                return transcript
    return b""
