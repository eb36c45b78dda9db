from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, x25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_der_private_key
from hypothesis import given, settings
from hypothesis import strategies as st

from dumpscan.artifacts.keys.ec.weierstrass import Weierstrass
from dumpscan.artifacts.symcrypt.ec import allocations_of_scalar, decode_int
from dumpscan.findings import PrivateKey, PublicKey
from dumpscan.memory.minidump.dump import Minidump
from dumpscan.model.c_symcrypt import INT_TAG, X64, X86, Abi
from dumpscan.synth.objects.symcrypt import structures as symcrypt
from dumpscan.synth.objects.symcrypt.curves import CURVES
from support.symcrypt_samples import (
    ABI_NAMES,
    BASE,
    CURVE,
    EC_CURVES,
    SCALAR,
    Patches,
    ec_memory,
    public_point,
    tags,
)

if TYPE_CHECKING:
    from pathlib import Path

    from dumpscan.artifacts.decoded import Decoded

EVERY_ABI = pytest.mark.parametrize("abi", ABI_NAMES.values(), ids=ABI_NAMES)
NAMES = {"P-256": "secp256r1", "P-384": "secp384r1", "P-521": "secp521r1", "Curve25519": None}


def decode_all(memory: Patches) -> list[Decoded]:
    found = (decode_int(memory, address) for address in tags(memory, INT_TAG))
    return [decoded for decoded in found if decoded is not None]


def x25519_key() -> tuple[bytes, tuple[int, int]]:
    """A private value as it goes over the wire, and the point that SymCrypt stores."""
    private = bytes([8, *range(1, 31), 0x47])
    public = x25519.X25519PrivateKey.from_private_bytes(private).public_key().public_bytes_raw()
    return private, (int.from_bytes(public, "little"), 0)


def test_every_key_of_the_dump(wine_dump: Path, wine_truth: dict[str, Any]) -> None:
    with Minidump(wine_dump) as dump:
        for entry in wine_truth["ec"]:
            scalar = {"P-521": 0x1E0, "Curve25519": 0xE0}.get(entry["curve"], 0x120)
            decoded = decode_int(dump, entry["va"] + scalar)
            assert decoded is not None
            assert decoded.address == entry["va"]
            assert isinstance(decoded.finding, PrivateKey)
            assert decoded.finding.curve == NAMES[entry["curve"]]
            assert decoded.key_object is not None
            assert decoded.key_object.uses == (("ecdh",) if entry["curve"] == "Curve25519" else ("ecdsa",))
            loaded = load_der_private_key(decoded.finding.pkcs8, None)
            if isinstance(loaded, x25519.X25519PrivateKey):
                assert loaded.private_bytes_raw().hex() == entry["priv"]
                assert loaded.public_key().public_bytes_raw().hex() == entry["pub"]
            else:
                assert isinstance(loaded, ec.EllipticCurvePrivateKey)
                assert loaded.private_numbers().private_value == int(entry["priv"], 16)
                point = loaded.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
                assert point.hex() == "04" + entry["pub"]


@EVERY_ABI
@pytest.mark.parametrize("name", EC_CURVES)
@pytest.mark.parametrize("z", [1, 0xABCDEF0123456789])
def test_a_key_of_every_build(abi: Abi, name: str, z: int) -> None:
    memory = ec_memory(abi, name, public_point(name), z=z)
    (decoded,) = decode_all(memory)
    assert (decoded.address, decoded.length, decoded.missing) == (BASE, len(memory.pieces[BASE]), 0)
    assert isinstance(decoded.finding, PrivateKey)
    assert (decoded.finding.curve, decoded.finding.proof) == (name, ("Q = d*G",))
    assert decoded.key_object is not None
    assert (decoded.key_object.layout, decoded.key_object.architecture) == (abi.layout, abi.architecture)
    assert decoded.key_object.uses == (("ecdh",) if abi.layout == "102+" else ())
    loaded = load_der_private_key(decoded.finding.pkcs8, None)
    assert isinstance(loaded, ec.EllipticCurvePrivateKey)
    assert loaded.private_numbers().private_value == SCALAR


@EVERY_ABI
def test_x25519_of_every_build(abi: Abi) -> None:
    private, point = x25519_key()
    memory = ec_memory(abi, "curve25519", point, int.from_bytes(private, "little") // 8)
    (decoded,) = decode_all(memory)
    assert isinstance(decoded.finding, PrivateKey)
    loaded = load_der_private_key(decoded.finding.pkcs8, None)
    assert isinstance(loaded, x25519.X25519PrivateKey)
    assert loaded.private_bytes_raw() == private
    del memory.pieces[CURVE]
    (decoded,) = decode_all(memory)
    assert decoded.key_object is not None
    assert decoded.key_object.missing_parts == ("curve",)


@EVERY_ABI
@pytest.mark.parametrize("name", EC_CURVES)
def test_public_keys_of_every_build(abi: Abi, name: str) -> None:
    (decoded,) = decode_all(ec_memory(abi, name, public_point(name), None))
    assert isinstance(decoded.finding, PublicKey)
    assert decoded.finding.curve == name
    assert decoded.key_object is not None
    assert (decoded.key_object.has_private, decoded.key_object.whole) == (False, True)


def test_the_private_and_the_public_half_have_one_id() -> None:
    (private,) = decode_all(ec_memory(X64, "secp256r1", public_point("secp256r1")))
    (public,) = decode_all(ec_memory(X64, "secp256r1", public_point("secp256r1"), None))
    assert private.finding.identity[1] == public.finding.identity[1]


@EVERY_ABI
@pytest.mark.parametrize("private", [True, False])
def test_a_curve_without_a_name_is_known_by_its_parameters(abi: Abi, private: bool) -> None:  # noqa: FBT001
    curve = CURVES["secp160r1"]
    known = Weierstrass(curve.p, curve.a, curve.b, curve.generator, curve.order)
    scalar = SCALAR % curve.order
    point = known.multiply(scalar, curve.generator)
    assert point is not None
    (decoded,) = decode_all(ec_memory(abi, "secp160r1", point, scalar if private else None))
    assert isinstance(decoded.finding, PrivateKey if private else PublicKey)
    assert decoded.finding.curve == known.name
    assert decoded.key_object is not None
    assert decoded.key_object.parameters == known.parameters()


@EVERY_ABI
def test_without_the_curve_object_the_sizes_tell(abi: Abi) -> None:
    memory = ec_memory(abi, "secp384r1", public_point("secp384r1"))
    del memory.pieces[CURVE]
    (decoded,) = decode_all(memory)
    assert isinstance(decoded.finding, PrivateKey)
    assert decoded.finding.curve == "secp384r1"
    assert decoded.key_object is not None
    assert decoded.key_object.missing_parts == ("curve",)


@EVERY_ABI
def test_without_the_structure_the_point_leads_to_the_curve(abi: Abi) -> None:
    memory = ec_memory(abi, "secp256r1", public_point("secp256r1"))
    (decoded,) = decode_all(memory.without(BASE, BASE + abi.sizeof("SYMCRYPT_ECKEY")))
    assert isinstance(decoded.finding, PrivateKey)
    assert (decoded.address, decoded.missing) == (BASE, abi.sizeof("SYMCRYPT_ECKEY"))
    assert decoded.key_object is not None
    assert decoded.key_object.missing_parts == ("key structure",)
    assert decoded.key_object.layout is None


def test_a_scalar_that_is_not_the_points_leaves_a_public_key() -> None:
    (decoded,) = decode_all(ec_memory(X64, "secp256r1", public_point("secp256r1"), SCALAR + 1))
    assert isinstance(decoded.finding, PublicKey)
    assert decoded.key_object is not None
    assert (decoded.key_object.wrong_parts, decoded.key_object.whole) == (("private scalar",), False)


def test_a_point_that_is_off_the_curve_proves_nothing() -> None:
    x, y = public_point("secp256r1")
    assert decode_all(ec_memory(X64, "secp256r1", (x, y ^ 2))) == []


@EVERY_ABI
def test_curve_pointers_that_lead_in_circles_end(abi: Abi) -> None:
    memory = ec_memory(abi, "secp256r1", public_point("secp256r1"))
    size = abi.pointer_size
    for target in (BASE, CURVE, CURVE + abi.offset("SYMCRYPT_ECURVE", "FMod"), (1 << 8 * size) - 4, 0):
        pointer = target.to_bytes(size, "little")
        cyclic = memory.patched(BASE + abi.offset("SYMCRYPT_ECKEY", "pCurve"), pointer)
        for field in ("FMod", "GOrd", "A", "B", "G", "H"):
            cyclic = cyclic.patched(CURVE + abi.offset("SYMCRYPT_ECURVE", field), pointer)
        for decoded in decode_all(cyclic):
            assert isinstance(decoded.finding, PrivateKey)


def test_a_32_bit_key_is_found_in_a_64_bit_process() -> None:
    memory = ec_memory(X86, "secp521r1", public_point("secp521r1"))
    (decoded,) = decode_all(Patches(memory.pieces, 8))
    assert decoded.key_object is not None
    assert decoded.key_object.architecture == "x86"


def test_places_are_arithmetic_only() -> None:
    keys = {place.coordinates: place.key for place in allocations_of_scalar(X64, 0x2000, 1)}
    assert keys == {3: 0x2000 - 0x120, 2: 0x2000 - 0xE0, 4: 0x2000 - 0x160}


@settings(deadline=None, max_examples=120)
@given(
    abi=st.sampled_from(list(ABI_NAMES.values())),
    private=st.booleans(),
    base=st.sampled_from([BASE, CURVE]),
    offset=st.integers(0, 0x5F0),
    data=st.binary(min_size=1, max_size=40) | st.sampled_from([b"\xff" * 4, b"\xff" * 8, bytes(8), b"\0\0\0\x80"]),
)
def test_damage_never_makes_another_key(
    abi: Abi,
    private: bool,  # noqa: FBT001 - a parameter
    base: int,
    offset: int,
    data: bytes,
) -> None:
    memory = ec_memory(abi, "secp256r1", public_point("secp256r1"), SCALAR if private else None)
    (whole,) = decode_all(memory)
    for decoded in decode_all(memory.patched(base + offset, data)):
        assert decoded.finding.identity[1] == whole.finding.identity[1]


@settings(deadline=None, max_examples=60)
@given(st.binary(min_size=64, max_size=256), st.sampled_from(list(ABI_NAMES.values())))
def test_noise_before_a_scalar_is_no_key(data: bytes, abi: Abi) -> None:
    scalar = symcrypt.integer(abi, SCALAR, abi.digits(256))
    assert decode_all(Patches({BASE: (data * 16)[:1024] + scalar}, abi.pointer_size)) == []
