"""Image files, parsed by the descriptions of their formats: every byte of RAM is where the header says."""

from __future__ import annotations

import io
import struct
import tempfile
import zlib
from typing import TYPE_CHECKING

import numpy as np
import pytest

from dumpscan.exceptions import ScenarioError
from dumpscan.synth.physical.containers import CONTAINERS, DumpFacts
from dumpscan.synth.physical.memory import PhysicalMemory

if TYPE_CHECKING:
    from collections.abc import Iterator

MIB = 1 << 20
RUNS = [(0x1000, 0x9_F000), (MIB, 31 * MIB), (33 * MIB, 2 * MIB)]
FACTS = DumpFacts(
    build=22000,
    dtb=0x1AD000,
    modules=0xFFFFF80312340000,
    processes=0xFFFFF80312341000,
    debugger_data=0xFFFFF80312342000,
    processors=6,
    product=3,
    time=133604562680000000,
    uptime=12345678,
)


@pytest.fixture
def memory() -> Iterator[PhysicalMemory]:
    with tempfile.TemporaryFile() as file:
        made = PhysicalMemory(file, RUNS, "seed", keep=[0x1AD])
        for frame in made.take(500).tolist():
            made.write((frame << 12) + 5, frame.to_bytes(8, "little"))
        made.write(0x1000, b"low memory")
        made.write((int(made.take(1)[0]) << 12) - 4 + 4096, b"last")
        yield made
        made.close()


def written(name: str, memory: PhysicalMemory) -> bytes:
    write = CONTAINERS[name].write
    assert write is not None
    file = io.BytesIO()
    write(memory, FACTS, file)
    return file.getvalue()


def check_header(data: bytes, kind: int) -> None:
    assert data[:8] == b"PAGEDU64"
    assert struct.unpack_from("<2I4Q2I", data, 8) == (15, 22000, 0x1AD000, 0, FACTS.modules, FACTS.processes, 0x8664, 6)
    assert struct.unpack_from("<Q", data, 0x80) == (FACTS.debugger_data,)
    assert struct.unpack_from("<I", data, 0xF98) == (kind,)
    assert struct.unpack_from("<Q", data, 0xFA8) == (FACTS.time,)
    assert struct.unpack_from("<Q", data, 0x1030) == (FACTS.uptime,)


def test_full_crash_dump(memory: PhysicalMemory) -> None:
    data = written("crash", memory)
    check_header(data, 1)
    count, _, pages = struct.unpack_from("<IIQ", data, 0x88)
    assert (count, pages) == (len(RUNS), sum(size for _, size in RUNS) >> 12)
    at = 0x2000
    for index, (start, size) in enumerate(RUNS):
        assert struct.unpack_from("<2Q", data, 0x98 + 16 * index) == (start >> 12, size >> 12)
        assert data[at : at + size] == memory.read(start, size)
        at += size
    assert at == len(data)


def test_bitmap_crash_dump(memory: PhysicalMemory) -> None:
    """What is in use is there, what is not is neither there nor said to be."""
    data = written("crash-bitmap", memory)
    check_header(data, 5)
    assert data[0x2000:0x2008] == b"SDMPDUMP"
    first, held, bits = struct.unpack_from("<3Q", data, 0x2020)
    bitmap = np.unpackbits(np.frombuffer(data, np.uint8, -(-bits // 8), 0x2038), bitorder="little")[:bits]
    frames = np.flatnonzero(bitmap).tolist()
    assert len(frames) == held == (len(data) - first) >> 12
    for index, frame in enumerate(frames):
        assert data[first + (index << 12) : first + (index + 1 << 12)] == memory.read(frame << 12, 4096)
    for frame in set(range(memory.size >> 12)) - set(frames):
        assert not any(memory.read(frame << 12, 4096)), f"{frame:#x} was left out"
    assert held < sum(size for _, size in RUNS) >> 12


def test_lime(memory: PhysicalMemory) -> None:
    data = written("lime", memory)
    at = 0
    for start, size in RUNS:
        assert struct.unpack_from("<IIQQQ", data, at) == (0x4C694D45, 1, start, start + size - 1, 0)
        assert data[at + 32 : at + 32 + size] == memory.read(start, size)
        at += 32 + size
    assert at == len(data)


def test_elf_core(memory: PhysicalMemory) -> None:
    data = written("elf", memory)
    assert data[:7] == b"\x7fELF\x02\x01\x01"
    assert struct.unpack_from("<HH", data, 16) == (4, 62)
    offset, entry_size, count = (struct.unpack_from(f, data, at)[0] for f, at in (("<Q", 32), ("<H", 54), ("<H", 56)))
    assert count == len(RUNS)
    for index, (start, size) in enumerate(RUNS):
        kind, _, where, _, physical, in_file, in_memory, _ = struct.unpack_from(
            "<IIQQQQQQ", data, offset + index * entry_size
        )
        assert (kind, physical, in_file, in_memory) == (1, start, size, size)
        assert data[where : where + size] == memory.read(start, size)


def test_kdump(memory: PhysicalMemory) -> None:
    data = written("kdump", memory)
    assert data[:12] == b"KDUMP   " + struct.pack("<i", 6)
    status, block, headers, blocks, most = struct.unpack_from("<5I", data, 0x1A8)
    assert (status, block, headers, most) == (1, 4096, 1, memory.size >> 12)
    bitmaps = np.frombuffer(data, np.uint8, blocks << 12, 2 << 12).reshape(2, -1)
    assert (bitmaps[0] == bitmaps[1]).all()
    frames = np.flatnonzero(np.unpackbits(bitmaps[1], bitorder="little")).tolist()
    assert frames == [frame for start, size in RUNS for frame in range(start >> 12, (start + size) >> 12)]
    zeros = set()
    for number, frame in enumerate(frames):
        at, size, flags, _ = struct.unpack_from("<QIIQ", data, (2 + blocks << 12) + 24 * number)
        packed = data[at : at + size]
        page = zlib.decompress(packed) if flags == 1 else packed
        assert page == memory.read(frame << 12, 4096)
        if not any(page):
            zeros.add(at)
    assert len(zeros) == 1


def test_a_crash_dump_has_room_for_42_runs() -> None:
    runs = [(MIB, 32 * MIB), *((40 * MIB + (n << 16), 0x8000) for n in range(42))]
    with tempfile.TemporaryFile() as file:
        memory = PhysicalMemory(file, runs, "seed")
        with pytest.raises(ScenarioError, match="43 runs of memory; a crash dump's header holds 42"):
            written("crash", memory)
        memory.close()
