"""Resolves matches in physical memory: to objects at virtual addresses, for everybody who sees them.

What no process maps is looked for in the files that the system keeps in memory, which are an address space of their
own; what is in none of them either is read as it lies in physical memory.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from dumpscan.artifacts.openssl.headers import HeaderSearcher
from dumpscan.findings import Location
from dumpscan.memory.physical.own_memory import OwnMemory, unmapped
from dumpscan.memory.physical.virtual_memory import VirtualMemory
from dumpscan.model.windows.c_paging import PAGE_SHIFT, PAGE_SIZE
from dumpscan.scan.searcher import Matches, by_place
from dumpscan.scan.signature import Hit
from dumpscan.search.merge import MAX_REMAINS, Source
from dumpscan.search.zeros import Part

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    from dumpscan.artifacts.decoded import Decoded
    from dumpscan.artifacts.detector import GroupDecoder
    from dumpscan.memory.dump import CachedFiles, PageUse
    from dumpscan.memory.physical.image import PhysicalImage
    from dumpscan.memory.physical.page_map import PageMap
    from dumpscan.memory.space import Searchable
    from dumpscan.scan.searcher import Searcher
    from dumpscan.scan.signature import Signature
    from dumpscan.search.decoding import Decoding
    from dumpscan.search.merge import Collector

    Addresses = NDArray[np.int64]

_KERNEL_RANK = 1 << 24
_FILES_RANK = 1 << 25
_UNMAPPED_RANK = 1 << 26
"""Places in processes come first, in the order of the list of processes; then the kernel's, then those in files that no
process maps, then those of nobody."""

_NOBODY = -1
"""Stands for the owner of memory that nobody maps."""
_MOST_REMEMBERED = 16 << 20
"""Bytes from the first to the last that a decoder read, for its answer to be remembered."""
_MOST_ANSWERS = 32
"""Answers remembered of one match: where so many see it in so many ways, to compare costs more than to decode."""
MAX_SHARERS = 32
"""Mappings of a frame whose places are decoded together: more than the workers of a server have after a fork."""


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


class Resolver:
    """Turns matches at physical addresses into objects at virtual ones.

    Args:
        physical: Physical memory.
        page_map: Who maps what; None if nothing is known.
        decoding: Decodes what lies at a match.
        collector: Takes what is found.
        order: The place of this image among those that the collector gathers from.
        files: The files that the system keeps in memory; None if they are not known, or not wanted.
        page_use: Says what the page at a physical address is used for; by default, that is not known.
        report_all: Whether to report what no process sees.
    """

    def __init__(
        self,
        physical: PhysicalImage,
        page_map: PageMap | None,
        decoding: Decoding,
        collector: Collector,
        order: tuple[int, ...],
        *,
        files: CachedFiles | None = None,
        page_use: Callable[[int], PageUse | None] = lambda _physical: None,
        report_all: bool,
    ) -> None:
        self._physical = physical
        self._page_use = page_use
        self._map = page_map
        self._files = files
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
        self._of_files = len(owners)
        """The number that stands for the address space of files, behind those of the owners."""
        if files is not None:
            self._memories.append(VirtualMemory(files.page_map, 0))
            self._sources.append(Source((*order, _FILES_RANK), self._file_location))

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
            for match, *seen in zip(index[kept].tolist(), owner[kept].tolist(), address[kept].tolist(), strict=True):
                mapped.setdefault(match, []).append((seen[0], seen[1]))
        in_files = self._in_files(starts)
        for place in sorted({*mapped, *np.flatnonzero(unmapped).tolist()}):
            signature = signatures[int(numbers[place])]
            if place in mapped:
                cut = self._resolve_mapped(signature, mapped[place])
                if not cut:
                    continue
            if place in in_files:  # the page after it may be in memory, and not mapped yet
                self._resolve_mapped(signature, [(self._of_files, in_files[place])])
            elif unmapped[place] and self._report_all:
                self._resolve_free(signature, int(starts[place]))

    def _in_files(self, starts: Addresses) -> dict[int, int]:
        """Return which matches lie in files that are in memory, and at which addresses there."""
        if self._files is None or not self._report_all:
            return {}
        index, _, address = self._files.page_map.seen(starts)
        return dict(zip(index.tolist(), address.tolist(), strict=True))

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

    def resolve_of_32_bits(self, searcher: Searcher, decoder: GroupDecoder, threads: int | None) -> None:
        """Do so in each process of 32 bits, if the searcher tells pointers of 32 bits from others.

        Args:
            searcher: What to look for.
            decoder: What makes sense of it.
            threads: As for the searcher.
        """
        if not isinstance(searcher, HeaderSearcher):
            return
        for page_map, number in self._processes():
            if page_map.owners[number].process.architecture == "x86":
                memory = OwnMemory(page_map, number, MAX_SHARERS, pointer_size=4)
                found = by_place(searcher.batches(memory, threads=threads))
                for decoded in self._decoding.decode_together(memory, memory.words_at, decoder, found):
                    self._collector.add(decoded, self._sources[number])

    def own_memories(self, *, free: bool) -> Iterator[tuple[Searchable, Source]]:
        """Yield each process's own memory, with the source of what is found there.

        Args:
            free: Whether to yield what nobody maps as well, at the end.
        """
        for page_map, number in self._processes():
            yield OwnMemory(page_map, number, MAX_SHARERS), self._sources[number]
        if free and self._report_all:
            regions = self._physical.written if self._map is None else unmapped(self._map)
            yield Part(self._free, self._physical.buffer, regions), self._free_source

    def _processes(self) -> Iterator[tuple[PageMap, int]]:
        """Yield the page map, and the number in it of each owner that is not the kernel; nothing without a map."""
        if self._map is not None:
            yield from ((self._map, number) for number, owner in enumerate(self._map.owners) if not owner.kernel)

    def tell_remains(self) -> None:
        """Tell the collector where private keys lie that are cut short."""
        for owner, address in self._decoding.cut_short:
            memory = self._physical if owner == _NOBODY else self._memories[owner]
            self._collector.remains.append(memory.extents(address, MAX_REMAINS))

    def _resolve_mapped(self, signature: Signature, places: list[tuple[int, int]]) -> bool:
        """Decode an object for each owner who sees its signature; the same frames give the same answer.

        Returns:
            Whether somebody sees only a part of it.
        """
        answers: list[_Answer] = []
        cut = False
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
                cut |= decoded.missing > 0
        return cut

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
        if self._files is not None and owner == self._of_files:
            return self._files.page_map.span_frames(0, address, size)
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
            physical = (frame << PAGE_SHIFT) + (address & (PAGE_SIZE - 1)) if frame >= 0 else None
            return Location(
                file=str(self._physical.path),
                virtual_address=address,
                length=length,
                extents=self._memories[owner].extents(address, length),
                sha256=decoded.sha256,
                encoding=decoded.encoding,
                physical_address=physical,
                region=self._map.region(owner, address),
                process=self._map.owners[owner].process,
                missing=decoded.missing,
                key_object=decoded.key_object,
                **_members(None if physical is None else self._page_use(physical)),
            )

        return locate

    def _file_location(self, decoded: Decoded) -> Location:
        if self._files is None:
            raise AssertionError
        address, length = decoded.address, decoded.length
        frame = self._files.page_map.span_frames(0, address, 1)[0]
        return Location(
            file=str(self._physical.path),
            virtual_address=None,
            length=length,
            extents=self._memories[self._of_files].extents(address, length),
            sha256=decoded.sha256,
            encoding=decoded.encoding,
            physical_address=(frame << PAGE_SHIFT) + (address & (PAGE_SIZE - 1)),
            missing=decoded.missing,
            key_object=decoded.key_object,
            **_members(self._files.use(address)),
        )

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
            **_members(self._page_use(decoded.address)),
        )


def _members(use: PageUse | None) -> dict[str, Any]:
    """Return what a page is used for as members of a location."""
    if use is None:
        return {}
    return {
        "page_owner": use.owner,
        "page_path": use.path,
        "page_offset": use.offset,
        "page_inode": use.inode,
        "page_filesystem": use.filesystem,
    }
