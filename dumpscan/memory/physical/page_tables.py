"""x64 page tables: a walk over many tables at once, and what Windows makes of the entries that are not valid.

Source: docs/memory-layouts.md, "x64 page tables". What the hardware leaves to the operating system is asked of its
`EntryRules`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

import numpy as np

from dumpscan.memory.physical.image import FRAME_LIMIT
from dumpscan.model.windows.c_paging import (
    ENTRIES_PER_TABLE,
    FRAME_BITS_WINDOWS,
    INDEX_BITS,
    KERNEL_SPACE,
    LARGE,
    PAGE_SHIFT,
    PAGE_SIZE,
    PROTOTYPE,
    TRANSITION,
    VALID,
    is_present,
)
from dumpscan.model.windows.c_paging import canonical as canonical_address

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from dumpscan.memory.physical.image import PhysicalImage

    Bools = NDArray[np.bool_]
    Entries = NDArray[np.uint64]
    Frames = NDArray[np.int64]

VPN_BITS = 36
"""Bits of a virtual page number: 48-bit addresses of 4 KiB pages."""
ROOT_SHIFT = VPN_BITS + 1
"""A spare bit, so that the last page below one root does not precede the first page below the next."""
_FRAME_BITS = FRAME_BITS_WINDOWS - PAGE_SHIFT
_NO_PROTOTYPE = 0xFFFF_FFFF_0000_0000
"""From here on, the address of a prototype entry is a mark: the VAD knows the page."""

_TABLES_AT_ONCE = 1024
_MAX_NEW = 1 << 21
"""Entries of the upper levels that are collected before those that lead to known tables are dropped."""
_FIRST_TABLES = 1 << 12
"""Tables that a walk reads: so many, and one for each frame of the image. In real images, the tables of different
processes are different frames; a forged one can give the same tables to a thousand processes."""
_SMALL, _MEDIUM, _HUGE = 0, 9, 18
SPANS = (_SMALL, _MEDIUM, _HUGE)
"""Pages come in these sizes: 4 KiB, 2 MiB, 1 GiB, as powers of two of 4 KiB."""


def canonical(vpn: int) -> int:
    """Return the address of a virtual page's first byte, sign-extended from bit 47."""
    return canonical_address(vpn << PAGE_SHIFT)


def page_number(address: int) -> int:
    """Return the number of the page that holds a virtual address; the inverse of `canonical`."""
    return (address >> PAGE_SHIFT) & ((1 << VPN_BITS) - 1)


def page_numbers(addresses: Entries) -> Frames:
    """Return the numbers of the pages that hold many virtual addresses."""
    return ((addresses >> np.uint64(PAGE_SHIFT)) & np.uint64((1 << VPN_BITS) - 1)).astype(np.int64)


def entry_frame(entry: int) -> int:
    """Return the frame that an entry points to."""
    return (entry >> PAGE_SHIFT) & ((1 << _FRAME_BITS) - 1)


def counts(entries: Entries) -> NDArray[np.bool_]:
    """Return which of many entries lead anywhere (see `is_present`)."""
    transition = entries & np.uint64(TRANSITION | PROTOTYPE) == np.uint64(TRANSITION)
    return np.asarray(transition | (entries & np.uint64(VALID) != 0))


def frames_of(entries: Entries) -> Frames:
    """Return the frames that many entries point to; `FRAME_LIMIT`, which no image has, for those beyond it."""
    frames = (entries >> np.uint64(PAGE_SHIFT)) & np.uint64((1 << _FRAME_BITS) - 1)
    limited: Frames = np.minimum(frames, np.uint64(FRAME_LIMIT)).astype(np.int64)
    return limited


class EntryRules(Protocol):
    """What an operating system makes of page table entries."""

    invalid_name: str
    """What pages are called whose entries the processor would not follow, though their frames are known."""
    deferred_name: str
    """What pages are called whose frames are only found when all tables have been walked."""

    def useful(self, tables: Entries) -> Bools:
        """Return which of many tables, shape (n, 512), may map anything."""

    def leads(self, entries: Entries, *, last: bool) -> Bools:
        """Return which entries lead to a page or a table; `last` says whether they are of the last level."""

    def is_large(self, entries: Entries) -> Bools:
        """Return which entries of a middle level that lead anywhere lead to a large page, not to a table."""

    def frames(self, entries: Entries) -> Frames:
        """Return the frames that entries lead to; `FRAME_LIMIT`, which no image has, for those beyond it."""

    def deferred(self, tables: Entries) -> tuple[Frames, Frames, Entries]:
        """Return rows, columns and values of last-level entries that `resolve` is to be asked about."""

    def resolve(self, values: Entries, read: Callable[[Entries], Entries]) -> Frames:
        """Return the frames behind the values that `deferred` returned; -1 where there is none.

        Args:
            values: The values.
            read: Reads 64-bit numbers at addresses of the kernel; 0 where nothing is mapped.
        """


class WindowsEntries:
    """Windows (an `EntryRules`).

    As in volatility3, an entry counts if it is valid or in transition (trimmed from a working set, its frame still
    untouched), and a table of 512 equal entries counts as unmapped.
    """

    invalid_name = "transition"
    deferred_name = "prototype"

    def useful(self, tables: Entries) -> Bools:
        """Return which tables have entries that differ."""
        return np.asarray((tables != tables[:, :1]).any(axis=1))

    def leads(self, entries: Entries, *, last: bool) -> Bools:  # noqa: ARG002 - the Protocol's
        """Return which entries are valid or in transition."""
        return counts(entries)

    def is_large(self, entries: Entries) -> Bools:
        """Return which entries are valid and of a large page."""
        return np.asarray(entries & np.uint64(LARGE | VALID) == np.uint64(LARGE | VALID))

    def frames(self, entries: Entries) -> Frames:
        """Return the frames in entries."""
        return frames_of(entries)

    def deferred(self, tables: Entries) -> tuple[Frames, Frames, Entries]:
        """Return the entries that have the address of a prototype entry (in bits 16 to 63) instead of a frame."""
        rows, columns = np.nonzero(tables & np.uint64(VALID | PROTOTYPE) == np.uint64(PROTOTYPE))
        address = (tables[rows, columns].view(np.int64) >> 16).view(np.uint64)
        kernel = (address >= np.uint64(KERNEL_SPACE)) & (address < np.uint64(_NO_PROTOTYPE))
        return rows[kernel], columns[kernel], address[kernel]

    def resolve(self, values: Entries, read: Callable[[Entries], Entries]) -> Frames:
        """Read the prototype entries in the kernel's memory, and return the frames that they lead to."""
        entries = read(values)
        return np.where(counts(entries), frames_of(entries), -1)


WINDOWS = WindowsEntries()


def translate(image: PhysicalImage, root: int, address: int) -> int | None:
    """Translate one virtual address to a physical one.

    Args:
        image: Physical memory.
        root: Frame of the top-level table.
        address: Virtual address.

    Returns:
        The physical address; None where nothing is mapped, or the tables are not in the image.
    """
    frame, vpn = root, page_number(address)
    for shift in (27, 18, 9, 0):
        index = (vpn >> shift) & (ENTRIES_PER_TABLE - 1)
        entry = int.from_bytes(image.read((frame << PAGE_SHIFT) + index * 8, 8), "little")
        if not is_present(entry):
            return None
        frame = entry_frame(entry)
        if shift in SPANS[1:] and entry & VALID and entry & LARGE:
            inside = address & ((PAGE_SIZE << shift) - 1)
            return ((frame >> shift << shift) << PAGE_SHIFT) + inside
    return (frame << PAGE_SHIFT) + (address & (PAGE_SIZE - 1))


@dataclass(slots=True)
class Walk:
    """What a walk found: pages of all sizes, ordered by root and address.

    Attributes:
        key: The index of the root that a page belongs to, shifted by `ROOT_SHIFT`, and the virtual page number of its
            first 4 KiB; shape (n,).
        frame: Physical frame of its first 4 KiB, uint32, shape (n,).
        span: Its size as in `SPANS`, uint8, shape (n,).
        invalid: Pages whose entries are not valid; with Windows, those in transition.
        absent: For each root, the pages whose frames the image does not hold.
        absent_tables: For each root, the tables below it that the image does not hold.
        looped: Entries above the last level that point to a table that was walked before for the same root.
        truncated: Whether the walk was ended by the limit of pages.
        too_many_tables: Whether it was ended by the limit of tables.
        deferred: (root, vpn, value) of pages whose frames `EntryRules.resolve` is to find.
    """

    key: Frames
    frame: NDArray[np.uint32]
    span: NDArray[np.uint8]
    invalid: int = 0
    absent: Frames = field(default_factory=lambda: np.empty(0, np.int64))
    absent_tables: Frames = field(default_factory=lambda: np.empty(0, np.int64))
    looped: int = 0
    truncated: bool = False
    too_many_tables: bool = False
    deferred: tuple[NDArray[np.int32], Frames, Entries] | None = None


@dataclass(slots=True)
class _Level:
    """Tables of one level that are still to be read: their roots, address prefixes and frames."""

    root: NDArray[np.int32]
    prefix: Frames
    frame: Frames


class Walker:
    """Walks the tables of many roots together, level by level, a thousand tables in one step.

    The work is bounded: each table is read once for a root, so that loops end; the number of tables is limited by the
    size of the image, and the number of pages by the caller.

    Args:
        image: Physical memory.
        most: Pages and deferred entries to list, at most.
        rules: What entries mean.
    """

    def __init__(self, image: PhysicalImage, most: int, rules: EntryRules = WINDOWS) -> None:
        self._image = image
        self._most = most
        self._rules = rules
        self._seen = np.empty(0, np.int64)  # (root, frame) of every table met, in ascending order
        self._pages: list[tuple[Frames, NDArray[np.uint32], int]] = []
        self._deferred: list[tuple[NDArray[np.int32], Frames, Entries]] = []
        self._count = 0
        self._tables_left = _FIRST_TABLES + image.frames

    def walk(self, roots: Frames, indices: list[NDArray[np.int64]]) -> Walk:
        """List every page below chosen entries of top-level tables.

        Args:
            roots: Frame of each top-level table; absent ones are passed over.
            indices: For each root, which of its 512 entries to follow.

        Returns:
            All pages whose frames the image holds whole.
        """
        result = Walk(np.empty(0, np.int64), np.empty(0, np.uint32), np.empty(0, np.uint8))
        level = self._tops(roots, indices, result)
        for span in (_HUGE, _MEDIUM, _SMALL):
            level = self._descend(level, span, result)
        result.deferred = _joined(self._deferred)
        if self._pages:
            keys, frames, spans = zip(*self._pages, strict=True)
            result.key, result.frame = np.concatenate(keys), np.concatenate(frames)
            result.span = np.repeat(np.array(spans, np.uint8), [len(page) for page in keys])
            # Pages of one size come in order; pages of several sizes must be merged.
            if not (result.key[1:] > result.key[:-1]).all():
                order = np.argsort(result.key, kind="stable")
                result.key, result.frame, result.span = result.key[order], result.frame[order], result.span[order]
        self._pages.clear()
        return result

    def _tops(self, roots: Frames, indices: list[NDArray[np.int64]], result: Walk) -> _Level:
        """Read the chosen entries of the top-level tables."""
        there = np.flatnonzero(self._image.present(roots))
        result.absent = np.zeros(len(roots), np.int64)
        result.absent_tables = np.zeros(len(roots), np.int64)
        self._seen = (there << _FRAME_BITS) | roots[there]
        parts: list[_Level] = []
        for first in range(0, len(there), _TABLES_AT_ONCE):
            chosen = there[first : first + _TABLES_AT_ONCE]
            tables = self._image.tables(roots[chosen])
            for number, table in zip(chosen.tolist(), tables, strict=True):
                index = indices[number]
                entries = table[index]
                counted = self._rules.leads(entries, last=False)
                frame = self._rules.frames(entries[counted])
                parts.append(_Level(np.full(len(frame), number, np.int32), index[counted], frame))
        return self._unseen(_merged(parts), result)

    def _descend(self, level: _Level, span: int, result: Walk) -> _Level:
        """Read tables whose entries stand for pages of one size, or for the next level's tables; return those."""
        following: list[_Level] = []
        new: list[_Level] = []  # those of them that have not been compared with the tables read before
        for first in range(0, len(level.frame), _TABLES_AT_ONCE):
            result.truncated |= self._count >= self._most
            result.too_many_tables |= self._tables_left <= 0
            if result.truncated or result.too_many_tables:
                break
            self._tables_left -= _TABLES_AT_ONCE
            step = slice(first, first + _TABLES_AT_ONCE)
            tables = self._image.tables(level.frame[step])
            useful = self._rules.useful(tables)
            root, prefix, tables = level.root[step][useful], level.prefix[step][useful], tables[useful]
            rows, columns = np.nonzero(self._rules.leads(tables, last=span == _SMALL))
            entries = tables[rows, columns]
            entry_root = root[rows]
            vpn = (prefix[rows] << INDEX_BITS) | columns
            if span == _SMALL:
                valid = entries & np.uint64(VALID) != 0
                result.invalid += int(np.count_nonzero(~valid))
                self._list(entry_root, vpn, self._rules.frames(entries), _SMALL, result)
                self._defer(root, prefix, tables)
                continue
            large = self._rules.is_large(entries)
            base = self._rules.frames(entries[large]) >> span << span
            self._list(entry_root[large], vpn[large] << span, base, span, result)
            new.append(_Level(entry_root[~large], vpn[~large], self._rules.frames(entries[~large])))
            if sum(len(part.frame) for part in new) > _MAX_NEW:
                following.append(self._unseen(_merged(new), result))
                new.clear()
                if sum(len(part.frame) for part in following) > self._tables_left:
                    break  # some of these will not be read either
        return _merged([*following, self._unseen(_merged(new), result)])

    def _list(self, root: NDArray[np.int32], vpn: Frames, frame: Frames, span: int, result: Walk) -> None:
        """Add pages whose frames are in the image; of a large page, the first or the last frame suffices."""
        there = self._image.present(frame)
        if span:
            there |= self._image.present(frame + (1 << span) - 1)
        result.absent += np.bincount(root[~there], minlength=len(result.absent))
        key = (root[there].astype(np.int64) << ROOT_SHIFT) | vpn[there]
        self._pages.append((key, frame[there].astype(np.uint32), span))
        self._count += int(np.count_nonzero(there))

    def _defer(self, root: NDArray[np.int32], prefix: Frames, tables: Entries) -> None:
        """Add the entries whose frames are found later."""
        rows, columns, values = self._rules.deferred(tables)
        self._count += len(rows)
        if len(rows):
            self._deferred.append((root[rows], (prefix[rows] << INDEX_BITS) | columns, values))

    def _unseen(self, level: _Level, result: Walk) -> _Level:
        """Drop tables that are not in the image, and those that were read before for the same root."""
        there = self._image.present(level.frame)
        result.absent_tables += np.bincount(level.root[~there], minlength=len(result.absent_tables))
        root, prefix, frame = level.root[there], level.prefix[there], level.frame[there]
        key = (root.astype(np.int64) << _FRAME_BITS) | frame
        order = np.argsort(key, kind="stable")
        key = key[order]
        known = np.searchsorted(self._seen, key)
        first = self._seen[np.minimum(known, len(self._seen) - 1)] != key
        first[1:] &= key[1:] != key[:-1]
        result.looped += int(np.count_nonzero(~first))
        self._seen = np.sort(np.concatenate((self._seen, key[first])), kind="stable")
        kept = np.sort(order[first])
        return _Level(root[kept], prefix[kept], frame[kept])


def _merged(parts: list[_Level]) -> _Level:
    """Join the parts of a level."""
    if not parts:
        return _Level(np.empty(0, np.int32), np.empty(0, np.int64), np.empty(0, np.int64))
    return _Level(
        np.concatenate([part.root for part in parts]),
        np.concatenate([part.prefix for part in parts]),
        np.concatenate([part.frame for part in parts]),
    )


def _joined(
    parts: list[tuple[NDArray[np.int32], Frames, Entries]],
) -> tuple[NDArray[np.int32], Frames, Entries] | None:
    """Join the parts of a table; return None if there are none."""
    if not parts:
        return None
    root, vpn, address = (np.concatenate(column) for column in zip(*parts, strict=True))
    return root, vpn, address
