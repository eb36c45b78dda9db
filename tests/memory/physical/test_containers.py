from __future__ import annotations

import os
import struct
from typing import TYPE_CHECKING, Any

import pytest

from dumpscan.exceptions import InputError
from dumpscan.memory import volatility
from dumpscan.memory.formats import KERNEL
from dumpscan.memory.kernel.cache import ImageCache
from dumpscan.memory.mapped_file import MappedFile
from dumpscan.memory.open import open_dump
from dumpscan.memory.physical.containers import _unpacked, open_image
from dumpscan.synth.physical.containers import CONTAINERS
from support.kernel_images import Lab, build_lab
from support.page_table_images import PAGE

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FORMATS = {
    "crash": "Windows crash dump",
    "crash-bitmap": "Windows crash dump",
    "lime": "LiME",
    "elf": "ELF core dump",
    "kdump": "kdump-compressed",
}


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Lab:
    return build_lab(tmp_path_factory.mktemp("lab"))


def write(directory: Path, data: bytes, name: str = "image.bin") -> Path:
    path = directory / name
    path.write_bytes(data)
    return path


def test_a_file_without_marks_is_raw(tmp_path: Path) -> None:
    heard: list[str] = []
    with open_image(write(tmp_path, bytes(range(256)) * 64), heard) as image:
        assert (image.format, image.size, image.problems) == ("raw", 4 * PAGE, [])
        assert image.in_file
    assert heard == []


@pytest.mark.parametrize("container", [name for name in CONTAINERS if name != "raw"])
def test_containers_give_the_same_memory(lab: Lab, tmp_path: Path, container: str) -> None:
    raw = lab.image.read_bytes()
    other = build_lab(tmp_path, container=container)
    with other.physical() as image:
        assert image.format == FORMATS[container]
        assert image.problems == []
        held = bytearray(len(raw))
        for region in image.regions:
            held[region.start : region.end] = image.read(region.start, region.size)
        # A dump with a bitmap leaves out pages, those that are zero here.
        assert held == raw


def test_vmware_memory_beside_its_snapshot(tmp_path: Path) -> None:
    # VMware's own format: groups, then tags; `regionPPN` and so on say where 4 KiB pages of the .vmem belong.
    tags = b"".join(
        bytes([4 | indices << 6, len(name)]) + name + bytes(4 * indices) + value.to_bytes(4, "little")
        for name, indices, value in (
            (b"regionsCount", 0, 1),
            (b"regionPPN", 1, 0x100),
            (b"regionPageNum", 1, 2),
            (b"regionSize", 1, 2),
        )
    )
    head = struct.pack("<4sII", b"\xd2\xbe\xd2\xbe", 0, 1) + struct.pack("64sQQ", b"memory", 92, 0)
    assert len(head) == 92
    write(tmp_path, head + tags + bytes(8), "machine.vmss")
    memory = write(tmp_path, b"".join(bytes([number]) * PAGE for number in range(4)), "machine.vmem")
    heard: list[str] = []
    with open_image(memory, heard) as image:
        assert image.format == "VMware snapshot"
        assert [(region.start, region.size, region.file_offset) for region in image.regions] == [
            (0x100000, 2 * PAGE, 2 * PAGE)
        ]
        assert image.read(0x101000, 2) == b"\3\3"
    assert heard == []


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes")
def test_a_pipe_in_place_of_a_snapshot_is_not_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "machine.vmss")
    with pytest.raises(InputError, match=r"its snapshot machine\.vmss is not a file"):
        open_image(write(tmp_path, bytes(PAGE), "machine.vmem"), [])


def test_volatilitys_warnings_are_heard_and_not_printed(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    heard: list[str] = []
    with open_image(write(tmp_path, bytes(PAGE), "machine.vmem"), heard) as image:
        assert image.format == "raw"
    assert len(heard) == 1
    assert heard[0].startswith("volatility3: No metadata file found alongside VMEM file.")
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"", "is empty"),
        (b"MDMP" + bytes(100), "is a minidump: use `dumpscan minidump`; expected an image of physical memory"),
        (b"\x1f\x8b" + bytes(100), "is a gzip archive: unpack it first"),
        (b"EMiL" + b"\xff" * 100, "is a LiME image whose headers are damaged"),
        (b"\x7fELF" + b"\xff" * 100, "is an ELF file, but no core dump of physical memory"),
        (b"PAGEDU64" + bytes(0x3000), "is a Windows crash dump without all of physical memory"),
        (b"PAGEDUMP" + bytes(0x3000), "is a Windows crash dump without all of physical memory"),
        (b"PAGEDU64", "is a Windows crash dump without all of physical memory"),
        (b"QEVM\0\0\0\3" + b"\xff" * 100, "is a QEMU snapshot that is damaged"),
    ],
)
def test_what_is_no_image_is_refused(tmp_path: Path, data: bytes, problem: str) -> None:
    path = write(tmp_path, data)
    with pytest.raises(InputError) as caught:
        open_dump(path, kind=KERNEL)
    assert problem in str(caught.value)
    assert str(path) in str(caught.value)


def test_other_kinds_of_file_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is a directory"):
        open_image(tmp_path, [])
    with pytest.raises(InputError, match="cannot be opened"):
        open_image(tmp_path / "absent", [])
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe")
        with pytest.raises(InputError, match="is a named pipe"):
            open_image(tmp_path / "pipe", [])


def lime(*runs: tuple[int, int], data: bool = True) -> bytes:
    return b"".join(
        struct.pack("<4sIQQQ", b"EMiL", 1, start, start + size - 1, 0) + (bytes(size) if data else b"")
        for start, size in runs
    )


def test_a_container_that_is_cut_short_says_so(tmp_path: Path) -> None:
    whole = lime((0x1000, 4 * PAGE), (0x100000, 8 * PAGE))
    with open_image(write(tmp_path, whole[: -3 * PAGE]), []) as image:
        assert image.format == "LiME"
        assert image.problems == [
            (
                "cut short: 1 of 2 runs of memory lie past the end of the file, wholly or in part; "
                f"{3 * PAGE} bytes are missing"
            )
        ]
        assert image.frames == 9


def test_a_raw_image_of_no_whole_number_of_pages_says_so(tmp_path: Path) -> None:
    with open_image(write(tmp_path, bytes(3 * PAGE + 5)), []) as image:
        assert image.problems == [f"cut short: its size of {3 * PAGE + 5} bytes is no multiple of {PAGE}"]
        assert image.frames == 3


def test_a_list_of_runs_without_an_end_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dumpscan.memory.physical.containers._MAX_READS", 100)
    path = write(tmp_path, lime(*((number, 1) for number in range(1000)), data=True))
    with pytest.raises(InputError, match="the list of its runs of memory does not end"):
        open_image(path, [])


class PackedLayer:
    """A layer of a compressed format: two pages that are there, one that is zero, a hole, and one more."""

    minimum_address = 0
    maximum_address = 0x10FFF
    pages = {0: b"\1" * PAGE, PAGE: bytes(PAGE), 2 * PAGE: b"\2" * PAGE, 0x10000: b"\3" * PAGE}  # noqa: RUF012

    def mapping(self, first: int, size: int, *, ignore_errors: bool) -> Iterator[tuple[int, int, int, int, str]]:
        assert (first, size, ignore_errors) == (0, 0x11000, True)
        for address in self.pages:
            yield address, PAGE, 77, 5, "base"

    def read(self, address: int, size: int, *, pad: bool) -> bytes:
        assert pad
        assert size == PAGE
        return self.pages[address]


def test_a_compressed_image_is_unpacked_into_a_file_that_goes_away(tmp_path: Path) -> None:
    volatility.load()
    file = MappedFile(write(tmp_path, b"packed"))
    layer: Any = PackedLayer()
    image = _unpacked(file, layer, "AVML", tmp_path)
    assert (image.format, image.path, image.in_file) == ("AVML, compressed", file.path, False)
    assert [(region.start, region.size) for region in image.regions] == [(0, 3 * PAGE), (0x10000, PAGE)]
    assert [image.read(address, 2) for address in (0, PAGE, 2 * PAGE, 0x10FFE)] == [b"\1\1", b"\0\0", b"\2\2", b"\3\3"]
    # Offsets in a file that the user never saw are no evidence.
    assert image.extents(0, 10) == ()
    (unpacked,) = tmp_path.rglob("physical.raw")
    assert unpacked.parent.parent == tmp_path
    image.close()
    assert not unpacked.parent.exists()


HUGE = (1 << 63, (1 << 63) + 5, (1 << 64) - PAGE)


def elf(*segments: tuple[int, int, int], tail: bytes = b"") -> bytes:
    """An ELF core of segments: physical address, file offset, size."""
    sizes = (64, 56, len(segments), 0, 0, 0)
    header = struct.pack("<4s5B7xHHIQQQIHHHHHH", b"\x7fELF", 2, 1, 1, 0, 0, 4, 62, 1, 0, 64, 0, 0, *sizes)
    entries = (struct.pack("<IIQQQQQQ", 1, 4, offset, 0, address, size, size, 0) for address, offset, size in segments)
    return header + b"".join(entries) + tail


def crash(*runs: tuple[int, int], tail: bytes = b"") -> bytes:
    """A full Windows crash dump of runs: first page, number of pages."""
    header = bytearray(0x2000)
    header[:8] = b"PAGEDU64"
    struct.pack_into("<IIQ", header, 0x88, len(runs), 0, sum(count for _, count in runs) % 2**64)
    for number, run in enumerate(runs):
        struct.pack_into("<QQ", header, 0x98 + 16 * number, *run)
    struct.pack_into("<I", header, 0xF98, 1)  # DumpType
    return bytes(header) + tail


class TestHugeAddresses:
    """Numbers of 2^63 and more, which fit neither into a real machine nor into a signed 64-bit array."""

    @pytest.mark.parametrize("address", HUGE)
    def test_an_elf_core_of_nothing_else(self, tmp_path: Path, address: int) -> None:
        with pytest.raises(InputError, match="no memory below 16 TiB"):
            open_image(write(tmp_path, elf((address, PAGE, PAGE), tail=bytes(4 * PAGE))), [])

    @pytest.mark.parametrize("address", HUGE)
    def test_the_other_segments_of_an_elf_core_are_read(self, tmp_path: Path, address: int) -> None:
        data = elf((0x2000, PAGE, PAGE), (address, 2 * PAGE, PAGE)).ljust(PAGE, b"\0") + b"\7" * 2 * PAGE
        with open_image(write(tmp_path, data), []) as image:
            assert image.read(0x2000, 2) == b"\7\7"
            assert image.size == PAGE
            assert image.problems == [
                ("1 of 2 runs of memory lie above 16 TiB, wholly or in part, and are left out as far as they do")
            ]

    @pytest.mark.parametrize("size", [1 << 63, (1 << 64) - 0x3000])
    def test_sizes(self, tmp_path: Path, size: int) -> None:
        data = elf((0x2000, PAGE, size)).ljust(PAGE, b"\0") + b"\7" * PAGE
        with open_image(write(tmp_path, data), []) as image:
            assert (image.size, image.read(0x2000, 2)) == (PAGE, b"\7\7")
            assert len(image.problems) == 2

    @pytest.mark.parametrize("offset", [1 << 63, (1 << 64) - 1])
    def test_offsets(self, tmp_path: Path, offset: int) -> None:
        with open_image(write(tmp_path, elf((0x2000, offset, PAGE)) + bytes(PAGE)), []) as image:
            assert image.size == 0
            assert "past the end of the file" in image.problems[0]

    @pytest.mark.parametrize("address", HUGE)
    def test_lime(self, tmp_path: Path, address: int) -> None:
        data = lime((0x1000, PAGE)) + struct.pack("<4sIQQQ", b"EMiL", 1, address, address + PAGE - 1, 0) + bytes(PAGE)
        with open_image(write(tmp_path, data), []) as image:
            assert image.size == PAGE
            assert "1 of 2 runs of memory lie above 16 TiB" in image.problems[0]

    @pytest.mark.parametrize("run", [(1 << 51, 2), (1 << 60, 2), ((1 << 64) - 1, 1), (3, 1 << 60), (3, (1 << 64) - 1)])
    def test_a_crash_dump(self, tmp_path: Path, run: tuple[int, int]) -> None:
        with open_image(write(tmp_path, crash((1, 1), run, tail=b"\7" * 3 * PAGE)), []) as image:
            assert image.read(0x1000, 2) == b"\7\7"
            assert "of 2 runs of memory lie" in image.problems[0]

    @pytest.mark.parametrize("runs", [((1, 1), (2, 0)), ((2, 1 << 60), (5, 0)), ((5, 0), (5, 0)), ((7, 2), (1, 1))])
    def test_odd_lists_end(self, tmp_path: Path, runs: tuple[tuple[int, int], ...]) -> None:
        try:
            with open_image(write(tmp_path, crash(*runs, tail=b"\7" * 3 * PAGE)), []) as image:
                assert image.size <= 3 * PAGE
        except InputError as error:
            assert "runs" in error.problem or "crash dump" in error.problem  # noqa: PT017


def test_runs_are_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dumpscan.memory.physical.containers._MAX_RUNS", 10)
    with pytest.raises(InputError, match="lists more than 10 runs of memory"):
        open_image(write(tmp_path, lime(*((number * PAGE, PAGE) for number in range(0, 40, 2)))), [])


class TestUnpacking:
    """A compressed image's blocks, whose sizes and places a forged one makes up."""

    def unpack(self, tmp_path: Path, **changes: object) -> None:
        volatility.load()
        layer: Any = PackedLayer()
        for name, value in changes.items():
            setattr(layer, name, value)
        file = MappedFile(write(tmp_path, b"packed"))
        with file:
            _unpacked(file, layer, "AVML").close()

    @pytest.mark.parametrize("address", [1 << 44, 1 << 63, (1 << 64) - PAGE])
    def test_a_block_above_all_memory(self, tmp_path: Path, address: int) -> None:
        def mapping(*_: int, ignore_errors: bool) -> list[tuple[int, int, int, int, str]]:  # noqa: ARG001
            return [(address, PAGE, 0, 0, "base")]

        with pytest.raises(InputError, match=f"has a block of 4096 bytes for physical address {address:#x}"):
            self.unpack(tmp_path, mapping=mapping)

    @pytest.mark.parametrize("size", [0, (16 << 20) + 1, 1 << 62])
    def test_a_block_of_impossible_size(self, tmp_path: Path, size: int) -> None:
        def mapping(*_: int, ignore_errors: bool) -> list[tuple[int, int, int, int, str]]:  # noqa: ARG001
            return [(0, size, 0, 0, "base")]

        with pytest.raises(InputError, match=f"has a block of {size} bytes"):
            self.unpack(tmp_path, mapping=mapping)

    def test_more_than_any_packing_yields(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("dumpscan.memory.physical.unpacked.UNPACKED_AT_FIRST", 2 * PAGE)
        with pytest.raises(InputError, match="unpacks to more than 64 times its size"):
            self.unpack(tmp_path)


def test_a_raw_image_is_remembered_as_such(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path, bytes(range(256)) * 64)
    with open_image(path, [], None, ImageCache(path, "container", tmp_path / "cache")) as image:
        assert image.format == "raw"

    def refuse(*_: object) -> None:
        pytest.fail("volatility3 was asked again")

    monkeypatch.setattr("dumpscan.memory.physical.containers._stack", refuse)
    with open_image(path, [], None, ImageCache(path, "container", tmp_path / "cache")) as image:
        assert image.format == "raw"
        assert image.read(0, 4) == b"\0\1\2\3"
    path.write_bytes(bytes(range(256)) * 65)
    with pytest.raises(pytest.fail.Exception):
        open_image(path, [], None, ImageCache(path, "container", tmp_path / "cache"))


def test_a_range_of_all_addresses_is_cut_to_those_there_are(tmp_path: Path) -> None:
    """Its size, 2^64, is one more than a number of 64 bits holds."""
    header = struct.pack("<IIQQ8x", 0x4C694D45, 1, 0, (1 << 64) - 1)
    with open_image(write(tmp_path, header + bytes(4096)), []) as image:
        assert image.read(0, 8192) == bytes(4096)
        assert image.problems
