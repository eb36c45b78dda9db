"""Signatures from bytes in hex."""

from __future__ import annotations

import re

import pytest

from dumpscan.scan.opening import literal, opening


@pytest.mark.parametrize(
    ("pattern", "matching", "others"),
    [
        ("30 82", [b"\x30\x82"], [b"\x30\x81"]),
        ("30 .. 02", [b"\x30\x0a\x02", b"\x30\xff\x02"], [b"\x30\x02\x03"]),
        ("00-02", [b"\x00", b"\x01", b"\x02"], [b"\x03"]),
        ("02|04|20-21", [b"\x02", b"\x04", b"\x20", b"\x21"], [b"\x03", b"\x22", b"|", b"-"]),
        ("2d 5d 2e 5c", [b"-].\\"], [b"-]x\\"]),
    ],
)
def test_tokens(pattern: str, matching: list[bytes], others: list[bytes]) -> None:
    signature = opening("some", pattern)
    assert signature.name == "some"
    assert signature.length == len(matching[0])
    compiled = re.compile(signature.expression, re.DOTALL)
    assert all(compiled.fullmatch(data) for data in matching)
    assert not any(compiled.fullmatch(data) for data in others)


@pytest.mark.parametrize("data", [b"-].\\x\n", bytes(range(256))])
def test_plain_bytes(data: bytes) -> None:
    signature = literal("some", data)
    assert (signature.name, signature.length) == ("some", len(data))
    assert re.compile(signature.expression, re.DOTALL).fullmatch(data)
    assert signature == opening("some", data.hex(" "))
