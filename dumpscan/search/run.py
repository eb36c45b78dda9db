"""The one way to search a dump: commands, triage, plugins and the library all call `search`."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from dumpscan.memory.dump import is_physical
from dumpscan.memory.regions import total_size, within_spans, without
from dumpscan.search.options import SearchOptions
from dumpscan.search.pairs import SUPPORTED
from dumpscan.search.scanner import Scanner, source_of
from dumpscan.search.zeros import Part, without_zeros

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from dumpscan.artifacts.detector import Detector, GroupDetector
    from dumpscan.artifacts.registry import Search
    from dumpscan.artifacts.tls.detector import TlsDetector
    from dumpscan.memory.dump import PhysicalDump, ProcessDump
    from dumpscan.memory.space import Region
    from dumpscan.scan.searcher import Scannable
    from dumpscan.search.known_keys import KnownKeys
    from dumpscan.search.merge import Collector

_EVERY_WAY = SearchOptions()


def search(
    dump: ProcessDump | PhysicalDump,
    what: Search,
    collector: Collector,
    *,
    options: SearchOptions = _EVERY_WAY,
    order: tuple[int, ...] = (0,),
    progress: Callable[[int], None] | None = None,
    note: Callable[[str], None] | None = None,
) -> tuple[str, ...]:
    """Find everything that a search looks for in one dump.

    Args:
        dump: The dump. It must stay open until this returns, no longer.
        what: What to look for.
        collector: Takes what is found.
        options: How to search.
        order: The place of this dump among those that the collector gathers from.
        progress: Called with numbers of bytes that add up to `search_size` of the dump.
        note: Called with what was left out on purpose, a sentence each time.

    Returns:
        What could not be done, a sentence each.

    Raises:
        NoSuchProcessError: A filter fits no process.
        InputError: A filter is given, and processes are not known.
    """
    say = note or _say_nothing
    scanner = _scanner(what.detectors, what.groups)
    tls = _tls_detector(what)
    if is_physical(dump):
        from dumpscan.search.physical import search_physical  # noqa: PLC0415 - process dumps do not need it

        memory: Scannable = dump.physical
        known = _known_keys(what, collector, order, options, dump.physical.size)
        problems = search_physical(
            dump,
            scanner if tls is None else scanner.with_groups(tls.detectors),
            collector,
            options=options,
            order=order,
            progress=progress,
            afterwards=known.search if known is not None else None,
        )
    else:
        if options.filtered:
            dump.processes(pids=options.pids, names=options.names)  # raises if the filters do not fit its process
        regions = _searched(dump.buffer, dump.regions, options)
        # Programs keep numbers and secrets in memory that they write; files that they only read are most of many dumps.
        written = without(regions, *dump.read_only_files) if scanner.groups or tls is not None else regions
        both = regions, written
        problems = _scan_process(dump, scanner, both, collector, order=order, options=options, progress=progress)
        if tls is not None:
            of_tls = Scanner((), tls.detectors)
            both = written, written
            problems += _scan_process(dump, of_tls, both, collector, order=order, options=options, progress=progress)
        memory = dump
        known = _known_keys(what, collector, order, options, total_size(regions))
        if known is not None:
            looked_in = regions if options.deep or options.public_keys else written
            known.search(Part(dump, dump.buffer, looked_in, dump.reach), source_of(dump, order))
    for part in (known, tls):
        for left_out in part.left_out if part is not None else ():
            say(left_out)
    return problems + _prove(collector, order, memory, options)


def _scan_process(
    dump: ProcessDump,
    scanner: Scanner,
    within: tuple[Sequence[Region], Sequence[Region]],
    collector: Collector,
    *,
    order: tuple[int, ...],
    options: SearchOptions,
    progress: Callable[[int], None] | None,
) -> tuple[str, ...]:
    """Scan some regions of a process, and those of them for groups; scan what contradicts them too.

    The others are counted as searched.
    """
    left_out = (total_size(dump.regions) - total_size(within[0])) * scanner.passes
    if progress is not None and left_out:
        progress(left_out)
    problems = scanner.scan(
        dump,
        collector,
        within=within[0],
        groups_within=within[1],
        order=order,
        threads=options.threads,
        progress=progress,
    )
    for view in dump.overlays:
        contradicting = _searched(view.buffer, view.contradicting, options)
        problems += scanner.scan(
            view, collector, within=contradicting, order=order, threads=options.threads, progress=progress
        )
    return problems


def _searched(buffer: memoryview, regions: Sequence[Region], options: SearchOptions) -> Sequence[Region]:
    """Return those parts of regions in which there may be something that is wanted."""
    if options.spans is not None:
        return within_spans(regions, options.spans)
    return without_zeros(buffer, regions)


def _known_keys(
    what: Search, collector: Collector, order: tuple[int, ...], options: SearchOptions, size: int
) -> KnownKeys | None:
    """Return what looks for the private keys of known public ones; None if keys of libraries are not looked for."""
    if not what.libraries or options.spans is not None:
        return None
    from dumpscan.search.known_keys import KnownKeys  # noqa: PLC0415 - heavy

    return KnownKeys(collector, order, options, size)


def _say_nothing(_left_out: str) -> None:
    """Stand for the caller who does not ask what was left out."""


def _prove(collector: Collector, order: tuple[int, ...], memory: Scannable, options: SearchOptions) -> tuple[str, ...]:
    """Look for the public keys of those private ones that nothing has proved; return what could not be done.

    Only for those that no certificate and no public key bears, memory is read again.
    """
    borne = collector.borne()
    unproven = []
    for key in collector.unproven(order):
        if key.key_id in borne:
            collector.prove(key, SUPPORTED)
        else:
            unproven.append(key)
    if not unproven:
        return ()
    from dumpscan.search.support import MAX_KEYS, supported_keys  # noqa: PLC0415 - most dumps have none

    supported = supported_keys(unproven, memory, threads=options.threads)
    for key in unproven:
        if key.key_id in supported:
            collector.prove(key, SUPPORTED)
    if len(unproven) > MAX_KEYS:
        more = f"{len(unproven) - MAX_KEYS} of {len(unproven)} keys that hold no public value"
        return (f"{more} were not checked against the rest of memory: there are too many",)
    return ()


def search_size(dump: ProcessDump | PhysicalDump, what: Search) -> int:
    """Return how many bytes `search` reads, each pass over memory counted."""
    return dump.searchable_bytes * (_scanner(what.detectors, what.groups).passes + what.tls)


def _tls_detector(what: Search) -> TlsDetector | None:
    """Return what looks for TLS secrets in one dump; None if they are not looked for."""
    if not what.tls:
        return None
    from dumpscan.artifacts.tls.detector import TlsDetector  # noqa: PLC0415 - heavy

    return TlsDetector(what.capture)


_ready = threading.local()


def _scanner(detectors: tuple[Detector, ...], groups: tuple[GroupDetector, ...]) -> Scanner:
    """Return the scanner of these detectors, made once in each thread: it serves one search at a time."""
    # By their identities, as it takes milliseconds to hash them; they are kept with it, so that those stay theirs.
    scanners: dict[object, tuple[Scanner, object]] = _ready.__dict__.setdefault("scanners", {})
    key = (*map(id, detectors), None, *map(id, groups))
    if key not in scanners:
        scanners[key] = Scanner(detectors, groups), (detectors, groups)
    return scanners[key][0]
