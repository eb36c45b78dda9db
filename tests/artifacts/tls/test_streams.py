"""Captures as they are: packets lost, repeated and out of order, over all sorts of links, behind other protocols."""

from __future__ import annotations

import random
import struct
from typing import TYPE_CHECKING

import pytest

from dumpscan.artifacts.tls.recorded import streams
from dumpscan.artifacts.tls.recorded.records import read_capture
from dumpscan.artifacts.tls.recorded.streams import Stream
from support.tls_live import CLIENT, PORTS, SERVER, connect, contexts, server_pem

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from dumpscan.artifacts.tls.recorded.capture import Capture

pytest.importorskip("dpkt")
Segment = tuple[int, int, int, bytes]
"""Who sends (0 is the client), the sequence number, the flags, the data."""
SYN, ACK = 2, 16
IPV4, IPV6, VLAN = b"\x08\0", b"\x86\xdd", b"\x81\0"


@pytest.fixture(scope="module")
def turns(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[int, bytes]]:
    path = tmp_path_factory.mktemp("tls") / "server.pem"
    path.write_bytes(server_pem())
    client, server = contexts(str(path), "TLSv1_2", "ECDHE-ECDSA-AES128-GCM-SHA256")
    return connect(client, server)[1]


def _segments(turns: list[tuple[int, bytes]], first: tuple[int, int] = (1000, 0xFFFFFF00)) -> list[Segment]:
    """Return a connection in small segments; the server's numbers begin again at 0 on the way."""
    numbers = list(first)
    found: list[Segment] = [(0, numbers[0], SYN, b""), (1, numbers[1], SYN | ACK, b"")]
    numbers = [number + 1 for number in numbers]
    for side, data in turns:
        for at in range(0, len(data), 200):
            part = data[at : at + 200]
            found.append((side, numbers[side] & 0xFFFFFFFF, ACK, part))
            numbers[side] += len(part)
    return found


def _tcp(segment: Segment, ports: tuple[int, int] = PORTS) -> bytes:
    side, number, flags, data = segment
    ends = ports if side == 0 else ports[::-1]
    return struct.pack(">HHIIBBHHH", *ends, number, 0, 5 << 4, flags, 65535, 0, 0) + data


def _ipv4(segment: Segment, ports: tuple[int, int] = PORTS) -> bytes:
    tcp = _tcp(segment, ports)
    ends = (CLIENT, SERVER) if segment[0] == 0 else (SERVER, CLIENT)
    return struct.pack(">BBHHHBBH4s4s", 0x45, 0, 20 + len(tcp), 0, 0, 64, 6, 0, *ends) + tcp


def _ipv6(segment: Segment) -> bytes:
    tcp = _tcp(segment)
    ends = (CLIENT, SERVER) if segment[0] == 0 else (SERVER, CLIENT)  # filled up to 16 bytes
    return struct.pack(">IHBB16s16s", 6 << 28, len(tcp), 6, 64, *ends) + tcp


LINKS: dict[str, tuple[int, Callable[[Segment], bytes]]] = {
    "ethernet": (1, lambda segment: bytes(12) + IPV4 + _ipv4(segment)),
    "IPv6": (1, lambda segment: bytes(12) + IPV6 + _ipv6(segment)),
    "VLAN": (1, lambda segment: bytes(12) + VLAN + b"\0\x05" + IPV4 + _ipv4(segment)),
    "VLAN in VLAN": (1, lambda segment: bytes(12) + b"\x88\xa8\0\x07" + VLAN + b"\0\x05" + IPV6 + _ipv6(segment)),
    "padded": (1, lambda segment: bytes(12) + IPV4 + _ipv4(segment) + b"\xee" * 20),
    "loopback": (0, lambda segment: struct.pack("<I", 2) + _ipv4(segment)),
    "cooked": (113, lambda segment: bytes(14) + IPV4 + _ipv4(segment)),
    "cooked 2": (276, lambda segment: IPV4 + bytes(18) + _ipv4(segment)),
    "plain": (101, _ipv4),
    "plain IPv6": (101, _ipv6),
    "IPv6 only": (229, _ipv6),
}


def _pcap(packets: list[bytes], link: int = 101, order: str = "<", magic: int = 0xA1B2C3D4, most: int = 65535) -> bytes:
    head = struct.pack(order + "IHHiIII", magic, 2, 4, 0, 0, most, link)
    cut = [(packet[:most], len(packet)) for packet in packets]
    return head + b"".join(struct.pack(order + "IIII", 1, 0, len(part), size) + part for part, size in cut)


def _read(data: bytes, directory: Path) -> Capture:
    path = directory / "traffic.pcap"
    path.write_bytes(data)
    return read_capture(path)


def _whole(capture: Capture, count: int = 1) -> bool:
    return len(capture.sessions) == count and all(each.client and each.server for each in capture.sessions)


@pytest.mark.parametrize("name", LINKS)
def test_packets_of_a_link(turns: list[tuple[int, bytes]], tmp_path: Path, name: str) -> None:
    link, frame = LINKS[name]
    capture = _read(_pcap([frame(each) for each in _segments(turns)], link), tmp_path)
    assert _whole(capture)
    assert not capture.problems
    assert capture.sessions[0].certificate


@pytest.mark.parametrize(("order", "magic"), [("<", 0xA1B2C3D4), (">", 0xA1B2C3D4), ("<", 0xA1B23C4D)])
def test_pcap_of_either_order_and_clock(turns: list[tuple[int, bytes]], tmp_path: Path, order: str, magic: int) -> None:
    assert _whole(_read(_pcap([_ipv4(each) for each in _segments(turns)], 101, order, magic), tmp_path))


def _shuffled(segments: list[Segment]) -> list[Segment]:
    chance = random.Random(7)  # noqa: S311 - the same each time
    return [*segments[:2], *sorted(segments[2:], key=lambda each: segments.index(each) + 6 * chance.random())]


def _repeated(segments: list[Segment]) -> list[Segment]:
    return [each for segment in segments for each in (segment, segment)]


def _joined(segments: list[Segment]) -> list[Segment]:
    """Send each with what was sent before, and later alone."""
    found = []
    for segment in segments:
        before = next((each for each in reversed(found) if each[0] == segment[0] and each[3]), None)
        if before is not None and (before[1] + len(before[3])) & 0xFFFFFFFF == segment[1]:
            found.append((segment[0], before[1], segment[2], before[3] + segment[3]))
        else:
            found.append(segment)
    return found


@pytest.mark.parametrize("change", [_shuffled, _repeated, _joined, lambda each: each[2:]])
def test_segments_are_put_in_order(
    turns: list[tuple[int, bytes]], tmp_path: Path, change: Callable[[list[Segment]], list[Segment]]
) -> None:
    segments = change(_segments(turns))
    assert _whole(_read(_pcap([_ipv4(each) for each in segments]), tmp_path))


def test_what_is_lost_ends_a_stream(turns: list[tuple[int, bytes]], tmp_path: Path) -> None:
    segments = _segments(turns)
    certificate = next(number for number, each in enumerate(segments) if each[0] == 1 and each[3]) + 1
    capture = _read(_pcap([_ipv4(each) for each in segments[:certificate] + segments[certificate + 1 :]]), tmp_path)
    (session,) = capture.sessions
    assert session.client
    assert not session.server
    assert not session.certificate


def test_packets_that_were_recorded_in_part_are_no_reason_to_fail(
    turns: list[tuple[int, bytes]], tmp_path: Path
) -> None:
    packets = [_ipv4(each) for each in _segments(turns)]
    assert _whole(_read(_pcap(packets, most=240), tmp_path))
    for most in (0, 10, 20, 40, 60, 100, 200):
        assert len(_read(_pcap(packets, most=most), tmp_path).sessions) <= 1


@pytest.mark.parametrize(
    ("asked", "answered"),
    [
        (b"CONNECT a.example:443 HTTP/1.1\r\n\r\n", b"HTTP/1.1 200 OK\r\n\r\n"),
        (b"\0\0\0\x08\x04\xd2\x16\x2f", b"S"),
        (b"EHLO a\r\nSTARTTLS\r\n", b"220 mail\r\n250 STARTTLS\r\n220 go ahead\r\n"),
    ],
)
def test_tls_may_begin_behind_another_protocol(
    turns: list[tuple[int, bytes]], tmp_path: Path, asked: bytes, answered: bytes
) -> None:
    segments = _segments([(1, answered), (0, asked), *turns])
    assert _whole(_read(_pcap([_ipv4(each, (5, 25)) for each in segments]), tmp_path))


def test_a_port_may_be_used_again(turns: list[tuple[int, bytes]], tmp_path: Path) -> None:
    others = _segments(turns, (77, 99))
    assert _whole(_read(_pcap([_ipv4(each) for each in (*_segments(turns), *others)]), tmp_path), 2)


def test_a_stream_that_is_not_tls_is_not_kept() -> None:
    stream = Stream()
    for at in range(0, 100_000, 1000):
        stream.add(at, bytes(1000))
        assert stream.size <= streams.MAX_BEFORE_HELLO + 1000
    assert stream.size == 0


def test_what_waits_is_bounded() -> None:
    stream = Stream()
    stream.begin(0)
    for number in range(1000):
        stream.add(10 + 2 * number, b"a")
    assert stream.size == streams.MAX_WAITING


def test_connections_that_were_not_kept_are_said(
    turns: list[tuple[int, bytes]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    packets = [_ipv4(each, (5000 + number, 443)) for number in range(4) for each in _segments(turns)]
    for name, value in (("MAX_STREAMS", 4), ("MAX_HELD", 3000)):
        with monkeypatch.context() as patched:
            patched.setattr(streams, name, value)
            capture = _read(_pcap(packets), tmp_path)
            assert 1 <= len(capture.sessions) <= 3
            assert any("too many connections" in problem for problem in capture.problems)
    assert _whole(_read(_pcap(packets), tmp_path), 4)
