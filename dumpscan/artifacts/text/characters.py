"""Characters in memory, in the encodings that programs use."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from dumpscan.artifacts.carrier import Carrier
from dumpscan.artifacts.decoded import RefusedError
from dumpscan.memory.space import read_before

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from dumpscan.artifacts.carrier import Unwrapped
    from dumpscan.memory.space import Memory


@dataclass(frozen=True, slots=True)
class Coding:
    """How characters are written in memory.

    Attributes:
        suffix: What it adds to the name of an encoding: nothing, `-utf16` …
        size: Bytes of a character.
        low: Index of the one byte that is not zero.
    """

    suffix: str
    size: int
    low: int


ASCII = Coding("", 1, 0)
CODINGS: dict[int, tuple[Coding, ...]] = {
    1: (ASCII,),
    2: (Coding("-utf16", 2, 0), Coding("-utf16be", 2, 1)),
    4: (Coding("-utf32", 4, 0), Coding("-utf32be", 4, 3)),
}
"""By bytes of a character, little-endian first: where text lies between zeros, its byte order cannot be told."""


class Characters:
    """Text in memory from one place on. It ends at the first zero; wide text, at what one byte cannot hold, too.

    Args:
        memory: Where it lies.
        address: Address of the first character's byte that is not zero.
        coding: How it is written.

    Attributes:
        address: Address of the first character's first byte.
        coding: As above.
    """

    def __init__(self, memory: Memory, address: int, coding: Coding) -> None:
        self.address = address - coding.low
        self.coding = coding
        self._memory = memory
        self._text = b""
        self._ended = self.address < 0

    def take(self, count: int) -> bytes:
        """Return the first `count` characters, one byte each; fewer where the text ends."""
        lacking = count - len(self._text)
        if lacking > 0 and not self._ended:
            more = self._read(self.address + len(self._text) * self.coding.size, lacking).partition(b"\0")[0]
            self._ended = len(more) < lacking
            self._text += more
        return self._text[:count]

    def before(self, count: int) -> bytes:
        """Return the `count` characters that end where this text begins; fewer where memory or text begins."""
        size = self.coding.size
        data = read_before(self._memory, self.address, count * size)
        data = data[len(data) % size :]
        foreign = self._high_bytes(data).rstrip(b"\0")
        return data[self.coding.low :: size][-(-len(foreign) // max(size - 1, 1)) :]

    def place(self, begin: int, end: int) -> tuple[int, int]:
        """Return the address and the length in bytes of the characters from `begin` to `end`."""
        return self.address + begin * self.coding.size, (end - begin) * self.coding.size

    def _read(self, address: int, count: int) -> bytes:
        size = self.coding.size
        data = self._memory.read(address, count * size)
        data = data[: len(data) - len(data) % size]
        high = self._high_bytes(data)
        narrow = data[self.coding.low :: size]
        return narrow[: (len(high) - len(high.lstrip(b"\0"))) // (size - 1)] if high else narrow

    def _high_bytes(self, data: bytes) -> bytes:
        """Return the bytes that are zero in text, those of one character behind those of another."""
        size = self.coding.size
        high = bytearray(len(data) // size * (size - 1))
        for number, index in enumerate(index for index in range(size) if index != self.coding.low):
            high[number :: size - 1] = data[index::size]
        return bytes(high)


@dataclass(frozen=True, slots=True)
class TextCarrier(Carrier):
    """Unwraps text of characters of one size.

    Attributes:
        size: Bytes of a character.
        read: Reads the text whose signature is at an address; raises `RefusedError` if there is none.
    """

    size: int
    read: Callable[[Memory, int, Coding], Unwrapped]

    def readings(self, memory: Memory, address: int) -> Iterator[Unwrapped]:
        """Yield the text at `address`, in either byte order (see `Carrier`)."""
        for coding in CODINGS[self.size]:
            try:
                yield self.read(memory, address, coding)
            except RefusedError:
                continue
