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
