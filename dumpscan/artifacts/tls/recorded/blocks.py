"""The packets of a pcapng file, each with the type of the link that it was recorded from.

dpkt takes all packets of a file for those of its first interface; captures of several interfaces, and files that were
merged, have links of different types. Source: draft-ietf-opsawg-pcapng, 3 and 4.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Order = Literal["little", "big"]

MAX_BLOCK = 16 << 20
"""Bytes of the longest block that is read."""
MAX_INTERFACES = 1 << 16
SECTION = b"\x0a\x0d\x0d\x0a"
"""The first bytes of a pcapng file: the type of a section's header, the same in both byte orders."""

_ORDERS: dict[bytes, Order] = {b"\x4d\x3c\x2b\x1a": "little", b"\x1a\x2b\x3c\x4d": "big"}
_INTERFACE, _OBSOLETE_PACKET, _SIMPLE_PACKET, _PACKET = 1, 2, 3, 6
_HEAD = 8
_FRAME = 12
"""Bytes of a block's type and of its length, which is before and behind its body."""


def packets(read: Callable[[int], bytes]) -> Iterator[tuple[int, bytes]]:
    """Yield each packet with the type of its link (LINKTYPE_...).

    Args:
        read: Reads so many bytes of the file, or those that are left.

    Raises:
        ValueError: The file is damaged, or cut off.
    """
    order: Order | None = "little"
    links: list[int] = []
    while head := read(_HEAD):
        is_section = head[:4] == SECTION
        magic = read(4) if is_section else b""
        if is_section:
            order, links = _ORDERS.get(magic), []
        if order is None or len(head) < _HEAD:
            raise ValueError("no block")
        length = int.from_bytes(head[4:], order)
        if length < _FRAME + len(magic) or length % 4 or length > MAX_BLOCK:
            raise ValueError("a block without a possible length")
        rest = read(length - _HEAD - len(magic))
        if len(rest) < length - _HEAD - len(magic):
            raise ValueError("a block that is cut off")
        if not is_section:
            yield from _in_block(int.from_bytes(head[:4], order), rest[:-4], order, links)


def _in_block(kind: int, body: bytes, order: Order, links: list[int]) -> Iterator[tuple[int, bytes]]:
    """Yield the packet of a block, or remember the link of an interface."""
    if kind == _INTERFACE and len(links) < MAX_INTERFACES:
        links.append(int.from_bytes(body[:2], order))
    elif kind in {_PACKET, _OBSOLETE_PACKET}:
        interface = int.from_bytes(body[: 4 if kind == _PACKET else 2], order)
        if interface < len(links):
            yield links[interface], body[20:][: int.from_bytes(body[12:16], order)]
    elif kind == _SIMPLE_PACKET and links:
        yield links[0], body[4:][: int.from_bytes(body[:4], order)]
