from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives.asymmetric import dsa
from hypothesis import given, settings
from hypothesis import strategies as st

from dumpscan.artifacts.symcrypt.detectors import decode_modulus
from dumpscan.artifacts.symcrypt.dl import decode_private, keys_before
from dumpscan.artifacts.symcrypt.numbers import int_header
from dumpscan.findings import PrivateKey, PublicKey
from dumpscan.model.c_symcrypt import FLAG_AGREEMENT, FLAG_SIGNATURE, INT_TAG, MODULUS_TAG, X64, X64_OLD, X86, Abi
from dumpscan.synth.objects.keys import make_key
from dumpscan.synth.objects.symcrypt import structures as symcrypt
from support.symcrypt_samples import ABI_NAMES, BASE, GROUP, Patches, tags

if TYPE_CHECKING:
    from dumpscan.artifacts.decoded import Decoded

EVERY_ABI = pytest.mark.parametrize("abi", ABI_NAMES.values(), ids=ABI_NAMES)


@cache
def numbers() -> dsa.DSAPrivateNumbers:
    key = make_key("dsa-1024", "symcrypt").private
    assert isinstance(key, dsa.DSAPrivateKey)
    return key.private_numbers()


def memory(
    abi: Abi, *, with_q: bool = True, flags: int = FLAG_SIGNATURE, safe: bool = False, private: int | None = None
) -> Patches:
    group = numbers().public_numbers.parameter_numbers
    q = group.q if with_q else None
    key = symcrypt.dl_key(abi, BASE, GROUP, (group.p, q, group.g), private or numbers().x, flags=flags)
    return Patches({GROUP: symcrypt.dl_group(abi, GROUP, group.p, q, group.g, safe=safe), BASE: key}, abi.pointer_size)


def decode_all(patches: Patches) -> list[Decoded]:
    found = []
    for address in tags(patches, INT_TAG):
        header = int_header(patches, address)
        decoded = None if header is None else decode_private(patches, address, header)
        if decoded is not None:
            found.append(decoded)
    return found


@EVERY_ABI
def test_a_dsa_key_of_every_build(abi: Abi) -> None:
    patches = memory(abi)
    (decoded,) = decode_all(patches)
    assert (decoded.address, decoded.length, decoded.missing) == (BASE, len(patches.pieces[BASE]), 0)
    assert decoded.finding.identity == ("private_key", make_key("dsa-1024", "symcrypt").key_id)
    assert isinstance(decoded.finding, PrivateKey)
    assert (decoded.finding.algorithm, decoded.finding.bits) == ("DSA", 1024)
    assert "y = g^x mod p" in decoded.finding.proof
    assert decoded.key_object is not None
    assert (decoded.key_object.layout, decoded.key_object.architecture) == (abi.layout, abi.architecture)


@EVERY_ABI
@pytest.mark.parametrize("private", [None, (1 << 1000) + 12345])
def test_a_diffie_hellman_key_of_every_build(abi: Abi, private: int | None) -> None:
    (decoded,) = decode_all(memory(abi, with_q=False, flags=FLAG_AGREEMENT, private=private))
    assert isinstance(decoded.finding, PrivateKey)
    assert decoded.finding.algorithm == "DH"
    assert decoded.key_object is not None
    assert decoded.key_object.parameters[0][0] == "p"


def test_the_flags_or_the_group_tell_what_a_key_with_q_is_for() -> None:
    cases = [
        (memory(X64, flags=FLAG_AGREEMENT), "DH"),
        (memory(X64, flags=FLAG_SIGNATURE), "DSA"),
        (memory(X64_OLD), "DSA"),
        (memory(X64_OLD, safe=True), "DH"),
    ]
    for patches, algorithm in cases:
        (decoded,) = decode_all(patches)
        assert isinstance(decoded.finding, PrivateKey)
        assert decoded.finding.algorithm == algorithm


def test_without_the_group_there_is_no_key() -> None:
    patches = memory(X64)
    del patches.pieces[GROUP]
    assert decode_all(patches) == []


def test_a_32_bit_key_is_found_in_a_64_bit_process() -> None:
    assert len(decode_all(replace(memory(X86), pointer_size=8))) == 1


def public_memory(
    abi: Abi, at: int = GROUP + 0x8000, *, with_q: bool = True, flags: int = FLAG_SIGNATURE, public: int | None = None
) -> Patches:
    """A public key near its group."""
    group = numbers().public_numbers.parameter_numbers
    values = group.p, group.q if with_q else None, group.g
    y = numbers().public_numbers.y if public is None else public
    key = symcrypt.dl_key(abi, at, GROUP, values, public=y, flags=flags)
    return Patches({GROUP: symcrypt.dl_group(abi, GROUP, *values), at: key}, abi.pointer_size)


def decode_groups(patches: Patches) -> list[Decoded]:
    found = (decode_modulus(patches, address) for address in tags(patches, MODULUS_TAG))
    return [decoded for each in found if each is not None for decoded in each]


@EVERY_ABI
@pytest.mark.parametrize("at", [GROUP - 0xC0000, GROUP + 0x8000])
def test_a_public_dsa_key_of_every_build(abi: Abi, at: int) -> None:
    memory = public_memory(abi, at)
    (decoded,) = decode_groups(memory)
    assert (decoded.address, decoded.length, decoded.missing) == (at, len(memory.pieces[at]), 0)
    assert decoded.finding.identity == ("public_key", make_key("dsa-1024", "symcrypt").key_id)
    assert isinstance(decoded.finding, PublicKey)
    assert decoded.finding.proof[1:] == ("q divides p-1", "g^q = 1 mod p", "y^q = 1 mod p")
    assert decoded.key_object is not None
    assert (decoded.key_object.layout, decoded.key_object.architecture) == (abi.layout, abi.architecture)
    assert (decoded.key_object.has_private, decoded.key_object.whole) == (False, True)


@EVERY_ABI
def test_a_public_diffie_hellman_key_of_every_build(abi: Abi) -> None:
    (decoded,) = decode_groups(public_memory(abi, with_q=False, flags=FLAG_AGREEMENT))
    assert isinstance(decoded.finding, PublicKey)
    assert (decoded.finding.algorithm, decoded.finding.bits) == ("DH", 1024)
    assert decoded.finding.public_info.endswith(numbers().public_numbers.y.to_bytes(128, "big"))


def test_all_public_keys_of_a_group_are_found() -> None:
    memory = public_memory(X64)
    for number in range(2, 6):
        memory.pieces.update(public_memory(X64, GROUP + 0x8000 * number, public=power(number)).pieces)
    found = decode_groups(memory)
    assert [decoded.address for decoded in found] == [GROUP + 0x8000 * number for number in range(1, 6)]
    assert len({decoded.finding.identity for decoded in found}) == 5


def power(exponent: int) -> int:
    group = numbers().public_numbers.parameter_numbers
    return pow(group.g, exponent, group.p)


@EVERY_ABI
def test_a_private_key_whose_private_value_is_not_held_is_a_public_key_that_is_not_whole(abi: Abi) -> None:
    group = numbers().public_numbers.parameter_numbers
    at, values = GROUP + 0x8000, (group.p, group.q, group.g)
    key = symcrypt.dl_key(abi, at, GROUP, values, numbers().x)
    whole = Patches({GROUP: symcrypt.dl_group(abi, GROUP, *values), at: key}, abi.pointer_size)
    assert decode_groups(whole) == []
    value = at + abi.sizeof("SYMCRYPT_DLKEY") + abi.digits(1024) * abi.digit
    (decoded,) = decode_groups(whole.without(value, value + 0x1000))
    assert decoded.finding.identity == ("public_key", make_key("dsa-1024", "symcrypt").key_id)
    assert decoded.key_object is not None
    assert (decoded.key_object.whole, decoded.key_object.missing_parts) == (False, ("private value",))


@EVERY_ABI
def test_what_is_no_public_key_of_the_group(abi: Abi) -> None:
    at = GROUP + 0x8000
    good = public_memory(abi)
    for public in (0, 1, numbers().public_numbers.parameter_numbers.p - 1, 5):  # 5 is not in the subgroup
        assert decode_groups(public_memory(abi, public=public)) == []
    for field in ("pDlgroup", "pePublicKey", "pbPrivate", "fHasPrivateKey"):
        assert decode_groups(good.patched(at + abi.offset("SYMCRYPT_DLKEY", field), b"\x77\x66\x55\x44")) == []
    for field in ("pmP", "nBitsOfP", "nDigitsOfP", "pmQ"):
        assert decode_groups(good.patched(GROUP + abi.offset("SYMCRYPT_DLGROUP", field), b"\x77\x66\x55\x44")) == []
    prime = GROUP + abi.sizeof("SYMCRYPT_DLGROUP") + abi.modulus_value
    for offset in range(0, 128, 16):
        assert decode_groups(good.patched(prime + offset, b"\x5a\xa5\x5a\xa5")) == []


def test_pointers_to_a_group_are_not_all_followed() -> None:
    memory = public_memory(X64)
    del memory.pieces[GROUP + 0x8000]
    memory.pieces[GROUP - 0x80000] = GROUP.to_bytes(8, "little") * 0x10000
    assert decode_groups(memory) == []


def test_many_pointers_to_the_number_are_not_all_followed() -> None:
    address = BASE + 0x10000
    number = symcrypt.integer(X64, 5, 1)
    patches = Patches({BASE: address.to_bytes(8, "little") * 0x2000, address: number})
    header = int_header(patches, address)
    assert header is not None
    assert len(list(keys_before(patches, address, header))) <= 32


@settings(deadline=None, max_examples=100)
@given(
    abi=st.sampled_from(list(ABI_NAMES.values())),
    base=st.sampled_from([BASE, GROUP]),
    offset=st.integers(0, 0x3F0),
    data=st.binary(min_size=1, max_size=40) | st.sampled_from([b"\xff" * 4, b"\xff" * 8, bytes(8), b"\0\0\0\x80"]),
)
def test_damage_never_makes_another_key(abi: Abi, base: int, offset: int, data: bytes) -> None:
    for decoded in decode_all(memory(abi).patched(base + offset, data)):
        assert isinstance(decoded.finding, PrivateKey)
        # A damaged q, or flag, leaves a key of the same numbers that is one of Diffie-Hellman only.
        same = decoded.finding.key_id == make_key("dsa-1024", "symcrypt").key_id
        assert same or decoded.finding.algorithm == "DH"
