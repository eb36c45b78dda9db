from __future__ import annotations

import os
import stat
import string
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dumpscan.case.records import CaseError, Exposure
from dumpscan.case.store.reader import Case
from dumpscan.case.store.writer import CaseWriter
from dumpscan.findings import Certificate, Finding, Location, PrivateKey, Process, Status, TlsSecret
from dumpscan.search.pairs import with_pairs
from support import output_samples as samples
from support.case_samples import BEGUN, DONE, result, write_case

if TYPE_CHECKING:
    from collections.abc import Callable

A, B = "/dumps/a.dmp", "/dumps/b.dmp"
EVERYTHING = tuple(
    {
        finding.identity: finding
        for finding in (
            *samples.findings(),
            samples.symmetric_key(),
            samples.public_key(samples.rsa_key(), 0xFFFFF80000001000),
            samples.raw_certificate(),
        )
    }.values()
)


def by_identity(found: list[Finding]) -> dict[tuple[str, str], Finding]:
    named = {finding.identity: finding for finding in found}
    assert len(named) == len(found)
    return named


def certificate_and_key() -> tuple[Certificate, PrivateKey]:
    web, key = samples.findings()[:2]
    assert isinstance(web, Certificate)
    assert isinstance(key, PrivateKey)
    return web, key


def test_what_goes_in_comes_out(tmp_path: Path) -> None:
    given_result = result(A, *EVERYTHING, problems=("cut short",), status=Status.DAMAGED)
    with Case.open(write_case(tmp_path / "case.db", given_result), secrets=True) as case:
        assert case.dumps() == [given_result.record]
        assert by_identity(list(case.findings())) == by_identity(with_pairs(given_result.findings))
        assert case.created is not None


def test_key_material_is_handed_out_only_when_asked_for(tmp_path: Path) -> None:
    path = write_case(tmp_path / "case.db", result(A, *EVERYTHING))
    with Case.open(path) as case:
        for finding in case.findings():
            for name in ("pkcs8", "key", "data"):
                assert getattr(finding, name, b"") == b""


def test_key_material_that_is_not_given_is_nowhere_in_the_file(tmp_path: Path) -> None:
    _, key = certificate_and_key()
    path = write_case(tmp_path / "case.db", result(A, replace(key, pkcs8=b"")))
    assert key.pkcs8[100:200] not in path.read_bytes()
    with Case.open(path, secrets=True) as case:
        (found,) = case.findings("private_key")
        assert isinstance(found, PrivateKey)
        assert found.pkcs8 == b""
    with_secret = write_case(tmp_path / "with.db", result(A, key))
    assert key.pkcs8[100:200] in with_secret.read_bytes()
    # A dump that is read again without its keys: they are gone from the file, too.
    write_case(with_secret, result(A))
    assert key.pkcs8[100:200] not in with_secret.read_bytes()


def test_key_material_that_is_dropped_is_overwritten(tmp_path: Path) -> None:
    """Its page stays in the file, for others are still on it: SQLite would only forget where the key lies."""
    _, key = certificate_and_key()
    material = [bytes([65 + number]) * 200 for number in range(8)]
    keys = [replace(key, key_id=f"{number:064x}", pkcs8=each) for number, each in enumerate(material)]
    path = write_case(tmp_path / "case.db", *(result(f"/dumps/{number}", each) for number, each in enumerate(keys)))
    assert all(each in path.read_bytes() for each in material)
    write_case(path, result("/dumps/3"), result("/dumps/5"))
    kept = path.read_bytes()
    assert [number for number, each in enumerate(material) if each in kept] == [0, 1, 2, 4, 6, 7]


@pytest.mark.skipif(os.name == "nt", reason="modes are POSIX's")
def test_only_the_owner_may_read_it(tmp_path: Path) -> None:
    path = tmp_path / "case.db"
    with CaseWriter.open(path) as writer:
        writer.add(result(A, *EVERYTHING))
        for file in tmp_path.iterdir():
            assert stat.S_IMODE(file.stat().st_mode) == 0o600, file
    path.chmod(0o644)
    write_case(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_key_and_its_certificate_in_different_dumps_are_a_pair(tmp_path: Path) -> None:
    web, key = certificate_and_key()
    path = write_case(
        tmp_path / "case.db", result(A, replace(key, certificates=())), result(B, replace(web, private_keys=()))
    )
    with Case.open(path) as case:
        (certificate,) = case.findings("certificate")
        (private,) = case.findings("private_key")
        assert isinstance(certificate, Certificate)
        assert isinstance(private, PrivateKey)
        assert certificate.private_keys == (key.key_id,)
        assert [ref.thumbprint for ref in private.certificates] == [web.thumbprint]
        assert [place.file for place in certificate.locations] == [B]
        assert {found.identity for found in case.keyed(key.key_id[:8])} == {web.identity, key.identity}
        assert {found.identity for found in case.certificates(web.thumbprint[:9].lower())} == {
            web.identity,
            key.identity,
        }
        assert [found.identity for found in case.findings(dump=A)] == [key.identity]
        assert case.identities([B]) == {web.identity}


def test_the_order_of_reading_changes_nothing(tmp_path: Path) -> None:
    one, two = result(A, *EVERYTHING[:4]), result(B, *EVERYTHING[2:])
    first = write_case(tmp_path / "first.db", one, two)
    second = write_case(tmp_path / "second.db", two, one)
    with Case.open(first, secrets=True) as a, Case.open(second, secrets=True) as b:
        assert list(a.findings()) == list(b.findings())
        assert a.dumps() == b.dumps()


def test_places_in_several_dumps_add_up(tmp_path: Path) -> None:
    web, _ = certificate_and_key()
    many = replace(web, location_count=1000)
    with Case.open(write_case(tmp_path / "case.db", result(B, many), result(A, web))) as case:
        (found,) = case.findings()
        assert found.location_count == 1000 + len(web.locations)
        assert [place.file for place in found.locations] == [A] * len(web.locations) + [B] * len(web.locations)


def test_a_dump_that_is_read_again_is_replaced(tmp_path: Path) -> None:
    web, key = certificate_and_key()
    path = write_case(
        tmp_path / "case.db", result(A, web, key), result(B, web), result(A, status=Status.UNREADABLE, processes=())
    )
    with Case.open(path) as case:
        assert [finding.identity for finding in case.findings()] == [web.identity]
        assert [(dump.path, dump.status.value) for dump in case.dumps()] == [(A, "unreadable"), (B, "ok")]
        orphans = "SELECT count(*) FROM findings WHERE id NOT IN (SELECT finding_id FROM sightings)"
        assert case._connection.execute(orphans).fetchone() == (0,)
        assert case._connection.execute("SELECT count(*) FROM processes").fetchone() == (1,)


def test_a_dump_is_added_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    web, key = certificate_and_key()
    path = tmp_path / "case.db"
    with CaseWriter.open(path) as writer:
        writer.add(result(A, web))
        before = writer.known()

        def fail(*_: object) -> str:
            raise KeyboardInterrupt

        monkeypatch.setattr("dumpscan.case.store.rows.sighting_row", fail)
        for name in (A, B):
            with pytest.raises(KeyboardInterrupt):
                writer.add(result(name, key))
        assert writer.known() == before
    with Case.open(path) as case:
        assert [finding.identity for finding in case.findings()] == [web.identity]


def test_a_reader_sees_one_moment(tmp_path: Path) -> None:
    path = tmp_path / "case.db"
    with CaseWriter.open(path) as writer:
        writer.add(result(A))
        with Case.open(path) as case:
            writer.add(result(B))
            assert [dump.path for dump in case.dumps()] == [A]


def test_processes_are_told_apart_by_time_and_name(tmp_path: Path) -> None:
    web, _ = certificate_and_key()
    earlier = replace(samples.PROCESS, created=datetime(2024, 1, 1, tzinfo=UTC), name="old.exe")
    kernel = Process(pid=4, name="kernel", architecture="x64")
    system = Process(pid=4, name="System")
    places = tuple(
        replace(samples.place(0x1000 + at, b"x"), process=process)
        for at, process in enumerate((samples.PROCESS, earlier, kernel, Process(pid=99)))
    )
    found = replace(web, locations=places)
    path = write_case(tmp_path / "case.db", result(A, found, processes=(earlier, samples.PROCESS, system)))
    with Case.open(path) as case:
        (read,) = case.findings()
        known = [place.process for place in read.locations]
    assert known == [samples.PROCESS, earlier, Process(pid=4, name="kernel"), Process(pid=99)]


def test_an_archive_counts_once_however_many_dumps_lie_in_it(tmp_path: Path) -> None:
    dumps = [result(name) for name in ("/a.zip!one.dmp", "/a.zip!two.dmp", "/b.zip!one.dmp", A)]
    with Case.open(write_case(tmp_path / "case.db", *dumps)) as case:
        assert case.summary().bytes == 3000


def test_the_worst_key_comes_first(tmp_path: Path) -> None:
    web, key, old, old_key, alone = samples.findings()[:5]
    path = write_case(tmp_path / "case.db", result(A, alone, old, old_key, key, web), result(B, alone))
    with Case.open(path) as case:
        exposed = case.exposed_keys(samples.NOW)
        assert [each.exposure for each in exposed] == [Exposure.LIVE, Exposure.PAIRED, Exposure.ALONE]
        assert [each.key.identity for each in exposed] == [key.identity, old_key.identity, alone.identity]
        assert [each.dump_count for each in exposed] == [1, 1, 2]
        assert [found.identity for found in exposed[0].certificates] == [web.identity]
        summary = case.summary(samples.NOW)
    assert summary.keys == {Exposure.LIVE: 1, Exposure.PAIRED: 1, Exposure.ALONE: 1, Exposure.UNPROVEN: 0}
    assert summary.findings["certificate"] == 2
    assert (summary.live_certificates, summary.expired_certificates) == (1, 1)
    assert summary.dumps == {Status.OK: 2}
    assert (summary.first, summary.last, summary.bytes) == (BEGUN, DONE, 2000)


def test_an_empty_case_can_be_asked_everything(tmp_path: Path) -> None:
    with Case.open(write_case(tmp_path / "case.db")) as case:
        assert case.dumps() == []
        assert list(case.findings()) == []
        assert case.exposed_keys() == []
        assert case.summary().first is None
        assert case.dump("x") is None


@pytest.mark.parametrize("content", [b"", b"text", b"SQLite format 3\x00" + bytes(100), None])
def test_what_is_no_case_file_is_refused(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "case.db"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(CaseError, match=r"case\.db"):
        Case.open(path)


_TEXT = st.none() | st.text(st.characters(exclude_categories=()), max_size=12)
_NUMBER = st.none() | st.integers(0, (1 << 70) - 1)
_TIME = st.none() | st.datetimes(timezones=st.just(UTC))
_PROCESSES = st.builds(
    Process,
    pid=_NUMBER,
    name=_TEXT,
    parent_pid=_NUMBER,
    executable=_TEXT,
    command_line=_TEXT,
    environment=st.lists(st.text(st.characters(exclude_categories=()), max_size=12), max_size=4).map(tuple),
    architecture=st.sampled_from([None, "x64"]),
    session=_NUMBER,
    wow64=st.sampled_from([None, True, False]),
    created=_TIME,
    exited=_TIME,
    notes=st.lists(st.text(string.printable), max_size=2).map(tuple),
)
_ADDRESS = st.none() | st.integers(0, (1 << 64) - 1)
_LOCATIONS = st.builds(
    Location,
    file=st.just(A),
    virtual_address=_ADDRESS,
    length=st.integers(0, 1 << 66),
    extents=st.lists(st.tuples(st.integers(0, 1 << 62), st.integers(0, 1 << 62)), max_size=3).map(tuple),
    sha256=st.just("00" * 32),
    encoding=st.sampled_from(["der", "pem"]),
    physical_address=_ADDRESS,
    region=st.none() | st.tuples(st.integers(0, (1 << 64) - 1), st.integers(0, 1 << 66)),
    module=_TEXT,
    missing=st.integers(0, 100),
    key_object=st.sampled_from([None, samples.KEY_OBJECT]),
)


@settings(max_examples=60, deadline=None)
@given(processes=st.lists(_PROCESSES, max_size=3), places=st.lists(_LOCATIONS, min_size=1, max_size=4))
def test_whatever_a_dump_holds_comes_out_as_it_went_in(processes: list[Process], places: list[Location]) -> None:
    web, _ = certificate_and_key()
    strange = replace(
        web,
        locations=tuple(places),
        location_count=len(places),
        subject="\ud800\x00\u202e",
        public_key_exponent=1 << 2000,
    )
    given_result = result(A, strange, processes=tuple(processes))
    with TemporaryDirectory() as directory:
        path = write_case(Path(directory) / "case.db", given_result)
        with Case.open(path) as case:
            assert case.dumps() == [given_result.record]
            (read,) = case.findings()
            assert replace(read, private_keys=()) == replace(strange, private_keys=())


@pytest.mark.parametrize("open_case", [Case.open, CaseWriter.open])
@pytest.mark.parametrize(("name", "problem"), [("a" * 300, "File name too long"), ("a\0b", "null byte")])
def test_an_impossible_name_is_said_to_be_one(
    tmp_path: Path, open_case: Callable[[Path], object], name: str, problem: str
) -> None:
    with pytest.raises(CaseError, match=problem):
        open_case(tmp_path / name)


def test_what_only_one_dump_tells_of_a_tls_secret_is_kept(tmp_path: Path) -> None:
    whole = replace(samples.tls_secret(), label="CLIENT_TRAFFIC_SECRET_0")
    client = replace(whole, client_random="ee" * 32, random_proven=False, resumed=None)
    server = replace(whole, server_name=None, cipher_suite=None, peer_subject=None, peer_thumbprint=None)
    for name, order in (("one.db", (client, server)), ("other.db", (server, client))):
        with Case.open(write_case(tmp_path / name, result(A, order[0]), result(B, order[1]))) as case:
            (found,) = case.findings()
        assert isinstance(found, TlsSecret)
        told = ("client_random", "random_proven", "server_name", "cipher_suite", "peer_subject", "resumed")
        assert [getattr(found, field) for field in told] == [getattr(whole, field) for field in told]
