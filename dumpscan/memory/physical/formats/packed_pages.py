"""Pages of memory that are packed one by one: each is unpacked once, in threads, into bounded room.

Pages of the same content may share the packed bytes, as pages of zeros do. Nothing in a table of pages is believed.
"""

from __future__ import annotations

import os
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from dumpscan.exceptions import InputError
from dumpscan.memory.physical.formats.codecs import CODECS, MissingLibraryError
from dumpscan.memory.physical.image import MAX_SHARING
from dumpscan.memory.physical.unpacked import Room

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from dumpscan.memory.mapped_file import MappedFile
    from dumpscan.memory.physical.formats.codecs import Unpack
    from dumpscan.memory.physical.formats.flattened import Content
    from dumpscan.memory.physical.unpacked import Backing

_AT_ONCE = 1 << 10
"""Packed pages that a thread unpacks before it takes the next ones."""
_THREADS = min(os.cpu_count() or 1, 8)
_PACKED_FLAGS = sum(CODECS)
_SHARING = f"share the same bytes of the file more than {MAX_SHARING} times over"
_PAST_THE_END = "lie past the end of the file"
_DAMAGED = "do not unpack to a page"


class PageTable(NamedTuple):
    """A table of packed pages.

    Attributes:
        offsets: Where the bytes of each are in the file (unsigned 64-bit numbers).
        sizes: How many bytes.
        flags: How each is packed: a flag of `Packed`, or none.
    """

    offsets: NDArray[np.uint64]
    sizes: NDArray[np.uint32]
    flags: NDArray[np.uint32]


class PackedPages:
    """A table of packed pages, and the file that they are in.

    Args:
        file: The mapped file.
        content: Its content, which offsets are in.
        table: The pages.
        size: Bytes of an unpacked page.

    Attributes:
        readable: Which pages were unpacked.
        problems: What became of the others, a sentence each.
    """

    def __init__(self, file: MappedFile, content: Content, table: PageTable, size: int) -> None:
        self._file = file
        self._content = content
        self._table = table
        self._size = size
        self._zeros = bytes(size)
        self.readable = np.zeros(len(table.offsets), np.bool_)
        self.problems: list[str] = []

    def unpack(self, scratch: Path | None) -> Backing:
        """Unpack all pages, one behind the other.

        Args:
            scratch: Directory to unpack into; by default, pages are unpacked into memory.

        Raises:
            InputError: There is no page that can be unpacked, or no room for them.
        """
        failed: Counter[str] = Counter()
        order, groups = self._shared(failed)
        if not len(order):
            raise self._nothing_read(failed)
        room = Room(self._file.path, len(self.readable) * self._size, self._file.size, scratch)
        try:
            for some in self._in_threads(room, order, groups):
                failed += some
            if not self.readable.any():
                raise self._nothing_read(failed)  # noqa: TRY301 - the room must be given back
            backing = room.finish()
        except BaseException:
            room.discard()
            raise
        for why, count in failed.items():
            self.problems.append(f"{count} of {len(self.readable)} pages could not be read: they {why}")
        return backing

    def _in_threads(self, room: Room, order: NDArray[np.int64], groups: NDArray[np.int64]) -> Iterator[Counter[str]]:
        """Unpack all pages; yield what became of those that could not be, some at a time."""
        with ThreadPoolExecutor(_THREADS, thread_name_prefix="dumpscan-unpack") as pool:
            steps = range(0, len(groups) - 1, _AT_ONCE)
            jobs = [pool.submit(self._unpack_some, room, order, groups[at : at + _AT_ONCE + 1]) for at in steps]
            try:
                yield from (job.result() for job in jobs)
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise

    def _nothing_read(self, failed: Counter[str]) -> InputError:
        problem = f"has no pages that can be read: they {' or '.join(failed)}" if failed else "has no pages"
        return InputError(self._file.path, problem)

    def _shared(self, failed: Counter[str]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Sort the pages by their place in the file, so that those which share packed bytes are neighbours.

        Returns:
            Numbers of the pages whose sizes are possible, and where in them each row of equal places begins; one more
            number stands for the end.
        """
        offsets, sizes, flags = self._table
        possible = (sizes > 0) & (sizes <= self._size)
        if impossible := np.count_nonzero(~possible):
            failed[_DAMAGED] += int(impossible)
        pages = np.flatnonzero(possible)
        order = pages[np.argsort(offsets[pages], kind="stable")]
        same = np.ones(max(len(order) - 1, 0), np.bool_)
        for column in (offsets, sizes, flags):
            same &= column[order[1:]] == column[order[:-1]]
        starts = np.flatnonzero(np.concatenate((np.ones(min(len(order), 1), np.bool_), ~same)))
        read = np.count_nonzero(np.cumsum(sizes[order[starts]], dtype=np.uint64) <= MAX_SHARING * self._content.size)
        bounds = np.append(starts, len(order))[: read + 1]
        if too_many := len(order) - int(bounds[-1]):
            failed[_SHARING] += too_many
        return order, bounds

    def _unpack_some(self, room: Room, order: NDArray[np.int64], groups: NDArray[np.int64]) -> Counter[str]:
        """Unpack some groups of pages that share their packed bytes; count those that cannot be."""
        one_of_each = order[groups[:-1]]
        offsets = self._table.offsets[one_of_each]
        sizes = self._table.sizes[one_of_each]
        flags = self._table.flags[one_of_each] & _PACKED_FLAGS
        places = self._content.places(offsets, sizes.astype(np.uint64)).tolist()
        failed: Counter[str] = Counter()
        unpackers = {flag: _unpacker(flag) for flag in np.unique(flags).tolist()}
        bounds = (groups - groups[0]).tolist()
        pages = order[groups[0] : groups[-1]].tolist()
        done: list[int] = []
        columns = (places, offsets.tolist(), sizes.tolist(), flags.tolist())
        for (first, past), place, offset, length, flag in zip(pairwise(bounds), *columns, strict=True):
            page = self._unpack_one(place, offset, length, unpackers[flag])
            if not isinstance(page, str) and len(page) != self._size:
                room.charge(len(page))
                page = _DAMAGED
            if isinstance(page, str):
                failed[page] += past - first
                continue
            done += pages[first:past]
            if page != self._zeros:
                for number in pages[first:past]:
                    room.write(number * self._size, page)
        self.readable[done] = True
        return failed

    def _unpack_one(self, place: int, offset: int, length: int, unpack: Unpack | str) -> bytes | str:
        """Unpack a page; return why it cannot be unpacked if so."""
        data = self._file.buffer[place : place + length] if place >= 0 else self._content.read(offset, length)
        if len(data) < length:
            return _PAST_THE_END
        if isinstance(unpack, str):
            return unpack
        page = unpack(data, self._size)
        return _DAMAGED if page is None else page


def _unpacker(flag: int) -> Unpack | str:
    """Return what unpacks pages with a flag, for one thread; or why they cannot be unpacked."""
    if not flag:
        return _stored
    found = next((codec for kind, codec in CODECS.items() if kind == flag), None)
    if found is None:
        return "are packed in several ways at once"
    name, make = found
    try:
        return make()
    except MissingLibraryError as error:
        return f"are packed by {name}, which needs the library {error} to be unpacked"


def _stored(data: bytes | memoryview, size: int) -> bytes | None:
    return bytes(data) if len(data) == size else None
