"""The pass for places where secrets of TLS may lie: random-looking windows, session objects, and AES key schedules.

A secret of 32 or 48 bytes has no opening. It looks random, and where programs keep one, what lies just before it or
just behind it mostly does not: a length, a pointer, the zeros of an array that is longer than the secret. Windows with
such an edge are few even in memory that is full of random bytes. So they are told apart, to be tried first.
"""

from __future__ import annotations

import functools
from threading import Lock
from typing import TYPE_CHECKING, Any

import numpy as np

from dumpscan.artifacts.aes.searcher import ScheduleSearcher
from dumpscan.model.libraries.c_tls import (
    BORINGSSL_COUNT,
    BORINGSSL_SECRET,
    BORINGSSL_SESSION_SIZE,
    DOWNGRADE,
    HEAD_SIZE,
    HELLO_SIZE,
    KEY_EXPANSION,
    MAX_SESSION_VERSION,
    MIN_SESSION_VERSION,
    WOLFSSL_ID_LENGTH,
    WOLFSSL_MASTER,
    WOLFSSL_SIZE,
)
from dumpscan.scan.passes import AlignedSearcher
from dumpscan.scan.searcher import Matches
from dumpscan.scan.signature import Signature

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from numpy.typing import NDArray

    from dumpscan.scan.searcher import Scannable

    Words = NDArray[np.uint32]
    Indexes = NDArray[np.int64]

WORD = 4
SIZES = (32, 48)
"""Bytes of the secrets: as many as SHA-256 and SHA-384 have; 48 is also the master secret of TLS 1.2."""
MAX_WINDOWS = 1 << 20
"""Windows of each promise and size that are remembered of one dump; of those without promise, see `_LIMITS`."""

EDGE_32, EDGE_48 = (Signature(f"tls-window-{size}-edge", b"", size) for size in SIZES)
ALIGNED_32, ALIGNED_48 = (Signature(f"tls-window-{size}-aligned", b"", size) for size in SIZES)
INNER_32, INNER_48 = (Signature(f"tls-window-{size}-inner", b"", size) for size in SIZES)
BLOCK = Signature("tls-block", b"", 16)
"""A block of AES by itself: H of GCM, as some libraries keep it."""
SESSION = Signature("tls-ssl-session", b"", HEAD_SIZE)
BORINGSSL = Signature("tls-boringssl-secrets", b"", BORINGSSL_COUNT * BORINGSSL_SECRET + WORD - 1)
BORINGSSL_SESSION = Signature("tls-boringssl-session", b"", BORINGSSL_SESSION_SIZE + WORD - 1)
HELLO = Signature("tls-hello", b"", HELLO_SIZE + WORD - 1)
WOLFSSL_LEAD = 2
"""Bytes from a multiple of four to `clientRandom` in wolfSSL's `Arrays`."""
WOLFSSL = Signature("tls-wolfssl-arrays", b"", WOLFSSL_LEAD + WOLFSSL_SIZE)
EXPANSION = Signature("tls-key-expansion", b"", len(KEY_EXPANSION) + 2 * SIZES[0])
SCHEDULE = ScheduleSearcher.signatures[0]

WINDOWS = (EDGE_32, EDGE_48, ALIGNED_32, ALIGNED_48, INNER_32, INNER_48)
"""By their promise: windows with an edge, those at multiples of 16, where allocators put objects, and all others."""
SIGNATURES = (*WINDOWS, BLOCK, SESSION, BORINGSSL, BORINGSSL_SESSION, WOLFSSL, HELLO, EXPANSION, SCHEDULE)

_LIMITS = {EDGE_32.name: 1 / 2, INNER_32.name: 2, INNER_48.name: 1 / 4}
"""Beyond half a million windows with an edge, memory is made to have them: no more are looked for. Any window of 32
bytes may be a key of ChaCha20; those of 48 are tried last, of which few are."""

MAX_RUN = 1 << 12
"""Words in a row, none of them dull, within which windows are tried; more are compressed or encrypted data mostly."""
_PART_OF_RUN = MAX_RUN // 2
"""Words of which one multiple at least is whole in each longer run."""
_AT_ONCE = 1 << 15
_BYTES_AT_ONCE = 1 << 17
"""Words and bytes looked at in one go: all arrays over them fit in a processor's second cache."""
_LEAST_WORDS, _MOST_WORDS = (size // WORD for size in SIZES)
_VERSION = 3
_TLS_12_SESSION = {BORINGSSL_SESSION_SIZE - 1: SIZES[1]}
"""BoringSSL's SSL_SESSION: the length of the master secret, which is behind the version that it begins with."""
_HELLO_VERSION = 4
_HELLOS = ({0: 1, 1: 0, 38: 32}, {0: 2, 1: 0, 38: 32}, {0: 1, 1: 0, 38: 0})
"""ClientHello and ServerHello: the type, the first of three bytes of a length, the length of the session id. It is 32
in all that offer or choose TLS 1.3 in the way that middleboxes like (RFC 8446, D.4), and 0 in clients of TLS 1.2."""
_ONE_UP, _MOST_DULL = np.uint32(0x10000), np.uint32(0x1FFFF)
"""With the first added, dull words, and no others, are at most the second: their upper bits are 0 or 1 then."""
_HIGH_BITS = np.uint32(0x80808080)
_EIGHT = 8
_HIGH_BITS_OF_8 = np.uint64(0x8080808080808080)
"""One in sixteen million random words of 24 bytes has none of them. Text has none, and rulers and indents in text are
what lengths of 32 and 48 look like."""
_SUM_OF_BYTES, _HIGHEST_BYTE = np.uint32(0x01010101), np.uint32(24)
"""Multiplied by the first, a word has the sum of its bytes in its highest byte."""
_LEAST_HIGH, _LEAST_DIFFERENT = 2, 12
"""Bytes of a block that are above 127, and that are different from each other; one block in 4,000 has fewer."""
_DOWNGRADE = np.frombuffer(DOWNGRADE, "<u4", 1)[0]
_ALIGNED = 16


class TlsSearcher:
    """Finds where secrets may lie, and the schedules that prove them (see `dumpscan.scan.searcher.Searcher`).

    Attributes:
        untried: Windows that were not remembered in the last search, because there were too many of their kind.
    """

    signatures = SIGNATURES

    def __init__(self) -> None:
        self.untried = 0
        self._full = False
        self._schedules = ScheduleSearcher()
        self._plain = AlignedSearcher(SIGNATURES[:-1], self._find, WORD)
        self._counting = Lock()

    def batches(
        self, space: Scannable, *, threads: int | None = None, progress: Callable[[int], None] | None = None
    ) -> Iterator[Matches]:
        """Search an address space, twice: schedules have a pass of their own."""
        self.untried, self._full = 0, False
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

    def _find(self, data: memoryview, phases: tuple[int, ...]) -> Matches:
        """Search a buffer, in one of several threads (see `dumpscan.scan.passes.aligned_matches`)."""
        matches, skipped = _find(data, phases, full=self._full)
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
        self._full = not left[SIGNATURES.index(EDGE_32)]
        return Matches(matches.signatures[kept], matches.starts[kept])


def _by_alignment(matches: Matches) -> Matches:
    """Tell windows at multiples of 16 from the others without an edge, now that addresses are known."""
    numbers = matches.signatures.copy()
    for aligned, inner in ((ALIGNED_32, INNER_32), (ALIGNED_48, INNER_48)):
        own = (numbers == SIGNATURES.index(aligned)) & (matches.starts & np.uint64(_ALIGNED - 1) != 0)
        numbers[own] = SIGNATURES.index(inner)
    return Matches(numbers, matches.starts)


def _blocks(words: Words) -> Indexes:
    """Find 16 random-looking bytes that are not part of 32: where they begin, as indexes of words."""
    count, parts = BLOCK.length // WORD, [np.zeros(0, np.int64)]
    for begin in range(0, len(words), _AT_ONCE):
        first = max(begin - count, 0)
        lively = _lively(words[first : begin + _AT_ONCE + 2 * count])
        fours = lively[:-1] & lively[1:]
        fours = fours[:-2] & fours[2:]
        if not fours.any():
            continue
        windows = np.flatnonzero(fours[:-count] & fours[count:])
        fours &= ~_covered(SIZES[0], windows, len(lively))[: len(fours)]
        found = np.flatnonzero(fours) + first
        parts.append(found[(found >= begin) & (found < begin + _AT_ONCE)])
    found = np.concatenate(parts)
    held = words[found[:, np.newaxis] + np.arange(count)]
    likely = np.bitwise_count(held & _HIGH_BITS).sum(axis=1) >= _LEAST_HIGH
    values = np.sort(held[likely].view(np.uint8), axis=1)
    different = np.count_nonzero(values[:, 1:] != values[:, :-1], axis=1) + 1
    return np.asarray(found[likely][different >= _LEAST_DIFFERENT])


def _windows(words: Words) -> Iterator[tuple[int, Indexes, NDArray[np.bool_], int]]:
    """Find the windows that look random.

    A word is dull if its upper 16 bits are all equal, as in small numbers and in halves of pointers. One random word in
    32,768 is. A window has no dull word; a dull word just before it or just behind it is an edge.

    Yields:
        For each size, the indexes of the windows' first words, whether each window has an edge, and how many were left
        out because they are within long runs.
    """
    for begin in range(0, len(words), _AT_ONCE):
        first = max(begin - 1, 0)
        some = words[first : begin + _AT_ONCE + _MOST_WORDS]
        lively = _lively(some)
        if np.count_nonzero(lively) < _LEAST_WORDS:
            continue
        high = np.bitwise_count(some & _HIGH_BITS)
        high[some == _DOWNGRADE] = WORD  # a quarter of a server's random that is text says nothing against it
        around = np.concatenate(([False], lively, [False]))
        skipped = _hide_long_runs(lively)
        likely = {size: _likely(lively, high, size, begin - first) for size in SIZES}
        different = _DifferentBytes(some, likely)
        for size, found in likely.items():
            kept = found[different.of(size) >= size * 3 // 4]
            # What lies before or behind a buffer is not known; that it is an edge costs little.
            edge = ~around[kept] | ~around[kept + size // WORD + 1]
            yield size, kept + first, edge, skipped if size == SIZES[0] else 0


def _count(words: Words) -> int:
    """Count the windows of 32 bytes without a dull word."""
    count = 0
    for begin in range(0, len(words), _AT_ONCE):
        fits = _over(np.logical_and, _lively(words[begin : begin + _AT_ONCE + _LEAST_WORDS - 1]), _LEAST_WORDS)
        count += int(np.count_nonzero(fits))
    return count


def _lively(words: Words) -> NDArray[np.bool_]:
    return np.asarray(words + _ONE_UP > _MOST_DULL)


def _hide_long_runs(lively: NDArray[np.bool_]) -> int:
    """Make the inside of long runs look dull; return how many words that are."""
    parts = lively[: len(lively) // _PART_OF_RUN * _PART_OF_RUN].reshape(-1, _PART_OF_RUN)
    if not parts.all(axis=1).any():
        return 0
    dull = np.flatnonzero(~lively)
    bounds = np.concatenate(([-1], dull, [len(lively)]))
    hidden = 0
    for number in np.flatnonzero(np.diff(bounds) > MAX_RUN).tolist():
        begin, end = int(bounds[number]) + 1 + 2 * _MOST_WORDS, int(bounds[number + 1]) - 2 * _MOST_WORDS
        lively[begin:end] = False
        hidden += end - begin
    return hidden


def _likely(lively: NDArray[np.bool_], high: NDArray[np.uint8], size: int, begin: int) -> Indexes:
    """Return the windows that have no dull word, and enough bytes above 127, from a word on."""
    count = size // WORD
    fits = _over(np.logical_and, lively, count)
    if len(fits):
        fits &= _over(np.add, high, count) >= -(-size // 6)
    found = np.flatnonzero(fits)
    return found[(found >= begin) & (found < begin + _AT_ONCE)]


def _over(operation: np.ufunc, values: NDArray[Any], count: int) -> NDArray[Any]:
    """Combine each value with those behind it, as many in all as `count` says: 8 or 12."""
    for step in (1, 2):
        values = operation(values[:-step], values[step:])
    parts = range(0, count, 4)
    length = len(values) - parts[-1]
    if length <= 0:
        return values[:0]
    return functools.reduce(operation, [values[part : part + length] for part in parts])


class _DifferentBytes:
    """How many different bytes windows have. Of random ones of 32 bytes, one in a million has less than 24.

    Args:
        words: The words that the windows are in.
        found: The indexes of the windows' first words, by size.
    """

    def __init__(self, words: Words, found: dict[int, Indexes]) -> None:
        self._found = found
        covered = [_covered(size, first, len(words)) for size, first in found.items()]
        inside = np.flatnonzero(functools.reduce(np.logical_or, covered))
        self._place = np.zeros(len(words), np.int32)
        self._place[inside] = np.arange(len(inside), dtype=np.int32)
        own = words[inside].view(np.uint8).astype(np.intp)
        self._sets = _one_hot().take(own[::WORD], axis=0)
        for byte in range(1, WORD):
            self._sets |= _one_hot().take(own[byte::WORD], axis=0)

    def of(self, size: int) -> NDArray[np.uint32]:
        """Return the number for each window of a size."""
        counts = np.bitwise_count(_over(np.bitwise_or, self._sets, size // WORD)).view(np.uint32).reshape(-1)
        together = counts[self._place[self._found[size]]]
        return np.asarray(together * _SUM_OF_BYTES >> _HIGHEST_BYTE)


def _covered(size: int, first: Indexes, count: int) -> NDArray[np.bool_]:
    """Say which of so many words are in windows of a size, given where these begin."""
    begins = np.zeros(count + size // WORD - 1, np.bool_)
    begins[first + size // WORD - 1] = True
    return _over(np.logical_or, begins, size // WORD)


@functools.cache
def _one_hot() -> NDArray[np.uint64]:
    """Return each byte as a set of bytes: one bit of 256, in four words."""
    byte = np.arange(256)
    table = np.zeros((256, 4), np.uint64)
    table[byte, byte >> 6] = np.uint64(1) << (byte & 63).astype(np.uint64)
    return table


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
    first = words[master : master + count]
    at = np.flatnonzero((first << np.uint32(8) == 0) & (first != 0))
    for number in range(master - 1, id_length, -1):
        at = at[words[at + number] == 0]
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
    yield BORINGSSL_SESSION, _with_bytes(data, versions, BORINGSSL_SESSION_SIZE, _TLS_12_SESSION)
    for hello in _HELLOS:
        yield HELLO, _with_bytes(data, versions - _HELLO_VERSION, HELLO_SIZE, hello)


def _find(data: memoryview, phases: tuple[int, ...], *, full: bool = False) -> tuple[Matches, int]:
    """Search a buffer; say how many windows were left out: if there were enough before, all of them."""
    skipped = 0
    numbers, starts = [np.zeros(0, np.uint16)], [np.zeros(0, np.int64)]

    def add(signature: Signature, found: Indexes) -> None:
        numbers.append(np.full(len(found), SIGNATURES.index(signature), np.uint16))
        starts.append(found)

    for phase in phases:
        count = max(len(data) - phase, 0) // WORD
        words = np.frombuffer(data, "<u4", count, min(phase, len(data)))
        if full:
            skipped += _count(words)
        for size, found, edge, hidden in _windows(words) if not full else ():
            skipped += hidden
            place = found * WORD + phase
            add(EDGE_32 if size == SIZES[0] else EDGE_48, place[edge])
            add(ALIGNED_32 if size == SIZES[0] else ALIGNED_48, place[~edge])
        add(BLOCK, _blocks(words) * WORD + phase)
        add(SESSION, _sessions(words) * WORD + phase)
        add(EXPANSION, _expansions(words) * WORD + phase)
        add(WOLFSSL, _wolfssl(words) * WORD + phase)
    plain = np.frombuffer(data, np.uint8)
    for signature, at in _anywhere(plain):
        for phase in phases:  # the multiple of four before it announces it
            rounded = np.unique(at - (at - phase) % WORD)
            add(signature, rounded[rounded >= 0])
    return Matches(np.concatenate(numbers), np.concatenate(starts).astype(np.uint64)), skipped
