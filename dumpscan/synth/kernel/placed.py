"""Where the objects of a kernel image lie: the ground truth about each."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from dumpscan.synth.kernel.scenario import PAGED_OUT, PROTOTYPE, TRANSITION

if TYPE_CHECKING:
    from collections.abc import Iterable

    from dumpscan.synth.objects.planted import PlantedObject

VALID = "valid"
"""State of a page that the processor can reach; the others are those of `kernel_scenario`."""
PLACEMENTS = ("ordinary", "crossing", "shared", "large", TRANSITION, PAGED_OUT, PROTOTYPE, "unmapped", "kernel")


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """A run of an object's bytes on one page.

    Attributes:
        offset: Bytes from the object's beginning.
        length: Bytes.
        physical: Physical address; None where the image does not hold them.
        state: `valid`, `transition`, `prototype` or `paged-out`.
    """

    offset: int
    length: int
    physical: int | None
    state: str


@dataclass(frozen=True, slots=True)
class ObjectMapping:
    """A mapping of an object.

    Attributes:
        pid: Process id; None in system space.
        address: Virtual address of the object's first byte.
        unreachable: Bytes of it that these page tables do not lead to.
    """

    pid: int | None
    address: int
    unreachable: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed:
    """An object as it lies in the image.

    Attributes:
        name: Of the object in the scenario.
        planted: The object.
        address: The address that its bytes were made for: the first at which it is mapped.
        placement: One of `PLACEMENTS`; the first reason why it is not ordinary.
        places: Its mappings.
        pieces: Where its bytes are.
        shared: Name of the shared memory that it lies in, and its offset there.
    """

    name: str
    planted: PlantedObject
    address: int
    placement: str
    places: tuple[ObjectMapping, ...]
    pieces: tuple[Piece, ...]
    shared: tuple[str, int] | None = None

    def truth(self) -> dict[str, Any]:
        """Return what a scanner must find, ready for JSON; no key material.

        `missing` bytes are not in the image. `unreachable` are those and what no page tables lead to: behind prototype
        entries, or in frames that nothing maps. A library's object holds addresses, those that are right where it lies
        at `made_at`; `wrapper`, the address of its handle, is told only if it is mapped there.
        """
        holes = [(piece.offset, piece.offset + piece.length) for piece in self.pieces if piece.physical is None]
        pieces = _first_bytes(self.pieces, self.planted.length)
        there = self.planted.truth_at(self.address, holes)
        if all(place.address != self.address for place in self.places):
            there.pop("wrapper", None)
        return {
            "object": self.name,
            **self.planted.truth(),
            **there,
            **({} if self.planted.library is None else {"made_at": self.address}),
            "placement": self.placement,
            "crosses_pages": len(pieces) > 1,
            "places": [
                {"pid": place.pid, "virtual_address": place.address, "unreachable": place.unreachable}
                for place in self.places
            ],
            "physical_extents": [
                {
                    "offset": piece.offset,
                    "length": piece.length,
                    "physical_address": piece.physical,
                    "state": piece.state,
                }
                for piece in pieces
            ],
            "missing": sum(piece.length for piece in pieces if piece.physical is None),
            "unreachable": min((place.unreachable for place in self.places), default=self.planted.length),
        }


def _first_bytes(pieces: Iterable[Piece], length: int) -> list[Piece]:
    """Return where the first bytes of what lies in some pieces lie."""
    return [
        replace(piece, length=min(piece.length, length - piece.offset)) for piece in pieces if piece.offset < length
    ]


def unreachable_bytes(pieces: list[Piece], length: int) -> int:
    """Return how many of the first `length` bytes no page table leads to."""
    return sum(piece.length for piece in _first_bytes(pieces, length) if piece.state not in (VALID, TRANSITION))


def placement_of(pieces: list[Piece]) -> str:
    """Return the first thing that is odd about an object's pages."""
    states = {piece.state for piece in pieces}
    for state in (PAGED_OUT, PROTOTYPE, TRANSITION):
        if state in states:
            return state
    return "crossing" if len(pieces) > 1 else "ordinary"
