"""Searches by functions over blocks: what a function announces past the end of its block is for the next one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dumpscan.memory.space import Region
from dumpscan.scan.passes import aligned_matches
from dumpscan.scan.searcher import Matches
from dumpscan.scan.signature import Signature

WORD = 8


@dataclass
class Space:
    """Regions of one buffer."""

    buffer: memoryview
    regions: list[Region]


def test_a_match_that_would_end_past_the_last_window_of_a_seam_is_none() -> None:
    data = bytes(2 * 4096)
    apart = [Region(0x10000, 4096, 4096), Region(0x11000, 4096, 0)]  # neighbours, in the file the other way round

    def every_word(some: memoryview, phases: tuple[int, ...]) -> Matches:
        starts = np.concatenate([np.arange(phase, len(some), WORD, np.uint64) for phase in phases])
        return Matches(np.zeros(len(starts), np.uint16), starts)

    found = list(aligned_matches(Space(memoryview(data), apart), [Signature("x", b"", 64)], every_word))

    addresses = np.unique(np.concatenate([each.starts for each in found])).tolist()
    assert addresses == list(range(0x10000, 0x12000 - 64 + 1, WORD))
