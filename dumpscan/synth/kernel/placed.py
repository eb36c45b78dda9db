"""The ground truth about the objects planted in a kernel image."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from dumpscan.synth.kernel.scenario import PAGED_OUT, PROTOTYPE, TRANSITION

if TYPE_CHECKING:
    from collections.abc import Iterable

    from dumpscan.synth.objects.planted import PlantedObject

VALID = "valid"
"""State of a page that the processor can reach. The other states are those of `kernel.scenario`."""
PLACEMENTS = ("ordinary", "crossing", "shared", "large", TRANSITION, PAGED_OUT, PROTOTYPE, "unmapped", "kernel")


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """The bytes of an object on one page.

    Attributes:
        offset: Offset of the first one in the object.
        length: Number of bytes.
        physical: Physical address; None if the image does not hold them.
        state: State of the page: `valid`, `transition`, `prototype`, `paged-out` or `unmapped`.
    """

    offset: int
    length: int
    physical: int | None
    state: str


@dataclass(frozen=True, slots=True)
class ObjectMapping:
    """A mapping of an object in an address space.

    Attributes:
        pid: Process id; None in system space.
        address: Virtual address of the object's first byte.
        unreachable: Number of its bytes to which these page tables do not lead.
    """

    pid: int | None
    address: int
    unreachable: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed:
    """An object in the image.

    Attributes:
        name: Name of the object in the scenario.
        planted: The object.
        address: The address for which its bytes were made: the first at which it is mapped.
        placement: One of `PLACEMENTS`.
        places: Its mappings.
        pieces: Its bytes, page by page.
        shared: Name of the shared memory that holds it, and its offset there.
    """

    name: str
    planted: PlantedObject
    address: int
    placement: str
    places: tuple[ObjectMapping, ...]
    pieces: tuple[Piece, ...]
    shared: tuple[str, int] | None = None

    def truth(self) -> dict[str, Any]:
        """Return what a scanner must find, ready for JSON. It holds no key material.

        `missing` bytes are not in the image. `unreachable` bytes are these and the bytes to which no page table leads:
        those behind prototype entries, and those in unmapped frames. The pointers of a library's object are right at
        `made_at`. `wrapper`, the address of its handle, is given only if the object is mapped there.
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
    """Return the pieces of the first `length` bytes."""
    return [
        replace(piece, length=min(piece.length, length - piece.offset)) for piece in pieces if piece.offset < length
    ]


def unreachable_bytes(pieces: list[Piece], length: int) -> int:
    """Return the number of bytes, of the first `length`, to which no page table leads."""
    return sum(piece.length for piece in _first_bytes(pieces, length) if piece.state not in (VALID, TRANSITION))


def placement_of(pieces: list[Piece]) -> str:
    """Return the placement of an object by the states of its pages, or `crossing` if it only crosses pages."""
    states = {piece.state for piece in pieces}
    for state in (PAGED_OUT, PROTOTYPE, TRANSITION):
        if state in states:
            return state
    return "crossing" if len(pieces) > 1 else "ordinary"
