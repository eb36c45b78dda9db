"""ClientHello and ServerHello as programs received and sent them: which randoms belong together, and the transcript.

Source: RFC 8446, 4.1.2, 4.1.3 and 4.2; RFC 6066, 3.
"""

from __future__ import annotations

import hashlib
import re
from bisect import bisect_left
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING

from dumpscan.artifacts.tls import windows
from dumpscan.artifacts.tls.derive import RANDOM_SIZE, SUITES_13
from dumpscan.artifacts.tls.near import looks_random
from dumpscan.artifacts.tls.sessions import Randoms
from dumpscan.model.libraries.c_tls import HELLO_SIZE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dumpscan.artifacts.tls.derive import Hash, Suite
    from dumpscan.artifacts.tls.places import Places

MAX_HELLOS = 1 << 12
"""Messages of one process that are read."""
MAX_PAIRS = 1 << 10
"""ClientHellos with their answers of which the transcript is compared."""
HELLO_REACH = 1 << 20
"""Bytes behind a ClientHello in which Java allocates the secrets of its session: 400 KiB where it was measured."""
MAX_HELLO = 4 << 10
"""Bytes of the longest message that is read; those with keys of ML-KEM have 1,800."""
_HEAD = 4
_CLIENT = 1
_RANDOM = slice(6, 38)
_ID_LENGTH = 38
_SESSION_ID = slice(39, 71)
_SERVER_NAME = 0
"""The extension `server_name`, and the type of names of hosts in it."""
_SUPPORTED_VERSIONS = 43
_VERSION_13 = b"\3\4"
_HOST_NAME = re.compile(rb"[A-Za-z0-9_-]{1,63}(?:\.[A-Za-z0-9_-]{1,63})*\.?")
MAX_HOST_NAME = 253


def host_name(data: bytes) -> str | None:
    """Return the name of a host; None if it is none."""
    return data.decode("ascii") if len(data) <= MAX_HOST_NAME and _HOST_NAME.fullmatch(data) else None


def server_name(hello: bytes) -> str | None:
    """Return the name of the server that a ClientHello asks for.

    Args:
        hello: The message, from its type on.
    """
    # Its value is a list of names, of which there is one: the length of both, the type, the length of the name.
    value = hello_extensions(hello).get(_SERVER_NAME, b"")
    listed = value[2:3] == bytes((_SERVER_NAME,))
    return host_name(value[5 : 5 + int.from_bytes(value[3:5], "big")]) if listed else None


def hello_extensions(hello: bytes) -> dict[int, bytes]:
    """Return the extensions of a ClientHello by their types.

    Args:
        hello: The message, from its type on.
    """
    at = _ID_LENGTH
    for size in (1, 2, 1):  # before the session id, the suites and the methods of compression are their lengths
        at += size + int.from_bytes(hello[at : at + size], "big")
    return dict(extensions(hello[at:]))


def extensions(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield the extensions behind their common length."""
    end = 2 + int.from_bytes(data[:2], "big")
    at = 2
    while at + 4 <= min(end, len(data)):
        size = int.from_bytes(data[at + 2 : at + 4], "big")
        yield int.from_bytes(data[at : at + 2], "big"), data[at + 4 : at + 4 + size]
        at += 4 + size


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
    def session_id(self) -> bytes:
        """The session id; empty if there is none."""
        return self.message[_SESSION_ID] if self.message[_ID_LENGTH] else b""

    @property
    def offers_13(self) -> bool:
        """Whether a ClientHello may begin a session of TLS 1.3: it has a session id, or names this version."""
        return bool(self.session_id) or _VERSION_13 in hello_extensions(self.message).get(_SUPPORTED_VERSIONS, b"")

    def offers(self, suite: str) -> bool:
        """Say whether a ClientHello offers a suite of TLS 1.3, by its name."""
        begin = _ID_LENGTH + 1 + len(self.session_id)
        end = begin + 2 + int.from_bytes(self.message[begin : begin + 2], "big")
        listed = {int.from_bytes(self.message[at : at + 2], "big") for at in range(begin + 2, end, 2)}
        return self.offers_13 and any(number in listed for number, each in SUITES_13.items() if each.name == suite)

    @property
    def suite(self) -> Suite | None:
        """The suite that a ServerHello chose; None if it is not one of TLS 1.3."""
        return SUITES_13.get(int.from_bytes(self.message[HELLO_SIZE : HELLO_SIZE + 2], "big"))

    @property
    def hash(self) -> Hash | None:
        """The hash of the suite that a ServerHello chose; None if it is not one of TLS 1.3."""
        return None if self.suite is None else self.suite.hash


class Hellos:
    """All messages in a process.

    Args:
        places: What was found there.

    Attributes:
        clients: Each ClientHello, by address.
        pairs: ClientHellos with their answers.
        names: The names of servers that clients asked for, by the clients' randoms.
    """

    def __init__(self, places: Places) -> None:
        self.clients: list[Hello] = []
        self._servers: list[Hello] = []
        self.names: dict[bytes, str] = {}
        for address in places.of(windows.HELLO)[:MAX_HELLOS].tolist():
            for hello in _read(places, address):
                is_client = hello.message[0] == _CLIENT
                (self.clients if is_client else self._servers).append(hello)
                name = server_name(hello.message) if is_client else None
                if name is not None:
                    self.names[hello.random] = name
        self.pairs = list(islice(self._pairs(), MAX_PAIRS))

    def client_before(self, address: int) -> Hello | None:
        """Return the last ClientHello before an address."""
        number = bisect_left(self.clients, address, key=lambda hello: hello.address)
        return self.clients[number - 1] if number else None

    def random_before(self, address: int, suite: Suite) -> Randoms | None:
        """Return the client's random of a session of TLS 1.3 whose secrets Java allocated from an address on.

        It is that of the last ClientHello before, unless that does not offer the suite, or an answer to it chose
        another. None if it is not known.
        """
        hello = self.client_before(address)
        if hello is None or address - hello.address > HELLO_REACH or not hello.offers(suite.name):
            return None
        chosen = {server.suite for client, server in self.pairs if client.session_id == hello.session_id}
        return Randoms(hello.random) if not chosen or suite in chosen else None

    def _pairs(self) -> Iterator[tuple[Hello, Hello]]:
        """Yield each ClientHello with its answer, which repeats the session id."""
        by_id: dict[bytes, list[Hello]] = {}
        for hello in self._servers:
            by_id.setdefault(hello.session_id, []).append(hello)
        for client in self.clients:
            for server in by_id.get(client.session_id, ()) if client.session_id else ():
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
            and HELLO_SIZE < size <= MAX_HELLO
            and len(message) == size
            and message[4:6] == b"\3\3"
            and (message[_ID_LENGTH] == RANDOM_SIZE or (message[_ID_LENGTH] == 0 and message[0] == _CLIENT))
            and looks_random(message[_RANDOM])
        ):
            yield Hello(address + at, message)
