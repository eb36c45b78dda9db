"""The two halves of a decoder, and what it remembers."""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING

from dumpscan.artifacts.decoded import BytesDecoder, Parsed, Raw, RefusedError
from dumpscan.findings import Finding
from support.artifact_samples import BASE, memory_of

if TYPE_CHECKING:
    from dumpscan.memory.space import Memory


def _extract(memory: Memory, address: int) -> Raw:
    length = memory.read(address, 1)[0]
    if not length:
        raise RefusedError("nothing")
    return Raw(memory.read(address, length), length)


class Parser:
    """Counts what it is asked, and refuses what ends in a zero."""

    def __init__(self) -> None:
        self.asked: list[bytes] = []

    def __call__(self, data: bytes) -> Parsed:
        self.asked.append(data)
        if data.endswith(b"\0"):
            raise RefusedError("a zero")
        return Parsed(Finding(sha256=sha256(data).hexdigest(), size=len(data)), "plain")


def test_the_object_and_its_bytes() -> None:
    decoded = BytesDecoder(_extract, Parser())(memory_of(b"\x03ab_rest"), BASE)
    assert decoded is not None
    assert (decoded.address, decoded.length, decoded.encoding, decoded.missing) == (BASE, 3, "plain", 0)
    assert decoded.sha256 == decoded.finding.sha256 == sha256(b"\x03ab").hexdigest()


def test_refusals_of_either_half_are_no_object() -> None:
    decoder = BytesDecoder(_extract, Parser())
    assert decoder(memory_of(b"\x00ab"), BASE) is None
    assert decoder(memory_of(b"\x03a\x00"), BASE) is None


def test_the_same_bytes_are_parsed_once() -> None:
    parser = Parser()
    decoder = BytesDecoder(_extract, parser)
    memory = memory_of(b"\x03ab\x03ab\x03a\x00\x03a\x00")
    known: dict[bytes, Parsed | None] = {}
    found = [decoder.decode(memory, BASE + offset, known) for offset in (0, 3, 6, 9)]
    assert [decoded and decoded.address for decoded in found] == [BASE, BASE + 3, None, None]
    assert parser.asked == [b"\x03ab", b"\x03a\x00"]


def test_an_object_cut_off_needs_a_parser_of_heads() -> None:
    memory = memory_of(b"\x09ab")
    assert BytesDecoder(_extract, Parser())(memory, BASE) is None
    whole = Parser()
    decoder = BytesDecoder(_extract, whole, lambda raw: Parsed(Finding(sha256="", size=raw.missing), "head"))
    decoded = decoder(memory, BASE)
    assert decoded is not None
    assert (decoded.length, decoded.missing, decoded.finding.size) == (9, 6, 6)
    assert decoded.sha256 == sha256(b"\x09ab").hexdigest()
    assert not whole.asked
