"""From signatures to findings: one scan of an address space, every candidate decoded, every object gathered.

The steps behind the engine stand by themselves. `Decoding` makes an object of a hit and knows nothing of files, so that
a hit in physical memory can be decoded in every address space that maps it; `source_of` says where an object lies in a
file.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from operator import attrgetter
from typing import TYPE_CHECKING

from dumpscan.artifacts import certificate, container, keyblob, openssh, pem, private_key
from dumpscan.artifacts.decoded import BytesDecoder
from dumpscan.artifacts.merge import Source
from dumpscan.findings import Location
from dumpscan.scan.engine import Engine

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from dumpscan.artifacts.decoded import Decoded, Decoder, Detector, Parsed
    from dumpscan.artifacts.merge import Collector
    from dumpscan.memory.space import AddressSpace, Memory
    from dumpscan.scan.signature import Hit

X509_DETECTORS: tuple[Detector, ...] = (
    *certificate.DETECTORS,
    *private_key.DETECTORS,
    *keyblob.DETECTORS,
    *pem.DETECTORS,
    *openssh.DETECTORS,
    *container.DETECTORS,
)
"""Everything that `x509` looks for. A new kind of object is a module of its own and a line here."""

_FIRST_ALLOWANCE = 64 << 20
_ALLOWANCE_PER_BYTE = 8
"""Bytes that decoders may read for each byte scanned. Real memory takes a tenth of one; a file made of nothing but
openings that announce large objects would take thousands."""
_MOST_KNOWN = 1 << 16
"""Results that a decoder's memory of what it saw before may hold."""


class _MeteredMemory:
    """A memory that counts the bytes read from it."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory
        self.spent = 0

    @property
    def pointer_size(self) -> int:
        return self._memory.pointer_size

    def read(self, address: int, size: int) -> bytes:
        data = self._memory.read(address, size)
        self.spent += len(data)
        return data


class Decoding:
    """Makes objects of hits, for the length of one scan.

    What decoders said of the same bytes before is remembered. How many bytes they read is limited by how many were
    scanned, so that no input takes more time than a multiple of its size.

    Args:
        decoders: By the names of the signatures.

    Attributes:
        skipped: Hits that were not looked into because the limit was reached.
    """

    def __init__(self, decoders: Mapping[str, Decoder]) -> None:
        self.skipped = 0
        self._decoders = decoders
        self._known: defaultdict[int, dict[bytes, Parsed | None]] = defaultdict(dict)
        self._allowance = _FIRST_ALLOWANCE

    def scanned(self, size: int) -> None:
        """Note that so many more bytes have been scanned."""
        self._allowance = min(self._allowance + size * _ALLOWANCE_PER_BYTE, 2 * _FIRST_ALLOWANCE)

    def decode(self, memory: Memory, hit: Hit) -> Decoded | None:
        """Return what a hit announces, as it lies in `memory`; None if it is nothing."""
        if self._allowance <= 0:
            self.skipped += 1
            return None
        decoder = self._decoders[hit.signature.name]
        metered = _MeteredMemory(memory)
        if isinstance(decoder, BytesDecoder):
            known = self._known[id(decoder)]
            if len(known) >= _MOST_KNOWN:
                known.clear()
            decoded = decoder.decode(metered, hit.address, known)
        else:
            decoded = decoder(metered, hit.address)
        self._allowance -= metered.spent
        return decoded


class Scanner:
    """A set of detectors, ready to be used on any number of address spaces, one at a time.

    Args:
        detectors: What to look for.

    Attributes:
        engine: Looks for the signatures.
        decoders: By the signatures' names.
    """

    def __init__(self, detectors: Sequence[Detector] = X509_DETECTORS) -> None:
        self.engine = Engine([signature for signature, _ in detectors])
        self.decoders: dict[str, Decoder] = {signature.name: decoder for signature, decoder in detectors}

    def scan(
        self,
        space: AddressSpace,
        collector: Collector,
        *,
        order: tuple[int, ...] = (0,),
        threads: int | None = None,
        progress: Callable[[int], None] | None = None,
    ) -> tuple[str, ...]:
        """Find everything in an address space whose addresses are those that programs used.

        Args:
            space: The dump. It must stay open until this returns, no longer.
            collector: Takes what is found.
            order: The place of this dump among those that the collector gathers from.
            threads: As for the engine.
            progress: As for the engine.

        Returns:
            What could not be done, a sentence each.
        """
        decoding = Decoding(self.decoders)
        source = source_of(space, order)

        def scanned(size: int) -> None:
            decoding.scanned(size)
            if progress is not None:
                progress(size)

        for hit in self.engine.scan(space, threads=threads, progress=scanned):
            decoded = decoding.decode(space, hit)
            if decoded is not None:
                collector.add(decoded, source)
        if not decoding.skipped:
            return ()
        return (
            f"{decoding.skipped} openings of objects not looked into: there are too many that announce nothing real",
        )


def source_of(space: AddressSpace, order: tuple[int, ...] = (0,)) -> Source:
    """Return the source of objects in an address space that lies in one file."""
    return Source(order, lambda decoded: location_of(space, decoded))


def location_of(space: AddressSpace, decoded: Decoded) -> Location:
    """Return the evidence for an object: where it lies in the file, in which region, whose it is."""
    regions, address = space.regions, decoded.address
    region = regions[bisect_right(regions, address, key=attrgetter("start")) - 1]
    return Location(
        file=str(space.path),
        virtual_address=address,
        length=decoded.length,
        extents=space.extents(address, decoded.length),
        sha256=decoded.sha256,
        encoding=decoded.encoding,
        region=(region.start, region.size),
        module=space.module_at(address),
        process=space.process,
        missing=decoded.missing,
        key_object=decoded.key_object,
    )
