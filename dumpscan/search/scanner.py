"""The search of an address space whose addresses are those that programs used: a minidump's, say."""

from __future__ import annotations

from copy import copy
from typing import TYPE_CHECKING

from dumpscan.findings import Location
from dumpscan.memory.regions import read_words, region_at, total_size
from dumpscan.scan.engine import Engine
from dumpscan.scan.searcher import by_place, hits
from dumpscan.scan.signature import Signature
from dumpscan.search.contents import Contents
from dumpscan.search.decoding import Decoding
from dumpscan.search.merge import MAX_REMAINS, Source
from dumpscan.search.zeros import Part

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from dumpscan.artifacts.carrier import Carrier
    from dumpscan.artifacts.decoded import Decoded, Decoder
    from dumpscan.artifacts.detector import Detector, GroupDetector
    from dumpscan.memory.space import AddressSpace, Region
    from dumpscan.scan.searcher import Scannable, Searcher
    from dumpscan.search.merge import Collector


class Scanner:
    """A set of detectors, ready to be used on any number of address spaces, one at a time.

    Args:
        detectors: What to look for.
        groups: What to look for that only several places tell together.

    Attributes:
        engine: Looks for all signatures in one pass; None if there are none.
        searchers: Everything that makes a pass over memory; the engine is the first.
        decoders: By the signatures' names.
        groups: Searchers whose places are decoded together, with their decoders.
        contents: Looks for the same in what text stands for.
    """

    def __init__(self, detectors: Sequence[Detector], groups: Sequence[GroupDetector] = ()) -> None:
        signatures = [finder for finder, _ in detectors if isinstance(finder, Signature)]
        in_memory = [signature for signature in signatures if not signature.only_in_text]
        self.engine = Engine(in_memory) if in_memory else None
        others = [finder for finder, _ in detectors if not isinstance(finder, Signature)]
        self.contents = Contents(self.engine, [signature for signature in signatures if signature.only_in_text])
        self.searchers: tuple[Searcher, ...] = (*((self.engine,) if self.engine else ()), *others)
        self.decoders: dict[str, Decoder | Carrier] = {
            signature.name: decoder
            for finder, decoder in detectors
            for signature in ((finder,) if isinstance(finder, Signature) else finder.signatures)
        }
        self.groups = tuple(groups)

    def with_groups(self, groups: Sequence[GroupDetector]) -> Scanner:
        """Return a scanner that looks for further groups too; both share the rest."""
        other = copy(self)
        other.groups = (*self.groups, *groups)
        return other

    @property
    def passes(self) -> int:
        """How often a scan reads all of memory."""
        return len(self.searchers) + len(self.groups)

    def scan(
        self,
        space: AddressSpace,
        collector: Collector,
        *,
        within: Sequence[Region] | None = None,
        groups_within: Sequence[Region] | None = None,
        order: tuple[int, ...] = (0,),
        threads: int | None = None,
        progress: Callable[[int], None] | None = None,
    ) -> tuple[str, ...]:
        """Find everything in an address space.

        Args:
            space: The dump. It must stay open until this returns, no longer.
            collector: Takes what is found.
            within: Regions in which to look; by default all.
            groups_within: Those of them in which groups are looked for, if not in all of them.
            order: The place of this dump among those that the collector gathers from.
            threads: As for the searchers.
            progress: Called with numbers of bytes that add up to the size of all regions, once for each searcher.

        Returns:
            What could not be done, a sentence each.
        """
        decoding = Decoding(self.decoders, self.contents)
        source = source_of(space, order)
        searched: Scannable = space if within is None else Part(space, space.buffer, within, space.reach)

        def scanned(size: int) -> None:
            decoding.scanned(size)
            if progress is not None:
                progress(size)

        for searcher in self.searchers:
            for matches in searcher.batches(searched, threads=threads, progress=scanned):
                for hit in hits(searcher.signatures, matches):
                    decoded = decoding.decode(space, hit)
                    if decoded is not None:
                        collector.add(decoded, source)
        if groups_within is not None:
            scanned((total_size(searched.regions) - total_size(groups_within)) * len(self.groups))
            searched = Part(space, space.buffer, groups_within, space.reach)
        for searcher, decoder in self.groups:
            found = by_place(searcher.batches(searched, threads=threads, progress=scanned))
            words = read_words(space.buffer, space.regions)
            for decoded in decoding.decode_together(space, words, decoder, found):
                collector.add(decoded, source)
        collector.remains += [space.extents(address, MAX_REMAINS) for _, address in decoding.cut_short]
        return decoding.problems


def source_of(space: AddressSpace, order: tuple[int, ...] = (0,)) -> Source:
    """Return the source of objects in an address space that lies in one file."""
    return Source(order, lambda decoded: location_of(space, decoded))


def location_of(space: AddressSpace, decoded: Decoded) -> Location:
    """Return the evidence for an object: where it lies in the file, in which region, whose it is."""
    address = decoded.address
    region = region_at(space.regions, address)
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
