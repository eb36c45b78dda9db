"""The memory of a process: the ranges that a region is cut into, and the parts of an object that a dump holds."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from dumpscan.synth.filler import filler
from dumpscan.synth.placement import Area

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from dumpscan.synth.filler import Content
    from dumpscan.synth.scenario import RegionSpec


@dataclass(frozen=True, slots=True)
class PlacedRange:
    """A memory range in the file: virtual address, size in bytes, file offset."""

    address: int
    size: int
    file_offset: int

    @property
    def end(self) -> int:
        """Address past the last byte."""
        return self.address + self.size


def region_ranges(region: RegionSpec, start: int, seed: str) -> Iterator[tuple[int, Content]]:
    """Yield the (virtual address, content) of each memory range of a region at `start`."""
    edges = sorted({0, region.size, *_hole_edges(region), *region.splits})
    for index, (low, high) in enumerate(pairwise(edges)):
        if not any(first <= low < first + size for first, size in region.holes):
            yield start + low, filler(region.filler, high - low, f"{seed}/{index}")


def region_areas(region: RegionSpec, start: int) -> Iterator[Area]:
    """Yield the areas of a region at `start` in which objects may lie: its parts between the holes, and the holes."""
    for low, high in pairwise(sorted({0, region.size, *_hole_edges(region)})):
        seams = tuple(start + split for split in region.splits if low < split < high)
        yield Area(region.name, start + low, high - low, seams, hole=(low, high - low) in region.holes)


def _hole_edges(region: RegionSpec) -> Iterator[int]:
    for start, size in region.holes:
        yield from (start, start + size)


def held_parts(ranges: Iterable[tuple[int, int]], address: int, size: int) -> Iterator[tuple[int, int]]:
    """Yield the parts of `size` bytes at `address` that some ranges hold, as (first, past the last) offsets.

    Args:
        ranges: (first address, address past the last), ascending.
        address: Virtual address of the first byte.
        size: Bytes.
    """
    for start, end in ranges:
        low, high = max(start - address, 0), min(end - address, size)
        if low < high:
            yield low, high


def missing_parts(ranges: Iterable[tuple[int, int]], address: int, size: int) -> list[tuple[int, int]]:
    """Return the parts that no range holds; arguments and parts are those of `held_parts`."""
    edges = [0, *(edge for part in held_parts(ranges, address, size) for edge in part), size]
    return [(low, high) for low, high in zip(edges[::2], edges[1::2], strict=True) if low < high]


def file_extents(ranges: Iterable[PlacedRange], address: int, size: int) -> list[list[int]]:
    """Return the [offset, length] pairs at which `size` bytes at `address` lie in the file.

    The ranges are in ascending order. Parts that are adjacent in the file make one pair.
    """
    extents: list[list[int]] = []
    for held in ranges:
        low, high = max(address, held.address), min(address + size, held.end)
        if low < high:
            offset = held.file_offset + low - held.address
            if extents and sum(extents[-1]) == offset:
                extents[-1][1] += high - low
            else:
                extents.append([offset, high - low])
    return extents
