"""Where a minidump's memory ranges go in the file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from dumpscan.exceptions import ScenarioError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dumpscan.synth.filler import Content

_SCATTER_ALIGNMENT = 64
_MEMORY_LIST_LIMIT = 1 << 32


@dataclass(frozen=True, slots=True)
class MemoryRange:
    """A memory range to be written: virtual address, content, protection and type as `VirtualQuery` has them."""

    address: int
    content: Content
    protect: int
    type: int

    @property
    def end(self) -> int:
        """Address of the first byte past it."""
        return self.address + self.content.size


@dataclass(frozen=True, slots=True)
class PlacedRange:
    """A memory range as it was written: virtual address, size in bytes, offset in the file."""

    address: int
    size: int
    file_offset: int


def placed64(ranges: Sequence[MemoryRange], start: int) -> tuple[PlacedRange, ...]:
    """Lay the ranges' data one after the other from the offset `start`, as a Memory64List wants it."""
    placed = []
    for entry in ranges:
        placed.append(PlacedRange(entry.address, entry.content.size, start))
        start += entry.content.size
    return tuple(placed)


def placed32(ranges: Sequence[MemoryRange], start: int, *, scatter: bool) -> tuple[PlacedRange, ...]:
    """Lay the ranges' data from the offset `start` on; scattered, in reverse order and with gaps."""
    placed = []
    for entry in reversed(ranges) if scatter else ranges:
        if scatter:
            start = (start // _SCATTER_ALIGNMENT + 1) * _SCATTER_ALIGNMENT
        placed.append(PlacedRange(entry.address, entry.content.size, start))
        start += entry.content.size
    if start > _MEMORY_LIST_LIMIT:
        raise ScenarioError(f"{start} bytes do not fit into a MemoryList, whose offsets have 32 bits; use memory64")
    return tuple(reversed(placed) if scatter else placed)
