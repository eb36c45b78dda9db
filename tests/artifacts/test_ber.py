"""Bounds of BER elements of indefinite length."""

from __future__ import annotations

from typing import Any

import pytest
from asn1crypto import parser
from hypothesis import given
from hypothesis import strategies as st

from dumpscan.artifacts import ber
from dumpscan.artifacts.decoded import RefusedError
from support.artifact_samples import BASE, memory_of, tlv

MOST = 1 << 20
TREES = st.recursive(
    st.binary(max_size=200), lambda trees: st.tuples(st.booleans(), st.lists(trees, max_size=4)), max_leaves=12
)


def _encoded(tree: Any) -> bytes:  # noqa: ANN401 -- a tree of any depth
    if isinstance(tree, bytes):
        return tlv(0x04, tree)
    indefinite, members = tree
    content = b"".join(map(_encoded, members))
    return b"\x30\x80" + content + b"\0\0" if indefinite else tlv(0x30, content)


@given(TREES, st.binary(max_size=20))
def test_agrees_with_a_library(tree: bytes | tuple[bool, list[object]], behind: bytes) -> None:
    data = _encoded(tree)
    assert parser.peek(data + behind) == len(data)
    assert ber.extract(memory_of(data + behind), BASE, most=MOST).data == data


@given(st.binary(max_size=200))
def test_any_bytes_are_bounded_or_refused(data: bytes) -> None:
    try:
        raw = ber.extract(memory_of(b"\x30\x80" + data), BASE, most=MOST)
    except RefusedError:
        return
    assert raw.missing == 0
    assert raw.data.endswith(b"\0\0")


def test_content_larger_than_a_window() -> None:
    data = b"\x30\x80" + tlv(0x04, bytes(1000)) * 100 + b"\0\0"
    assert ber.extract(memory_of(data + bytes(9)), BASE, most=MOST).data == data


@pytest.mark.parametrize(
    "data",
    [
        b"\x30\x80",
        b"\x30\x80" * 11 + b"\0\0" * 11,
        b"\x30\x80" + b"\x05\x00" * 20_000 + b"\0\0",
        b"\x30\x80" + tlv(0x04, bytes(1000)),
        b"\x30\x80\x04\x80\0\0\0\0",
        b"\x30\x80" + tlv(0x04, bytes(2 * MOST)) + b"\0\0",
    ],
    ids=["alone", "deep", "many", "no-end", "primitive", "large"],
)
def test_refused(data: bytes) -> None:
    with pytest.raises(RefusedError):
        ber.extract(memory_of(data), BASE, most=MOST)


def _as_der(tree: Any) -> bytes:  # noqa: ANN401 -- a tree of any depth
    return tlv(0x04, tree) if isinstance(tree, bytes) else tlv(0x30, *map(_as_der, tree[1]))


@given(TREES)
def test_written_as_der(tree: bytes | tuple[bool, list[object]]) -> None:
    assert ber.to_der(_encoded(tree)) == _as_der(tree)


@pytest.mark.parametrize(
    ("data", "written"),
    [
        ("30 81 03 02 01 05", "30 03 02 01 05"),
        ("30 84 00 00 00 05 02 83 00 00 00", "30 02 02 00"),
        ("24 80 04 01 61 04 02 62 63 00 00", "04 03 61 62 63"),
        ("24 06 04 01 61 04 01 62", "04 02 61 62"),
        ("23 80 03 02 00 aa 03 02 04 b0 00 00", "03 03 04 aa b0"),
        ("23 80 00 00", "03 01 00"),
        ("a4 80 04 01 61 00 00", "a4 03 04 01 61"),
        ("31 07 02 01 05 02 81 01 04", "31 06 02 01 05 02 01 04"),
        ("31 08 02 01 05 02 81 01 04", None),
    ],
)
def test_lengths_and_pieces(data: str, written: str | None) -> None:
    if written is None:
        with pytest.raises(RefusedError):
            ber.to_der(bytes.fromhex(data))
    else:
        assert ber.to_der(bytes.fromhex(data)) == bytes.fromhex(written)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x30",
        b"\x30\x80",
        b"\x04\x80\0\0",
        b"\x30\x03\x02\x02\x01",
        b"\x30\x00\x00",
        b"\x24\x80\x02\x01\x05\0\0",
        b"\x23\x80\x03\x00\0\0",
        b"\x30\x80" * 20 + b"\0\0" * 20,
        b"\x30\x80" + b"\x05\x00" * 20_000 + b"\0\0",
    ],
    ids=["empty", "tag", "no-end", "primitive", "cut", "behind", "piece", "bits", "deep", "many"],
)
def test_not_written(data: bytes) -> None:
    with pytest.raises(RefusedError):
        ber.to_der(data)


@given(st.binary(max_size=300))
def test_any_bytes_are_written_or_refused(data: bytes) -> None:
    try:
        written = ber.to_der(b"\x30\x80" + data)
    except RefusedError:
        return
    assert ber.to_der(written) == written
