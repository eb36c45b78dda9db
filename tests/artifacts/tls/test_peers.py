"""Connections of OpenSSL in memory made by hand: whose session it is, and who is at the other end."""

from __future__ import annotations

import datetime as dt
import struct
from functools import cache
from typing import TYPE_CHECKING

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from dumpscan.artifacts.tls.detector import TlsDetector
from dumpscan.findings import TlsSecret
from dumpscan.search.merge import Collector
from dumpscan.search.scanner import Scanner
from support.artifact_samples import Space
from support.tls_samples import BASE, SUITES, Session12, Session13, noise

if TYPE_CHECKING:
    from collections.abc import Iterator

HEAP, SESSION, X509, SIGNED, SIGNATURE, NAME = (BASE + number * 0x10000 for number in range(1, 7))
VERSIONS = {"3.0": (1976, 320, 696), "3.2": (1856, 288, 704), "3.5": (1912, 288, 704)}
"""Bytes from the client's random to `session`, from there to the name, and in the session to the certificate."""


@cache
def _certificate() -> x509.Certificate:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "b.example")])
    now = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), 77, now, now + dt.timedelta(days=1))
    return builder.sign(key, hashes.SHA256())


def _thumbprint() -> str:
    return _certificate().fingerprint(hashes.SHA1()).hex().upper()  # noqa: S303 - as Windows names certificates


def _objects(digest: bytes | None = None) -> dict[int, bytes]:
    """Return OpenSSL's `x509_st`, with what it points to."""
    signed, signature = _certificate().tbs_certificate_bytes, _certificate().signature
    head = struct.pack("<QiiQQ", 0, 1, 2, X509 + 8, 0) + bytes(80) + struct.pack("<QQQ", SIGNED, len(signed), 0)
    head += bytes(16) + struct.pack("<iiQQ", len(signature), 3, SIGNATURE, 8)
    own = digest or bytes.fromhex(_thumbprint())
    return {X509: (head.ljust(312, b"\0") + own).ljust(600, b"\0"), SIGNED: signed, SIGNATURE: signature}


def _found(pieces: dict[int, bytes]) -> list[TlsSecret]:
    collector = Collector()
    Scanner((), TlsDetector().detectors).scan(Space(pieces), collector)
    return [finding for finding in collector.findings() if isinstance(finding, TlsSecret)]


def _session_12(session: Session12, version: str, name: bytes = b"a.example\0") -> dict[int, bytes]:
    """Return a session of OpenSSL with all that it points to."""
    behind, to_name, to_peer = VERSIONS[version]
    state = bytes(64) + session.server_random + session.client_random + bytes(behind - 32)
    state += struct.pack("<Q", SESSION + 64) + bytes(to_name - 8) + struct.pack("<Q", NAME)
    held = bytes(64) + session.openssl()[:376].ljust(to_peer, b"\0") + struct.pack("<Q", X509)
    return {
        BASE: session.key_material() + bytes(64),
        HEAP: state.ljust(4096, b"\0"),
        SESSION: held.ljust(1024, b"\0"),
        NAME: name + bytes(32),
        **_objects(),
    }


@pytest.mark.parametrize("version", VERSIONS)
def test_the_name_and_the_certificate_of_a_session_of_openssl(version: str) -> None:
    (found,) = _found(_session_12(Session12(), version))
    assert (found.server_name, found.peer_subject) == ("a.example", "CN=b.example")
    assert found.peer_thumbprint == _thumbprint()


def test_those_of_tls_1_3_are_known_too() -> None:
    session = Session13(SUITES["aes-256"])
    behind, to_name, to_peer = VERSIONS["3.0"]
    state = bytes(200) + session.server_random + session.client_random + bytes(1508 - 32 - 512) + session.openssl()
    state = state.ljust(232 + behind, b"\0") + struct.pack("<Q", SESSION) + bytes(to_name - 8) + struct.pack("<Q", NAME)
    held = struct.pack("<iiQ", 0x0304, 0, 0).ljust(to_peer, b"\0") + struct.pack("<Q", X509)
    pieces = {HEAP: state.ljust(8192, b"\0"), SESSION: held.ljust(1024, b"\0"), NAME: b"a.example\0", **_objects()}
    found = _found({BASE: session.key_material() + bytes(64), **pieces})
    assert len(found) == 5
    assert {(each.server_name, each.peer_thumbprint) for each in found} == {("a.example", _thumbprint())}


@pytest.mark.parametrize("name", [b"not a name\0", b"\0", b"a" * 300, b"a.example", b"b\xe4r.example\0"])
def test_what_is_no_name_of_a_host_is_none(name: bytes) -> None:
    pieces = _session_12(Session12(), "3.0", name)
    pieces[NAME] = name
    (found,) = _found(pieces)
    assert found.server_name is None


def _broken() -> Iterator[dict[int, bytes]]:
    whole = _objects()
    yield _objects(digest=bytes(20))
    yield {**whole, SIGNED: whole[SIGNED][:-1]}
    yield {**whole, SIGNATURE: b""}
    yield {**whole, X509: whole[X509][:400]}
    for at in range(0, 180, 4):
        yield {**whole, X509: whole[X509][:at] + b"\xff" * 8 + whole[X509][at + 8 :]}


def test_a_certificate_that_its_own_hash_does_not_prove_is_not_told() -> None:
    session = Session12()
    thumbprints = [_found({**_session_12(session, "3.5"), **broken})[0].peer_thumbprint for broken in _broken()]
    assert thumbprints[:4] == [None] * 4
    assert set(thumbprints) == {None, _thumbprint()}  # some fields say nothing of its bytes


@pytest.mark.parametrize("session_id", [b"", noise(32, "id")])
@pytest.mark.parametrize("name", [b"a.example", b"a\0b", b""])
def test_the_name_in_a_client_hello_belongs_to_the_session_with_its_random(session_id: bytes, name: bytes) -> None:
    session, other = Session12(), Session12(seed="another")
    value = struct.pack(">HBH", len(name) + 3, 0, len(name)) + name
    told = struct.pack(">HH", 0x17, 0) + struct.pack(">HH", 0, len(value)) + value + struct.pack(">HH", 0x23, 0)

    def hello(random: bytes) -> bytes:
        body = b"\3\3" + random + bytes((len(session_id),)) + session_id + b"\0\4\xc0\x2f\0\xff\1\0"
        body += struct.pack(">H", len(told)) + told
        return b"\1" + len(body).to_bytes(3, "big") + body

    pieces = {BASE: session.key_material() + bytes(64), HEAP: bytes(64) + session.openssl() + session.randoms}
    (found,) = _found({**pieces, NAME: bytes(7) + hello(session.client_random) + bytes(64)})
    assert found.server_name == (name.decode() if name == b"a.example" else None)
    (found,) = _found({**pieces, NAME: bytes(7) + hello(other.client_random) + bytes(64)})
    assert found.server_name is None


def test_two_sessions_with_one_master_secret_are_two() -> None:
    """The second resumed the first."""
    first, second = Session12(), Session12()
    second.client_random, second.server_random = noise(32, "client 2"), noise(32, "server 2")
    keys = first.key_material() + second.key_material() + bytes(64)
    found = _found({BASE: keys, HEAP: bytes(64) + first.openssl() + first.randoms + second.randoms})
    assert {each.client_random for each in found} == {first.client_random.hex(), second.client_random.hex()}
    assert {each.secret for each in found} == {first.master}


@pytest.mark.parametrize("version", VERSIONS)
def test_a_session_of_openssl_without_keys_in_use_is_placed_by_its_connection(version: str) -> None:
    """It was closed, or its cipher is not known here."""
    session = Session12()
    pieces = _session_12(session, version)
    del pieces[BASE]
    (found,) = _found(pieces)
    assert (found.secret, found.client_random) == (session.master, session.client_random.hex())
    assert not found.random_proven
    assert found.cipher_suite is None
    assert "no key that follows from it is in use" in found.proof[0]
    state = pieces[HEAP]
    for changed in (state.replace(struct.pack("<Q", SESSION + 64), bytes(8)), state[:128] + bytes(400) + state[128:]):
        assert not _found({**pieces, HEAP: changed})
    assert not _found({**pieces, SESSION: pieces[SESSION].replace(b"\3\3\0\0", b"\4\3\0\0")})


def test_any_number_of_connections_is_tried_each_with_its_own_session(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dumpscan.artifacts.tls.session12.MAX_LIKELY", 1)
    pieces: dict[int, bytes] = {}
    keys = b""
    for number in range(8):
        session = Session12(seed=f"session {number}")
        keys += session.key_material()
        moved = 0x100000 * number
        one = _session_12(session, "3.0")
        pieces[HEAP + moved] = one[HEAP].replace(
            struct.pack("<Q", SESSION + 64), struct.pack("<Q", SESSION + 64 + moved)
        )
        pieces[SESSION + moved] = one[SESSION]
    found = _found({BASE: keys + bytes(64), **pieces})
    assert len({each.client_random for each in found}) == 8
    assert all(each.random_proven for each in found)
