from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import load_der_private_key, load_der_public_key
from hypothesis import given, settings
from hypothesis import strategies as st

from dumpscan.artifacts.symcrypt.rsa import allocation_of_modulus, allocations_of_prime, decode_key, decode_modulus
from dumpscan.findings import PrivateKey, PublicKey
from dumpscan.memory.minidump.dump import Minidump
from dumpscan.model.c_symcrypt import GENERIC_MODULUS_TAG, MODULUS_TAG, X64, X86, Abi
from dumpscan.synth.objects.keys import make_key
from dumpscan.synth.objects.symcrypt import structures as symcrypt
from support.symcrypt_samples import ABI_NAMES, BASE, Patches, rsa_memory, rsa_numbers, tags

if TYPE_CHECKING:
    from pathlib import Path

    from dumpscan.artifacts.decoded import Decoded

PAGE = 0x1000
EVERY_ABI = pytest.mark.parametrize("abi", ABI_NAMES.values(), ids=ABI_NAMES)
KEY_ID = make_key("rsa-1024", "symcrypt").key_id


def decode_all(memory: Patches, tag: bytes = MODULUS_TAG) -> list[Decoded]:
    """What all the tags in a memory lead to."""
    found = (decode_modulus(memory, address) for address in tags(memory, tag))
    return [decoded for decoded in found if decoded is not None]


def test_every_key_of_the_dump(wine_dump: Path, wine_truth: dict[str, Any]) -> None:
    with Minidump(wine_dump) as dump:
        for entry in wine_truth["rsa"]:
            for decoded in (decode_key(dump, entry["va"]), decode_modulus(dump, entry["va"] + 0xC0)):
                assert decoded is not None
                assert decoded.address == entry["va"]
                assert decoded.length == int.from_bytes(bytes.fromhex(entry["head"])[4:8], "little")
                key = decoded.key_object
                assert key is not None
                assert (key.layout, key.architecture, key.uses) == ("102+", "x64", ("sign",))
                assert (key.missing_parts, key.wrong_parts, key.whole) == ((), (), True)
                if entry["private"]:
                    assert isinstance(decoded.finding, PrivateKey)
                    loaded = load_der_private_key(decoded.finding.pkcs8, None)
                    assert isinstance(loaded, rsa.RSAPrivateKey)
                    numbers = loaded.private_numbers()
                    assert {f"{number:x}" for number in (numbers.p, numbers.q)} == {entry["p"], entry["q"]}
                    assert f"{numbers.d:x}" == entry["d"]
                else:
                    assert isinstance(decoded.finding, PublicKey)
                    public = load_der_public_key(decoded.finding.public_info)
                    assert isinstance(public, rsa.RSAPublicKey)
                    assert f"{public.public_numbers().n:x}" == entry["n"]


@EVERY_ABI
@pytest.mark.parametrize("bits", [1024, 2048])
def test_a_key_of_every_build_is_found_by_its_modulus_alone(abi: Abi, bits: int) -> None:
    memory = rsa_memory(abi, bits)
    (decoded,) = decode_all(memory)
    assert (decoded.address, decoded.length, decoded.missing) == (BASE, len(memory.pieces[BASE]), 0)
    assert decoded.finding.identity == ("private_key", make_key(f"rsa-{bits}", "symcrypt").key_id)
    assert decoded.key_object is not None
    assert (decoded.key_object.layout, decoded.key_object.architecture) == (abi.layout, abi.architecture)
    assert (decoded.key_object.flags is None) == (abi.layout == "pre-102")


@EVERY_ABI
def test_a_public_key_of_every_build(abi: Abi) -> None:
    memory = rsa_memory(abi, private=False)
    (decoded,) = decode_all(memory)
    assert decoded.finding.identity == ("public_key", KEY_ID)
    assert decoded.length == len(memory.pieces[BASE])
    assert decoded.key_object is not None
    assert (decoded.key_object.has_private, decoded.key_object.whole) == (False, True)
    assert decoded.key_object.layout == abi.layout


@EVERY_ABI
def test_a_public_key_whose_modulus_is_not_in_montgomery_form(abi: Abi) -> None:
    data = symcrypt.rsa_key(abi, BASE, rsa_numbers().public_numbers, montgomery=False)
    memory = Patches({BASE: data}, abi.pointer_size)
    (decoded,) = decode_all(memory, GENERIC_MODULUS_TAG)
    assert (decoded.finding.identity, decoded.length) == (("public_key", KEY_ID), len(data))
    top = BASE + abi.sizeof("SYMCRYPT_RSAKEY") + abi.modulus_value + 128 - 8
    assert decode_all(memory.patched(top, bytes(8)), GENERIC_MODULUS_TAG) == []


@EVERY_ABI
@pytest.mark.parametrize("exponent", [3, (1 << 17) + 29, (1 << 63) + 29])
def test_a_public_exponent_may_have_64_bits(abi: Abi, exponent: int) -> None:
    public = rsa.RSAPublicNumbers(exponent, rsa_numbers().public_numbers.n)
    memory = Patches({BASE: symcrypt.rsa_key(abi, BASE, public)}, abi.pointer_size)
    (decoded,) = decode_all(memory)
    assert isinstance(decoded.finding, PublicKey)
    loaded = load_der_public_key(decoded.finding.public_info)
    assert isinstance(loaded, rsa.RSAPublicKey)
    assert loaded.public_numbers() == public


@pytest.mark.parametrize("exponent", [0, 1, 65536])
def test_an_exponent_that_no_key_can_have(exponent: int) -> None:
    public = rsa.RSAPublicNumbers(exponent, rsa_numbers().public_numbers.n)
    assert decode_all(Patches({BASE: symcrypt.rsa_key(X64, BASE, public)})) == []


@EVERY_ABI
def test_a_public_key_with_a_damaged_modulus_is_none(abi: Abi) -> None:
    memory = rsa_memory(abi, private=False)
    value = BASE + abi.sizeof("SYMCRYPT_RSAKEY") + abi.modulus_value
    for offset in range(0, 128, 16):
        assert decode_all(memory.patched(value + offset, b"\x5a\xa5\x5a\xa5")) == []


def test_a_32_bit_key_is_found_in_a_64_bit_process() -> None:
    memory = rsa_memory(X86)
    (decoded,) = decode_all(Patches(memory.pieces, 8))
    assert decoded.key_object is not None
    assert decoded.key_object.architecture == "x86"


def test_a_key_that_lies_in_two_pieces_is_whole() -> None:
    data = rsa_memory(X64).pieces[BASE]
    for split in (1, 0xC0, 0x105, 0x145, 0x345, len(data) - 1):
        memory = Patches({BASE: data[:split], BASE + split: data[split:]})
        found = {(decoded.finding.identity, decoded.missing) for decoded in decode_all(memory)}
        assert found <= {(("private_key", KEY_ID), 0)}
        assert found or split == 0xC5  # the tag itself is cut: the engine's business


def test_a_key_that_was_moved_is_read_by_its_own_distances() -> None:
    data = rsa_memory(X64).pieces[BASE]
    (decoded,) = decode_all(Patches({0x10000: data}))
    assert (decoded.address, decoded.finding.identity) == (0x10000, ("private_key", KEY_ID))


@pytest.mark.parametrize("address", [BASE, 0x10000])
def test_pointers_count_before_places(address: int) -> None:
    abi = X64
    data = bytearray(rsa_memory(abi).pieces[BASE])
    digits = abi.digits(1024)
    place = allocation_of_modulus(abi, abi.sizeof("SYMCRYPT_RSAKEY"), digits, abi.modulus_size(digits))
    first, second = (data[place.prime(number) :][: place.stride] for number in (0, 1))
    data[place.prime(0) : place.exponent(0)] = second + first + data[place.prime(1) + place.stride : place.exponent(0)]
    at = abi.offset("SYMCRYPT_RSAKEY", "pmPrimes")
    data[at : at + 16] = data[at + 8 : at + 16] + data[at : at + 8]
    (decoded,) = decode_all(Patches({address: bytes(data)}))
    assert decoded.key_object is not None
    assert decoded.key_object.wrong_parts == ()


@EVERY_ABI
@pytest.mark.parametrize("field", ["nPubExp", "nDigitsOfModulus", "cbTotalSize", "pbPrivExps", "nBitsOfModulus"])
def test_a_public_key_whose_structure_is_damaged_is_not_reported(abi: Abi, field: str) -> None:
    memory = rsa_memory(abi, private=False)
    assert decode_all(memory.patched(BASE + abi.offset("SYMCRYPT_RSAKEY", field), b"\x77\x66\x55\x44")) == []


@EVERY_ABI
@pytest.mark.parametrize("number", [0, 1])
def test_without_one_prime_the_key_is_whole_and_the_part_named(abi: Abi, number: int) -> None:
    memory = rsa_memory(abi)
    digits = abi.digits(1024)
    place = allocation_of_modulus(abi, BASE + abi.sizeof("SYMCRYPT_RSAKEY"), digits, abi.modulus_size(digits))
    hole = memory.without(place.prime(number), place.prime(number) + place.stride)
    (decoded,) = decode_all(hole)
    assert decoded.finding.identity == ("private_key", KEY_ID)
    assert decoded.missing == place.stride
    assert decoded.key_object is not None
    assert decoded.key_object.missing_parts == (f"prime {number + 1}",)
    assert decoded.key_object.whole


@EVERY_ABI
def test_without_both_primes_the_exponents_give_the_key(abi: Abi) -> None:
    memory = rsa_memory(abi)
    digits = abi.digits(1024)
    place = allocation_of_modulus(abi, BASE + abi.sizeof("SYMCRYPT_RSAKEY"), digits, abi.modulus_size(digits))
    for end, proof in ((place.exponent(0), "n factored from d"), (place.exponent(1), "n factored from dp")):
        (decoded,) = decode_all(memory.without(place.prime(0), end))
        assert decoded.finding.identity == ("private_key", KEY_ID)
        assert isinstance(decoded.finding, PrivateKey)
        assert proof in decoded.finding.proof


@EVERY_ABI
def test_without_the_structure_and_the_modulus_the_primes_give_the_key(abi: Abi) -> None:
    memory = rsa_memory(abi)
    modulus = BASE + abi.sizeof("SYMCRYPT_RSAKEY")
    found = decode_all(memory.without(BASE, modulus + abi.modulus_value + 8))
    assert [decoded.finding.identity for decoded in found] == [("private_key", KEY_ID)] * 2
    assert {decoded.address for decoded in found} == {BASE}
    assert found[0].key_object is not None
    assert found[0].key_object.missing_parts == ("key structure", "modulus", "public exponent")


@EVERY_ABI
def test_with_no_private_part_left_it_is_a_public_key_that_is_not_whole(abi: Abi) -> None:
    memory = rsa_memory(abi)
    digits = abi.digits(1024)
    modulus = BASE + abi.sizeof("SYMCRYPT_RSAKEY")
    (decoded,) = decode_all(memory.without(modulus + abi.modulus_size(digits), BASE + 0x10000))
    assert decoded.finding.identity == ("public_key", KEY_ID)
    assert decoded.key_object is not None
    assert not decoded.key_object.whole
    assert decoded.key_object.missing_parts[0] == "prime 1"


@pytest.mark.parametrize("page", range(0x100, PAGE, 0x2E0))
def test_no_page_can_be_missing_so_that_a_wrong_key_comes_out(page: int) -> None:
    numbers = rsa_numbers(2048)
    base = BASE + page // 32 * 32
    data = symcrypt.rsa_key(X64, base, numbers.public_numbers, numbers)
    true = make_key("rsa-2048", "symcrypt").key_id
    for start in range(base - base % PAGE, base + len(data), PAGE):
        for decoded in decode_all(Patches({base: data}).without(start, start + PAGE)):
            assert decoded.finding.identity[1] == true
            assert decoded.missing


def test_places_are_arithmetic_only() -> None:
    place = allocation_of_modulus(X64, 0x10C0, 4, 0x380)
    assert (place.key, place.prime(0), place.exponent(0)) == (0x1000, 0x1440, 0x1D40)
    assert place in allocations_of_prime(X64, place.prime(0), 2)
    assert place in allocations_of_prime(X64, place.prime(1), 2)


@settings(deadline=None, max_examples=120)
@given(
    abi=st.sampled_from(list(ABI_NAMES.values())),
    private=st.booleans(),
    offset=st.integers(0, 0x9F0),
    data=st.binary(min_size=1, max_size=40) | st.sampled_from([b"\xff" * 4, b"\xff" * 8, bytes(8), b"\0\0\0\x80"]),
)
def test_damage_never_makes_another_key(abi: Abi, private: bool, offset: int, data: bytes) -> None:  # noqa: FBT001
    memory = rsa_memory(abi, private=private)
    exponent = range(0x30, 0x40)  # nothing vouches for the exponent of a public key
    if not private and any(at in exponent for at in range(offset, offset + len(data))):
        return
    for decoded in decode_all(memory.patched(BASE + offset, data)):
        assert decoded.finding.identity[1] == KEY_ID
        assert decoded.length <= 0x2000


@settings(deadline=None, max_examples=60)
@given(st.binary(max_size=0x200), st.sampled_from(list(ABI_NAMES.values())))
def test_noise_behind_a_header_is_no_key(data: bytes, abi: Abi) -> None:
    head = rsa_memory(abi).pieces[BASE][: abi.sizeof("SYMCRYPT_RSAKEY") + abi.modulus_value]
    assert decode_all(Patches({BASE: head + data * 8}, abi.pointer_size)) == []
