"""Numbers about a page map, for display."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from dumpscan.memory.physical.page_map import PageMap


@dataclass(frozen=True, slots=True)
class MapStatistics:
    """Numbers about the map; pages are of 4 KiB.

    Attributes:
        pages: Mapped pages, each counted for every owner.
        large_pages: Pages of 2 MiB and 1 GiB, as such.
        frames: Frames that some owner maps.
        transition: Pages in transition.
        prototypes: Pages found through prototype entries.
        absent: Pages and page tables that lie outside of the image.
        looped: Tables met again below the same root.
    """

    pages: int
    large_pages: int
    frames: int
    transition: int
    prototypes: int
    absent: int
    looped: int


def map_statistics(page_map: PageMap) -> MapStatistics:
    """Count what is in a page map."""
    frame, span = page_map.columns
    large = np.flatnonzero(span)
    frames = np.unique(frame[span == 0]).astype(np.int64)
    if len(large):
        starts = np.unique((frame[large].astype(np.int64) << 8) | span[large])
        within = [np.arange(start >> 8, (start >> 8) + (1 << (start & 0xFF))) for start in starts.tolist()]
        frames = np.unique(np.concatenate((frames, *within)))
    walk = page_map.walk
    return MapStatistics(
        pages=int((1 << span.astype(np.int64)).sum()),
        large_pages=len(large),
        frames=len(frames),
        transition=walk.transition,
        prototypes=page_map.through_prototypes,
        absent=int(walk.absent.sum() + walk.absent_tables.sum()),
        looped=walk.looped,
    )
