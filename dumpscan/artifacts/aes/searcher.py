"""The search for AES key schedules as a peer of the engine: it finds what no byte signature can express."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from dumpscan.artifacts.aes import schedule as aes_schedule
from dumpscan.artifacts.symcrypt.aes import decode_schedule
from dumpscan.scan.searcher import Matches
from dumpscan.scan.signature import Signature

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from dumpscan.artifacts.decoded import Decoded, Detector
    from dumpscan.memory.space import Memory
    from dumpscan.scan.searcher import Scannable

_SCHEDULE = Signature("aes-schedule", b"", aes_schedule.LONGEST)
"""What the matches announce; no expression finds it."""


class ScheduleSearcher:
    """Finds where AES key schedules begin (see `dumpscan.scan.searcher.Searcher`)."""

    signatures = (_SCHEDULE,)

    def batches(
        self, space: Scannable, *, threads: int | None = None, progress: Callable[[int], None] | None = None
    ) -> Iterator[Matches]:
        """Search an address space; each batch holds one schedule."""
        for schedule in aes_schedule.search(space, threads=threads, progress=progress):
            yield _matches([schedule.address])

    def scan_buffer(self, data: memoryview | bytes, *, threads: int | None = None) -> Matches:  # noqa: ARG002 - one thread will do
        """Search a contiguous buffer."""
        return _matches([schedule.address for schedule in aes_schedule.find(data)])


def _matches(starts: list[int]) -> Matches:
    return Matches(np.zeros(len(starts), np.uint16), np.array(starts, np.uint64))


def decode_at(memory: Memory, address: int) -> Decoded | None:
    """Decode the schedule that begins at an address."""
    for schedule in aes_schedule.find(memory.read(address, aes_schedule.LONGEST)):
        if schedule.address == 0:
            return decode_schedule(memory, aes_schedule.Schedule(address, schedule.key, schedule.swapped))
    return None


DETECTORS: tuple[Detector, ...] = ((ScheduleSearcher(), decode_at),)
