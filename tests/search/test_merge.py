"""Many places, one finding."""

from __future__ import annotations

from dataclasses import replace
from hashlib import sha256
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dumpscan.artifacts.decoded import Decoded, Raw
from dumpscan.artifacts.x509 import certificate
from dumpscan.findings import Certificate, EncryptedContainer, Finding, Location, PrivateKey, PublicKey, TlsSecret
from dumpscan.search.merge import Collector, Source
from support.artifact_samples import certificate_der, parse_any, pkcs8, rsa_key, traditional
from support.output_samples import tls_secret

DER = certificate_der("rsa2048")
KEY = rsa_key(1024)


def _source(*order: int) -> Source:
    return Source(order, lambda decoded: _location(decoded, order))


def _location(decoded: Decoded, order: tuple[int, ...]) -> Location:
    return Location(
        file=f"file{order[0]}",
        virtual_address=decoded.address,
        length=decoded.length,
        extents=((decoded.address, decoded.length),),
        sha256=decoded.sha256,
        encoding=decoded.encoding,
        missing=decoded.missing,
    )


def _decoded(finding: Finding, address: int, length: int | None = None, encoding: str = "der") -> Decoded:
    digest = sha256(f"{finding.identity}{encoding}".encode()).hexdigest()
    return Decoded(finding, address, finding.size if length is None else length, digest, encoding)


def _certificate(data: bytes = DER) -> Certificate:
    finding = certificate.parse(data).finding
    assert isinstance(finding, Certificate)
    return finding


def _head(size: int, address: int) -> Decoded:
    raw = Raw(DER[:size], len(DER))
    finding = certificate.parse_head(raw).finding
    return Decoded(finding, address, len(DER), finding.sha256, "der", raw.missing)


def _container(kind: str, content: bytes = b"") -> EncryptedContainer:
    return EncryptedContainer(
        sha256=sha256(kind.encode() + content).hexdigest(), size=100, container=kind, data=content
    )


def _places(finding: Finding) -> list[tuple[str, int | None]]:
    return [(location.file, location.virtual_address) for location in finding.locations]


def test_places_are_in_order_of_files_and_addresses() -> None:
    collector = Collector()
    for order, address in ((1, 10_000), (0, 90_000), (1, 0), (0, 50_000)):
        collector.add(_decoded(_certificate(), address), _source(order))
    (found,) = collector.findings()
    assert _places(found) == [("file0", 50_000), ("file0", 90_000), ("file1", 0), ("file1", 10_000)]
    assert found.location_count == 4


def test_findings_are_in_order_of_their_first_places() -> None:
    collector = Collector()
    others = [_certificate(certificate_der(name)) for name in ("secp256r1", "ed25519")]
    collector.add(_decoded(others[0], 5000), _source(1))
    collector.add(_decoded(_certificate(), 9000), _source(0))
    collector.add(_decoded(others[1], 4000), _source(1))
    collector.add(_decoded(others[0], 9500), _source(0))
    assert [found.sha256 for found in collector.findings()] == [
        _certificate().sha256,
        others[0].sha256,
        others[1].sha256,
    ]


def test_a_key_is_described_by_its_first_place() -> None:
    outer, inner = pkcs8(KEY), traditional(KEY)
    collector = Collector()
    for address, data in ((0x9000, outer), (0x1000, inner)):
        parsed = parse_any(data)
        digest = sha256(data).hexdigest()
        collector.add(Decoded(parsed.finding, address, len(data), digest, parsed.encoding), _source(0))
    (found,) = collector.findings()
    assert [location.encoding for location in found.locations] == ["pkcs1", "pkcs8"]
    assert (found.sha256, found.size) == (sha256(inner).hexdigest(), len(inner))


@pytest.mark.parametrize("order", [*permutations(range(3))])
def test_a_place_within_another_is_none(order: tuple[int, ...]) -> None:
    finding = parse_any(pkcs8(KEY)).finding
    places = [_decoded(finding, 1000, 500), _decoded(finding, 1026, 474), _decoded(finding, 1000, 300)]
    collector = Collector()
    for number in order:
        collector.add(places[number], _source(0))
        collector.add(places[number], _source(0))
    collector.add(_decoded(finding, 1499, 2), _source(0))
    collector.add(_decoded(finding, 1026, 474), _source(1))
    (found,) = collector.findings()
    assert _places(found) == [("file0", 1000), ("file0", 1499), ("file1", 1026)]
    assert found.location_count == 3


def test_relations_proven_of_any_copy_count() -> None:
    whole = parse_any(traditional(KEY)).finding
    assert isinstance(whole, PrivateKey)
    collector = Collector()
    collector.add(_decoded(replace(whole, proof=("n = p*q", "other")), 0), _source(0))
    collector.add(_decoded(whole, 5000), _source(0))
    (found,) = collector.findings()
    assert isinstance(found, PrivateKey)
    assert found.proof == ("n = p*q", "other", *(relation for relation in whole.proof if relation != "n = p*q"))


@pytest.mark.parametrize("order", [*permutations(range(3))])
def test_wrong_parts_of_any_copy_count(order: tuple[int, ...]) -> None:
    key = parse_any(pkcs8(KEY)).finding
    assert isinstance(key, PrivateKey)
    copies = [key, replace(key, wrong_parts=("prime 2", "prime 1")), replace(key, wrong_parts=("prime 2",))]
    collector = Collector()
    for number in order:
        collector.add(_decoded(copies[number], 5000 * number), _source(0))
    (found,) = collector.findings()
    assert isinstance(found, PrivateKey)
    assert found.wrong_parts == ("prime 1", "prime 2")


@pytest.mark.parametrize("copies", [(True, False), (False, True)])
def test_a_key_that_any_copy_tells_needs_no_support(copies: tuple[bool, bool]) -> None:
    key = parse_any(pkcs8(KEY)).finding
    assert isinstance(key, PrivateKey)
    collector = Collector()
    collector.add(_decoded(replace(key, needs_support=copies[0]), 0), _source(0))
    collector.add(_decoded(replace(key, needs_support=copies[1]), 5000), _source(0))
    (found,) = collector.findings()
    assert isinstance(found, PrivateKey)
    assert not found.needs_support
    collector = Collector()
    collector.add(_decoded(replace(key, needs_support=True), 0), _source(0))
    (found,) = collector.findings()
    assert isinstance(found, PrivateKey)
    assert found.needs_support


def test_the_order_of_finds_does_not_change_the_proof() -> None:
    key = parse_any(pkcs8(KEY)).finding
    assert isinstance(key, PrivateKey)
    public = PublicKey(sha256="", size=1, algorithm="RSA", bits=1024, key_id="1", proof=(), public_info=b"")
    for finding in (key, public):
        copies = [
            _decoded(replace(finding, proof=proof), address)
            for proof, address in ((("b", "c"), 2000), (("a",), 1000), (("d", "b"), 3000), (("a", "e"), 1000))
        ]
        proofs = set()
        for order in permutations(copies):
            collector = Collector()
            for copy in order:
                collector.add(copy, _source(0))
            (found,) = collector.findings()
            assert isinstance(found, PrivateKey | PublicKey)
            proofs.add(found.proof)
        assert proofs == {("a", "e", "b", "c", "d")}


def test_more_places_than_are_kept() -> None:
    collector = Collector(most_locations=3)
    located: list[int] = []

    def locate(decoded: Decoded) -> Location:
        located.append(decoded.address)
        return _location(decoded, (0,))

    source = Source((0,), locate)
    addresses = [*range(0, 1_000_000, 2000)]
    for address in addresses:
        collector.add(_decoded(_certificate(), address), source)
        collector.add(_decoded(_certificate(), address + 10, 20), source)
    (found,) = collector.findings()
    assert [location.virtual_address for location in found.locations] == addresses[:3]
    assert found.location_count == len(addresses)
    assert len(located) == 3


@given(st.lists(st.integers(0, 50), max_size=60), st.integers(1, 5), st.randoms())
def test_the_first_places_are_kept_whatever_the_order(numbers: list[int], most: int, random: object) -> None:
    collector = Collector(most_locations=most)
    shuffled = [*dict.fromkeys(numbers)]
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    for number in shuffled:
        collector.add(_decoded(_certificate(), number * 2000), _source(0))
    found = collector.findings()
    assert len(found) == bool(shuffled)
    for finding in found:
        assert [location.virtual_address for location in finding.locations] == sorted(n * 2000 for n in shuffled)[:most]
        assert finding.location_count == len(shuffled)


@given(st.lists(st.tuples(st.integers(0, 40), st.integers(1, 20)), max_size=25), st.randoms())
def test_intervals_against_the_plain_definition(intervals: list[tuple[int, int]], random: object) -> None:
    """What remains are the intervals that lie in no other one, whatever the order of arrival."""
    shuffled = intervals[:]
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    collector = Collector()
    for address, length in shuffled:
        collector.add(_decoded(_certificate(), address, length), _source(0))
    different = {(address, address + length) for address, length in intervals}
    expected = sorted(
        one
        for one in different
        if not any(other != one and other[0] <= one[0] and one[1] <= other[1] for other in different)
    )
    for finding in collector.findings():
        found = [(at.virtual_address, (at.virtual_address or 0) + at.length) for at in finding.locations]
        assert found == expected
        assert finding.location_count == len(expected)


def test_more_findings_than_are_kept() -> None:
    collector = Collector(most_findings=2)
    for number, name in enumerate(("secp256r1", "ed25519", "rsa1024", "secp256r1", "ed448")):
        collector.add(_decoded(_certificate(certificate_der(name)), number * 5000), _source(0))
    found = collector.findings()
    assert [finding.location_count for finding in found] == [2, 1]
    assert collector.dropped == 2


@pytest.mark.parametrize("order", [*permutations(range(4))])
def test_heads_belong_to_the_certificate_that_begins_so(order: tuple[int, ...]) -> None:
    added = [
        _decoded(_certificate(), 0),
        _head(500, 5000),
        _head(400, 9000),
        _decoded(_certificate(certificate_der()), 20_000),
    ]
    collector = Collector()
    for number in order:
        collector.add(added[number], _source(0))
    whole, other = collector.findings()
    assert whole.sha256 == _certificate().sha256
    assert [(location.virtual_address, location.missing) for location in whole.locations] == [
        (0, 0),
        (5000, len(DER) - 500),
        (9000, len(DER) - 400),
    ]
    assert whole.location_count == 3
    assert len(other.locations) == 1


def test_heads_of_a_certificate_that_is_nowhere_whole_are_one() -> None:
    collector = Collector()
    for size, address in ((400, 0), (500, 9000), (450, 5000)):
        collector.add(_head(size, address), _source(0))
    (found,) = collector.findings()
    assert isinstance(found, Certificate)
    assert (found.der, len(found.locations)) == (DER[:500], 3)


def test_encrypted_keys_within_a_pkcs12_are_part_of_it() -> None:
    collector = Collector()
    collector.add(_decoded(_container("pkcs12"), 1000, 900), _source(0))
    collector.add(_decoded(_container("pkcs8", b"in it"), 1100, 200), _source(0))
    collector.add(_decoded(_container("pkcs8", b"elsewhere"), 5000, 200), _source(0))
    collector.add(_decoded(_container("pkcs8", b"both"), 1400, 200), _source(0))
    collector.add(_decoded(_container("pkcs8", b"both"), 1400, 200), _source(1))
    found = collector.findings()
    assert [_places(finding) for finding in found] == [[("file0", 1000)], [("file0", 5000)], [("file1", 1400)]]
    assert [finding.location_count for finding in found] == [1, 1, 1]


def test_nothing() -> None:
    assert Collector().findings() == []


def test_what_only_one_process_knows_of_a_tls_secret_is_told() -> None:
    """The client knows the server's name, and its random is placed; with the server's memory, it is proven."""
    whole = replace(
        tls_secret(), label="CLIENT_TRAFFIC_SECRET_0", server_name="a.example", peer_subject=None, peer_thumbprint=None
    )
    client = replace(whole, client_random="ee" * 32, random_proven=False, resumed=None)
    server = replace(whole, server_name=None, cipher_suite=None)
    for order in ((client, server), (server, client)):
        collector = Collector()
        for number, finding in enumerate(order):
            collector.add(_decoded(finding, 100 * number), _source(number))
        (found,) = collector.findings()
        assert isinstance(found, TlsSecret)
        assert (found.client_random, found.random_proven) == (whole.client_random, True)
        assert (found.server_name, found.cipher_suite, found.resumed) == ("a.example", whole.cipher_suite, True)
