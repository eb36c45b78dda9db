"""Sessions of TLS 1.3 by the layouts of libraries that do not keep what their secrets follow from.

What lies beside a proven secret is named by its place. It is taken only where the layout's other marks are there, such
as the length behind each secret; that is all that speaks for it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from dumpscan.artifacts.tls.derive import RANDOM_SIZE
from dumpscan.artifacts.tls.near import PAIR_SIZE, is_dull, looks_random
from dumpscan.artifacts.tls.sessions import (
    BY_ORDER,
    CLIENT_HANDSHAKE,
    CLIENT_TRAFFIC,
    EXPORTER,
    OTHER_SIDE,
    SERVER_HANDSHAKE,
    SERVER_TRAFFIC,
    VERSION_13,
    Randoms,
    Secret,
    Session,
)
from dumpscan.model.c_big_numbers import MAX_POINTER
from dumpscan.model.libraries.c_tls import (
    BORINGSSL_RANDOM,
    BORINGSSL_SECRET,
    BORINGSSL_SESSION,
    BORINGSSL_SESSION_HEAD,
    BORINGSSL_VERSION_13,
    GNUTLS_RANDOM,
    GNUTLS_STEP,
    RUSTLS_GAPS,
    RUSTLS_RANDOM,
    RUSTLS_STEP,
    S2N_RANDOM,
    S2N_STEP,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from dumpscan.artifacts.tls.places import Places
    from dumpscan.artifacts.tls.traffic import TrafficSecret
    from dumpscan.memory.space import Memory

_LENGTH = 8
"""Bytes of a `size_t`."""


@dataclass(frozen=True, slots=True)
class Layout:
    """An object with secrets in arrays.

    Attributes:
        library: As in `KeyObject.library`.
        structure: Name of the object.
        arrays: What lies at which distance from the first array.
        fits: Says, of the first array's address and the size of a secret, whether the layout's marks are there.
        randoms: Distance from the first array to `client_random`; None where randoms are elsewhere.
        client_first: Whether the server's random follows the client's.
        client_only: Whether the server's random is elsewhere.
        of_client: Says whether the object is a client's, in which the secrets of both sides change places; None if they
            lie alike in both.
    """

    library: str
    structure: str
    arrays: tuple[tuple[int, str], ...]
    fits: Callable[[Memory, int, int], bool]
    randoms: int | None = None
    client_first: bool = False
    client_only: bool = False
    of_client: Callable[[Memory, int], bool] | None = None

    def session_at(self, memory: Memory, base: int, known: dict[bytes, TrafficSecret]) -> Session | None:
        """Return the session whose first array is at an address; None if it is not there."""
        size = len(next(iter(known)))
        if base < 0 or not self.fits(memory, base, size):
            return None
        secrets = []
        turned = self.of_client is not None and self.of_client(memory, base)
        for distance, own in self.arrays:
            label, address = OTHER_SIDE.get(own, own) if turned else own, base + distance
            data = memory.read(address, size)
            if data in known:
                proof: tuple[str, ...] = (known[data].proof, BY_ORDER)
            elif len(data) == size and looks_random(data):
                proof = (BY_ORDER,)
            else:
                continue
            secrets.append(Secret(label, data, address, size, proof))
        suite = next((known[each.secret].suite.name for each in secrets if each.secret in known), None)
        if suite is None:
            return None
        return Session(VERSION_13, suite, tuple(secrets), self._randoms(memory, base), self.library, self.structure)

    def _randoms(self, memory: Memory, base: int) -> Randoms | None:
        if self.randoms is None:
            return None
        if self.client_only:
            return Randoms(memory.read(base + self.randoms, RANDOM_SIZE))
        start = base + self.randoms - (0 if self.client_first else RANDOM_SIZE)
        pair = memory.read(start, PAIR_SIZE) if start >= 0 else b""
        first, second = pair[:RANDOM_SIZE], pair[RANDOM_SIZE:]
        if len(pair) < PAIR_SIZE or not (looks_random(first) and looks_random(second)):
            return None
        return Randoms(first, second) if self.client_first else Randoms(second, first)


def _in_row(step: int, *labels: str) -> tuple[tuple[int, str], ...]:
    """Return arrays one behind the other, given the bytes from one to the next."""
    return tuple((number * step, label) for number, label in enumerate(labels))


_RUSTLS = _in_row(RUSTLS_STEP, CLIENT_TRAFFIC, SERVER_TRAFFIC, EXPORTER)


def _number(memory: Memory, address: int, size: int) -> int | None:
    data = memory.read(address, size)
    return int.from_bytes(data, "little") if len(data) == size else None


def _boringssl_fits(memory: Memory, base: int, size: int) -> bool:
    lengths = (base + number * BORINGSSL_SECRET - 1 for number in (1, 2, 3))
    return all(_number(memory, address, 1) == size for address in lengths)


def _of_boringssl_client(memory: Memory, base: int) -> bool:
    """Say whether the session that an object points to has the algorithm of its peer's signature.

    A server has none of a client that has no certificate.
    """
    begin, past = (base + distance for distance in BORINGSSL_SESSION)
    for at in range(begin + -begin % _LENGTH, past, _LENGTH):
        pointer = _number(memory, at, _LENGTH)
        if pointer is not None and 0 < pointer < MAX_POINTER:
            head = memory.read(pointer, BORINGSSL_SESSION_HEAD)
            if head[4:6] == BORINGSSL_VERSION_13 and len(head) == BORINGSSL_SESSION_HEAD:
                return any(head[-2:])
    return False


def _of_rustls(gap: int) -> Layout:
    """Return the layout of a rustls handshake that is done, given the bytes from its first secret to the application's.

    The secrets of the handshake and both randoms lie before those of the application, in memory that was freed, too.
    """
    of_handshake, of_application = RUSTLS_RANDOM // RUSTLS_STEP, len(_RUSTLS)

    def fits(memory: Memory, base: int, size: int) -> bool:
        parts = ((base, of_handshake), (base + gap, of_application))
        return all(_lengths_fit(memory, start, size, count) for start, count in parts)

    arrays = (
        *_in_row(RUSTLS_STEP, CLIENT_HANDSHAKE, SERVER_HANDSHAKE),
        *((gap + distance, label) for distance, label in _RUSTLS),
    )
    return Layout("rustls", "KeyScheduleTraffic", arrays, fits, RUSTLS_RANDOM, client_first=True)


def _lengths_fit(memory: Memory, base: int, size: int, count: int) -> bool:
    lengths = (base + number * RUSTLS_STEP - _LENGTH for number in range(1, count + 1))
    return all(_number(memory, address, _LENGTH) == size for address in lengths)


def _rustls_fits(memory: Memory, base: int, size: int) -> bool:
    if _number(memory, base - _LENGTH, _LENGTH) == size:  # the length of another array before
        return False
    return _lengths_fit(memory, base, size, len(_RUSTLS))


def _gnutls_fits(memory: Memory, base: int, size: int) -> bool:
    """Say whether the secrets of the handshake and of the application lie there, and no early secret before them."""
    whole = 6 * GNUTLS_STEP
    data = memory.read(base - GNUTLS_STEP, whole) if base >= GNUTLS_STEP else b""
    arrays = [data[at : at + GNUTLS_STEP] for at in range(0, len(data), GNUTLS_STEP)]
    return (
        len(data) == whole
        and not any(arrays[0])
        and all(looks_random(array[:size]) and is_dull(array[size : size + 4]) for array in arrays[1:])
    )


def _s2n_fits(memory: Memory, base: int, size: int) -> bool:
    """Say whether four secrets lie there, and the client's random further on, with nothing around it."""
    arrays = memory.read(base, 4 * S2N_STEP)
    around = memory.read(base + S2N_RANDOM - PAIR_SIZE, RANDOM_SIZE + 2 * PAIR_SIZE)
    random, others = around[PAIR_SIZE:-PAIR_SIZE], around[:PAIR_SIZE] + around[-PAIR_SIZE:]
    return (
        len(arrays) == 4 * S2N_STEP
        and all(looks_random(arrays[at : at + size]) for at in range(0, len(arrays), S2N_STEP))
        and not any(any(arrays[at + size : at + S2N_STEP]) for at in range(0, len(arrays), S2N_STEP))
        and len(random) == RANDOM_SIZE
        and looks_random(random)
        and not any(others)
    )


LAYOUTS = (
    Layout(
        "s2n",
        "s2n_connection",
        ((0, CLIENT_TRAFFIC), (S2N_STEP, SERVER_TRAFFIC), (3 * S2N_STEP, EXPORTER)),
        _s2n_fits,
        S2N_RANDOM,
        client_only=True,
    ),
    Layout(
        "boringssl",
        "ssl_st",
        _in_row(BORINGSSL_SECRET, SERVER_TRAFFIC, CLIENT_TRAFFIC, EXPORTER),
        _boringssl_fits,
        BORINGSSL_RANDOM,
        of_client=_of_boringssl_client,
    ),
    *map(_of_rustls, RUSTLS_GAPS),
    Layout("rustls", "KeyScheduleTraffic", _RUSTLS, _rustls_fits),
    Layout(
        "gnutls",
        "gnutls_session_int",
        _in_row(GNUTLS_STEP, CLIENT_HANDSHAKE, SERVER_HANDSHAKE, CLIENT_TRAFFIC, SERVER_TRAFFIC, EXPORTER),
        _gnutls_fits,
        GNUTLS_RANDOM + 2 * GNUTLS_STEP,
        client_first=True,
    ),
)


def in_layouts(places: Places, found: Sequence[TrafficSecret]) -> Iterator[Session]:
    """Yield the sessions whose objects are known, each once.

    Args:
        places: What was found in the process.
        found: Proven secrets, once for each place.
    """
    known: dict[str, dict[bytes, TrafficSecret]] = {}
    for each in found:
        known.setdefault(each.suite.name, {})[each.secret] = each
    told: set[bytes] = set()
    for layout in LAYOUTS:  # those that tell more come first
        places_of = ((each, each.address - distance) for each in found for distance, _ in layout.arrays)
        bases = {base: each.suite.name for each, base in places_of}
        every = (layout.session_at(places.memory, base, known[suite]) for base, suite in bases.items())
        proven = [
            (session, {secret.secret for secret in session.secrets} & known[session.suite].keys())
            for session in every
            if session is not None
        ]
        # An old copy may have something else in place of a secret: the copy in which more are proven is the right one.
        for session, secrets in sorted(proven, key=lambda each: -len(each[1])):
            if not secrets & told:
                told |= secrets
                yield session
