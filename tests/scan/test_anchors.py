"""Expressions made easy for hyperscan: by literals, of which one is in every match."""

from __future__ import annotations

import re
from itertools import product
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dumpscan.artifacts.registry import EVERYTHING, X509_DETECTORS
from dumpscan.scan import anchors
from dumpscan.scan.anchors import choose_anchors, parse
from dumpscan.scan.engine import Engine
from dumpscan.scan.signature import Signature

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("expression", "positions"),
    [
        (rb"a.\x42", [{0x61}, range(256), {0x42}]),
        (rb"[\x01-\x03b-d\-]", [{1, 2, 3, 0x62, 0x63, 0x64, 0x2D}]),
        (rb"[^\x00-\xfe]{2}\.", [{0xFF}, {0xFF}, {0x2E}]),
        (rb"[.\]]", [{0x2E, 0x5D}]),
        (b"\x00\n\xff.{3}", [{0}, {10}, {255}, range(256), range(256), range(256)]),
    ],
)
def test_parse(expression: bytes, positions: list[object]) -> None:
    assert parse(expression) == [set(values) for values in positions]  # type: ignore[call-overload]


@pytest.mark.parametrize("expression", [rb"a+", rb"(ab)", rb"a|b", rb"\d", rb"a{2,3}", rb"^a", rb"[a", rb"\x4"])
def test_parse_of_other_syntax(expression: bytes) -> None:
    assert parse(expression) is None
    assert choose_anchors([expression]) == [None]


TOKENS = st.sampled_from(
    [rb"\x30", rb"\x82", rb"\x81", rb"a", rb".", rb"[ab]", rb"[\x00-\x7f]", rb"[^\x30]", rb"\x02", rb".{2}", rb"\xff"]
)


@given(st.lists(st.lists(TOKENS, min_size=1, max_size=16).map(b"".join), min_size=1, max_size=12))
def test_one_of_the_literals_is_in_every_match(expressions: list[bytes]) -> None:
    for expression, anchor in zip(expressions, choose_anchors(expressions), strict=True):
        positions = parse(expression)
        assert positions is not None
        if anchor is None:
            continue
        (size,) = {len(text) for text in anchor.literals}
        end = len(positions) - anchor.after
        window = [sorted(values) for values in positions[end - size : end]]
        assert sorted(anchor.literals) == [bytes(values) for values in product(*window)]


@given(
    st.lists(st.lists(TOKENS, min_size=1, max_size=12).map(b"".join), min_size=1, max_size=8, unique=True),
    st.lists(st.sampled_from(b"\x30\x82\x81a\x02\x00\xff"), max_size=200).map(bytes),
)
def test_nothing_is_lost_or_added(expressions: list[bytes], data: bytes) -> None:
    engine = Engine(
        [Signature(f"{i}", expression, len(parse(expression) or ())) for i, expression in enumerate(expressions)]
    )
    matches = engine.scan_buffer(data)
    assert sorted(zip(matches.signatures.tolist(), matches.starts.tolist(), strict=True)) == sorted(
        (number, found.start())
        for number, expression in enumerate(expressions)
        for found in re.finditer(b"(?=%s)" % expression, data, re.DOTALL)
    )


def test_the_real_signatures_have_the_lengths_they_say() -> None:
    for signature, _ in X509_DETECTORS:
        positions = parse(signature.expression)
        assert positions is not None, signature.name
        assert len(positions) == signature.length, signature.name


def test_an_anchor_is_no_ruler() -> None:
    (anchor,) = choose_anchors([rb"-{12}BEG"])
    assert anchor is not None
    assert anchor.literals[0].endswith(b"BEG")


def test_signatures_share_literals() -> None:
    one, other = choose_anchors([b"abcdefghij", b"..abcdefghi"])
    assert one is not None
    assert other is not None
    assert one.literals == other.literals


def test_every_real_signature_has_literals_that_the_engine_is_quick_with() -> None:
    signatures = [finder for finder, _ in EVERYTHING.detectors if isinstance(finder, Signature)]
    in_memory = [signature for signature in signatures if not signature.only_in_text]
    anchors = choose_anchors([signature.expression for signature in in_memory])
    slow = [
        signature.name
        for signature, anchor in zip(in_memory, anchors, strict=True)
        if anchor is None or min(map(len, anchor.literals)) < 4
    ]
    assert slow == []
    assert len({text for anchor in anchors if anchor for text in anchor.literals}) < 800  # more are slower


def real_expressions() -> list[bytes]:
    signatures = (finder for finder, _ in EVERYTHING.detectors if isinstance(finder, Signature))
    return list(dict.fromkeys(each.expression for each in signatures if not each.only_in_text))


def test_the_table_holds_anchors_of_nearly_all_signatures() -> None:
    """A signature that changes needs none at once; if many have, `make anchors` makes the table anew."""
    known = [each for each in real_expressions() if anchors._key(each) in anchors._known()]
    assert len(known) > 0.8 * len(real_expressions())
    for expression in known:
        anchor, positions = anchors._known()[anchors._key(expression)], parse(expression)
        assert anchor is not None
        assert positions is not None
        end = len(positions) - anchor.after
        window = [sorted(values) for values in positions[end - len(anchor.literals[0]) : end]]
        assert sorted(anchor.literals) == [bytes(values) for values in product(*window)]


def test_anchors_are_read_back_from_the_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expressions = [*real_expressions(), rb"a+"]
    (tmp_path / "anchors.txt").write_text(anchors.table_of(expressions))
    monkeypatch.setattr(anchors, "__file__", str(tmp_path / "anchors.py"))
    anchors._known.cache_clear()
    try:
        chosen = choose_anchors(expressions)
        assert anchors.anchors_for(expressions) == chosen
        new = b"..." + bytes(next(anchor for anchor in chosen if anchor and anchor.after == 0).literals[0])
        *others, own = anchors.anchors_for([*expressions, re.escape(new)])
        assert others == chosen
        assert own is not None
        assert own.literals[0] in new
    finally:
        anchors._known.cache_clear()


@pytest.mark.parametrize("order", [1, -1])
def test_a_literal_serves_all_expressions_that_have_it(order: int) -> None:
    anchors = choose_anchors([rb"%2[Dd]BEGIN", rb"-----BEGIN", rb"BEGIN"][::order])[::order]
    assert anchors == [((b"BEGIN",), 0)] * 3
