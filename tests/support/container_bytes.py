"""Writes images of physical memory byte by byte, without the layouts that the readers have: AVML's and QEMU's."""

from __future__ import annotations

import struct
import zlib

import cramjam

# --- AVML ---


def framed(start: int, content: bytes, packed: bytes | None = None) -> bytes:
    """A range as AVML writes it."""
    packed = bytes(cramjam.snappy.compress(content)) if packed is None else packed
    header = struct.pack("<IIQQQ", 0x4C4D_5641, 2, start, start + len(content) - 1, 0)
    return header + packed + struct.pack("<Q", len(packed))


# --- QEMU ---

ZERO, SIZES, FULL, EOS, CONTINUE, XBZRLE, PACKED = 0x02, 0x04, 0x08, 0x10, 0x20, 0x40, 0x100


def number(value: int, size: int = 8) -> bytes:
    return value.to_bytes(size, "big")


def name(text: bytes) -> bytes:
    return bytes([len(text)]) + text


def sizes(**blocks: int) -> bytes:
    listed = b"".join(name(block.replace("_", ".").encode()) + number(size) for block, size in blocks.items())
    return number(sum(blocks.values()) | SIZES) + listed


def page(address: int, content: bytes | None, block: bytes | None = b"pc.ram", *, packed: bool = False) -> bytes:
    """A record of a page; without content, of one of zeros; without a block, of that before."""
    flags = (0 if block else CONTINUE) | (ZERO if content is None else PACKED if packed else FULL)
    head = number(address | flags) + (name(block) if block else b"")
    if content is None:
        return head + b"\0"
    if packed:
        data = zlib.compress(content)
        return head + number(len(data), 4) + data
    return head + content


def section(kind: int, *records: bytes) -> bytes:
    first = name(b"ram") + number(0, 4) + number(4, 4) if kind == 1 else b""
    return bytes([kind]) + number(2, 4) + first + b"".join(records) + number(EOS) + b"\x7e" + number(2, 4)


def stream(*sections: bytes, machine: bytes = b"pc-i440fx-7.2", configuration: bytes = b"") -> bytes:
    head = b"QEVM" + number(3, 4) + b"\x07" + number(len(machine), 4) + machine + configuration
    devices = b"\x04" + number(3, 4) + name(b"timer") + number(0, 4) + number(2, 4) + b"state\0\xff"
    return head + b"".join(sections) + devices


def saved(data: bytes, *, version: int = 2, packed: int = 0, claimed: int | None = None) -> bytes:
    """A machine as libvirt saves it."""
    description = b"<domstatus>...</domstatus>\0".ljust(1000, b"\0")
    size = len(description) if claimed is None else claimed
    head = struct.pack("<16sIIIII56x", b"LibvirtQemudSave", version, size, 1, packed, 0)
    assert len(head) == 92
    return head + description + data
