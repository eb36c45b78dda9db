"""Characters in memory, in every encoding."""

from __future__ import annotations

import pytest

from dumpscan.artifacts.text.characters import CODINGS, Characters
from support.artifact_samples import BASE, Space

NAMES = {"": "latin-1", "-utf16": "utf-16-le", "-utf16be": "utf-16-be", "-utf32": "utf-32-le", "-utf32be": "utf-32-be"}
ALL = [coding for codings in CODINGS.values() for coding in codings]


@pytest.mark.parametrize("coding", ALL, ids=lambda coding: coding.suffix or "ascii")
def test_read_forwards_and_backwards(coding) -> None:  # type: ignore[no-untyped-def] # noqa: ANN001
    name = NAMES[coding.suffix]
    data = "before, text".encode(name)
    space = Space({BASE: data})
    characters = Characters(space, BASE + 8 * coding.size + coding.low, coding)
    assert characters.address == BASE + 8 * coding.size
    assert [characters.take(count) for count in (0, 2, 4, 100)] == [b"", b"te", b"text", b"text"]
    assert [characters.before(count) for count in (0, 3, 100)] == [b"", b"e, ", b"before, "]
    assert characters.place(1, 3) == (BASE + 9 * coding.size, 2 * coding.size)


@pytest.mark.parametrize("coding", ALL[1:], ids=lambda coding: coding.suffix)
def test_wide_text_ends_where_a_character_is_wide(coding) -> None:  # type: ignore[no-untyped-def] # noqa: ANN001
    data = "ab\u20accdefg\u20achi".encode(NAMES[coding.suffix])
    characters = Characters(Space({BASE: data}), BASE + 5 * coding.size + coding.low, coding)
    assert characters.take(100) == b"efg"
    assert characters.before(100) == b"cd"


def test_across_regions_and_at_their_ends() -> None:
    space = Space({BASE: b"abc", BASE + 3: b"def", 0x1000: b"xyz"})
    ascii_coding = CODINGS[1][0]
    assert Characters(space, BASE + 1, ascii_coding).take(10) == b"bcdef"
    assert Characters(space, BASE + 5, ascii_coding).before(10) == b"abcde"
    assert Characters(space, 0x1000, ascii_coding).before(10) == b""
    assert Characters(Space({0: b"\0a"}), 0, CODINGS[2][1]).take(2) == b""
