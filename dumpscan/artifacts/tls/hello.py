"""ClientHello and ServerHello as programs received and sent them: which randoms belong together, and the transcript."""

from __future__ import annotations

import hashlib
from bisect import bisect_left
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING

from dumpscan.artifacts.tls import windows
from dumpscan.artifacts.tls.derive import RANDOM_SIZE, SUITES_13
from dumpscan.artifacts.tls.near import looks_random
from dumpscan.model.libraries.c_tls import HELLO_SIZE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dumpscan.artifacts.tls.derive import Hash
    from dumpscan.artifacts.tls.places import Places

MAX_HELLOS = 1 << 12
"""Messages of one process that are read."""
MAX_PAIRS = 1 << 10
"""ClientHellos with their answers of which the transcript is compared."""
MAX_HELLO = 4 << 10
"""Bytes of the longest message that is read; those with keys of ML-KEM have 1,800."""
_HEAD = 4
_CLIENT = 1
_RANDOM = slice(6, 38)
_SESSION_ID = slice(39, 71)


@dataclass(frozen=True, slots=True)
class Hello:
    """A message.

    Attributes:
        address: Where it lies.
        message: The whole message, as it enters the transcript.
    """

    address: int
    message: bytes = field(repr=False)

    @property
    def random(self) -> bytes:
        """The sender's random."""
        return self.message[_RANDOM]

    @property
    def hash(self) -> Hash | None:
        """The hash of the suite that a ServerHello chose; None if it is not one of TLS 1.3."""
        suite = SUITES_13.get(int.from_bytes(self.message[HELLO_SIZE : HELLO_SIZE + 2], "big"))
        return None if suite is None else suite.hash


class Hellos:
    """All messages in a process.

    Args:
        places: What was found there.

    Attributes:
        clients: Each ClientHello, by address.
        pairs: ClientHellos with their answers.
    """

    def __init__(self, places: Places) -> None:
        self.clients: list[Hello] = []
        self._servers: list[Hello] = []
        for address in places.of(windows.HELLO)[:MAX_HELLOS].tolist():
            for hello in _read(places, address):
                (self.clients if hello.message[0] == _CLIENT else self._servers).append(hello)
        self.pairs = list(islice(self._pairs(), MAX_PAIRS))

    def client_before(self, address: int) -> Hello | None:
        """Return the last ClientHello before an address."""
        number = bisect_left(self.clients, address, key=lambda hello: hello.address)
        return self.clients[number - 1] if number else None

    def _pairs(self) -> Iterator[tuple[Hello, Hello]]:
        """Yield each ClientHello with its answer, which repeats the session id."""
        by_id: dict[bytes, list[Hello]] = {}
        for hello in self._servers:
            by_id.setdefault(hello.message[_SESSION_ID], []).append(hello)
        for client in self.clients:
            for server in by_id.get(client.message[_SESSION_ID], ()):
                if server.hash is not None:
                    yield client, server


def transcript_hash(client: Hello, server: Hello, hash_: Hash) -> bytes:
    """Compute the hash of the transcript up to ServerHello, where no HelloRetryRequest came before."""
    return hashlib.new(hash_.name, client.message + server.message).digest()


def _read(places: Places, address: int) -> Iterator[Hello]:
    data = places.memory.read(address, windows.WORD - 1 + MAX_HELLO)
    for at in range(windows.WORD):
        size = _HEAD + int.from_bytes(data[at + 1 : at + _HEAD], "big")
        message = data[at : at + size]
        if (
            message[:1] in {b"\1", b"\2"}
            and message[4:6] == b"\3\3"
            and message[38:39] == bytes((RANDOM_SIZE,))
            and HELLO_SIZE < size <= MAX_HELLO
            and len(message) == size
            and looks_random(message[_RANDOM])
        ):
            yield Hello(address + at, message)
