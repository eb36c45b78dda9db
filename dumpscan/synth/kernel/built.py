"""A process in a kernel image, and the mapping of its regions."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from dumpscan.model.windows.c_paging import PAGE_SHIFT
from dumpscan.synth.alignment import page_align
from dumpscan.synth.kernel.regions import GRANULARITY, AddressLayout, MappedRegion, RegionMapper
from dumpscan.synth.kernel.vad import AddressRange
from dumpscan.synth.physical.filler import fill_frames

if TYPE_CHECKING:
    from dumpscan.synth.kernel.scenario import KernelProcess, Paging
    from dumpscan.synth.physical.paging import PageTables


@dataclass(slots=True)
class BuiltProcess:
    """A process in the image.

    Attributes:
        process: The process of the scenario.
        address: Address of its `_EPROCESS`.
        dtb: `DirectoryTableBase` in the `_EPROCESS`, low bits included; 0 if the address space is gone.
        space: Page tables.
        layout: Addresses in use.
        ranges: The address ranges that its descriptors describe.
        regions: The regions of the scenario, by name.
        mapper: Maps regions; None if the process has no user memory.
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
        """Take the addresses of a range and describe it."""
        self.layout.take(entry.start, entry.size)
        self.ranges.append(entry)

    def map_region(
        self, name: str, size: int, protect: int, how: Paging, *, address: int | None = None, filler: str | None = None
    ) -> MappedRegion:
        """Map a region.

        If `address` is None, the region is mapped where there is room. If `filler` is None, its frames keep their
        content.

        Raises:
            ScenarioError: If it overlaps another range, or the image is too small.
        """
        size = page_align(size)
        if address is None:
            address = self.layout.choose(size, max(how.page_size, GRANULARITY))
        entry = AddressRange(
            start=address, size=size, protect=protect, private=how.shared is None, committed=size >> PAGE_SHIFT
        )
        self.add_range(entry)
        assert self.mapper is not None  # noqa: S101 -- only processes with user memory have regions
        frames = self.mapper.map(address, size >> PAGE_SHIFT, protect, how)
        if filler is not None and how.shared is None:
            fill_frames(self.space.memory, frames, filler, f"{self.process.spec.pid}/{name}")
        region = self.regions[name] = MappedRegion(name, entry, how.page_size, how.shared)
        return region
