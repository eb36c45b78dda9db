"""Bounded reading: no more than the file has, whatever a count, size or offset claims."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dumpscan.memory.minidump.stream_reader import Stream, StreamReader
from dumpscan.memory.records import column, decode_utf8, decode_utf16, record_type
from dumpscan.model.c_minidump import c_minidump
from support.minidump_bytes import counted

DIRECTORY = c_minidump.MINIDUMP_DIRECTORY


def reader(data: bytes) -> StreamReader:
    return StreamReader(memoryview(data))


def whole(made: StreamReader) -> Stream:
    """All of a file as one stream."""
    return made.stream(3, "List", 0, made.size)


def entries(count: int) -> list[bytes]:
    return [struct.pack("<III", number, number + 100, number + 200) for number in range(count)]


class TestRecords:
    def test_a_list(self) -> None:
        made = reader(counted(entries(3)))
        records = made.counted_records(whole(made), DIRECTORY, 10)
        assert column(records, "StreamType") == [0, 1, 2]
        assert column(records, "Location", "Rva") == [200, 201, 202]
        assert made.problems == {}

    def test_padding_after_the_count(self) -> None:
        made = reader(counted(entries(3), padding=bytes(4)))
        assert column(made.counted_records(whole(made), DIRECTORY, 10), "StreamType") == [0, 1, 2]

    def test_a_larger_stream_is_not_padded(self) -> None:
        made = reader(counted(entries(3)) + bytes(500))
        assert column(made.counted_records(whole(made), DIRECTORY, 10), "StreamType") == [0, 1, 2]

    def test_padding_is_seen_by_the_claimed_size(self) -> None:
        data = counted(entries(3), padding=bytes(4))
        made = reader(data[:-12])
        records = made.counted_records(made.stream(3, "List", 0, len(data)), DIRECTORY, 10)
        assert column(records, "StreamType") == [0, 1]
        assert made.problems == {0: ["List at offset 0x0: cut short: 1 of 3 entries lie past the end of the file"]}

    def test_a_count_larger_than_the_stream(self) -> None:
        made = reader(counted(entries(3), count=2**32 - 1))
        assert len(made.counted_records(whole(made), DIRECTORY, 10)) == 3
        assert made.problems == {0: ["List at offset 0x0: 4294967295 entries are claimed, there is room for 3"]}

    def test_no_more_than_the_most(self) -> None:
        made = reader(counted(entries(3)))
        assert len(made.counted_records(whole(made), DIRECTORY, 2)) == 2
        assert "only the first 2 were read" in made.problems[0][0]

    @pytest.mark.parametrize("data", [b"", b"\1\0"])
    def test_no_room_for_a_count(self, data: bytes) -> None:
        made = reader(data)
        assert len(made.counted_records(made.stream(3, "List", 0, 100), DIRECTORY, 10)) == 0
        assert made.problems[0] == [f"List at offset 0x0: expected a count, {len(data)} bytes are there"]

    def test_entries_larger_than_known(self) -> None:
        head = struct.pack("<IIQ", 20, 60, 2)
        rows = [struct.pack("<QQ", base, 5).ljust(60, b"\xff") for base in (1, 2)]
        made = reader(head + bytes(4) + b"".join(rows))
        layout = c_minidump.MINIDUMP_MEMORY_INFO
        records = made.sized_records(whole(made), c_minidump.MINIDUMP_MEMORY_INFO_LIST, layout, "NumberOfEntries", 10)
        assert column(records, "BaseAddress") == [1, 2]
        assert made.problems == {}

    @pytest.mark.parametrize("sizes", [(16, 0), (16, 47), (0, 48), (4, 2**32 - 1), (2**32 - 1, 48), (16, 2**32 - 1)])
    def test_senseless_sizes(self, sizes: tuple[int, int]) -> None:
        made = reader(struct.pack("<IIQ", *sizes, 5) + bytes(100))
        records = made.sized_records(
            whole(made), c_minidump.MINIDUMP_MEMORY_INFO_LIST, c_minidump.MINIDUMP_MEMORY_INFO, "NumberOfEntries", 10
        )
        assert len(records) == 0
        assert made.problems

    @given(st.binary(max_size=200), st.integers(0, 2**32), st.integers(0, 2**32))
    def test_any_bytes(self, data: bytes, offset: int, size: int) -> None:
        made = reader(data)
        stream = made.stream(3, "List", offset, size)
        assert len(made.counted_records(stream, DIRECTORY, 5)) <= 5
        assert made.string16(offset) is None or data
        made.string8(offset)
        made.structure(stream, c_minidump.MINIDUMP_EXCEPTION_STREAM, 1)


class TestStructure:
    def test_what_an_older_one_lacks_is_zero(self) -> None:
        made = reader(b"\7\0\0\0\1")
        info = made.structure(made.stream(7, "Info", 0, 5), DIRECTORY, 4)
        assert info is not None
        assert (info.StreamType, info.Location.DataSize, info.Location.Rva) == (7, 1, 0)

    def test_too_little(self) -> None:
        made = reader(b"\7\0\0")
        assert made.structure(made.stream(7, "Info", 0, 12), DIRECTORY, 4) is None
        assert made.problems == {0: ["Info at offset 0x0: expected at least 4 bytes, 3 are there"]}


class TestStrings:
    def test_lone_surrogates_are_kept(self) -> None:
        text = "a\ud800b\udc00"
        data = text.encode("utf-16-le", "surrogatepass")
        made = reader(b"...." + struct.pack("<I", len(data)) + data)
        assert made.string16(4) == text

    @pytest.mark.parametrize("size", [9, 2**32 - 1, 2**31])
    def test_a_length_past_the_end(self, size: int) -> None:
        made = reader(b"...." + struct.pack("<I", size) + b"a\0b\0")
        assert made.string16(4) is None

    def test_offset_zero_means_none(self) -> None:
        assert reader(b"\2\0\0\0a\0").string16(0) is None

    def test_one_string_named_a_million_times(self) -> None:
        """However often a long string is named, together they cannot be much larger than the file."""
        made = reader(b"...." + struct.pack("<I", 60_000) + b"x" * 60_000)
        read = [made.string8(4) for _ in range(1000)]
        assert sum(len(text) for text in read if text) <= 2 * 65536
        assert not made.afford("x" * 60_000)

    @given(st.text())
    def test_utf16_round_trip(self, text: str) -> None:
        assert decode_utf16(text.encode("utf-16-le", "surrogatepass")) == text

    @given(st.binary())
    def test_any_bytes_are_text(self, data: bytes) -> None:
        assert decode_utf16(data).encode("utf-16-le", "surrogatepass") == data[: len(data) // 2 * 2]
        assert decode_utf8(data).encode("utf-8", "surrogateescape") == data


@pytest.mark.parametrize(
    "name",
    ["MINIDUMP_MODULE", "MINIDUMP_THREAD_EX", "MINIDUMP_MEMORY_INFO", "MINIDUMP_HANDLE_DESCRIPTOR", "CONTEXT_X86"],
)
def test_record_type_is_the_layout(name: str) -> None:
    layout = getattr(c_minidump, name)
    kind = record_type(layout)
    assert kind.itemsize == layout.size
    assert kind.fields is not None
    assert {field: kind.fields[field][1] for field in layout.fields} == {
        field: member.offset for field, member in layout.fields.items()
    }
