"""An ELF core of a Linux process as an address space: what of its memory is there, and where in the file.

A core is not the whole process. The kernel leaves out what can be had from files again (`coredump_filter`), so that of
a segment only `p_filesz` of `p_memsz` bytes are there. The others were not dumped: they are missing, never zeros.
"""

from __future__ import annotations

from bisect import bisect_right
from functools import cached_property
from operator import attrgetter
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Self

import numpy as np

from dumpscan.memory.core.elf import read_elf
from dumpscan.memory.core.modules import CoreModule, read_modules
from dumpscan.memory.core.notes import CoreNotes, FileMapping, read_notes
from dumpscan.memory.core.sysroot import Sysroot
from dumpscan.memory.mapped_file import MappedFile
from dumpscan.memory.records import exact_sum
from dumpscan.memory.regions import ADDRESS_LIMIT, RegionTable, reach_of, without_overlaps
from dumpscan.model.c_elf import AT_EXECFN

if TYPE_CHECKING:
    from types import TracebackType

    from numpy.typing import NDArray

_MAX_REFUSED = 10
_MAX_SHARING = 4
"""How often all of the file may serve as memory. Real cores hold each byte once."""


class CoreReader:
    """An ELF core's notes and memory, as far as they are there.

    Attributes:
        path: The file, as it was given.
        size: Bytes in it.
        elf: Its headers.

    Args:
        path: The file.
        sysroot: Directory of the files that the process had mapped, for what the core leaves out.

    Raises:
        InputError: The file cannot be opened, is not an ELF core, or is cut off before its first program header.
    """

    def __init__(self, path: Path | str, *, sysroot: Path | None = None) -> None:
        self._root = sysroot
        self._file = MappedFile(path)
        try:
            self.path = self._file.path
            self.size = self._file.size
            self.elf = read_elf(self.path, self._file.buffer)
        except BaseException:
            self._file.close()
            raise

    def rename(self, path: Path) -> None:
        """Go by another name from now on (see `dumpscan.memory.dump.Dump`)."""
        self.path = path

    def close(self) -> None:
        """Let go of the file. What was read from it stays; the memory itself can no longer be asked for."""
        if self._root is not None and self.sysroot is not None:
            self.sysroot.close()
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def buffer(self) -> memoryview:
        """The whole file, memory-mapped and read-only."""
        return self._file.buffer

    @property
    def pointer_size(self) -> int:
        """Size of a pointer in bytes."""
        return self.elf.word_size

    @cached_property
    def notes(self) -> CoreNotes:
        """What the notes say."""
        return read_notes(self.elf)

    # --- Memory ------------------------------------------------------------------------------------------------------

    @cached_property
    def _memory(self) -> tuple[RegionTable, tuple[str, ...]]:
        starts, sizes, offsets = (
            self.elf.loads[name].astype(np.uint64) for name in ("p_vaddr", "p_filesz", "p_offset")
        )
        return _regions(starts, sizes, offsets, self.size)

    @property
    def regions(self) -> RegionTable:
        """What memory is there: by ascending address, never overlapping; neighbours may be adjacent."""
        return self._memory[0]

    @property
    def reach(self) -> tuple[int, int]:
        """Where the memory in the core begins and ends."""
        return reach_of(self.regions)

    @property
    def searchable_bytes(self) -> int:
        """Bytes of the process's memory in the core."""
        return self.regions.total

    @cached_property
    def mapped_bytes(self) -> int:
        """Bytes of memory that the process had mapped, as its segments say."""
        return exact_sum(np.maximum(self.elf.loads["p_memsz"], self.elf.loads["p_filesz"]).astype(np.uint64))

    def read(self, address: int, size: int) -> bytes:
        """Return up to `size` bytes at `address`, across adjacent regions; fewer where the core ends.

        Where it ends and there is a sysroot, its files go on.
        """
        data = self._held(address, size)
        while len(data) < size and self._root is not None:
            at = address + len(data)
            mapping = self.mapping_at(at)
            more = self.sysroot.read(mapping, at, size - len(data)) if mapping and self.sysroot else b""
            if not more:
                break
            data += more
            data += self._held(address + len(data), size - len(data))
        return data

    def _held(self, address: int, size: int) -> bytes:
        return b"".join(self.buffer[at : at + length] for at, length in self.regions.extents(address, size))

    @cached_property
    def modules(self) -> tuple[CoreModule, ...]:
        """Programs and libraries, by address."""
        root, self._root = self._root, None  # build ids must come from the core itself
        try:
            return read_modules(self)
        finally:
            self._root = root

    @cached_property
    def sysroot(self) -> Sysroot | None:
        """The files that go on where the core ends, if a directory of them is given."""
        if self._root is None:
            return None
        return Sysroot(self._root, self.elf, {each.path: each.build_id for each in self.modules if each.build_id})

    def extents(self, address: int, size: int) -> tuple[tuple[int, int], ...]:
        """Where `size` bytes at `address` lie, as (file offset, length) pairs; stops where the core does."""
        return tuple(self.regions.extents(address, size))

    def word_at(self, address: int) -> int | None:
        """Return the word at an address; None if it is not there whole."""
        data = self.read(address, self.pointer_size)
        if len(data) < self.pointer_size:
            return None
        return self.elf.integer(data)

    # --- Whose memory ------------------------------------------------------------------------------------------------

    def mapping_at(self, address: int) -> FileMapping | None:
        """Return the mapped file that owns an address, if any."""
        files = self.notes.files
        at = bisect_right(files, address, key=attrgetter("start")) - 1
        return files[at] if at >= 0 and address < files[at].end else None

    def module_at(self, address: int) -> str | None:
        """Name what owns an address: a mapped file, `[stack]` or `[vdso]`; None for other memory."""
        mapping = self.mapping_at(address)
        if mapping is not None:
            return PurePosixPath(mapping.path).name or None
        return "[stack]" if self._in_stack(address) else None

    def _in_stack(self, address: int) -> bool:
        start, end = self.stack
        return start <= address < end

    @cached_property
    def stack(self) -> tuple[int, int]:
        """First address of the first thread's stack, and the one past it: the segment that the kernel put strings in.

        Without an auxiliary vector, the segment of the first stack pointer; (0, 0) where nothing tells.
        """
        threads = self.notes.threads
        marks = [self.notes.auxv.get(AT_EXECFN), threads[0].sp if threads else None]
        loads = self.elf.loads
        starts = loads["p_vaddr"].astype(np.uint64)
        ends = starts + np.minimum(loads["p_memsz"].astype(np.uint64), np.uint64(ADDRESS_LIMIT) - starts)
        for mark in marks:
            if mark is not None and 0 <= mark < ADDRESS_LIMIT:
                holds = np.flatnonzero((starts <= np.uint64(mark)) & (np.uint64(mark) < ends))
                if len(holds):
                    return int(starts[holds[0]]), int(ends[holds[0]])
        return 0, 0

    # --- What is wrong -----------------------------------------------------------------------------------------------

    @property
    def damage(self) -> tuple[str, ...]:
        """What is damaged, a sentence each. What was left out on purpose when the core was written is not."""
        return (*self.elf.problems, *self.notes.problems, *self._memory[1], *self.regions.problems)

    @property
    def warnings(self) -> tuple[str, ...]:
        """Say how much of the process's memory the core does not hold."""
        absent = self.mapped_bytes - self.searchable_bytes
        told = []
        if absent > 0:
            whole = f"{absent:,} of the {self.mapped_bytes:,} bytes of memory that the process had mapped"
            told.append(f"{whole} are not in the core: they were left out when it was written, or cut off")
        if self._root is not None and self.sysroot is not None:
            refused = [f"{path} ({why})" for path, why in self.sysroot.refused.items()]
            told += [f"not read from the sysroot: {each}" for each in refused[:_MAX_REFUSED]]
        return tuple(told)


def _regions(
    starts: NDArray[np.uint64], sizes: NDArray[np.uint64], offsets: NDArray[np.uint64], file_bytes: int
) -> tuple[RegionTable, tuple[str, ...]]:
    """Make a table of the memory that the segments name and the file holds."""
    problems = []
    file_size = np.uint64(file_bytes)
    there = np.minimum(sizes, file_size - np.minimum(offsets, file_size))
    if past := int(np.count_nonzero(there < sizes)):
        lost = exact_sum(sizes) - exact_sum(there)
        problems.append(f"cut short: {lost:,} bytes of {past} segments lie past the end of the file")
    starts = np.minimum(starts, np.uint64(ADDRESS_LIMIT))
    fitting = np.minimum(there, np.uint64(ADDRESS_LIMIT) - starts)
    if wrapped := int(np.count_nonzero(fitting < there)):
        problems.append(f"{wrapped} segments go past the end of the address space")
    kept = fitting > 0
    starts, sizes, offsets = starts[kept], fitting[kept], offsets[kept]
    if not len(starts):
        return RegionTable(starts, sizes, offsets), tuple(problems)
    total = exact_sum(sizes)
    piece_starts, piece_sizes, owners = without_overlaps(starts, sizes)
    if (doubled := total - exact_sum(piece_sizes)) > 0:
        problems.append(f"segments overlap: of {doubled:,} bytes with the same address, those listed first are taken")
    piece_offsets = offsets[owners] + (piece_starts - starts[owners])
    excess = np.cumsum(piece_sizes, dtype=np.float64) > _MAX_SHARING * file_bytes
    if excess.any():
        first = int(excess.argmax())
        problems.append(
            f"segments name the same bytes of the file over and over: {len(piece_sizes) - first} of "
            f"{len(piece_sizes)} regions are left out"
        )
        piece_starts, piece_sizes, piece_offsets = (
            column[:first] for column in (piece_starts, piece_sizes, piece_offsets)
        )
    return RegionTable(piece_starts, piece_sizes, piece_offsets), tuple(problems)
