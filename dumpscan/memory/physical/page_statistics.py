"""Statistics of a page map, for display."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dumpscan.memory.physical.page_map import PageMap


@dataclass(frozen=True, slots=True)
class MapStatistics:
    """Counts of what a page map holds; pages are of 4 KiB.

    Attributes:
        pages: Mapped pages, each counted for every owner.
        large_pages: Pages of 2 MiB and 1 GiB.
        frames: Frames that some owner maps.
        invalid: Pages whose entries are not valid (see `Walk.invalid`).
        resolved: Pages whose frames were found after the walk (see `PageMap.resolved`).
        absent: Pages and page tables that lie outside of the image.
        looped: Tables met again below the same root.
    """

    pages: int
    large_pages: int
    frames: int
    invalid: int
    resolved: int
    absent: int
    looped: int


def map_statistics(page_map: PageMap) -> MapStatistics:
    """Count what is in a page map."""
    frame, span = page_map.columns
    walk = page_map.walk
    return MapStatistics(
        pages=int((1 << span.astype(np.int64)).sum()),
        large_pages=int(np.count_nonzero(span)),
        frames=_count_frames(frame.astype(np.int64), span),
        invalid=walk.invalid,
        resolved=page_map.resolved,
        absent=int(walk.absent.sum() + walk.absent_tables.sum()),
        looped=walk.looped,
    )


def _count_frames(frame: NDArray[np.int64], span: NDArray[np.uint8]) -> int:
    """Count the frames of pages, each once. Large pages are counted as ranges: a forged image can have millions."""
    small = np.unique(frame[span == 0])
    starts = np.unique((frame[span > 0] << 8) | span[span > 0])
    starts, ends = starts >> 8, (starts >> 8) + (1 << (starts & 0xFF))
    if not len(starts):
        return len(small)
    ends = np.maximum.accumulate(ends)
    first = np.flatnonzero(np.concatenate(([True], starts[1:] > ends[:-1])))
    starts, ends = starts[first], ends[np.concatenate((first[1:], [len(ends)])) - 1]
    run = np.searchsorted(starts, small, side="right") - 1
    inside = (run >= 0) & (small < ends[run])
    return int((ends - starts).sum()) + int(np.count_nonzero(~inside))


def describe_pages(page_map: PageMap) -> dict[str, object]:
    """Return the statistics as the part `pages` of an image's description."""
    numbers = map_statistics(page_map)
    invalid, resolved = page_map.names
    in_image = page_map.image.frames
    return {
        "in_image": in_image,
        "mapped_frames": numbers.frames,
        "unmapped_frames": max(in_image - numbers.frames, 0),
        "mappings": numbers.pages,
        "large_pages": numbers.large_pages,
        invalid: numbers.invalid,
        resolved: numbers.resolved,
        "past_the_image": numbers.absent,
        "looped_tables": numbers.looped,
    }
