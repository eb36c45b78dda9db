"""TCP streams as far as TLS needs them: the first bytes of each direction.

Which streams are TLS is told by their content, not by ports. Packets are lost, repeated, and come in any order.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

MAX_STREAMS = 1 << 16
"""Streams that are kept: one for each direction of a connection."""
MAX_STREAM = 64 << 10
"""Bytes kept of each: handshakes with long chains of certificates have 16 KiB."""
MAX_HELD = 256 << 20
"""Bytes kept of all."""
MAX_BEFORE_HELLO = 2 << 10
"""Bytes before TLS in a stream: other protocols agree upon it first (STARTTLS), and proxies are asked to connect."""
MAX_WAITING = 256
"""Packets that came too early, of one stream."""
_MASK = (1 << 32) - 1
_HELLO_RECORD = re.compile(rb"\x16\x03[\0-\4]..[\1\2]\0", re.DOTALL)
"""A record of the handshake (RFC 8446, 5.1) that begins with a ClientHello or ServerHello of less than 64 KiB."""

End = tuple[bytes, int]
"""An address and a port."""


@dataclass(slots=True)
class Stream:
    """One direction of a connection.

    Attributes:
        data: Its bytes from the first that the capture has, up to the first that are missing; none if it is not TLS.
        start: The sequence number of the first byte that was sent; None if the capture does not have it.
    """

    data: bytearray = field(default_factory=bytearray)
    start: int | None = None
    _next: int | None = None
    _waiting: dict[int, bytes] = field(default_factory=dict)
    _held: int = 0
    _closed: bool = False

    def begin(self, number: int) -> None:
        """Begin behind a SYN with this sequence number, which may come more than once."""
        if self.start is None and not self.data:
            self.start = self._next = (number + 1) & _MASK

    @property
    def size(self) -> int:
        """Bytes that are held."""
        return len(self.data) + self._held

    def add(self, number: int, data: bytes) -> None:
        """Add the data of a packet; those that came too early wait."""
        if not data or self._closed:
            return
        if self._next is None:
            self._next = number
        before = self._waiting.get(number, b"")
        if len(data) > len(before) and self._held + len(data) <= MAX_STREAM and len(self._waiting) < MAX_WAITING:
            self._waiting[number] = data
            self._held += len(data) - len(before)
        while (part := self._following(self._next)) is not None:
            self.data += part[: MAX_STREAM - len(self.data)]
            self._next = (self._next + len(part)) & _MASK
        if len(self.data) >= MAX_STREAM:
            self._close()
        elif len(self.data) >= MAX_BEFORE_HELLO and begins_tls(self.data) is None:
            self._close()
            self.data.clear()

    def _following(self, number: int) -> bytes | None:
        """Take something that waits for the byte with this number, less what is before that; None if nothing does."""
        for first in self._waiting:
            repeated = (number - first) & _MASK
            if repeated <= _MASK // 2:
                data = self._waiting.pop(first)
                self._held -= len(data)
                return data[repeated:]
        return None

    def _close(self) -> None:
        """Take no more data."""
        self._closed = True
        self._waiting.clear()
        self._held = 0


def begins_tls(data: bytes | bytearray) -> int | None:
    """Return where TLS begins: with a hello, before which another protocol may have agreed upon it; None if nowhere."""
    found = _HELLO_RECORD.search(data, 0, MAX_BEFORE_HELLO)
    return found.start() if found else None


class Connections:
    """The connections of a capture, and how much is held of them.

    Attributes:
        pairs: Both directions of each, in the order of their first packets.
        left_out: How many packets with data were not kept because there were too many connections, or too many bytes.
    """

    def __init__(self) -> None:
        self.pairs: list[tuple[Stream, Stream]] = []
        self.left_out = 0
        self._open: dict[tuple[End, End], Stream] = {}
        self._held = 0

    def begin(self, source: End, target: End, number: int, *, first: bool) -> None:
        """Take note of a SYN; the `first` of a connection may come after another on the same ports."""
        stream = self._open.get((source, target))
        if first and stream is not None and stream.start not in {None, (number + 1) & _MASK}:
            del self._open[source, target], self._open[target, source]
        stream = self._stream(source, target)
        if stream is not None:
            stream.begin(number)

    def add(self, source: End, target: End, number: int, data: bytes) -> None:
        """Add the data of a packet."""
        stream = self._stream(source, target)
        if stream is None or self._held > MAX_HELD:
            self.left_out += 1
            return
        before = stream.size
        stream.add(number, data)
        self._held += stream.size - before

    def _stream(self, source: End, target: End) -> Stream | None:
        stream = self._open.get((source, target))
        if stream is None and len(self.pairs) < MAX_STREAMS // 2:
            stream, other = pair = Stream(), Stream()
            self._open[source, target], self._open[target, source] = pair
            self.pairs.append((stream, other))
        return stream
