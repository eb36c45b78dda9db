"""The redaction of one dump: find, overwrite, search the copy again, until nothing is found.

The copy is searched with everything around what was written over, and there for copies of what is known; for copies of
what is found only then, everywhere. Its other bytes are the dump's, which were searched for the same already: what was
found there has been overwritten, and nothing else was. That they are the dump's is no assumption: when the copy is
hashed, they are compared. If the first search met a limit, all of the copy is searched anew.

A round that finds something is no failure: an object that was counted but not listed, or lay below another, shows when
what hid it is gone. The copy gets its name only after a round that found nothing.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from hashlib import sha256
from typing import TYPE_CHECKING

from dumpscan.exceptions import InputError, UsageError
from dumpscan.files import staged_file
from dumpscan.memory.formats import KINDS, OpenOptions
from dumpscan.memory.minidump.dump import Minidump
from dumpscan.memory.open import open_dump
from dumpscan.redact.collect import Changed, Collection, buffer_of, collect
from dumpscan.redact.copies.search import Copies
from dumpscan.redact.copying import Overwritten, common_holes, copy_file, overwrite, read_chunks, write_bytes
from dumpscan.redact.filling import Fill
from dumpscan.redact.raw_image import unpacked, write_raw
from dumpscan.redact.report import FileDigest, Kept, Redaction, removed
from dumpscan.redact.secret import LeftoverError, Place, Secret, Wanted, merged
from dumpscan.redact.stacks import only_stacks
from dumpscan.redact.structures import unknown_places

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path

    from dumpscan.redact.collect import AnyDump

MARGIN = 64 << 10
"""Bytes before and behind what was written over in which the copy is searched with everything again."""
MAX_ROUNDS = 8
"""Searches of a copy before it is given up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RedactOptions:
    """How a dump is redacted.

    Attributes:
        wanted: What is to go.
        fill: What is written over it.
        keep_unknown: Whether bytes outside all structures of a damaged dump stay.
        only_stacks: Whether to write only what a stack walk needs; minidumps only.
        deep: Whether to look for the private keys of all public keys found, whatever that takes.
        force: Whether an existing file is replaced.
        digests: Whether SHA-256 of both files are computed, which takes as long as copying them does.
        opening: How dumps are opened.
    """

    wanted: Wanted = field(default_factory=Wanted)
    fill: Fill = Fill.PATTERN
    keep_unknown: bool = False
    only_stacks: bool = False
    deep: bool = False
    force: bool = False
    digests: bool = True
    opening: OpenOptions = field(default_factory=OpenOptions)


def redact(
    source: Path,
    target: Path,
    options: RedactOptions,
    *,
    progress: Callable[[int], None] | None = None,
    before_naming: Callable[[Redaction], None] | None = None,
) -> Redaction:
    """Write a copy of a dump without its secrets.

    Args:
        source: The dump; a packed one is unpacked. Of an image whose pages are compressed, the copy is a raw image.
        target: The copy. It is there whole, and proven clean, or not at all.
        options: How.
        progress: Called with a number of bytes when that many more have been searched.
        before_naming: Called with the report when the copy is complete, before it gets its name.

    Raises:
        NoDumpError, InputError: As `open_dump`.
        UsageError: The copy would be written over the dump.
        ExportError: The copy cannot be written, or is there already.
        LeftoverError: The copy still held secrets after `MAX_ROUNDS`.
    """
    if target.exists() and source.exists() and target.samefile(source):
        raise UsageError(f"{target}: is the dump itself, which is never written over")
    with open_dump(source, options=options.opening) as dump, staged_file(target, force=options.force) as staged:
        copies = Copies()
        found = collect(dump, options.wanted, copies=copies, deep=options.deep, progress=progress)
        _require_places(source, found)
        size = _write_first(dump, source, staged.descriptor, found, options)
        if unknown := _unknown(dump, options):
            overwrite(staged.descriptor, () if options.keep_unknown else unknown, options.fill)
        places = {secret: set(its) for secret, its in found.places.items()}
        new = [*_all_places(found), *unknown]
        rounds = 1
        while left := _round(
            dump, staged.path, options, copies, changed=_changed(dump, found, new, options), progress=progress
        ):
            new += _all_places(left)
            size += overwrite(staged.descriptor, _all_places(left), options.fill)
            for secret, its in left.places.items():
                places.setdefault(secret, set()).update(its)
            rounds += 1
            if rounds > MAX_ROUNDS or left.nowhere:
                raise LeftoverError(f"{source}: the copy still holds secrets after {rounds} rounds; it is not kept")
        same_offsets = unpacked(dump) is None and not options.only_stacks
        with ThreadPoolExecutor(1, thread_name_prefix="dumpscan-digest") as pool:
            read = pool.submit(_described_source, dump, digests=options.digests)
            if same_offsets:
                written = _described_copy(dump, target, staged.descriptor, new, digests=options.digests)
            else:
                written = _described(target, staged.descriptor, digests=options.digests)
        report = _report(
            dump, found, places, options, read.result(), output=written, rounds=rounds, size=size, unknown=unknown
        )
        if before_naming is not None:
            before_naming(report)
    return report


def examine(source: Path, options: RedactOptions, *, progress: Callable[[int], None] | None = None) -> Redaction:
    """Say what `redact` would remove; nothing is written.

    Raises:
        NoDumpError, InputError: As `open_dump`.
    """
    with open_dump(source, options=options.opening) as dump:
        found = collect(dump, options.wanted, copies=Copies(), deep=options.deep, progress=progress)
        size = sum(place.length for place in merged(_all_places(found)))
        unknown = _unknown(dump, options)
        source_file = _described_source(dump, digests=options.digests)
        return _report(dump, found, found.places, options, source_file, size=size, unknown=unknown)


def _write_first(dump: AnyDump, source: Path, descriptor: int, found: Collection, options: RedactOptions) -> int:
    """Write the copy with everything overwritten that was found in the dump; return how many bytes these are."""
    if options.only_stacks:
        if not isinstance(dump, Minidump):
            raise InputError(source, f"--only-stacks is for minidumps; this is {dump.format}")
        data, problems = only_stacks(dump)
        found.problems += problems
        write_bytes(memoryview(data), descriptor)
        return sum(place.length for place in merged(_all_places(found)))
    if raw := unpacked(dump):
        write_raw(raw, descriptor)
        found.left_out.append(f"its pages are compressed ({dump.format}), so the copy is a raw image")
    else:
        copy_file(source, buffer_of(dump), descriptor)
    return overwrite(descriptor, _all_places(found), options.fill)


def _unknown(dump: AnyDump, options: RedactOptions) -> list[Place]:
    """Return the bytes of a damaged dump that are in no structure; of a sound dump, they are padding."""
    return unknown_places(dump) if dump.damage and not options.only_stacks else []


def _require_places(source: Path, found: Collection) -> None:
    if found.nowhere:
        raise LeftoverError(f"{source}: {len(found.nowhere)} secrets were found at no place in the file")


def _all_places(found: Collection) -> list[Place]:
    return [place for places in found.places.values() for place in places]


def _round(
    dump: AnyDump,
    path: Path,
    options: RedactOptions,
    copies: Copies,
    *,
    changed: Changed | None,
    progress: Callable[[int], None] | None,
) -> Collection | None:
    """Search the copy; return what is left, None if nothing is."""
    kind = next(kind for kind in KINDS if kind.name == dump.kind)
    with open_dump(path, kind=kind, options=options.opening) as copy:
        left = collect(copy, options.wanted, copies=copies, changed=changed, deep=options.deep, progress=progress)
    return None if left.empty else left


def _changed(dump: AnyDump, found: Collection, places: Sequence[Place], options: RedactOptions) -> Changed | None:
    """Return what a copy has that the dump has not; None if all of it is to be searched with everything again.

    All other bytes are those of the dump, of which the search has told already what is in them, unless it met a limit.
    Of TLS sessions, those that promise least are not tried, if there are many: with others gone, a search may try them.
    """
    if options.only_stacks or not found.complete:
        return None
    all_sessions = found.sessions and bool(found.left_out)
    spans = _spans(Place(max(place.offset - MARGIN, 0), place.length + 2 * MARGIN, place.form) for place in places)
    occupied = None
    if unpacked(dump) is None:
        occupied = _spans(Place(begin, end - begin, "") for begin, end in (*found.occupied, *spans))
    return Changed(spans, found.public, all_sessions, occupied)


def _spans(places: Iterable[Place]) -> list[tuple[int, int]]:
    """Return what places cover, as (offset, end)."""
    return [(place.offset, place.offset + place.length) for place in merged(places)]


def _report(
    dump: AnyDump,
    found: Collection,
    places: Mapping[Secret, set[Place]],
    options: RedactOptions,
    source: FileDigest,
    *,
    output: FileDigest | None = None,
    rounds: int = 0,
    size: int = 0,
    unknown: Sequence[Place] = (),
) -> Redaction:
    problems = list(dict.fromkeys((*dump.damage, *found.problems)))
    if unknown:
        done = "were kept" if options.keep_unknown else "were overwritten" if output else "would be overwritten"
        problems.append(f"{sum(place.length for place in unknown)} bytes outside all structures {done}")
    return Redaction(
        source=source,
        output=output,
        fill=options.fill.value,
        only_stacks=options.only_stacks,
        rounds=rounds,
        size=size,
        removed=removed(places),
        kept=tuple(Kept(kind, count) for kind, count in sorted(found.kept.items())),
        unknown=sum(place.length for place in unknown),
        unknown_removed=bool(unknown) and output is not None and not options.keep_unknown,
        problems=tuple(problems),
        notes=tuple(dict.fromkeys(found.left_out)),
    )


def _described_source(dump: AnyDump, *, digests: bool) -> FileDigest:
    """Describe the file that the user named: of a packed dump, the archive."""
    data = buffer_of(dump)
    if dump.path.is_file():
        with dump.path.open("rb") as file:
            if os.fstat(file.fileno()).st_size != len(data) or unpacked(dump):
                return _described(dump.path, file.fileno(), digests=digests)
    return FileDigest(str(dump.path), len(data), sha256(data).hexdigest() if digests else None)


def _described(path: Path, descriptor: int, *, digests: bool) -> FileDigest:
    """Describe a file; it is read if its digest is wanted."""
    hashed = sha256()
    for _, chunk in read_chunks(descriptor) if digests else ():
        hashed.update(chunk)
    return FileDigest(str(path), os.fstat(descriptor).st_size, hashed.hexdigest() if digests else None)


def _described_copy(
    dump: AnyDump, path: Path, descriptor: int, places: Sequence[Place], *, digests: bool
) -> FileDigest:
    """Describe a copy, and compare it with the dump; of bytes that are in holes of both, only the digest is made.

    Raises:
        InputError: Others were changed than those at some places.
    """
    overwritten, data, hashed = Overwritten(places), buffer_of(dump), sha256()
    for offset, chunk in read_chunks(descriptor, () if digests else common_holes(dump.path, len(data), descriptor)):
        if not overwritten.explains(data, chunk, offset):
            raise InputError(dump.path, "was changed while it was read")
        if digests:
            hashed.update(chunk)
    size = os.fstat(descriptor).st_size
    if size != len(data):
        raise InputError(dump.path, "was changed while it was read")
    return FileDigest(str(path), size, hashed.hexdigest() if digests else None)
