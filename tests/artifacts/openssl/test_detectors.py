"""Keys as numbers of libraries, laid out by hand: found, named, and never found where the arithmetic does not hold."""

from __future__ import annotations

import struct
from dataclasses import replace
from hashlib import sha512
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from dumpscan.artifacts.openssl.detectors import GROUP_DETECTORS
from dumpscan.artifacts.openssl.headers import SEARCHER
from dumpscan.artifacts.x509.certificate import DETECTORS
from dumpscan.findings import PrivateKey
from dumpscan.output.records import finding_record
from dumpscan.search.merge import Collector
from dumpscan.search.scanner import Scanner
from support import number_samples as samples
from support.artifact_samples import CURVES, Space, key_id, rsa_key
from support.number_samples import Heap, limbs

if TYPE_CHECKING:
    from support.number_samples import Header

HEADERS: dict[str, Header] = {
    "openssl": samples.bignum,
    "boringssl": samples.boring,
    "gmp": samples.mpz,
    "mbedtls": samples.mpi,
    "mbedtls-3.5": samples.mpi_3_5,
    "go": samples.go_slice,
}


def _found(memory: Space) -> list[PrivateKey]:
    collector = Collector()
    Scanner(DETECTORS, GROUP_DETECTORS).scan(memory, collector)
    return [finding for finding in collector.findings() if isinstance(finding, PrivateKey)]


def _rsa(bits: int = 2048) -> list[int]:
    numbers = rsa_key(bits).private_numbers()
    public = numbers.public_numbers
    return [public.n, public.e, numbers.d, numbers.p, numbers.q, numbers.dmp1, numbers.dmq1, numbers.iqmp]


@pytest.mark.parametrize("library", HEADERS)
@pytest.mark.parametrize("bits", [1024, 2048])
def test_an_rsa_key_is_found_by_its_numbers(library: str, bits: int) -> None:
    heap = Heap()
    for value in _rsa(bits):
        heap.number(value, HEADERS[library])
    (found,) = _found(heap.memory())
    assert found.key_id == key_id(rsa_key(bits))
    assert found.proof[:2] == ("n = p*q", "e*d = 1 mod lcm(p-1, q-1)")
    (place,) = found.locations
    assert place.key_object is not None
    assert (place.key_object.library, place.key_object.missing_parts) == (library.split("-", maxsplit=1)[0], ())


@pytest.mark.parametrize("library", HEADERS)
@pytest.mark.parametrize("end", [0, 8])
def test_headers_are_found_at_both_ends_of_a_region(library: str, end: int) -> None:
    heap = Heap()
    values = _rsa(1024)
    for value in values[1:]:
        heap.number(value, HEADERS[library])
    at = heap.put(limbs(values[0]))
    header = HEADERS[library](at, len(limbs(values[0])) // 8)
    before = 0x5550_0000_0000
    memory = Space({before: header + bytes(end), heap.base: bytes(heap.data)})
    assert len(_found(memory)) == 1
    memory = Space({before: bytes(end) + header, heap.base: bytes(heap.data)})
    assert len(_found(memory)) == 1


def _scalar(curve: str) -> int:
    size = CURVES[curve].key_size
    return int.from_bytes(sha512(curve.encode() * 2).digest() + b"12", "big") >> (528 - size + 1) | 1 << (size - 2)


@pytest.mark.parametrize("library", HEADERS)
@pytest.mark.parametrize("curve", ["secp256r1", "secp384r1", "secp521r1", "secp256k1"])
def test_an_ec_key_is_found_by_its_scalar_and_its_point(library: str, curve: str) -> None:
    key = ec.derive_private_key(_scalar(curve), CURVES[curve])
    size = -(-key.curve.key_size // 64)
    field = {
        "secp256r1": 2**256 - 2**224 + 2**192 + 2**96 - 1,
        "secp384r1": 2**384 - 2**128 - 2**96 + 2**32 - 1,
        "secp521r1": 2**521 - 1,
        "secp256k1": 2**256 - 2**32 - 977,
    }[curve]
    public = key.public_key().public_numbers()
    scalar = key.private_numbers().private_value
    heap = Heap()
    header = HEADERS[library]
    montgomery = [(part << 64 * size) % field for part in (public.x, public.y)]
    if library == "boringssl":  # the scalar follows its header (`EC_WRAPPED_SCALAR`)
        heap.put(header(heap.base + heap.used + 24, size) + limbs(scalar), 8)
        heap.put(b"".join(part.to_bytes(8 * size, "little") for part in montgomery), 8)
    else:
        heap.number(scalar, header)
        for part in montgomery if library == "openssl" else (public.x, public.y):
            heap.number(part, header)
    (found,) = _found(heap.memory())
    assert (found.key_id, found.curve, found.proof) == (key_id(key), curve, ("Q = d*G",))
    (place,) = found.locations
    assert place.key_object is not None
    assert place.key_object.library == library.split("-", maxsplit=1)[0]


@pytest.mark.parametrize("montgomery", [True, False])
@pytest.mark.parametrize("z", [1, 0x1234567890ABCDEF1234567890ABCDEF1234567890ABCDEF])
def test_a_generated_key_has_its_point_in_jacobian_coordinates(z: int, montgomery: bool) -> None:  # noqa: FBT001
    """They are in Montgomery form but for OpenSSL's methods for single curves, such as that for P-521."""
    key = ec.derive_private_key(_scalar("secp256r1"), ec.SECP256R1())
    heap = Heap()
    numbers = [heap.number(part, samples.bignum) for part in _jacobian(key, z, montgomery=montgomery)]
    point = heap.put(struct.pack("<Qi4xQQQi", 0x7F00_0000_0000, 415, *numbers, 0))
    scalar = heap.number(key.private_numbers().private_value, lambda at, count: samples.bignum(at, count, 9))
    address = heap.put(struct.pack("<QQQ", 0x7F00_0000_1000, point, scalar))
    (found,) = _found(heap.memory())
    assert (found.key_id, found.proof) == (key_id(key), ("Q = d*G",))
    (place,) = found.locations
    assert place.virtual_address == address
    assert place.key_object is not None
    assert (place.key_object.library, place.key_object.structure) == ("openssl", "ec_key_st")


def test_a_generated_key_of_1_1_1_is_found_however_far_its_scalar_lies() -> None:
    """Its flags do not say that it is private."""
    key = ec.derive_private_key(_scalar("secp256r1"), ec.SECP256R1())
    heap = Heap(size=2 << 20)
    scalar = heap.number(key.private_numbers().private_value, lambda at, count: samples.bignum(at, count, 1))
    heap.used += 1 << 20
    numbers = [heap.number(part, samples.bignum) for part in _jacobian(key, 3)]
    point = heap.put(struct.pack("<Qi4xQQQi", 0x7F00_0000_0000, 415, *numbers, 0))
    address = heap.put(struct.pack("<QQQ", 0x7F00_0000_1000, point, scalar))
    (found,) = _found(heap.memory())
    assert (found.key_id, found.proof) == (key_id(key), ("Q = d*G",))
    assert [place.virtual_address for place in found.locations] == [address]


def _jacobian(key: ec.EllipticCurvePrivateKey, z: int, *, montgomery: bool = True) -> list[int]:
    field = 2**256 - 2**224 + 2**192 + 2**96 - 1
    public = key.public_key().public_numbers()
    return [(part << 256 * montgomery) % field for part in (public.x * z**2, public.y * z**3, z)]


def test_the_point_of_boringssl_is_found_however_far_it_lies() -> None:
    """Its scalar follows its header, and its point has no headers; a server has them a MiB apart."""
    key = ec.derive_private_key(_scalar("secp256r1"), ec.SECP256R1())
    heap = Heap(size=2 << 20)
    scalar = heap.put(samples.boring(heap.base + 0x100 + 24, 4) + limbs(key.private_numbers().private_value), 8)
    heap.used += 1 << 20
    point = heap.put(bytes(8) + b"".join(part.to_bytes(72, "little") for part in _jacobian(key, 5)), 8)
    address = heap.put(struct.pack("<QQQ", 0x7F00_0000_1000, point, scalar), 8)
    (found,) = _found(heap.memory())
    assert found.key_id == key_id(key)
    (place,) = found.locations
    assert place.virtual_address == address
    assert place.key_object is not None
    assert (place.key_object.library, place.key_object.structure) == ("boringssl", "ec_key_st")


def test_the_structure_that_points_to_the_numbers_is_named() -> None:
    heap = Heap()
    pointers = [heap.number(value, samples.bignum) for value in _rsa()]
    address = heap.put(bytes(40) + struct.pack("<8Q", *pointers)) + 40
    (found,) = _found(heap.memory())
    (place,) = found.locations
    assert (place.virtual_address, place.length, place.encoding) == (address, 64, "openssl-bignum")
    assert place.key_object is not None
    assert place.key_object.structure == "rsa_st"


def test_the_context_of_mbedtls_is_named() -> None:
    heap = Heap()
    address = heap.headers(_rsa(), samples.mpi)
    (found,) = _found(heap.memory())
    (place,) = found.locations
    assert (place.virtual_address, place.length) == (address, 192)
    assert place.key_object is not None
    assert (place.key_object.library, place.key_object.structure) == ("mbedtls", "mbedtls_rsa_context")


@pytest.mark.parametrize("missing", [2, 4, 5, 6, 7])
def test_a_number_that_is_not_there_is_named(missing: int) -> None:
    heap = Heap()
    for number, value in enumerate(_rsa()):
        if number != missing:
            heap.number(value, samples.bignum)
    (found,) = _found(heap.memory())
    assert found.key_id == key_id(rsa_key(2048))
    place = found.locations[0]
    assert place.key_object is not None
    names = {2: "private exponent", 4: "prime 2", 5: "CRT exponent 1", 6: "CRT exponent 2", 7: "CRT coefficient"}
    assert {part.rstrip(" 12") for part in place.key_object.missing_parts} == {names[missing].rstrip(" 12")}


def test_a_square_a_wrong_prime_and_missing_exponents_are_no_key() -> None:
    n, e, d, p, q, dp, dq, coefficient = _rsa()
    for values in ([p * p, e, d, p, dp], [n + 2, d, p, q, dp, dq], [n, e, p, q, coefficient], [n, d, p + 2, q - 2]):
        heap = Heap()
        for value in values:
            heap.number(value, samples.bignum)
        assert not _found(heap.memory())


def test_a_scalar_without_its_point_is_no_key() -> None:
    heap = Heap()
    heap.number(_scalar("secp256r1"), samples.bignum)
    assert not _found(heap.memory())


def test_numbers_across_regions_and_at_odd_file_offsets_are_found() -> None:
    heap = Heap()
    for value in _rsa():
        heap.number(value, samples.bignum)
    whole = bytes(heap.data)
    pieces = {heap.base + at: whole[at : at + 0x28] for at in range(0, len(whole), 0x28)}
    backwards = dict(sorted(pieces.items(), reverse=True))  # neighbours in the address space, not in the file
    (found,) = _found(Space({0x1000: b"odd", **backwards}))
    assert found.key_id == key_id(rsa_key(2048))


@pytest.mark.parametrize("library", HEADERS)
def test_a_limb_of_zeros_above_a_number_is_counted_by_openssl_and_boringssl_alone(library: str) -> None:
    """BoringSSL reads DER's integers, of which those with a high bit begin with a byte of zeros."""
    heap = Heap()
    for value in _rsa():
        data = limbs(value).ljust(8 * (-(-value.bit_length() // 64) + 1), b"\0")
        heap.put(HEADERS[library](heap.put(data), len(data) // 8))
    found = _found(heap.memory())
    assert [each.key_id for each in found] == ([key_id(rsa_key(2048))] if library in {"openssl", "boringssl"} else [])


def test_headers_are_found_in_any_buffer_once() -> None:
    data = bytes(64) + samples.bignum(samples.HEAP, 32) + bytes(64)
    for shift in range(8):
        matches = SEARCHER.scan_buffer(bytes(shift) + data)
        assert matches.starts.tolist() == [64 + shift]
    long = bytes(8 * (32 << 10) - 8) + samples.bignum(samples.HEAP, 32)  # across the arrays that are taken at a time
    assert SEARCHER.scan_buffer(long).starts.tolist() == [len(long) - 24]


def test_a_key_that_a_library_holds_is_told_from_one_in_a_file() -> None:
    heap = Heap()
    for value in _rsa():
        heap.number(value, samples.bignum)
    (found,) = _found(heap.memory())
    assert found.live_in == ("openssl",)
    assert finding_record(found)["key"]["live_in"] == ["openssl"]
    in_file = replace(found, locations=(replace(found.locations[0], key_object=None),))
    assert in_file.live_in == ()
    assert "live_in" not in finding_record(in_file)["key"]
