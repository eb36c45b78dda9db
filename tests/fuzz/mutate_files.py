"""Mutators of what is not a dump: archives, captures, lists, scenarios. Checksums over what is changed are mended."""

from __future__ import annotations

import bz2
import gzip
import lzma
import re
import struct
import tarfile
import zlib
from typing import TYPE_CHECKING

import lz4.frame
import zstandard

from fuzz.mutate import INTERESTING, flip, number

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

_COMPRESSIONS: tuple[Callable[[bytes], bytes], ...] = (
    gzip.compress,
    lzma.compress,
    bz2.compress,
    zstandard.compress,
    lz4.frame.compress,
)
_BLOCK = tarfile.BLOCKSIZE
_TYPES = b"01234567xgLKNSDMV\x00A"
_ZIP_RECORDS = {b"PK\x01\x02": 46, b"PK\x03\x04": 30, b"PK\x05\x06": 22, b"PK\x06\x06": 56}
_SEVEN_ZIP_IDS = (*range(0x1A), 0x7F, 0x80, 0xC0, 0xFF)
"""Kinds of properties in its header, and the lengths of numbers."""
_SEVEN_ZIP = b"7z\xbc\xaf\x27\x1c"
_PACKET = 16
"""Bytes of a packet's header in pcap."""
_WORDS = (
    '"',
    "'",
    "[",
    "]",
    "{",
    "}",
    "=",
    "\n",
    "#",
    "-1",
    "1e999",
    "nan",
    "0x" + "f" * 40,
    "\x00",
    "\x1b[2J",
    "ä" * 99,
)


def tar(data: bytearray, rng: random.Random) -> bytearray:
    """Change a header of a tar archive, and mend its checksum."""
    headers = [at for at in range(0, len(data) - _BLOCK, _BLOCK) if data[at + 257 : at + 262] == b"ustar"]
    if not headers:
        return flip(data, rng)
    at = rng.choice(headers)
    match rng.randrange(5):
        case 0:
            data[at + 156] = rng.choice(_TYPES)
        case 1:
            size = rng.choice((b"%011o\0" % (rng.choice(INTERESTING) % 8**11), b"\x80" + bytes(3) + b"\xff" * 8, b"-1"))
            data[at + 124 : at + 136] = size.ljust(12, b"\0")
        case 2:
            field = rng.choice(((0, 100), (345, 500), (386, 483), (157, 257)))
            data[at + field[0] : at + field[1]] = rng.choice((b"\xff", b"a", b"../", b"1")).ljust(8, b"9") * (
                (field[1] - field[0]) // 8
            ) + bytes((field[1] - field[0]) % 8)
        case 3:
            where = rng.choice(headers)
            data[at : at + _BLOCK] = data[where : where + _BLOCK]
        case _:
            data[at + rng.randrange(_BLOCK)] = rng.randrange(256)
    if rng.random() < 0.8:
        block = data[at : at + 148] + b" " * 8 + data[at + 156 : at + _BLOCK]
        data[at + 148 : at + 156] = b"%06o\0 " % sum(block)
    return data


def compressed(data: bytearray, rng: random.Random) -> bytearray:
    """Compress the whole file."""
    return bytearray(rng.choice(_COMPRESSIONS)(bytes(data)))


def zip_archive(data: bytearray, rng: random.Random) -> bytearray:
    """Change a field of a record of a zip archive."""
    places = [
        (found.start(), size) for magic, size in _ZIP_RECORDS.items() for found in re.finditer(re.escape(magic), data)
    ]
    if not places:
        return flip(data, rng)
    at, size = rng.choice(places)
    width = rng.choice((2, 4))
    where = at + 4 + rng.randrange((size - 4) // 2) * 2
    data[where : where + width] = (rng.choice(INTERESTING) % (1 << 8 * width)).to_bytes(width, "little")
    return data


def seven_zip(data: bytearray, rng: random.Random) -> bytearray:
    """Change the header of a 7-Zip archive, and mend its checksums."""
    if not data.startswith(_SEVEN_ZIP) or len(data) < 64:
        return flip(data, rng)
    offset, size = struct.unpack_from("<QQ", data, 12)
    begin, end = 32 + offset, 32 + offset + size
    if rng.random() < 0.15 or not begin + 2 < end <= len(data):
        struct.pack_into("<Q", data, rng.choice((12, 20)), rng.choice(INTERESTING) % (1 << 64))
    else:
        for _ in range(rng.randint(1, 3)):
            at = rng.randrange(begin, end)
            huge = b"\xff" + (rng.choice(INTERESTING) % (1 << 64)).to_bytes(8, "little")
            value = rng.choice((bytes([rng.choice(_SEVEN_ZIP_IDS)]), rng.randbytes(1), huge[: end - at]))
            data[at : at + len(value)] = value
        struct.pack_into("<I", data, 28, zlib.crc32(data[begin:end]))
    struct.pack_into("<I", data, 8, zlib.crc32(data[12:32]))
    return data


def capture(data: bytearray, rng: random.Random) -> bytearray:
    """Change a field of one packet of a pcap file: of its record, of IP, of TCP, or of a TLS record."""
    packets = []
    at = 24
    while at + _PACKET <= len(data):
        packets.append(at)
        at += _PACKET + struct.unpack_from("<I", data, at + 8)[0]
    if not packets:
        return number(data, rng)
    at = rng.choice(packets)
    begin, end = rng.choice(((0, _PACKET), (_PACKET, 30), (30, 50), (50, 70), (70, 90), (70, 400)))
    where = at + rng.randrange(begin, end)
    width = rng.choice((1, 2, 4))
    if where + width <= len(data):
        value = rng.choice((*INTERESTING, rng.randrange(256)))
        data[where : where + width] = (value % (1 << 8 * width)).to_bytes(width, rng.choice(("big", "little")))
    return data


def words(data: bytearray, rng: random.Random) -> bytearray:
    """Put characters into a text that matter to lists and to TOML, or write one line over another."""
    lines = data.split(b"\n")
    if rng.random() < 0.4:
        lines[rng.randrange(len(lines))] = rng.choice(lines) * rng.choice((1, 1, 2, 50))
        return bytearray(b"\n".join(lines))
    at = rng.randrange(len(data) + 1)
    data[at : at + rng.randrange(8)] = rng.choice(_WORDS).encode()
    return data
