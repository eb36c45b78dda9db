"""What a decoder hands back: a finding without its place, and the bytes that it was read from.

Most kinds of object are a run of bytes whose length its opening tells. For those a decoder has two halves: `extract`
reads the bytes from memory, and `parse`, which sees nothing but the bytes, says what they are. A scan remembers what
`parse` said of the same bytes before, so that the millionth copy of a certificate costs no more than reading it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from hashlib import sha256
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, MutableMapping

    from dumpscan.findings import Finding, KeyObject
    from dumpscan.memory.space import Memory


class RefusedError(Exception):
    """The bytes are not what their opening announced. The text says why; it never holds any of the bytes."""


class CutShortError(RefusedError):
    """A private key begins here, and the memory does not hold enough of it to make the key.

    Attributes:
        what: The kind of key, e.g. `RSA private key`.
    """

    def __init__(self, what: str) -> None:
        super().__init__(f"the {what} is cut short")
        self.what = what


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
        key_object: As in `Location.key_object`.
        others: Further objects that the same opening gave, such as the second key of an OpenSSH file; they have no
            `others` of their own.
    """

    finding: Finding
    address: int
    length: int
    sha256: str
    encoding: str
    missing: int = 0
    key_object: KeyObject | None = None
    others: tuple[Decoded, ...] = ()

    def __iter__(self) -> Iterator[Decoded]:
        """Yield this object, then the others."""
        yield self
        yield from self.others

    def at(self, address: int) -> Decoded:
        """Return the same objects as they lie when this one is at `address`."""
        moved = tuple(replace(other, address=other.address - self.address + address) for other in self.others)
        return replace(self, address=address, others=moved)


class Decoder(Protocol):
    """Turns a candidate into what it really is, or into nothing."""

    def __call__(self, memory: Memory, address: int) -> Decoded | None:
        """Decode the object that a signature says opens at `address`; None if it is none, or is not whole.

        Raises:
            CutShortError: It is a private key, of which too much is missing.
            TooCostlyError: A step of a proof would cost more than is left (`dumpscan.artifacts.effort`).
        """


@dataclass(frozen=True, slots=True)
class Raw:
    """An object's bytes as they lie in memory.

    Attributes:
        data: As much of it as the memory holds.
        length: Length in bytes of the whole object.
        ahead: Bytes of it before the address that was asked for: its signature lies within it.
    """

    data: bytes
    length: int
    ahead: int = 0

    @property
    def missing(self) -> int:
        """Bytes that the memory does not hold."""
        return self.length - len(self.data)


@dataclass(frozen=True, slots=True)
class Parsed:
    """What bytes turned out to be.

    Attributes:
        finding: The object, without locations.
        encoding: As in `Location.encoding`.
        others: Further objects in the same bytes.
    """

    finding: Finding
    encoding: str
    others: tuple[Parsed, ...] = ()


@dataclass(frozen=True, slots=True)
class BytesDecoder:
    """A decoder of objects that are one run of bytes.

    Attributes:
        extract: Reads the bytes at an address, having looked at no more than it needs; raises `RefusedError` if they
            cannot be such an object.
        parse: Says what whole bytes are, and proves it; raises `RefusedError` if they are not such an object,
            `CutShortError` if they are part of a private key. It must depend on the bytes alone.
        parse_head: The same for bytes whose end the memory does not hold; None where nothing sound can be said of them.
        in_text: Takes its place where text stands for the whole object: that such text is there says something, too.
        in_certificates: Whether every certificate holds such an object, which the certificate's finding names.
    """

    extract: Callable[[Memory, int], Raw]
    parse: Callable[[bytes], Parsed]
    parse_head: Callable[[Raw], Parsed] | None = None
    in_text: BytesDecoder | None = None
    in_certificates: bool = False

    def __call__(self, memory: Memory, address: int) -> Decoded | None:
        """Decode the object at `address` (see `Decoder`, also for the errors)."""
        return self.decode(memory, address, {})

    def decode(self, memory: Memory, address: int, known: MutableMapping[bytes, Parsed | None]) -> Decoded | None:
        """Decode the object at `address`, with the help of what was said of its bytes before.

        Args:
            memory: Where it lies.
            address: Of its first byte.
            known: Results of this decoder by the SHA-256 of the bytes; the new one is added.
        """
        try:
            raw = self.extract(memory, address)
        except RefusedError:
            return None
        hashed = sha256(raw.data)
        digest = hashed.digest()
        if raw.missing or digest not in known:
            parsed = self._parse(raw)
            if not raw.missing:
                known[digest] = parsed
        else:
            parsed = known[digest]
        if parsed is None:
            return None
        first, *others = (
            Decoded(each.finding, address - raw.ahead, raw.length, hashed.hexdigest(), each.encoding, raw.missing)
            for each in (parsed, *parsed.others)
        )
        return replace(first, others=tuple(others)) if others else first

    def _parse(self, raw: Raw) -> Parsed | None:
        try:
            if not raw.missing:
                return self.parse(raw.data)
            return self.parse_head(raw) if self.parse_head else None
        except CutShortError:
            raise
        except RefusedError:
            return None
