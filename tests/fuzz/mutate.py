"""Mutators: what an attacker, a cut transfer or a broken disk makes of a file, with a mind to its structure."""

from __future__ import annotations

import json
import re
import sqlite3
import struct
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import random
    from collections.abc import Callable
    from pathlib import Path

    Mutator = Callable[[bytearray, random.Random], bytearray]

INTERESTING = (
    *(0, 1, 2, 3, 4, 7, 8, 15, 16, 31, 32, 63, 64, 127, 128, 255, 256, 1000, 4095, 4096, 65535, 65536),
    *(0x7FFFFFFF, 0x80000000, 0x80000001, 0xFFFFFFFE, 0xFFFFFFFF, 1 << 32, 1 << 40),
    *((1 << 63) - 1, 1 << 63, (1 << 64) - 4096, (1 << 64) - 1),
)
"""Numbers at which readers go wrong: around sizes of integers, pages, and zero."""
_MOST_EDITS = 6
_ELEMENT = re.compile(rb"0[\x81\x82]")
"""The beginning of a SEQUENCE of more than 127 bytes."""


def flip(data: bytearray, rng: random.Random) -> bytearray:
    """Change single bytes."""
    for _ in range(rng.randint(1, 8)):
        data[rng.randrange(len(data))] = rng.randrange(256)
    return data


def number(data: bytearray, rng: random.Random) -> bytearray:
    """Write an interesting number over an aligned field, most often near the file's beginning, where headers are."""
    size = rng.choice((1, 2, 4, 4, 8, 8))
    room = min(len(data), rng.choice((64, 512, 4096, len(data)))) - size
    if room <= 0:
        return data
    at = rng.randrange(room + 1) // size * size
    value = rng.choice(INTERESTING) + rng.choice((0, 0, 0, len(data), -1, 1))
    data[at : at + size] = (value % (1 << 8 * size)).to_bytes(size, rng.choice(("little", "little", "big")))
    return data


def cut(data: bytearray, rng: random.Random) -> bytearray:
    """Cut the file short."""
    del data[rng.randrange(len(data)) :]
    return data


def repeat(data: bytearray, rng: random.Random) -> bytearray:
    """Write a stretch over another, so that lists name things twice and pointers loop."""
    size = rng.choice((4, 8, 12, 16, 24, 56, 256, 4096))
    if len(data) <= size:
        return data
    source, target = rng.randrange(len(data) - size), rng.randrange(len(data) - size)
    data[target : target + size] = data[source : source + size]
    return data


def blank(data: bytearray, rng: random.Random) -> bytearray:
    """Fill a stretch with one byte."""
    at, size = rng.randrange(len(data)), rng.choice((1, 8, 64, 4096))
    data[at : at + size] = bytes([rng.choice((0, 255, rng.randrange(256)))]) * len(data[at : at + size])
    return data


def insert(data: bytearray, rng: random.Random) -> bytearray:
    """Push in bytes, so that everything behind them is displaced."""
    at = rng.randrange(len(data))
    data[at:at] = rng.randbytes(rng.choice((1, 2, 3, 4, 8, 64)))
    return data


BYTES: tuple[Mutator, ...] = (flip, number, number, number, cut, repeat, blank, insert)


def minidump(data: bytearray, rng: random.Random) -> bytearray:
    """Change an entry of the stream directory, or the count that a stream opens with."""
    if len(data) < 32:
        return flip(data, rng)
    count, directory = struct.unpack_from("<II", data, 8)
    entry = directory + 12 * rng.randrange(min(count, 64) or 1)
    if entry + 12 > len(data):
        return number(data, rng)
    kind, size, at = struct.unpack_from("<III", data, entry)
    match rng.randrange(5):
        case 0:
            struct.pack_into("<I", data, entry, rng.choice((3, 4, 5, 6, 7, 9, 12, 15, 16, 17, 24, 0x47670003, kind)))
        case 1:
            struct.pack_into("<I", data, entry + 4, rng.choice(INTERESTING) % (1 << 32))
        case 2:
            struct.pack_into("<I", data, entry + 8, rng.choice((*INTERESTING, at + 1, at - 1, directory)) % (1 << 32))
        case 3 if at + 16 <= len(data):
            struct.pack_into("<I", data, at + 4 * rng.randrange(4), rng.choice(INTERESTING) % (1 << 32))
        case _ if at + 8 < len(data) and size > 8:
            where = at + rng.randrange(min(size, len(data) - at - 8)) // 4 * 4
            struct.pack_into("<Q", data, where, rng.choice(INTERESTING) % (1 << 64))
    return data


def elf(data: bytearray, rng: random.Random) -> bytearray:
    """Change a field of an ELF64 program header, or one of a note."""
    if len(data) < 64 or data[4] != 2:
        return number(data, rng)
    (table,) = struct.unpack_from("<Q", data, 32)
    size, count = struct.unpack_from("<HH", data, 54)
    at = table + size * rng.randrange(min(count, 4096) or 1)
    if at + 56 > len(data):
        return number(data, rng)
    if rng.random() < 0.3:
        (notes,) = struct.unpack_from("<Q", data, table + 8)
        if notes + 16 < len(data):
            struct.pack_into("<I", data, notes + 4 * rng.randrange(3), rng.choice(INTERESTING) % (1 << 32))
            return data
    struct.pack_into("<Q", data, at + 8 * rng.randrange(7), rng.choice(INTERESTING) % (1 << 64))
    return data


def der(data: bytearray, rng: random.Random) -> bytearray:
    """Change a tag or a length of an element of DER that lies somewhere in the file."""
    places = [found.start() for found in _ELEMENT.finditer(data, 0, max(0, len(data) - 3))]
    if not places:
        return flip(data, rng)
    at = rng.choice(places)
    for _ in range(rng.randrange(6)):  # walk into it
        inner = at + (2 if data[at + 1] < 0x80 else 2 + (data[at + 1] & 0x7F))
        if inner + 2 >= len(data):
            break
        at = inner
    data[at + rng.randrange(3)] = rng.choice((0, 1, 0x7F, 0x80, 0x81, 0x82, 0x84, 0xFF, rng.randrange(256)))
    return data


def text(data: bytearray, rng: random.Random) -> bytearray:
    """Put characters into the file that matter to carriers of text."""
    at = rng.randrange(len(data))
    piece = rng.choice(
        (
            b"\\n",
            b"\\\\n",
            b"%0A",
            b"&#xA;",
            b"-----BEGIN ",
            b"-----END ",
            b"=",
            b"==",
            b"\r\n> ",
            b'"',
            b"\x00",
            b"MII",
        )
    )
    data[at : at + len(piece)] = piece
    return data


def json_table(data: bytearray, rng: random.Random) -> bytearray:
    """Change a value of a JSON document; what is no JSON is changed as bytes."""
    try:
        document: Any = json.loads(data)
    except ValueError:
        return rng.choice(BYTES)(data, rng)
    for _ in range(rng.randint(1, _MOST_EDITS)):
        holder = document
        while isinstance(holder, dict | list) and holder:
            key = rng.choice(list(holder) if isinstance(holder, dict) else range(len(holder)))
            inner = holder[key]
            if not isinstance(inner, dict | list) or not inner or rng.random() < 0.15:
                holder[key] = rng.choice((None, -1, 1 << 70, 1e308, "", "x" * 300, [], {}, True, [[[[]]]], inner))
                break
            holder = inner
    return bytearray(json.dumps(document).encode())


def database(path: Path, rng: random.Random) -> None:
    """Put values of the wrong type, size and sign into a case file, in place."""
    values: tuple[object, ...] = (
        None, -1, 0, 1 << 62, 1e999, 0.5, "", "x" * 5000, "\x1b[2J", "[", "{}", "not a date", b"\x00\xff", "9999-99-99",
    )  # fmt: skip
    connection = sqlite3.connect(path)
    try:
        connection.execute("PRAGMA foreign_keys = OFF")
        connection.execute("PRAGMA ignore_check_constraints = ON")
        tables = [row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        for _ in range(rng.randint(1, _MOST_EDITS)):
            table = rng.choice(tables)
            columns = [row[1] for row in connection.execute(f'PRAGMA table_info("{table}")')]
            rows = connection.execute(f'SELECT * FROM "{table}" LIMIT 100').fetchall()  # noqa: S608 - of our own file
            if columns and rows:
                statement = f'UPDATE "{table}" SET "{rng.choice(columns)}" = ? WHERE "{columns[0]}" IS ?'  # noqa: S608
                try:
                    connection.execute(statement, (rng.choice(values), rng.choice(rows)[0]))
                except sqlite3.Error:
                    continue
        connection.commit()
    finally:
        connection.close()


def mutated(seed: bytes, mutators: tuple[Mutator, ...], rng: random.Random) -> bytes:
    """Return a file made of another by a few changes."""
    data = bytearray(seed)
    for _ in range(rng.choice((1, 1, 1, 2, 2, 3, _MOST_EDITS))):
        if not data:
            break
        data = rng.choice(mutators)(data, rng)
    return bytes(data)
