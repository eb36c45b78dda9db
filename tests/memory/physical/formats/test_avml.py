from __future__ import annotations

import hashlib
import struct
import sys
from typing import TYPE_CHECKING

import cramjam
import pytest

from dumpscan.exceptions import InputError
from dumpscan.memory.open import open_dump
from dumpscan.memory.physical import unpacked
from dumpscan.memory.physical.containers import open_image
from support.container_bytes import framed
from support.page_table_images import PAGE

if TYPE_CHECKING:
    from pathlib import Path

    from dumpscan.memory.physical.image import PhysicalImage

NOISE = hashlib.shake_256(b"noise").digest(40 * PAGE)
TEXT = b"text that can be packed " * 6000
LOW = TEXT[: 20 * PAGE] + bytes(30 * PAGE) + NOISE
HIGH = bytes(3 * PAGE) + b"high" * PAGE


def opened(directory: Path, data: bytes, **options: Path) -> PhysicalImage:
    path = directory / "image.avml"
    path.write_bytes(data)
    return open_image(path, [], **options)


def test_ranges(tmp_path: Path) -> None:
    with opened(tmp_path, framed(0x1000, LOW) + framed(0x1_0000_0000, HIGH)) as image:
        assert (image.format, image.problems) == ("AVML, compressed", [])
        assert [(region.start, image.read(region.start, region.size)) for region in image.regions] == [
            (0x1000, LOW),
            (0x1_0000_0000, HIGH),
        ]
        assert image.extents(0x1000, 10) == ()


def test_neighbours_are_one_run(tmp_path: Path) -> None:
    with opened(tmp_path, framed(0, LOW) + framed(len(LOW), HIGH)) as image:
        assert [(region.start, region.size) for region in image.regions] == [(0, len(LOW) + len(HIGH))]


def test_chunks_without_data_are_skipped(tmp_path: Path) -> None:
    packed = bytes(cramjam.snappy.compress(HIGH))
    padded = packed[:10] + b"\xfe\5\0\0hello" + b"\x80\0\0\0" + packed[10:]
    with opened(tmp_path, framed(0, HIGH, padded)) as image:
        assert (image.read(0, len(HIGH)), image.problems) == (HIGH, [])


def test_pages_of_zeros_take_no_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unpacked, "free_memory", lambda: 3 * PAGE)
    content = bytes(100 * PAGE) + b"\1" * PAGE
    with opened(tmp_path, framed(0, content)) as image:
        assert image.read(99 * PAGE, 2 * PAGE) == bytes(PAGE) + b"\1" * PAGE


def test_a_scratch_directory(tmp_path: Path) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    with opened(tmp_path, framed(0x1000, LOW), scratch=scratch) as image:
        assert [path.name for path in scratch.rglob("physical.raw")] == ["physical.raw"]
        assert image.read(0x1000, len(LOW)) == LOW
    assert list(scratch.iterdir()) == []


def test_it_is_recognised_by_its_content(tmp_path: Path) -> None:
    path = tmp_path / "image"
    path.write_bytes(framed(0x1000, LOW))
    with open_dump(path) as dump:
        assert dump.format == "kernel: AVML, compressed"


@pytest.mark.parametrize("size", [100, 5000, 100_000])
def test_cut_short(tmp_path: Path, size: int) -> None:
    whole = framed(0x1000, NOISE) + framed(0x100_0000, LOW)
    first = len(framed(0x1000, NOISE))
    with opened(tmp_path, whole[: first + size]) as image:
        assert image.read(0x1000, len(NOISE)) == NOISE
        assert LOW.startswith(image.read(0x100_0000, len(LOW)))
        assert len(image.problems) == 1
        assert image.problems[0].startswith("cut short or damaged: memory from 0x10")


def test_a_damaged_chunk_is_left_out(tmp_path: Path) -> None:
    data = bytearray(framed(0, TEXT[: 32 * PAGE]))
    second = data.index(b"\0", data.index(b"sNaPpY") + 6)  # the first chunk of packed data
    second += 4 + int.from_bytes(data[second + 1 : second + 4], "little")
    data[second + 30 : second + 60] = b"\xff" * 30
    with opened(tmp_path, bytes(data)) as image:
        assert [(region.start, region.size) for region in image.regions] == [(0, 16 * PAGE)]
        assert image.read(0, 16 * PAGE) == TEXT[: 16 * PAGE]
        assert image.problems == ["1 of 2 chunks of memory do not unpack"]


def chunk(kind: int, data: bytes, length: int | None = None) -> bytes:
    return bytes([kind]) + (len(data) if length is None else length).to_bytes(3, "little") + data


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"AVML", "expected the header of a range at offset 0x0"),
        (struct.pack("<IIQQQ", 0x4C4D_5641, 3, 0, 4095, 0), "expected the header of a range at offset 0x0"),
        (struct.pack("<IIQQQ", 0x4C4D_5641, 2, 4096, 0, 0), "expected the header of a range at offset 0x0"),
        (struct.pack("<IIQQQ", 0x4C4D_5641, 2, 0, (1 << 64) - 1, 0), "ends above 16 TiB"),
        (struct.pack("<IIQQQ", 0x4C4D_5641, 2, 1 << 63, (1 << 63) + 4095, 0), "ends above 16 TiB"),
        (struct.pack("<IIQQQ", 0x4C4D_5641, 2, 0, (1 << 43), 0), "cut short or damaged"),
        (framed(0, bytes(PAGE), chunk(0, b"crc.\xff\xff\xff\xff\x0f")), "cut short or damaged"),
        (framed(0, bytes(PAGE), chunk(0, b"crc.\0")), "cut short or damaged"),
        (framed(0, bytes(PAGE), chunk(0, b"crc.\x80\x40")), "cut short or damaged"),
        (framed(0, bytes(PAGE), chunk(1, b"crc.")), "cut short or damaged"),
        (framed(0, bytes(PAGE), chunk(1, bytes(4 + PAGE + 1))), "cut short or damaged"),
        (framed(0, bytes(PAGE), chunk(2, bytes(100))), "cut short or damaged"),
        (framed(0, bytes(PAGE), chunk(1, bytes(100), 0xFF_FFFF)), "cut short or damaged"),
        (framed(0, bytes(PAGE), chunk(0xFE, bytes(100), 0xFF_FFFF)), "cut short or damaged"),
    ],
)
def test_what_is_damaged_from_the_beginning_is_refused(tmp_path: Path, data: bytes, problem: str) -> None:
    with pytest.raises(InputError, match=f"is an AVML image that is damaged: .*{problem}"):
        opened(tmp_path, data)


def test_a_library_that_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cramjam", None)
    with pytest.raises(InputError, match="is an AVML image, which needs the library cramjam to be unpacked"):
        opened(tmp_path, framed(0, LOW))
