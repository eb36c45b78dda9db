"""Places where a number of some length may lie, the likeliest first."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from dumpscan.artifacts.openssl.known.randomness import looks_random
from dumpscan.artifacts.openssl.known.windows import Numbers, arrays_of, matches_of, may_be_numbers
from dumpscan.memory.regions import WORD, read_runs

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray

    from dumpscan.artifacts.openssl.known.effort import Effort
    from dumpscan.artifacts.openssl.known.pointers import Targets
    from dumpscan.artifacts.openssl.known.windows import Wanted
    from dumpscan.memory.space import Searchable

    Words = NDArray[np.uint64]

_MAX_MARKED = 1 << 30
"""Bytes of the largest memory in which it is looked for what points to numbers."""
_PASS_PER_MIB = 800
"""Microseconds of both passes over a MiB: for numbers, and for what points to them."""
_MIB = 1 << 20
_AT_ONCE = 1 << 14
"""Numbers that are read in one go."""


class Candidates(NamedTuple):
    """Places where numbers may lie.

    Attributes:
        wanted: What they are.
        addresses: Shape (n,).
    """

    wanted: Wanted
    addresses: Words


def affords_passes(effort: Effort, size: int) -> bool:
    """Say whether `pointed_to` may search a memory of so many bytes, and take note of its passes."""
    return size <= _MAX_MARKED and effort.affords(_PASS_PER_MIB * size / _MIB)


class Arrays:
    """Where the contents of arrays may lie, found in one pass for all kinds when it is first asked for.

    Args:
        space: The memory.
        wanted: What the contents may be.
        threads: As for `arrays_of`.
    """

    def __init__(self, space: Searchable, wanted: Iterable[Wanted], threads: int | None) -> None:
        self._space = space
        self._wanted = tuple(dict.fromkeys(wanted))
        self._threads = threads

    def of(self, wanted: Wanted) -> Candidates:
        """Return where there may be content of one kind."""
        return Candidates(wanted, self._places[wanted])

    @cached_property
    def _places(self) -> dict[Wanted, Words]:
        starts: list[list[Words]] = [[np.zeros(0, np.uint64)] for _ in self._wanted]
        for matches in arrays_of(self._space, self._wanted, threads=self._threads):
            for number in set(matches.signatures.tolist()):
                starts[number].append(matches.starts[matches.signatures == number])
        return {each: np.concatenate(found) for each, found in zip(self._wanted, starts, strict=True)}


def pointed_to(space: Searchable, targets: Targets, plain: tuple[Wanted, ...]) -> Iterator[Candidates]:
    """Yield, for each kind of numbers, all that something points to and that may be it."""
    pointed = _likely(space, plain[0].count, targets.addresses)
    for each in plain:
        yield Candidates(each, pointed)


def _likely(space: Searchable, count: int, addresses: Words) -> Words:
    """Keep addresses at which there may be random numbers of so many whole words, or the end of a region."""
    read = read_runs(space.buffer, space.regions, WORD * count)
    kept = [np.zeros(0, np.uint64)]
    for begin in range(0, len(addresses), _AT_ONCE):
        some = addresses[begin : begin + _AT_ONCE]
        runs, held = read(some)
        likely = ~held
        likely[held] = may_be_numbers(runs.view("<u8"))
        kept.append(some[likely])
    return np.concatenate(kept)


def all_numbers(space: Searchable, plain: tuple[Wanted, ...], threads: int | None) -> Iterator[Candidates]:
    """Yield all numbers that look as if they could be it, block by block."""
    for matches in matches_of(space, plain, threads=threads):
        for number, each in enumerate(plain):
            yield Candidates(each, matches.starts[matches.signatures == number])


def random_ones(space: Searchable, candidates: Candidates) -> Iterator[tuple[Words, Words]]:
    """Yield the numbers that look random, some thousand at a time, as `Numbers.at` returns them."""
    if not len(candidates.addresses):  # most kinds, in most dumps
        return
    numbers = Numbers(space, candidates.wanted)
    for begin in range(0, len(candidates.addresses), _AT_ONCE):
        addresses, values = numbers.at(candidates.addresses[begin : begin + _AT_ONCE])
        random = looks_random(values[:, : candidates.wanted.count])
        yield addresses[random], values[random]
