from __future__ import annotations

from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dumpscan.artifacts.symcrypt.numbers import (
    digest_present,
    int_header,
    modulus_header,
    modulus_proof,
    montgomery_factors,
    read_exactly,
    read_int,
    read_modulus,
)
from dumpscan.memory.space import read_before
from dumpscan.model.c_symcrypt import ABIS, PRE_102, X64, X86, Abi
from dumpscan.synth.objects.symcrypt import structures as symcrypt
from support.symcrypt_samples import BASE, Patches

PRIME = 2**521 - 1
EVERY_ABI = pytest.mark.parametrize("abi", ABIS, ids=lambda abi: f"{abi.architecture}-{abi.layout}")


def modulus(abi: Abi, value: int = PRIME) -> Patches:
    data = symcrypt.modulus(abi, BASE, value, abi.digits(value.bit_length()), flags=1)
    return Patches({BASE: data}, abi.pointer_size)


@EVERY_ABI
def test_a_number_tells_the_architecture_that_it_was_made_for(abi: Abi) -> None:
    memory = modulus(abi)
    for header in (
        modulus_header(memory, BASE),
        int_header(memory, BASE + abi.modulus_value - abi.int_value),
    ):
        assert header is not None
        assert (header.abi.architecture, header.digits) == (abi.architecture, abi.digits(521))
    assert read_modulus(memory, BASE, abi) == PRIME
    assert read_int(memory, BASE + abi.modulus_value - abi.int_value, abi) == PRIME


@EVERY_ABI
def test_header_fields_lie_where_the_model_has_them(abi: Abi) -> None:
    for structure in ("SYMCRYPT_INT", "SYMCRYPT_MODULUS"):
        assert [abi.offset(structure, name) for name in ("type", "nDigits", "cbSize")] == [0, 4, 8]
    assert abi.offset("SYMCRYPT_MODULUS", "cbModElement") == 16


def test_32_bit_numbers_are_found_in_64_bit_memory_but_not_the_other_way_round() -> None:
    memory = modulus(X86)
    memory.pointer_size = 8
    header = modulus_header(memory, BASE)
    assert header is not None
    assert header.abi.architecture == "x86"
    memory = modulus(X64)
    memory.pointer_size = 4
    assert modulus_header(memory, BASE) is None


@EVERY_ABI
def test_a_generic_modulus_is_one_too(abi: Abi) -> None:
    digits = abi.digits(521)
    data = symcrypt.modulus(abi, BASE, PRIME, digits, flags=9, montgomery=False)
    assert read_modulus(Patches({BASE: data}, abi.pointer_size), BASE, abi) == PRIME


@EVERY_ABI
@pytest.mark.parametrize("size", [0, 1, 0x7FFFFFFF, 0xFFFFFFFF])
@pytest.mark.parametrize("offset", [4, 8, 16])
def test_sizes_that_do_not_fit_are_refused(abi: Abi, size: int, offset: int) -> None:
    memory = modulus(abi).patched(BASE + offset, size.to_bytes(4, "little"))
    assert modulus_header(memory, BASE) is None


@EVERY_ABI
def test_a_value_that_is_cut_off_is_none(abi: Abi) -> None:
    memory = modulus(abi)
    end = BASE + abi.modulus_value + abi.digits(521) * abi.digit
    assert read_modulus(memory.without(end - 1, end + 0x1000), BASE, abi) is None
    assert read_modulus(memory.without(end, end + 0x1000), BASE, abi) == PRIME


@EVERY_ABI
def test_a_modulus_agrees_with_its_own_constants_only(abi: Abi) -> None:
    memory = modulus(abi)
    header = modulus_header(memory, BASE)
    assert header is not None
    assert modulus_proof(memory, BASE, header, PRIME)
    for bit in (1, 40, 300):
        assert not modulus_proof(memory, BASE, header, PRIME ^ 1 << bit)


def test_without_r_squared_the_low_word_must_do() -> None:
    memory = modulus(X64)
    header = modulus_header(memory, BASE)
    assert header is not None
    square = BASE + X64.modulus_value + header.digits * X64.digit
    cut = memory.without(square, square + 0x1000)
    assert modulus_proof(cut, BASE, header, PRIME)
    assert not modulus_proof(cut, BASE, header, PRIME ^ 2)


@EVERY_ABI
def test_a_generic_modulus_agrees_with_its_low_word_or_with_the_reciprocal_of_its_high_one(abi: Abi) -> None:
    data = symcrypt.modulus(abi, BASE, PRIME, abi.digits(521), flags=1, montgomery=False)
    memory = Patches({BASE: data}, abi.pointer_size)
    header = modulus_header(memory, BASE)
    assert header is not None
    assert "inverse" in (modulus_proof(memory, BASE, header, PRIME) or "") or abi.layout == PRE_102
    without = memory.patched(BASE + 20, bytes(abi.modulus_divisor - 20))
    without = without.patched(BASE + abi.modulus_value + header.digits * abi.digit, b"what was there")
    assert "reciprocal" in (modulus_proof(without, BASE, header, PRIME) or "")
    for other in (PRIME ^ 1 << 490, PRIME >> 1 | 1, PRIME - 1):
        assert modulus_proof(without, BASE, header, other) is None


def test_forms_of_elements_hold_whole_digits_few_words_and_none() -> None:
    factors = list(montgomery_factors(PRIME, 128))
    assert {pow(2, 1024, PRIME), pow(2, 576, PRIME), 1} <= set(factors)


def test_what_lies_before_an_address_is_read_up_to_a_hole() -> None:
    memory = Patches({0x1000: b"a" * 0x123, 0x1123: b"b" * 0x100})
    assert read_before(memory, 0x1200, 0x40) == b"b" * 0x40
    assert read_before(memory, 0x1200, 0x1000) == b"a" * 0x123 + b"b" * 0xDD
    assert read_before(memory, 0x1000, 0x1000) == b""
    assert read_before(Patches({0: b"c" * 32}), 16, 0x1000) == b"c" * 16


def test_holes_are_counted() -> None:
    memory = Patches({0x1000: b"a" * 0x1000, 0x3000: b"b" * 0x1000})
    assert digest_present(memory, 0x1F00, 0x1200) == (sha256(b"a" * 0x100 + b"b" * 0x100).hexdigest(), 0x1000)
    assert read_exactly(memory, 0x1F00, 0x1200) is None
    assert read_exactly(memory, -8, 8) is None


@given(st.binary(min_size=20, max_size=200), st.sampled_from([4, 8]))
def test_any_header_is_taken(data: bytes, pointer_size: int) -> None:
    for tag in (b"\x00\x00Mm", b"\x00\x00Ig"):
        memory = Patches({BASE: tag + data}, pointer_size)
        for header in (modulus_header(memory, BASE), int_header(memory, BASE)):
            assert header is None or header.digits <= 0x80
