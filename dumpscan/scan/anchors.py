"""Makes expressions easy for hyperscan, without a change in what is found.

Hyperscan looks for one literal of each expression with vector instructions, and for the rest of it only where that
literal is. Which one it takes cannot be told it, and of many expressions that begin and end alike it takes many, some
of them common in memory: the signatures of certificates and keys as they stand are scanned at two thirds of the speed
that is possible. As measured with hyperscan 0.9.1 (Vectorscan 5.4.12), speed depends on how many different literals
there are and on how common their last bytes are, because the matcher looks closer at every vector of 16 bytes that
begins with such a byte.

So every expression gets one short literal, its anchor, out of a few rare ones for all expressions together. Of the
bytes around it some are kept, each widened to a block of 32 values: too many for literals to be made of them, and still
enough to tell nearly every place where the expression does not match. The few others are for the engine to drop.

To compile what is around the anchors takes 140 milliseconds, to compile the anchors alone takes one. A small dump is
scanned sooner with the anchors alone, though they match at ten times as many places.
"""

from __future__ import annotations

import re
from functools import cache
from math import prod
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from collections.abc import Set as AbstractSet

ByteSets = list[frozenset[int]]
"""The byte values that an expression of fixed length takes at each of its positions."""

_ANY = frozenset(range(256))
_BLOCK = 32
_LENGTHS = (2, 3, 4)
"""Lengths of an anchor in bytes. At first the matcher looks at three."""
_BEFORE, _BEHIND = 4, 6
"""Bytes kept around an anchor. More take long to compile and tell hardly more."""

COMMON_BYTES = (
    "1666777879899877799999aa89aaaaa879aa7aaa9aaaaa9a889aaaaa99aaaa99"
    "889988aa68aa899a9b9797aaabaaaaa79898878998ba89888b8879aaa9aaaab9"
    "8ab898aba7b8a8bb9bbbbbbbababbbbb9bbabbbbabbbbbbb9bbbbbababbbbbab"
    "89a999a9aaabaaaa9aabbbbb8bbbaaa99babbbbb89baaaaa9baabbaaaaaa9a96"
)
"""How common each byte value is in memory: -log2 of its share, one hexadecimal digit a value; the mean of the dump of a
Windows process and of program files."""
_SHARES = [2.0 ** -int(digit, 16) for digit in COMMON_BYTES]
_ONE_MORE = 2**-12
_REAL = 1000
"""What one more anchor costs, and a place where an anchor really is, beside a place where only its last byte is."""

_ATOM = rb"\\x[0-9a-fA-F]{2}|\\[^0-9A-Za-z]|[^\\^$*+?{}\[\]()|.]"
_IN_SET = re.compile(
    rb"(\\x[0-9a-fA-F]{2}|\\[^0-9A-Za-z]|[^\\\]])(?:-(\\x[0-9a-fA-F]{2}|\\[^0-9A-Za-z]|[^\\\]]))?", re.DOTALL
)
_TOKEN = re.compile(rb"(?:(\.)|\[(\^?)((?:\\.|[^\]\\])+)\]|(%s))(?:\{(\d{1,3})\})?" % _ATOM, re.DOTALL)


@cache
def parse(expression: bytes) -> ByteSets | None:
    """Read an expression of bytes, escapes, `.`, sets and `{n}`; None if there is anything else in it."""
    positions: ByteSets = []
    at = 0
    while at < len(expression):
        token = _TOKEN.match(expression, at)
        if token is None:
            return None
        at = token.end()
        dot, negated, members, atom, count = token.groups()
        if dot:
            values = _ANY
        elif atom:
            values = frozenset((_value(atom),))
        else:
            values = frozenset(_members(members))
            values = _ANY - values if negated else values
        positions += [values] * int(count or 1)
    return positions


def _members(text: bytes) -> Iterator[int]:
    for first, last in _IN_SET.findall(text):
        yield from range(_value(first), _value(last or first) + 1)


def _value(atom: bytes) -> int:
    return bytes.fromhex(atom[2:].decode())[0] if atom.startswith(b"\\x") else atom[-1]


def most_telling(expression: bytes) -> tuple[int, frozenset[int]]:
    """Return the position in an expression with the fewest values, of these the rarest in memory, and its values.

    Of an expression that `parse` does not know, that is its first byte with any value.
    """
    positions = parse(expression) or [_ANY]
    at = min(range(len(positions)), key=lambda place: (len(positions[place]), _SHARES[min(positions[place])]))
    return at, positions[at]


class Looser(NamedTuple):
    """An expression that matches wherever another one does, and at a few places more.

    Attributes:
        expression: It begins and ends within the other one.
        before: Bytes of the other one before it.
        after: Bytes of the other one behind it.
    """

    expression: bytes
    before: int = 0
    after: int = 0


def anchored(expressions: Sequence[bytes], *, alone: bool = False) -> list[Looser]:
    """Find an expression that is quick to look for in place of each one given.

    What has no two bytes in a row that are sure, or syntax that `parse` does not know, comes back as it is.

    Args:
        expressions: The expressions.
        alone: Whether to keep nothing of an expression but its own rarest anchor: compiled at once, and scanned more
            slowly.
    """
    before, behind = (0, 0) if alone else (_BEFORE, _BEHIND)
    parsed = [parse(expression) for expression in expressions]
    possible = [_literals(positions) if positions else {} for positions in parsed]
    anchors = [] if alone else _choose(possible)
    result = []
    for expression, positions, literals in zip(expressions, parsed, possible, strict=True):
        if positions is None or not literals:
            result.append(Looser(expression))
            continue
        anchor = min(literals, key=_cost) if alone else next(anchor for anchor in anchors if anchor in literals)
        result.append(_around(positions, literals[anchor], len(anchor), before, behind))
    return result


def _around(positions: ByteSets, begin: int, length: int, before: int, behind: int) -> Looser:
    """Write an expression of an anchor and so many bytes around it."""
    end = begin + length
    first, last = max(0, begin - before), min(len(positions), end + behind)
    parts = (*map(_widened, positions[first:begin]), *positions[begin:end], *map(_widened, positions[end:last]))
    return Looser(b"".join(map(_written, parts)), first, len(positions) - last)


def _literals(positions: ByteSets) -> dict[bytes, int]:
    """List every run of bytes that could be an anchor, and where in the expression it first is."""
    found: dict[bytes, int] = {}
    sure = [next(iter(values)) if len(values) == 1 else None for values in positions]
    for length in _LENGTHS:
        for begin in range(len(positions) - length + 1):
            run = [value for value in sure[begin : begin + length] if value is not None]
            # One byte over and over (and zeros) is what rulers and padding look like: there, it is at every place.
            if len(run) == length and len({*run} - {0}) > 1:
                found.setdefault(bytes(run), begin)
    return found or dict(_long_runs(sure))


def _long_runs(sure: Sequence[int | None]) -> Iterator[tuple[bytes, int]]:
    """Yield what must do where nothing better is there: four equal bytes, or five with two that differ."""
    for begin in range(len(sure)):
        for size, different in ((4, 1), (5, 2)):
            run = [value for value in sure[begin : begin + size] if value is not None]
            enough = len({*run} - {0}) >= different and (different > 1 or 0 not in run)
            if len(run) == size and enough:
                yield bytes(run), begin


def _choose(possible: Sequence[dict[bytes, int]]) -> list[bytes]:
    """Choose anchors until each expression has one, and none could be replaced by a cheaper one."""
    takers: dict[bytes, set[int]] = {}
    for number, literals in enumerate(possible):
        for literal in literals:
            takers.setdefault(literal, set()).add(number)
    costs = {literal: _cost(literal) for literal in takers}
    chosen = _greedy(_best_of_equals(takers, costs), costs)
    anchors_of = [sum(anchor in literals for anchor in chosen) for literals in possible]
    settled = 0
    while settled < len(chosen):  # until a whole round has changed nothing
        anchor, *chosen = chosen
        orphans = [number for number in takers[anchor] if anchors_of[number] == 1]
        for number in takers[anchor]:
            anchors_of[number] -= 1
        if not orphans:
            settled = 0
            continue
        shared = set.intersection(*(set(possible[number]) for number in orphans))
        last = {other[-1] for other in chosen}
        best = min(shared, key=lambda literal: (_beside(literal, costs[literal], last), literal != anchor, literal))
        chosen.append(best)
        settled = settled + 1 if best == anchor else 0
        for number in takers[best]:
            anchors_of[number] += 1
    return chosen


def _greedy(takers: dict[bytes, set[int]], costs: dict[bytes, float]) -> list[bytes]:
    """Choose literals until every expression has one, each time the one that costs least for each that takes it."""
    chosen: list[bytes] = []
    last: set[int] = set()
    while takers:
        best = min(takers, key=lambda literal: (_beside(literal, costs[literal], last) / len(takers[literal]), literal))
        chosen.append(best)
        last.add(best[-1])
        served = takers[best]
        takers = {literal: left for literal, numbers in takers.items() if (left := numbers - served)}
    return chosen


def _best_of_equals(takers: dict[bytes, set[int]], costs: dict[bytes, float]) -> dict[bytes, set[int]]:
    """Leave out literals that the same expressions have as a cheaper one with the same last byte."""
    best: dict[tuple[int, frozenset[int]], bytes] = {}
    for literal in sorted(takers, key=lambda literal: (costs[literal], literal)):
        best.setdefault((literal[-1], frozenset(takers[literal])), literal)
    return {literal: takers[literal] for literal in best.values()}


def _cost(anchor: bytes) -> float:
    """Return what one more anchor costs, apart from what its last byte does."""
    return _ONE_MORE + _REAL * prod(_SHARES[value] for value in anchor)


def _beside(anchor: bytes, cost: float, last: AbstractSet[int]) -> float:
    """Return what one more anchor costs, beside others that end with the bytes `last`."""
    return cost if anchor[-1] in last else cost + _SHARES[anchor[-1]]


@cache
def _widened(values: frozenset[int]) -> frozenset[int]:
    blocks = {value // _BLOCK for value in values}
    return frozenset(value for value in _ANY if value // _BLOCK in blocks)


@cache
def _written(values: frozenset[int]) -> bytes:
    if values == _ANY:
        return b"."
    if len(values) == 1:
        return b"\\x%02x" % min(values)
    firsts = sorted(value for value in values if value - 1 not in values)
    lasts = sorted(value for value in values if value + 1 not in values)
    return b"[%s]" % b"".join(b"\\x%02x-\\x%02x" % bounds for bounds in zip(firsts, lasts, strict=True))
