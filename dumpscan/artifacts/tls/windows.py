"""The pass for places where secrets of TLS may lie: random-looking windows, session objects, and AES key schedules.

A secret of 32 or 48 bytes has no opening. It looks random, and where programs keep one, what lies just before it or
just behind it mostly does not: a length, a pointer, the zeros of an array that is longer than the secret. Windows with
such an edge are few even in memory that is full of random bytes. So they are told apart, to be tried first.
"""

from __future__ import annotations

from functools import partial
from threading import Lock
from typing import TYPE_CHECKING

import numpy as np

from dumpscan.artifacts.aes.searcher import ScheduleSearcher
from dumpscan.model.libraries.c_tls import (
    BORINGSSL_COUNT,
    BORINGSSL_ID_LENGTH,
    BORINGSSL_MASTER,
    BORINGSSL_SECRET,
    BORINGSSL_SESSION_SIZE,
    HEAD_SIZE,
    HELLO_SIZE,
    KEY_EXPANSION,
    MAX_SESSION_VERSION,
    MIN_SESSION_VERSION,
    WOLFSSL_ID_LENGTH,
    WOLFSSL_MASTER,
    WOLFSSL_SIZE,
)
from dumpscan.scan import random_windows
from dumpscan.scan.passes import AlignedSearcher
from dumpscan.scan.random_windows import AT_ONCE, Wanted, find_blocks, find_windows
from dumpscan.scan.searcher import Matches
from dumpscan.scan.signature import Signature

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from numpy.typing import NDArray

    from dumpscan.scan.searcher import Scannable

    Words = NDArray[np.uint32]
    Indexes = NDArray[np.int64]

WORD, SIZES = random_windows.WORD, random_windows.SIZES
MAX_WINDOWS = 1 << 20
"""Windows of each promise and size that are remembered of one dump; of those without promise, see `_LIMITS`."""

EDGE_32, EDGE_48 = (Signature(f"tls-window-{size}-edge", b"", size) for size in SIZES)
ALIGNED_32, ALIGNED_48 = (Signature(f"tls-window-{size}-aligned", b"", size) for size in SIZES)
INNER_32, INNER_48 = (Signature(f"tls-window-{size}-inner", b"", size) for size in SIZES)
BLOCK = Signature("tls-block", b"", random_windows.BLOCK)
"""A block of AES by itself: H of GCM, as some libraries keep it."""
SESSION = Signature("tls-ssl-session", b"", HEAD_SIZE)
BORINGSSL = Signature("tls-boringssl-secrets", b"", BORINGSSL_COUNT * BORINGSSL_SECRET + WORD - 1)
BORINGSSL_SESSION = Signature("tls-boringssl-session", b"", BORINGSSL_ID_LENGTH + WORD)
HELLO = Signature("tls-hello", b"", HELLO_SIZE + WORD - 1)
WOLFSSL_LEAD = 2
"""Bytes from a multiple of four to `clientRandom` in wolfSSL's `Arrays`."""
WOLFSSL = Signature("tls-wolfssl-arrays", b"", WOLFSSL_LEAD + WOLFSSL_SIZE)
EXPANSION = Signature("tls-key-expansion", b"", len(KEY_EXPANSION) + 2 * SIZES[0])
SCHEDULE = ScheduleSearcher.signatures[0]

WINDOWS = (EDGE_32, EDGE_48, ALIGNED_32, ALIGNED_48, INNER_32, INNER_48)
"""By their promise: windows with an edge, those at multiples of 16, where allocators put objects, and all others."""
WITHOUT_EDGE = (ALIGNED_32, ALIGNED_48, INNER_32, INNER_48)
SIGNATURES = (*WINDOWS, BLOCK, SESSION, BORINGSSL, BORINGSSL_SESSION, WOLFSSL, HELLO, EXPANSION, SCHEDULE)

_NUMBERS = {signature.name: number for number, signature in enumerate(SIGNATURES)}
_LIMITS = {EDGE_32.name: 1 / 2, INNER_32.name: 2, INNER_48.name: 1 / 4}
"""Beyond half a million windows with an edge, memory is made to have them: no more are looked for. Any window of 32
bytes may be a key of ChaCha20; those of 48 are tried last, of which few are."""

_BYTES_AT_ONCE = WORD * AT_ONCE
_VERSION = 3
_TLS_12_SESSIONS = (
    {BORINGSSL_SESSION_SIZE - 1: SIZES[1]},
    {BORINGSSL_MASTER: SIZES[1], BORINGSSL_ID_LENGTH: 0},
    {BORINGSSL_MASTER: SIZES[1], BORINGSSL_ID_LENGTH: 32},
)
"""BoringSSL's SSL_SESSION: the length of the master secret, behind it or before it, and then that of the session id."""
_HELLO_VERSION = 4
_HELLOS = ({0: 1, 1: 0, 38: 32}, {0: 2, 1: 0, 38: 32}, {0: 1, 1: 0, 38: 0})
"""ClientHello and ServerHello: the type, the first of three bytes of a length, the length of the session id. It is 32
in all that offer or choose TLS 1.3 in the way that middleboxes like (RFC 8446, D.4), and 0 in clients of TLS 1.2."""
_EIGHT = 8
_HIGH_BITS_OF_8 = np.uint64(0x8080808080808080)
"""One in sixteen million random words of 24 bytes has none of them. Text has none, and rulers and indents in text are
what lengths of 32 and 48 look like."""
_ALIGNED = 16


class TlsSearcher:
    """Finds where secrets may lie, and the schedules that prove them (see `dumpscan.scan.searcher.Searcher`).

    Attributes:
        untried: Windows that were not remembered in the last search, because there were too many of their kind.
    """

    signatures = SIGNATURES

    def __init__(self) -> None:
        self.untried = 0
        self._wanted = Wanted.ALL
        self._schedules = ScheduleSearcher()
        self._plain = AlignedSearcher(SIGNATURES[:-1], partial(self._find, Wanted.ALL), WORD, self._finder)
        self._counting = Lock()

    def batches(
        self, space: Scannable, *, threads: int | None = None, progress: Callable[[int], None] | None = None
    ) -> Iterator[Matches]:
        """Search an address space, twice: schedules have a pass of their own."""
        self.untried, self._wanted = 0, Wanted.ALL
        left = [int(MAX_WINDOWS * _LIMITS.get(signature.name, 1)) for signature in SIGNATURES]
        for matches in self._schedules.batches(space, threads=threads):
            yield Matches(matches.signatures + np.uint16(len(SIGNATURES) - 1), matches.starts)
        for matches in self._plain.batches(space, threads=threads, progress=progress):
            yield self._limited(_by_alignment(matches), left)

    def scan_buffer(self, data: memoryview | bytes, *, threads: int | None = None) -> Matches:
        """Search a contiguous buffer at every offset."""
        schedules = self._schedules.scan_buffer(data, threads=threads)
        plain = _by_alignment(self._plain.scan_buffer(data, threads=threads))
        numbers = np.concatenate((plain.signatures, schedules.signatures + np.uint16(len(SIGNATURES) - 1)))
        return Matches(numbers, np.concatenate((plain.starts, schedules.starts)))

    def _finder(self) -> Callable[[memoryview, tuple[int, ...]], Matches]:
        """Return what searches a buffer for those windows that are still wanted."""
        return partial(self._find, self._wanted)

    def _find(self, wanted: Wanted, data: memoryview, phases: tuple[int, ...]) -> Matches:
        """Search a buffer, in one of several threads (see `dumpscan.scan.passes.aligned_matches`)."""
        matches, skipped = _find(data, phases, wanted)
        with self._counting:
            self.untried += skipped
        return matches

    def _limited(self, matches: Matches, left: list[int]) -> Matches:
        """Leave out what is beyond the limit of each signature, and count it."""
        kept = np.ones(len(matches.starts), np.bool_)
        for number, count in enumerate(np.bincount(matches.signatures, minlength=len(SIGNATURES)).tolist()):
            if count > left[number]:
                kept[np.flatnonzero(matches.signatures == number)[left[number] :]] = False
                self.untried += count - left[number]
            left[number] -= min(count, left[number])
        if not left[SIGNATURES.index(EDGE_32)]:
            self._wanted = Wanted.NONE
        elif not any(left[SIGNATURES.index(each)] for each in WITHOUT_EDGE):
            self._wanted = Wanted.EDGES
        return Matches(matches.signatures[kept], matches.starts[kept])


def _by_alignment(matches: Matches) -> Matches:
    """Tell windows at multiples of 16 from the others without an edge, now that addresses are known."""
    numbers = matches.signatures.copy()
    for aligned, inner in ((ALIGNED_32, INNER_32), (ALIGNED_48, INNER_48)):
        own = (numbers == SIGNATURES.index(aligned)) & (matches.starts & np.uint64(_ALIGNED - 1) != 0)
        numbers[own] = SIGNATURES.index(inner)
    return Matches(numbers, matches.starts)


def _sessions(words: Words) -> Indexes:
    """Find the heads of OpenSSL's SSL_SESSION: a version, the length of the master secret, no early secret."""
    count = len(words) - HEAD_SIZE // WORD + 1
    if count <= 0:
        return np.zeros(0, np.int64)
    at = np.flatnonzero(words[2 : 2 + count] == np.uint32(48))
    version = words[at]
    at = at[(version >= np.uint32(MIN_SESSION_VERSION)) & (version <= np.uint32(MAX_SESSION_VERSION))]
    head = words[at[:, np.newaxis] + np.arange(3, 20)]
    return np.asarray(at[~head.any(axis=1)])


def _wolfssl(words: Words) -> Indexes:
    """Find wolfSSL's `Arrays` of TLS 1.2: zeros behind the length of a session id, up to the master secret."""
    id_length = (WOLFSSL_LEAD + WOLFSSL_ID_LENGTH) // WORD  # in the upper half
    master = (WOLFSSL_LEAD + WOLFSSL_MASTER) // WORD  # its first byte is the last of a word
    count = max(len(words) - WOLFSSL.length // WORD, 0)
    zero = words == 0
    at = np.flatnonzero(zero[master - 1 : master - 1 + count] & ~zero[master : master + count])
    for number in range(id_length + 1, master - 1):
        at = at[zero[at + number]]
    at = at[words[at + master] << np.uint32(8) == 0]
    length = words[at + id_length] >> np.uint32(16)
    return np.asarray(at[(length == 0) | (length == np.uint32(SIZES[0]))])


def _expansions(words: Words) -> Indexes:
    """Find the label of the key block before what may be randoms."""
    count = len(words) - EXPANSION.length // WORD
    first, *others = np.frombuffer(KEY_EXPANSION, "<u4", len(KEY_EXPANSION) // WORD)
    at = np.flatnonzero(words[: max(count, 0)] == first)
    for number, word in enumerate(others, 1):
        at = at[words[at + number] == word]
    return np.asarray(at)


def _boringssl(data: NDArray[np.uint8]) -> Indexes:
    """Find three arrays in a row, each of 48 bytes with their length behind it, at any address."""
    step, parts = BORINGSSL_SECRET, [np.zeros(0, np.int64)]
    for begin in range(0, len(data) - BORINGSSL_COUNT * step + 1, _BYTES_AT_ONCE):
        some = data[begin + step - 1 : begin + _BYTES_AT_ONCE + BORINGSSL_COUNT * step - 1]
        length = some[: -2 * step]
        fits = (length | np.uint8(16)) == SIZES[1]
        fits &= length == some[step:-step]
        fits &= length == some[2 * step :]
        parts.append(np.flatnonzero(fits) + begin)
    at = np.concatenate(parts)
    at = _with_high_bytes(data, at)
    first = data[at[:, np.newaxis] + np.arange(SIZES[0])]
    first.sort(axis=1)
    return np.asarray(at[np.count_nonzero(first[:, 1:] != first[:, :-1], axis=1) + 1 >= SIZES[0] * 3 // 4])


def _with_high_bytes(data: NDArray[np.uint8], at: Indexes) -> Indexes:
    """Return the places of 32 bytes where the three whole words of 8 among them have a byte above 127."""
    skipped = -data.ctypes.data % _EIGHT  # numpy copies all of an array that is not aligned before it takes from it
    eights = data[skipped : len(data) - (len(data) - skipped) % _EIGHT].view(np.uint64)
    first = -((skipped - at) // _EIGHT)
    high = eights.take(first)
    for number in (1, 2):
        high |= eights.take(first + number)
    kept: Indexes = at[high & _HIGH_BITS_OF_8 != 0]
    return kept


def _pairs(data: NDArray[np.uint8]) -> Indexes:
    """Find where two bytes of a version follow one another: SSL 3.3, as TLS 1.2 calls itself, 1.3 in its hellos too."""
    parts = [np.zeros(0, np.int64)]
    for begin in range(0, len(data) - 1, _BYTES_AT_ONCE):
        fits = data[begin : begin + _BYTES_AT_ONCE + 1] == _VERSION
        parts.append(np.flatnonzero(fits[1:] & fits[:-1]) + begin)
    return np.concatenate(parts)


def _with_bytes(data: NDArray[np.uint8], begins: Indexes, size: int, wanted: Mapping[int, int]) -> Indexes:
    """Return those of several places where bytes at some distances have certain values.

    Args:
        data: The buffer.
        begins: The places.
        size: Bytes of what is looked for.
        wanted: The values, by their distances from its first byte.
    """
    begins = begins[(begins >= 0) & (begins <= len(data) - size)]
    for distance, value in wanted.items():
        begins = begins[data[begins + distance] == value]
    return begins


def _anywhere(data: NDArray[np.uint8]) -> Iterator[tuple[Signature, Indexes]]:
    """Find what begins at any byte."""
    yield BORINGSSL, _boringssl(data)
    versions = _pairs(data)
    for session in _TLS_12_SESSIONS:
        yield BORINGSSL_SESSION, _with_bytes(data, versions, BORINGSSL_ID_LENGTH + 1, session)
    for hello in _HELLOS:
        yield HELLO, _with_bytes(data, versions - _HELLO_VERSION, HELLO_SIZE, hello)


def _find(data: memoryview, phases: tuple[int, ...], wanted: Wanted) -> tuple[Matches, int]:
    """Search a buffer; say how many windows were left out because there were enough of their kind before."""
    skipped = 0
    numbers, starts = [np.zeros(0, np.uint16)], [np.zeros(0, np.int64)]

    def add(signature: Signature, found: Indexes) -> None:
        numbers.append(np.full(len(found), _NUMBERS[signature.name], np.uint16))
        starts.append(found)

    for phase in phases:
        count = max(len(data) - phase, 0) // WORD
        words = np.frombuffer(data, "<u4", count, min(phase, len(data)))
        for windows, left_out in find_windows(words, wanted):
            skipped += left_out
            for size, found, edge in windows:
                place = found * WORD + phase
                add(EDGE_32 if size == SIZES[0] else EDGE_48, place[edge])
                add(ALIGNED_32 if size == SIZES[0] else ALIGNED_48, place[~edge])
        add(BLOCK, find_blocks(words) * WORD + phase)
        add(SESSION, _sessions(words) * WORD + phase)
        add(EXPANSION, _expansions(words) * WORD + phase)
        add(WOLFSSL, _wolfssl(words) * WORD + phase)
    plain = np.frombuffer(data, np.uint8)
    for signature, at in _anywhere(plain):
        for phase in phases:  # the multiple of four before it announces it
            rounded = np.unique(at - (at - phase) % WORD)
            add(signature, rounded[rounded >= 0])
    return Matches(np.concatenate(numbers), np.concatenate(starts).astype(np.uint64)), skipped
