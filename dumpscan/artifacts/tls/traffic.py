"""Traffic secrets of TLS 1.3, of any library: a window is one if the key that follows from it is in use (`in_use`)."""

from __future__ import annotations

from dataclasses import dataclass, field
from hmac import digest
from itertools import islice
from typing import TYPE_CHECKING

from dumpscan.artifacts.tls import windows
from dumpscan.artifacts.tls.derive import AES_128, AES_256, CHACHA20, label_info
from dumpscan.artifacts.tls.in_use.keys import SCHEDULE
from dumpscan.model.libraries.c_tls import BORINGSSL_SECRET

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from dumpscan.artifacts.tls.derive import Suite
    from dumpscan.artifacts.tls.in_use.keys import KeysInUse
    from dumpscan.artifacts.tls.places import Addresses, Places

MAX_DERIVED = 120_000
"""Keys derived in one process: a second of one processor or less."""
MAX_WITHOUT_AES = 20_000
"""Keys derived in a process without any key schedule of AES."""
MAX_WITHOUT_SCHEDULE = 40_000
"""AES keys derived in a process of which none had an ordinary schedule."""
MAX_BORINGSSL = 1 << 12
"""Objects of BoringSSL that are tried."""
_AT_ONCE = 1 << 13
_TIERS_CHACHA20 = 3
"""Those of a process with AES keys whose windows are tried as secrets of ChaCha20, too."""
_TIERS_WITHOUT_AES = 2
"""Those of a process whose AES keys explain nothing."""


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

    def limit(self, most: int) -> None:
        """Limit what may still be derived to so many keys."""
        self.left = min(self.left, most)

    def take(self, wanted: int) -> int:
        """Take as many of so many windows as may still be tried, and count the others."""
        given = min(wanted, max(self.left, 0))
        self.left -= given
        self.tried += given
        self.untried += wanted - given
        return given


def traffic_secrets(places: Places, in_use: KeysInUse, effort: Effort) -> Iterator[TrafficSecret]:
    """Find the traffic secrets in a process, windows of more promise first.

    Args:
        places: What was found in the process.
        in_use: Its keys.
        effort: Limits the search.

    Yields:
        Secrets, once for each place where one lies.
    """
    tried = _Tried(places, in_use)
    yield from _boringssl(places, tried)
    sizes = in_use.sizes
    if not sizes:  # such a process seldom has sessions: random generators, too, use AES
        effort.limit(MAX_WITHOUT_AES)
    for number, (short, long) in enumerate(_tiers(places)):
        if number < (_TIERS_CHACHA20 if sizes else _TIERS_WITHOUT_AES):
            yield from tried.all(short[: effort.take(len(short))], CHACHA20)
        for suite, addresses in ((AES_128, short), (AES_256, long)):
            if suite.key_size in sizes:
                yield from tried.all(addresses[: effort.take(len(addresses))], suite)
    if not in_use.explained:
        yield from _without_schedule(places, tried, effort)


def _without_schedule(places: Places, tried: _Tried, effort: Effort) -> Iterator[TrafficSecret]:
    """Try windows again, now against keys that have no ordinary schedule."""
    left = MAX_WITHOUT_SCHEDULE
    for short, long in islice(_tiers(places), _TIERS_WITHOUT_AES):
        for suite, addresses in ((AES_128, short), (AES_256, long)):
            some = addresses[:left]
            left -= len(some)
            effort.tried += len(some)
            yield from tried.all(some, suite, without_schedule=True)


def _tiers(places: Places) -> Iterator[tuple[Addresses, Addresses]]:
    """Yield the windows of 32 and of 48 bytes by their promise: first those that have their own length before them."""
    edges = (windows.EDGE_32, windows.EDGE_48)
    sized = [places.with_length(each) for each in edges]
    for some in (sized, [~each for each in sized]):
        short, long = (places.of(each)[kept] for each, kept in zip(edges, some, strict=True))
        yield short, long
    yield places.of(windows.ALIGNED_32), places.of(windows.ALIGNED_48)
    yield places.of(windows.INNER_32), places.of(windows.INNER_48)


def _boringssl(places: Places, tried: _Tried) -> Iterator[TrafficSecret]:
    """Try the arrays of BoringSSL, which begin at any byte."""
    arrays: dict[int, dict[int, bytes]] = {}
    for address in places.of(windows.BORINGSSL)[:MAX_BORINGSSL].tolist():
        for begin in range(address, address + windows.WORD):
            size = int.from_bytes(places.memory.read(begin + BORINGSSL_SECRET - 1, 1), "little")
            for at in (begin, begin + BORINGSSL_SECRET) if size in windows.SIZES else ():
                arrays.setdefault(size, {})[at] = places.memory.read(at, size)
    for without_schedule, suites in ((False, (AES_128, AES_256, CHACHA20)), (True, (AES_128, AES_256))):
        for suite in suites:
            some = arrays.get(suite.hash.size, {})
            yield from tried.secrets([*some], [*some.values()], suite, without_schedule=without_schedule)


@dataclass(frozen=True, slots=True)
class _Tried:
    """Places that are tried as secrets.

    Attributes:
        places: What was found in the process.
        in_use: Its keys.
    """

    places: Places
    in_use: KeysInUse

    def all(self, addresses: Addresses, suite: Suite, *, without_schedule: bool = False) -> Iterator[TrafficSecret]:
        """Yield those that are secrets of a suite; of AES, those whose keys have a schedule, or have none."""
        size = suite.hash.size
        for begin in range(0, len(addresses), _AT_ONCE):
            held, rows = self.places.read(addresses[begin : begin + _AT_ONCE], size)
            data = rows.tobytes()
            secrets = [data[at : at + size] for at in range(0, len(data), size)]
            yield from self.secrets(held.tolist(), secrets, suite, without_schedule=without_schedule)

    def secrets(
        self, addresses: Sequence[int], secrets: Sequence[bytes], suite: Suite, *, without_schedule: bool = False
    ) -> Iterator[TrafficSecret]:
        """Yield those of some bytes, which lie at some addresses, that are secrets of a suite."""
        info, name = label_info(b"key", suite.key_size), suite.hash.name
        keys = [digest(secret, info, name)[: suite.key_size] for secret in secrets]
        if suite is CHACHA20:
            found = self.in_use.chacha20(b"".join(keys))
        elif without_schedule:
            found = self.in_use.without_schedule(keys)
        else:
            found = ((number, SCHEDULE) for number, key in enumerate(keys) if self.in_use.with_schedule(key))
        for number, proof in found:
            yield TrafficSecret(addresses[number], secrets[number], suite, proof.format("it"))
