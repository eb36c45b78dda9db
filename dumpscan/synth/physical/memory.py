"""Physical memory of a synthetic image: a sparse file whose frames are given out in an order chosen by the seed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from dumpscan.exceptions import ScenarioError
from dumpscan.model.windows.c_paging import HUGE_PAGE_SIZE, LARGE_PAGE_SIZE, PAGE_SHIFT, PAGE_SIZE
from dumpscan.synth.seeded import SeededBytes

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from typing import IO

    from numpy.typing import NDArray

FIRST_FREE = 0x10_0000
"""Frames below this physical address have fixed uses, like the start block and the firmware's memory on every PC."""
TABLES_FROM = 0x100_0000
"""Physical address from which page tables lie. The system's own top table is the only one below: volatility3 takes the
lowest that it finds (docs/memory-layouts.md, "Windows kernel images")."""
_TABLE_SHARE = 10
"""One frame of this many above `TABLES_FROM` is kept for page tables."""


def raw_words(seed: str, label: str, count: int) -> NDArray[np.uint64]:
    """Return `count` seeded 64-bit words.

    numpy guarantees that the raw output of a bit generator stays the same in every version, but not the output of other
    methods.
    """
    key = int.from_bytes(SeededBytes(label, seed).take(16), "little")
    return np.random.Philox(key=key).random_raw(count)


class PhysicalMemory:
    """RAM as a memory-mapped raw image: the offset of a byte in the file is its physical address.

    Args:
        file: An empty file, open for reading and writing. It stays sparse where nothing is written.
        runs: Ascending (first byte, bytes) of RAM, page-aligned. There is no RAM between them, only zeros in the file.
        seed: Determines the order in which frames are given out.
        keep: Frames above `FIRST_FREE` with a fixed use, which are not given out.
        large: Number of 2 MiB pages to reserve.
        huge: Number of 1 GiB pages to reserve.

    Raises:
        ScenarioError: If there is no room for the large pages.
        OSError: If the file cannot grow or be mapped.
    """

    def __init__(
        self,
        file: IO[bytes],
        runs: Sequence[tuple[int, int]],
        seed: str,
        *,
        keep: Collection[int] = (),
        large: int = 0,
        huge: int = 0,
    ) -> None:
        self._file = file
        self.runs = tuple(runs)
        self.size = max(start + size for start, size in runs)
        file.truncate(self.size)
        self.bytes = np.memmap(file, dtype=np.uint8, mode="r+", shape=(self.size,))
        self.words = self.bytes.view(np.uint64)
        self.pages = self.bytes.reshape(-1, PAGE_SIZE)
        self.filled = np.zeros(len(self.pages), dtype=bool)
        ram = np.zeros(self.size >> PAGE_SHIFT, dtype=bool)
        for start, size in runs:
            ram[start >> PAGE_SHIFT : (start + size) >> PAGE_SHIFT] = True
        usable = ram.copy()
        usable[: FIRST_FREE >> PAGE_SHIFT] = False
        kept = np.array(list(keep), dtype=np.intp)
        usable[kept] = False
        self._contiguous: dict[int, list[int]] = {}
        for bytes_each, count in ((HUGE_PAGE_SIZE, huge), (LARGE_PAGE_SIZE, large)):
            self._contiguous[bytes_each] = self._reserve(usable, bytes_each, count, seed)
        self._set_aside = ram & ~usable
        frames = np.flatnonzero(usable).astype(np.uint64)
        frames = frames[np.argsort(raw_words(seed, "frames", len(frames)), kind="stable")]
        high = frames >= TABLES_FROM >> PAGE_SHIFT
        table_count = int(high.sum()) // _TABLE_SHARE
        table_index = np.flatnonzero(high)[:table_count]
        self._tables = frames[table_index]
        self._data = np.delete(frames, table_index)
        self._next_table = self._next_data = 0

    @staticmethod
    def _reserve(usable: NDArray[np.bool_], bytes_each: int, count: int, seed: str) -> list[int]:
        pages = bytes_each >> PAGE_SHIFT
        whole = len(usable) // pages * pages
        first = np.flatnonzero(usable[:whole].reshape(-1, pages).all(axis=1))
        first = first[first >= -(-TABLES_FROM // bytes_each)]
        if len(first) < count:
            raise ScenarioError(
                f"the image has room for {len(first)} pages of {bytes_each >> 20} MiB; the scenario asks for {count}"
            )
        order = np.argsort(raw_words(seed, f"large-{pages}", len(first)), kind="stable")[:count]
        chosen = [int(run) * pages for run in first[order]]
        for frame in chosen:
            usable[frame : frame + pages] = False
        return chosen

    def take(self, count: int) -> NDArray[np.uint64]:
        """Return the numbers of `count` frames that nothing else uses.

        Raises:
            ScenarioError: If the image is too small.
        """
        end = self._next_data + count
        if end > len(self._data):
            raise ScenarioError(
                f"the image's {self.size >> 20} MiB are too small: {count} more pages wanted, "
                f"{self.free_frames} of {len(self._data)} left"
            )
        frames = self._data[self._next_data : end]
        self._next_data = end
        return frames

    def take_table(self) -> int:
        """Return a zeroed frame for a page table."""
        if self._next_table == len(self._tables):
            raise ScenarioError(f"the image's {self.size >> 20} MiB are too small for the page tables of its processes")
        frame = int(self._tables[self._next_table])
        self._next_table += 1
        self.clear(frame)
        return frame

    def take_contiguous(self, bytes_each: int) -> int:
        """Return the first frame of one of the reserved pages of 2 MiB or 1 GiB."""
        return self._contiguous[bytes_each].pop()

    @property
    def free_frames(self) -> int:
        """Number of frames that are free for data."""
        return len(self._data) - self._next_data

    @property
    def table_frames(self) -> NDArray[np.uint64]:
        """Frames that were given out for page tables."""
        return self._tables[: self._next_table]

    def in_use(self) -> NDArray[np.bool_]:
        """Return for each frame whether it holds something: data, a page table, filler, or a fixed use."""
        held = self.filled.copy()
        held[self._data[: self._next_data]] = True
        held[self._tables[: self._next_table]] = True
        held[self._set_aside] = True
        return held

    def clear(self, frame: int) -> None:
        """Fill a frame with zeros."""
        self.bytes[frame << PAGE_SHIFT : (frame + 1) << PAGE_SHIFT] = 0

    def table(self, frame: int) -> NDArray[np.uint64]:
        """Return a frame as an array of 512 entries. Writing to it writes to the memory."""
        first = frame << PAGE_SHIFT >> 3
        return self.words[first : first + (PAGE_SIZE >> 3)]

    def write(self, address: int, data: bytes | bytearray | memoryview) -> None:
        """Write at a physical address."""
        self.bytes[address : address + len(data)] = np.frombuffer(data, dtype=np.uint8)

    def write_pages(self, frame: int, content: NDArray[np.uint8]) -> None:
        """Write whole frames through the file, which is faster than through the mapping and leaves larger holes."""
        self._file.seek(frame << PAGE_SHIFT)
        self._file.write(content.data)
        self._file.flush()

    def read(self, address: int, size: int) -> bytes:
        """Read at a physical address."""
        return self.bytes[address : address + size].tobytes()

    def close(self) -> None:
        """Unmap the file. The operating system writes back what is not yet on the disk."""
        del self.pages, self.words, self.bytes
