"""Plants objects in a kernel image."""

from __future__ import annotations

from dataclasses import replace
from math import lcm
from typing import TYPE_CHECKING

from dumpscan.exceptions import ScenarioError
from dumpscan.model.windows import c_paging as paging
from dumpscan.model.windows.c_paging import PAGE_SHIFT, PAGE_SIZE
from dumpscan.synth.alignment import page_count
from dumpscan.synth.kernel.placed import VALID, ObjectMapping, Piece, Placed, placement_of, unreachable_bytes
from dumpscan.synth.kernel.regions import READ_WRITE
from dumpscan.synth.kernel.scenario import PAGED_OUT, PROTOTYPE, TRANSITION, Paging
from dumpscan.synth.kernel.space import NONPAGED
from dumpscan.synth.objects.catalogue import make
from dumpscan.synth.seeded import SeededBytes

if TYPE_CHECKING:
    from collections.abc import Iterable

    from dumpscan.synth.kernel.built import BuiltProcess
    from dumpscan.synth.kernel.regions import MappedRegion
    from dumpscan.synth.kernel.scenario import KernelScenario, LoosePlant, SeamSpec
    from dumpscan.synth.kernel.space import KernelSpace
    from dumpscan.synth.objects.planted import PlantedObject
    from dumpscan.synth.physical.paging import PageTables
    from dumpscan.synth.scenario import PlantSpec

_TRIES = 4096
_FORMER_BASE, _FORMER_SPAN = 0x1000_0000, 0x4000_0000
"""Addresses for which the pointers of objects in unmapped frames are made. They have no meaning."""


class _Occupied:
    """The bytes of a region that objects have taken."""

    def __init__(self) -> None:
        self._taken: list[tuple[int, int]] = []

    def take(self, start: int, end: int) -> bool:
        """Take the bytes from `start` to `end` if they are free."""
        if any(start < other_end and other < end for other, other_end in self._taken):
            return False
        self._taken.append((start, end))
        return True


class Planter:
    """Plants the objects of a scenario and records them in `placed`.

    Args:
        scenario: The scenario.
        kernel: System space.
    """

    def __init__(self, scenario: KernelScenario, kernel: KernelSpace) -> None:
        self.placed: list[Placed] = []
        self._scenario = scenario
        self._seed = scenario.common.seed
        self._kernel = kernel
        self._made: dict[str, PlantedObject] = {}
        self._occupied: dict[tuple[int | None, str], _Occupied] = {}

    def object(self, name: str) -> PlantedObject:
        """Return an object of the scenario by its name."""
        if name not in self._made:
            self._made[name] = make(self._scenario.common.objects[name], self._seed)
        return self._made[name]

    def plant_in(self, built: BuiltProcess) -> None:
        """Plant the objects of a process.

        Raises:
            ScenarioError: If there is no room for an object, or no region at its address.
        """
        for spec in built.process.spec.plants:
            with spec.table.blamed():
                for copy in range(spec.copies):
                    address = self._choose(built, spec, copy) if spec.address is None else spec.address
                    self._put(built, spec.object, address)
        for number, seam in enumerate(built.process.seams):
            with seam.table.blamed():
                self._plant_seams(built, seam, number)

    def _choose(self, built: BuiltProcess, spec: PlantSpec, copy: int) -> int:
        """Return a free address in one of the process's regions where all pages are in memory."""
        planted = self.object(spec.object)
        size, alignment = planted.size, lcm(spec.alignment, planted.alignment)
        middle = planted.length // 2 // planted.alignment * planted.alignment
        regions = [region for name, region in built.regions.items() if spec.region in (None, name)]
        if not regions:
            raise ScenarioError("the process has no region to plant it in")
        source = SeededBytes("place", self._seed, str(built.process.spec.pid), spec.object, str(copy))
        for _ in range(_TRIES):
            region = regions[source.below(len(regions))]
            if spec.across_seam:
                before = middle if spec.seam_at is None else spec.seam_at
                offset = (source.below(region.range.size >> PAGE_SHIFT) << PAGE_SHIFT) - before
            else:
                offset = source.below(region.range.size) // alignment * alignment
                if size <= PAGE_SIZE < offset % PAGE_SIZE + size:  # move it back onto one page
                    offset += (PAGE_SIZE - size) // alignment * alignment - offset % PAGE_SIZE
            if offset < 0 or offset + size > region.range.size:
                continue
            address = region.range.start + offset
            if all(piece.state == VALID for piece in self._pieces(built.space, address, size)) and self._occupancy(
                built, region
            ).take(offset, offset + size):
                return address
        raise ScenarioError(f"found no room for {size} bytes in the process's regions")

    def _occupancy(self, built: BuiltProcess, region: MappedRegion) -> _Occupied:
        owner = (built.process.spec.pid, region.name) if region.shared is None else (None, region.shared)
        return self._occupied.setdefault(owner, _Occupied())

    def _put(self, built: BuiltProcess, name: str, address: int) -> None:
        size, length = self.object(name).size, self.object(name).length
        for region in built.regions.values():
            offset = address - region.range.start
            if offset >= 0 and address + size <= region.range.end:
                break
        else:
            raise ScenarioError(f"{size} bytes at {address:#x} do not lie in a region of the process")
        pieces = self._pieces(built.space, address, size)
        placement = "large" if region.page_size > PAGE_SIZE else "shared" if region.shared else placement_of(pieces)
        shared = None if region.shared is None else (region.shared, offset)
        places = [ObjectMapping(built.process.spec.pid, address, unreachable_bytes(pieces, length))]
        self._place(name, placement, address, places, pieces, shared=shared)

    def _place(
        self,
        name: str,
        placement: str,
        address: int,
        places: list[ObjectMapping],
        pieces: list[Piece],
        *,
        shared: tuple[str, int] | None = None,
    ) -> None:
        planted = self.object(name)
        data = planted.at(address)
        for piece in pieces:
            if piece.physical is not None:
                self._kernel.memory.write(piece.physical, data[piece.offset : piece.offset + piece.length])
        self.placed.append(
            Placed(
                name=name,
                planted=planted,
                address=address,
                placement=placement,
                places=tuple(places),
                pieces=tuple(pieces),
                shared=shared,
            )
        )

    def _pieces(self, space: PageTables, address: int, size: int) -> list[Piece]:
        """Return the pieces of `size` bytes at an address. Prototype entries are followed."""
        pieces: list[Piece] = []
        done = 0
        while done < size:
            at = address + done
            length = min(size - done, PAGE_SIZE - at % PAGE_SIZE)
            physical, _ = space.physical(at)
            entry, _ = space.entry(at)
            if physical is not None:
                state = VALID if entry & paging.VALID else TRANSITION
            elif entry & paging.PROTOTYPE:
                state = PROTOTYPE
                behind = self._kernel.space.read(paging.canonical(entry >> paging.PROTOTYPE_ADDRESS_SHIFT), 8)
                physical = (int.from_bytes(behind, "little") & paging.FRAME_MASK) + at % PAGE_SIZE
            else:
                state = PAGED_OUT
            pieces.append(Piece(offset=done, length=length, physical=physical, state=state))
            done += length
        return pieces

    def _plant_seams(self, built: BuiltProcess, seam: SeamSpec, number: int) -> None:
        """Plant an object across several borders. Each copy is on pages of its own, one of them before the border."""
        size = self.object(seam.object).size
        name = f"seams-{number}"
        states: dict[str, list[int]] = {TRANSITION: [], PAGED_OUT: [], PROTOTYPE: []}
        offsets = []
        page = 0
        for before in seam.before:
            tail = page_count(max(size - before, 0))
            offsets.append(((page + 1) << PAGE_SHIFT) - before)
            if seam.tail in states:
                states[seam.tail].extend(range(page + 1, page + 1 + tail))
            page += 1 + tail
        how = Paging(
            transition=tuple(states[TRANSITION]),
            paged_out=tuple(states[PAGED_OUT]),
            prototype=tuple(states[PROTOTYPE]),
        )
        region = built.map_region(name, page << PAGE_SHIFT, READ_WRITE, how)
        for offset in offsets:
            self._put(built, seam.object, region.range.start + offset)

    def plant_kernel(self, plant: LoosePlant) -> None:
        """Plant an object in nonpaged pool, on pages of its own."""
        with plant.table.blamed("object"):
            size = self.object(plant.object).size
        with plant.table.blamed():
            for _ in range(plant.copies):
                address = self._kernel.pages(NONPAGED, page_count(plant.offset + size)) + plant.offset
                pieces = self._pieces(self._kernel.space, address, size)
                self._place(plant.object, "kernel", address, [ObjectMapping(None, address, 0)], pieces)

    def plant_unmapped(self, plant: LoosePlant) -> None:
        """Plant an object in a frame that no page table leads to.

        Raises:
            ScenarioError: If it does not fit into the frame. The next frame of physical memory is used by others.
        """
        with plant.table.blamed("object"):
            size = self.object(plant.object).size
        if plant.offset + size > PAGE_SIZE:
            raise plant.table.error("offset", f"{size} bytes do not fit a frame from offset {plant.offset} on")
        with plant.table.blamed():
            for _ in range(plant.copies):
                physical = (int(self._kernel.memory.take(1)[0]) << PAGE_SHIFT) + plant.offset
                piece = Piece(offset=0, length=size, physical=physical, state="unmapped")
                self._place(plant.object, "unmapped", _FORMER_BASE + physical % _FORMER_SPAN, [], [piece])

    def resolve_shared(self, processes: Iterable[BuiltProcess]) -> None:
        """Record all mappings of the objects in shared memory."""
        mapped: dict[str, list[tuple[BuiltProcess, MappedRegion]]] = {}
        for built in processes:
            for region in built.regions.values():
                if region.shared is not None:
                    mapped.setdefault(region.shared, []).append((built, region))
        for index, placed in enumerate(self.placed):
            if placed.shared is None:
                continue
            name, offset = placed.shared
            places = []
            size, length = placed.planted.size, placed.planted.length
            for built, region in mapped[name]:
                address = region.range.start + offset
                if address + size <= region.range.end:
                    pieces = self._pieces(built.space, address, size)
                    places.append(ObjectMapping(built.process.spec.pid, address, unreachable_bytes(pieces, length)))
            self.placed[index] = replace(placed, places=tuple(places))
