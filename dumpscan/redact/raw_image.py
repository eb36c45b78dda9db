"""A raw image of memory whose pages are compressed in its file: what is unpacked cannot be packed again at its place.

In a raw image, the offset in the file is the physical address. What the container's headers say is not in it.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import numpy as np

from dumpscan.memory.dump import is_physical
from dumpscan.memory.regions import columns_of
from dumpscan.redact.copying import write_at
from dumpscan.redact.secret import Place

if TYPE_CHECKING:
    from collections.abc import Iterable

    from dumpscan.memory.dump import Dump
    from dumpscan.memory.physical.image import PhysicalImage


def unpacked(dump: Dump) -> PhysicalImage | None:
    """Return the memory of an image that does not lie in its file as it is; None for all other dumps."""
    return dump.physical if is_physical(dump) and not dump.physical.in_file else None


def write_raw(physical: PhysicalImage, descriptor: int) -> None:
    """Write physical memory to a new file; what the image does not hold becomes holes.

    Raises:
        OSError: It cannot be written.
    """
    os.ftruncate(descriptor, physical.end)
    for region in physical.written:
        write_at(descriptor, physical.buffer[region.file_offset : region.file_offset + region.size], region.start)


def raw_places(physical: PhysicalImage, places: Iterable[Place]) -> set[Place]:
    """Return where bytes of the unpacked pages lie in the raw image; pages may share bytes there."""
    starts, sizes, offsets = (column.astype(np.int64) for column in columns_of(physical.written))
    ends = offsets + sizes
    found = set()
    for place in places:
        begin, end = place.offset, place.offset + place.length
        for number in np.flatnonzero((offsets < end) & (ends > begin)).tolist():
            first, past = max(begin, int(offsets[number])), min(end, int(ends[number]))
            found.add(Place(int(starts[number]) + first - int(offsets[number]), past - first, place.form, place.wide))
    return found
