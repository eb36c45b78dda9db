"""The search for AES key schedules as a peer of the engine: it finds what no byte signature can express."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from dumpscan.artifacts import effort
from dumpscan.artifacts.aes import schedule as aes_schedule
from dumpscan.artifacts.symcrypt.aes import decode_schedule
from dumpscan.scan.searcher import Matches
from dumpscan.scan.signature import Signature

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from dumpscan.artifacts.decoded import Decoded
    from dumpscan.artifacts.detector import Detector
    from dumpscan.memory.space import Memory
    from dumpscan.scan.searcher import Scannable

_SCHEDULE = Signature("aes-schedule", b"", aes_schedule.LONGEST + 1)
"""What the matches announce; no expression finds it. With one byte more than the longest schedule has, the edges of
pages that are joined to be searched (one byte less each) are whole words."""
_MICROSECONDS = 700
"""What a schedule takes, from its proof to its last line of output."""


class ScheduleSearcher:
    """Finds where AES key schedules begin (see `dumpscan.scan.searcher.Searcher`).

    Args:
        unaligned: Whether to look at addresses that are no multiples of four too.
    """

    signatures = (_SCHEDULE,)

    def __init__(self, *, unaligned: bool = False) -> None:
        self._unaligned = unaligned

    def batches(
        self, space: Scannable, *, threads: int | None = None, progress: Callable[[int], None] | None = None
    ) -> Iterator[Matches]:
        """Search an address space; each batch holds one schedule."""
        found = aes_schedule.search(space, unaligned=self._unaligned, threads=threads, progress=progress)
        for schedule in found:
            yield _matches([schedule.address])

    def scan_buffer(self, data: memoryview | bytes, *, threads: int | None = None) -> Matches:  # noqa: ARG002 - one thread will do
        """Search a contiguous buffer; words begin where it does."""
        phases = aes_schedule.ALL_PHASES if self._unaligned else (0,)
        return _matches([schedule.address for schedule in aes_schedule.find(data, phases)])


def _matches(starts: list[int]) -> Matches:
    return Matches(np.zeros(len(starts), np.uint16), np.array(starts, np.uint64))


def decode_at(memory: Memory, address: int) -> Decoded | None:
    """Decode the schedule that begins at an address."""
    effort.charge(_MICROSECONDS)
    for schedule in aes_schedule.find(memory.read(address, aes_schedule.LONGEST), (0,)):
        if schedule.address == 0:
            found = aes_schedule.Schedule(address, schedule.key, schedule.swapped, schedule.decryption)
            return decode_schedule(memory, found)
    return None


DETECTORS: tuple[Detector, ...] = ((ScheduleSearcher(), decode_at),)
"""Schedules at addresses that are multiples of four, where programs keep them."""
UNALIGNED_DETECTORS: tuple[Detector, ...] = ((ScheduleSearcher(unaligned=True), decode_at),)
"""Schedules at any address."""
