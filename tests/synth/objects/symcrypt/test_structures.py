from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from dumpscan.memory.minidump.dump import Minidump
from dumpscan.model.c_symcrypt import ABIS, DIVISOR_TAG, INT_TAG, MODULUS_TAG, X64, Abi
from dumpscan.synth.objects.symcrypt import structures as symcrypt
from dumpscan.synth.objects.symcrypt.aes import aes_key
from dumpscan.synth.objects.symcrypt.curves import CURVES

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NAMES = {"P-256": "secp256r1", "P-384": "secp384r1", "P-521": "secp521r1", "Curve25519": "curve25519"}
PROVIDER = 0x1122334455667788
PARAMETERS_FROM = 0x2A0
"""Offset in a curve object behind the structure, which has sizes of scratch space that are not written here."""


@pytest.fixture(scope="module")
def dump(wine_dump: Path) -> Iterator[Minidump]:
    with Minidump(wine_dump) as opened:
        yield opened


def numbers(entry: dict[str, Any]) -> tuple[rsa.RSAPublicNumbers, rsa.RSAPrivateNumbers | None]:
    public = rsa.RSAPublicNumbers(entry["e"], int(entry["n"], 16))
    if not entry["private"]:
        return public, None
    p, q, d = (int(entry[name], 16) for name in "pqd")
    return public, rsa.RSAPrivateNumbers(p, q, d, d % (p - 1), d % (q - 1), pow(q, -1, p), public)


def test_rsa_keys_and_wrappers_of_the_dump_come_out_byte_for_byte(dump: Minidump, wine_truth: dict[str, Any]) -> None:
    for entry in wine_truth["rsa"]:
        written = symcrypt.rsa_key(X64, entry["va"], *numbers(entry), flags=0x1100)
        assert written == dump.read(entry["va"], len(written))
        if entry["wrapper"]:
            handle = symcrypt.rsa_wrapper(X64, entry["va"], entry["bits"], provider=PROVIDER)
            assert handle == dump.read(entry["wrapper"], len(handle))


def test_ec_keys_of_the_dump_come_out_byte_for_byte(dump: Minidump, wine_truth: dict[str, Any]) -> None:
    for entry in wine_truth["ec"]:
        curve = CURVES[NAMES[entry["curve"]]]
        size = X64.digits(curve.p.bit_length()) * X64.digit
        last = entry["va"] + 0x60 + ((curve.coordinates & 15) - 1) * size
        z = int.from_bytes(dump.read(last, size), "little") * pow(1 << 8 * size, -1, curve.p) % curve.p
        public, private = bytes.fromhex(entry["pub"]), bytes.fromhex(entry["priv"])
        half = len(public) // 2
        if entry["curve"] == "Curve25519":
            point, scalar, flags = (int.from_bytes(public, "little"), 0), int.from_bytes(private, "little") // 8, 0x2000
        else:
            point = int.from_bytes(public[:half], "big"), int.from_bytes(public[half:], "big")
            scalar, flags = int.from_bytes(private, "big"), 0x1001
        written = symcrypt.ec_key(
            X64, entry["va"], entry["curve_va"], curve, public=point, scalar=scalar, z=z, flags=flags
        )
        assert written == dump.read(entry["va"], len(written))


def test_parameters_of_curves_are_those_of_the_dump(dump: Minidump, wine_truth: dict[str, Any]) -> None:
    for entry in wine_truth["ec"]:
        curve = CURVES[NAMES[entry["curve"]]]
        written = symcrypt.ec_curve(X64, entry["curve_va"], curve)
        real = dump.read(entry["curve_va"], len(written))
        assert written[:0x28] == real[:0x28]
        if entry["curve"] == "Curve25519":  # those of the others are followed by tables
            assert written[PARAMETERS_FROM:] == real[PARAMETERS_FROM:]


def test_aes_keys_of_the_dump_come_out_byte_for_byte(dump: Minidump, wine_truth: dict[str, Any]) -> None:
    for entry in wine_truth["aes"]:
        written = aes_key(X64, entry["va"], bytes.fromhex(entry["key"]))
        assert len(written) == 0x1F0
        assert written == dump.read(entry["va"], len(written))


@pytest.mark.parametrize("abi", ABIS, ids=lambda abi: f"{abi.architecture}-{abi.layout}")
def test_a_modulus_holds_its_tags_sizes_and_value(abi: Abi) -> None:
    value = 2**127 - 1
    digits = abi.digits(127)
    written = symcrypt.modulus(abi, 0x1000, value, digits, flags=1)
    assert len(written) == abi.modulus_size(digits)
    divisor = written[abi.modulus_divisor :]
    assert (written[2:4], divisor[2:4], divisor[abi.divisor_int + 2 :][:2]) == (MODULUS_TAG, DIVISOR_TAG, INT_TAG)
    assert int.from_bytes(written[8:12], "little") == len(written)
    size = digits * abi.digit
    assert int.from_bytes(written[abi.modulus_value :][:size], "little") == value
    square = int.from_bytes(written[abi.modulus_value + size :][:size], "little")
    assert square == (1 << 16 * size) % value
