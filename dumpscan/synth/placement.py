"""Where planted objects lie: at a given address, across a seam, or where the seed puts them. They never overlap."""

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
        seams: Addresses in (start, start + size] where one memory range or page ends and the next one begins,
            ascending; a `range` will do. The last may be the area's end, where another area follows.
        hole: Whether the dump does not hold it: what is given an address may lie there all the same.
    """

    name: str
    start: int
    size: int
    seams: Sequence[int] = ()
    hole: bool = False

    @property
    def end(self) -> int:
        """Address of the first byte past it."""
        return self.start + self.size


@dataclass(frozen=True, slots=True)
class Placement:
    """An object's place.

    Attributes:
        object: Its name.
        address: Virtual address of its first byte.
        spec: What asked for it.
    """

    object: str
    address: int
    spec: PlantSpec


class Extent(Protocol):
    """As much as must be known of an object to place it (see `PlantedObject`)."""

    @property
    def size(self) -> int:
        """Bytes that are planted."""

    @property
    def length(self) -> int:
        """Bytes of a finding, in whose middle a seam is put."""

    @property
    def alignment(self) -> int:
        """What its address must be a multiple of."""


class Placer:
    """Gives out places in some areas.

    Args:
        areas: None of them overlaps another.
        source: Decides where there is a choice.
        avoid_seams: Whether an object that need not lie across a seam must not.
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
            ScenarioError: If there is no memory, or another object.
        """
        if not self._held(address, size):
            raise ScenarioError(f"{size} bytes at {address:#x} do not lie in any region")
        blocker = self._blocker(address, size)
        if blocker:
            raise ScenarioError(f"{size} bytes at {address:#x} overlap an object at {blocker[0]:#x}")
        insort(self._taken, (address, address + size))
        return address

    def anywhere(self, size: int, alignment: int, region: str | None = None) -> int:
        """Take `size` bytes at a multiple of `alignment` that the seed chooses; return the address.

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
        """Take `size` bytes of which `before` lie before a seam that the seed chooses; return the address.

        Raises:
            ScenarioError: If there is no such seam left.
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
        """Whether areas hold all of it, one after the other; with `holes`, such areas are as good as others."""
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
        """Return the first object in the way."""
        index = bisect_left(self._taken, (address, 0))
        for start, end in self._taken[max(index - 1, 0) : index + 1]:
            if start < address + size and address < end:
                return (start, end)
        return None

    def _free(self, area: Area, address: int, size: int) -> int:
        """Return `address` if `size` bytes are free there, or else the lowest address at which to go on looking."""
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
    """Return a place for every plant: those with an address first, then those across seams, then the rest.

    Args:
        plants: What to plant.
        objects: By name.
        placer: Gives out the places.

    Raises:
        ScenarioError: If there is no room for one of them; it names the table of the plant.
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
