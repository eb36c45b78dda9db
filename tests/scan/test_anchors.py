"""Expressions made easy for hyperscan: looser ones, but never in the wrong direction."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dumpscan.artifacts.registry import EVERYTHING, X509_DETECTORS
from dumpscan.scan.anchors import Looser, anchored, parse
from dumpscan.scan.engine import Engine
from dumpscan.scan.signature import Signature

EXPRESSIONS = [signature.expression for signature, _ in X509_DETECTORS]


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
    assert anchored([expression]) == [Looser(expression)]


TOKENS = st.sampled_from(
    [rb"\x30", rb"\x82", rb"\x81", rb"a", rb".", rb"[ab]", rb"[\x00-\x7f]", rb"[^\x30]", rb"\x02", rb".{2}", rb"\xff"]
)


@given(st.lists(st.lists(TOKENS, min_size=1, max_size=16).map(b"".join), min_size=1, max_size=12))
def test_a_looser_expression_takes_all_that_the_other_takes(expressions: list[bytes]) -> None:
    for expression, looser in zip(expressions, anchored(expressions), strict=True):
        wanted, loose = parse(expression), parse(looser.expression)
        assert wanted is not None
        assert loose is not None
        assert len(wanted) == looser.before + len(loose) + looser.after
        assert all(
            values <= looser_values for values, looser_values in zip(wanted[looser.before :], loose, strict=False)
        )


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


def test_the_real_signatures_have_few_anchors_and_the_lengths_they_say() -> None:
    for signature, _ in X509_DETECTORS:
        positions = parse(signature.expression)
        assert positions is not None, signature.name
        assert len(positions) == signature.length, signature.name
    loose = anchored(EXPRESSIONS)
    sure = [[min(values) for values in parse(looser.expression) or () if len(values) == 1] for looser in loose]
    assert all(2 <= len(anchor) <= 5 for anchor in sure)
    assert len(set(map(tuple, sure))) <= len(EXPRESSIONS) / 2
    assert len({looser.expression for looser in loose}) < len(EXPRESSIONS)


def test_an_anchor_is_no_ruler() -> None:
    (looser,) = anchored([rb"\x2d\x2d\x2d\x2dBEGIN"])
    assert rb"\x2d\x2d\x2d" not in looser.expression


def test_every_real_signature_has_bytes_that_the_engine_is_quick_with() -> None:
    signatures = [finder for finder, _ in EVERYTHING.detectors if isinstance(finder, Signature)]
    loose = anchored([signature.expression for signature in signatures])
    slow = [
        signature.name
        for signature, looser in zip(signatures, loose, strict=True)
        if not any(len(values) == 1 for values in parse(looser.expression) or ())
        or looser.expression == signature.expression
    ]
    assert slow == []
