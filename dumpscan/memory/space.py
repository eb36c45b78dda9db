"""The address space of a dump: regions, bytes at an address, and where they lie in the file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from dumpscan.findings import Process


@dataclass(frozen=True, slots=True)
class Region:
    """A run of bytes that the dump holds, contiguous in the address space and in the file.

    Attributes:
        start: Address of the first byte (virtual in a minidump, physical in a kernel image).
        size: Length in bytes, as far as the file really holds it.
        file_offset: Offset of the first byte in the file.
    """

    start: int
    size: int
    file_offset: int

    @property
    def end(self) -> int:
        """Address of the first byte past the region."""
        return self.start + self.size


class Memory(Protocol):
    """What a decoder needs of an address space."""

    @property
    def pointer_size(self) -> int:
        """Size of a pointer in bytes: 4 or 8."""

    def read(self, address: int, size: int) -> bytes:
        """Return up to `size` bytes at `address`, across adjacent regions; fewer, or none, if the dump has no more."""


def read_before(memory: Memory, address: int, most: int) -> bytes:
    """Return the bytes that end before an address, as many as the memory holds in one run, up to `most`."""
    most = min(most, address)
    longest = memory.read(address - most, most) if most > 0 else b""
    if len(longest) == most:
        return longest
    longest = b""
    while most - len(longest) > 1:
        size = (len(longest) + most) // 2
        data = memory.read(address - size, size)
        if len(data) == size:
            longest = data
        else:
            most = size
    return longest


ANYWHERE = (0, 1 << 64)
"""The reach of pointers where nothing limits it."""


class Searchable(Memory, Protocol):
    """Memory that can be searched: its regions lie in one memory-mapped file."""

    @property
    def buffer(self) -> memoryview:
        """The whole file, memory-mapped and read-only; `Region.file_offset` counts into it."""

    @property
    def regions(self) -> Sequence[Region]:
        """Regions by ascending address. They never overlap; neighbours may be adjacent."""

    @property
    def reach(self) -> tuple[int, int]:
        """The first address to which a pointer in it may lead, and the one past the last."""


class AddressSpace(Searchable, Protocol):
    """An address space that can be searched, and that says what lies where."""

    @property
    def path(self) -> Path:
        """The dump's file."""

    def extents(self, address: int, size: int) -> tuple[tuple[int, int], ...]:
        """Return where `size` bytes at `address` lie in the file, as (file offset, length) pairs, up to a gap."""

    def module_at(self, address: int) -> str | None:
        """Return the name of the loaded module that owns an address, or None."""

    @property
    def process(self) -> Process | None:
        """The process that the whole address space belongs to, if there is one."""
