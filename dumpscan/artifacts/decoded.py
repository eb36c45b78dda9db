"""What a decoder hands back: a finding without its place, and the bytes that it was read from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from dumpscan.findings import Finding
    from dumpscan.memory.space import Memory


@dataclass(frozen=True, slots=True)
class Decoded:
    """A proven object at an address.

    Attributes:
        finding: The object; its `locations` are still empty.
        address: Address of the first byte, in the memory that it was read from.
        length: Length in bytes there.
        sha256: SHA-256 (hex) of those bytes.
        encoding: As in `Location.encoding`.
        missing: Bytes of the object that the memory does not hold.
    """

    finding: Finding
    address: int
    length: int
    sha256: str
    encoding: str
    missing: int = 0


class Decoder(Protocol):
    """Turns a candidate into what it really is, or into nothing."""

    def __call__(self, memory: Memory, address: int) -> Decoded | None:
        """Decode the object that a signature says opens at `address`; None if it is none, or is not whole."""
