"""The DER writer, read by asn1crypto."""

from __future__ import annotations

import pytest
from asn1crypto import core
from hypothesis import given
from hypothesis import strategies as st

from dumpscan.synth.objects import der


@given(st.integers() | st.integers(-(1 << 4200), 1 << 4200))
def test_integer(value: int) -> None:
    encoded = der.integer(value)
    assert core.Integer.load(encoded, strict=True).native == value
    assert encoded == core.Integer(value).dump()


@given(st.integers(0, 2), st.integers(0, 39), st.lists(st.integers(0, 1 << 70), max_size=8))
def test_oid(first: int, second: int, rest: list[int]) -> None:
    dotted = ".".join(map(str, (first, second, *rest)))
    assert core.ObjectIdentifier.load(der.oid(dotted), strict=True).dotted == dotted


@pytest.mark.parametrize("size", [0, 1, 127, 128, 255, 256, 65535, 65536, 1 << 20])
def test_length_takes_its_shortest_form(size: int) -> None:
    encoded = der.octet_string(bytes(size))
    assert encoded == core.OctetString(bytes(size)).dump()


@given(st.binary(max_size=300))
def test_bit_string_and_nesting(content: bytes) -> None:
    encoded = der.sequence(der.explicit(3, der.bit_string(content)), der.NULL, der.TRUE)
    parsed = core.Sequence.load(encoded, strict=True)
    wrapped, null, yes = (parsed[index] for index in range(3))
    assert (wrapped.class_, wrapped.tag, wrapped.method) == (2, 3, 1)
    assert core.OctetBitString.load(wrapped.contents).native == content
    assert (null.native, yes.native) == (None, True)


def test_set_is_sorted() -> None:
    assert der.set_of(b"\x02\x01\x05", b"\x02\x01\x01") == b"\x31\x06\x02\x01\x01\x02\x01\x05"


def test_bmp_string() -> None:
    assert core.BMPString.load(der.bmp_string("Schlüssel"), strict=True).native == "Schlüssel"
