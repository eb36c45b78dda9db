"""Sessions of TLS 1.3 whose secrets lie in objects of their own, by the order in which they were allocated.

Java allocates one object behind the other: a ClientHello, both secrets of the handshake with the client's first, then
those of the application with the server's first. Of another library that is not known, the client's is taken to come
first. Nothing checks either.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from dumpscan.artifacts.tls.near import randoms_before
from dumpscan.artifacts.tls.sessions import (
    BY_ORDER,
    CLIENT_HANDSHAKE,
    CLIENT_TRAFFIC,
    SERVER_HANDSHAKE,
    SERVER_TRAFFIC,
    UNKNOWN_SIDE,
    VERSION_13,
    Randoms,
    Secret,
    Session,
)
from dumpscan.model.libraries.c_tls import JAVA_LENGTH

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from dumpscan.artifacts.tls.hello import Hello, Hellos
    from dumpscan.artifacts.tls.places import Places
    from dumpscan.artifacts.tls.traffic import TrafficSecret
    from dumpscan.memory.space import Memory

RANDOM_REACH = 8 << 10
"""Bytes before a secret in which the randoms of its session are looked for."""
JAVA = ("java", "byte[]")
"""The library and the structure of what Java holds."""
_WHOLE = 4


@dataclass(frozen=True, slots=True)
class _Order:
    """The order of a session's secrets.

    Attributes:
        library: As in `KeyObject.library`.
        structure: What each lies in.
        four: What they are, where those of the handshake are there too.
    """

    library: str | None
    structure: str | None
    four: tuple[str, str, str, str]

    def labels(self, count: int) -> tuple[str, ...]:
        """Return what so many secrets are; those of the application come last."""
        return self.four[-count:] if count in {2, 4} else (UNKNOWN_SIDE,) * count


_JAVA = _Order(*JAVA, (CLIENT_HANDSHAKE, SERVER_HANDSHAKE, SERVER_TRAFFIC, CLIENT_TRAFFIC))
_ANY = _Order(None, None, (CLIENT_HANDSHAKE, SERVER_HANDSHAKE, CLIENT_TRAFFIC, SERVER_TRAFFIC))


def allocated(places: Places, found: Sequence[TrafficSecret], hellos: Hellos) -> Iterator[Session]:
    """Yield sessions made of the secrets that nothing else put together.

    Args:
        places: What was found in the process.
        found: Proven secrets, once for each place.
        hellos: The messages that are in its memory.
    """
    first: dict[bytes, TrafficSecret] = {}
    for each in sorted(found, key=lambda each: each.address):
        first.setdefault(each.secret, each)
    java: list[TrafficSecret] = []
    others: list[TrafficSecret] = []
    for each in first.values():
        (java if is_java(places.memory, each) else others).append(each)
    yield from _behind_hellos(java, hellos)
    for group in _by_suite(others):
        for begin in range(0, len(group), 2):
            randoms = randoms_before(places.memory, group[begin].address, RANDOM_REACH)
            yield _session(group[begin : begin + 2], _ANY, randoms)


def _behind_hellos(found: list[TrafficSecret], hellos: Hellos) -> Iterator[Session]:
    """Yield a session for each ClientHello, of the secrets that lie between it and the next."""
    parts: dict[Hello | None, list[TrafficSecret]] = {}
    for each in found:
        parts.setdefault(hellos.client_before(each.address), []).append(each)
    for hello, part in parts.items():
        for group in _by_suite(part):
            size = _WHOLE if len(group) % _WHOLE == 0 else 2
            randoms = Randoms(hello.random) if hello is not None and len(group) <= _WHOLE else None
            for begin in range(0, len(group), size):
                yield _session(group[begin : begin + size], _JAVA, randoms)


def _by_suite(found: Sequence[TrafficSecret]) -> list[list[TrafficSecret]]:
    groups: dict[str, list[TrafficSecret]] = {}
    for each in found:
        groups.setdefault(each.suite.name, []).append(each)
    return list(groups.values())


def _session(group: list[TrafficSecret], order: _Order, randoms: Randoms | None) -> Session:
    secrets = tuple(
        Secret(label, each.secret, each.address, len(each.secret), (each.proof, BY_ORDER))
        for label, each in zip(order.labels(len(group)), group, strict=True)
    )
    return Session(VERSION_13, group[0].suite.name, secrets, randoms, order.library, order.structure)


def is_java(memory: Memory, found: TrafficSecret) -> bool:
    """Say whether a secret lies in an array of Java."""
    head = memory.read(found.address + 2 * JAVA_LENGTH, -2 * JAVA_LENGTH)
    size = len(found.secret)
    return any(head[:JAVA_LENGTH]) and head[JAVA_LENGTH:] == size.to_bytes(-JAVA_LENGTH, "little")
