"""The physical memory that an image holds: runs of a memory-mapped file, addressed by physical address or page frame.

The layers above work in page frames of 4 KiB. A frame is present if one run holds all of it. The tables of runs are
numpy arrays, so that one call looks up or gathers a hundred thousand frames.
"""

from __future__ import annotations

import mmap
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Self

import numpy as np
from numpy.lib.stride_tricks import as_strided

from dumpscan.exceptions import InputError
from dumpscan.memory.records import exact_sum
from dumpscan.memory.regions import RegionTable, without_holes, without_overlaps
from dumpscan.memory.space import ANYWHERE
from dumpscan.model.windows.c_paging import PAGE_SHIFT, PAGE_SIZE

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from datetime import datetime
    from pathlib import Path
    from types import TracebackType

    from numpy.typing import NDArray

    from dumpscan.findings import Process
    from dumpscan.memory.physical.unpacked import Backing

    Frames = NDArray[np.int64]
    Bytes = NDArray[np.uint8]
    Numbers = NDArray[np.uint64]

FRAME_LIMIT = 1 << 32
"""Frame numbers are kept in 32 bits."""
ADDRESS_LIMIT = FRAME_LIMIT << PAGE_SHIFT
"""Physical addresses end here, at 16 TiB. Real machines use far less; runs of memory further up are left out."""

MAX_SHARING = 4
"""How many times the file's size its runs may have together. In real images they share no bytes."""

_RELEASE_STEP = 128 << 20
"""Bytes read before the mapping's pages are given back to the system: until then they count as the process's memory."""
_CHUNK = 16 << 20
_TABLES_AT_ONCE = 256
"""Frames copied before pages are given back: the system maps neighbours of every page that is touched."""
_FRAMES_AT_ONCE = 1 << 14
_COPIERS = 2


class PhysicalImage:
    """An image of physical memory; it is an `AddressSpace` whose addresses are physical.

    Args:
        file: The mapped image (of a compressed one: what it was unpacked to).
        runs: (physical address, size in bytes, file offset) of each run that the format declares: an array of shape
            (n, 3), or such tuples. Where runs overlap, the one that is listed first counts.
        image_format: Name of the format for display.
        path: The image as the user named it.
        in_file: Whether file offsets are those of the user's file.

    Attributes:
        format: As given.
        problems: What is wrong with the runs, a sentence each.
        frames: Number of frames that are present whole.
        end: Physical address past the last byte.
        captured: When the image was made, UTC, according to its container; None where that does not say.
        written: `regions` less the holes of a sparse file, which are zeros: all in which there may be something.
        vmcoreinfo: The text of the container's VMCOREINFO note, which describes a Linux kernel; None without one.
    """

    def __init__(
        self,
        file: Backing,
        runs: Numbers | Iterable[tuple[int, int, int]],
        *,
        image_format: str,
        path: Path,
        in_file: bool = True,
    ) -> None:
        self._file = file
        self._path = path
        self.format = image_format
        self.in_file = in_file
        self._tells_offsets = in_file
        self.problems: list[str] = []
        self.captured: datetime | None = None
        self.vmcoreinfo: bytes | None = None
        starts, sizes, offsets = self._clipped(table_of_runs(runs))
        self._regions = RegionTable(*(column.astype(np.uint64) for column in (starts, sizes, offsets)))
        self.written = without_holes(self._regions, file.holes, PAGE_SIZE)
        first = (starts + PAGE_SIZE - 1) >> PAGE_SHIFT
        past = (starts + sizes) >> PAGE_SHIFT
        whole = past > first
        self._first, self._past = first[whole], past[whole]
        self._offset = (offsets + (first << PAGE_SHIFT) - starts)[whole]
        counts = self._past - self._first
        self._before = np.cumsum(counts) - counts
        self.frames = int(counts.sum())
        self.end = int((starts + sizes).max()) if len(starts) else 0
        self._bytes: Bytes = np.frombuffer(file.buffer, np.uint8)
        self._read_since_release = 0

    def _clipped(self, runs: Numbers) -> tuple[Frames, Frames, Frames]:
        """Cut runs to what the file and the range of physical addresses hold, and give each byte to one run."""
        starts, claimed, offsets = runs.T
        possible = np.minimum(claimed, _up_to(ADDRESS_LIMIT, starts))
        held = np.minimum(possible, _up_to(self._file.size, offsets))
        if above := np.count_nonzero(possible < claimed):
            self.problems.append(
                f"{above} of {len(runs)} runs of memory lie above {ADDRESS_LIMIT >> 40} TiB, wholly or in part, and "
                "are left out as far as they do"
            )
        if cut := np.count_nonzero(held < possible):
            self.problems.append(
                f"cut short: {cut} of {len(runs)} runs of memory lie past the end of the file, wholly or in part; "
                f"{exact_sum(possible - held)} bytes are missing"
            )
        there = held > 0
        starts, sizes, offsets = starts[there], held[there], offsets[there]
        pieces, lengths, owners = without_overlaps(starts, sizes)
        offsets = offsets[owners] + pieces - starts[owners]
        # All pieces together are no larger than the range of physical addresses: the sums cannot overflow.
        kept = np.cumsum(lengths) <= self._file.size * MAX_SHARING
        if not kept.all():
            self.problems.append(f"runs of memory share the same bytes of the file more than {MAX_SHARING} times over")
        return _joined(*(column[kept].astype(np.int64) for column in (pieces, lengths, offsets)))

    # --- AddressSpace -------------------------------------------------------------------------------------------------

    def rename(self, path: Path) -> None:
        """Go by another name from now on (see `dumpscan.memory.dump.Dump`)."""
        self._path = path

    @property
    def path(self) -> Path:
        """The image's file, as it was given."""
        return self._path

    @property
    def buffer(self) -> memoryview:
        """The whole mapped file."""
        return self._file.buffer

    @property
    def regions(self) -> RegionTable:
        """Runs by ascending physical address."""
        return self._regions

    @property
    def reach(self) -> tuple[int, int]:
        """Anywhere: pointers are virtual addresses, and the regions physical ones."""
        return ANYWHERE

    @property
    def size(self) -> int:
        """Bytes of physical memory that the image holds."""
        return self._regions.total

    @property
    def pointer_size(self) -> int:
        """8: physical memory has no pointers of its own, and only x64 page tables are walked."""
        return 8

    @property
    def process(self) -> Process | None:
        """None: physical memory belongs to all processes."""
        return None

    def module_at(self, address: int) -> str | None:  # noqa: ARG002 - the Protocol's
        """Return None: modules have virtual addresses."""
        return None

    def read(self, address: int, size: int) -> bytes:
        """Return up to `size` bytes at a physical address, across adjacent runs; fewer where the image ends."""
        parts = self._regions.extents(address, size)
        if len(parts) == 1:
            offset, length = parts[0]
            return bytes(self.buffer[offset : offset + length])
        return b"".join(bytes(self.buffer[offset : offset + length]) for offset, length in parts)

    def read_padded(self, address: int, size: int) -> bytes:
        """Return `size` bytes at a physical address, with zeros where the image has none."""
        data = self.read(address, size)
        if len(data) == size:
            return data
        padded = bytearray(size)
        at = 0
        while at < size:
            step = min(PAGE_SIZE - (address + at) % PAGE_SIZE, size - at)
            part = self.read(address + at, step)
            padded[at : at + len(part)] = part
            at += step
        return bytes(padded)

    def extents(self, address: int, size: int) -> tuple[tuple[int, int], ...]:
        """Where bytes at a physical address lie in the user's file; empty where that file is compressed."""
        return tuple(self._regions.extents(address, size)) if self._tells_offsets else ()

    def tell_unpacked_offsets(self) -> None:
        """Let `extents` of an image that was unpacked return offsets in `buffer`, which are none of the user's file."""
        self._tells_offsets = True

    # --- Page frames --------------------------------------------------------------------------------------------------

    def offsets(self, frames: Frames) -> Frames:
        """Look up where frames begin in the mapped file.

        Args:
            frames: Frame numbers, any shape.

        Returns:
            Byte offsets, -1 for frames that the image does not hold whole.
        """
        if not len(self._first):
            return np.full(frames.shape, -1, np.int64)
        if len(self._first) == 1:
            delta = frames - self._first[0]
            return np.where((delta >= 0) & (frames < self._past[0]), self._offset[0] + (delta << PAGE_SHIFT), -1)
        run = np.maximum(np.searchsorted(self._first, frames, side="right") - 1, 0)
        delta = frames - self._first[run]
        return np.where((delta >= 0) & (frames < self._past[run]), self._offset[run] + (delta << PAGE_SHIFT), -1)

    def present(self, frames: Frames) -> NDArray[np.bool_]:
        """Return which frames the image holds whole."""
        return np.asarray(self.offsets(frames) >= 0)

    def ordinals(self, frames: Frames) -> Frames:
        """Number frames that the image holds whole in ascending order, without holes: 0 up to `frames` - 1."""
        if len(self._first) == 1:
            first: Frames = frames - self._first[0]
            return first
        run = np.searchsorted(self._first, frames, side="right") - 1
        numbers: Frames = self._before[run] + frames - self._first[run]
        return numbers

    def frames_at(self, ordinals: Frames) -> Frames:
        """Return the frames that have some numbers; the inverse of `ordinals`."""
        if len(self._first) == 1:
            found: Frames = ordinals + self._first[0]
            return found
        run = np.searchsorted(self._before, ordinals, side="right") - 1
        frames: Frames = self._first[run] + ordinals - self._before[run]
        return frames

    def gather(self, frames: Frames, first: int | Frames, size: int) -> Bytes:
        """Copy the same bytes out of many frames.

        Args:
            frames: Numbers of frames that are present, shape (n,).
            first: Offset in bytes within each frame, one for all or one each; `first + size` stays in the frame.
            size: Bytes from each.

        Returns:
            Bytes, shape (n, size).
        """
        last = len(self._bytes) - size
        windows = as_strided(self._bytes, (max(last + 1, 0), size), (1, 1), writeable=False)
        gathered: Bytes = windows[self.offsets(frames) + first]
        return gathered

    def gather_edges(self, tails: Frames, heads: Frames, size: int) -> Bytes:
        """Copy the last bytes of some frames and the first bytes of others, side by side.

        The file is read once, in its order, and its pages are given back after each step.

        Args:
            tails: Frames whose last bytes are wanted, in ascending order, shape (n,); all are present.
            heads: Frames whose first bytes are wanted beside them, shape (n,); all are present.
            size: Bytes from each.

        Returns:
            Bytes, shape (n, 2 * size).
        """
        edges = np.empty((len(tails), 2 * size), np.uint8)
        order = np.argsort(heads)
        bounds = np.arange(0, self.frames + _FRAMES_AT_ONCE, _FRAMES_AT_ONCE)
        tail_bounds = np.searchsorted(self.ordinals(tails), bounds)
        head_bounds = np.searchsorted(self.ordinals(heads), bounds, sorter=order)

        def copy(step: int) -> None:
            first, past = tail_bounds[step : step + 2]
            edges[first:past, :size] = self.gather(tails[first:past], PAGE_SIZE - size, size)
            chosen = order[head_bounds[step] : head_bounds[step + 1]]
            edges[chosen, size:] = self.gather(heads[chosen], 0, size)

        # Most of the time goes into the system, which maps the pages; there, threads do not wait for one another.
        with ThreadPoolExecutor(_COPIERS, thread_name_prefix="dumpscan-edges") as pool:
            for step in range(0, len(bounds) - 1, _COPIERS):
                list(pool.map(copy, range(step, min(step + _COPIERS, len(bounds) - 1))))
                self.release()
        return edges

    def tables(self, frames: Frames) -> NDArray[np.uint64]:
        """Copy whole frames as tables of 512 little-endian 64-bit numbers, shape (n, 512); all must be present."""
        if len(frames) <= _TABLES_AT_ONCE:
            return self.gather(frames, 0, PAGE_SIZE).view("<u8")
        tables = np.empty((len(frames), PAGE_SIZE // 8), "<u8")
        for first in range(0, len(frames), _TABLES_AT_ONCE):
            step = slice(first, first + _TABLES_AT_ONCE)
            tables[step] = self.gather(frames[step], 0, PAGE_SIZE).view("<u8")
            self.release()
        return tables

    def spans(self, most: int) -> Iterator[tuple[int, NDArray[np.uint64]]]:
        """Iterate over all frames in order that were written, without copying.

        Args:
            most: Frames in one span, at most.

        Yields:
            The number of the first frame and a (n, 512) table of 64-bit numbers, possibly unaligned in memory.
        """
        for region in self.written:
            first = (region.start + PAGE_SIZE - 1) >> PAGE_SHIFT
            past = (region.start + region.size) >> PAGE_SHIFT
            for frame in range(first, past, most):
                count = min(most, past - frame)
                start = region.file_offset + (frame << PAGE_SHIFT) - region.start
                yield frame, np.frombuffer(self.buffer, "<u8", count * 512, start).reshape(count, 512)

    def chunks(self, overlap: int) -> Iterator[tuple[int, bytes]]:
        """Iterate over all memory that was written in large chunks, which begin with the last bytes of the one before.

        Args:
            overlap: Bytes that two chunks of one run share.

        Yields:
            The physical address of the first byte, and the bytes.
        """
        for region in self.written:
            for start in range(0, region.size, _CHUNK):
                size = min(_CHUNK + overlap, region.size - start)
                first = region.file_offset + start
                yield region.start + start, bytes(self.buffer[first : first + size])
                self.passed(_CHUNK)

    def contains(self, wanted: bytes) -> bool:
        """Return whether some bytes lie anywhere in physical memory, within one run."""
        mapping = self.buffer.obj
        for region in self.written:
            end = region.file_offset + region.size
            for start in range(region.file_offset, end, _RELEASE_STEP):
                stop = min(start + _RELEASE_STEP + len(wanted), end)
                if isinstance(mapping, mmap.mmap) and mapping.find(wanted, start, stop) >= 0:
                    return True
                self.release()
        return False

    # --- The mapping --------------------------------------------------------------------------------------------------

    def passed(self, size: int) -> None:
        """Count `size` more bytes as read; after every 128 MiB, give the pages back."""
        self._read_since_release += size
        if self._read_since_release >= _RELEASE_STEP:
            self.release()

    def release(self) -> None:
        """Give the mapping's pages back to the system's page cache; touching them maps them again."""
        self._read_since_release = 0
        self._file.release()

    def close(self) -> None:
        """Unmap the file, or let go of what it was unpacked to."""
        self._bytes = np.empty(0, np.uint8)
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def table_of_runs(runs: Numbers | Iterable[tuple[int, int, int]]) -> Numbers:
    """Return runs as an array of shape (n, 3). Numbers that do not fit into 64 bits become the largest that does."""
    if isinstance(runs, np.ndarray):
        return runs
    most = np.iinfo(np.uint64).max
    fitting = [tuple(min(number, most) for number in run) for run in runs if min(run) >= 0]
    return np.array(fitting, np.uint64).reshape(-1, 3)


def _joined(starts: Frames, sizes: Frames, offsets: Frames) -> tuple[Frames, Frames, Frames]:
    """Make one run of each row of runs that follow one another in physical memory and in the file."""
    apart = (starts[1:] != (starts + sizes)[:-1]) | (offsets[1:] != (offsets + sizes)[:-1])
    first = np.flatnonzero(np.concatenate((np.ones(min(len(starts), 1), np.bool_), apart)))
    return starts[first], np.add.reduceat(sizes, first) if len(first) else sizes, offsets[first]


def _up_to(limit: int, numbers: Numbers) -> Numbers:
    """Return how far numbers are below a limit; 0 for those above it."""
    return np.where(numbers < limit, np.uint64(limit) - numbers, np.uint64(0))


def require_memory(path: Path, runs: Numbers) -> None:
    """Refuse an image that has no memory at addresses that can be read.

    Args:
        path: The image.
        runs: As for `PhysicalImage`.

    Raises:
        InputError: There are no runs, or none begins below 16 TiB.
    """
    if not len(runs):
        raise InputError(path, "has no memory: it lists no range of physical addresses")
    if not (runs[:, 0] < ADDRESS_LIMIT).any():
        first, _size, at = runs[0].tolist()
        runs_said = "its only range begins" if len(runs) == 1 else f"the first of its {len(runs):,} ranges begins"
        raise InputError(path, f"has no memory below {ADDRESS_LIMIT >> 40} TiB: {runs_said} at {first:#x}", offset=at)
