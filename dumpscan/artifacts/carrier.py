"""Text that stands for other bytes: what it is unwrapped to, and the way back to where it lies.

A carrier by itself is no finding. What comes out of one goes to the ordinary decoders, in `dumpscan.search.decoding`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dumpscan.artifacts.decoded import Decoded
    from dumpscan.findings import Finding
    from dumpscan.memory.space import Memory


MAX_CHARACTERS = 1 << 20
"""Characters of the longest text that is looked into."""


@dataclass(frozen=True, slots=True)
class Span:
    """Where text lies.

    Attributes:
        address: Of its first byte.
        length: In bytes.
        encoding: How it is written, from outside in, e.g. `json+pem-utf16`.
    """

    address: int
    length: int
    encoding: str


@dataclass(frozen=True, slots=True)
class Bytes:
    """Bytes as memory that begins at address 0."""

    data: bytes

    @property
    def pointer_size(self) -> int:
        """Nothing in text follows pointers."""
        return 8

    def read(self, address: int, size: int) -> bytes:
        """Return up to `size` bytes at `address`."""
        return self.data[max(address, 0) : max(address + size, 0)]


class Unwrapped(Protocol):
    """What text stands for."""

    @property
    def content(self) -> Memory:
        """The bytes, as memory that begins at address 0."""

    @property
    def opening(self) -> int:
        """Where in them an object should open."""

    @property
    def finding(self) -> Finding | None:
        """What the text is by itself, whatever its content."""

    @property
    def is_covered(self) -> bool:
        """Whether signatures of text that lie within objects found here announce nothing else."""

    @property
    def is_bundle(self) -> bool:
        """Whether it is worth looking for objects anywhere in it, even if none opens at `opening`."""

    def accepts(self, decoded: Decoded) -> bool:
        """Whether an object in the content is what the text says that it is."""

    def span(self, begin: int, end: int) -> Span:
        """Return where the text of the bytes from `begin` to `end` lies."""


class Carrier(ABC):
    """Unwraps text. It decides nothing about what the text stands for."""

    __slots__ = ()

    @abstractmethod
    def readings(self, memory: Memory, address: int) -> Iterator[Unwrapped]:
        """Yield the ways to read the text that a signature found at `address`, the likeliest first; perhaps none."""
