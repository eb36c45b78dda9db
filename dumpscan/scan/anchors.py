"""Makes expressions easy for hyperscan, without a change in what is found.

Hyperscan looks for literals, and for the rest of an expression only where its literal is. Which one it takes cannot
be told it, and those that it takes out of a few hundred expressions are short and common in memory. So it is given
nothing but literals, one or a few for each expression, its anchor; where one of them is, the engine tries the
expression itself.

How fast hyperscan 0.9.1 is (Vectorscan 5.4.12, `fdr_compile.cpp` and `fdr_engine_description.cpp`) with more than two
dozen literals depends on the shortest: if all have four bytes or more, it reads memory in steps of four bytes, and
looks up two neighbouring bytes a step among the last eight of all literals. With one literal of three bytes or two it
takes steps of two. How often it looks closer in vain depends on how common those two bytes are at any of the four
offsets that a literal may have to the steps. As measured, literals of four to eight bytes, chosen by that, are scanned
a third faster than the best anchors of two to four bytes, and zeros twice as fast.
"""

from __future__ import annotations

import re
from collections import Counter
from functools import cache
from hashlib import blake2b
from itertools import accumulate, product
from math import prod
from operator import mul
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

ByteSets = list[frozenset[int]]
"""The byte values that an expression of fixed length takes at each of its positions."""

_ANY = frozenset(range(256))
_STEP = 4
"""Bytes of a step, and of the shortest literal with which hyperscan takes such steps."""
_MAX_LENGTH = 8
"""Bytes of a literal that tell where to look closer; more tell nothing."""
_MIN_LENGTH = 2
"""Bytes of the shortest literal that is better than none."""
_FEW, _MANY = 12, 128
"""Literals that stand for one expression, if there are no sure bytes enough in it; many only if few are too short."""
_ONE_MORE = 2**-12
"""What one more literal costs, beside the share of memory in which the matcher looks closer."""
_CALLED = 1000
"""What a place costs where a literal is, beside one where the matcher looks closer."""

COMMON_BYTES = (
    "1666777879899877799999aa89aaaaa879aa7aaa9aaaaa9a889aaaaa99aaaa99"
    "889988aa68aa899a9b9797aaabaaaaa79898878998ba89888b8879aaa9aaaab9"
    "8ab898aba7b8a8bb9bbbbbbbababbbbb9bbabbbbabbbbbbb9bbbbbababbbbbab"
    "89a999a9aaabaaaa9aabbbbb8bbbaaa99babbbbb89baaaaa9baabbaaaaaa9a96"
)
"""How common each byte value is in memory: -log2 of its share, one hexadecimal digit a value; the mean of the dump of a
Windows process and of program files."""
_SHARES = [2.0 ** -int(digit, 16) for digit in COMMON_BYTES]
_ZEROS = 2.0**-3
"""How common two zeros in a row are in memory, as above."""
_TWICE = 2.0**-7
"""How common it is that another byte comes twice: padding, and rulers in text."""
_BESIDE_ZERO = 4
"""How many times more often a byte is beside a zero than chance has it: small numbers and UTF-16."""

_DIGITS = b"0123456789"
_IN_NUMBERS = 2.0**-5
"""How much of memory is decimal digits, in logs and JSON: each tells nothing of the next."""

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
        *which, count = token.groups()
        positions += [_values(*which)] * int(count or 1)
    return positions


@cache
def _values(dot: bytes | None, negated: bytes | None, members: bytes | None, atom: bytes | None) -> frozenset[int]:
    """Return what one token of an expression stands for."""
    if dot:
        return _ANY
    if atom:
        return frozenset((_value(atom),))
    values = frozenset(_members(members or b""))
    return _ANY - values if negated else values


def _members(text: bytes) -> Iterator[int]:
    for first, last in _IN_SET.findall(text):
        yield from range(_value(first), _value(last or first) + 1)


def _value(atom: bytes) -> int:
    return bytes.fromhex(atom[2:].decode())[0] if atom.startswith(b"\\x") else atom[-1]


class Anchor(NamedTuple):
    """Literals for an expression.

    Attributes:
        literals: One of them is in every match, always at the same place.
        after: Bytes of a match behind it.
    """

    literals: tuple[bytes, ...]
    after: int


def anchors_for(expressions: Sequence[bytes]) -> list[Anchor | None]:
    """Return anchors as `choose_anchors` does; those that are in the table are not chosen anew.

    To choose the anchors of all signatures takes a quarter of the time that a command takes on a small dump.
    """
    known = _known()
    keys = [_key(expression) for expression in expressions]
    used = [known[key] for key in keys if key in known]
    others = [expression for expression, key in zip(expressions, keys, strict=True) if key not in known]
    users = Counter(literal for anchor in used if anchor is not None for literal in anchor.literals)
    chosen = iter(choose_anchors(others, users) if others else ())
    return [known[key] if key in known else next(chosen) for key in keys]


def table_of(expressions: Sequence[bytes]) -> str:
    """Choose anchors anew, and return the table: a line for each expression, with its key, `after` and literals."""
    lines = []
    for expression, anchor in sorted(zip(expressions, choose_anchors(expressions), strict=True)):
        words = ["-"] if anchor is None else [str(anchor.after), *map(bytes.hex, anchor.literals)]
        lines.append(" ".join([_key(expression), *words]) + "\n")
    return "".join(lines)


@cache
def _known() -> dict[str, Anchor | None]:
    """Read the table of anchors that were chosen before, by the keys of their expressions."""
    known: dict[str, Anchor | None] = {}
    for line in Path(__file__).with_name("anchors.txt").read_text(encoding="ascii").splitlines():
        key, after, *literals = line.split()
        known[key] = Anchor(tuple(map(bytes.fromhex, literals)), int(after)) if literals else None
    return known


def _key(expression: bytes) -> str:
    return blake2b(expression, digest_size=8).hexdigest()


def choose_anchors(expressions: Sequence[bytes], used: Counter[bytes] | None = None) -> list[Anchor | None]:
    """Choose literals for expressions: rare ones, that serve several expressions if it can be.

    Args:
        expressions: The expressions.
        used: Literals that serve others already, and how many.

    Returns:
        An anchor for each expression; None for one that `parse` does not know, or that has no two bytes in a row that
        are nearly sure.
    """
    parsed = [parse(expression) for expression in expressions]
    possible = {
        number: windows for number, positions in enumerate(parsed) if positions and (windows := _windows(positions))
    }
    chosen: dict[int, Anchor] = {}
    users: Counter[bytes] = Counter(used or {})
    for number in sorted(possible, key=lambda number: len(possible[number])):
        chosen[number] = min(possible[number], key=lambda anchor: _cost(anchor, users))
        users.update(chosen[number].literals)
    for number, anchor in chosen.items():  # what was chosen for later ones may serve earlier ones, too
        users.subtract(anchor.literals)
        chosen[number] = _shared(parsed[number] or [], users) or anchor
        users.update(chosen[number].literals)
    return [chosen.get(number) for number in range(len(expressions))]


def _windows(positions: ByteSets) -> list[Anchor]:
    """List the anchors that an expression could have: the longest from each place, and the longest of one literal.

    Short ones are listed only if there are no others.
    """
    sizes = [len(values) for values in positions]
    for most in (_FEW, _MANY):
        places = [(begin, begin + _run(sizes[begin : begin + _MAX_LENGTH], most)) for begin in range(len(sizes))]
        longest = max((end - begin for begin, end in places), default=0)
        if longest >= _STEP:
            break
    least = max(_MIN_LENGTH, min(longest, _STEP))
    places += [(begin, begin + _run(sizes[begin:end], 1)) for begin, end in places]
    sure = [sorted(values) if len(values) <= _MANY else [] for values in positions]
    return [
        Anchor(tuple(map(bytes, product(*sure[begin:end]))), len(positions) - end)
        for begin, end in dict.fromkeys(places)
        if end - begin >= least
    ]


def _shared(positions: ByteSets, users: Counter[bytes]) -> Anchor | None:
    """Return a literal that others use and that is in every match of an expression: the rarest of them."""
    sure = bytes(next(iter(values)) if len(values) == 1 else 0 for values in positions)
    sizes = [len(values) for values in positions]
    found = [
        (_found(sure[begin:end]), sure[begin:end], len(positions) - end)
        for begin in range(len(positions))
        for end in range(begin + _STEP, begin + _run(sizes[begin : begin + _MAX_LENGTH], 1) + 1)
        if users.get(sure[begin:end])
    ]
    if not found:
        return None
    _, literal, after = min(found)
    return Anchor((literal,), after)


def _run(sizes: Sequence[int], most: int) -> int:
    """Return how many sets there are from the first on that together take no more than so many values."""
    return sum([count <= most for count in accumulate(sizes, mul)])


def _cost(anchor: Anchor, users: Counter[bytes]) -> float:
    """Return what an anchor costs beside the literals that others use already."""
    more = [literal for literal in anchor.literals if not users.get(literal)]
    return len(more) * (_ONE_MORE + _CALLED * _found(more[0])) + _in_vain(more[0]) if more else 0


@cache
def _found(literal: bytes) -> float:
    """Return in how much of memory a literal is; one that goes on as it began is likely to be there again."""
    digits = sum(map(_DIGITS.__contains__, literal))
    if digits >= max(len(literal) - 1, _STEP - 1):
        return _IN_NUMBERS * 10.0**-digits
    pairs = [literal[at : at + 2] for at in range(0, len(literal) - 1, 2)]
    return prod(_TWICE if pair == before else _share(*pair) for before, pair in zip([b"", *pairs], pairs, strict=False))


@cache
def _in_vain(literal: bytes) -> float:
    """Return in how much of memory the matcher looks closer because of a literal, for all four offsets."""
    pairs = list(map(_share, literal, literal[1:]))
    half = _SHARES[literal[-1]] * max(_STEP - len(pairs), 0)  # where only its last byte is looked at
    return half + sum(prod(pairs[last::-_STEP]) for last in range(max(len(pairs) - _STEP, 0), len(pairs)))


def _share(first: int, second: int) -> float:
    """Return how common two bytes in a row are."""
    if first == second:
        return _TWICE if first else _ZEROS
    return _SHARES[first] * _SHARES[second] * (1 if first and second else _BESIDE_ZERO)
