"""A pass over an address space by a function that sees blocks of plain bytes, in several threads."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from dumpscan.scan.ahead import in_order, threads_for
from dumpscan.scan.gathered import lines_of
from dumpscan.scan.searcher import Matches
from dumpscan.scan.stretches import Pieces

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from dumpscan.scan.searcher import Scannable
    from dumpscan.scan.signature import Signature
    from dumpscan.scan.stretches import Block, Line

    Find = Callable[[memoryview, tuple[int, ...]], Matches]

ALIGNMENT = 8


class AlignedSearcher:
    """Finds where objects may begin that lie at multiples of 8 (see `dumpscan.scan.searcher.Searcher`).

    Args:
        signatures: What the matches announce, with their lengths.
        find: Searches a buffer (see `aligned_matches`).
        alignment: What the objects' addresses are multiples of, if not of 8.
        choose: As for `aligned_matches`.
    """

    def __init__(
        self,
        signatures: Sequence[Signature],
        find: Find,
        alignment: int = ALIGNMENT,
        choose: Callable[[], Find] | None = None,
    ) -> None:
        self.signatures = tuple(signatures)
        self.alignment = alignment
        self._find = find
        self._choose = choose

    def batches(
        self, space: Scannable, *, threads: int | None = None, progress: Callable[[int], None] | None = None
    ) -> Iterator[Matches]:
        """Search an address space at addresses that are multiples of the alignment."""
        yield from aligned_matches(
            space,
            self.signatures,
            self._find,
            alignment=self.alignment,
            threads=threads,
            progress=progress,
            choose=self._choose,
        )

    def scan_buffer(self, data: memoryview | bytes, *, threads: int | None = None) -> Matches:  # noqa: ARG002 - one thread will do
        """Search a contiguous buffer at every offset."""
        return self._find(memoryview(data), tuple(range(self.alignment)))


def aligned_matches(
    space: Scannable,
    signatures: Sequence[Signature],
    find: Find,
    *,
    alignment: int = ALIGNMENT,
    threads: int | None = None,
    progress: Callable[[int], None] | None = None,
    choose: Callable[[], Find] | None = None,
) -> Iterator[Matches]:
    """Search for objects whose addresses are multiples of 8, or of another power of two.

    Args:
        space: The mapped file and its regions.
        signatures: What the matches announce, with their lengths.
        find: Searches a buffer at offsets that are `phase` modulo the alignment, for each phase given; the places are
            offsets.
        alignment: What the addresses are multiples of.
        threads: Threads to search with; by default as many as there are processors, up to four.
        progress: Called with a number of bytes when that many more have been searched.
        choose: Returns what searches the next block, in place of `find`. It is asked in the caller's thread when the
            block is handed to another one, so that what it has learned from earlier blocks does not hang on chance.

    Yields:
        Matches, as addresses, block by block.
    """
    pieces = Pieces.of(space.regions)
    lengths = np.array([signature.length for signature in signatures], np.int64)
    overlap = int(lengths.max()) - 1

    def one(find: Find, line: Line, block: Block) -> Matches:
        found = find(line.data(block), tuple(line.phases(block, alignment)))
        if not len(found.starts):
            return found
        starts = found.starts.astype(np.int64) + block.first
        ends = starts + lengths[found.signatures]
        # The others ended in the block before, or would end in the next one.
        own = np.flatnonzero((ends > block.begin) & (ends <= block.end))
        index, address = line.locate(starts[own], ends[own])
        kept = address % np.uint64(alignment) == 0
        return Matches(found.signatures[own[index[kept]]], address[kept])

    tasks = (
        (block.size, partial(one, choose() if choose is not None else find, line, block))
        for line in lines_of(space.buffer, pieces, overlap)
        for block in line.blocks()
    )
    threads = threads_for(int(pieces.sizes.sum()), threads)
    yield from in_order(tasks, threads=threads, progress=progress)
