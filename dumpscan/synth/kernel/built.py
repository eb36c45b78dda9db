"""A process as it lies in a kernel image, and the regions that are mapped into it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from dumpscan.model.windows.c_paging import PAGE_SHIFT, PAGE_SIZE
from dumpscan.synth.kernel.regions import GRANULARITY, AddressLayout, MappedRegion, RegionMapper
from dumpscan.synth.kernel.vad import AddressRange
from dumpscan.synth.physical.filler import fill_frames

if TYPE_CHECKING:
    from dumpscan.synth.kernel.scenario import KernelProcess, Paging
    from dumpscan.synth.physical.paging import PageTables


@dataclass(slots=True)
class BuiltProcess:
    """A process as it lies in the image.

    Attributes:
        process: What the scenario asks for.
        address: Of its `_EPROCESS`.
        dtb: `DirectoryTableBase` as the kernel keeps it, with its low bits; 0 where the address space is gone.
        space: Its page tables.
        layout: Addresses in use.
        ranges: Its virtual address descriptors.
        regions: Those of the scenario, by name.
        mapper: Maps further regions.
    """

    process: KernelProcess
    address: int
    dtb: int
    space: PageTables
    layout: AddressLayout
    ranges: list[AddressRange] = field(default_factory=list)
    regions: dict[str, MappedRegion] = field(default_factory=dict)
    mapper: RegionMapper | None = None

    def add_range(self, entry: AddressRange) -> None:
        """Describe a range, and take its addresses."""
        self.layout.take(entry.start, entry.size)
        self.ranges.append(entry)

    def map_region(
        self, name: str, size: int, protect: int, how: Paging, *, address: int | None = None, filler: str | None = None
    ) -> MappedRegion:
        """Map a region; without an address it goes where there is room, without a filler its frames stay as they are.

        Raises:
            ScenarioError: If it overlaps another, or the image is too small.
        """
        size = -(-size // PAGE_SIZE) * PAGE_SIZE
        if address is None:
            address = self.layout.choose(size, max(how.page_size, GRANULARITY))
        entry = AddressRange(
            start=address, size=size, protect=protect, private=how.shared is None, committed=size >> PAGE_SHIFT
        )
        self.add_range(entry)
        assert self.mapper is not None  # noqa: S101 -- only processes with a user half have regions
        frames = self.mapper.map(address, size >> PAGE_SHIFT, protect, how)
        if filler is not None and how.shared is None:
            fill_frames(self.space.memory, frames, filler, f"{self.process.spec.pid}/{name}")
        region = self.regions[name] = MappedRegion(name, entry, how.page_size, how.shared)
        return region
