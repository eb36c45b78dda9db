"""Physical memory with page tables built by hand, for tests: no kernel in it, and nothing that the synth builds."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING

from dumpscan.findings import Process
from dumpscan.memory.mapped_file import MappedFile
from dumpscan.memory.physical.image import PhysicalImage
from dumpscan.memory.physical.page_map import Owner

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dumpscan.memory.physical.page_map import PageMap

PAGE = 4096
PRESENT = 0x67
LARGE = 0x80
TRANSITION = 0x860
PAGED_OUT = (0x123 << 32) | 0x80
MASK = (1 << 45) - 1 & ~0xFFF


class TableImage:
    """Frames in memory, in which tables are made as they are needed, from the highest frame down.

    Attributes:
        data: All of physical memory.
    """

    def __init__(self, frames: int = 256) -> None:
        self.data = bytearray(frames * PAGE)
        self._next_table = frames - 1

    def new_frame(self) -> int:
        """Hand out a frame from the top."""
        self._next_table -= 1
        return self._next_table + 1

    def root(self) -> int:
        """Make an empty top-level table."""
        return self.new_frame()

    def entry(self, root: int, address: int, level: int = 1) -> int:
        """Return where the entry for an address lies (level 1: page table, 3: directory pointers), making tables."""
        table = root
        for depth in range(4, level, -1):
            at = table * PAGE + ((address >> (12 + 9 * (depth - 1))) & 511) * 8
            entry = self.number(at)
            if not entry & 1:
                entry = (self.new_frame() << 12) | PRESENT
                self.write(at, entry.to_bytes(8, "little"))
            table = (entry & MASK) >> 12
        return table * PAGE + ((address >> (12 + 9 * (level - 1))) & 511) * 8

    def map(self, root: int, address: int, frame: int, flags: int = PRESENT, level: int = 1) -> None:
        """Map a page of 4 KiB (level 1), 2 MiB (2) or 1 GiB (3)."""
        self.raw(root, address, (frame << 12) | flags | (LARGE if level > 1 else 0), level)

    def raw(self, root: int, address: int, entry: int, level: int = 1) -> None:
        """Set the entry for an address to any number."""
        self.write(self.entry(root, address, level), entry.to_bytes(8, "little"))

    def number(self, at: int) -> int:
        """Read a 64-bit number at a physical address."""
        return int.from_bytes(self.data[at : at + 8], "little")

    def write(self, at: int, data: bytes) -> None:
        """Put bytes at a physical address."""
        self.data[at : at + len(data)] = data

    def open(self, directory: Path, runs: Sequence[tuple[int, int, int]] | None = None) -> PhysicalImage:
        """Write the memory into a file and open it."""
        return open_bytes(directory, bytes(self.data), runs)


def open_bytes(directory: Path, data: bytes, runs: Sequence[tuple[int, int, int]] | None = None) -> PhysicalImage:
    """Open bytes as an image; `runs` are (physical address, size, file offset)."""
    path = Path(directory) / "image.raw"
    path.write_bytes(data)
    file = MappedFile(path)
    return PhysicalImage(file, [(0, file.size, 0)] if runs is None else runs, image_format="raw", path=path)


def owner(root: int, pid: int = 8, *, kernel: bool = False, architecture: str | None = None) -> Owner:
    """Make an owner of a page map."""
    return Owner(Process(pid=pid, name=f"p{pid}", architecture=architecture), root, kernel=kernel)


class MappedDump:
    """As much of a dump of physical memory as a search needs.

    Args:
        page_map: Who maps what.
        files: The pages of files that the system caches; by default nothing is known of them.
    """

    def __init__(self, page_map: PageMap, files: PageMap | None = None) -> None:
        self.physical = page_map.image
        self._map = page_map
        self._files = files

    def best_page_map(self) -> PageMap:
        """Return the page map."""
        return self._map

    def cached_files(self) -> SimpleNamespace | None:
        """Return the page map of files."""
        return SimpleNamespace(page_map=self._files) if self._files is not None else None

    def page_use(self, physical: int) -> None:
        """Nothing is known of what pages are used for."""
