"""AES key schedules in plain memory, of any library: found by the relation between their words, and by nothing else.

In a schedule of 32-bit words (FIPS 197, 5.2) every word is the exclusive or of the one before it and the one Nk words
before it, except one in Nk (for AES-256 two), which goes through the S-box. Three neighbouring words that keep the
plain relation, over four steps of Nk words, are looked for with whole-array operations; the few that are left are
expanded and compared.

A schedule may begin at any byte. Its words may be those of FIPS 197 byte for byte, or numbers (`swapped`: the portable
C code of several libraries loads them as big-endian numbers and keeps them so on a little-endian machine). Schedules
for decryption only are not looked for.
"""

from __future__ import annotations

import os
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from dumpscan.scan.stretches import FileStretches, Pieces, SeamWindows

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from dumpscan.scan.searcher import Scannable
    from dumpscan.scan.stretches import Block, Line

WORD = 4
KEY_WORDS = (4, 6, 8)
"""Nk of AES-128, AES-192 and AES-256."""
LONGEST = 240
"""Bytes of the schedule of AES-256."""
MOST_THREADS = 4

_STEPS = 4
"""Steps of Nk words over which the plain relation must hold before a schedule is expanded: 12 words in all."""
_CHUNK = 256 << 10
"""Bytes taken at a time: all arrays over them fit in a processor's second cache."""
_BATCH = 4096
"""Candidates that are gathered at a time."""


def schedule_size(key_words: int) -> int:
    """Bytes of the schedule of a key of so many words: Nk + 7 round keys."""
    return 16 * (key_words + 7)


@dataclass(frozen=True, slots=True)
class Schedule:
    """A key schedule.

    Attributes:
        address: Of its first byte (or offset, in a plain buffer).
        key: The key: 16, 24 or 32 bytes.
        swapped: Whether its words are numbers in the machine's own order.
    """

    address: int
    key: bytes = field(repr=False)
    swapped: bool

    @property
    def size(self) -> int:
        """Bytes of the schedule."""
        return schedule_size(len(self.key) // WORD)


@cache
def _sbox() -> NDArray[np.uint8]:
    """Compute the S-box (FIPS 197, 5.1.1): the inverse in GF(2^8), then an affine map."""
    powers, value = [], 1
    for _ in range(255):
        powers.append(value)
        value ^= value << 1 ^ (0x11B if value & 0x80 else 0)  # times 3, which generates the field
        value &= 0xFF
    inverse = [0] * 256
    for exponent, power in enumerate(powers):
        inverse[power] = powers[-exponent % 255]
    box = [number ^ 0x63 for number in inverse]
    for shift in range(1, 5):
        box = [old ^ (number << shift | number >> 8 - shift) & 0xFF for old, number in zip(box, inverse, strict=True)]
    return np.array(box, np.uint8)


def expand(key: bytes) -> bytes:
    """Return the schedule of a key (FIPS 197, 5.2)."""
    box = _sbox().tolist()
    key_words = len(key) // WORD
    words = [key[at : at + WORD] for at in range(0, len(key), WORD)]
    rcon = 1
    for index in range(key_words, schedule_size(key_words) // WORD):
        last = words[-1]
        if index % key_words == 0:
            last = bytes((box[last[1]] ^ rcon, box[last[2]], box[last[3]], box[last[0]]))
            rcon = rcon << 1 ^ (0x11B if rcon & 0x80 else 0)
        elif key_words > 6 and index % key_words == 4:  # noqa: PLR2004 - FIPS 197, figure 11
            last = bytes(box[byte] for byte in last)
        words.append(bytes(a ^ b for a, b in zip(last, words[-key_words], strict=True)))
    return b"".join(words)


def swap(data: bytes) -> bytes:
    """Turn every word's bytes round."""
    return np.frombuffer(data, ">u4").astype("<u4").tobytes()


def find(data: memoryview | bytes | NDArray[np.uint8]) -> list[Schedule]:
    """Find every schedule in a buffer, by ascending offset."""
    whole = data if isinstance(data, np.ndarray) else np.frombuffer(data, np.uint8)
    found = []
    for begin in range(0, len(whole), _CHUNK):
        chunk = whole[begin : begin + _CHUNK + LONGEST + WORD]
        if not _has_content(chunk):
            continue
        for phase in range(WORD):
            words = np.frombuffer(chunk[phase : phase + (len(chunk) - phase) // WORD * WORD].tobytes(), "<u4")
            for index, schedule in _in_words(words):
                offset = phase + index * WORD
                if offset < _CHUNK:
                    found.append(Schedule(begin + offset, schedule.key, schedule.swapped))
    return sorted(found, key=lambda schedule: schedule.address)


def _has_content(chunk: NDArray[np.uint8]) -> bool:
    """Tell a chunk of nothing but one byte, which is most often zero, by a sample and then in full."""
    sample = chunk[:: max(len(chunk) // 64, 1)]
    return bool((sample != chunk[0]).any() or (chunk != chunk[0]).any())


def _in_words(words: NDArray[np.uint32]) -> Iterator[tuple[int, Schedule]]:
    """Find the schedules among words."""
    if len(words) < schedule_size(KEY_WORDS[0]) // WORD:
        return
    steps = np.empty_like(words)
    np.bitwise_xor(words[1:], words[:-1], out=steps[1:])
    filled = words != 0
    for key_words in KEY_WORDS:
        length = len(words) - key_words * _STEPS - 3
        if length <= 0:
            continue
        # plain[j]: the word j + Nk is the exclusive or of the one before it and the word j, and is not zero.
        plain = steps[key_words:] == words[:-key_words]
        plain &= filled[key_words:]
        kept = plain[1 : 1 + length + 2].copy()
        for step in range(1, _STEPS):
            kept &= plain[1 + step * key_words : 1 + step * key_words + length + 2]
        starts = kept[:length] & kept[1 : 1 + length]
        starts &= kept[2 : 2 + length]
        if starts.any():
            yield from _expanded(words, np.flatnonzero(starts), key_words)


def _expanded(words: NDArray[np.uint32], starts: NDArray[np.intp], key_words: int) -> Iterator[tuple[int, Schedule]]:
    """Expand the candidates and keep those that are what they promise."""
    count = schedule_size(key_words) // WORD
    starts = starts[starts + count <= len(words)]
    for begin in range(0, len(starts), _BATCH):
        some = starts[begin : begin + _BATCH]
        last, first, through = words[some + key_words - 1], words[some], words[some + key_words]
        for swapped in (False, True):
            for index in some[through == first ^ _through_box(last, swapped=swapped)].tolist():
                stored = words[index : index + count].tobytes()
                plain = swap(stored) if swapped else stored
                key = plain[: key_words * WORD]
                if expand(key) == plain:
                    yield index, Schedule(index * WORD, key, swapped)


def _through_box(words: NDArray[np.uint32], *, swapped: bool) -> NDArray[np.uint32]:
    """Compute SubWord(RotWord(word)) with the first round constant."""
    substituted = _sbox()[words.view(np.uint8)].view(np.uint32)
    if swapped:
        return (substituted << np.uint32(8) | substituted >> np.uint32(24)) ^ np.uint32(1 << 24)
    return (substituted >> np.uint32(8) | substituted << np.uint32(24)) ^ np.uint32(1)


def search(
    space: Scannable,
    *,
    threads: int | None = None,
    progress: Callable[[int], None] | None = None,
) -> Iterator[Schedule]:
    """Find every schedule in an address space, across adjacent regions too, each place once.

    Args:
        space: The mapped file and its regions.
        threads: Threads to search with; by default as many as there are processors, up to `MOST_THREADS`.
        progress: Called with a number of bytes when so many more have been searched.

    Yields:
        Schedules, in the order of the file block by block, then those across seams.
    """
    pieces = Pieces.of(space.regions)
    overlap = LONGEST - 1
    if threads is None:
        threads = min(os.cpu_count() or 1, MOST_THREADS)
    waiting: deque[tuple[int, Future[list[Schedule]]]] = deque()

    def first() -> list[Schedule]:
        size, future = waiting.popleft()
        found = future.result()
        if progress is not None and size:
            progress(size)
        return found

    pool = ThreadPoolExecutor(threads, thread_name_prefix="dumpscan-aes")
    try:
        for line in (FileStretches(space.buffer, pieces, overlap), SeamWindows(space.buffer, pieces, overlap)):
            for block in line.blocks():
                waiting.append((block.size, pool.submit(_block, line, block)))
                if len(waiting) > 2 * threads:
                    yield from first()
        while waiting:
            yield from first()
    finally:
        pool.shutdown(cancel_futures=True)


def _block(line: Line, block: Block) -> list[Schedule]:
    """Search one block, in a thread of the pool."""
    schedules = find(line.data(block))
    if not schedules:
        return []
    starts = np.array([schedule.address + block.first for schedule in schedules], np.int64)
    ends = starts + np.array([schedule.size for schedule in schedules], np.int64)
    own = np.flatnonzero(ends > block.begin)  # the others ended in the block before
    indexes, addresses = line.locate(starts[own], ends[own])
    return [
        replace(schedules[index], address=address)
        for index, address in zip(own[indexes].tolist(), addresses.tolist(), strict=True)
    ]
