"""The packets of a capture (pcap or pcapng), and the TCP streams that they make. dpkt reads pcap and their headers."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

from dumpscan.artifacts.tls.recorded import blocks
from dumpscan.artifacts.tls.recorded.streams import Connections
from dumpscan.exceptions import InputError, UsageError, reason

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from dumpscan.artifacts.tls.recorded.streams import Stream

MAX_PACKETS = 4_000_000
"""Packets that are read: some minutes."""
MAX_READ = 16 << 20
"""Bytes of the largest block that a file may announce."""


@dataclass(frozen=True, slots=True)
class Streams:
    """The connections of a capture.

    Attributes:
        pairs: Both directions of each, in the order of their first packets.
        problems: What could not be read, a sentence each.
    """

    pairs: tuple[tuple[Stream, Stream], ...]
    problems: tuple[str, ...]


def read_streams(path: Path) -> Streams:
    """Read the TCP streams of a capture.

    Args:
        path: A pcap or pcapng file.

    Raises:
        InputError: It cannot be read, or is something else.
        UsageError: dpkt is not installed.
    """
    try:
        import dpkt  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise UsageError("--capture needs dpkt: pip install 'dumpscan[capture]'") from error
    connections = Connections()
    problems: list[str] = []
    try:
        with path.open("rb") as file:
            unread = _fill(connections, _packets(path, _Bounded(file), dpkt, problems), dpkt)
    except OSError as error:
        raise InputError(path, reason(error)) from error
    for link, count in sorted(unread.items()):
        if not connections.pairs:
            raise InputError(path, f"its packets are of link type {link}, which is not read")
        problems.append(f"{count:,} of the capture's packets are of link type {link}, which is not read")
    if connections.left_out:
        problems.append(
            f"{connections.left_out:,} of the capture's packets were not kept: there are too many connections"
        )
    return Streams(tuple(connections.pairs), tuple(problems))


class _Bounded:
    """A file that does not give more at once than a block may have.

    Attributes:
        cut: Whether it ended within something that was read.
    """

    def __init__(self, file: Any) -> None:  # noqa: ANN401 - a binary file
        self._file = file
        self.cut = False
        self.name = getattr(file, "name", "")

    def read(self, size: int = -1) -> bytes:
        if size > MAX_READ:
            raise ValueError("a block is too large")
        data: bytes = self._file.read(size)
        self.cut |= 0 < len(data) < size
        return data

    def seek(self, *position: int) -> int:
        return int(self._file.seek(*position))

    def tell(self) -> int:
        return int(self._file.tell())


def _packets(path: Path, file: _Bounded, dpkt: Any, problems: list[str]) -> Iterator[tuple[int, bytes]]:  # noqa: ANN401 - dpkt has no types
    """Yield the packets of a capture with the types of their links, up to where it is damaged.

    Raises:
        InputError: It is no capture.
    """
    opening = file.read(len(blocks.SECTION))
    file.seek(0)
    count = 0
    try:
        every = blocks.packets(file.read) if opening == blocks.SECTION else _of_pcap(path, file, dpkt)
        for link, packet in islice(every, MAX_PACKETS):
            count += 1
            yield link, packet
    except (ValueError, IndexError, OverflowError, MemoryError, dpkt.Error) as error:
        problems.append(f"the capture is damaged behind packet {count} ({type(error).__name__})")
    if count == MAX_PACKETS:
        problems.append(f"only the first {MAX_PACKETS:,} packets of the capture were read")


def _of_pcap(path: Path, file: _Bounded, dpkt: Any) -> Iterator[tuple[int, bytes]]:  # noqa: ANN401 - dpkt has no types
    try:
        reader = dpkt.pcap.UniversalReader(file)
    except (ValueError, dpkt.Error) as error:
        raise InputError(path, "not a capture: expected pcap or pcapng") from error
    link = reader.datalink()
    if _parser(dpkt, link) is None:
        raise InputError(path, f"its packets are of link type {link}, which is not read")
    yield from ((link, packet) for _, packet in reader)
    if file.cut:
        raise ValueError("a packet that is cut off")


def _parser(dpkt: Any, link: int) -> Callable[[bytes], Any] | None:  # noqa: ANN401 - dpkt has no types
    """Return what makes a packet's network layer of its bytes, by the type of the link (LINKTYPE_…)."""

    def raw(packet: bytes) -> Any:  # noqa: ANN401 - see above
        return (dpkt.ip6.IP6 if packet[:1] >= b"\x60" else dpkt.ip.IP)(packet)

    return {
        0: lambda packet: dpkt.loopback.Loopback(packet).data,
        1: lambda packet: dpkt.ethernet.Ethernet(packet).data,
        12: raw,
        14: raw,
        101: raw,
        108: lambda packet: dpkt.loopback.Loopback(packet).data,
        113: lambda packet: dpkt.sll.SLL(packet).data,
        228: raw,
        229: raw,
        276: lambda packet: dpkt.sll2.SLL2(packet).data,
    }.get(link)


def _fill(
    connections: Connections,
    packets: Iterator[tuple[int, bytes]],
    dpkt: Any,  # noqa: ANN401 - see above
) -> Counter[int]:
    """Add the data of all packets to their connections; return how many came from links of types that are not read."""
    parsers: dict[int, Callable[[bytes], Any] | None] = {}
    unread: Counter[int] = Counter()
    for link, packet in packets:
        if link not in parsers:
            parsers[link] = _parser(dpkt, link)
        parse = parsers[link]
        if parse is None:
            unread[link] += 1
            continue
        try:
            network = parse(packet)
            segment = getattr(network, "data", None)
        except (dpkt.Error, ValueError, IndexError, AttributeError, TypeError):  # what dpkt makes of damaged packets
            continue
        if not isinstance(segment, dpkt.tcp.TCP):
            continue
        source, target = (bytes(network.src), segment.sport), (bytes(network.dst), segment.dport)
        if segment.flags & dpkt.tcp.TH_SYN:
            connections.begin(source, target, segment.seq, first=not segment.flags & dpkt.tcp.TH_ACK)
        elif segment.data:
            connections.add(source, target, segment.seq, bytes(segment.data))
    return unread
