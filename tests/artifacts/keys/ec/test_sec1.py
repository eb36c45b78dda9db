"""EC keys in DER as they occur: on every named curve, with odd points and values, cut short."""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import replace
from functools import cache
from hashlib import sha256

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st

from dumpscan.artifacts import effort
from dumpscan.artifacts.decoded import CutShortError, RefusedError
from dumpscan.artifacts.keys.ec import sec1
from dumpscan.artifacts.keys.ec.named import all_curves, curve_named, curve_of_oid
from dumpscan.artifacts.keys.ec.proof import ec_key as proven
from dumpscan.artifacts.keys.ec.weierstrass import Weierstrass
from dumpscan.artifacts.keys.private_key import DETECTORS
from dumpscan.findings import PrivateKey
from dumpscan.synth.seeded import SeededBytes
from support.artifact_samples import (
    BASE,
    CURVES,
    Space,
    detect,
    detect_one,
    ec_key,
    key_id,
    openssl,
    parse_any,
    parts_of,
    pkcs8,
    tlv,
    traditional,
)

ALL = [curve.name for curve in all_curves()]
SLOW = {name for name in ALL if curve_named(name).bits > 300 and name.startswith(("sect", "c2"))}
OPENSSL_NAMES = {"secp192r1": "prime192v1", "secp256r1": "prime256v1"}
P256 = ec_key("secp256r1")
VALUE = P256.private_numbers().private_value
POINT = b"\x04" + b"".join(
    number.to_bytes(32, "big")
    for number in (P256.public_key().public_numbers().x, P256.public_key().public_numbers().y)
)
OID = bytes.fromhex("06082a8648ce3d030107")


def structure(value: bytes, *, curve: bytes | None = OID, point: bytes | None = POINT) -> bytes:
    parameters = b"" if curve is None else tlv(0xA0, curve)
    public = b"" if point is None else tlv(0xA1, tlv(3, b"\0", point))
    return tlv(0x30, b"\x02\x01\x01", tlv(4, value), parameters, public)


def in_pkcs8(inner: bytes, curve: bytes = OID) -> bytes:
    return tlv(0x30, b"\x02\x01\0", tlv(0x30, bytes.fromhex("06072a8648ce3d0201"), curve), tlv(4, inner))


def key_in(data: bytes) -> PrivateKey:
    finding = detect_one(DETECTORS, data).finding
    assert isinstance(finding, PrivateKey)
    return finding


@cache
def made_by_openssl(name: str, *options: str) -> bytes:
    """SEC 1."""
    return openssl("ecparam", "-genkey", "-noout", "-name", OPENSSL_NAMES.get(name, name), *options, "-outform", "DER")


@pytest.mark.parametrize("name", [name for name in ALL if name not in SLOW])
def test_keys_of_every_curve(name: str) -> None:
    data = made_by_openssl(name)
    key = key_in(data)
    assert (key.curve, key.bits, key.proof, key.wrong_parts) == (name, curve_named(name).bits, ("Q = d*G",), ())
    written = openssl("pkcs8", "-topk8", "-nocrypt", "-inform", "DER", "-outform", "DER", stdin=data)
    assert key_in(written).key_id == key.key_id
    assert key.pkcs8 == written
    info = openssl("pkey", "-pubout", "-inform", "DER", "-outform", "DER", stdin=data)
    assert key.key_id == sha256(info).hexdigest()


@pytest.mark.parametrize(
    "name", ["secp112r1", "secp160r1", "secp256k1", "brainpoolP320t1", "SM2", "sect163k1", "sect233r1", "c2pnb176v1"]
)
@pytest.mark.parametrize("form", ["uncompressed", "compressed", "hybrid"])
def test_curves_that_are_written_out(name: str, form: str) -> None:
    """The generator and the public point are in the form asked for."""
    data = made_by_openssl(name)
    explicit = openssl(
        "ec", "-param_enc", "explicit", "-conv_form", form, "-inform", "DER", "-outform", "DER", stdin=data
    )
    assert curve_named(name).parameters not in explicit
    assert (key_in(explicit).curve, key_in(explicit).key_id) == (name, key_in(data).key_id)
    assert key_in(explicit).proof == ("Q = d*G",)
    parameters = parts_of(parts_of(parts_of(explicit)[0][1])[2][1])[0][1]
    inner = structure(parts_of(parts_of(explicit)[0][1])[1][1], curve=None, point=None)
    assert key_in(in_pkcs8(inner, tlv(0x30, parameters))).key_id == key_in(data).key_id


FRP256V1 = Weierstrass(
    p=0xF1FD178C0B3AD58F10126DE8CE42435B3961ADBCABC8CA6DE8FCF353D86E9C03,
    a=0xF1FD178C0B3AD58F10126DE8CE42435B3961ADBCABC8CA6DE8FCF353D86E9C00,
    b=0xEE353FCA5428A9300D4ABA754A44C00FDFEC0C9AE4B1A1803075ED967B7BB73F,
    generator=(
        0xB6B3D4C356C139EB31183D4749D423958C27D2DCAF98B70164C97A2DD98F5CFF,
        0x6142E0F7C8B204911F9271F0F3ECEF8C2701C307E8E4C9E183115A1554062CFB,
    ),
    order=0xF1FD178C0B3AD58F10126DE8CE42435B53DC67E140D2BF941FFDD459C6D655E1,
)
"""The French ANSSI's curve (Journal officiel, 2011), which OpenSSL does not know."""


@pytest.mark.parametrize("changed", [{}, {"order": FRP256V1.order - 2}, {"b": FRP256V1.b + 1}, {"p": FRP256V1.p + 2}])
def test_a_curve_without_a_name(changed: dict[str, int]) -> None:
    """It is as good as any if its generator has the order stated."""
    curve = replace(FRP256V1, **changed)  # type: ignore[arg-type]
    scalar = 0x1234567890ABCDEF << 180 | 77
    point = FRP256V1.multiply(scalar, FRP256V1.generator)
    assert point is not None
    data = curve.pkcs8(scalar, point)
    if changed:
        assert detect(DETECTORS, data) == []
        return
    key = key_in(data)
    assert (key.curve, key.bits, key.proof) == (curve.name, 256, ("Q = d*G",))
    assert key.key_id == sha256(curve.public_info(point)).hexdigest()
    assert detect(DETECTORS, curve.pkcs8(scalar, curve.generator)) == []


def test_parameters_that_are_no_known_curve() -> None:
    curve = openssl("ecparam", "-name", "prime256v1", "-param_enc", "explicit", "-outform", "DER")
    assert sec1.curve_of(curve) == curve_named("secp256r1")
    for at in range(len(curve)):
        changed = curve[:at] + bytes((curve[at] ^ 1,)) + curve[at + 1 :]
        try:
            found = sec1.curve_of(changed)
        except RefusedError:
            continue
        assert found == curve_named("secp256r1")
    for text in ("", "30", "3000", "06052b81040063", "0500", "300602010106010000"):
        with pytest.raises(RefusedError):
            sec1.curve_of(bytes.fromhex(text))
    assert curve_of_oid(b"") is None


def test_a_point_of_zeros_was_not_given() -> None:
    value = VALUE.to_bytes(32, "big")
    for point in (b"\x04" + bytes(64), bytes(65), b"\x02" + bytes(32)):
        for data in (structure(value, point=point), in_pkcs8(structure(value, curve=None, point=point))):
            assert (key_in(data).key_id, key_in(data).proof) == (key_id(P256), ())


@pytest.mark.parametrize("strip", [1, 2, 5])
def test_values_that_are_shorter_or_longer_than_the_order(strip: int) -> None:
    key = ec.derive_private_key(VALUE >> 8 * strip, ec.SECP256R1())
    point = traditional(key)[-65:]
    short = (VALUE >> 8 * strip).to_bytes(32 - strip, "big")
    for value in (short, b"\0" * strip + short, b"\0" * (strip + 1) + short):
        for data in (structure(value, point=point), in_pkcs8(structure(value, curve=None, point=point))):
            assert (key_in(data).key_id, key_in(data).proof) == (key_id(key), ("Q = d*G",))


@pytest.mark.parametrize("name", CURVES)
def test_a_value_without_a_curve_and_a_point_has_candidates(name: str) -> None:
    """As OpenJDK keeps EC keys: `30 25 02 01 01 04 20` and the private value."""
    key = ec_key(name)
    size = curve_named(name).order_size
    data = structure(key.private_numbers().private_value.to_bytes(size, "big"), curve=None, point=None)
    decoded = detect_one(DETECTORS, data)
    found = [each.finding for each in decoded]
    assert all(isinstance(each, PrivateKey) and each.needs_support and not each.proof for each in found)
    assert key_id(key) in {each.key_id for each in found if isinstance(each, PrivateKey)}
    assert {(each.address, each.length, each.encoding) for each in decoded} == {(BASE, len(data), "sec1")}
    if name == "secp256r1":
        names = [each.curve for each in found if isinstance(each, PrivateKey)]
        assert names == ["secp256r1", "secp256k1", "brainpoolP256r1", "SM2", "brainpoolP256t1"]


NOT_RANDOM = {
    "zeros": bytes(32),
    "ones": b"\xff" * 32,
    "small": (5).to_bytes(32, "big"),
    "text": b"a message that somebody wrote..!",
    "utf-16": "a text in UTF-16".encode("utf-16-le"),
    "pointers": b"".join((0x7FF6_1234_5670 + 64 * number).to_bytes(8, "little") for number in range(4)),
    "counting": bytes(range(1, 33)),
    "words": bytes.fromhex("8badf00d") * 8,
}


@pytest.mark.parametrize("value", NOT_RANDOM.values(), ids=NOT_RANDOM)
def test_constants_of_programs_are_no_keys(value: bytes) -> None:
    """What a key begins with, and something else behind it."""
    for data in (
        structure(value, point=None),
        structure(value, curve=None, point=None),
        structure(value, point=bytes(65)),
        in_pkcs8(structure(value, curve=None, point=None)),
        tlv(0x30, b"\x02\x01\0", bytes.fromhex("300506032b6570"), tlv(4, tlv(4, value))),
        tlv(0x30, b"\x02\x01\0", bytes.fromhex("300506032b656e"), tlv(4, tlv(4, value))),
        tlv(0x30, b"\x02\x01\0", bytes.fromhex("300506032b656f"), tlv(4, tlv(4, (value * 2)[:56]))),
        tlv(0x30, b"\x02\x01\0", bytes.fromhex("300506032b6571"), tlv(4, tlv(4, (value * 2)[:57]))),
    ):
        assert not detect(DETECTORS, data)


def test_values_out_of_range_are_no_keys() -> None:
    order = curve_named("secp256r1").order
    for value in (order, (1 << 256) - (VALUE >> 40)):
        assert not detect(DETECTORS, structure(value.to_bytes(32, "big"), point=None))


# --- Cut short --------------------------------------------------------------------------------------------------------


def decode_cut(data: bytes, size: int) -> list[PrivateKey]:
    memory = Space({BASE: data[:size]})
    found = [decoder(memory, BASE) for finder, decoder in DETECTORS if re.match(finder.expression, data, re.DOTALL)]
    keys = [each.finding for decoded in found if decoded is not None for each in decoded]
    assert all(decoded.missing == len(data) - size for decoded in found if decoded is not None)
    return [key for key in keys if isinstance(key, PrivateKey)]


def test_a_key_is_proven_by_part_of_its_point() -> None:
    data = structure(VALUE.to_bytes(32, "big"))
    begin = len(data) - 64
    for size in (begin + 8, begin + 33, len(data) - 1):
        (key,) = decode_cut(data, size)
        assert (key.key_id, key.proof, key.needs_support) == (key_id(P256), ("Q = d*G",), False)
        (key,) = decode_cut(pkcs8(P256), len(pkcs8(P256)) - len(data) + size)
        assert (key.key_id, key.proof) == (key_id(P256), ("Q = d*G",))
    changed = bytearray(data)
    changed[begin + 3] ^= 1
    assert not decode_cut(bytes(changed), len(data) - 1)


def test_a_key_without_its_point() -> None:
    data = structure(VALUE.to_bytes(32, "big"))
    for size in (len(data) - 70, len(data) - 64):
        (key,) = decode_cut(data, size)
        assert (key.key_id, key.proof, key.needs_support) == (key_id(P256), (), False)


def test_a_key_without_its_curve_has_candidates() -> None:
    keys = decode_cut(structure(VALUE.to_bytes(32, "big")), 7 + 32 + 5)
    assert key_id(P256) in {key.key_id for key in keys}
    assert all(key.needs_support for key in keys)


@pytest.mark.parametrize("size", [7 + 14, 7 + 20, 7 + 31])
def test_a_value_that_is_cut_short_is_reported(size: int) -> None:
    with pytest.raises(CutShortError) as caught:
        decode_cut(traditional(P256), size)
    assert caught.value.what == "EC private key"
    assert not decode_cut(pkcs8(P256), 8)
    with pytest.raises(CutShortError):
        parse_any(pkcs8(P256)[: -len(traditional(P256)) + 12 + size])
    with pytest.raises(RefusedError) as refused:
        sec1.prove(structure(bytes(32))[:size])
    assert not isinstance(refused.value, CutShortError)


@given(st.sampled_from([structure(VALUE.to_bytes(32, "big")), made_by_openssl("sect163k1")]), st.data())
def test_any_damage_is_survived(data: bytes, draw: st.DataObject) -> None:
    at, end = draw.draw(st.integers(0, len(data))), draw.draw(st.integers(0, len(data)))
    with suppress(RefusedError):
        sec1.prove((data[:at] + draw.draw(st.binary(max_size=8)) + data[at + 4 :])[:end])


# --- Cost -------------------------------------------------------------------------------------------------------------


def test_points_off_the_curve_are_refused_before_slow_steps() -> None:
    source = SeededBytes("points")
    paid: list[float] = []
    for name in ("secp521r1", "sect571r1", "brainpoolP512t1"):
        curve = curve_named(name)
        value = int.from_bytes(source.take(curve.order_size - 2), "big")
        with effort.paid_by(paid.append), pytest.raises(RefusedError):
            proven(curve, value, b"\x04" + source.take(2 * curve.field_size))
    assert max(paid) < 100


def test_slow_curves_are_charged() -> None:
    paid: dict[str, float] = {}
    for name in ("sect163k1", "brainpoolP320r1"):
        costs: list[float] = []
        with effort.paid_by(costs.append):
            sec1.prove(made_by_openssl(name, "-conv_form", "hybrid"))
        paid[name] = sum(costs)
    assert paid["sect163k1"] > paid["brainpoolP320r1"] > 1000
