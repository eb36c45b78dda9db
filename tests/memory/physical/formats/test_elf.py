from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import pytest

from dumpscan.exceptions import InputError
from dumpscan.memory.formats import KERNEL
from dumpscan.memory.open import open_dump
from dumpscan.memory.physical.containers import open_image
from dumpscan.memory.physical.formats.elf import MAX_VMCOREINFO
from support.page_table_images import PAGE

if TYPE_CHECKING:
    from pathlib import Path

PT_LOAD, PT_NOTE = 1, 4
EHDR, PHDR, SHDR = 64, 56, 64
PN_XNUM = 0xFFFF


def header(*, segments: int = 0, sections: int = 0, sections_at: int = 0, kind: int = 4) -> bytes:
    counts = (EHDR, PHDR, segments, SHDR, sections, 0)
    return struct.pack("<4s5B7xHHIQQQIHHHHHH", b"\x7fELF", 2, 1, 1, 0, 0, kind, 62, 1, 0, EHDR, sections_at, 0, *counts)


def segment(kind: int, offset: int, address: int, size: int) -> bytes:
    return struct.pack("<IIQQQQQQ", kind, 4, offset, 0, address, size, size, 0)


def section(name: int, offset: int, size: int, info: int = 0) -> bytes:
    return struct.pack("<IIQQQQIIQQ", name, 0, 0, 0, offset, size, 0, info, 0, 0)


def note(owner: bytes, kind: int, data: bytes) -> bytes:
    padded = [part.ljust(-(-len(part) // 4) * 4, b"\0") for part in (owner + b"\0", data)]
    return struct.pack("<III", len(owner) + 1, len(data), kind) + b"".join(padded)


def write(directory: Path, *parts: bytes) -> Path:
    path = directory / "image.elf"
    path.write_bytes(b"".join(parts))
    return path


@pytest.mark.parametrize("count", [1000, 65_534, 65_535, 65_536, 200_000])
def test_any_number_of_segments(tmp_path: Path, count: int) -> None:
    """Each has eight bytes, its own number; none is another's neighbour."""
    many = count >= PN_XNUM
    head = header(segments=PN_XNUM if many else count, sections=int(many), sections_at=EHDR + count * PHDR)
    data_at = EHDR + count * PHDR + SHDR
    table = b"".join(segment(PT_LOAD, data_at + 8 * number, number * PAGE, 8) for number in range(count))
    numbers = b"".join(struct.pack("<Q", number) for number in range(count))
    with open_image(write(tmp_path, head, table, section(0, 0, 0, info=count), numbers), []) as image:
        assert (image.format, image.problems) == ("ELF core dump", [])
        assert len(image.regions) == count
        for number in (0, count // 2, count - 1):
            assert image.read(number * PAGE, 9) == struct.pack("<Q", number)


def test_as_many_segments_as_pages(tmp_path: Path) -> None:
    count = 70_000
    data_at = -(-(EHDR + SHDR + count * PHDR) // PAGE) * PAGE
    path = write(
        tmp_path,
        header(segments=PN_XNUM, sections=1, sections_at=EHDR + count * PHDR),
        *(segment(PT_LOAD, data_at + number * PAGE, number * PAGE, PAGE) for number in reversed(range(count))),
        section(0, 0, 0, info=count),
    )
    with path.open("r+b") as file:
        file.truncate(data_at + count * PAGE)
        for number in range(0, count, 1000):
            file.seek(data_at + number * PAGE)
            file.write(struct.pack("<Q", number))
    with open_image(path, []) as image:
        assert (image.frames, image.problems) == (count, [])
        assert image.read(69_000 * PAGE, 8) == struct.pack("<Q", 69_000)


def test_a_byte_is_that_of_the_segment_listed_first(tmp_path: Path) -> None:
    """As QEMU writes them: for each virtual mapping a segment, also where physical addresses are mapped already."""
    data_at = PAGE
    table = (
        segment(PT_LOAD, data_at + PAGE, 0x11000, PAGE),
        segment(PT_LOAD, data_at, 0x10000, 3 * PAGE),
        segment(PT_LOAD, data_at + PAGE, 0x11000, PAGE),
        segment(PT_LOAD, data_at, 0x11000, 2 * PAGE),
    )
    data = b"".join(bytes([number]) * PAGE for number in range(1, 5))
    path = write(tmp_path, (header(segments=len(table)) + b"".join(table)).ljust(data_at, b"\0"), data)
    with open_image(path, []) as image:
        assert image.problems == []
        assert image.size == 3 * PAGE
        assert [image.read(0x10000 + number * PAGE, 1)[0] for number in range(3)] == [1, 2, 3]


def test_the_same_segment_many_times_over_is_no_damage(tmp_path: Path) -> None:
    table = segment(PT_LOAD, PAGE, 0x10000, PAGE) * 50
    with open_image(write(tmp_path, (header(segments=50) + table).ljust(PAGE, b"\0"), b"\7" * PAGE), []) as image:
        assert (image.size, image.problems) == (PAGE, [])


@pytest.mark.parametrize("size", [100, MAX_VMCOREINFO + 100])
def test_the_kernels_description_of_itself_is_offered(tmp_path: Path, size: int) -> None:
    text = b"OSRELEASE=6.1.0\n".ljust(size, b"x")
    notes = note(b"CORE", 1, bytes(336)) + note(b"VMCOREINFO", 0, text)
    table = segment(PT_NOTE, PAGE, 0, len(notes)) + segment(PT_LOAD, 0, 0x1000, PAGE)
    path = write(tmp_path, (header(segments=2) + table).ljust(PAGE, b"\0"), notes)
    with open_image(path, []) as image:
        assert image.vmcoreinfo == text[:MAX_VMCOREINFO]


def test_without_a_note_there_is_no_description(tmp_path: Path) -> None:
    path = write(tmp_path, (header(segments=1) + segment(PT_LOAD, 0, 0x1000, PAGE)).ljust(PAGE, b"\0"))
    with open_image(path, []) as image:
        assert image.vmcoreinfo is None


def test_segments_cut_off_are_said(tmp_path: Path) -> None:
    path = write(tmp_path, header(segments=3), segment(PT_LOAD, 0, 0x1000, 64))
    with open_image(path, []) as image:
        assert image.size == 64
        assert image.problems == ["cut short: 2 of 3 program headers lie past the end of the file"]


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (header(segments=1, kind=2) + segment(PT_LOAD, 0, 0, PAGE), "expected type 4, found 2"),
        (header(segments=1) + segment(PT_NOTE, 0, 0, PAGE), "lists no range of physical addresses"),
        (header(segments=1) + segment(PT_LOAD, 0, 0, 0), "lists no range of physical addresses"),
        (header()[:40], "ELF header cut off"),
    ],
)
def test_what_holds_no_memory_is_refused(tmp_path: Path, data: bytes, problem: str) -> None:
    with pytest.raises(InputError, match=problem):
        open_dump(write(tmp_path, data), kind=KERNEL)


NAMES = b"\0.shstrtab\0.xen_pages\0.xen_pfn\0.xen_p2m\0"


def xen(listed: bytes, name: bytes, *, claimed: int | None = None, pages: int = 3) -> bytes:
    """A Xen core: a list of frames in a section of some name, and pages full of their own number."""
    names_at = EHDR + 3 * SHDR
    list_at = names_at + len(NAMES)
    return b"".join(
        [
            header(sections=3, sections_at=EHDR),
            section(NAMES.index(b".shstrtab"), names_at, len(NAMES)),
            section(NAMES.index(b".xen_pages"), PAGE, pages * PAGE),
            section(NAMES.index(name), list_at, len(listed) if claimed is None else claimed),
            (NAMES + listed).ljust(PAGE - names_at, b"\0"),
            *(bytes([number]) * PAGE for number in range(1, pages + 1)),
        ]
    )


class TestXen:
    @pytest.mark.parametrize("name", [b".xen_pfn", b".xen_p2m"])
    @pytest.mark.parametrize("unused", [0xFFFF_FFFF, 0xFFFF_FFFF_FFFF_FFFF])
    def test_both_lists(self, tmp_path: Path, name: bytes, unused: int) -> None:
        frames = (7, unused, 3)
        listed = b"".join(
            struct.pack("<Q", frame) + (struct.pack("<Q", 0x1234) if name == b".xen_p2m" else b"") for frame in frames
        )
        with open_image(write(tmp_path, xen(listed, name)), []) as image:
            assert (image.format, image.problems) == ("Xen core dump", [])
            assert [(region.start, image.read(region.start, 1)) for region in image.regions] == [
                (3 * PAGE, b"\3"),
                (7 * PAGE, b"\1"),
            ]

    @pytest.mark.parametrize("claimed", [1 << 60, (1 << 64) - 1])
    def test_a_list_that_lies_about_its_size(self, tmp_path: Path, claimed: int) -> None:
        path = write(tmp_path, xen(struct.pack("<3Q", 1, 2, 3), b".xen_pfn", claimed=claimed))
        with open_image(path, []) as image:
            assert image.read(2 * PAGE, 1) == b"\2"
            assert image.frames <= 5

    def test_without_its_pages(self, tmp_path: Path) -> None:
        with pytest.raises(InputError, match="no core dump of physical memory"):
            open_image(write(tmp_path, xen(b"", b".xen_pfn").replace(b".xen_pages", b".xen_cages")), [])
