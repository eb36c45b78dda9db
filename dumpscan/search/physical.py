"""The scan of a kernel image: every signature over physical memory once, every hit resolved to whoever sees it.

A page that a hundred processes share is scanned once. Where a match lies in it is turned into virtual addresses by the
reverse page map; the object is then read through the virtual memory of those who map it, so that what follows in the
next page is what follows for them and not what chance put into the next frame. A signature that itself lies across a
border of pages is looked for in the joined edges of pages that follow one another in some virtual memory.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from dumpscan.exceptions import DumpscanError
from dumpscan.findings import Location
from dumpscan.memory.physical.virtual_memory import VirtualMemory
from dumpscan.model.windows.c_paging import PAGE_SHIFT, PAGE_SIZE
from dumpscan.scan.searcher import Matches
from dumpscan.scan.signature import Hit
from dumpscan.search.decoding import Decoding
from dumpscan.search.merge import Source
from dumpscan.search.options import SearchOptions

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    from dumpscan.artifacts.decoded import Decoded
    from dumpscan.artifacts.detector import GroupDecoder
    from dumpscan.memory.dump import PhysicalDump
    from dumpscan.memory.physical.image import PhysicalImage
    from dumpscan.memory.physical.page_map import PageMap
    from dumpscan.scan.searcher import Searcher
    from dumpscan.scan.signature import Signature
    from dumpscan.search.merge import Collector
    from dumpscan.search.scanner import Scanner

    Addresses = NDArray[np.int64]

_KERNEL_RANK = 1 << 24
_UNMAPPED_RANK = 1 << 25
"""Places in processes come first, in the order of the list of processes; then the kernel's, then those of nobody."""

_NOBODY = -1
"""Stands for the owner of memory that nobody maps."""
_MOST_REMEMBERED = 16 << 20
"""Bytes from the first to the last that a decoder read, for its answer to be remembered."""
_MOST_ANSWERS = 32
"""Answers remembered of one match: where so many see it in so many ways, to compare costs more than to decode."""
_SEAM_BYTES = 64 << 20
"""Joined edges of pages that are searched at once."""
_MATCHES_AT_ONCE = 256
MAX_SHARERS = 32
"""Mappings of a frame whose places are decoded together: more than the workers of a server have after a fork."""


def search_physical(
    dump: PhysicalDump,
    scanner: Scanner,
    collector: Collector,
    *,
    options: SearchOptions | None = None,
    order: tuple[int, ...] = (0,),
    progress: Callable[[int], None] | None = None,
) -> tuple[str, ...]:
    """Find everything in an image of physical memory.

    Without a symbol table, processes are known only by their page tables; without a kernel, objects are found where
    they lie in physical memory, and nothing is said of who maps them.

    Args:
        dump: The image. It must stay open until this returns, no longer.
        scanner: What to look for.
        collector: Takes what is found.
        options: How to search.
        order: The place of this image among those that the collector gathers from.
        progress: Called with numbers of bytes that add up to the image's `physical.size`, once for each searcher.

    Returns:
        What could not be done, a sentence each.

    Raises:
        NoSuchProcessError: A filter fits no process.
        InputError: A filter is given, and processes are not known.
    """
    options = options or SearchOptions()
    problems: list[str] = []
    page_map: PageMap | None = None
    if options.filtered:
        page_map = dump.page_map(pids=options.pids, names=options.names)
    else:
        try:
            page_map = dump.best_page_map()
        except DumpscanError as error:
            problems.append(f"physical memory alone is searched, and no process is known: {_reason(error)}")
    decoding = Decoding(scanner.decoders, scanner.contents)
    resolver = _Resolver(dump.physical, page_map, decoding, collector, order, report_all=not options.filtered)

    def scanned(size: int) -> None:
        decoding.scanned(size)
        dump.physical.passed(size)
        if progress is not None:
            progress(size)

    for searcher in scanner.searchers:
        batches = searcher.batches(dump.physical, threads=options.threads, progress=scanned)
        for found in _joined(batches):
            resolver.resolve(searcher.signatures, found.signatures, found.starts.astype(np.int64))
        for found in _seam_matches(dump.physical, page_map, searcher, options.threads):
            decoding.scanned(PAGE_SIZE * len(found.starts))
            resolver.resolve(searcher.signatures, found.signatures, found.starts.astype(np.int64))
    for searcher, decoder in scanner.groups:
        together = [
            *searcher.batches(dump.physical, threads=options.threads, progress=scanned),
            *_seam_matches(dump.physical, page_map, searcher, options.threads),
        ]
        resolver.resolve_together(together, decoder)
    return (*problems, *decoding.problems)


def _reason(error: DumpscanError) -> str:
    return str(getattr(error, "problem", error))


def _joined(batches: Iterator[Matches]) -> Iterator[Matches]:
    """Put small batches together, as looking up where a hundred matches are seen takes no longer than for one."""
    waiting: list[Matches] = []
    count = 0
    for batch in batches:
        waiting.append(batch)
        count += len(batch.starts)
        if count >= _MATCHES_AT_ONCE:
            yield Matches(*map(np.concatenate, zip(*waiting, strict=True)))
            waiting, count = [], 0
    if waiting:
        yield Matches(*map(np.concatenate, zip(*waiting, strict=True)))


def _seam_matches(
    physical: PhysicalImage, page_map: PageMap | None, searcher: Searcher, threads: int | None
) -> Iterator[Matches]:
    """Find matches that lie across a border of pages which follow one another in virtual memory only.

    Yields:
        Matches whose starts are physical addresses, in the page before the border; each once.
    """
    lengths = np.array([signature.length for signature in searcher.signatures], np.int64)
    edge = int(lengths.max()) - 1
    if not edge or page_map is None:
        return
    for tails, heads in page_map.seams(_SEAM_BYTES // (2 * edge)):
        joined = physical.gather_edges(tails, heads, edge)
        matches = searcher.scan_buffer(joined.reshape(-1).data, threads=threads)
        pair, start = np.divmod(matches.starts.astype(np.int64), 2 * edge)
        across = (start < edge) & (start + lengths[matches.signatures] > edge)
        across &= start + lengths[matches.signatures] <= 2 * edge
        address = (tails[pair[across]] << PAGE_SHIFT) + PAGE_SIZE - edge + start[across]
        found = np.unique(np.stack((address, matches.signatures[across]), axis=1), axis=0)
        yield matches._replace(signatures=found[:, 1], starts=found[:, 0].astype(np.uint64))


class _RecordingMemory:
    """Memory that notes which addresses were read, so that it is known what a decoder's answer depends on."""

    def __init__(self, memory: VirtualMemory | _FreeMemory) -> None:
        self._memory = memory
        self.first = 1 << 64
        self.past = 0

    @property
    def pointer_size(self) -> int:
        return self._memory.pointer_size

    def read(self, address: int, size: int) -> bytes:
        if size > 0:
            self.first = min(self.first, address)
            self.past = max(self.past, address + size)
        return self._memory.read(address, size)


class _FreeMemory:
    """Physical memory as far as nobody maps it: what was freed together may still lie together."""

    def __init__(self, physical: PhysicalImage, page_map: PageMap | None) -> None:
        self._physical = physical
        self._map = page_map

    @property
    def pointer_size(self) -> int:
        return 8

    def read(self, address: int, size: int) -> bytes:
        """Return up to `size` bytes at a physical address, fewer where memory of somebody begins."""
        if self._map is not None and size > 0:
            frames = np.arange(address >> PAGE_SHIFT, ((address + size - 1) >> PAGE_SHIFT) + 1)
            taken = np.flatnonzero(self._map.mapped(frames))
            if len(taken):
                size = min(size, max((int(frames[taken[0]]) << PAGE_SHIFT) - address, 0))
        return self._physical.read(address, size)


@dataclass(slots=True)
class _Answer:
    """What a decoder said of an object in one owner's memory, and the frames that it saw for that.

    Attributes:
        address: The virtual address that it was asked about; the object may begin before it.
        before: Bytes that it read before that address.
        size: Bytes from there to the end of what it read.
        frames: The frames behind those bytes, -1 where there was none.
        decoded: What it said.
    """

    address: int
    before: int
    size: int
    frames: tuple[int, ...]
    decoded: Decoded | None


class _Resolver:
    """Turns matches at physical addresses into objects at virtual ones."""

    def __init__(
        self,
        physical: PhysicalImage,
        page_map: PageMap | None,
        decoding: Decoding,
        collector: Collector,
        order: tuple[int, ...],
        *,
        report_all: bool,
    ) -> None:
        self._physical = physical
        self._map = page_map
        self._decoding = decoding
        self._collector = collector
        self._report_all = report_all
        self._free = _FreeMemory(physical, page_map)
        self._free_source = Source((*order, _UNMAPPED_RANK), self._free_location)
        owners = page_map.owners if page_map else ()
        self._memories = [VirtualMemory(page_map, number) for number in range(len(owners))] if page_map else []
        self._sources = [
            Source((*order, number + (_KERNEL_RANK if owner.kernel else 0)), self._locator(number))
            for number, owner in enumerate(owners)
        ]
        self._wanted = np.array([report_all or not owner.kernel for owner in owners], np.bool_)

    def resolve(self, signatures: Sequence[Signature], numbers: NDArray[np.integer], starts: Addresses) -> None:
        """Decode what matches announce, for everybody who sees it.

        Args:
            signatures: The engine's signatures.
            numbers: Which of them matched.
            starts: Physical address of each match's first byte.
        """
        if not len(starts):
            return
        mapped: dict[int, list[tuple[int, int]]] = {}
        unmapped = np.ones(len(starts), np.bool_)
        if self._map is not None:
            index, owner, address = self._map.seen(starts)
            unmapped[index] = False
            kept = self._wanted[owner]
            for place in zip(index[kept].tolist(), owner[kept].tolist(), address[kept].tolist(), strict=True):
                mapped.setdefault(place[0], []).append(place[1:])
        chosen = np.unique(np.concatenate((np.fromiter(mapped, np.int64, len(mapped)), np.flatnonzero(unmapped))))
        for place in chosen.tolist():
            signature = signatures[int(numbers[place])]
            if place in mapped:
                self._resolve_mapped(signature, mapped[place])
            elif self._report_all:
                self._resolve_free(signature, int(starts[place]))

    def resolve_together(self, batches: Sequence[Matches], decoder: GroupDecoder) -> None:
        """Decode what matches in each process's memory make together.

        Memory that many processes share is left out: it is that of programs and files.

        Args:
            batches: All that a searcher found, as physical addresses.
            decoder: What makes sense of them.
        """
        if self._map is None or not batches:
            return
        matches = Matches(*map(np.concatenate, zip(*batches, strict=True)))
        index, owner, address = self._map.seen(matches.starts.astype(np.int64), MAX_SHARERS + 1)
        seen = np.bincount(index, minlength=len(matches.starts))
        private = np.array([not each.kernel for each in self._map.owners], np.bool_)
        kept = np.flatnonzero(private[owner] & (seen[index] <= MAX_SHARERS))
        kept = kept[np.lexsort((address[kept], owner[kept]))]
        kinds = matches.signatures[index[kept]]
        borders = np.flatnonzero(np.diff(owner[kept], prepend=-1, append=-1))
        for begin, end in pairwise(borders.tolist()):
            number = int(owner[kept[begin]])
            found = Matches(kinds[begin:end], address[kept[begin:end]])
            memory = self._memories[number]
            for decoded in self._decoding.decode_together(memory, memory.words_at, decoder, found):
                self._collector.add(decoded, self._sources[number])

    def _resolve_mapped(self, signature: Signature, places: list[tuple[int, int]]) -> None:
        """Decode an object for each owner who sees its signature; the same frames give the same answer."""
        answers: list[_Answer] = []
        for owner, match in places:
            address = match - signature.lead
            if address < 0:
                continue
            decoded, known = self._known_answer(answers, owner, address)
            if not known:
                memory = _RecordingMemory(self._memories[owner])
                decoded = self._decoding.decode(memory, Hit(signature, address), space=owner)
                within = memory.past - memory.first <= _MOST_REMEMBERED  # what follows pointers reads far apart
                if memory.past and within and len(answers) < _MOST_ANSWERS:
                    answers.append(self._answer(owner, address, memory, decoded))
            if decoded is not None:
                self._collector.add(decoded, self._sources[owner])

    def _answer(self, owner: int, address: int, memory: _RecordingMemory, decoded: Decoded | None) -> _Answer:
        before = max(address - memory.first, 0) if memory.past else 0
        size = max(memory.past - (address - before), 1)
        return _Answer(address, before, size, self._span_frames(owner, address - before, size), decoded)

    def _known_answer(self, answers: list[_Answer], owner: int, address: int) -> tuple[Decoded | None, bool]:
        """Find an answer that was given of the same frames; say whether there is one."""
        for answer in answers:
            if self._span_frames(owner, address - answer.before, answer.size) == answer.frames:
                decoded = answer.decoded
                if decoded is not None and any(each.key_object is not None for each in decoded):
                    return None, False  # such an object holds addresses, which mean something else elsewhere
                return (decoded.at(decoded.address - answer.address + address) if decoded else None), True
        return None, False

    def _span_frames(self, owner: int, address: int, size: int) -> tuple[int, ...]:
        return self._map.span_frames(owner, address, size) if self._map is not None else ()

    def _resolve_free(self, signature: Signature, start: int) -> None:
        """Decode an object in frames that nobody maps."""
        address = start - signature.lead
        if address < 0:
            return
        decoded = self._decoding.decode(self._free, Hit(signature, address), space=_NOBODY)
        if decoded is not None:
            self._collector.add(decoded, self._free_source)

    def _locator(self, owner: int) -> Callable[[Decoded], Location]:
        def locate(decoded: Decoded) -> Location:
            if self._map is None:
                raise AssertionError
            address, length = decoded.address, decoded.length
            frame = self._map.span_frames(owner, address, 1)[0]
            return Location(
                file=str(self._physical.path),
                virtual_address=address,
                length=length,
                extents=self._memories[owner].extents(address, length),
                sha256=decoded.sha256,
                encoding=decoded.encoding,
                physical_address=(frame << PAGE_SHIFT) + (address & (PAGE_SIZE - 1)) if frame >= 0 else None,
                region=self._map.region(owner, address),
                process=self._map.owners[owner].process,
                missing=decoded.missing,
                key_object=decoded.key_object,
            )

        return locate

    def _free_location(self, decoded: Decoded) -> Location:
        held = decoded.length - decoded.missing
        return Location(
            file=str(self._physical.path),
            virtual_address=None,
            length=decoded.length,
            extents=self._physical.extents(decoded.address, held),
            sha256=decoded.sha256,
            encoding=decoded.encoding,
            physical_address=decoded.address,
            missing=decoded.missing,
            key_object=decoded.key_object,
        )
