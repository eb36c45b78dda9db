"""Text from a dump must not reach a terminal as anything but visible characters."""

from __future__ import annotations

import io
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dumpscan.output.text import printable, write_text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("C:\\Windows\\Temp é 日本", "C:\\Windows\\Temp é 日本"),
        ("\x1b[2J\x1b]0;owned\x07", "\\x1b[2J\\x1b]0;owned\\x07"),
        ("a\nb\rc\td\0", "a\\x0ab\\x0dc\\x09d\\x00"),
        ("\x7f\x9b31m\x85", "\\x7f\\x9b31m\\x85"),
        ("cmd\u202egpj.exe\u2066\u200e\ufeff", "cmd\\u202egpj.exe\\u2066\\u200e\\ufeff"),
        ("\ud800x\udfff", "\\ud800x\\udfff"),
        ("\u2028\u2029\xa0", "\\u2028\\u2029\\xa0"),
        ("\U000e0041\U0001f511", "\\U000e0041\U0001f511"),
    ],
)
def test_what_is_not_visible_is_escaped(text: str, shown: str) -> None:
    assert printable(text) == shown


@given(st.text(alphabet=st.characters(exclude_categories=())))
def test_nothing_but_visible_characters_comes_out(text: str) -> None:
    shown = printable(text)
    assert all(c == " " or unicodedata.category(c)[0] not in "CZ" for c in shown)
    assert printable(shown) == shown
    shown.encode("utf-8")


@given(st.text(alphabet=st.characters(exclude_categories=())))
def test_visible_text_is_left_alone(text: str) -> None:
    visible = "".join(c for c in text if c == " " or unicodedata.category(c)[0] not in "CZ")
    assert printable(visible) == visible


@pytest.mark.parametrize("encoding", ["utf-8", "ascii", "cp1252"])
def test_a_stream_that_cannot_encode_gets_escapes(encoding: str) -> None:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding=encoding)
    write_text(stream, "日 é \ud800\n")
    stream.flush()
    written = raw.getvalue().decode(encoding)
    assert written.endswith(" \\ud800\n")
    assert written.startswith("日" if encoding == "utf-8" else "\\u65e5")
