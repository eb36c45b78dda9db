"""Traffic secrets of TLS 1.3, of any library: a window is one if the key that follows from it is in the same memory.

The key of an AES suite is told by its schedule, that of ChaCha20 lies there as it is. A key of 128 bits or more that
follows from a window is not there by chance.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from hmac import digest
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np

from dumpscan.artifacts.tls import windows
from dumpscan.artifacts.tls.derive import AES_128, AES_256, CHACHA20, label_info, traffic_key
from dumpscan.model.libraries.c_tls import BORINGSSL_SECRET

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from dumpscan.artifacts.tls.derive import Suite
    from dumpscan.artifacts.tls.places import Addresses, Places

MAX_DERIVED = 120_000
"""Keys derived in one process: a second of one processor or less."""
MAX_WITHOUT_AES = 20_000
"""Keys derived in a process without any AES key."""
MAX_BORINGSSL = 1 << 12
"""Objects of BoringSSL that are tried."""
MAX_ALIKE = 64
"""Windows with the same first 8 bytes that are compared with a key."""
_AT_ONCE = 1 << 13
_TIERS_CHACHA20 = 3
"""Those of a process with AES keys whose windows are tried as secrets of ChaCha20, too."""


@dataclass(frozen=True, slots=True)
class TrafficSecret:
    """A proven secret.

    Attributes:
        address: Where it lies.
        secret: The secret.
        suite: The suite whose key follows from it.
        proof: What was checked.
    """

    address: int
    secret: bytes = field(repr=False)
    suite: Suite
    proof: str


@dataclass(slots=True)
class Effort:
    """How many keys may still be derived, and how many windows had to be left out.

    Attributes:
        left: Keys.
        tried: Keys that were derived.
        untried: Windows.
        recorded: Windows that were tried with the sessions of a capture.
    """

    left: int = MAX_DERIVED
    tried: int = 0
    untried: int = 0
    recorded: int = 0

    def part(self, most: int) -> Effort:
        """Limit what may still be derived to so many keys; return self."""
        self.left = min(self.left, most)
        return self

    def take(self, wanted: int) -> int:
        """Take as many of so many windows as may still be tried, and count the others."""
        given = min(wanted, max(self.left, 0))
        self.left -= given
        self.tried += given
        self.untried += wanted - given
        return given


def traffic_secrets(places: Places, plain: PlainKeys, effort: Effort) -> Iterator[TrafficSecret]:
    """Find the traffic secrets in a process, windows of more promise first.

    Args:
        places: What was found in the process.
        plain: What may be a key of ChaCha20.
        effort: Limits the search.

    Yields:
        Secrets, once for each place where one lies.
    """
    keys = {size: frozenset(key for key in places.aes_keys if len(key) == size) for size in (16, 32)}
    yield from _boringssl(places, keys, plain)
    if not places.aes_keys:  # such a process seldom has sessions: random generators, too, use AES
        for short, _ in islice(_tiers(places), 2):
            yield from plain.chacha20(short, effort.part(MAX_WITHOUT_AES))
        return
    for number, (short, long) in enumerate(_tiers(places)):
        if keys[16]:
            yield from _aes(places, short, AES_128, keys[16], effort)
        if keys[32]:
            yield from _aes(places, long, AES_256, keys[32], effort)
        if number < _TIERS_CHACHA20:
            yield from plain.chacha20(short, effort)


def _tiers(places: Places) -> Iterator[tuple[Addresses, Addresses]]:
    """Yield the windows of 32 and of 48 bytes by their promise: first those that have their own length before them."""
    edges = (windows.EDGE_32, windows.EDGE_48)
    sized = [places.with_length(each) for each in edges]
    for some in (sized, [~each for each in sized]):
        short, long = (places.of(each)[kept] for each, kept in zip(edges, some, strict=True))
        yield short, long
    yield places.of(windows.ALIGNED_32), places.of(windows.ALIGNED_48)
    yield places.of(windows.INNER_32), places.of(windows.INNER_48)


def _aes(
    places: Places, addresses: Addresses, suite: Suite, keys: frozenset[bytes], effort: Effort
) -> Iterator[TrafficSecret]:
    """Try windows against the AES keys of the process."""
    addresses = addresses[: effort.take(len(addresses))]
    info, name, size, key_size = label_info(b"key", suite.key_size), suite.hash.name, suite.hash.size, suite.key_size
    for begin in range(0, len(addresses), _AT_ONCE):
        held, rows = places.read(addresses[begin : begin + _AT_ONCE], size)
        data = rows.tobytes()
        for number in range(len(held)):
            secret = data[number * size : number * size + size]
            if digest(secret, info, name)[:key_size] in keys:
                yield TrafficSecret(int(held[number]), secret, suite, _AES_PROOF)


def _boringssl(places: Places, keys: dict[int, frozenset[bytes]], plain: PlainKeys) -> Iterator[TrafficSecret]:
    """Try the arrays of BoringSSL, which begin at any byte."""
    suites = ((AES_128, keys[16], _AES_PROOF), (AES_256, keys[32], _AES_PROOF), (CHACHA20, plain, _CHACHA20_PROOF))
    for address in places.of(windows.BORINGSSL)[:MAX_BORINGSSL].tolist():
        for at in range(address, address + windows.WORD):
            size = places.memory.read(at + BORINGSSL_SECRET - 1, 1)
            for array in range(at, at + 2 * BORINGSSL_SECRET, BORINGSSL_SECRET):
                for suite, known, proof in suites:
                    secret = places.memory.read(array, suite.hash.size) if size == bytes((suite.hash.size,)) else b""
                    if secret and traffic_key(secret, suite) in known:
                        yield TrafficSecret(array, secret, suite, proof)


_AES_PROOF = "the AES key that follows from it is in use"
_CHACHA20_PROOF = "the ChaCha20 key that follows from it is in use"


class PlainKeys:
    """All that may be a key of ChaCha20: every window of 32 bytes of the process.

    Args:
        places: What was found there.
    """

    def __init__(self, places: Places) -> None:
        self._places = places
        self._prefixes: NDArray[np.uint64] | None = None
        self._addresses: Addresses = np.zeros(0, np.uint64)

    def chacha20(self, addresses: Addresses, effort: Effort) -> Iterator[TrafficSecret]:
        """Try windows against the other windows."""
        if self._prefixes is None:
            self._read()
        addresses = addresses[: effort.take(len(addresses))]
        info, size = label_info(b"key", CHACHA20.key_size), CHACHA20.hash.size
        for begin in range(0, len(addresses), _AT_ONCE):
            held, rows = self._places.read(addresses[begin : begin + _AT_ONCE], size)
            data = rows.tobytes()
            derived = b"".join(
                digest(data[at : at + size], info, CHACHA20.hash.name) for at in range(0, len(data), size)
            )
            for number in self.there(derived):
                secret = data[number * size : number * size + size]
                yield TrafficSecret(int(held[number]), secret, CHACHA20, _CHACHA20_PROOF)

    def __contains__(self, key: object) -> bool:
        return isinstance(key, bytes) and any(True for _ in self.there(key))

    def _read(self) -> None:
        every = [self._places.of(each) for each in (windows.EDGE_32, windows.ALIGNED_32, windows.INNER_32)]
        self._addresses, rows = self._places.read(np.concatenate(every), 8)
        prefixes = rows.view("<u8")[:, 0]
        order = np.argsort(prefixes)
        self._prefixes, self._addresses = prefixes[order], self._addresses[order]

    def there(self, keys: bytes) -> Iterator[int]:
        """Yield the numbers of those keys that lie in the process."""
        if self._prefixes is None:
            self._read()
        if self._prefixes is None or not len(self._prefixes):
            return
        size = CHACHA20.key_size
        first = np.frombuffer(keys, "<u8").reshape(-1, size // 8)[:, 0]
        at = np.searchsorted(self._prefixes, first)
        end = np.minimum(np.searchsorted(self._prefixes, first, "right"), at + MAX_ALIKE)
        for number in np.flatnonzero(end > at).tolist():
            key = keys[number * size : number * size + size]
            some = self._addresses[at[number] : end[number]].tolist()
            if any(self._places.memory.read(address, size) == key for address in some):
                yield number
