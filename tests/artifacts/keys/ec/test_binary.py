"""Arithmetic over binary fields."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dumpscan.artifacts.keys.ec.binary import BinaryCurve, packed, spread
from dumpscan.artifacts.keys.ec.named import curve_named

CURVE = curve_named("sect113r1").curve
SCALARS = st.integers(1, CURVE.order - 1)


@given(st.integers(0, 1 << 600))
def test_spreading_is_undone_by_packing(polynomial: int) -> None:
    assert packed(spread(polynomial)) == polynomial
    assert spread(polynomial).bit_count() == polynomial.bit_count()


@settings(deadline=None, max_examples=10)
@given(SCALARS, SCALARS)
def test_multiples_of_multiples(first: int, second: int) -> None:
    point = CURVE.multiply(first, CURVE.generator)
    assert point is not None
    assert CURVE.has(point)
    assert CURVE.multiply(second, point) == CURVE.multiply(first * second % CURVE.order, CURVE.generator)


def test_a_point_and_its_negative() -> None:
    assert isinstance(CURVE, BinaryCurve)
    x, y = CURVE.generator
    assert CURVE.multiply(CURVE.order - 1, CURVE.generator) == (x, x ^ y)
    assert CURVE.sign((x, y)) != CURVE.sign((x, x ^ y))
    assert CURVE.sign((0, 5)) == 0


@pytest.mark.parametrize("point", [(-1, 5), (1 << 113, 5), (5, 1 << 113), (0, 0)])
def test_points_out_of_the_field_are_on_no_curve(point: tuple[int, int]) -> None:
    assert not CURVE.has(point)
