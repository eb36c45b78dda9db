"""Every copy of secrets that are known: one pass of the engine over all bytes of a file, not only its memory.

A value of random bytes is looked for by windows, and from each hit the copy is followed in both directions as far as it
goes: a copy that is partly overwritten, or cut by the end of a page, is found as long as one window of it is whole.
"""

from __future__ import annotations

import re
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

from dumpscan.redact.secret import Place
from dumpscan.redact.values.forms import forms
from dumpscan.scan.engine import Engine
from dumpscan.scan.opening import literal

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from dumpscan.redact.secret import Secret
    from dumpscan.redact.values.forms import Form

WINDOW = 16
"""Bytes of a window of binary data, and the distance to the next: a fragment of 31 bytes holds a window."""
TEXT_WINDOW = 24
"""Characters of a window of hex or base64; to the next it is twice as far, at most three times."""
_IN_ONE_ALPHABET = re.compile(rb"[+/_-]")
"""Characters of base64 (RFC 4648, 4) that base64url (5) writes otherwise, and the other way round."""
MIN_DISTINCT = 6
"""Different bytes that a window has, at least. Others lie everywhere, and give nothing away."""
MAX_LITERAL = 512
"""Bytes by which a text is looked for, at most; what follows is compared."""
LARGE = 256 << 20
MAX_PROBES, MAX_PROBES_OF_LARGE = 8_000, 30_000
"""Literals of one engine: more of them take longer to compile, fewer mean more passes over the file."""
_MAX_OWNERS = 4
_BLOCK = 128 << 20
"""Bytes that are searched before the matches in them are looked into."""
_LINE_END = re.compile(rb"(?:\r\n|\n|\\r\\n|\\n|\r\0\n\0|\n\0)[ \t]{0,8}")
_MAX_LINE_END = 12


class _Owner(NamedTuple):
    """What a probe is part of: a form of a secret's value, and where in it the probe begins."""

    secret: Secret
    form: Form
    at: int


class Copies:
    """Finds copies of the secrets that were added."""

    def __init__(self) -> None:
        self._secrets: set[Secret] = set()
        self._probes: dict[bytes, list[_Owner]] = {}
        self._new: list[bytes] = []
        self._engines: list[tuple[list[bytes], Engine]] = []
        self._used = 0
        self._longest = 0

    @property
    def has_new(self) -> bool:
        """Whether secrets were added that have not been looked for."""
        return bool(self._new)

    def add(self, secret: Secret) -> None:
        """Add a secret; one that was added already is not added again."""
        if secret in self._secrets:
            return
        self._secrets.add(secret)
        for value in secret.values:
            for form in forms(value):
                self._longest = max(self._longest, len(form.data))
                for at, probe in _windows(form):
                    owners = self._probes.get(probe)
                    if owners is None:
                        owners = self._probes[probe] = []
                        self._new.append(probe)
                    if len(owners) < _MAX_OWNERS:
                        owners.append(_Owner(secret, form, at))

    def find(
        self,
        data: memoryview,
        spans: Sequence[tuple[int, int]] | None = None,
        changed: Sequence[tuple[int, int]] | None = None,
    ) -> Iterator[tuple[Secret, Place]]:
        """Yield every copy of a secret in a file.

        Args:
            data: The file.
            spans: Where copies are looked for: those of which a part begins there (see `matches`).
            changed: Of a file that differs from one that was searched before, and in which all copies that were found
                have been overwritten: where it differs. For secrets that were looked for then, only the copies that
                have a part there are new, so elsewhere only secrets that were added since are looked for.
        """
        most = MAX_PROBES if len(data) < LARGE else MAX_PROBES_OF_LARGE
        for at in range(0, len(self._new), most):
            part = self._new[at : at + most]
            signatures = [literal(str(number), probe) for number, probe in enumerate(part)]
            self._engines.append((part, Engine(signatures, literal=True)))
        self._new = []
        around = spans if changed is None else _widened(changed, self._longest, len(data))
        for literals, engine in self._engines[: self._used]:
            yield from self._found(data, around, literals, engine)
        for literals, engine in self._engines[self._used :]:
            yield from self._found(data, spans, literals, engine)
        self._used = len(self._engines)

    def _found(
        self, data: memoryview, spans: Sequence[tuple[int, int]] | None, literals: list[bytes], engine: Engine
    ) -> Iterator[tuple[Secret, Place]]:
        passed: dict[int, int] = {}
        for number, start in matches(engine, data, spans):
            for owner in self._probes[literals[number]]:
                if start < passed.get(id(owner.form), 0):
                    continue
                begin, end = _extent(data, owner, start, len(literals[number]))
                if begin < end:
                    passed[id(owner.form)] = end
                    yield owner.secret, Place(begin, end - begin, owner.form.name, owner.form.wide)


def matches(
    engine: Engine, data: memoryview, spans: Sequence[tuple[int, int]] | None = None
) -> Iterator[tuple[int, int]]:
    """Yield the number and place of every match in a file; a few come twice. The memory that it takes is bounded.

    Args:
        engine: What to look for.
        data: The file.
        spans: Where matches begin, as (offset, end); by default anywhere.
    """
    for first, end in ((0, len(data)),) if spans is None else spans:
        for begin in range(first, end, _BLOCK):
            found = engine.scan_buffer(data[begin : min(begin + _BLOCK, end) + engine.overlap])
            for number, start in zip(found.signatures.tolist(), found.starts.tolist(), strict=True):
                yield number, begin + start


def _widened(spans: Sequence[tuple[int, int]], margin: int, size: int) -> list[tuple[int, int]]:
    """Return spans with a margin on either side, within a file of so many bytes; joined where they meet."""
    joined: list[tuple[int, int]] = []
    for begin, end in spans:
        begin, end = max(begin - margin, 0), min(end + margin, size)  # noqa: PLW2901 - the same span, wider
        if joined and begin <= joined[-1][1]:
            joined[-1] = joined[-1][0], max(end, joined[-1][1])
        else:
            joined.append((begin, end))
    return joined


def _windows(form: Form) -> Iterator[tuple[int, bytes]]:
    """Yield the places and bytes of what is looked for of a form."""
    size = (TEXT_WINDOW if form.lines else WINDOW) * (2 if form.wide else 1)
    if not form.fragments or len(form.data) <= size:
        probe = form.data[:MAX_LITERAL]
        if len(set(probe)) > 2:  # noqa: PLR2004 - not one character over and over, not in UTF-16 either
            yield 0, probe
        return
    step = 2 * size if form.lines else size
    last = len(form.data) - size
    for at in dict.fromkeys((0, last) if form.rare else (*range(0, last + 1, step), last)):
        begin = _in_both_alphabets(form, at, size) if form.lines else at
        probe = form.data[begin : begin + size]
        if len(set(probe)) >= MIN_DISTINCT and not _counts(probe):
            yield begin, probe


def _in_both_alphabets(form: Form, at: int, size: int) -> int:
    """Return where a window begins, at most its size behind `at`, that base64 and base64url write in the same way.

    Such a window finds both; `at` if there is none.
    """
    for begin in range(at, min(at + size, len(form.data) - size) + 1, 2 if form.wide else 1):
        if not _IN_ONE_ALPHABET.search(form.data, begin, begin + size):
            return begin
    return at


def _counts(probe: bytes) -> bool:
    """Return whether bytes count up or down evenly, as in tables and in the keys of self-tests."""
    if (probe[1] - probe[0] - probe[2] + probe[1]) % 256:
        return False
    return len({(after - before) % 256 for before, after in pairwise(probe)}) == 1


def _extent(data: memoryview, owner: _Owner, start: int, size: int) -> tuple[int, int]:
    """Return where a copy begins and ends of which `size` bytes lie at `start`; nothing of a text that is not whole."""
    form = owner.form
    begin = start - owner.at
    if begin >= 0 and data[begin : begin + len(form.data)] == form.data:
        return begin + form.begin, begin + len(form.data)
    if not form.fragments:
        return start, start
    after = form.data[owner.at + size :]
    end = start + size + _alike(data, start + size, after, form)
    before = form.data[: owner.at]
    return start - _alike_before(data, start, before, form), end


def _alike(data: memoryview, at: int, expected: bytes, form: Form) -> int:
    """Return how many bytes from a place on are as expected, line ends within a text included."""
    first, matched = at, 0
    while matched < len(expected):
        more = _common(data[at : at + len(expected) - matched], expected[matched:])
        at, matched = at + more, matched + more
        line_end = _LINE_END.match(data, at, at + _MAX_LINE_END) if form.lines and matched < len(expected) else None
        if line_end is None or not _common(data[line_end.end() : line_end.end() + 1], expected[matched:]):
            break
        at = line_end.end()
    return at - first


def _alike_before(data: memoryview, at: int, expected: bytes, form: Form) -> int:
    """Return how many bytes before a place are as expected, line ends within a text included."""
    last = at
    while expected:
        size = min(len(expected), at)
        more = _common(bytes(data[at - size : at])[::-1], expected[len(expected) - size :][::-1])
        at, expected = at - more, expected[: len(expected) - more]
        gap = _line_end_before(data, at) if form.lines and expected else 0
        if not gap or at - gap < 1 or data[at - gap - 1] != expected[-1]:
            break
        at -= gap
    return last - at


def _line_end_before(data: memoryview, at: int) -> int:
    """Return the bytes of a line's end, with the indent that follows it, right before a place."""
    for size in range(min(_MAX_LINE_END, at), 0, -1):
        found = _LINE_END.fullmatch(data, at - size, at)
        if found:
            return size
    return 0


def _common(data: memoryview | bytes, expected: bytes) -> int:
    """Return how many first bytes two byte strings have in common."""
    low, high = 0, min(len(data), len(expected))
    while low < high:
        middle = (low + high + 1) // 2
        if data[low:middle] == expected[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low


def merged(places: Iterable[Place]) -> list[Place]:
    """Join places that overlap, by ascending offset; the form is that of the first."""
    joined: list[Place] = []
    for place in sorted(places, key=lambda each: (each.offset, -each.length)):
        last = joined[-1] if joined else None
        if last is None or place.offset >= last.offset + last.length:
            joined.append(place)
        elif place.offset + place.length > last.offset + last.length:
            joined[-1] = Place(last.offset, place.offset + place.length - last.offset, last.form, last.wide)
    return joined
