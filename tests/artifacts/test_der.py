"""Bounds of DER elements."""

from __future__ import annotations

from typing import Any

import pytest
from asn1crypto import core, parser
from hypothesis import given
from hypothesis import strategies as st

from dumpscan.artifacts import der
from dumpscan.artifacts.decoded import RefusedError
from support.artifact_samples import BASE, memory_of, tlv

TAGS = st.integers(0, 255).filter(lambda tag: tag & 0x1F != 0x1F)
TREES = st.recursive(
    st.tuples(TAGS, st.binary(max_size=300)),
    lambda trees: st.tuples(TAGS, st.lists(trees, max_size=5)),
    max_leaves=12,
)


def _encoded(tree: Any) -> bytes:  # noqa: ANN401 -- a tree of any depth
    tag, content = tree
    return tlv(tag, content if isinstance(content, bytes) else b"".join(map(_encoded, content)))


@given(TREES)
def test_agrees_with_a_library(tree: tuple[int, object]) -> None:
    data = _encoded(tree)
    (element,) = der.elements(data)
    _, _, _, head, content, _ = parser.parse(data, strict=True)
    assert element == der.Element(data[0], data, content)
    assert der.header(data) == der.Header(data[0], len(head), len(content))
    assert der.one(data, data[0]) == element


@given(st.lists(TREES, max_size=6))
def test_elements_fill_the_data(trees: list[tuple[int, object]]) -> None:
    encoded = [_encoded(tree) for tree in trees]
    assert [element.encoded for element in der.elements(b"".join(encoded))] == encoded


@given(st.binary(max_size=80))
def test_any_bytes_are_taken_apart_or_refused(data: bytes) -> None:
    try:
        found = der.elements(data)
    except RefusedError:
        return
    assert b"".join(element.encoded for element in found) == data


@given(st.lists(TREES, min_size=1, max_size=4), st.data())
def test_of_cut_data_the_whole_elements_remain(trees: list[tuple[int, object]], data: st.DataObject) -> None:
    encoded = [_encoded(tree) for tree in trees]
    joined = b"".join(encoded)
    cut = data.draw(st.integers(0, len(joined)))
    found = der.elements(joined[:cut], cut=True)
    whole = b"".join(element.encoded for element in found)
    assert joined.startswith(whole)
    assert [element.encoded for element in found] == encoded[: len(found)]
    assert len(found) == len(encoded) or len(whole) + len(encoded[len(found)]) > cut


@pytest.mark.parametrize(
    "data",
    [b"", b"\x30", b"\x30\x82\x01", b"\x30\x80", b"\x30\x85\0\0\0\0\1", b"\x3f\x81\x01", b"\x30\xff"],
    ids=["empty", "tag", "cut-length", "indefinite", "five-bytes", "long-tag", "reserved"],
)
def test_refused_headers(data: bytes) -> None:
    with pytest.raises(RefusedError):
        der.header(data)


def test_too_many_elements() -> None:
    assert len(der.elements(b"\x05\x00" * 64)) == 64
    with pytest.raises(RefusedError):
        der.elements(b"\x05\x00" * 65)


def test_members_are_counted() -> None:
    data = tlv(0x30, b"\x05\x00" * 2)
    assert len(der.members(data, least=2, most=2)) == 2
    for bounds in ({"least": 3}, {"most": 1}):
        with pytest.raises(RefusedError):
            der.members(data, **bounds)
    with pytest.raises(RefusedError):
        der.members(tlv(0x31, b"\x05\x00"))


@given(st.integers(0, 1 << 2000))
def test_integers(value: int) -> None:
    data = tlv(2, value.to_bytes(value.bit_length() // 8 + 1, "big"))
    assert der.integer(der.one(data, der.INTEGER), most=300) == value


@pytest.mark.parametrize("data", [b"\x02\x00", b"\x02\x01\xff", b"\x04\x01\x01", b"\x02\x03\x01\x01\x01"])
def test_refused_integers(data: bytes) -> None:
    with pytest.raises(RefusedError):
        der.integer(der.elements(data)[0], most=2)


def test_extract_reads_as_far_as_the_memory_goes() -> None:
    data = tlv(0x30, bytes(300))
    whole = der.extract(memory_of(data + b"more"), BASE, most=1000)
    assert (whole.data, whole.length, whole.missing) == (data, len(data), 0)
    part = der.extract(memory_of(data[:100]), BASE, most=1000)
    assert (part.data, part.length, part.missing) == (data[:100], len(data), len(data) - 100)
    with pytest.raises(RefusedError):
        der.extract(memory_of(data), BASE, most=len(data) - 1)
    with pytest.raises(RefusedError):
        der.extract(memory_of(data), BASE - 10, most=1000)


@given(st.integers(0, 2), st.integers(0, 39), st.lists(st.integers(0, 1 << 40), max_size=8))
def test_object_identifiers_agree_with_a_library(first: int, second: int, rest: list[int]) -> None:
    dotted = ".".join(map(str, (first, second, *rest)))
    (element,) = der.elements(core.ObjectIdentifier(dotted).dump())
    assert der.dotted(element) == dotted


@pytest.mark.parametrize("content", [b"", b"\x2a\x86", b"\x80", b"\x2a" * 65])
def test_what_is_no_object_identifier(content: bytes) -> None:
    with pytest.raises(RefusedError):
        der.dotted(der.Element(der.OBJECT_IDENTIFIER, b"", content))
    with pytest.raises(RefusedError):
        der.dotted(der.Element(der.INTEGER, b"", b"\x2a"))


def test_what_a_context_specific_tag_is_around() -> None:
    assert der.inner(der.elements(tlv(0xA0, tlv(4, b"x")))[0]) == der.Element(4, tlv(4, b"x"), b"x")
    for other in (tlv(0xA1, tlv(4, b"x")), tlv(0xA0), tlv(0xA0, tlv(4, b"x"), tlv(4, b"y"))):
        with pytest.raises(RefusedError):
            der.inner(der.elements(other)[0])
