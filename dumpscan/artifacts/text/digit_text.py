"""Bytes written as digits without armour: base64 of DER or of text such as PEM, and the same in hexadecimal.

So lie keys and certificates in kubeconfig files and Kubernetes secrets (base64 of PEM), in SAML's `X509Certificate` and
the `x5c` of JWKs (base64 of DER), in environment variables, in the registry and in source code.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from dumpscan.artifacts import effort
from dumpscan.artifacts.carrier import MAX_CHARACTERS, Span
from dumpscan.artifacts.text.characters import Characters
from dumpscan.artifacts.text.rewriting import (
    MAX_PREFIX,
    CleanText,
    Surroundings,
    hex_dump,
    surroundings,
    without_cut_escape,
)

if TYPE_CHECKING:
    from typing import Self

    from dumpscan.artifacts.decoded import Decoded
    from dumpscan.artifacts.text.characters import Coding
    from dumpscan.memory.space import Memory

_WINDOWS = (256, 4 << 10, 64 << 10, MAX_CHARACTERS)
"""Characters read at first, and when those did not reach far enough."""
_MARGIN = 2 * MAX_PREFIX
"""Where digits end so close to the end of what was read, they may go on behind something that was cut by it."""
_CERTIFICATES = re.compile(
    rb"0(?:\x80|\x81.|\x82..|\x83...)\x06\x09(?:\x2a\x86\x48\x86\xf7\x0d\x01\x07\x02|\x60\x86\x48\x01\x86\xf8\x42\x02\x05)",
    re.DOTALL,
)
"""ContentInfo of signed data (RFC 5652, 5.1), in which certificates are sent together, and Netscape's older one."""


_MICROSECONDS = 120
"""To see where the digits around a place begin."""
_IN_WORD = 64
"""Bytes that are together with what follows them, where words of a line precede base64."""
_WORD_BEFORE = re.compile(rb"[^\s][ \t]+(?=[^ \t\r\n]*\Z)")
_MAX_HEAD = 24
"""Bytes of a ContentInfo up to the end of its type."""


class BytesInText(Protocol):
    """A run of text that stands for bytes."""

    @property
    def data(self) -> bytes:
        """The bytes."""

    @property
    def stop(self) -> int:
        """Where in the text the run ends."""

    def place(self, begin: int, end: int) -> tuple[int, int]:
        """Return where in the text the bytes from `begin` to `end` begin and end."""


class Notation(Protocol):
    """A way to write bytes as text."""

    @property
    def name(self) -> str:
        """As in the name of an encoding."""

    @property
    def size(self) -> int:
        """Bytes that the smallest group of characters stands for."""

    @property
    def has_escapes(self) -> bool:
        """Whether backslashes are part of it."""

    def behind(self, before: bytes) -> Self:
        """Return the notation of what follows other text."""

    def characters(self, size: int) -> int:
        """Return how many characters `size` bytes take, with what may stand between them."""

    def groups_before(self, text: bytes, skip: int, most: int) -> tuple[int, int]:
        """Find whole groups of digits at the end of text (see `Digits`)."""

    def read(self, text: bytes, at: int, skip: int = 0) -> BytesInText:
        """Read the run at a place in text; raises `RefusedError` if there is none."""


class DigitText:
    """Text of digits, as far as it was read, and the bytes that it stands for as memory (see `Unwrapped`).

    Args:
        characters: The text.
        digits: Their notation.
        around: What surrounds its lines; None where escapes are part of the digits' notation.
        skip: As for `Run`.
        opening: Where in the bytes an object should open.

    Raises:
        RefusedError: If there are no digits.
    """

    finding = None
    is_covered = True
    pointer_size = 8

    def __init__(
        self, characters: Characters, digits: Notation, around: Surroundings | None, *, skip: int = 0, opening: int = 0
    ) -> None:
        self.opening = opening
        self._characters = characters
        self._digits = digits
        self._around = around
        self._skip = skip
        self._windows = iter(_WINDOWS)
        self._complete = False
        self._grow()

    @property
    def content(self) -> DigitText:
        """The bytes are read here."""
        return self

    @property
    def is_bundle(self) -> bool:
        """Whether certificates are sent together here."""
        return _CERTIFICATES.match(self.read(self.opening, _MAX_HEAD)) is not None

    def read(self, address: int, size: int) -> bytes:
        """Return up to `size` bytes at `address`, fewer where the digits end."""
        while address + size > len(self._run.data) and not self._complete:
            self._grow()
        return self._run.data[max(address, 0) : max(address + size, 0)]

    def accepts(self, decoded: Decoded) -> bool:
        """Any object will do (see `Unwrapped`)."""
        return decoded.length > 0

    def span(self, begin: int, end: int) -> Span:
        """Return where the digits of the bytes from `begin` to `end` lie."""
        first, last = self._run.place(begin, end)
        address, length = self._characters.place(self._clean.origin(first), self._clean.end(last))
        encoding = (*self._clean.notations(last), self._digits.name)
        return Span(address, length, "+".join(encoding) + self._characters.coding.suffix)

    def _grow(self) -> None:
        count = next(self._windows)
        text = self._characters.take(count)
        self._complete = len(text) < count or count == MAX_CHARACTERS
        self._clean = CleanText(text if self._complete else without_cut_escape(text), self._around)
        self._run = self._digits.read(self._clean.data, 0, self._skip)
        self._complete |= self._run.stop < len(self._clean.data) - _MARGIN


@dataclass(frozen=True, slots=True)
class DigitReader:
    """Reads text of digits, as a `TextCarrier` asks for it.

    Attributes:
        digits: Their notation.
        skip: As for `Run`, for the first digit that the signature matches.
        before: Bytes before those that the signature matches which may belong to the object.
    """

    digits: Notation
    skip: int = 0
    before: int = 0

    def __call__(self, memory: Memory, address: int, coding: Coding) -> DigitText:
        """Read the text at whose digits at `address` the signature matches."""
        effort.charge(_MICROSECONDS)
        characters = Characters(memory, address, coding)
        before = characters.before(self.digits.characters(self.before) + MAX_PREFIX)
        back, groups = self._groups_before(before)
        skip, opening = (0, groups * self.digits.size + self.skip) if back else (self.skip, 0)
        if back:
            characters = Characters(memory, address - back * coding.size, coding)
        before = before[: len(before) - back][-MAX_PREFIX:]
        has_escapes = self.digits.has_escapes
        around = hex_dump(before) if has_escapes else surroundings(before, characters.take(_WINDOWS[0]))
        return DigitText(characters, self.digits.behind(before), around, skip=skip, opening=opening)

    def _groups_before(self, before: bytes) -> tuple[int, int]:
        """Find whole groups of digits at the end of text, as `Notation.groups_before` does; there may be escapes."""
        if self.digits.has_escapes:
            return self.digits.groups_before(before, self.skip, self.before)
        if self.before <= _IN_WORD and (word := _WORD_BEFORE.search(before)):
            before = before[word.end() :]
        clean = CleanText(before)
        back, groups = self.digits.groups_before(clean.data, self.skip, self.before)
        return len(before) - clean.origin(len(clean.data) - back) if back else 0, groups
