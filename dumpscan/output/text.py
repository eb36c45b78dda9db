"""Text from a dump, made safe to show: it cannot control a terminal, hide itself, or reorder the text around it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import TextIO


class _Escapes(dict[int, str]):
    """A table for `str.translate` that fills itself: each code point is looked at once, then translated in C."""

    def __missing__(self, codepoint: int) -> str:
        character = chr(codepoint)
        if character.isprintable():
            shown = character
        elif character.isascii():  # no `\n`, which could as well be a backslash and a letter of a path
            shown = f"\\x{codepoint:02x}"
        else:
            shown = character.encode("unicode_escape").decode("ascii")
        self[codepoint] = shown
        return shown


_ESCAPES = _Escapes()


def printable(text: str) -> str:
    r"""Return `text` with everything that is not a visible character or a plain space written as `\xNN` or `\uNNNN`.

    `str.isprintable` decides: it excludes the Unicode categories Other and Separator, that is C0 and C1 controls, DEL,
    bidirectional and other invisible format characters, lone surrogates, line and paragraph separators, unassigned and
    private code points, and every space but U+0020. The result is one line and can be encoded in UTF-8.

    A backslash is left as it is (Windows paths are full of them): this form is for people, and JSON is the exact one.
    """
    return text if text.isprintable() else text.translate(_ESCAPES)


def write_text(stream: TextIO, text: str) -> None:
    r"""Write `text`; characters that the stream's encoding cannot express become `\uNNNN`.

    Raises:
        OSError: The stream cannot take it (a closed pipe, a full disk).
    """
    try:
        stream.write(text)
    except UnicodeEncodeError:
        encoding = stream.encoding or "ascii"
        stream.write(text.encode(encoding, "backslashreplace").decode(encoding))
