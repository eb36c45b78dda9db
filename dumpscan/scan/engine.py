"""The one hot loop: every signature at once over every byte of an address space, each byte once.

All signatures are compiled into one hyperscan database, each as literals that hyperscan is quick with (`anchors`);
where one of those is, the signature itself is tried. Hyperscan takes the mapped bytes as they are, without a copy, and
gives up the interpreter's lock while it scans, so that threads run side by side. What is scanned, and which address a
match has, is said by `stretches`; what a match means is decided by the decoders.
"""

from __future__ import annotations

import re
import signal
import threading
from array import array
from functools import cached_property, partial
from typing import TYPE_CHECKING, NamedTuple

import hyperscan
import numpy as np

from dumpscan.scan.ahead import MAX_SMALL, default_threads, in_order
from dumpscan.scan.anchors import anchors_for
from dumpscan.scan.opening import escaped
from dumpscan.scan.searcher import Matches, hits
from dumpscan.scan.stretches import BLOCK, FileStretches, Pieces, Plain, SeamWindows

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from numpy.typing import NDArray

    from dumpscan.scan.searcher import Scannable
    from dumpscan.scan.signature import Hit, Signature
    from dumpscan.scan.stretches import Block, Line

_NUMBER_BITS = 16
"""Bits for the number of a candidate or signature."""
_NUMBER_MASK = (1 << _NUMBER_BITS) - 1

_NO_MATCHES = Matches(np.empty(0, np.uint16), np.empty(0, np.uint64))


class Engine:
    """A set of signatures, ready to be looked for. It can scan any number of times, from one thread at a time.

    Args:
        signatures: What to look for.
        literal: Whether the expressions are long literals, of which there may be thousands: hyperscan is quick with
            them as they are, and choosing anchors for so many would take minutes.

    Attributes:
        signatures: As given.
        overlap: Bytes behind a place that must be seen to tell every match that begins there: one less than the longest
            match has.

    Raises:
        ValueError: Two signatures have one name, or one has an impossible length or lead.
    """

    def __init__(self, signatures: Sequence[Signature], *, literal: bool = False) -> None:
        self.signatures = tuple(signatures)
        if len({signature.name for signature in self.signatures}) < len(self.signatures):
            raise ValueError("signature names must be unique")
        for signature in self.signatures:
            if signature.length < 1 or signature.lead < 0:
                raise ValueError(f"signature {signature.name}: a length of at least 1 and no negative lead are needed")
        if not 0 < len(self.signatures) < 1 << _NUMBER_BITS:
            raise ValueError("there must be signatures, though not that many")
        self._lengths = np.array([signature.length for signature in self.signatures], np.int64)
        self.overlap = int(self._lengths.max()) - 1
        self._literal = literal

    def scan(
        self,
        space: Scannable,
        *,
        threads: int | None = None,
        progress: Callable[[int], None] | None = None,
    ) -> Iterator[Hit]:
        """Find every place in an address space where a signature matches, overlapping ones included, each once.

        Regions that are adjacent in the address space are scanned as one, wherever they lie in the file. Where an
        object would begin (`lead` bytes before its match) need not be in any region; only one that would begin before
        address 0 is left out.

        Args:
            space: The mapped file and its regions.
            threads: Threads to scan with, fewer on small inputs; by default as many as there are processors, up to
                `MAX_THREADS`.
            progress: Called with a number of bytes when so many more have been scanned; the numbers add up to the size
                of all regions.

        Yields:
            Hits in the file's order, block by block, and by ascending address within one; then those across seams.
            They are found while the caller takes them, a few blocks ahead of it.
        """
        for matches in self.batches(space, threads=threads, progress=progress):
            yield from hits(self.signatures, matches)

    def batches(
        self,
        space: Scannable,
        *,
        threads: int | None = None,
        progress: Callable[[int], None] | None = None,
    ) -> Iterator[Matches]:
        """As `scan`, with the matches of a block together in arrays and no `lead` taken off."""
        pieces = Pieces.of(space.regions)
        lines = [line(space.buffer, pieces, self.overlap) for line in (FileStretches, SeamWindows)]
        yield from self._run(lines, int(pieces.sizes.sum()), threads, progress)

    def scan_buffer(self, data: memoryview | bytes, *, threads: int | None = None) -> Matches:
        """Find every match in a contiguous buffer of any size (of an array, pass its `data`)."""
        view = memoryview(data).cast("B")
        batches = list(self._run([Plain(view, self.overlap)], len(view), threads, None))
        return Matches(*map(np.concatenate, zip(_NO_MATCHES, *batches, strict=True)))

    @cached_property
    def _database(self) -> _Database:
        """The signatures, compiled when they are first looked for."""
        return _Database(self.signatures, literal=self._literal)

    def _run(
        self, lines: Iterable[Line], size: int, threads: int | None, progress: Callable[[int], None] | None
    ) -> Iterator[Matches]:
        """Scan the blocks of all lines in their order, a bounded number of them ahead of the caller."""
        database = self._database
        threads = _threads(threads, size)
        tasks = ((block.size, partial(self._block, database, line, block)) for line in lines for block in line.blocks())
        yield from in_order(tasks, threads=threads, progress=progress)

    def _block(self, database: _Database, line: Line, block: Block) -> Matches:
        """Scan one block, in a thread of the pool."""
        signatures, ends = database.matches(line.data(block), block.begin - block.first)
        if not len(ends):
            return _NO_MATCHES
        ends += block.first
        indexes, addresses = line.locate(ends - self._lengths[signatures], ends)
        signatures = signatures[indexes]
        order = np.lexsort((signatures, addresses))
        return Matches(signatures[order], addresses[order])


class _Exact(NamedTuple):
    """A signature, in the terms of the candidate that stands for it.

    Attributes:
        number: Index into `Engine.signatures`.
        length: Of the signature, in bytes.
        after: Bytes of the signature behind the candidate's match.
        certain: Whether the candidate is the signature.
    """

    number: int
    length: int
    after: int
    certain: bool


class _Database:
    """Signatures compiled for hyperscan.

    Args:
        signatures: What to look for.
        literal: Whether to give hyperscan the expressions as they are.

    Raises:
        hyperscan.error: An expression is none that hyperscan takes.
    """

    def __init__(self, signatures: Sequence[Signature], *, literal: bool) -> None:
        self._expressions = [signature.expression for signature in signatures]
        anchors = [None] * len(signatures) if literal else anchors_for(self._expressions)
        candidates: dict[bytes, list[_Exact]] = {}
        for number, (signature, anchor) in enumerate(zip(signatures, anchors, strict=True)):
            if anchor is None:
                exact = _Exact(number, signature.length, 0, certain=True)
                candidates.setdefault(signature.expression, []).append(exact)
                continue
            exact = _Exact(number, signature.length, anchor.after, certain=False)
            for text in anchor.literals:
                candidates.setdefault(escaped(text), []).append(exact)
        self._exact = list(candidates.values())
        self._matchers: dict[int, Callable[[memoryview, int, int], object]] = {}
        self._compiled = hyperscan.Database(mode=hyperscan.HS_MODE_BLOCK)
        self._compiled.compile(
            expressions=list(candidates),
            ids=list(range(len(candidates))),
            flags=[hyperscan.HS_FLAG_DOTALL] * len(candidates),
        )
        self._scan: Callable[..., None] = self._compiled.scan
        self._scratches: list[hyperscan.Scratch] = []  # those not in use; each scan under way needs one of its own

    def matches(self, data: memoryview, overlap: int) -> tuple[NDArray[np.uint16], NDArray[np.int64]]:
        """Return the signatures' numbers and the ends of all matches that do not end within the first bytes.

        Args:
            data: What to scan.
            overlap: Bytes at the beginning in which the block before had its matches.
        """
        signatures, ends = array("H"), array("q")
        for note in self._candidates(data):
            for number, length, after, certain in self._exact[note & _NUMBER_MASK]:
                end = (note >> _NUMBER_BITS) + after
                if end <= overlap:
                    continue
                # What would stick out of the data is cut short here and does not match.
                if certain or self._matcher(number)(data, max(0, end - length), end):
                    signatures.append(number)
                    ends.append(end)
        return np.frombuffer(signatures, np.uint16), np.frombuffer(ends, np.int64)

    def _matcher(self, number: int) -> Callable[[memoryview, int, int], object]:
        """Return what tells whether bytes match a signature; it is compiled when it is first asked for."""
        try:
            return self._matchers[number]
        except KeyError:
            matcher = self._matchers[number] = re.compile(self._expressions[number], re.DOTALL).fullmatch
            return matcher

    def _candidates(self, data: memoryview) -> array[int]:
        """Let hyperscan find all candidates; each is noted as one number, its end above `_NUMBER_BITS`."""
        found = array("Q")
        note = found.append

        def on_match(number: int, _start: int, end: int, _flags: int, _context: object) -> None:
            note(end << _NUMBER_BITS | number)

        try:
            scratch = self._scratches.pop()
        except IndexError:
            scratch = hyperscan.Scratch(self._compiled)
        self._scan(data, match_event_handler=on_match, scratch=scratch)
        self._scratches.append(scratch)
        return found


def _threads(wanted: int | None, size: int) -> int:
    """Decide on threads for an input of `size` bytes: no more than it has blocks; 0 for the caller's own.

    It is another one where the caller may be interrupted: what arrived in hyperscan's callback would be lost.
    """
    if size <= MAX_SMALL and not _may_be_interrupted():
        return 0
    return max(1, min(default_threads() if wanted is None else wanted, size // BLOCK))


def _may_be_interrupted() -> bool:
    """Whether Python may raise KeyboardInterrupt in the calling thread: it does so in the main thread only."""
    return threading.current_thread() is threading.main_thread() and callable(signal.getsignal(signal.SIGINT))
