from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

import pytest

from dumpscan.exceptions import InputError
from dumpscan.memory.open import open_dump
from dumpscan.memory.physical import unpacked
from dumpscan.memory.physical.containers import open_image
from support.container_bytes import (
    CONTINUE,
    PACKED,
    SIZES,
    XBZRLE,
    ZERO,
    name,
    number,
    page,
    saved,
    section,
    sizes,
    stream,
)
from support.page_table_images import PAGE

if TYPE_CHECKING:
    from pathlib import Path

    from dumpscan.memory.physical.image import PhysicalImage

RAM = 1 << 20
GIB = 1 << 30


def opened(directory: Path, data: bytes, **options: Path) -> PhysicalImage:
    path = directory / "image.qevm"
    path.write_bytes(data)
    return open_image(path, [], **options)


ONE, TWO, THREE = (bytes([each]) * PAGE for each in (1, 2, 3))
SMALL = (
    section(1, sizes(pc_ram=RAM, vga_vram=0x10000)),
    section(2, page(0x1000, ONE), page(0x2000, None, None), page(0, THREE, b"vga.vram")),
    section(2, page(0x8000, TWO), page(0x9000, ONE, None, packed=True)),
    section(3, page(0x1000, THREE), page(0xA000, None, None)),
)


def test_pages(tmp_path: Path) -> None:
    with opened(tmp_path, stream(*SMALL)) as image:
        assert (image.format, image.problems) == ("QEMU snapshot", [])
        assert [(region.start, region.size) for region in image.regions] == [(0x1000, 2 * PAGE), (0x8000, 3 * PAGE)]
        # The first page came twice; the last copy counts.
        assert image.read(0x1000, 2 * PAGE) == THREE + bytes(PAGE)
        assert image.read(0x8000, 3 * PAGE) == TWO + ONE + bytes(PAGE)
        assert image.extents(0x1000, 10) == ()


def test_it_is_recognised_by_its_content(tmp_path: Path) -> None:
    path = tmp_path / "image"
    path.write_bytes(stream(*SMALL))
    with open_dump(path) as dump:
        assert dump.format == "kernel: QEMU snapshot"


def test_parts_of_the_configuration(tmp_path: Path) -> None:
    capabilities = (
        b"\x05" + name(b"configuration/capabilities") + number(1, 4) + number(2, 4) + name(b"a") + name(b"bc")
    )
    bits = b"\x05" + name(b"configuration/target-page-bits") + number(1, 4) + number(12, 4)
    with opened(tmp_path, stream(*SMALL, configuration=capabilities + bits)) as image:
        assert image.frames == 5


@pytest.mark.parametrize(
    ("machine", "size", "address", "physical"),
    [
        (b"pc-i440fx-7.2", 3 * GIB, 3 * GIB - PAGE, 3 * GIB - PAGE),
        (b"pc-i440fx-7.2", 6 * GIB, 3 * GIB - PAGE, 3 * GIB - PAGE),
        (b"pc-i440fx-7.2", 6 * GIB, 3 * GIB, 4 * GIB),
        (b"pc-i440fx-jammy", 6 * GIB, 5 * GIB, 6 * GIB),
        (b"pc-i440fx-1.7", 6 * GIB, 3 * GIB, 3 * GIB),
        (b"pc-1.2", 6 * GIB, 0xE000_0000, 4 * GIB),
        (b"pc-q35-8.1", 6 * GIB, 2 * GIB, 4 * GIB),
        (b"pc-q35-8.1", 2 * GIB, 2 * GIB - PAGE, 2 * GIB - PAGE),
        (b"microvm", 6 * GIB, 3 * GIB, 4 * GIB),
    ],
)
def test_the_hole_below_4_gib(tmp_path: Path, machine: bytes, size: int, address: int, physical: int) -> None:
    data = stream(section(1, sizes(pc_ram=size)), section(3, page(address, ONE)), machine=machine)
    with opened(tmp_path, data) as image:
        assert [(region.start, region.size) for region in image.regions] == [(physical, PAGE)]
        assert image.problems == []


def test_a_machine_that_is_not_known(tmp_path: Path) -> None:
    data = stream(section(1, sizes(pc_ram=6 * GIB)), section(3, page(5 * GIB, ONE)), machine=b"novel-1.0")
    with opened(tmp_path, data) as image:
        assert image.problems == ["the machine 'novel-1.0' is not known: memory above 2 GiB may lie elsewhere"]


def test_main_memory_by_another_name(tmp_path: Path) -> None:
    data = stream(
        section(1, sizes(vga_vram=0x4000, mem0=RAM)), section(3, page(0, TWO, b"vga.vram"), page(0, ONE, b"mem0"))
    )
    with opened(tmp_path, data) as image:
        assert image.read(0, PAGE + 1) == ONE


def test_a_scratch_directory(tmp_path: Path) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    with opened(tmp_path, stream(*SMALL), scratch=scratch) as image:
        assert [path.name for path in scratch.rglob("physical.raw")] == ["physical.raw"]
        assert image.read(0x8000, PAGE) == TWO
    assert list(scratch.iterdir()) == []


def test_too_little_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unpacked, "free_memory", lambda: 4 * PAGE)
    with pytest.raises(InputError, match="half of the memory that is free"):
        opened(tmp_path, stream(*SMALL))


def test_every_length(tmp_path: Path) -> None:
    """Cut short anywhere, what is left is right and the loss is said; or it is refused."""
    whole = stream(*SMALL[:2])
    with opened(tmp_path, whole) as image:
        assert len(image.problems) == 1
    for size in range(8, len(whole), 97):
        try:
            with opened(tmp_path, whole[:size]) as image:
                assert image.read(0x1000, PAGE) == ONE
                assert "its memory is read only up to offset" in image.problems[0]
        except InputError as error:
            assert "is a QEMU snapshot that is damaged" in error.problem  # noqa: PT017


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"QEVM" + number(2, 4), "expected version 3, found version 2"),
        (stream(), "there is a section 'timer' before the end of memory"),
        (stream(b"\x09"), "expected a section, found 0x9"),
        (stream(b"\0"), "it ends before the end of memory"),
        (stream(section(2)), "expected a section, found 0x2"),
        (stream(configuration=b"\x05" + name(b"configuration/uuid") + number(1, 4)), "a part 'configuration/uuid'"),
        (stream(section(1, number(RAM | SIZES) + name(b"pc.ram") + number(1 << 60))), "the list of blocks of memory"),
        (stream(section(1, number(RAM | SIZES) + name(b"pc.ram") + number(0))), "the list of blocks of memory"),
        (stream(section(1, number(RAM | SIZES) + name(b"") + number(RAM))), "the list of blocks of memory"),
        (stream(section(1, number(SIZES))), "there are no blocks of memory"),
        (stream(section(1, sizes(pc_ram=RAM), page(RAM, ONE))), "lies outside of its block of memory"),
        (stream(section(1, sizes(pc_ram=RAM), page(0, ONE, b"other"))), "lies outside of its block of memory"),
        (stream(section(1, sizes(pc_ram=RAM), page(0, ONE, None))), "lies outside of its block of memory"),
        (stream(section(1, sizes(pc_ram=1 << 60), page(1 << 50, ONE))), "or above 16 TiB"),
        (stream(section(1, page(0, ONE))), "lies outside of its block of memory"),
        (stream(section(1, sizes(pc_ram=RAM), number(XBZRLE))), "it uses XBZRLE, which cannot be read"),
        (stream(section(1, sizes(pc_ram=RAM), number(ZERO) + name(b"pc.ram") + b"\7")), "a byte other than zero"),
        (stream(section(1, sizes(pc_ram=RAM), number(PACKED) + name(b"pc.ram") + number(1 << 31, 4))), "a packed page"),
    ],
)
def test_what_cannot_be_read_is_said(tmp_path: Path, data: bytes, problem: str) -> None:
    with pytest.raises(InputError, match="is a QEMU snapshot that is damaged or of an unknown kind") as caught:
        opened(tmp_path, data)
    assert problem in str(caught.value)


def test_a_packed_page_that_does_not_unpack_is_left_out(tmp_path: Path) -> None:
    bomb = (
        number(0x3000 | PACKED | CONTINUE)
        + number(len(zlib.compress(bytes(1 << 20))), 4)
        + zlib.compress(bytes(1 << 20))
    )
    data = stream(section(1, sizes(pc_ram=RAM)), section(3, page(0x2000, ONE), bomb, page(0x4000, TWO, None)))
    with opened(tmp_path, data) as image:
        assert [region.start for region in image.regions] == [0x2000, 0x4000]
        assert image.read(0x4000, PAGE) == TWO
        assert image.problems == ["1 of 3 pages could not be read: they do not unpack to a page"]


def test_a_saved_machine_of_libvirt(tmp_path: Path) -> None:
    path = tmp_path / "machine.save"
    path.write_bytes(saved(stream(*SMALL)))
    with open_dump(path) as dump:
        assert dump.format == "kernel: QEMU snapshot"
        assert dump.searchable_bytes == 5 * PAGE
        assert dump.damage == ()


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (saved(b"", version=3), "of version 3; expected 1 or 2"),
        (saved(stream(*SMALL), packed=5), "packed by zstd: unpack what lies from offset 0x444 on"),
        (saved(stream(*SMALL), packed=77), "packed by method 77"),
        (saved(stream(*SMALL), claimed=0xFFFF_FFFF), "it is cut short"),
        (saved(stream(*SMALL), claimed=10), "expected version 3, found"),
        (b"LibvirtQemudSave", "of version 0"),
        (b"LibvirtQemudPart" + bytes(100), "a saved machine of libvirt that was not finished"),
    ],
)
def test_saved_machines_that_cannot_be_read(tmp_path: Path, data: bytes, problem: str) -> None:
    path = tmp_path / "machine.save"
    path.write_bytes(data)
    with pytest.raises(InputError) as caught:
        open_dump(path)
    assert problem in str(caught.value)
