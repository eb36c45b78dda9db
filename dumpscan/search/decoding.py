"""The decoding budget: candidates in, proven objects out, in time that is bounded by the bytes searched.

`Decoding` knows nothing of files, so that a hit in physical memory can be decoded in every address space that maps it.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from dumpscan.artifacts.decoded import BytesDecoder, CutShortError, RefusedError
from dumpscan.artifacts.effort import TooCostlyError, paid_by
from dumpscan.findings import PrivateKey

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from dumpscan.artifacts.decoded import Decoded, Decoder, GroupDecoder, Parsed
    from dumpscan.findings import Finding
    from dumpscan.memory.space import Memory
    from dumpscan.scan.signature import Hit

_MIB = 1 << 20
_FREE = 8 << 10
"""Bytes that looking into a hit may always read: more than most objects have, and no more than to find it costs."""
_FIRST_ALLOWANCE = 64 << 20
_ALLOWANCE_PER_BYTE = 8
"""Bytes beyond those that decoders may read in all, at first and for each byte scanned. Real memory takes a tenth of
one; a file made of large structures within one another would take thousands."""
_FIRST_PATIENCE = 1_000_000
_PATIENCE_PER_MIB = 500_000
"""Microseconds that looking into hits may take, at first and for each MiB scanned. Ordinary memory has three openings
in a MiB that come to nothing; one made of nothing but openings has a hundred thousand."""
_COST_OF_A_HIT = 30
_COST_OF_FOLLOWING = 1000
"""Microseconds for a hit that comes to nothing, and for one whose decoder follows pointers that lead nowhere. The cost
of proofs is added to that; their code announces it (`dumpscan.artifacts.effort`)."""
_FREE_PER_BYTE = 1.2
"""Microseconds of proof for each byte of a proven key that are not counted: the proof of an ordinary key takes about as
long as that, so that a memory full of real keys does not use up what hits may take."""
_MOST_CUT_SHORT = 1000
_TOLD_CUT_SHORT = 8
"""Private keys cut short: how many are remembered, and how many are named one by one."""
_MOST_KNOWN = 1 << 16
"""Results that a decoder's memory of what it saw before may hold."""


class _MeteredMemory:
    """A memory that counts the bytes read from it, and refuses to give more than a limit."""

    def __init__(self, memory: Memory, limit: int) -> None:
        self._memory = memory
        self._limit = limit
        self.spent = 0
        self.exhausted = False

    @property
    def pointer_size(self) -> int:
        return self._memory.pointer_size

    def read(self, address: int, size: int) -> bytes:
        if self.spent + size > self._limit:
            self.exhausted = True
            raise RefusedError("too much was read already")
        data = self._memory.read(address, size)
        self.spent += len(data)
        return data


class Decoding:
    """Makes objects of hits, for the length of one scan.

    What decoders said of the same bytes before is remembered. How many bytes they read is limited by how many were
    scanned, and so is the time that hits and their proofs may take: no input takes longer than a multiple of its size.

    Args:
        decoders: By the names of the signatures.

    Attributes:
        skipped: Hits that were not looked into to the end because too much was read.
        passed_over: Hits that were not looked into, or not to the end, because those before them took too long.
    """

    def __init__(self, decoders: Mapping[str, Decoder]) -> None:
        self.skipped = 0
        self.passed_over = 0
        self._patience = float(_FIRST_PATIENCE)
        self._cut_short: dict[int, str] = {}
        self._decoders = decoders
        self._known: defaultdict[int, dict[bytes, Parsed | None]] = defaultdict(dict)
        self._allowance = _FIRST_ALLOWANCE

    @property
    def problems(self) -> tuple[str, ...]:
        """What could not be done, a sentence each."""
        why = "too many openings announce what is not there"
        told = []
        if self.skipped:
            told.append(f"{self.skipped} large objects not looked into: {why}")
        if self.passed_over:
            told.append(f"{self.passed_over} openings of objects passed over: {why}")
        cut = sorted(self._cut_short.items())
        told += (
            f"the {what} at {address:#x} is cut short: the dump does not hold enough of it to make the key"
            for address, what in cut[:_TOLD_CUT_SHORT]
        )
        if len(cut) > _TOLD_CUT_SHORT:
            told.append(f"{len(cut) - _TOLD_CUT_SHORT} more private keys are cut short")
        return tuple(told)

    def scanned(self, size: int) -> None:
        """Add `size` scanned bytes to the decoding budget."""
        self._allowance = min(self._allowance + size * _ALLOWANCE_PER_BYTE, 2 * _FIRST_ALLOWANCE)
        self._patience += size * _PATIENCE_PER_MIB / _MIB

    def decode(self, memory: Memory, hit: Hit) -> Decoded | None:
        """Return what a hit announces, as it lies in `memory`; None if it is nothing."""
        decoder = self._decoders[hit.signature.name]
        cost = _COST_OF_A_HIT if isinstance(decoder, BytesDecoder) else _COST_OF_FOLLOWING
        before = self._patience
        metered = _MeteredMemory(memory, _FREE + self._allowance)
        decoded = None
        try:
            with paid_by(self._pay):
                self._pay(cost)
                if isinstance(decoder, BytesDecoder):
                    decoded = decoder.decode(metered, hit.address, self._known_to(decoder))
                else:
                    decoded = decoder(metered, hit.address)
        except CutShortError as error:
            self._note_cut_short(hit.address, error.what)
        except RefusedError:
            pass
        except TooCostlyError:
            self.passed_over += 1
        self.skipped += metered.exhausted
        self._allowance -= max(metered.spent - _FREE, 0)
        if decoded is not None and decoded.missing and _is_candidate(decoded.finding):
            self._note_cut_short(hit.address, "EC private key")
        if decoded is not None and _is_proven(decoded.finding):
            self._patience = min(before, self._patience + cost + _FREE_PER_BYTE * decoded.length)
        return decoded

    def decode_together(self, memory: Memory, decoder: GroupDecoder, hits: Iterable[Hit]) -> Iterator[Decoded]:
        """Yield what the hits of a searcher in one address space make together, as long as the budget lasts."""
        metered = _MeteredMemory(memory, _FREE + self._allowance)
        found: list[Decoded] = []
        try:
            with paid_by(self._pay):
                for decoded in decoder(metered, hits):
                    found.append(decoded)  # noqa: PERF402 - what came before an error stays
        except RefusedError:
            pass
        except TooCostlyError:
            self.passed_over += 1
        self.skipped += metered.exhausted
        self._allowance -= max(metered.spent - _FREE, 0)
        yield from found

    def _pay(self, microseconds: float) -> None:
        if self._patience < microseconds:
            raise TooCostlyError
        self._patience -= microseconds

    def _note_cut_short(self, address: int, what: str) -> None:
        if len(self._cut_short) < _MOST_CUT_SHORT:
            self._cut_short.setdefault(address, what)

    def _known_to(self, decoder: Decoder) -> dict[bytes, Parsed | None]:
        known = self._known[id(decoder)]
        if len(known) >= _MOST_KNOWN:
            known.clear()
        return known


def _is_proven(finding: Finding) -> bool:
    """Whether an object is more than a key with nothing in it to check: a memory can be made full of such."""
    return not isinstance(finding, PrivateKey) or bool(finding.proof)


def _is_candidate(finding: Finding) -> bool:
    """Whether an object is one reading of a private value whose curve is not told."""
    return isinstance(finding, PrivateKey) and finding.needs_support
