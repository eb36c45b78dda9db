"""The private keys of known public keys: in every form that their numbers may lie, and nothing from what is no such."""

from __future__ import annotations

import struct
from hashlib import sha512

import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from dumpscan.artifacts.keys.proof import ED25519
from dumpscan.artifacts.keys.proof import ec_key as ec_finding
from dumpscan.artifacts.keys.proof import raw_key as raw_finding
from dumpscan.artifacts.keys.proof import rsa_key as rsa_finding
from dumpscan.artifacts.openssl.known.ec import ORDERS
from dumpscan.artifacts.openssl.known.effort import Effort
from dumpscan.artifacts.openssl.known.places import find_places
from dumpscan.artifacts.openssl.known.pointers import Targets
from dumpscan.artifacts.openssl.known.randomness import (
    has_even_words,
    has_many_bytes,
    looks_random,
    without_small_factors,
)
from dumpscan.artifacts.openssl.known.rsa import MAX_DIVIDED
from dumpscan.artifacts.openssl.known.search import find_known
from dumpscan.artifacts.openssl.known.windows import (
    BIG,
    JAVA,
    LITTLE,
    Wanted,
    finder,
)
from dumpscan.artifacts.openssl.rsa import Partners
from dumpscan.findings import PrivateKey
from support.artifact_samples import CURVES, Space, key_id, raw_key, rsa_key
from support.number_samples import HEAP, Heap, limbs


def _little(value: int) -> bytes:
    return limbs(value)


def _big(value: int) -> bytes:
    return limbs(value)[::-1]


def _java(value: int) -> bytes:
    data = limbs(value)
    return b"".join(data[at : at + 4] for at in range(len(data) - 4, -1, -4))


FORMS = {"le": _little, "be": _big, "be32": _java}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("bits", [1024, 2048])
def test_one_prime_in_any_form_gives_the_rsa_key(form: str, bits: int) -> None:
    key = rsa_key(bits)
    heap = Heap()
    address = heap.put(FORMS[form](key.private_numbers().q), 8)
    (found,) = find_known(heap.memory(), [key.public_key()], Effort())
    assert isinstance(found.finding, PrivateKey)
    assert found.finding.key_id == key_id(key)
    assert found.finding.proof[0] == "n = p*q"
    assert (found.address, found.length, found.encoding) == (address, bits // 16, f"rsa-prime-{form}")


def test_other_numbers_give_no_rsa_key() -> None:
    key, other = rsa_key(2048), rsa_key(1024).private_numbers()
    heap = Heap()
    heap.put(_little(key.private_numbers().q + 2))
    heap.put(_little(other.public_numbers.n | 1 << 1023))
    assert not list(find_known(heap.memory(), [key.public_key()], Effort()))


def test_many_moduli_are_joined_by_their_low_words() -> None:
    words = np.array([3, 0x1234567890ABCDEF, 0xFEDCBA0987654321, 99], np.uint64)
    product = 0x1234567890ABCDEF * 0xFEDCBA0987654321 % 2**64
    assert Partners(words).of(product) == [1, 2]
    assert MAX_DIVIDED > 0


def _ec(curve: str) -> ec.EllipticCurvePrivateKey:
    size = CURVES[curve].key_size
    scalar = int.from_bytes(sha512(curve.encode() * 3).digest() + b"12", "big") >> (529 - size)
    return ec.derive_private_key(scalar, CURVES[curve])


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("curve", ORDERS)
@pytest.mark.parametrize("montgomery", [False, True])
def test_a_scalar_in_any_form_gives_the_key_of_its_point(form: str, curve: str, montgomery: bool) -> None:  # noqa: FBT001
    key = _ec(curve)
    scalar, order = key.private_numbers().private_value, ORDERS[curve]
    value = (scalar << CURVES[curve].key_size) % order if montgomery else scalar
    heap = Heap()
    address = heap.put(FORMS[form](value))
    memory = heap.memory()
    assert not list(find_known(memory, [key.public_key()], Effort()))  # nothing points to it
    (deep,) = find_known(memory, [key.public_key()], Effort(deep=True))
    heap.put(struct.pack("<Q", address), 8)
    (found,) = find_known(heap.memory(), [key.public_key()], Effort())
    for each in (deep, found):
        assert isinstance(each.finding, PrivateKey)
        assert (each.finding.key_id, each.finding.proof) == (key_id(key), ("Q = d*G",))
        assert (each.address, each.encoding) == (address, f"ec-scalar-{form}")


def _words(value: int, unit: int) -> bytes:
    """Return a number of 521 bits as words of so many bytes, the lowest word first."""
    return value.to_bytes(-(-521 // (8 * unit)) * unit, "little")


@pytest.mark.parametrize(("form", "unit", "array"), [("le", 8, 66), ("be", 1, 66), ("be32", 4, 17)])
def test_a_scalar_that_does_not_fill_its_words_is_found(form: str, unit: int, array: int) -> None:
    key = _ec("secp521r1")
    data = _words(key.private_numbers().private_value, unit)
    if form != "le":
        data = b"".join(data[at : at + unit] for at in range(len(data) - unit, -1, -unit))
    heap = Heap()
    heap.put(b"\xa5" * 7)
    address = heap.put(data, 8)
    memory = heap.memory()
    assert not list(find_known(memory, [key.public_key()], Effort()))
    (deep,) = find_known(memory, [key.public_key()], Effort(deep=True))
    heap.put(struct.pack("<Q", address), 8)
    (found,) = find_known(heap.memory(), [key.public_key()], Effort())
    java = Heap()
    inside = java.put(struct.pack("<QII", 1, 0xC000A00, array) + data, 8) + 16
    (counted,) = find_known(java.memory(), [key.public_key()], Effort())
    for each, place in ((deep, address), (found, address), (counted, inside)):
        assert isinstance(each.finding, PrivateKey)
        assert (each.finding.key_id, each.finding.proof) == (key_id(key), ("Q = d*G",))
        assert (each.address, each.length, each.encoding) == (place, len(data), f"ec-scalar-{form}")


def test_a_number_of_too_many_bits_is_no_scalar() -> None:
    key = _ec("secp521r1")
    value = key.private_numbers().private_value | 1 << 522
    heap = Heap()
    address = heap.put(limbs(value))
    heap.put(struct.pack("<Q", address), 8)
    assert not list(find_known(heap.memory(), [key.public_key()], Effort(deep=True)))


@pytest.mark.parametrize("array", [False, True])
def test_a_seed_far_from_its_public_key_is_found_by_what_leads_to_it(array: bool) -> None:  # noqa: FBT001
    key = raw_key("ed25519")
    seed = key.private_bytes_raw()
    heap = Heap()
    address = heap.put((struct.pack("<QII", 1, 0xC000A00, 32) if array else b"") + seed)
    other = heap.put(sha512(b"other").digest()[:32])
    if array:
        address += 16
    else:
        assert not list(find_known(heap.memory(), [key.public_key()], Effort()))
        (deep,) = find_known(heap.memory(), [key.public_key()], Effort(deep=True))
        assert deep.address == address
        heap.put(struct.pack("<2Q", other, address), 8)
    (found,) = find_known(heap.memory(), [key.public_key()], Effort())
    assert isinstance(found.finding, PrivateKey)
    assert (found.finding.key_id, found.address, found.encoding) == (key_id(key), address, "ed25519-seed")
    assert found.key_object is not None
    assert found.key_object.library == ("java" if array else None)


def test_the_seed_before_a_public_key_is_the_key() -> None:
    key = raw_key("ed25519")
    public = key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    heap = Heap()
    heap.put(bytes(32) + public, 1)
    address = heap.put(key.private_bytes_raw() + public, 1)
    (found,) = find_known(heap.memory(), [key.public_key()], Effort())
    assert (found.address, found.length, found.encoding) == (address, 64, "ed25519-seed")


@pytest.mark.parametrize("kind", ["ed25519", "ed448", "x25519", "x448"])
@pytest.mark.parametrize("gap", [63, 64])
def test_the_seed_to_which_a_pointer_behind_the_public_key_leads_is_the_key(gap: int, kind: str) -> None:
    """OpenSSL's `ecx_key_st`: the public key lies at an odd address since 3.0."""
    key = raw_key(kind)
    public = key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    heap = Heap()
    seed = heap.put(key.private_bytes_raw())
    heap.put(bytes(64 - gap) + public + bytes(gap - len(public)) + struct.pack("<Q", seed))
    (found,) = find_known(heap.memory(), [key.public_key()], Effort())
    assert (found.address, found.length, found.encoding) == (seed, len(public), f"{kind}-seed")
    assert isinstance(found.finding, PrivateKey)
    assert found.finding.key_id == key_id(key)
    assert found.key_object is not None
    assert (found.key_object.library, found.key_object.structure) == ("openssl", "ecx_key_st")


@pytest.mark.parametrize(("form", "length"), [("le", 32), ("be", 32), ("be32", 8)])
def test_an_array_of_java_is_found_although_nothing_points_to_it(form: str, length: int) -> None:
    key = _ec("secp256r1")
    heap = Heap()
    header = struct.pack("<QII", 1, 0x1040, length)
    address = heap.put(header + FORMS[form](key.private_numbers().private_value)) + len(header)
    (found,) = find_known(heap.memory(), [key.public_key()], Effort())
    assert (found.address, found.length, found.encoding) == (address, 32, f"ec-scalar-{form}")
    assert found.key_object is not None
    assert found.key_object.library == "java"


def test_a_deep_search_finds_all_places_of_a_scalar_that_is_known() -> None:
    key = _ec("secp256r1")
    scalar, order = key.private_numbers().private_value, ORDERS["secp256r1"]
    heap = Heap()
    places = {heap.put(_big(scalar), 1): "be", heap.put(_little((scalar << 256) % order), 1): "le"}
    public = [key.public_key()]
    assert not list(find_known(heap.memory(), public, Effort(), private=[key]))
    found = find_known(heap.memory(), public, Effort(deep=True), private=[key])
    assert {each.address: each.encoding.rpartition("-")[2] for each in found} == places


def test_a_modulus_of_an_authority_is_found_by_both_of_its_primes() -> None:
    key = rsa_key(2048)
    numbers = key.private_numbers()
    heap = Heap()
    heap.put(_little(numbers.p))
    assert not list(find_known(heap.memory(), [], Effort(), authorities=[key.public_key()]))
    heap.put(_big(numbers.q))
    assert not list(find_known(heap.memory(), [], Effort(), authorities=[rsa_key(1024).public_key()]))
    found = list(find_known(heap.memory(), [], Effort(), authorities=[key.public_key()]))
    assert {each.encoding for each in found} == {"rsa-prime-le", "rsa-prime-be"}


def test_what_is_too_much_is_not_tried_and_said() -> None:
    key = _ec("secp384r1")
    heap = Heap(size=1 << 20)
    noise = np.random.default_rng(1)
    while heap.used < 900 << 10:
        heap.put(struct.pack("<Q", heap.put(noise.bytes(48), 8)), 8)
    effort = Effort()
    assert not list(find_known(heap.memory(), [key.public_key()], effort))
    assert effort.skipped == ["some numbers as private keys on secp384r1: there are too many"]


def test_every_place_of_a_buffer_is_searched() -> None:
    value = _little(rsa_key(1024).private_numbers().p)
    find = finder((Wanted(LITTLE, 8, 1 << 63, odd=True),))
    border = 8 * (64 << 10)
    for at in (0, 8, border - 8, border - 64, border):
        data = bytes(at) + value
        assert find(memoryview(data), (0,)).starts.tolist() == [at]
        assert at + 3 in find(memoryview(b"abc" + data), tuple(range(8))).starts.tolist()


def test_text_is_no_place_for_numbers() -> None:
    """Every word of it may be one of a number, as far as its upper bits tell; ten bytes of UTF-8 stay alone."""
    find = finder(tuple(Wanted(form, 4) for form in (LITTLE, BIG, JAVA)))
    text = b'{"user": "Jane", "id": 4711}, ' * 400
    assert not len(find(memoryview(text), (0,)).starts)
    value = b"Stra\xc3\x9fe in M\xc3\xbcnchen, x"[:32].ljust(32, b"y")
    found = find(memoryview(text[:4000] + value + text[:4000]), (0,))
    assert 4000 in found.starts
    assert len(found.starts) < 30


@pytest.mark.parametrize("regions", [1, 40])
def test_what_words_point_to_is_the_same_in_any_order(regions: int) -> None:
    step = 1 << 16
    addresses = np.arange(0, step * (regions + 3), 24, np.uint64)  # of some regions, and beyond
    expected = [step + address for address in range(0, 4096, 8) if (step + address) % 24 == 0]
    for order in (addresses, addresses[::-1]):
        words = {step * (number + 1): bytes(4096) for number in range(regions)}
        beyond = step * (regions + 1)
        space = Space({**words, beyond: order.astype("<u8").tobytes()})
        pointed = Targets(space).addresses.tolist()
        assert [address for address in pointed if address < 2 * step] == expected
        assert all(address % 24 == 0 for address in pointed)
    assert Targets(Space({step: bytes(4096)})).addresses.tolist() == []


def test_numbers_with_small_factors_are_told_from_primes() -> None:
    p = rsa_key(1024).private_numbers().p
    values = [p, *(factor * (p // factor | 1) for factor in (3, 5, 7, 11, 13, 17, 19))]
    rows = np.array([np.frombuffer(value.to_bytes(72, "little"), "<u8") for value in values])
    expected = [all(value % factor for factor in (3, 5, 7, 11, 13, 17, 19)) for value in values]
    assert expected[0]
    assert without_small_factors(rows).tolist() == expected


def test_text_and_code_do_not_look_random_and_numbers_do() -> None:
    noise = np.frombuffer(np.random.default_rng(2).bytes(32 * 5000), "<u8").reshape(-1, 4)
    assert looks_random(noise).sum() >= len(noise) - 1
    dull = b"the quick brown fox jumps over a" + bytes(range(32)) + bytes.fromhex("488b058b4889") * 5 + b"\x48\x8b"
    assert not looks_random(np.frombuffer(dull, "<u8").reshape(-1, 4)).any()


@pytest.mark.parametrize("count", [4, 8, 16, 32])
def test_random_numbers_have_even_words_and_code_has_not(count: int) -> None:
    random = np.random.default_rng(count).integers(0, 1 << 64, (50_000, count), np.uint64)
    assert np.count_nonzero(~has_even_words(random)) <= 10
    code = np.array([[0x4800000000C748E8, 0x0000441F0F66C3C9] * (count // 2)], np.uint64)
    assert not has_even_words(code).any()
    assert not has_even_words(np.full((1, count), 0xFFFF0000FFFFFFFF, np.uint64)).any()


@pytest.mark.parametrize("form", FORMS)
def test_numbers_of_keys_that_were_found_are_placed_unless_files_write_them_so(form: str) -> None:
    private = rsa_key(2048)
    curve = _ec("secp256r1")
    numbers = private.private_numbers()
    values = FORMS[form](numbers.p), FORMS[form](curve.private_numbers().private_value)
    heap = Heap()
    places = [heap.put(value) for value in values]
    heap.put(b"odd" + values[0], 1)
    with_proof = rsa_finding(
        modulus=numbers.public_numbers.n, exponent=numbers.public_numbers.e, p=numbers.p, q=numbers.q
    )
    scalar = curve.private_numbers().private_value
    ec_found = ec_finding(
        curve.curve, scalar, curve.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    )
    found = list(find_places(heap.memory(), [(with_proof, private), (ec_found, curve)], Effort()))
    assert [each.address for each in found] == ([] if form == "be" else places)
    assert all(each.key_object is not None and each.key_object.has_private for each in found)


def test_what_ring_makes_of_an_ed25519_key_is_placed() -> None:
    key = ed25519.Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
    digest = int.from_bytes(sha512(bytes(range(32))).digest(), "little")
    scalar = digest % (1 << 254) & ~7 | 1 << 254
    heap = Heap()
    address = heap.put(scalar.to_bytes(32, "little") + (digest >> 256).to_bytes(32, "little"))
    heap.put(bytes(range(32)))  # the seed, as files have it
    found_key = raw_finding(ED25519, key.private_bytes_raw(), key.public_key().public_bytes_raw())
    (found,) = find_places(heap.memory(), [(found_key, key)], Effort())
    assert (found.address, found.length, found.encoding) == (address, 64, "ed25519-expanded-le")
    assert found.key_object is not None
    assert found.key_object.library == "ring"


@pytest.mark.parametrize("count", [8, 16, 24, 32, 64, 128])
def test_random_numbers_have_many_bytes_and_code_has_not(count: int) -> None:
    random = np.random.default_rng(count).integers(0, 1 << 64, (20_000, count), np.uint64, endpoint=False)
    assert has_many_bytes(random).all()
    code = bytes.fromhex("4889e54883ec20488b45f8488b4008ff75e8c3") * count
    assert not has_many_bytes(np.frombuffer(code[: 8 * count], "<u8").reshape(1, count)).any()


@pytest.mark.parametrize("form", FORMS)
def test_a_prime_amid_random_memory_is_found_at_all_of_its_places(form: str) -> None:
    """It begins and ends at no edge; the second copy has one."""
    key = rsa_key(2048)
    prime = FORMS[form](key.private_numbers().p)
    random = np.random.default_rng(3).bytes(4096)
    data = random[:2048] + prime + random[2048:]
    for memory, places in ((data, [2048]), (data + bytes(64) + prime + bytes(64), [2048, len(data) + 64])):
        found = list(find_known(Space({HEAP: memory}), [key.public_key()], Effort(1 << 20)))
        assert [each.address - HEAP for each in found] == places
        assert {each.encoding for each in found} == {f"rsa-prime-{form}"}
