"""The table of named curves, against OpenSSL and against itself."""

from __future__ import annotations

import re

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from dumpscan.artifacts.keys.ec.binary import BinaryCurve
from dumpscan.artifacts.keys.ec.named import (
    NamedCurve,
    all_curves,
    curve_named,
    curve_of_oid,
    curves_of_order_size,
)
from dumpscan.artifacts.keys.ec.sec1 import curve_of
from support.artifact_samples import CURVES, openssl

BY_NAME = {curve.name: curve for curve in all_curves()}
OPENSSL_NAMES = {"secp192r1": "prime192v1", "secp256r1": "prime256v1"}


def test_every_curve_that_openssl_knows_is_there() -> None:
    listed = re.findall(r"^ *(\S+) *:", openssl("ecparam", "-list_curves").decode(), re.MULTILINE)
    ours = {OPENSSL_NAMES.get(name, name) for name in BY_NAME}
    assert set(listed) <= ours


@pytest.mark.parametrize("curve", all_curves(), ids=list(BY_NAME))
def test_parameters_are_those_of_openssl(curve: NamedCurve) -> None:
    name = OPENSSL_NAMES.get(curve.name, curve.name)
    if not name.startswith("Oakley"):  # OpenSSL knows no object identifier of these
        assert openssl("ecparam", "-name", name, "-outform", "DER") == curve.parameters
    explicit = openssl("ecparam", "-name", name, "-param_enc", "explicit", "-outform", "DER")
    assert curve_of(explicit).curve == curve.curve
    text = openssl("ecparam", "-name", name, "-param_enc", "explicit", "-text", "-noout").decode()
    cofactor = re.search(r"Cofactor: *(?:(\d+) \(|([0-9a-f:\s]+))", text)
    assert cofactor is not None
    assert curve.curve.cofactor == int(cofactor[1] or re.sub(r"[:\s]", "", cofactor[2]), 10 if cofactor[1] else 16)


@pytest.mark.parametrize("curve", all_curves(), ids=list(BY_NAME))
def test_generators_are_on_their_curves_and_have_their_orders(curve: NamedCurve) -> None:
    generator = curve.curve.generator
    assert curve.curve.has(generator)
    assert not curve.curve.has((generator[0], generator[1] ^ 2))
    if curve.bits < 200 or not isinstance(curve.curve, BinaryCurve):
        assert curve.curve.multiply(curve.order, generator) is None
        assert curve.curve.multiply(curve.order + 1, generator) == generator


@pytest.mark.parametrize("name", CURVES)
def test_arithmetic_is_that_of_the_library(name: str) -> None:
    curve = curve_named(name)
    for scalar in (1, 2, 3, 12345678901234567890, curve.order - 1):
        public = ec.derive_private_key(scalar, CURVES[name]).public_key()
        numbers = public.public_numbers()
        point = curve.curve.multiply(scalar, curve.curve.generator)
        assert point == (numbers.x, numbers.y)
        whole, compressed, hybrid = curve.encodings(point)
        assert whole == public.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
        assert compressed == public.public_bytes(Encoding.X962, PublicFormat.CompressedPoint)
        assert hybrid[1:] == whole[1:]
        assert hybrid[0] == compressed[0] + 4
        assert all(map(curve.may_have, (whole, compressed, hybrid)))
        assert not curve.may_have(whole[:-1])
        assert not curve.may_have(whole[:-1] + bytes((whole[-1] ^ 1,)))
        assert not curve.may_have(b"\x05" + whole[1:])


def test_curves_are_found() -> None:
    assert curve_of_oid(bytes.fromhex("06082a8648ce3d030107")) == curve_named("secp256r1")
    assert curve_of_oid(bytes.fromhex("06082a811ccf5501822d")) == curve_named("SM2")
    assert curve_of_oid(b"\x06\x01\x00") is None
    assert next(curves_of_order_size(32)).name == "secp256r1"
    assert [curve.name for curve in curves_of_order_size(66)] == ["secp521r1"]
    assert not [*curves_of_order_size(200)]
    with pytest.raises(KeyError):
        curve_named("secp999r9")
