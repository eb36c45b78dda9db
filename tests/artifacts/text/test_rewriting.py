"""Text cleared of escapes and of what surrounds its lines, and the way back."""

from __future__ import annotations

import json
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dumpscan.artifacts.text.rewriting import (
    ESCAPED_LINE_END,
    NO_SURROUNDINGS,
    CleanText,
    Surroundings,
    surroundings,
    without_cut_escape,
)

END = ESCAPED_LINE_END.decode()


@pytest.mark.parametrize(
    ("text", "clean", "notations"),
    [
        ("a\\nb\\r\\nc", f"a{END}b\r{END}c", ()),
        ("a\\\\n\\\\\\\\nb", f"a{END}{END}b", ("json",)),
        ("a\\/b\\u002Bc\\x2d\\t", "a/b+c-\t", ("json",)),
        ("a\\012b\\15c\\0129", f"a{END}b\rc\\0129", ()),
        ("a\\\nb\\qc", f"a{END}b\\qc", ()),
        ("a%0Ab%2bc%252Fd%zz", f"a{END}b+c/d%zz", ("urlencoded",)),
        ("a&#xA;b&#43;&amp;#10;c&quot;&nbsp;&other;", f'a{END}b+{END}c" &other;', ("xml",)),
        ("a<br>b<BR />c<br\\/>d<b>", f"a{END}b{END}c{END}d<b>", ("html",)),
        ("%5Cn&lt;br&gt;", END * 2, ("urlencoded", "xml")),
    ],
)
def test_escapes(text: str, clean: str, notations: tuple[str, ...]) -> None:
    cleared = CleanText(text.encode())
    assert cleared.data.decode() == clean
    assert set(notations) <= set(cleared.notations(len(clean)))
    assert cleared.origin(0) == 0
    assert cleared.end(len(clean)) == len(text)


@given(st.text(alphabet="ab+/=\n\"\\ <>&'", max_size=60), st.integers(1, 4))
def test_what_was_escaped_comes_back_and_so_do_places(text: str, layers: int) -> None:
    text = text.replace("\\", "")
    escaped = text
    for _ in range(layers):
        escaped = json.dumps(escaped)[1:-1]
    for written in (escaped, quote(text, safe="")):
        clean = CleanText(written.encode())
        plain = clean.data.decode().replace(END, "\n")
        if "<b" not in text and "&" not in text:
            assert plain == text
        for index in range(len(plain)):
            begin, end = clean.origin(index), clean.end(index + 1)
            assert 0 <= begin < end <= len(written)
            if index:
                assert clean.end(index) <= begin


@pytest.mark.parametrize(
    ("before", "text", "expected"),
    [
        (b'key = "', b"abc", Surroundings(quote=b'"', joined=b"")),
        (b"\\\\'  ", b"abc", Surroundings(quote=b"'", joined=b"")),
        (b"&quot;", b"abc", Surroundings(quote=b'"', joined=b"")),
        (b"x\n", b"abc\ndef", NO_SURROUNDINGS),
        (b"x\n   ", b"abc\n   def", NO_SURROUNDINGS),
        (b"name: ", b"abc\n   def", NO_SURROUNDINGS),
        (b"abc", b"abc\ndef", NO_SURROUNDINGS),
        (b"a-1: ", b"abc\na.2: def", NO_SURROUNDINGS),
        (b"10.0.98.231 ", b"abc\nMIIEowIBAAKCAQEA2yB0feoA", NO_SURROUNDINGS),
        (b"[17/May/2024:00:46:11 ", b"abc\nMIIEowIBAAKCAQEA2yB0feoA", NO_SURROUNDINGS),
        (b"", b"", NO_SURROUNDINGS),
        (b"", b"-----BEGIN A B-----$\nabc", Surroundings(suffix=b"$")),
        (b"", b"-----BEGIN A B----- a long remark\nabc", NO_SURROUNDINGS),
    ],
)
def test_surroundings(before: bytes, text: bytes, expected: Surroundings) -> None:
    assert surroundings(before, text) == expected


@pytest.mark.parametrize(
    ("before", "second"),
    [
        (b"x\n+", b"+def"),
        (b"x\n> > ", b"> > def"),
        (b"  9 ", b" 10 def"),
        (b"[12:00:01] a7f-1: ", b"[12:00:02] b-22: def"),
        (b"one # ", b"# def"),
        (b'X="> ', b"> def"),
    ],
)
def test_prefixes(before: bytes, second: bytes) -> None:
    """Numbers differ from line to line, and the first line may begin with something else."""
    around = surroundings(before, b"abc\n" + second)
    text = CleanText(b"abc\n" + second + b"\n" + second, around)
    assert text.data == b"abc\ndef\ndef"
    assert text.notations(5) == ("prefixed",)
    assert text.origin(4) == len(b"abc\n" + second) - 3
    assert text.end(3) == 3


def test_literals_are_joined() -> None:
    text = b'abc\\n" +\n  "def\\n" // remark\n"ghi"; x = "jkl'
    clean = CleanText(text, Surroundings(quote=b'"', joined=b""))
    assert clean.data == f"abc{END}def{END}ghijkl".encode()
    assert clean.end(4) == len(b"abc\\n")
    assert clean.origin(4) == len(b'abc\\n" +\n  "')
    assert clean.end_of_line(3) == len(b"abc\\n")


def test_ends_of_lines() -> None:
    clean = CleanText(b"abc\\r\\n\\n", NO_SURROUNDINGS)
    assert clean.end_of_line(3) == len(b"abc\\r\\n")
    clean = CleanText(b"abc\r\n# def", surroundings(b"# ", b"abc\r\n# def"))
    assert clean.data == b"abc\ndef"
    assert (clean.end(3), clean.end_of_line(3)) == (3, 5)


def test_nothing_is_changed_where_escapes_mean_bytes() -> None:
    assert CleanText(b"\\x30%30", None).data == b"\\x30%30"


def test_plus_in_urls() -> None:
    assert CleanText(b"a+b%2Bc", plus_is_space=True).data == b"a b+c"


def test_a_cut_escape_is_left_out() -> None:
    for end in (b"\\", b"\\\\u00", b"%", b"%2", b"&#x", b"&quo", b"<b", b"\r"):
        assert without_cut_escape(b"abc" + end) == b"abc"
    assert without_cut_escape(b"abc%20d e") == b"abc%20d e"


def test_hostile_text_takes_no_longer_than_its_length() -> None:
    """Every expression is bounded: what could be tried again at every place ends after a few characters."""
    for text in (
        b"\\" * 300_000,
        b"%25" * 100_000,
        b"&amp;" * 60_000,
        b"<br" * 100_000,
        b'"' * 300_000,
        b"\n" * 300_000,
    ):
        for around in (NO_SURROUNDINGS, Surroundings(quote=b'"'), Surroundings(prefix=rb"[ \t]{0,32}>", suffix=b";")):
            assert len(CleanText(text, around).data) <= len(text)
