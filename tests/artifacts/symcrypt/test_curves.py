from __future__ import annotations

from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_der_private_key, load_der_public_key
from hypothesis import given, settings
from hypothesis import strategies as st

from dumpscan.artifacts.keys.ec.weierstrass import Weierstrass, to_affine
from dumpscan.artifacts.symcrypt.curves import (
    NAMED_FIELDS,
    multiple_on_named_curve,
    named_curves,
    on_named_curve,
)
from dumpscan.synth.objects.symcrypt.curves import CURVES
from support.symcrypt_samples import EC_CURVES, public_point


def weierstrass(name: str) -> Weierstrass:
    curve = CURVES[name]
    return Weierstrass(curve.p, curve.a, curve.b, curve.generator, curve.order)


@pytest.mark.parametrize("name", [*EC_CURVES, "secp160r1"])
def test_the_standard_curves_are_sound(name: str) -> None:
    assert weierstrass(name).is_sound()


@pytest.mark.parametrize("field", ["p", "a", "b", "order"])
def test_a_curve_with_a_wrong_parameter_is_not(field: str) -> None:
    curve = weierstrass("secp256r1")
    assert not replace(curve, **{field: getattr(curve, field) + 2}).is_sound()


@settings(deadline=None, max_examples=20)
@given(st.integers(1, 2**160), st.sampled_from(list(EC_CURVES)))
def test_multiples_are_those_of_the_library(scalar: int, name: str) -> None:
    curve = weierstrass(name)
    assert curve.multiply(scalar, curve.generator) == public_point(name, scalar)
    assert multiple_on_named_curve(EC_CURVES[name], scalar) == public_point(name, scalar)


def test_the_order_times_the_generator_is_at_infinity_and_one_more_is_the_generator() -> None:
    curve = weierstrass("secp160r1")
    assert curve.multiply(curve.order, curve.generator) is None
    assert curve.multiply(curve.order + 1, curve.generator) == curve.generator
    assert curve.multiply(0, curve.generator) is None


def test_scalars_out_of_range_have_no_multiple() -> None:
    assert multiple_on_named_curve(ec.SECP256R1(), 0) is None
    assert multiple_on_named_curve(ec.SECP256R1(), CURVES["secp256r1"].order) is None


def test_points_off_the_curve_are_no_keys() -> None:
    x, y = public_point("secp256r1")
    assert on_named_curve(ec.SECP256R1(), (x, y)) is not None
    assert on_named_curve(ec.SECP256R1(), (x, y ^ 1)) is None
    assert on_named_curve(ec.SECP256K1(), (x, y)) is None


@pytest.mark.parametrize("name", EC_CURVES)
def test_fields_of_the_named_curves(name: str) -> None:
    curve = CURVES[name]
    assert NAMED_FIELDS[curve.p.bit_length()] == curve.p
    assert name in {named.name for named in named_curves(curve.p.bit_length())}


def test_coordinates_are_divided_by_powers_of_z() -> None:
    p = CURVES["secp256r1"].p
    x, y = public_point("secp256r1")
    z = 0x1234567
    assert to_affine(x * z * z % p, y * z * z * z % p, z, p) == (x, y)
    assert to_affine(x * z % p, y * z % p, z, p, (1, 1)) == (x, y)
    assert to_affine(x, y, 0, p) is None
    assert to_affine(x, y, 3, 9) is None


def test_a_key_with_explicit_parameters_is_read_by_the_library() -> None:
    curve = weierstrass("secp256r1")
    point = public_point("secp256r1", 0x1234)
    try:
        private = load_der_private_key(curve.pkcs8(0x1234, point), None)
    except ValueError as error:
        if "explicit parameters are unsupported" not in str(error):
            raise
        pytest.skip(f"the library of this version reads none: {error}")
    public = load_der_public_key(curve.public_info(point))
    assert isinstance(private, ec.EllipticCurvePrivateKey)
    assert isinstance(public, ec.EllipticCurvePublicKey)
    assert private.private_numbers().private_value == 0x1234
    assert private.curve.name == public.curve.name == "secp256r1"
    assert (public.public_numbers().x, public.public_numbers().y) == point


def test_a_nameless_curve_is_told_by_its_parameters() -> None:
    curve = weierstrass("secp160r1")
    assert curve.name.startswith("explicit-160-")
    assert dict(curve.parameters())["p"] == f"{curve.p:x}"
    assert [name for name, _ in curve.parameters()] == ["p", "a", "b", "gx", "gy", "n", "h"]
