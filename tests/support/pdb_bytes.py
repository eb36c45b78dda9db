"""A program database (PDB) built by hand, with three structures and a public symbol.

Source: the MSF 7.00 container and the streams in LLVM's description, https://llvm.org/docs/PDB/index.html
"""

from __future__ import annotations

import struct

PAGE = 0x400
GUID = "00112233445566778899AABBCCDDEEFF"
_LF_STRUCTURE, _LF_FIELDLIST, _LF_MEMBER, _LF_STRING_ID = 0x1505, 0x1203, 0x150D, 0x1605
_S_PUB32 = 0x110E
_T_64PVOID, _T_UINT8 = 0x0603, 0x0077
_FIRST_TYPE = 0x1000
STRUCTURES = {"_EPROCESS": "Pcb", "_KPROCESS": "DirectoryTableBase", "_PEB": "ProcessParameters"}


def build_pdb(*, guid: str = GUID, age: int = 1, name: str | None = "ntkrnlmp.pdb") -> bytes:
    """Return a PDB; `name` is a file name that its build information mentions."""
    mixed = bytes.fromhex(guid)
    info = struct.pack("<III", 20000404, 0, age) + mixed[3::-1] + mixed[5:3:-1] + mixed[7:5:-1] + mixed[8:]
    names = [] if name is None else [_record(_LF_STRING_ID, struct.pack("<I", 0) + f"c:\\o\\{name}".encode() + b"\0")]
    types: list[bytes] = []
    for structure, member in STRUCTURES.items():
        fields = struct.pack("<HHIH", _LF_MEMBER, 3, _T_64PVOID, 0x28) + member.encode() + b"\0"
        types.append(_record(_LF_FIELDLIST, fields))
        body = struct.pack("<HHIIIH", 1, 0, _FIRST_TYPE + len(types) - 1, 0, 0, 0x400)
        types.append(_record(_LF_STRUCTURE, body + structure.encode() + b"\0"))
    symbols = _record(_S_PUB32, struct.pack("<IIH", 0, 0x1234, 1) + b"PsActiveProcessHead\0")
    sections = struct.pack("<8sIIIIIIHHI", b".data", 0x1000, 0x5000, 0x1000, 0, 0, 0, 0, 0, 0) * 2
    return _container([b"", info, _types(types), _debug_information(age), _types(names), symbols, sections])


def _record(kind: int, body: bytes) -> bytes:
    body += bytes(0xF0 | left for left in range(-(len(body) + 4) % 4, 0, -1))
    return struct.pack("<HH", len(body) + 2, kind) + body


def _types(records: list[bytes]) -> bytes:
    data = b"".join(records)
    last = _FIRST_TYPE + len(records)
    return (
        struct.pack("<5I2H8I", 20040203, 56, _FIRST_TYPE, last, len(data), 0xFFFF, 0xFFFF, 4, 0x3FFFF, *[0] * 6) + data
    )


def _debug_information(age: int) -> bytes:
    symbol_stream, section_stream, none = 5, 6, 0xFFFF
    header = struct.pack("<iIIHHHHHH", -1, 19990903, age, none, 0, none, 0, symbol_stream, 0)
    header += struct.pack("<5iI2i2HI", 0, 0, 0, 0, 0, 0, 22, 0, 0, 0x8664, 0)
    return header + struct.pack("<11H", *[none] * 5, section_stream, *[none] * 5)


def _container(streams: list[bytes]) -> bytes:
    pages: list[bytes] = [b"", b"", b""]  # the header and two maps of free pages

    def store(data: bytes) -> list[int]:
        first = len(pages)
        pages.extend(data[at : at + PAGE].ljust(PAGE, b"\0") for at in range(0, len(data), PAGE))
        return list(range(first, len(pages)))

    places = [store(stream) for stream in streams]
    directory = struct.pack(f"<I{len(streams)}I", len(streams), *map(len, streams))
    directory += b"".join(struct.pack(f"<{len(place)}I", *place) for place in places)
    index = store(struct.pack("<I", *store(directory)))
    head = b"Microsoft C/C++ MSF 7.00\r\n\x1aDS\0\0\0"
    pages[0] = (head + struct.pack("<6I", PAGE, 1, len(pages), len(directory), 0, *index)).ljust(PAGE, b"\0")
    pages[1] = pages[2] = b"\xff" * PAGE
    return b"".join(pages)
