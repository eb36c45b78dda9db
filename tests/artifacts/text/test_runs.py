"""Runs of digits, and where in text the digits of each byte are."""

from __future__ import annotations

import base64
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dumpscan.artifacts.decoded import RefusedError
from dumpscan.artifacts.text.openings import base64_of, hex_of, text_opening
from dumpscan.artifacts.text.runs import BASE64, HEX, Run


@given(st.binary(min_size=1, max_size=200), st.integers(1, 80), st.sampled_from([b"\n", b"\r\n  ", b" "]))
def test_base64(data: bytes, width: int, between: bytes) -> None:
    digits = base64.b64encode(data).rstrip(b"=")
    text = b"=" + between.join(digits[at : at + width] for at in range(0, len(digits), width))
    run = Run(BASE64, text, 1)
    assert (run.data, run.stop) == (data, len(text))
    for begin in range(len(data)):
        first, last = run.place(begin, len(data))
        assert last == len(text)
        aligned = base64.b64decode(b"A" * (begin % 3 * 8 // 6) + b"".join(text[first:].split()) + b"==")
        assert aligned.endswith(data[begin + 1 :])


@given(st.binary(min_size=3, max_size=50), st.integers(0, 2))
def test_base64_from_the_middle_of_a_group(data: bytes, skip: int) -> None:
    digits = base64.b64encode(data)[skip:]
    assert Run(BASE64, digits, 0, skip).data == data[skip:]


@pytest.mark.parametrize(
    "text",
    [
        "00ff10",
        "00 FF 10",
        "00:ff:10",
        "0x00, 0xFF,\n 0x10",
        "\\x00\\xff\\x10",
        "00,ff,\\\r\n  10",
        "00-FF-10",
        "00\\nff10",
    ],
)
def test_hex(text: str) -> None:
    run = Run(HEX, text.encode(), 0)
    assert run.data == b"\x00\xff\x10"
    assert [text[slice(*run.place(at, at + 1))].lower() for at in range(3)] == ["00", "ff", "10"]


def test_no_digits() -> None:
    for digits in (BASE64, HEX):
        with pytest.raises(RefusedError):
            Run(digits, b"*", 0)


@pytest.mark.parametrize(
    ("text", "skip", "most", "expected"),
    [
        (b"; ABCDEFGH", 0, 100, (8, 2)),
        (b"; ABCDEFGH", 1, 100, (5, 1)),
        (b"; ABCDE\n FGHI", 1, 100, (11, 2)),
        (b"; ABCDEFGH", 0, 3, (4, 1)),
        (b"; A", 2, 100, (0, 0)),
        (b"-----ABCD", 0, 100, (4, 1)),
        (b"", 0, 100, (0, 0)),
    ],
)
def test_groups_before(text: bytes, skip: int, most: int, expected: tuple[int, int]) -> None:
    assert BASE64.groups_before(text, skip, most) == expected


def test_pairs_before() -> None:
    assert HEX.groups_before(b"key=aabbcc", 0, 100) == (6, 3)
    assert HEX.groups_before(b"x 0xaa, 0xbb, ", 0, 100) == (10, 2)
    assert HEX.groups_before(b"zz", 0, 100) == (0, 0)


@given(st.binary(min_size=4, max_size=12), st.binary(max_size=5), st.binary(max_size=5), st.integers(1, 4))
def test_signatures_of_base64_match_it(data: bytes, before: bytes, after: bytes, size: int) -> None:
    skip = len(before) % 3
    encoded = base64.b64encode(before + data + after).decode()
    begin = len(before) // 3 * 4 + skip
    pattern = " ".join(f"{value:02x}" for value in data)
    signature = text_opening("x", base64_of(pattern, skip), size)
    written = b"".join(value.to_bytes(size, "little") for value in encoded.encode())
    assert re.compile(signature.expression, re.DOTALL).match(written, begin * size)
    assert signature.length <= len(encoded) * size


def test_signatures_of_hex() -> None:
    assert hex_of("30 8a .. 02|04") == ["3", "0", "8", "Aa", "", "", "0", "24"]
    assert hex_of("30 31", ", ", "0x") == ["0", "x", "3", "0", ",", " ", "0", "x", "3", "1"]
    assert text_opening("a", ["x", "", "yz"], 2).expression == rb"\x78\x00.\x00[\x79\x7a]"
    assert text_opening("a", ["x"], 2, lead=3).lead == 6
