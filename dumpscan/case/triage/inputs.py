"""Lists the files to read: those named by paths and URLs, and all files in directories. None is skipped silently."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dumpscan.case.triage.staging import file_system, is_url
from dumpscan.exceptions import DumpscanError, InputError, reason
from dumpscan.memory.open import dumps_in, no_dump_in

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from dumpscan.memory.packed.unpack import UnpackOptions

_MODIFIED = ("mtime", "LastModified", "last_modified", "modified", "updated", "created")
"""Names under which fsspec's file systems say when a file was changed."""
_TAGS = ("ETag", "etag", "md5Hash", "content_md5", "version_id")
_NANOSECONDS = 1_000_000_000
_MAX_INTEGER = (1 << 63) - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Input:
    """An input file.

    Attributes:
        path: Absolute path, or URL.
        size: Its length in bytes; None if that is not known.
        modified_ns: As in `DumpResult`.
        tag: As in `DumpResult`.
        unusable: Why it cannot be read, if that is known already.
        other: Whether it is unusable because it is not a dump; otherwise it is a file that cannot be read.
        named: Whether the user named it, rather than a directory that it lies in.
    """

    path: str
    size: int | None = None
    modified_ns: int | None = None
    tag: str | None = None
    unusable: str | None = None
    other: bool = False
    named: bool = False


def list_inputs(
    names: Iterable[str], *, without: frozenset[str] = frozenset(), unpacking: UnpackOptions | None = None
) -> Iterator[Input]:
    """List files, each once, in an order that depends only on their names.

    Args:
        names: Paths or URLs of files and directories.
        without: Absolute paths to leave out: the case's own files.
        unpacking: How to look into archives, whose files are then listed instead of them; by default they are not
            looked into.

    Raises:
        DumpscanError: A library that a URL needs is not installed.
    """
    seen: set[str] = set()
    for name in names:
        listed = _remote(name) if is_url(name) else _local(os.path.abspath(name))  # noqa: PTH100 - as text: it is a key
        for each in listed:
            if each.path not in seen and (is_url(each.path) or os.path.realpath(each.path) not in without):
                seen.add(each.path)
                yield from (each,) if unpacking is None else _looked_into(each, unpacking)


# --- This machine ----------------------------------------------------------------------------------------------------


def _local(path: str) -> Iterator[Input]:
    try:
        status = os.stat(path)  # noqa: PTH116 - as text
    except (OSError, ValueError) as error:
        yield Input(path=path, unusable=f"cannot be opened: {reason(error)}", named=True)
        return
    if stat.S_ISDIR(status.st_mode):
        yield from _directory(path, set())
    else:
        yield _file(path, status, named=True)


def _directory(path: str, seen: set[tuple[int, int]]) -> Iterator[Input]:
    """List the files below a directory. `seen` holds (device, inode) of the directories that were listed already."""
    waiting = [path]
    while waiting:
        path = waiting.pop()
        try:
            status = os.stat(path)  # noqa: PTH116 - as text
            if (status.st_dev, status.st_ino) in seen:
                yield Input(path=path, unusable="a link to a directory that is read by another name", other=True)
                continue
            seen.add((status.st_dev, status.st_ino))
            with os.scandir(path) as scanned:
                entries = sorted(scanned, key=lambda entry: entry.name)
        except OSError as error:
            yield Input(path=path, unusable=f"the directory cannot be listed: {reason(error)}")
            continue
        below = []
        for entry in entries:
            try:
                if entry.is_dir():
                    below.append(entry.path)
                else:
                    yield _file(entry.path, entry.stat())
            except OSError as error:
                yield Input(path=entry.path, unusable=f"cannot be opened: {reason(error)}")
        # Links come last, so that a directory within a loop keeps its own name and the link is reported.
        waiting += sorted(below, key=lambda each: (not os.path.islink(each), each), reverse=True)  # noqa: PTH114


def _file(path: str, status: os.stat_result, *, named: bool = False) -> Input:
    if stat.S_ISREG(status.st_mode):
        modified_ns = min(max(status.st_mtime_ns, -_MAX_INTEGER), _MAX_INTEGER)  # some file systems keep any time
        return Input(path=path, size=status.st_size, modified_ns=modified_ns, named=named)
    return Input(path=path, unusable="no regular file", other=True, named=named)


def _looked_into(archive: Input, unpacking: UnpackOptions) -> Iterator[Input]:
    """Yield the files of an archive that may be dumps, each a file that is as old as the archive."""
    if archive.unusable is not None or is_url(archive.path):
        yield archive
        return
    dumps, others = dumps_in(Path(archive.path), unpacking)
    if not dumps:
        yield replace(archive, unusable=no_dump_in(others), other=True)
    for dump in dumps:
        yield replace(archive, path=str(dump))


# --- URLs ------------------------------------------------------------------------------------------------------------


def _remote(url: str) -> Iterator[Input]:
    try:
        system, path = file_system(url)
    except InputError as error:
        yield Input(path=url, unusable=error.problem, named=True)
        return
    try:
        names = [path] if system.isfile(path) else sorted(system.find(path))
    except DumpscanError:
        raise
    except Exception as error:  # noqa: BLE001 - whatever a protocol's library raises
        yield Input(path=url, unusable=f"cannot be listed: {type(error).__name__}: {error}", named=True)
        return
    if not names:
        yield Input(path=url, unusable="there is nothing at this address", named=True)
    for name in names:
        full = str(system.unstrip_protocol(name))
        try:
            information: Mapping[str, Any] = system.info(name)
        except Exception as error:  # noqa: BLE001 - see above
            yield Input(path=full, unusable=f"cannot be opened: {type(error).__name__}: {error}", named=name == path)
            continue
        yield Input(
            path=full,
            size=_whole(information.get("size")),
            modified_ns=_modified(information),
            tag=next((str(information[tag]) for tag in _TAGS if information.get(tag)), None),
            named=name == path,
        )


def _modified(information: Mapping[str, Any]) -> int | None:
    for name in _MODIFIED:
        match information.get(name):
            case datetime() as moment:
                moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
                return int(moment.timestamp()) * _NANOSECONDS
            case int() | float() as seconds:
                return _whole(seconds * _NANOSECONDS)
    return None


def _whole(number: object) -> int | None:
    """Return a number that a server sent as an integer that the case can hold; None if it is not one."""
    if not isinstance(number, int | float) or not 0 <= number <= _MAX_INTEGER:
        return None
    return int(number)
