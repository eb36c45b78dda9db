"""The memory ranges of a minidump, and where their data lie in the file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from dumpscan.exceptions import ScenarioError
from dumpscan.synth.regions import PlacedRange

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dumpscan.synth.filler import Content

_SCATTER_ALIGNMENT = 64
_MAX_OFFSET32 = 1 << 32


@dataclass(frozen=True, slots=True)
class MemoryRange:
    """A memory range to write: virtual address, content, and protection and type as `VirtualQuery` has them."""

    address: int
    content: Content
    protect: int
    type: int

    @property
    def end(self) -> int:
        """Address past the last byte."""
        return self.address + self.content.size


def placed64(ranges: Sequence[MemoryRange], start: int) -> tuple[PlacedRange, ...]:
    """Place the data of the ranges one after another from the offset `start` on, as a Memory64List requires."""
    return _placed(ranges, start, gaps=False)


def placed32(ranges: Sequence[MemoryRange], start: int, *, scatter: bool) -> tuple[PlacedRange, ...]:
    """Place the data of the ranges from the offset `start` on; if `scatter`, in reverse order and with gaps.

    Raises:
        ScenarioError: If the data end beyond 4 GiB.
    """
    placed = _placed(ranges[::-1], start, gaps=True)[::-1] if scatter else _placed(ranges, start, gaps=False)
    end = max((place.file_offset + place.size for place in placed), default=start)
    if end > _MAX_OFFSET32:
        raise ScenarioError(f"{end} bytes do not fit into a MemoryList, whose offsets have 32 bits; use memory64")
    return placed


def _placed(ranges: Sequence[MemoryRange], start: int, *, gaps: bool) -> tuple[PlacedRange, ...]:
    placed = []
    for entry in ranges:
        if gaps:
            start = (start // _SCATTER_ALIGNMENT + 1) * _SCATTER_ALIGNMENT
        placed.append(PlacedRange(entry.address, entry.content.size, start))
        start += entry.content.size
    return tuple(placed)
