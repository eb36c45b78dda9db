"""Captures: sessions in them, secrets that decrypt their records, and a live process whose session tshark decrypts."""

from __future__ import annotations

import shutil
import struct
import subprocess
from typing import TYPE_CHECKING

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from hypothesis import given, settings
from hypothesis import strategies as st

import dumpscan
from dumpscan.artifacts.registry import TLS
from dumpscan.artifacts.tls.recorded.records import read_capture
from dumpscan.exceptions import InputError
from dumpscan.findings import TlsSecret
from dumpscan.output.exports.key_files import export
from dumpscan.output.exports.key_log import KEY_LOG, key_log_lines
from dumpscan.search.merge import Collector
from dumpscan.search.run import search
from support.artifact_samples import Space
from support.core_bytes import CoreBytes
from support.tls_live import HOST, Live, connect, contexts, memory_of, pcap, server_pem, start

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from dumpscan.artifacts.tls.recorded.capture import Capture

dpkt = pytest.importorskip("dpkt")
KINDS = {
    "1.3": ("TLSv1_3", ""),
    "1.2 GCM": ("TLSv1_2", "ECDHE-ECDSA-AES128-GCM-SHA256"),
    "1.2 GCM SHA-384": ("TLSv1_2", "ECDHE-ECDSA-AES256-GCM-SHA384"),
    "1.2 ChaCha20": ("TLSv1_2", "ECDHE-ECDSA-CHACHA20-POLY1305"),
    "1.2 CBC": ("TLSv1_2", "ECDHE-ECDSA-AES128-SHA256:@SECLEVEL=0"),
}


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tls") / "server.pem"
    path.write_bytes(server_pem())
    return path


@pytest.fixture(scope="module", params=KINDS)
def live(request: pytest.FixtureRequest, certificate: Path) -> Iterator[Live]:
    process, found = start(certificate, *KINDS[request.param])
    yield found
    process.communicate()


def _capture(data: bytes, directory: Path) -> Capture:
    path = directory / "traffic.pcap"
    path.write_bytes(data)
    return read_capture(path)


def _found(dump: object, capture: Capture | None) -> list[TlsSecret]:
    collector = Collector()
    assert not search(dump, TLS.with_tls(capture), collector)  # type: ignore[arg-type]
    return [finding for finding in collector.findings() if isinstance(finding, TlsSecret)]


def _core(live: Live, directory: Path) -> Path:
    core = CoreBytes()
    try:
        for address, data in memory_of(live.pid):
            core.memory(address, data)
    except OSError as error:
        pytest.skip(f"the memory of another process cannot be read here: {error}")
    path = directory / "python.core"
    path.write_bytes(core.process(live.pid, "python").finish())
    return path


def test_the_sessions_of_a_capture(live: Live, tmp_path: Path) -> None:
    for link in (1, 101):
        (session,) = _capture(pcap(live.turns, link), tmp_path).sessions
        assert session.client_random.hex() == live.keys[0].split()[1]
        assert session.version == ("TLS 1.3" if len(live.keys) > 1 else "TLS 1.2")
        assert not session.resumed
        assert session.server_name == HOST
        assert bool(session.certificate) == (session.version == "TLS 1.2")
        assert session.client
        assert session.server


def test_pcapng_says_the_same(live: Live, tmp_path: Path) -> None:
    plain = tmp_path / "plain.pcap"
    plain.write_bytes(pcap(live.turns))
    path = tmp_path / "traffic.pcapng"
    with plain.open("rb") as file, path.open("wb") as target:
        writer = dpkt.pcapng.Writer(target)
        for moment, packet in dpkt.pcap.Reader(file):
            writer.writepkt(packet, moment)
    assert read_capture(path).sessions == read_capture(plain).sessions


@pytest.mark.parametrize("order", "<>")
def test_packets_of_pcapng_are_read_by_the_links_of_their_interfaces(live: Live, tmp_path: Path, order: str) -> None:
    def block(kind: int, body: bytes) -> bytes:
        body += bytes(-len(body) % 4)
        length = struct.pack(order + "I", 12 + len(body))
        return struct.pack(order + "I", kind) + length + body + length

    def packet(interface: int, data: bytes) -> bytes:
        return block(6, struct.pack(order + "5I", interface, 0, 0, len(data), len(data)) + data)

    plain = tmp_path / "plain.pcap"
    plain.write_bytes(pcap(live.turns, 101))
    parts = [block(0x0A0D0D0A, struct.pack(order + "IHHq", 0x1A2B3C4D, 1, 0, -1))]
    parts += [block(1, struct.pack(order + "HHI", link, 0, 65535)) for link in (105, 1, 101)]
    parts += [packet(0, b"a frame of a wireless network"), packet(7, b"of no interface")]
    with plain.open("rb") as file:
        parts += [packet(2, data) for _, data in dpkt.pcap.Reader(file)]
    capture = _capture(b"".join(parts), tmp_path)
    assert [session.client_random.hex() for session in capture.sessions] == [live.keys[0].split()[1]]
    assert capture.problems == ("1 of the capture's packets are of link type 105, which is not read",)
    cut = _capture(b"".join(parts)[:-3], tmp_path)
    assert cut.sessions
    assert any("damaged" in problem for problem in cut.problems)


def test_a_capture_that_ends_within_a_packet_says_so(live: Live, tmp_path: Path) -> None:
    capture = _capture(pcap(live.turns)[:-3], tmp_path)
    assert capture.sessions
    assert any("damaged" in problem for problem in capture.problems)


def test_a_secret_without_its_keys_is_proven_by_a_record(live: Live, tmp_path: Path) -> None:
    """The memory holds nothing but secrets."""
    labels = ("CLIENT_RANDOM", "CLIENT_TRAFFIC_SECRET_0", "SERVER_TRAFFIC_SECRET_0")
    lines = [line.split() for line in live.keys if line.split()[0] in labels]
    memory = b"".join(bytes(64) + bytes.fromhex(secret) for _, _, secret in lines) + bytes(64)
    capture = _capture(pcap(live.turns), tmp_path)
    found = _found_in_space(memory, capture)
    assert {(each.label, each.client_random, each.secret.hex()) for each in found} == {tuple(line) for line in lines}
    assert all(each.random_proven for each in found)
    assert all("it decrypts a record of the capture" in each.proof for each in found)
    assert not _found_in_space(memory, None)


def _found_in_space(memory: bytes, capture: Capture | None) -> list[TlsSecret]:
    from dumpscan.artifacts.tls.detector import TlsDetector  # noqa: PLC0415 - only here
    from dumpscan.search.scanner import Scanner  # noqa: PLC0415 - only here

    collector = Collector()
    Scanner((), TlsDetector(capture).detectors).scan(Space({0x10000: memory}), collector)
    return [finding for finding in collector.findings() if isinstance(finding, TlsSecret)]


def test_the_log_of_a_live_process_has_the_right_secrets(live: Live, certificate: Path, tmp_path: Path) -> None:
    with dumpscan.open_dump(_core(live, tmp_path)) as dump:
        found = _found(dump, None)
        proven = _found(dump, _capture(pcap(live.turns), tmp_path))
    truth = {line.split()[2]: tuple(line.split()[:2]) for line in live.keys}
    wanted = {secret for secret, (label, _) in truth.items() if "HANDSHAKE" not in label}
    for findings in (found, proven):
        assert wanted <= {each.secret.hex() for each in findings} <= set(truth)
        assert {(each.label, each.client_random) for each in findings} <= set(truth.values())
    assert all(each.random_proven for each in proven)
    assert {each.server_name for each in (*found, *proven)} == {HOST}
    assert {each.resumed for each in found} == {None}
    assert {each.resumed for each in proven} == {False}
    thumbprint = x509.load_pem_x509_certificate(certificate.read_bytes()).fingerprint(hashes.SHA1()).hex().upper()  # noqa: S303 - as Windows names certificates
    assert {(each.peer_thumbprint, each.peer_subject) for each in proven} == {(thumbprint, f"CN={HOST}")}


def test_a_session_of_1_2_and_what_resumes_it_have_a_line_each(certificate: Path, tmp_path: Path) -> None:
    """They have the same secret, and randoms of their own."""
    client, server = contexts(str(certificate), "TLSv1_2", "ECDHE-ECDSA-AES128-GCM-SHA256")
    client.keylog_filename = str(tmp_path / "truth.log")
    (first, _), turns = connect(client, server)
    (second, _), others = connect(client, server, first.session)
    assert second.session_reused
    lines = [line.split() for line in (tmp_path / "truth.log").read_text().splitlines() if line[:1] == "C"]
    assert len({secret for _, _, secret in lines}) == 1
    capture = _capture(pcap(turns) + pcap(others, used=(40001, 8443))[24:], tmp_path)
    assert [session.resumed for session in capture.sessions] == [False, True]
    found = _found_in_space(bytes(64) + bytes.fromhex(lines[0][2]) + bytes(64), capture)
    assert {(each.label, each.client_random, each.secret.hex()) for each in found} == {tuple(line) for line in lines}
    assert {each.client_random: each.resumed for each in found} == {lines[0][1]: False, lines[1][1]: True}
    logged = b"\n".join(key_log_lines(found)).decode()
    assert all(" ".join(line) in logged for line in lines)


def test_tshark_decrypts_the_capture_of_a_live_process_with_the_log(live: Live, tmp_path: Path) -> None:
    tshark = shutil.which("tshark")
    if tshark is None:
        pytest.skip("no tshark on this machine")
    (tmp_path / "traffic.pcap").write_bytes(pcap(live.turns))
    with dumpscan.open_dump(_core(live, tmp_path)) as dump:
        export(_found(dump, None), tmp_path / "out", None)

    def shown(log: Path) -> str:
        options = ["-o", f"tls.keylog_file:{log}", "-d", "tcp.port==8443,tls"]
        command = [
            tshark,
            "-r",
            tmp_path / "traffic.pcap",
            *options,
            "-Y",
            "http",
            "-T",
            "fields",
            "-e",
            "http.request.uri",
        ]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=120).stdout

    assert "/secret" in shown(tmp_path / "out" / KEY_LOG)
    assert "/secret" not in shown(tmp_path / "no.log")


def test_what_is_no_capture_is_refused(tmp_path: Path) -> None:
    for data in (b"", b"MDMP" + bytes(100), struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 250)):
        with pytest.raises(InputError):
            _capture(data, tmp_path)


def test_a_damaged_capture_is_read_up_to_the_damage(live: Live, tmp_path: Path) -> None:
    whole = pcap(live.turns)
    assert len(_capture(whole, tmp_path).sessions) == 1
    huge = whole + struct.pack("<IIII", 1, 0, 0xFFFFFFF0, 0xFFFFFFF0)
    capture = _capture(huge, tmp_path)
    assert len(capture.sessions) == 1
    assert any("damaged" in problem for problem in capture.problems)


@settings(max_examples=60)
@given(st.data())
def test_no_capture_raises_anything_else(data: st.DataObject) -> None:
    import tempfile  # noqa: PLC0415 - a fixture is not made anew for each example
    from pathlib import Path  # noqa: PLC0415 - as above

    hello = b"\x16\x03\x01\0\x40\x01\0\0\x3c\x03\x03" + bytes(40)
    whole = bytearray(pcap([(0, hello), (1, hello), (1, data.draw(st.binary(max_size=60)))]))
    for _ in range(data.draw(st.integers(0, 8))):
        whole[data.draw(st.integers(24, len(whole) - 1))] = data.draw(st.integers(0, 255))
    with tempfile.TemporaryDirectory() as directory:
        _capture(bytes(whole[: data.draw(st.integers(24, len(whole)))]), Path(directory))
