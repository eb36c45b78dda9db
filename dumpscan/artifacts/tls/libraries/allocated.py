"""Sessions of TLS 1.3 whose secrets lie in objects of their own, by the order in which they were allocated.

Java allocates one object behind the other: a ClientHello, both secrets of the handshake with the client's first, then
those of the application with the server's first. Of another library that is not known, the client's is taken to come
first. Nothing checks either.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from dumpscan.artifacts.tls.derive import expand_label
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
SESSION_REACH = 256 << 10
"""Bytes from one secret of a session in Java to the next: 190 KiB, likewise."""
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
    yield from _behind_hellos(places, java, hellos)
    for group in _by_suite(others):
        for begin in range(0, len(group), 2):
            randoms = randoms_before(places.memory, group[begin].address, RANDOM_REACH)
            pair = group[begin : begin + 2]
            yield _session(pair, _ANY.labels(len(pair)), _ANY, randoms)


def _behind_hellos(places: Places, found: list[TrafficSecret], hellos: Hellos) -> Iterator[Session]:
    """Yield the sessions of the secrets that lie behind each ClientHello, up to the next.

    One session that lies alone behind it has its random. There are several where garbage was collected, which moves
    what is in use away from what is not, in an order that says nothing.
    """
    parts: dict[Hello | None, list[TrafficSecret]] = {}
    for each in found:
        parts.setdefault(hellos.client_before(each.address), []).append(each)
    for part in parts.values():
        groups = [group for suite in _by_suite(part) for group in _together(places, suite)]
        for labels, group in groups:
            randoms = hellos.random_before(part[0].address, group[0].suite) if len(groups) == 1 else None
            yield _session(group, labels, _JAVA, randoms)


def _together(places: Places, found: list[TrafficSecret]) -> Iterator[tuple[tuple[str, ...], list[TrafficSecret]]]:
    """Yield the secrets of one suite that were allocated together, with what they are.

    From the secrets of a handshake the keys of its Finished messages follow, which are often left in memory.
    """
    handshake = [each for each in found if _finished_key(each) in places.sized(each.suite.hash.size)]
    others = [each for each in found if each not in handshake]
    if handshake and len(handshake) % 2 == 0 and len(handshake) == len(others):
        handshake_labels, labels = _JAVA.four[:2], _JAVA.four[2:]
        for begin in range(0, len(found), 2):
            if begin < len(handshake):
                yield (*handshake_labels, *labels), [*handshake[begin : begin + 2], *others[begin : begin + 2]]
        return
    for group in _runs(others):
        yield _JAVA.labels(len(group)), group
    if handshake:
        yield (UNKNOWN_SIDE,) * len(handshake), handshake


def _finished_key(found: TrafficSecret) -> bytes:
    """Return the key of Finished that follows from a secret, if it is one of a handshake (RFC 8446, 4.4.4)."""
    return expand_label(found.secret, found.suite.hash, b"finished", found.suite.hash.size)


def _runs(found: list[TrafficSecret]) -> Iterator[list[TrafficSecret]]:
    """Yield secrets that lie near each other, in pairs where there are more than those of one session."""
    runs: list[list[TrafficSecret]] = []
    for each in found:
        if runs and each.address - runs[-1][-1].address <= SESSION_REACH:
            runs[-1].append(each)
        else:
            runs.append([each])
    for run in runs:
        size = _WHOLE if len(run) % _WHOLE == 0 else 2 if len(run) % 2 == 0 else len(run)
        for begin in range(0, len(run), size):
            yield run[begin : begin + size]


def _by_suite(found: Sequence[TrafficSecret]) -> list[list[TrafficSecret]]:
    groups: dict[str, list[TrafficSecret]] = {}
    for each in found:
        groups.setdefault(each.suite.name, []).append(each)
    return list(groups.values())


def _session(group: list[TrafficSecret], labels: tuple[str, ...], order: _Order, randoms: Randoms | None) -> Session:
    secrets = tuple(
        Secret(label, each.secret, each.address, len(each.secret), (each.proof, BY_ORDER))
        for label, each in zip(labels, group, strict=True)
    )
    return Session(VERSION_13, group[0].suite.name, secrets, randoms, order.library, order.structure)


def is_java(memory: Memory, found: TrafficSecret) -> bool:
    """Say whether a secret lies in an array of Java."""
    head = memory.read(found.address + 2 * JAVA_LENGTH, -2 * JAVA_LENGTH)
    size = len(found.secret)
    return any(head[:JAVA_LENGTH]) and head[JAVA_LENGTH:] == size.to_bytes(-JAVA_LENGTH, "little")
