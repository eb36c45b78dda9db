"""The one opener: recognises a file by its content, unpacks it if need be, and opens it as the dump that it is.

What is recognised, and how each format is opened, is in `dumpscan.memory.formats`.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from dumpscan.exceptions import BombError, InputError, NoMemberError, PasswordError, SeveralFilesError, UnpackError
from dumpscan.memory.formats import (
    HEAD_SIZE,
    RAW,
    UNPACK_FIRST,
    NoDumpError,
    OpenOptions,
    UnknownSystemError,
    first_words,
    format_of,
    opener_of_kind,
)
from dumpscan.memory.mapped_file import MappedFile
from dumpscan.memory.packed.formats import packing_of
from dumpscan.memory.packed.unpack import how_packed, list_members, split, stored, unpacked

if TYPE_CHECKING:
    from pathlib import Path

    from dumpscan.memory.dump import PhysicalDump, ProcessDump
    from dumpscan.memory.formats import DumpKind
    from dumpscan.memory.packed.formats import Packing
    from dumpscan.memory.packed.unpack import Listing, PackedFile, UnpackOptions

MIN_RAW_IMAGE = 1 << 20
"""Bytes of the smallest file that may be a raw image of physical memory; Windows needs many times that."""
STANDARD_INPUT = "-"
"""In place of a path: what is piped in."""

_MAX_DEPTH = 2
"""How often a file is unpacked: a dump that is compressed in an archive, twice."""


class StillPackedError(NoDumpError):
    """A file is packed and could not be unpacked: what it holds is not known."""


def open_dump(
    path: Path, *, kind: DumpKind | None = None, options: OpenOptions | None = None, depth: int = 0
) -> ProcessDump | PhysicalDump:
    """Open a file as the dump that it is.

    A raw image has no signature: a file of some size that is nothing else is taken for one if there is a kernel in it,
    or the remains of one. Where a kernel image is asked for, any such file is taken for one.

    Args:
        path: A file, whatever its name; a packed one; or `archive!file` for a file in an archive.
        kind: What it must be; by default, anything that dumpscan reads.
        options: How to open it.
        depth: How often the file has been unpacked already.

    Raises:
        NoDumpError: It is no dump (never where a kind is asked for); `StillPackedError` if it cannot be unpacked.
        InputError: It cannot be opened, is a dump that cannot be read, or not one of the kind asked for.
    """
    options = options or OpenOptions()
    if str(path) == STANDARD_INPUT:
        with stored(sys.stdin.buffer, "standard input", options.unpacking) as content:
            return _open_content(content, path, kind, options, depth)
    outer, member = split(path)
    packing = how_packed(outer)
    if packing is None or depth >= _MAX_DEPTH:
        return _open_plain(path, kind, options)
    try:
        with unpacked(outer, member, options.unpacking) as content:
            return _open_content(content, path, kind, options, depth)
    except NoDumpError as error:
        raise type(error)(f"is {packing.name}, and its content {error}") from error
    except InputError as error:
        if not isinstance(error, UnpackError):
            raise
        unlisted = member is not None or isinstance(error, BombError | PasswordError)
        listing = None if unlisted else _listing(outer, options.unpacking)
        if kind is None and listing and not listing.problem and not _dumps_of(listing):
            raise NoDumpError(no_dump_in(len(listing.files))) from error
        damage = listing.problem if listing else None
        problem = _still_packed(packing, error, depth) if damage is None else f"is {packing.name}, and {damage}"
        if kind is None:
            raise StillPackedError(problem) from error
        raise InputError(path, problem, offset=0) from error


def _still_packed(packing: Packing, error: UnpackError, depth: int) -> str:
    """Say why a file could not be unpacked."""
    match error:
        case NoMemberError():
            return error.problem
        case SeveralFilesError() if depth:
            return f"is {packing.name} with several files: {UNPACK_FIRST}"
        case BombError() | PasswordError():
            return f"is {packing.name}, and {error.problem}"
        case _:
            return f"is {packing.name}: {UNPACK_FIRST} (dumpscan could not: it {error.problem})"


def dumps_in(path: Path, options: UnpackOptions) -> tuple[list[Path], int]:
    """List what may be dumps in a file: itself, or the files of an archive whose first bytes do not speak against it.

    Args:
        path: A file.
        options: How to unpack.

    Returns:
        The paths to open, in the archive's order, and how many other files there are in it. An archive that is damaged
        is itself the last of them: to open it says what is wrong with it.
    """
    listing = _listing(path, options)
    if listing is None:
        return [path], 0
    dumps = _dumps_of(listing)
    others = len(listing.files) - len(dumps)
    return (dumps if listing.problem is None else [*dumps, path]), others


def _listing(path: Path, options: UnpackOptions) -> Listing | None:
    """List an archive; None if it cannot be listed, or is none."""
    try:
        return list_members(path, options)
    except InputError:
        return None  # to open it says why


def _dumps_of(listing: Listing) -> list[Path]:
    return [each.path for each in listing.files if each.head is None or _may_be_dump(each)]


def no_dump_in(count: int) -> str:
    """Say that none of the files of an archive is a dump."""
    return f"is an archive of {count} files, none of which is a dump"


def _may_be_dump(file: PackedFile) -> bool:
    head = (file.head or b"")[:HEAD_SIZE]
    if packing_of(file.head or b"") is not None:
        return True
    try:
        form = format_of(file.path, head)
    except NoDumpError:
        return False
    except InputError:
        return True  # a dump that cannot be read: it must be told
    return form is not RAW or file.size >= MIN_RAW_IMAGE


def _open_content(
    content: Path, path: Path, kind: DumpKind | None, options: OpenOptions, depth: int
) -> ProcessDump | PhysicalDump:
    """Open what was unpacked, under the name of what it was packed in. A mapped file outlives its name."""
    try:
        dump = open_dump(content, kind=kind, options=options, depth=depth + 1)
    except InputError as error:
        raise InputError(path, error.problem, offset=error.offset) from error
    dump.rename(path)
    return dump


def _open_plain(path: Path, kind: DumpKind | None, options: OpenOptions) -> ProcessDump | PhysicalDump:
    try:
        with MappedFile(path) as file:
            head, size = bytes(file.buffer[:HEAD_SIZE]), file.size
    except InputError as error:
        if kind is None and os.path.isfile(path) and path.stat().st_size == 0:  # noqa: PTH113
            raise NoDumpError("is empty") from error
        raise
    if kind is not None:
        return opener_of_kind(path, head, kind)(path, options)
    form = format_of(path, head)
    if form is RAW and size < MIN_RAW_IMAGE:
        raise NoDumpError(f"no dump: {first_words(path)}; and too small for an image of memory")
    try:
        return form.open(path, options)
    except UnknownSystemError:
        raise
    except InputError as error:
        if form.may_be_other:
            raise NoDumpError(error.problem) from error
        raise
