"""What a small file can make of the reader: lists named over and over, huge entries, memory in crumbs."""

from __future__ import annotations

import struct
import tracemalloc
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np

from dumpscan.memory.minidump import ranges, stream_reader, summary
from dumpscan.memory.minidump.dump import Minidump
from dumpscan.memory.regions import RegionTable
from support.minidump_bytes import MinidumpBytes, counted, kind

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import pytest

HEADER = 32
ENTRY = 12
MEMORY_LIST, MEMORY_INFO_LIST = 5, 16


def write(path: Path, streams: list[tuple[int, int, int]], data: bytes, *, size: int | None = None) -> Path:
    """Write a dump of (type, size, RVA) streams; its data begin behind the directory."""
    head = struct.pack("<4sIIIIIQ", b"MDMP", 0xA793, len(streams), HEADER, 0, 0, 0)
    with path.open("wb") as file:
        file.write(head + b"".join(struct.pack("<III", *stream) for stream in streams) + data)
        if size is not None:
            file.truncate(size)
    return path


@contextmanager
def peak_below(limit: int) -> Iterator[None]:
    """Measure the Python and numpy memory that a block takes at its peak."""
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < limit
    finally:
        tracemalloc.stop()


def descriptor(address: int, size: int, rva: int) -> bytes:
    return struct.pack("<QII", address, size, rva)


class TestMemoryLists:
    def test_a_list_named_often_is_read_once(self, tmp_path: Path) -> None:
        listed = counted([descriptor(0x1000 * number, 16, HEADER) for number in range(1, 4)])
        rva = HEADER + 4000 * ENTRY
        path = write(tmp_path / "often.dmp", [(MEMORY_LIST, len(listed), rva)] * 4000, listed)
        with peak_below(8 << 20), Minidump(path) as dump:
            assert (len(dump.memory_lists), dump.memory_range_count) == (1, 3)
            assert dump.damage == ()
            assert len(list(dump.regions)) == 3

    def test_all_lists_share_one_limit(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(ranges, "_MAX_RANGES", 5)
        made = MinidumpBytes()
        for base in (0x10000, 0x20000, 0x30000):
            made.memory(*((base + number * 0x100, b"data") for number in range(3)))
        path = tmp_path / "three.dmp"
        path.write_bytes(made.finish())
        with Minidump(path) as dump:
            assert [len(listed) for listed in dump.memory_lists] == [3, 2, 0]
            assert [region.start for region in dump.regions] == [0x10000, 0x10100, 0x10200, 0x20000, 0x20100]
            second, third = dump.damage
            assert second.endswith("3 entries are claimed; only the first 2 were read")
            assert third.endswith("3 entries are claimed; none was read: the lists before it are too long")

    def test_lists_that_overlap_one_another(self, tmp_path: Path) -> None:
        """4096 lists, each 4 bytes further on in the same bytes: 80 million ranges in 400 KB."""
        number, lists = 20_000, 4096
        rva = HEADER + lists * ENTRY
        streams = [(MEMORY_LIST, 4 + number * 16, rva + 4 * shift) for shift in range(lists)]
        path = write(tmp_path / "shifted.dmp", streams, struct.pack("<I", number) * (4 * number + lists + 8))
        with peak_below(512 << 20), Minidump(path) as dump:
            assert sum(map(len, dump.memory_lists)) == ranges._MAX_RANGES
            assert any("none was read" in sentence for sentence in dump.damage)
            assert any(sentence.endswith("more of this kind") for sentence in dump.damage)

    def test_info_lists_a_bounded_number_of_ranges(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(summary, "_MAX_RANGES", 4)
        made = MinidumpBytes()
        for base in (0x10000, 0x20000):
            made.memory(*((base + number * 0x100, b"data") for number in range(3)))
        path = tmp_path / "two.dmp"
        path.write_bytes(made.finish())
        with Minidump(path) as dump:
            described = summary.describe(dump, dump.process)
            assert [entry["start"] for entry in described["memory_ranges"]] == [0x10000, 0x10100, 0x10200, 0x20000]
            assert described["memory"]["ranges"] == 6


class TestEntrySizes:
    def test_only_the_known_fields_of_large_entries_are_copied(self, tmp_path: Path) -> None:
        entry, count = 4096, 1 << 16
        rva = HEADER + ENTRY
        head = struct.pack("<IIQ", 16, entry, count)
        size = rva + len(head) + entry * count
        path = write(tmp_path / "sparse.dmp", [(MEMORY_INFO_LIST, size - rva, rva)], head, size=size)
        with path.open("r+b") as file:
            file.seek(rva + len(head) + entry * (count - 1))
            file.write(struct.pack("<Q", 0xABC000))
        with peak_below(16 << 20), Minidump(path) as dump:
            assert len(dump.memory_info) == count
            assert dump.memory_info[-1].base == 0xABC000
            assert dump.damage == ()

    def test_an_entry_larger_than_any_record_of_numpy(self, tmp_path: Path) -> None:
        rva, entry = HEADER + ENTRY, 0x8000_0001
        head = struct.pack("<IIQ", 16, entry, 1) + struct.pack("<Q", 0xABC000)
        path = write(tmp_path / "huge.dmp", [(MEMORY_INFO_LIST, 0xFFFF_FFFF, rva)], head, size=3 << 30)
        with Minidump(path) as dump:
            assert [info.base for info in dump.memory_info] == [0xABC000]

    def test_all_lists_share_a_limit_of_bytes(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(stream_reader, "_MAX_RECORD_BYTES", 10 * 48)
        made = MinidumpBytes()
        made.stream("ThreadInfoList", struct.pack("<III", 12, 64, 4) + bytes(4 * 64))
        made.stream("MemoryInfoList", struct.pack("<IIQ", 16, 48, 6) + bytes(6 * 48))
        path = tmp_path / "some.dmp"
        path.write_bytes(made.finish())
        with Minidump(path) as dump:
            (sentence,) = dump.damage
            assert sentence.startswith("MemoryInfoList at offset")
            assert sentence.endswith("6 entries are claimed; only the first 4 were read")
            assert len(dump.memory_info) == 4


class TestCrumbs:
    """Memory in pieces of one byte, none of which follows the other in the file."""

    def crumbs(self, count: int) -> RegionTable:
        starts = np.arange(count, dtype=np.uint64) + np.uint64(0x1000)
        return RegionTable(starts, np.ones(count, np.uint64), starts[::-1] * np.uint64(2))

    def test_a_few_are_always_read_through(self) -> None:
        regions = self.crumbs(10)
        assert sum(length for _, length in regions.extents(0x1000, 100)) == 10
        assert regions.problems == ()

    def test_lookups_are_limited_and_say_so(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("dumpscan.memory.regions._FIRST_ALLOWANCE", 100)
        regions = self.crumbs(1000)
        assert len(regions.extents(0x1000, 16 + 90)) == 16 + 90
        assert len(regions.extents(0x1000, 1000)) == 16 + 10
        assert [len(regions.extents(0x1000, 1000)) for _ in range(3)] == [16, 16, 16]
        assert regions.problems == ("memory is in pieces too small to read through: 4 reads were cut short",)

    def test_a_dump_says_so(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("dumpscan.memory.regions._FIRST_ALLOWANCE", 0)
        made = MinidumpBytes()
        made.memory(*((0x1000 + number, b"x") for number in range(39, -1, -1)))
        path = tmp_path / "crumbs.dmp"
        path.write_bytes(made.finish())
        with Minidump(path) as dump:
            assert len(dump.regions) == 40
            assert dump.damage == ()
            assert len(dump.read(0x1000, 40)) == 16
            assert dump.damage == ("memory is in pieces too small to read through: 1 reads were cut short",)


def test_many_handles_threads_and_modules(tmp_path: Path) -> None:
    """Nothing but the limits of each list; what they make together stays small."""
    made = MinidumpBytes()
    made.stream("HandleData", struct.pack("<IIII", 16, 32, 1 << 18, 0) + bytes(32 << 18))
    made.entry(kind("ModuleList"), 108 << 16, made.add(struct.pack("<I", 1 << 16) + bytes(108 << 16)))
    path = tmp_path / "lists.dmp"
    path.write_bytes(made.finish())
    with peak_below(300 << 20), Minidump(path) as dump:
        assert (len(dump.handles), len(dump.modules)) == (1 << 18, (1 << 16) - 1)
        assert len(dump.damage) == 1
