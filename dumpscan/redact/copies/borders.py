"""Copies of secrets that lie across a border of pages in virtual memory, in frames that are apart in an image.

The part in either frame may be shorter than what `copies` looks for, so the edges of both are joined and searched.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from dumpscan.exceptions import DumpscanError
from dumpscan.model.windows.c_paging import PAGE_SIZE
from dumpscan.redact.copies.search import MAX_LITERAL
from dumpscan.redact.secret import Place

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from dumpscan.memory.dump import PhysicalDump
    from dumpscan.memory.physical.page_map import PageMap
    from dumpscan.redact.copies.search import Copies
    from dumpscan.redact.secret import Secret

    Offsets = NDArray[np.int64]

EDGE = MAX_LITERAL
"""Bytes of either frame that are joined."""
_AT_ONCE = 64 << 20
"""Bytes of joined edges that are searched at once."""


def across_borders(
    dump: PhysicalDump, copies: Copies, changed: Sequence[tuple[int, int]] | None = None
) -> Iterator[tuple[Secret, Place]]:
    """Yield the parts of every copy that lies in two such frames; without page tables, none is known.

    Args:
        dump: The image.
        copies: Looks for copies.
        changed: Where bytes were changed since the same was searched for, as (offset, end) in the file, ascending and
            apart: only frames with such bytes are looked at. By default all are.
    """
    for page_map in _page_maps(dump):
        for tails, heads in page_map.seams(_AT_ONCE // (2 * EDGE)):
            ends, begins = dump.physical.offsets(tails) + PAGE_SIZE, dump.physical.offsets(heads)
            if changed is not None:
                touched = _touched(ends - EDGE, changed) | _touched(begins, changed)
                tails, heads, ends, begins = (each[touched] for each in (tails, heads, ends, begins))  # noqa: PLW2901 - fewer of the same
            if not len(tails):
                continue
            joined = dump.physical.gather_edges(tails, heads, EDGE).reshape(-1)
            for secret, place in copies.find(joined.data):
                for part in _parts(place, ends, begins):
                    yield secret, part


def _page_maps(dump: PhysicalDump) -> Iterator[PageMap]:
    try:
        yield dump.best_page_map()
    except DumpscanError:  # the search has said so
        return
    files = dump.cached_files()
    if files is not None:
        yield files.page_map


def _touched(offsets: Offsets, spans: Sequence[tuple[int, int]]) -> NDArray[np.bool_]:
    """Say which edges, which begin at some offsets, have bytes in one of several spans."""
    begins, ends = np.array(spans, np.int64).reshape(-1, 2).T
    first = np.searchsorted(ends, offsets, "right")
    return np.asarray(first < np.searchsorted(begins, offsets + EDGE))


def _parts(place: Place, ends: Offsets, begins: Offsets) -> Iterator[Place]:
    """Yield where in the file a copy lies that was found in joined edges, one part for each frame.

    Args:
        place: The copy.
        ends: The offsets at which the frames end whose last bytes come first, by pairs.
        begins: The offsets at which the others begin.
    """
    at, end = place.offset, place.offset + place.length
    while at < end:
        pair, within = divmod(at, 2 * EDGE)
        size = min(end - at, EDGE - within % EDGE)
        offset = int(ends[pair]) - EDGE + within if within < EDGE else int(begins[pair]) + within - EDGE
        yield Place(offset, size, place.form, place.wide)
        at += size
