"""RSA keys in DER as they occur: wrong and missing numbers, several primes, cut short, without a beginning."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import load_der_private_key
from hypothesis import given
from hypothesis import strategies as st

from dumpscan.artifacts import der, effort
from dumpscan.artifacts.decoded import CutShortError, Decoded, RefusedError
from dumpscan.artifacts.keys.private_key import DETECTORS
from dumpscan.artifacts.keys.rsa import pkcs1
from dumpscan.artifacts.keys.rsa.parts import USUAL_EXPONENTS
from dumpscan.findings import PrivateKey
from dumpscan.scan.engine import Engine
from support.artifact_samples import (
    BASE,
    Space,
    detect_one,
    key_id,
    parse_any,
    pkcs8,
    rsa_key,
    rsa_numbers,
    tlv,
    traditional,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

KEY = rsa_key(2048)
NUMBERS = KEY.private_numbers()
N, E, D, P, Q = NUMBERS.public_numbers.n, NUMBERS.public_numbers.e, NUMBERS.d, NUMBERS.p, NUMBERS.q
DP, DQ, QINV = NUMBERS.dmp1, NUMBERS.dmq1, NUMBERS.iqmp
WHOLE = (0, N, E, D, P, Q, DP, DQ, QINV)
PRIMES = [
    prime
    for bits in (768, 800, 1024, 1100, 1536, 2048)
    for prime in (rsa_key(bits).private_numbers().p, rsa_key(bits).private_numbers().q)
]
ALGORITHM = bytes.fromhex("300d06092a864886f70d0101010500")


def integer(value: int) -> bytes:
    return tlv(2, value.to_bytes(value.bit_length() // 8 + 1, "big"))


def unsigned(value: int) -> bytes:
    return tlv(2, value.to_bytes(max(1, (value.bit_length() + 7) // 8), "big"))


def structure(*numbers: int) -> bytes:
    return tlv(0x30, *map(integer, numbers))


def in_pkcs8(inner: bytes) -> bytes:
    return tlv(0x30, integer(0), ALGORITHM, tlv(4, inner))


def key_with(exponent: int) -> rsa.RSAPrivateKey:
    """Return a key with an exponent that not every two primes allow."""
    p, q = [prime for prime in PRIMES if math.gcd(prime - 1, exponent) == 1][-2:]
    return rsa_numbers(p, q, exponent).private_key(unsafe_skip_rsa_key_validation=True)


def same_key(found: PrivateKey, key: rsa.RSAPrivateKey) -> bool:
    """Whether a key was found, its primes in whatever order."""
    loaded = load_der_private_key(found.pkcs8, None)
    assert isinstance(loaded, rsa.RSAPrivateKey)
    mine, its = key.private_numbers(), loaded.private_numbers()
    return found.key_id == key_id(key) and (mine.d, {mine.p, mine.q}) == (its.d, {its.p, its.q})


def key_in(data: bytes) -> PrivateKey:
    finding = detect_one(DETECTORS, data).finding
    assert isinstance(finding, PrivateKey)
    assert (finding.algorithm, finding.bits) == ("RSA", 2048)
    assert same_key(finding, KEY)
    return finding


CRT = ("CRT exponent 1", "CRT exponent 2", "CRT coefficient")
NO_PRIMES = ("prime 1", "prime 2")
FORMS = {
    "whole": (WHOLE, ()),
    "stale coefficient": ((*WHOLE[:8], pow(P, -1, Q)), CRT[2:]),
    "swapped primes": ((0, N, E, D, Q, P, DP, DQ, QINV), CRT),
    "no CRT values": ((*WHOLE[:6], 0, 0, 0), CRT),
    "no primes": ((0, N, E, D, 0, 0, 0, 0, 0), (*NO_PRIMES, *CRT)),
    "no public exponent": ((0, N, 0, D, P, Q, DP, DQ, QINV), ("public exponent",)),
    "n and d only": ((0, N, 0, D, 0, 0, 0, 0, 0), ("public exponent", *NO_PRIMES, *CRT)),
    "no private exponent": ((0, N, E, 0, P, Q, DP, DQ, QINV), ("private exponent",)),
    "one prime": ((0, N, E, D, P, 0, DP, DQ, QINV), ("prime 2",)),
    "a wrong prime": ((0, N, E, D, P + 2, Q, DP, DQ, QINV), ("prime 1",)),
    "without CRT values": (WHOLE[:6], ()),
    "without primes": (WHOLE[:4], ()),
    "without the coefficient": (WHOLE[:8], ()),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("write", [integer, unsigned])
def test_forms(form: str, write: type) -> None:
    numbers, wrong = FORMS[form]
    data = tlv(0x30, *map(write, numbers))
    assert key_in(data).wrong_parts == wrong
    if form not in {"swapped primes", "no primes", "n and d only", "without primes"}:
        assert key_in(data).pkcs8 == pkcs8(KEY)
    assert detect_one(DETECTORS, data).encoding == "pkcs1"
    assert key_in(in_pkcs8(data)).wrong_parts == wrong
    assert parse_any(data).finding == key_in(data)


@pytest.mark.parametrize("exponent", USUAL_EXPONENTS)
def test_usual_exponents_are_found_where_none_is_stored(exponent: int) -> None:
    key = key_with(exponent)
    numbers = key.private_numbers()
    assert same_key(pkcs1.prove(structure(0, numbers.public_numbers.n, 0, numbers.d)), key)


def test_d_of_either_function_gives_the_primes() -> None:
    phi = (P - 1) * (Q - 1)
    assert math.gcd(P - 1, Q - 1) > 1
    for modulus in (phi, math.lcm(P - 1, Q - 1)):
        assert pkcs1.prove(structure(0, N, E, pow(E, -1, modulus))).key_id == key_id(KEY)


def test_n_e_d_with_a_large_exponent() -> None:
    e = (1 << 255) + 95
    assert math.gcd(e, (P - 1) * (Q - 1)) == 1
    key = pkcs1.prove(structure(0, N, e, pow(e, -1, math.lcm(P - 1, Q - 1))))
    assert key.key_id == key_id(rsa_numbers(P, Q, e).private_key(unsafe_skip_rsa_key_validation=True))


@pytest.mark.parametrize(
    "numbers",
    [
        (0, N, E, D + 2),
        (0, N + 2, E, D),
        (0, N, 0, D - 2),
        (0, N, E, 0),
        (0, N, E, 0, 0, 0, 0, 0, 0),
        (0, N, E),
        (2, *WHOLE[1:]),
        (1, *WHOLE[1:]),
        (0, 0, 0, 0, 0, 0, 0, 0, 0),
        (0, N, E, D + 2, P + 2, Q + 2, DP, DQ, QINV),
        (0, P * P, E, D, P, P, DP, DQ, QINV),
    ],
)
def test_numbers_that_make_no_key(numbers: tuple[int, ...]) -> None:
    with pytest.raises(RefusedError) as caught:
        pkcs1.prove(structure(*numbers))
    assert not isinstance(caught.value, CutShortError)
    assert not re.search(r"\d{3}", str(caught.value))


# --- More than two primes ---------------------------------------------------------------------------------------------


def multi_prime(count: int, *, e: int = 65537, version: int = 1) -> bytes:
    primes = PRIMES[:count]
    d = pow(e, -1, math.lcm(*(prime - 1 for prime in primes)))
    p, q, *others = primes
    infos = [structure(r, d % (r - 1), pow(math.prod(primes[: at + 2]), -1, r)) for at, r in enumerate(others)]
    numbers = (version, math.prod(primes), e, d, p, q, d % (p - 1), d % (q - 1), pow(q, -1, p))
    return tlv(0x30, *map(integer, numbers), tlv(0x30, *infos))


@pytest.mark.parametrize("count", [3, 4])
def test_more_than_two_primes(count: int) -> None:
    data = multi_prime(count)
    decoded = detect_one(DETECTORS, data)
    key = decoded.finding
    assert isinstance(key, PrivateKey)
    assert (key.algorithm, decoded.encoding) == ("RSA", "pkcs1")
    assert key.bits == int.from_bytes(der.members(data)[1].content, "big").bit_length()
    assert f"n = the product of {count} primes" in key.proof
    assert key.pkcs8 == in_pkcs8(data)
    inside = detect_one(DETECTORS, in_pkcs8(data)).finding
    assert isinstance(inside, PrivateKey)
    assert (inside.key_id, inside.pkcs8) == (key.key_id, key.pkcs8)


def test_more_than_two_primes_that_are_no_key() -> None:
    data = multi_prime(3)
    with pytest.raises(RefusedError):
        pkcs1.prove(multi_prime(3, version=0))
    refused = 0
    for at in range(20, len(data), 53):
        copy = data[:at] + bytes((data[at] ^ 4,)) + data[at + 1 :]
        try:
            assert pkcs1.prove(copy).key_id == pkcs1.prove(data).key_id, "a CRT value was changed"
        except RefusedError:
            refused += 1
    assert refused >= 8


# --- Cut short --------------------------------------------------------------------------------------------------------


def decode_cut(data: bytes, size: int) -> Decoded:
    """Decode what begins with the first `size` bytes of a structure, the rest of which the memory does not hold."""
    memory = Space({BASE: data[:size]})
    found = [decoder(memory, BASE) for finder, decoder in DETECTORS if re.match(finder.expression, data, re.DOTALL)]
    (decoded,) = [each for each in found if each is not None]
    return decoded


def ends_of_members() -> list[int]:
    ends = [4]
    for number in WHOLE:
        ends.append(ends[-1] + len(integer(number)))
    return ends[1:]


@pytest.mark.parametrize("members", range(4, 9))
def test_a_key_is_made_of_what_is_left_of_it(members: int) -> None:
    data = traditional(KEY)
    for size in (ends_of_members()[members - 1], ends_of_members()[members - 1] + 7):
        decoded = decode_cut(data, size)
        assert isinstance(decoded.finding, PrivateKey)
        assert same_key(decoded.finding, KEY)
        assert (decoded.address, decoded.length, decoded.missing) == (BASE, len(data), len(data) - size)
        assert decoded.finding.wrong_parts == ()


@pytest.mark.parametrize("size", [48, 265, 270, 300, 530])
def test_too_little_of_a_key_is_reported(size: int) -> None:
    with pytest.raises(CutShortError) as caught:
        decode_cut(traditional(KEY), size)
    assert caught.value.what == "RSA private key"


@pytest.mark.parametrize(
    "data",
    [
        traditional(KEY)[:20],
        structure(*WHOLE[:4], *WHOLE)[:300],
        structure(0, N - 1, *WHOLE[2:])[:300],
        structure(0, N, 4, *WHOLE[3:])[:300],
        structure(1, *WHOLE[1:])[:300],
        bytes.fromhex("308204a4020100028201010080") + bytes(200),
        bytes.fromhex("308204a40201000282010100") + b"text that somebody wrote there " * 6,
        b"\x30\x82\xff\x00" + traditional(KEY)[4:300],
    ],
    ids=["begin only", "wrong size", "even modulus", "even exponent", "version", "zeros", "text", "wrong length"],
)
def test_what_only_begins_like_a_key_is_not_reported(data: bytes) -> None:
    with pytest.raises(RefusedError) as caught:
        pkcs1.prove(data)
    assert not isinstance(caught.value, CutShortError)


# --- Without the beginning --------------------------------------------------------------------------------------------

ENGINE = Engine([signature for signature, _ in pkcs1.DETECTORS])


def rests_in(data: bytes) -> Iterable[Decoded]:
    decoders = {signature.name: decoder for signature, decoder in pkcs1.DETECTORS}
    memory = Space({BASE: data})
    for hit in ENGINE.scan(memory):
        decoded = decoders[hit.signature.name](memory, hit.address)
        if decoded is not None:
            yield decoded


@pytest.mark.parametrize("key", [rsa_key(2048), rsa_key(1024), key_with(3), rsa_key(3072)])
@pytest.mark.parametrize("lost", [1, 5, 7, 16, 32, 100])
def test_a_key_whose_first_bytes_were_overwritten(key: rsa.RSAPrivateKey, lost: int) -> None:
    data = traditional(key)
    numbers = der.members(data)
    begin = len(data) - sum(len(number.encoded) for number in numbers[2:])
    (decoded,) = rests_in(
        bytes(40) + b"\x70\x12\x34\x56" * (lost // 4) + data[lost - lost % 4 :][lost % 4 :] + bytes(9)
    )
    assert isinstance(decoded.finding, PrivateKey)
    assert (decoded.finding.key_id, decoded.finding.pkcs8) == (key_id(key), pkcs8(key))
    assert decoded.finding.wrong_parts == ("first bytes",)
    assert decoded.length == len(data) - begin


def test_without_the_region_that_held_the_beginning() -> None:
    data = traditional(KEY)[268:]
    (decoded,) = rests_in(data)
    assert (decoded.address, decoded.length) == (BASE, len(data))


def test_a_key_whose_beginning_is_there_is_left_to_its_opening() -> None:
    for bits in (1024, 2048):
        assert not [*rests_in(bytes(40) + traditional(rsa_key(bits)))]


def test_rests_that_are_no_key() -> None:
    rest = b"".join(map(integer, WHOLE[2:]))
    assert len([*rests_in(rest)]) == 1
    assert [*rests_in(rest[: 5 + 260 + 132 * 2])], "d, p and q suffice"
    assert not [*rests_in(rest[: 5 + 260 + 132])]
    assert not [*rests_in(b"".join(map(integer, (E, D, Q + 2, P))))]
    assert not [*rests_in(b"".join(map(integer, (E, D, P, P))))]
    assert not [*rests_in(b"".join(map(integer, (E, D, 0, 0))))]
    assert not [*rests_in(bytes.fromhex("0203010001028201") * 40)]


@given(st.binary(max_size=60))
def test_noise_behind_an_exponent_is_survived(noise: bytes) -> None:
    assert not [*rests_in(bytes.fromhex("020301000102820101") + noise)]


# --- Cost -------------------------------------------------------------------------------------------------------------


def cost_of(data: bytes) -> float:
    paid: list[float] = []
    with effort.paid_by(paid.append), pytest.raises(RefusedError):
        pkcs1.prove(data)
    return sum(paid)


def test_numbers_that_do_not_belong_together_are_refused_before_slow_steps() -> None:
    assert cost_of(structure(0, N + 4, E, D, P, Q + 2, DP, DQ, QINV)) < 3000
    assert cost_of(structure(0, N, E, D + 2)) < 3000


def test_composite_primes_cost_more() -> None:
    """Only a signature tells; it is charged, and more if it fails."""
    p, q = PRIMES[0] * PRIMES[1], Q
    d = pow(65537, -1, math.lcm(p - 1, q - 1))
    assert cost_of(structure(0, p * q, 65537, d, p, q, d % (p - 1), d % (q - 1), pow(q, -1, p))) > 2000
