"""Addresses for planted objects: given, across a seam, or chosen by the seed. Objects never overlap."""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from dataclasses import dataclass
from math import lcm
from typing import TYPE_CHECKING, Protocol

from dumpscan.exceptions import ScenarioError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from dumpscan.synth.scenario import PlantSpec
    from dumpscan.synth.seeded import SeededBytes

_TRIES = 64


@dataclass(frozen=True, slots=True)
class Area:
    """Memory that objects may lie in.

    Attributes:
        name: The region's name.
        start: Virtual address of its first byte.
        size: Bytes.
        seams: Ascending addresses in (start, start + size] at which one memory range or page ends and the next begins.
            The last one may be the area's end, if another area follows.
        hole: Whether the dump does not hold the area. Only an object with a given address may lie there.
    """

    name: str
    start: int
    size: int
    seams: Sequence[int] = ()
    hole: bool = False

    @property
    def end(self) -> int:
        """Address past the last byte."""
        return self.start + self.size


@dataclass(frozen=True, slots=True)
class Placement:
    """The address given to an object.

    Attributes:
        object: Name of the object.
        address: Virtual address of its first byte.
        spec: The plant of the scenario.
    """

    object: str
    address: int
    spec: PlantSpec


class Extent(Protocol):
    """What `place` needs to know of an object (see `PlantedObject`)."""

    @property
    def size(self) -> int:
        """Bytes to plant."""

    @property
    def length(self) -> int:
        """Bytes of a finding. A seam without `seam_at` is in their middle."""

    @property
    def alignment(self) -> int:
        """The address must be a multiple of this."""


class Placer:
    """Gives out addresses in areas that do not overlap.

    Args:
        areas: Where objects may lie.
        source: Makes the choices.
        avoid_seams: Whether an object lies across a seam only if that was asked for.
    """

    def __init__(self, areas: Iterable[Area], source: SeededBytes, *, avoid_seams: bool) -> None:
        self._areas = sorted(areas, key=lambda area: area.start)
        self._starts = [area.start for area in self._areas]
        self._source = source
        self._avoid_seams = avoid_seams
        self._taken: list[tuple[int, int]] = []

    def at(self, address: int, size: int) -> int:
        """Take `size` bytes at `address`.

        Raises:
            ScenarioError: If there is no memory, or another object is there.
        """
        if not self._held(address, size):
            raise ScenarioError(f"{size} bytes at {address:#x} do not lie in any region")
        blocker = self._blocker(address, size)
        if blocker:
            raise ScenarioError(f"{size} bytes at {address:#x} overlap an object at {blocker[0]:#x}")
        insort(self._taken, (address, address + size))
        return address

    def anywhere(self, size: int, alignment: int, region: str | None = None) -> int:
        """Take `size` bytes at a multiple of `alignment` chosen by the seed, and return the address.

        Raises:
            ScenarioError: If there is no room.
        """
        areas = [area for area in self._areas if area.size >= size and region in (None, area.name) and not area.hole]
        total = sum(area.size for area in areas)
        for _ in range(_TRIES if total else 0):
            chosen = self._source.below(total)
            for area in areas:
                if chosen < area.size:
                    break
                chosen -= area.size
            address = area.start + chosen
            address += -address % alignment
            if address + size <= area.end and self._free(area, address, size) == address:
                return self.at(address, size)
        for area in areas:
            fit = self._first_fit(area, size, alignment)
            if fit is not None:
                return self.at(fit, size)
        raise ScenarioError(f"no room for {size} bytes in {'any region' if region is None else f'region {region!r}'}")

    def across(self, size: int, before: int, region: str | None = None) -> int:
        """Take `size` bytes of which `before` are before a seam chosen by the seed, and return the address.

        Raises:
            ScenarioError: If no seam is left.
        """
        if not 0 < before < size:
            raise ScenarioError(f"an object of {size} bytes has no seam after its first {before}")
        areas = [area for area in self._areas if area.seams and region in (None, area.name)]
        first = self._source.below(len(areas)) if areas else 0
        for area in areas[first:] + areas[:first]:
            offset = self._source.below(len(area.seams))
            for index in range(min(len(area.seams), 4 * _TRIES + len(self._taken))):
                seam = area.seams[(offset + index) % len(area.seams)]
                address = seam - before
                if self._held(address, size, holes=False) and not self._blocker(address, size):
                    return self.at(address, size)
        where = "in any region" if region is None else f"in region {region!r}"
        raise ScenarioError(
            f"no seam left {where} for {size} bytes; give a region splits, or regions adjacent addresses"
        )

    def _held(self, address: int, size: int, *, holes: bool = True) -> bool:
        """Return whether adjacent areas hold all `size` bytes. Areas that are holes count only if `holes` is true."""
        end = address + size
        index = bisect_right(self._starts, address) - 1
        while 0 <= index < len(self._areas):
            area = self._areas[index]
            if not area.start <= address < area.end or (area.hole and not holes):
                return False
            if end <= area.end:
                return True
            address = area.end
            index += 1
        return False

    def _blocker(self, address: int, size: int) -> tuple[int, int] | None:
        """Return the (start, end) of the first object that overlaps `size` bytes at `address`."""
        index = bisect_left(self._taken, (address, 0))
        for start, end in self._taken[max(index - 1, 0) : index + 1]:
            if start < address + size and address < end:
                return (start, end)
        return None

    def _free(self, area: Area, address: int, size: int) -> int:
        """Return `address` if `size` bytes are free there, else the next address to try."""
        blocker = self._blocker(address, size)
        if blocker:
            return blocker[1]
        if self._avoid_seams:
            index = bisect_right(area.seams, address)
            if index < len(area.seams) and area.seams[index] < address + size:
                return area.seams[index]
        return address

    def _first_fit(self, area: Area, size: int, alignment: int) -> int | None:
        address = area.start + -area.start % alignment
        while address + size <= area.end:
            free = self._free(area, address, size)
            if free == address:
                return address
            address = free + -free % alignment
        return None


def place(plants: Sequence[PlantSpec], objects: Mapping[str, Extent], placer: Placer) -> list[Placement]:
    """Return a placement for each copy of each plant: first those with an address, then those across seams.

    Args:
        plants: What to plant.
        objects: The objects by name.
        placer: Gives out the addresses.

    Raises:
        ScenarioError: If there is no room for an object. The message names the table of its plant.
    """
    placements = []
    for plant in sorted(plants, key=lambda plant: (plant.address is None, not plant.across_seam)):
        planted = objects[plant.object]
        size, alignment = planted.size, lcm(plant.alignment, planted.alignment)
        middle = planted.length // 2 // planted.alignment * planted.alignment
        with plant.table.blamed():
            for _ in range(plant.copies):
                if plant.address is not None:
                    address = placer.at(plant.address, size)
                elif plant.across_seam:
                    address = placer.across(size, plant.seam_at or middle, plant.region)
                else:
                    address = placer.anywhere(size, alignment, plant.region)
                placements.append(Placement(plant.object, address, plant))
    return placements
