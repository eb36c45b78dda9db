"""Keys whose schedules are in memory."""

from __future__ import annotations

from dumpscan.artifacts.aes.cipher import expand, swap
from dumpscan.artifacts.tls.places import Places
from dumpscan.artifacts.tls.windows import TlsSearcher
from dumpscan.memory.regions import read_words
from dumpscan.scan.searcher import by_place
from support.artifact_samples import Space

BASE = 0x5560_0000_0000


def test_keys_of_schedules_that_lie_close_together_and_end_with_the_memory() -> None:
    keys = [bytes(range(first, first + size)) for first, size in ((1, 16), (40, 32), (80, 16), (120, 32))]
    schedules = [expand(key) for key in keys]
    schedules[1] = swap(schedules[1])
    space = Space({BASE: bytes(64) + b"".join(schedules)})
    matches = by_place(TlsSearcher().batches(space))
    assert Places(space, read_words(space.buffer, space.regions), matches).aes_keys == set(keys)
