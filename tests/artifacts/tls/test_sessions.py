"""Secrets of TLS sessions in memory made by hand: what is proven, what is placed, and what is not there."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import pytest

from dumpscan.artifacts.registry import TLS
from dumpscan.artifacts.tls.detector import TlsDetector
from dumpscan.findings import TlsSecret
from dumpscan.memory.core.dump import Core
from dumpscan.search.merge import Collector
from dumpscan.search.run import search
from dumpscan.search.scanner import Scanner
from support.artifact_samples import Space
from support.core_bytes import CoreBytes
from support.tls_samples import BASE, SUITES, Session12, Session13, expand_label, noise

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

APPLICATION = ("CLIENT_TRAFFIC_SECRET_0", "SERVER_TRAFFIC_SECRET_0", "EXPORTER_SECRET")
HANDSHAKE = ("CLIENT_HANDSHAKE_TRAFFIC_SECRET", "SERVER_HANDSHAKE_TRAFFIC_SECRET")
HEAP = BASE + 0x10000
"""Where objects with secrets are put; keys are put at `BASE`."""


def _found(pieces: dict[int, bytes], detector: TlsDetector | None = None) -> dict[str, TlsSecret]:
    collector = Collector()
    Scanner((), (detector or TlsDetector()).detectors).scan(Space(pieces), collector)
    findings = [finding for finding in collector.findings() if isinstance(finding, TlsSecret)]
    assert len({finding.label for finding in findings}) == len(findings)
    return {finding.label: finding for finding in findings}


def _agree(found: dict[str, TlsSecret], session: Session13, labels: Iterable[str]) -> None:
    assert {label: finding.secret for label, finding in found.items()} == {
        label: session.secrets[label] for label in labels
    }


@pytest.mark.parametrize("name", SUITES)
def test_openssl_gives_every_secret_of_a_session_with_a_proof(name: str) -> None:
    session = Session13(SUITES[name])
    before = bytes(200) + session.server_random + session.client_random
    state = before + bytes(1508 - 32 - 512) + session.openssl() + bytes(64)  # as in OpenSSL 3.0 on Linux
    client = HEAP + 4 + len(before) + 1508 - 32
    found = _found({BASE: session.key_material() + bytes(64), HEAP: bytes(4) + state})
    _agree(found, session, (*APPLICATION, *HANDSHAKE))
    for finding in found.values():
        assert finding.proof
        assert (finding.version, finding.cipher_suite) == ("TLS 1.3", session.suite.name)
        assert finding.client_random == session.client_random.hex()
        assert finding.server_random == session.server_random.hex()
        assert not finding.random_proven  # no key follows from it alone
        assert [place.key_object.library for place in finding.locations if place.key_object] == ["openssl"]
        assert session.secrets[finding.label].hex() not in repr(finding)
    assert found["CLIENT_TRAFFIC_SECRET_0"].locations[0].virtual_address == client
    assert found[HANDSHAKE[0]].locations[0].encoding == "tls-secret-source"


@pytest.mark.parametrize("name", SUITES)
@pytest.mark.parametrize("updates", [(1, 0), (0, 1), (2, 5)])
def test_secrets_of_openssl_that_were_updated_lead_back_to_the_first(name: str, updates: tuple[int, int]) -> None:
    session = Session13(SUITES[name])
    first = dict(session.secrets)
    state = bytes(200) + session.server_random + session.client_random + bytes(1508 - 32 - 512) + session.openssl()
    for label, count in zip(APPLICATION, updates, strict=False):
        for _ in range(count):
            size = session.suite.size
            session.secrets[label] = expand_label(session.secrets[label], session.suite.hash, "traffic upd", size)
        state = state.replace(first[label], session.secrets[label])
    found = _found({BASE: session.key_material() + bytes(64), HEAP: bytes(4) + state + bytes(64)})
    newer = {
        f"{label[:-1]}N": session.secrets[label] for label, count in zip(APPLICATION, updates, strict=False) if count
    }
    assert {label: finding.secret for label, finding in found.items()} == {**first, **newer}
    assert {finding.client_random for finding in found.values()} == {session.client_random.hex()}


def test_randoms_of_openssl_1_1_1_are_in_an_object_of_their_own() -> None:
    session = Session13(SUITES["aes-256"])
    at = HEAP + 0x8000
    state = struct.pack("<2Q", 0x5000, at) + bytes(1000) + session.openssl() + bytes(64)
    randoms = bytes(152) + session.server_random + session.client_random + bytes(64)
    found = _found({BASE: session.key_material() + bytes(64), HEAP: state, at: randoms})
    _agree(found, session, (*APPLICATION, *HANDSHAKE))
    assert {finding.client_random for finding in found.values()} == {session.client_random.hex()}


@pytest.mark.parametrize("distance", [1500, 1520, 1524, 1600])
def test_randoms_of_openssl_are_found_where_another_version_has_them(distance: int) -> None:
    session = Session13(SUITES["aes-256"])
    before = noise(400, "code") + bytes(4) + session.server_random + session.client_random
    state = before + bytes(distance - 32 - 512 - 64) + noise(32, "id") + bytes(32) + session.openssl() + bytes(64)
    found = _found({BASE: session.key_material() + bytes(64), HEAP: state})
    assert {finding.client_random for finding in found.values()} == {session.client_random.hex()}


@pytest.mark.parametrize("name", SUITES)
def test_without_the_key_that_follows_nothing_is_a_secret(name: str) -> None:
    session = Session13(SUITES[name])
    other = Session13(SUITES[name], "another")
    assert not _found({BASE: other.key_material() + bytes(64), HEAP: bytes(64) + session.openssl()})


def test_hellos_whose_hash_is_the_transcript_prove_the_random() -> None:
    session = Session13(SUITES["aes-128"])
    messages = bytes(7) + session.client_hello + bytes(9) + session.server_hello + bytes(16)
    state = bytes(64) + session.openssl() + bytes(64)
    found = _found({BASE: session.key_material() + bytes(64), HEAP: state, HEAP + 0x8000: messages})
    _agree(found, session, (*APPLICATION, *HANDSHAKE))
    assert all(finding.random_proven for finding in found.values())
    assert {finding.client_random for finding in found.values()} == {session.client_random.hex()}


def test_boringssl_keeps_secrets_at_odd_addresses() -> None:
    session = Session13(SUITES["aes-256"])
    order = ("SERVER_TRAFFIC_SECRET_0", "CLIENT_TRAFFIC_SECRET_0", "EXPORTER_SECRET")
    arrays = b"".join(session.secrets[label].ljust(48, b"\0") + b"\x30" for label in order)
    gap = 240 - 32
    state = bytes(65) + session.server_random + session.client_random + bytes(gap) + arrays + bytes(64)
    found = _found({BASE: session.key_material() + bytes(64), HEAP: state})
    _agree(found, session, APPLICATION)
    assert {finding.client_random for finding in found.values()} == {session.client_random.hex()}


@pytest.mark.parametrize("algorithm", [0, 0x804])
def test_boringssl_keeps_its_own_secret_first_and_a_client_knows_how_its_peer_signed(algorithm: int) -> None:
    session = Session13(SUITES["aes-256"])
    own, other = ("CLIENT_TRAFFIC_SECRET_0", "SERVER_TRAFFIC_SECRET_0")[:: 1 if algorithm else -1]
    arrays = b"".join(session.secrets[label].ljust(48, b"\0") + b"\x30" for label in (own, other, "EXPORTER_SECRET"))
    at = HEAP + 0x4000
    state = bytes(64) + arrays + bytes(176 - len(arrays)) + struct.pack("<Q", at) + bytes(64)
    established = struct.pack("<IHHH", 1, 0x304, 0x1D, algorithm) + bytes(64)
    found = _found({BASE: session.key_material() + bytes(64), HEAP: state, at: established})
    _agree(found, session, APPLICATION)


@pytest.mark.parametrize("gap", [296, 224])
def test_rustls_leaves_the_randoms_behind_the_secrets_of_the_handshake(gap: int) -> None:
    session = Session13(SUITES["aes-128"])

    def arrays(labels: Iterable[str]) -> bytes:
        return b"".join(session.secrets[label].ljust(64, b"\0") + struct.pack("<Q", 32) for label in labels)

    begin = arrays(HANDSHAKE) + session.client_random + session.server_random
    state = begin.ljust(gap, b"\0") + arrays(APPLICATION) + bytes(64)
    copy = bytes(64) + arrays(APPLICATION) + bytes(64)  # of the secrets alone
    found = _found({BASE: session.key_material() + bytes(64), HEAP: copy, HEAP + 0x4000: bytes(64) + state})
    _agree(found, session, (*HANDSHAKE, *APPLICATION))
    assert {finding.client_random for finding in found.values()} == {session.client_random.hex()}
    assert {finding.server_random for finding in found.values()} == {session.server_random.hex()}


@pytest.mark.parametrize("name", SUITES)
def test_a_copy_of_the_clients_secret_leads_to_the_handshake_that_rustls_left(name: str) -> None:
    """There are two sessions, so that what is left cannot be told by being the only one."""
    sessions = Session13(SUITES[name]), Session13(SUITES[name], "another")
    pieces = {BASE: b"".join(each.key_material() for each in sessions) + bytes(64)}
    for number, session in enumerate(sessions):
        size = struct.pack("<Q", session.suite.size)
        arrays = {label: secret.ljust(64, b"\0") + size for label, secret in session.secrets.items()}
        application = b"".join(arrays[label] for label in APPLICATION)
        pieces[HEAP + 0x4000 * number] = bytes(64) + application + bytes(64)
        left = b"".join(arrays[label] for label in HANDSHAKE) + session.client_random + session.server_random
        pieces[HEAP + 0x10000 + 0x4000 * number] = bytes(64) + left.ljust(288, b"\0") + arrays[APPLICATION[0]] + b"\xff"
    collector = Collector()
    Scanner((), TlsDetector().detectors).scan(Space(pieces), collector)
    found = {each.secret: each for each in collector.findings() if isinstance(each, TlsSecret)}
    assert {secret: (each.label, each.client_random) for secret, each in found.items()} == {
        session.secrets[label]: (label, session.client_random.hex())
        for session in sessions
        for label in (*HANDSHAKE, *APPLICATION)
    }


@pytest.mark.parametrize("name", SUITES)
def test_s2n_has_the_random_of_the_client_by_itself(name: str) -> None:
    session = Session13(SUITES[name])
    client, server, exporter = (session.secrets[label].ljust(48, b"\0") for label in APPLICATION)
    resumption = noise(session.suite.size, "resumption").ljust(48, b"\0")
    arrays = client + server + resumption + exporter
    state = bytes(64) + arrays.ljust(2400, b"\0") + session.client_random + bytes(128)
    found = _found({BASE: session.key_material() + bytes(64), HEAP: state})
    _agree(found, session, APPLICATION)
    assert {finding.client_random for finding in found.values()} == {session.client_random.hex()}
    assert {finding.server_random for finding in found.values()} == {None}


def test_gnutls_keeps_the_secrets_of_the_handshake_before_those_of_the_application() -> None:
    session = Session13(SUITES["aes-128"])
    labels = (*HANDSHAKE, *APPLICATION)
    arrays = bytes(64) + b"".join(session.secrets[label].ljust(64, b"\0") for label in labels)
    state = bytes(16) + session.client_random + session.server_random + bytes(6084 - 64 - 192) + arrays + bytes(64)
    found = _found({BASE: session.key_material() + bytes(64), HEAP: state})
    _agree(found, session, labels)
    assert {finding.client_random for finding in found.values()} == {session.client_random.hex()}


def test_arrays_of_java_are_told_apart_by_their_order_behind_a_client_hello() -> None:
    session = Session13(SUITES["aes-128"])
    order = (*HANDSHAKE, "SERVER_TRAFFIC_SECRET_0", "CLIENT_TRAFFIC_SECRET_0")
    arrays = b"".join(struct.pack("<QII", 1, 0x6848, 32) + session.secrets[label] + bytes(64) for label in order)
    state = bytes(64) + session.client_hello + bytes(64 - len(session.client_hello) % 8) + arrays
    found = _found({BASE: session.key_material(*order) + bytes(64), HEAP: state})
    _agree(found, session, order)
    assert {finding.client_random for finding in found.values()} == {session.client_random.hex()}
    assert {place.key_object.library for each in found.values() for place in each.locations if place.key_object} == {
        "java"
    }


def test_arrays_of_java_are_told_apart_by_the_key_schedule_where_it_is_among_them() -> None:
    session, other = Session13(SUITES["aes-128"]), Session13(SUITES["aes-128"], "another")
    order = (*HANDSHAKE[::-1], *APPLICATION[1::-1])  # as in a client
    values = [session.handshake, session.hello_hash, *map(session.secrets.get, order[:2])]
    values += [session.master, other.hello_hash, session.finished_hash, *map(session.secrets.get, order[2:])]
    arrays = b"".join(struct.pack("<QII", 1, 0x6848, 32) + (value or b"") + bytes(4096) for value in values)
    state = bytes(64) + session.client_hello + bytes(64 - len(session.client_hello) % 8) + arrays
    proven = (*HANDSHAKE, "CLIENT_TRAFFIC_SECRET_0")  # the server has not sent anything yet
    found = _found({BASE: session.key_material(*proven) + bytes(64), HEAP: state})
    _agree(found, session, (*HANDSHAKE, *APPLICATION))
    assert {finding.client_random for finding in found.values()} == {session.client_random.hex()}
    assert all(any("master secret" in proof for proof in finding.proof) for finding in found.values())


def _arrays(*values: bytes) -> bytes:
    """Return arrays of Java, one behind the other."""
    return b"".join(struct.pack("<QII", 1, 0x6848, len(value)) + value + bytes(64) for value in values)


def test_where_java_collected_garbage_no_random_is_guessed() -> None:
    """Those of two sessions lie behind one ClientHello."""
    sessions = Session13(SUITES["aes-128"]), Session13(SUITES["aes-256"], "another")
    arrays = [_arrays(*(each.secrets[label] for label in APPLICATION[1::-1])) for each in sessions]
    keys = b"".join(each.key_material() for each in sessions) + bytes(64)
    collector = Collector()
    hello = sessions[0].client_hello + bytes(64 - len(sessions[0].client_hello) % 8)
    pieces = {BASE: keys, HEAP: bytes(64) + hello + b"".join(arrays)}
    Scanner((), TlsDetector().detectors).scan(Space(pieces), collector)
    found = [finding for finding in collector.findings() if isinstance(finding, TlsSecret)]
    assert len(found) == 4
    assert {each.client_random for each in found} == {None}


@pytest.mark.parametrize("others", [0, 1])
def test_the_only_client_hello_that_is_left_is_that_of_the_session_of_java_without_a_random(others: int) -> None:
    """It was allocated behind the secrets, by another thread. If there is another, none is chosen."""
    session = Session13(SUITES["aes-128"])
    hellos = [session.client_hello, *(Session13(SUITES["aes-128"], "another").client_hello for _ in range(others))]
    arrays = _arrays(*(session.secrets[label] for label in APPLICATION[1::-1]))
    state = bytes(64) + arrays + b"".join(hello + bytes(64 - len(hello) % 8) for hello in hellos)
    found = _found({BASE: session.key_material() + bytes(64), HEAP: state})
    assert {finding.secret for finding in found.values()} == {session.secrets[label] for label in APPLICATION[:2]}
    random = None if others else session.client_random.hex()
    assert {finding.client_random for finding in found.values()} == {random}


@pytest.mark.parametrize("answered", [False, True])
def test_a_client_hello_that_cannot_have_begun_a_session_gives_java_no_random(*, answered: bool) -> None:
    """A garbage collection moved the secrets of a session behind the ClientHello of another."""
    session, other = Session13(SUITES["aes-128"]), Session13(SUITES["aes-256"], "another")
    hellos = other.client_hello + bytes(64 - len(other.client_hello) % 8)
    if answered:
        hellos += other.server_hello + bytes(64 - len(other.server_hello) % 8)
    else:  # one of TLS 1.2
        body = b"\3\3" + noise(32, "random of 1.2") + b"\0\0\2\xc0\x2b\1\0" + bytes(40)
        hellos += b"\1" + len(body).to_bytes(3, "big") + body + bytes(64 - (len(body) + 4) % 8)
    arrays = _arrays(*(session.secrets[label] for label in APPLICATION[1::-1]))
    found = _found({BASE: session.key_material() + bytes(64), HEAP: bytes(64) + hellos + arrays})
    assert {finding.secret for finding in found.values()} == {session.secrets[label] for label in APPLICATION[:2]}
    assert {finding.client_random for finding in found.values()} == {None}


def test_secrets_of_a_handshake_in_java_are_told_by_the_keys_that_follow_from_them() -> None:
    session = Session13(SUITES["aes-128"])
    order = (*APPLICATION[1::-1], *HANDSHAKE)  # those in use were moved away from the others
    arrays = _arrays(*(session.secrets[label] for label in order), *map(session.finished, HANDSHAKE))
    state = bytes(64) + session.client_hello + bytes(64 - len(session.client_hello) % 8) + arrays
    found = _found({BASE: session.key_material(*order) + bytes(64), HEAP: state})
    _agree(found, session, order)
    assert {finding.client_random for finding in found.values()} == {session.client_random.hex()}


def test_nss_refers_to_secrets_by_the_numbers_of_objects() -> None:
    session = Session13(SUITES["aes-256"])
    pieces = {BASE: session.key_material() + bytes(64)}
    keys = b""
    for number, label in enumerate(APPLICATION):
        handle = 0x4B + number
        start = HEAP + 0x4000 * (3 - number)  # allocated in any order
        head = struct.pack("<Q", handle).ljust(1056 - 24, b"\0")
        value = start + 1056
        pieces[start] = head + struct.pack("<3Q", 0x11, value, 48) + session.secrets[label] + bytes(64)
        keys += struct.pack("<QQ", 0x402A, handle) + bytes(48)
    pieces[HEAP] = bytes(64) + keys
    pointers = {696 + at: HEAP + 64 + 64 * number for number, at in enumerate((0, 8, 24))}
    behind = b"".join(struct.pack("<Q", pointers.get(at, 0)) for at in range(32, 760, 8))
    pieces[HEAP + 0x20000] = bytes(64) + session.server_random + session.client_random + behind
    found = _found(pieces)
    _agree(found, session, APPLICATION)
    assert {finding.client_random for finding in found.values()} == {session.client_random.hex()}


def _rustls_13(session: Session13) -> tuple[bytes, bytes]:
    """Return the objects of a handshake and of its application."""
    size = struct.pack("<Q", session.suite.size)
    parts = {label: secret.ljust(64, b"\0") + size for label, secret in session.secrets.items()}
    handshake = b"".join(parts[label] for label in HANDSHAKE) + session.client_random + session.server_random
    return bytes(64) + handshake + bytes(64), bytes(64) + b"".join(parts[label] for label in APPLICATION) + bytes(64)


@pytest.mark.parametrize("name", SUITES)
def test_the_only_handshake_of_rustls_that_is_left_is_that_of_the_only_session(name: str) -> None:
    session, other = Session13(SUITES[name]), Session13(SUITES[name], "another")
    handshake, application = _rustls_13(session)
    pieces = {BASE: session.key_material() + bytes(64), HEAP: application, HEAP + 0x8000: handshake}
    found = _found(pieces)
    _agree(found, session, (*HANDSHAKE, *APPLICATION))
    assert {finding.client_random for finding in found.values()} == {session.client_random.hex()}
    assert not any(finding.random_proven for finding in found.values())
    found = _found({**pieces, HEAP + 0x10000: _rustls_13(other)[0]})
    _agree(found, session, APPLICATION)
    assert {finding.client_random for finding in found.values()} == {None}


def test_an_old_copy_of_rustls_with_something_else_in_a_secrets_place_is_no_session() -> None:
    session = Session13(SUITES["aes-128"])
    _, application = _rustls_13(session)
    old = bytes(64) + noise(32, "old").ljust(64, b"\0") + application[128:]
    for first, second in ((application, old), (old, application)):
        pieces = {HEAP: first, HEAP + 0x8000: second}
        _agree(_found({BASE: session.key_material() + bytes(64), **pieces}), session, APPLICATION)


@pytest.mark.parametrize("name", SUITES)
def test_wolfssl_points_to_its_randoms_before_its_secrets(name: str) -> None:
    session = Session13(SUITES[name])
    secrets = b"".join(session.secrets[label].ljust(48, b"\0") for label in APPLICATION[:2])
    arrays = bytes(0xC62) + session.client_random + session.server_random + bytes(300)
    pieces = {HEAP: bytes(64) + struct.pack("<Q", HEAP + 0x4000) + secrets + bytes(64), HEAP + 0x4000: arrays}
    found = _found({BASE: session.key_material() + bytes(64), **pieces})
    _agree(found, session, APPLICATION[:2])
    assert {finding.client_random for finding in found.values()} == {session.client_random.hex()}
    held = {place.key_object.library for each in found.values() for place in each.locations if place.key_object}
    assert held == {"wolfssl"}


def test_a_secret_by_itself_is_no_line_of_a_key_log() -> None:
    session = Session13(SUITES["aes-128"])
    state = bytes(64) + session.secrets["CLIENT_TRAFFIC_SECRET_0"] + bytes(64)
    found = _found({BASE: session.key_material() + bytes(64), HEAP: state})
    assert set(found) == {"TRAFFIC_SECRET_0"}
    assert found["TRAFFIC_SECRET_0"].client_random is None


SESSIONS_12 = (
    Session12(),
    Session12("gcm-32", "sha384"),
    Session12("cbc-16"),
    Session12("cbc-32", "sha384"),
    Session12("chacha20-32"),
)


@pytest.mark.parametrize("session", SESSIONS_12, ids=lambda session: f"{session.cipher} {session.hash}")
def test_a_session_of_openssl_is_proven_with_its_randoms(session: Session12) -> None:
    other = Session12(seed="another")
    pieces = {
        BASE: session.key_material() + bytes(64),
        HEAP: bytes(64) + session.openssl(),
        HEAP + 0x4000: other.randoms + bytes(256) + session.randoms,
    }
    found = _found(pieces)
    assert set(found) == {"CLIENT_RANDOM"}
    finding = found["CLIENT_RANDOM"]
    assert (finding.secret, finding.client_random) == (session.master, session.client_random.hex())
    assert (finding.server_random, finding.random_proven) == (session.server_random.hex(), True)
    assert finding.locations[0].virtual_address == HEAP + 64 + 80


@pytest.mark.parametrize("missing", ["keys", "randoms"])
def test_what_does_not_agree_is_no_session(missing: str) -> None:
    session, other = Session12(), Session12(seed="another")
    keys, randoms = (other if missing == what else session for what in ("keys", "randoms"))
    pieces = {
        BASE: keys.key_material() + bytes(64),
        HEAP: bytes(64) + session.openssl(),
        HEAP + 0x4000: randoms.randoms,
    }
    assert not _found(pieces)


def _gnutls(session: Session12) -> bytes:
    return bytes(64) + session.master + session.client_random + session.server_random + session.session_id + bytes(64)


def _mbedtls(session: Session12) -> bytes:
    head = bytes(64) + struct.pack("<Q", 32) + session.session_id + session.master + bytes(64)
    return head + session.randoms


def _mbedtls_with_ticket(session: Session12) -> bytes:
    head = bytes(64) + struct.pack("<iiQ", 0xC013, 0, 0) + bytes(32) + session.master + bytes(64)
    return head + session.randoms


def _rustls(session: Session12) -> bytes:
    return bytes(64) + session.client_random + session.server_random + session.master + bytes(64)


def _go(session: Session12) -> bytes:
    """Return a master secret among others, without an edge, and the seed of the key block."""
    masters = noise(480, "heap") + session.master + noise(480, "heap too")
    return bytes(64) + masters + bytes(64) + b"key expansion" + session.randoms[64:128] + bytes(3)


def _boringssl(session: Session12) -> bytes:
    return bytes(66) + b"\x03\x03\x1d\0\0\0" + session.master + b"\x30" + bytes(63) + session.randoms


def _boringssl_older(session: Session12) -> bytes:
    head = bytes(67) + b"\x03\x03\x1d\0\x04\x08\x30" + session.master + b"\x20" + session.session_id
    return head + bytes(65) + session.randoms


def _boringssl_older_with_ticket(session: Session12) -> bytes:
    return bytes(67) + b"\x03\x03\x1d\0\x04\x08\x30" + session.master + bytes(98) + session.randoms


def _schannel(session: Session12) -> bytes:
    head = bytes(64) + struct.pack("<I4sIIQI", 80, b"5lss", 0x303, 0, 0x7FF0_0000_1000, 1)
    return head + session.master + bytes(64) + session.randoms


def _wolfssl(session: Session12) -> bytes:
    head = bytes(66) + session.client_random + session.server_random + session.session_id + b"\x20"
    return head + bytes(209 - 97) + session.master + bytes(64)


def _wolfssl_with_ticket(session: Session12) -> bytes:
    return bytes(66) + session.client_random + session.server_random + bytes(209 - 64) + session.master + bytes(64)


def _java(session: Session12) -> bytes:
    head = bytes(64) + struct.pack("<QII", 1, 0x6848, 48) + session.master + bytes(64)
    return head + session.randoms


@pytest.mark.parametrize(
    "build",
    [
        _gnutls,
        _mbedtls,
        _mbedtls_with_ticket,
        _boringssl,
        _boringssl_older,
        _boringssl_older_with_ticket,
        _java,
        _go,
        _schannel,
        _wolfssl,
        _wolfssl_with_ticket,
    ],
)
@pytest.mark.parametrize("session", SESSIONS_12, ids=lambda session: f"{session.cipher} {session.hash}")
def test_a_session_of_another_library_is_proven_too(build: object, session: Session12) -> None:
    found = _found({BASE: session.key_material() + bytes(64), HEAP: build(session)})  # type: ignore[operator]
    assert {label: finding.secret for label, finding in found.items()} == {"CLIENT_RANDOM": session.master}
    assert found["CLIENT_RANDOM"].client_random == session.client_random.hex()


@pytest.mark.parametrize("session", [each for each in SESSIONS_12 if "cbc" not in each.cipher], ids=repr)
def test_a_session_of_rustls_is_proven_too(session: Session12) -> None:
    found = _found({BASE: session.key_material() + bytes(64), HEAP: _rustls(session)})
    assert found["CLIENT_RANDOM"].secret == session.master
    assert found["CLIENT_RANDOM"].client_random == session.client_random.hex()


@pytest.mark.parametrize("build", [_gnutls, _mbedtls, _boringssl, _java, _go, _rustls, _schannel])
def test_the_random_of_a_server_that_could_have_spoken_1_3_may_have_few_bytes_above_127(build: object) -> None:
    """One in 300 of them: a quarter of each is text."""
    session = Session12()
    others = bytes(byte & 127 or 1 for byte in noise(20, "server"))
    session.server_random = bytes((0x93, 0xA1, 0xB7, 0xC5)) + others + b"DOWNGRD\1"
    found = _found({BASE: session.key_material() + bytes(64), HEAP: build(session)})  # type: ignore[operator]
    assert found["CLIENT_RANDOM"].server_random == session.server_random.hex()


def test_an_object_of_schannel_is_told_by_its_magic_number() -> None:
    session = Session12("cbc-16")
    found = _found({BASE: session.key_material() + bytes(64), HEAP: _schannel(session)})
    held = [place.key_object for place in found["CLIENT_RANDOM"].locations if place.key_object]
    assert [(each.library, each.structure) for each in held] == [("schannel", "ssl5")]


def test_among_random_bytes_what_promises_most_is_tried_and_the_rest_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """Half a million windows, of which only a few may be tried."""
    monkeypatch.setattr("dumpscan.artifacts.tls.detector.MAX_DERIVED", 2000)
    session = Session13(SUITES["aes-256"])
    detector = TlsDetector()
    found = _found(
        {
            BASE: session.key_material() + bytes(64),
            HEAP: bytes(64) + session.openssl() + bytes(64),
            HEAP + 0x10000: noise(1 << 20, "noise"),
        },
        detector,
    )
    _agree(found, session, (*APPLICATION, *HANDSHAKE))
    (said,) = detector.left_out
    assert "not tried" in said
    assert int(said.split()[0].replace(",", "")) > 100_000


@pytest.mark.parametrize(("flags", "path", "found"), [(6, "/lib/a", True), (4, None, True), (4, "/lib/a", False)])
def test_secrets_are_not_looked_for_in_files_that_are_only_read(
    tmp_path: Path, flags: int, path: str | None, *, found: bool
) -> None:
    session = Session13(SUITES["aes-256"])
    made = CoreBytes().memory(BASE, session.key_material() + bytes(64))
    made.memory(HEAP, bytes(64) + session.openssl() + bytes(64), flags=flags)
    if path is not None:
        made.files((HEAP, HEAP + 0x10000, 0, path))
    file = tmp_path / "core"
    file.write_bytes(made.finish())
    collector = Collector()
    with Core(file) as core:
        assert not search(core, TLS, collector)
    assert bool(collector.findings()) == found


def test_windows_beyond_the_limit_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dumpscan.artifacts.tls.windows.MAX_WINDOWS", 100)
    detector = TlsDetector()
    assert not _found({HEAP: noise(1 << 18, "noise")}, detector)
    assert detector.searcher.untried > 1000
    assert detector.left_out


def test_memory_in_pieces_and_cut_short_raises_nothing() -> None:
    session = Session13(SUITES["aes-128"])
    state = bytes(64) + session.openssl() + session.client_hello + session.server_hello
    for size in (*range(1, 200, 7), len(state)):
        _found({BASE: session.key_material(), HEAP + len(state) - size: state[-size:]})
    halves = {HEAP: state[:333], HEAP + 333: state[333:]}
    _agree(_found({BASE: session.key_material() + bytes(64), **halves}), session, (*APPLICATION, *HANDSHAKE))
