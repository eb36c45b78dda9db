"""Every copy of secrets that are known, in all bytes of a file, not only its memory.

Of a value of random bytes, fragments are looked for (`fragments`): a copy that is partly overwritten, or cut by the end
of a page, is found, and followed in both directions as far as it goes. Texts, and values that are too short for that,
are literals of the engine.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from dumpscan.redact.copies.extent import extent
from dumpscan.redact.copies.fragments import MAX_PLACES, MIN_VALUE, Fragments, Owner
from dumpscan.redact.secret import Place
from dumpscan.redact.values.forms import forms, with_wide
from dumpscan.scan.engine import Engine
from dumpscan.scan.opening import literal

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from dumpscan.redact.secret import Secret
    from dumpscan.redact.values.forms import Form

MAX_LITERAL = 512
"""Bytes by which a text is looked for, at most; what follows is compared."""
LARGE = 256 << 20
MAX_PROBES, MAX_PROBES_OF_LARGE = 8_000, 30_000
"""Literals of one engine: more of them take longer to compile, fewer mean more passes over the file."""
_MAX_OWNERS = 4
_BLOCK = 128 << 20
"""Bytes that are searched before the matches in them are looked into."""


class _Literals(NamedTuple):
    """Literals, with the engine that looks for them."""

    texts: list[bytes]
    engine: Engine


class Copies:
    """Finds copies of the secrets that were added."""

    def __init__(self) -> None:
        self._secrets: set[Secret] = set()
        self._literals: dict[bytes, list[tuple[Secret, Form]]] = {}
        self._new: list[bytes] = []
        self._new_values: list[Owner] = []
        self._searches: list[_Literals | Fragments] = []
        self._used = 0
        self._longest = 0

    @property
    def has_new(self) -> bool:
        """Whether secrets were added that have not been looked for."""
        return bool(self._new or self._new_values)

    def add(self, secret: Secret) -> None:
        """Add a secret; one that was added already is not added again."""
        if secret in self._secrets:
            return
        self._secrets.add(secret)
        for value in secret.values:
            for form, wide in with_wide(forms(value)):
                self._longest = max(self._longest, len((wide or form).data))
                if form.fragments and len(form.data) >= MIN_VALUE:
                    self._new_values.append(Owner(secret, form, wide))
                    continue
                for each in (form, *((wide,) if wide else ())):
                    self._add_literal(secret, each)

    def _add_literal(self, secret: Secret, form: Form) -> None:
        text = form.data[:MAX_LITERAL]
        if len(set(text)) <= 2:  # noqa: PLR2004 - one character over and over, in UTF-16 too
            return
        owners = self._literals.get(text)
        if owners is None:
            owners = self._literals[text] = []
            self._new.append(text)
        if len(owners) < _MAX_OWNERS:
            owners.append((secret, form))

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
        self._prepare(len(data))
        around = spans if changed is None else _widened(changed, self._longest, len(data))
        for number, search in enumerate(self._searches):
            yield from self._found(data, around if number < self._used else spans, search)
        self._used = len(self._searches)

    def _prepare(self, size: int) -> None:
        """Make what looks for the secrets that are new, in a file of so many bytes."""
        most = MAX_PROBES if size < LARGE else MAX_PROBES_OF_LARGE
        for at in range(0, len(self._new), most):
            part = self._new[at : at + most]
            signatures = [literal(str(number), text) for number, text in enumerate(part)]
            self._searches.append(_Literals(part, Engine(signatures, literal=True)))
        some: list[Owner] = []
        places = 0
        for owner in self._new_values:
            places += len(owner.form.data)
            if some and places > MAX_PLACES:
                self._searches.append(Fragments(some))
                some, places = [], len(owner.form.data)
            some.append(owner)
        if some:
            self._searches.append(Fragments(some))
        self._new, self._new_values = [], []

    def _found(
        self, data: memoryview, spans: Sequence[tuple[int, int]] | None, search: _Literals | Fragments
    ) -> Iterator[tuple[Secret, Place]]:
        if isinstance(search, Fragments):
            for secret, form, begin, end in search.find(data, ((0, len(data)),) if spans is None else spans):
                yield secret, Place(begin, end - begin, form.name, form.wide)
            return
        passed: dict[int, int] = {}
        for number, start in matches(search.engine, data, spans):
            text = search.texts[number]
            for secret, form in self._literals[text]:
                if start < passed.get(id(form), 0):
                    continue
                begin, end = extent(data, form, 0, start, len(text))
                if begin < end:
                    passed[id(form)] = end
                    yield secret, Place(begin, end - begin, form.name, form.wide)


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
