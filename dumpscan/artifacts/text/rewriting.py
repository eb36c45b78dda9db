r"""Text cleared of escapes and of what surrounds its lines, with the way back to where each character came from.

Text that holds a key is seldom the file that it once was. It has become a string of JSON, XML, a URL or source code, or
its lines are quoted, numbered or commented out. Whatever is undone here is undone without knowing the whole document:
any number of backslashes before an `n` is a line end, since neither base64 nor the lines around it hold a backslash.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from operator import itemgetter
from typing import TYPE_CHECKING

from dumpscan.artifacts import effort

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

ESCAPED_LINE_END = b"\x0b"
"""What an escaped line feed becomes: whitespace too, but no end of a line of the document around it."""
LINE_END = re.compile(rb"\r[\n\x0b]|[\r\n\x0b]")

MAX_PREFIX = 96
"""Characters before a line that may be its prefix, and between two string literals of one text."""
MAX_RECORD = 768
"""Characters from the end of a string to the next line, where each line of a text is in a record of its own."""
_MAX_SUFFIX = 12
_MIN_RECORD = 4
"""Parts before a string in a record, such as `{"a":"`; what has fewer is a list of strings."""
_MAX_LAYERS = 4
"""Kinds of escapes within one another, such as those of a URL around those of JSON."""
MAX_ESCAPE = 32
"""Characters of any escape, so that one which is cut by the end of a window can be told."""

_ESCAPE = re.compile(
    rb"""
    \\(?P<slashes>\\{0,15})(?:
        u00(?P<unicode>[0-9A-Fa-f]{2}) | x(?P<hex>[0-9A-Fa-f]{2}) | 0?(?P<octal>1[25])(?![0-9])
        | (?P<letter>[nrt/"'`](?!ine\b)) | (?P<fold>z?[ ]{0,4}\r?\n) | (?P<rich>line\b[ ]?|par\b) )
    | %(?:25){0,8}(?P<percent>[0-9A-Fa-f]{2})
    | &(?:amp;){0,4}(?: \#0{0,4}(?P<decimal>[0-9]{1,3}); | \#[xX]0{0,4}(?P<entity>[0-9A-Fa-f]{1,2});
        | (?P<name>[A-Za-z]{2,7}); )
    | <(?P<br>[bB][rR][ ]{0,2}\\{0,8}/?>)
    | `(?P<tick>[nrt])
    | =(?P<quoted>0[AaDd]|3[Dd])(?<![\s=]...)
    | \x1b\[(?P<colour>[0-9;]{0,16}[mK])
    """,
    re.VERBOSE,
)
"""Every branch begins with one character and not with a group, because `re` skips to one of those characters only
then: ten times as fast in text without escapes."""
_LETTERS = {b"n": ESCAPED_LINE_END, b"r": b"\r", b"t": b"\t"}
_NAMES = {
    b"quot": b'"', b"apos": b"'", b"lt": b"<", b"gt": b">", b"amp": b"&", b"nbsp": b" ", b"plus": b"+",
    b"equals": b"=", b"sol": b"/", b"NewLine": ESCAPED_LINE_END,
}  # fmt: skip
"""Entities of XML and HTML for characters that occur in text with keys."""
_ARMOUR = re.compile(rb"-----BEGIN [ -~]{1,64}?-----")
_PREFIX_PART = re.compile(rb"[ \t]+|[0-9A-Za-z]*[0-9][0-9A-Za-z]*|[A-Za-z]+|[^ \t0-9A-Za-z]")
_UNBROKEN = re.compile(rb"(?P<between>[^A-Za-z0-9+/=\s][^\r\n\x0b]{0,95}?)[A-Za-z0-9+/]{40,}+")
"""Text that stands between two lines of base64, and the second of them."""
_SPACES = re.compile(rb"[ \t]{0,32}")
_NUMBER = re.compile(rb"[0-9A-Za-z]{1,24}")
_DIGIT = re.compile(rb"[0-9]")
_CUT = re.compile(rb"[\\%&<`=\x1b\r]+[^\\%&<`=\x1b\s]*\Z")
_SPECIAL = re.compile(rb"[\\%&<`=\x1b]")
_PLAIN_SLASHES = 1
"""Backslashes before the last one of a line end in JSON within JSON, which make no other encoding of PEM text."""


_NOTATIONS = {
    "unicode": "json",
    "hex": "json",
    "percent": "urlencoded",
    "decimal": "xml",
    "entity": "xml",
    "quoted": "quoted-printable",
}
_LINE_FEED = 0x0A
_OCTAL_RETURN = b"15"

_PER_REPLACEMENT, _PER_CHARACTER, _PER_QUOTE = 2, 0.01, 1
"""Microseconds to replace a part of text, and to look for one, for each character; for each quotation mark, to look
whether the record that it is in ends behind it."""


class Rewritten:
    """Text with parts of it replaced.

    Args:
        text: The text.
        pattern: Matches what may be replaced.
        replacement: Returns at most one character for a match, or None to leave it.

    Attributes:
        data: The new text.
        old: The text as it was.
    """

    def __init__(
        self, text: bytes, pattern: re.Pattern[bytes], replacement: Callable[[re.Match[bytes]], bytes | None]
    ) -> None:
        parts: list[bytes] = []
        self.old = text
        self._starts, self._origins, self._stops = [0], [0], [0]
        at = length = 0
        for match in pattern.finditer(text):
            new = replacement(match)
            if new is None:
                continue
            parts += (text[at : match.start()], new)
            length += match.start() - at + len(new)
            at = match.end()
            self._starts.append(length)
            self._origins.append(at)
            self._stops.append(at if new else match.start())
        effort.charge(_PER_REPLACEMENT * len(self._starts) + _PER_CHARACTER * len(text))
        parts.append(text[at:])
        self.data = b"".join(parts)

    def origin(self, index: int) -> int:
        """Return where in the old text the character at `index` begins."""
        part = bisect_right(self._starts, index) - 1
        return self._origins[part] + index - self._starts[part]

    def end(self, index: int) -> int:
        """Return where in the old text the character before `index` ends."""
        part = bisect_left(self._starts, index)
        if part < len(self._starts) and self._starts[part] == index:
            return self._stops[part]
        return self._origins[part - 1] + index - self._starts[part - 1]


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What stands around the lines of a text.

    Attributes:
        quote: The quotation mark that the text begins behind, where it is a string literal.
        prefix: Expression for what stands before each line, such as `#`, `>`, a line number; empty for nothing. With a
            quotation mark, what stands before it in each of the records that hold one line of the text.
        suffix: What stands behind each line.
        joined: What two lines are joined by when what is between them is gone.
        between: Expression for what stands between two lines, where the others do not tell.
    """

    quote: bytes = b""
    prefix: bytes = b""
    suffix: bytes = b""
    joined: bytes = b"\n"
    between: bytes = b""

    @property
    def notation(self) -> str:
        """What it is called in the name of an encoding."""
        if self.between:
            return "dump" if self == HEX_DUMP else "prefixed"
        if not self.quote:
            return "prefixed"
        return "json" if self.prefix else "source"

    @property
    def is_in_records(self) -> bool:
        """Whether each line of the text is a string in a record of its own, as in the logs of containers."""
        return bool(self.quote and self.prefix)

    @property
    def pattern(self) -> re.Pattern[bytes] | None:
        """Expression for what stands between two lines; None if that is nothing but a line end."""
        if self.between:
            return re.compile(self.between)
        if self.is_in_records:
            return re.compile(rb"%b[^\r\n\0]{0,%d}+[\r\n]{1,2}%b" % (self.quote, MAX_RECORD, self.prefix))
        if self.quote:
            return re.compile(rb"%b[^%b\0]{0,%d}?%b" % (self.quote, self.quote, MAX_PREFIX, self.quote))
        if not self.prefix and not self.suffix:
            return None
        suffix = rb"(?:%b)?" % re.escape(self.suffix) if self.suffix else b""
        return re.compile(rb"%b[ \t]{0,16}[\r\n\x0b]{1,4}%b" % (suffix, self.prefix))


NO_SURROUNDINGS = Surroundings()
HEX_DUMP = Surroundings(
    joined=b" ", between=rb"(?:[ \t]{1,3}[ \t|][^\r\n]{0,24}|[ \t]{0,4})\r?\n(?:0x)?[0-9A-Fa-f`]{4,17}[:h]?[ \t]{1,4}"
)
"""Of lines of a dump in hexadecimal: the same bytes as characters, and the next line's offset."""
_DUMPED = re.compile(
    rb"(?<![0-9A-Fa-f`])(?:0x)?[0-9A-Fa-f`]{4,17}[:h]?[ \t]{1,4}(?:[0-9A-Fa-f]{2,4}[ \t-]{1,2}){0,15}\Z"
)


def hex_dump(before: bytes) -> Surroundings | None:
    """Tell whether hexadecimal digits are of a dump, by what precedes them: an offset, and other bytes."""
    return HEX_DUMP if _DUMPED.search(before) else None


def surroundings(before: bytes, text: bytes) -> Surroundings:
    """Tell what surrounds the lines of a text by the first two of them.

    Args:
        before: Characters before the text, up to `MAX_PREFIX`.
        text: The text, as much of it as holds its first two lines; they may be escaped.
    """
    line = re.split(rb"[\r\n\x0b\0]", CleanText(before).data)[-1]
    quote = line.rstrip(b" \t")[-1:]
    if quote in (b'"', b"'", b"`"):
        return _records(line, quote, text) or Surroundings(quote=quote, joined=b"")
    first, *others = re.split(rb"[\r\n\x0b]+", CleanText(text).data, maxsplit=2)
    armour = _ARMOUR.match(first)
    if armour and (between := _between(first[armour.end() :])):
        return Surroundings(between=between)
    suffix = first[armour.end() :].strip(b" \t") if armour and others else b""
    return Surroundings(
        prefix=_prefix(line, others[0] if others else None), suffix=suffix if len(suffix) <= _MAX_SUFFIX else b""
    )


def _between(text: bytes) -> bytes:
    """Make an expression for what stands between lines instead of a line end, such as tags; empty for nothing.

    Args:
        text: What follows the first line.
    """
    line = _UNBROKEN.match(text)
    if line is None:
        return b""
    parts = _PREFIX_PART.findall(line["between"])
    return b"".join(map(_prefix_part, parts)) if _begins_alike(text[line.end() :], parts) else b""


def _records(line: bytes, quote: bytes, text: bytes) -> Surroundings | None:
    """Tell whether the lines of a text are strings in records, one in each: the second line begins like the first.

    Args:
        line: What stands before the text in its record.
        quote: The quotation mark that ends it.
        text: As for `surroundings`.
    """
    first, *others = re.split(rb"[\r\n]+", CleanText(text).data, maxsplit=2)
    content, end, _ = first.partition(quote)
    parts = _common_parts(line, others[0]) if others and end else []
    if len(parts) < _MIN_RECORD:
        return None
    prefix = b"".join(map(_prefix_part, parts))
    return Surroundings(quote, prefix, joined=b"" if content.endswith(ESCAPED_LINE_END) else b"\n")


def _prefix(line: bytes, second: bytes | None) -> bytes:
    """Make an expression for what stands before lines: numbers in it differ from line to line.

    Args:
        line: What stands before the first line.
        second: The second line with what stands before it, if there is one.
    """
    if not line.strip() or line[-1:].isalnum():
        return b""
    parts = _PREFIX_PART.findall(line) if second is None else _common_parts(line, second)
    return b"".join(map(_prefix_part, parts)) if b"".join(parts).strip() else b""


def _common_parts(line: bytes, second: bytes) -> list[bytes]:
    """Return the parts of what stands before the first line with which the second one begins, too.

    What the first line begins with may be something else, which a word of it may go on.
    """
    parts = _PREFIX_PART.findall(line)
    while parts:
        if _begins_alike(second, parts):
            return parts
        word = parts[0] if parts[0].isalpha() else b""
        for at in range(1, len(word)):
            if second.startswith(word[at:]) and _begins_alike(second, [word[at:], *parts[1:]]):
                return [word[at:], *parts[1:]]
        del parts[0]
    return []


def _begins_alike(line: bytes, parts: Sequence[bytes]) -> bool:
    """Tell whether a line begins with a prefix. Compiling the prefix's expression for that would take 100 times longer.

    What the expression repeats is always followed by something else, so that each part takes all it can. Where blanks
    follow a number there must be some, since base64 begins like a number.
    """
    at = 0
    is_number = False
    for part in parts:
        if part.isspace() or _DIGIT.search(part):
            match = (_SPACES if part.isspace() else _NUMBER).match(line, at)
            if match is None or (is_number and part.isspace() and not match[0]):
                return False
            at = match.end()
        elif line.startswith(part, at):
            at += len(part)
        else:
            return False
        is_number = not part.isspace() and _DIGIT.search(part) is not None
    return True


def _prefix_part(part: bytes) -> bytes:
    if part.isspace():
        return _SPACES.pattern
    return _NUMBER.pattern if _DIGIT.search(part) else re.escape(part)


class CleanText:
    """Text without escapes and without what surrounds its lines.

    Args:
        text: The original text.
        around: What surrounds its lines; None if nothing is to be changed, not even escapes.
        plus_is_space: Whether it is of a URL that has `+` for spaces.

    Attributes:
        data: The clean text.
    """

    def __init__(
        self, text: bytes, around: Surroundings | None = NO_SURROUNDINGS, *, plus_is_space: bool = False
    ) -> None:
        self.data = text.replace(b"+", b" ") if plus_is_space else text
        self._layers: list[Rewritten] = []
        self._notations: dict[str, int] = {}
        for _ in range(_MAX_LAYERS) if around not in (None, HEX_DUMP) else ():
            if not _SPECIAL.search(self.data) or not self._rewrite(_ESCAPE, self._unescape):
                break
        self._escaped = len(self._layers)
        if around is not None and (pattern := around.pattern) is not None:
            if around.is_in_records:
                effort.charge(_PER_QUOTE * self.data.count(around.quote))
            self._rewrite(pattern, lambda match: self._noted(around.notation, match, around.joined))

    def notations(self, end: int) -> tuple[str, ...]:
        """Name the kinds of escapes that were undone before `end`, in the order in which they first occur."""
        limit = self.end(end)
        return tuple(name for name, at in sorted(self._notations.items(), key=itemgetter(1)) if at < limit)

    def origin(self, index: int) -> int:
        """Return where in the original text the character at `index` begins."""
        for layer in reversed(self._layers):
            index = layer.origin(index)
        return index

    def end(self, index: int) -> int:
        """Return where in the original text the character before `index` ends."""
        return self._end(index, self._layers)

    def end_of_line(self, index: int) -> int:
        """As `end`, with the line end that follows there in the document, if one does."""
        index = self._end(index, self._layers[self._escaped :])
        unescaped = self._layers[self._escaped].old if self._escaped < len(self._layers) else self.data
        line_end = LINE_END.match(unescaped, index)
        return self._end(line_end.end() if line_end else index, self._layers[: self._escaped])

    @staticmethod
    def _end(index: int, layers: Sequence[Rewritten]) -> int:
        for layer in reversed(layers):
            index = layer.end(index)
        return index

    def _rewrite(self, pattern: re.Pattern[bytes], replacement: Callable[[re.Match[bytes]], bytes | None]) -> bool:
        """Add a layer; return whether it changed anything."""
        layer = Rewritten(self.data, pattern, replacement)
        if layer.data == self.data:
            return False
        self._layers.append(layer)
        self.data = layer.data
        return True

    def _noted(self, notation: str, match: re.Match[bytes], character: bytes) -> bytes:
        """Return the character that replaces a match, and note what made it."""
        if notation not in self._notations:
            self._notations[notation] = self.origin(match.start())
        return character

    def _unescape(self, match: re.Match[bytes]) -> bytes | None:
        """Return the character that an escape stands for; None if it is no escape that is known."""
        kind = match.lastgroup or ""
        value = match[kind]
        if kind == "br":
            return self._noted("html", match, ESCAPED_LINE_END)
        if kind in ("fold", "octal", "rich"):
            return b"\r" if value == _OCTAL_RETURN else ESCAPED_LINE_END
        if kind == "colour":
            return self._noted("ansi", match, b"")
        if kind in ("letter", "tick"):
            character = _LETTERS.get(value, value)
            is_plain = value in _LETTERS and len(match["slashes"] or b"") <= _PLAIN_SLASHES
            return character if is_plain else self._noted("json", match, character)
        if kind == "name":
            return self._noted("xml", match, _NAMES[value]) if value in _NAMES else None
        number = int(value, 10 if kind == "decimal" else 16) & 0xFF
        character = ESCAPED_LINE_END if number == _LINE_FEED else bytes((number,))
        return self._noted(_NOTATIONS[kind], match, character)


def without_cut_escape(text: bytes) -> bytes:
    """Return text that may go on, without an escape at its end that might."""
    cut = _CUT.search(text, max(len(text) - MAX_ESCAPE, 0))
    return text[: cut.start()] if cut else text
