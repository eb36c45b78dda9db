"""What the benchmarks measure a search against: a plain read of the same file."""

from __future__ import annotations

import mmap
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from pathlib import Path

MIB, GIB = 1 << 20, 1 << 30


def plain_read(path: Path) -> int:
    """Add up the mapped file as 64-bit numbers: every byte is read once."""
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
        numbers = np.frombuffer(mapped, np.uint64, len(mapped) // 8)
        total = int(numbers.sum())
        del numbers
        return total
