"""AES key schedules in a kernel image: where in physical memory they begin, those across borders of pages included."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from dumpscan.artifacts.aes import schedule as aes_schedule
from dumpscan.artifacts.symcrypt.aes import decode_schedule
from dumpscan.model.windows.c_paging import PAGE_SHIFT, PAGE_SIZE
from dumpscan.scan.signature import Signature

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from dumpscan.artifacts.decoded import Decoded
    from dumpscan.memory.physical.image import PhysicalImage
    from dumpscan.memory.physical.page_map import PageMap
    from dumpscan.memory.space import Memory

SCHEDULE = Signature("aes-schedule", b"", aes_schedule.LONGEST)
"""Stands for a schedule among the engine's signatures, though no expression finds it."""

_EDGE = aes_schedule.LONGEST - 1
_PAIRS_AT_ONCE = 1 << 16


def decode_at(memory: Memory, address: int) -> Decoded | None:
    """Decode the schedule that begins at an address of somebody's memory."""
    for schedule in aes_schedule.find(memory.read(address, aes_schedule.LONGEST)):
        if schedule.address == 0:
            return decode_schedule(memory, aes_schedule.Schedule(address, schedule.key, schedule.swapped))
    return None


def schedule_starts(
    physical: PhysicalImage,
    page_map: PageMap | None,
    *,
    threads: int | None = None,
    progress: Callable[[int], None] | None = None,
) -> Iterator[NDArray[np.int64]]:
    """Find where schedules may begin, as physical addresses; whether one is whole there, its owner's memory tells."""
    within = [schedule.address for schedule in aes_schedule.search(physical, threads=threads, progress=progress)]
    yield np.array(within, np.int64)
    if page_map is None:
        return
    for tails, heads in page_map.seams(_PAIRS_AT_ONCE):
        joined = physical.gather_edges(tails, heads, _EDGE)
        offsets = np.array([schedule.address for schedule in aes_schedule.find(joined.reshape(-1))], np.int64)
        pair, start = np.divmod(offsets, 2 * _EDGE)
        before = start < _EDGE
        yield np.unique((tails[pair[before]] << PAGE_SHIFT) + PAGE_SIZE - _EDGE + start[before])
