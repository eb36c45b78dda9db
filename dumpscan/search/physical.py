"""The scan of a kernel image: every signature over physical memory once, every hit resolved to whoever sees it.

A page that a hundred processes share is scanned once. Where a match lies in it is turned into virtual addresses by the
reverse page map; the object is then read through the virtual memory of those who map it, so that what follows in the
next page is what follows for them and not what chance put into the next frame. A signature that itself lies across a
border of pages is looked for in the joined edges of pages that follow one another in some virtual memory.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from dumpscan.exceptions import DumpscanError
from dumpscan.memory.regions import RegionTable, within, within_spans
from dumpscan.model.windows.c_paging import PAGE_SHIFT, PAGE_SIZE
from dumpscan.scan.searcher import Matches
from dumpscan.search.decoding import Decoding
from dumpscan.search.options import SearchOptions
from dumpscan.search.resolving import MAX_SHARERS, Resolver
from dumpscan.search.zeros import Part, without_zeros

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from dumpscan.memory.dump import CachedFiles, PhysicalDump
    from dumpscan.memory.physical.image import PhysicalImage
    from dumpscan.memory.physical.page_map import PageMap
    from dumpscan.memory.space import Searchable
    from dumpscan.scan.searcher import Searcher
    from dumpscan.search.merge import Collector, Source
    from dumpscan.search.scanner import Scanner

    Addresses = NDArray[np.int64]

_SEAM_BYTES = 64 << 20
"""Joined edges of pages that are searched at once."""
_MATCHES_AT_ONCE = 256


@dataclass(frozen=True, slots=True)
class _PartOfImage(Part):
    """Part of physical memory."""

    regions: RegionTable


def search_physical(
    dump: PhysicalDump,
    scanner: Scanner,
    collector: Collector,
    *,
    options: SearchOptions | None = None,
    order: tuple[int, ...] = (0,),
    progress: Callable[[int], None] | None = None,
    afterwards: Callable[[Searchable, Source], None] | None = None,
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
        afterwards: Called with each process's own memory and the source of what is found there, once everything else
            has been found; if keys are named or the search is deep, also with what nobody maps.

    Returns:
        What could not be done, a sentence each.

    Raises:
        NoSuchProcessError: A filter fits no process.
        InputError: A filter is given, and processes are not known.
    """
    options = options or SearchOptions()
    page_map, problems = _page_map(dump, options)
    files = dump.cached_files() if page_map is not None and not options.filtered else None
    maps = [each for each in (page_map, files.page_map if files else None) if each is not None]
    decoding = Decoding(scanner.decoders, scanner.contents)
    resolver = Resolver(
        dump.physical,
        page_map,
        decoding,
        collector,
        order,
        files=files,
        page_use=dump.page_use if page_map is not None else lambda _physical: None,
        report_all=not options.filtered,
    )

    def scanned(size: int) -> None:
        decoding.scanned(size)
        dump.physical.passed(size)
        if progress is not None:
            progress(size)

    written = _written(dump.physical, scanner, options, progress)
    frames = _frames(written) if options.spans is not None else None
    for searcher in scanner.searchers:
        batches = searcher.batches(written, threads=options.threads, progress=scanned)
        for found in _joined(batches):
            resolver.resolve(searcher.signatures, found.signatures, found.starts.astype(np.int64))
        for each in maps:
            for found in _seam_matches(dump.physical, each, searcher, options.threads, frames):
                decoding.scanned(PAGE_SIZE * len(found.starts))
                resolver.resolve(searcher.signatures, found.signatures, found.starts.astype(np.int64))
    private = _private(written, page_map, files) if scanner.groups else written
    for searcher, decoder in scanner.groups:
        scanned(written.regions.total - private.regions.total)
        together = [
            *searcher.batches(private, threads=options.threads, progress=scanned),
            *_seam_matches(dump.physical, page_map, searcher, options.threads, _frames(private)),
        ]
        resolver.resolve_together(together, decoder)
        resolver.resolve_of_32_bits(searcher, decoder, options.threads)
    resolver.tell_remains()
    if afterwards is not None:
        for memory, source in resolver.own_memories(free=options.deep or bool(options.public_keys)):
            afterwards(memory, source)
    return (*problems, *decoding.problems)


def _page_map(dump: PhysicalDump, options: SearchOptions) -> tuple[PageMap | None, tuple[str, ...]]:
    """Return who maps what, as far as it is wanted and known, and why it is not known."""
    if options.filtered:
        return dump.page_map(pids=options.pids, names=options.names), ()
    try:
        return dump.best_page_map(), ()
    except DumpscanError as error:
        return None, (f"physical memory alone is searched, and no process is known: {_reason(error)}",)


def _written(
    physical: PhysicalImage, scanner: Scanner, options: SearchOptions, progress: Callable[[int], None] | None
) -> _PartOfImage:
    """Return the part of physical memory to search, and count the others as searched."""
    regions = physical.written
    if options.spans is not None:
        regions = within_spans(regions, options.spans)
    else:
        regions = without_zeros(physical.buffer, regions)
    if progress is not None:
        progress((physical.size - regions.total) * scanner.passes)
    return _PartOfImage(physical, physical.buffer, regions)


def _private(written: _PartOfImage, page_map: PageMap | None, files: CachedFiles | None) -> _PartOfImage:
    """Return the memory that few processes map, and that holds no file."""
    begins, ends = np.zeros((2, 0), np.int64)
    if page_map is not None:
        of_files = files.page_map.columns[0] if files is not None else begins
        begins, ends = page_map.private(MAX_SHARERS, of_files.astype(np.int64))
    shift = np.uint64(PAGE_SHIFT)
    regions = within(written.regions, begins.astype(np.uint64) << shift, ends.astype(np.uint64) << shift)
    return replace(written, regions=regions)


def _frames(part: _PartOfImage) -> Addresses:
    """Return the frames of which there is any byte in a part of physical memory, ascending."""
    none = np.zeros(0, np.int64)
    frames = (np.arange(each.start >> PAGE_SHIFT, ((each.end - 1) >> PAGE_SHIFT) + 1) for each in part.regions)
    return np.unique(np.concatenate([none, *frames]))


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
    physical: PhysicalImage,
    page_map: PageMap | None,
    searcher: Searcher,
    threads: int | None,
    frames: Addresses | None = None,
) -> Iterator[Matches]:
    """Find matches that lie across a border of pages which follow one another in virtual memory only.

    Args:
        physical: Physical memory.
        page_map: Which pages follow one another.
        searcher: What to look for.
        threads: As for the searcher.
        frames: Frames of which one is on either side of the border; by default all.

    Yields:
        Matches whose starts are physical addresses, in the page before the border; each once.
    """
    lengths = np.array([signature.length for signature in searcher.signatures], np.int64)
    edge = int(lengths.max()) - 1
    if not edge or page_map is None:
        return
    for all_tails, all_heads in page_map.seams(_SEAM_BYTES // (2 * edge)):
        wanted = slice(None) if frames is None else np.isin(all_tails, frames) | np.isin(all_heads, frames)
        tails, heads = all_tails[wanted], all_heads[wanted]
        if not len(tails):
            continue
        joined = physical.gather_edges(tails, heads, edge)
        matches = searcher.scan_buffer(joined.reshape(-1).data, threads=threads)
        pair, start = np.divmod(matches.starts.astype(np.int64), 2 * edge)
        across = (start < edge) & (start + lengths[matches.signatures] > edge)
        across &= start + lengths[matches.signatures] <= 2 * edge
        address = (tails[pair[across]] << PAGE_SHIFT) + PAGE_SIZE - edge + start[across]
        found = np.unique(np.stack((address, matches.signatures[across]), axis=1), axis=0)
        yield matches._replace(signatures=found[:, 1], starts=found[:, 0].astype(np.uint64))
