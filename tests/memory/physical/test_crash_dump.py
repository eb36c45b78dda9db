"""Windows crash dumps of every type, written here byte by byte."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dumpscan.exceptions import InputError
from dumpscan.memory.mapped_file import MappedFile
from dumpscan.memory.physical import bitmaps, crash_dump
from dumpscan.memory.physical.crash_dump import open_crash_dump

if TYPE_CHECKING:
    from pathlib import Path

    from dumpscan.memory.physical.image import PhysicalImage

PAGE = 0x1000
FRAMES = [1, 2, 3, 7, 8, 40, 64, 65, 66, 67, 100]
RUNS = [(1, 3), (7, 2), (40, 1), (64, 4), (100, 1)]
NAMES = {2: ", kernel memory", 6: ", kernel memory", 7: ", kernel memory", 8: ", kernel memory"}


def header(kind: int, *, wide: bool = True, runs: list[tuple[int, int]] | None = None, attributes: int = 0) -> bytes:
    """DUMP_HEADER64 or DUMP_HEADER32, filled with `PAGE` as Windows fills it."""
    data = bytearray(b"PAGE" * (0x800 if wide else 0x400))
    data[4:8] = b"DU64" if wide else b"DUMP"
    if runs is not None:
        at, form, head = (0x88, "<QQ", "<IIQ") if wide else (0x64, "<II", "<II")
        pages = sum(count for _, count in runs)
        struct.pack_into(head, data, at, *((len(runs), 0, pages) if wide else (len(runs), pages)))
        for number, run in enumerate(runs):
            struct.pack_into(form, data, at + struct.calcsize(head) + number * struct.calcsize(form), *run)
    struct.pack_into("<I", data, 0xF98 if wide else 0xF88, kind)
    if attributes:
        struct.pack_into("<I", data, 0x1050 if wide else 0x8A0, attributes)
    return bytes(data)


def pages() -> bytes:
    return b"".join(bytes([frame]) * PAGE for frame in FRAMES)


def bits(count: int = 128) -> bytes:
    return np.packbits([frame in FRAMES for frame in range(count)], bitorder="little").tobytes()


def bitmap(kind: int, *, wide: bool = True, signature: bytes = b"SDMP", claimed: int = 128) -> bytes:
    """The header that Windows 8 and later write."""
    head = header(kind, wide=wide)
    first = len(head) + PAGE
    part = signature + b"DUMP" + bytes(0x18) + struct.pack("<QQQ", first, len(FRAMES), claimed) + bits()
    return head + part.ljust(PAGE, b"\0") + pages()


def summary(*, wide: bool = True) -> bytes:
    """The header that Windows 7 and earlier write."""
    head = header(2, wide=wide)
    first = len(head) + PAGE
    part = b"SDMPDUMP" + struct.pack("<6I", 1, first, 128, len(FRAMES), 128, 0) + bytes(8 if wide else 0) + bits()
    return head + part.ljust(PAGE, b"\0") + pages()


def ranges(kind: int, *, marker: int = 0x40, signature: bytes = b"RDMP") -> bytes:
    """What the debugger's `.dump /f`, `/k` and `/ka` write."""
    head = header(kind)
    listed = b"".join(struct.pack("<QQ", *run) for run in RUNS) + bytes(16)
    size = 0x30 + len(listed) + 0x20
    first = len(head) + size
    part = struct.pack("<I4s4sIQQQQ", marker, signature, b"DUMP", 0, size - 0x20, first, len(RUNS), len(FRAMES))
    return head + (part + listed).ljust(size, b"\0") + pages()


def full(*, wide: bool = True) -> bytes:
    return header(1, wide=wide, runs=RUNS) + pages()


def opened(tmp_path: Path, data: bytes) -> PhysicalImage:
    path = tmp_path / "memory.dmp"
    path.write_bytes(data)
    return open_crash_dump(MappedFile(path))


DUMPS = {
    "1": full(),
    "1-32": full(wide=False),
    "2-old": summary(),
    "2-old-32": summary(wide=False),
    "2-new": bitmap(2),
    **{str(kind): bitmap(kind) for kind in (5, 6, 7)},
    "5-fdmp": bitmap(5, signature=b"FDMP"),
    **{f"{kind}-32": bitmap(kind, wide=False) for kind in (5, 6)},
    **{str(kind): ranges(kind) for kind in (8, 9, 10)},
}


@pytest.mark.parametrize("form", DUMPS)
def test_every_page_is_at_its_address(tmp_path: Path, form: str) -> None:
    kind, *others = form.split("-")
    with opened(tmp_path, DUMPS[form]) as image:
        assert image.format == f"Windows crash dump{NAMES.get(int(kind), '')}{', 32-bit' * ('32' in others)}"
        assert image.problems == []
        assert image.size == len(FRAMES) * PAGE
        for frame in range(130):
            expected = bytes([frame]) * PAGE if frame in FRAMES else b""
            assert image.read(frame * PAGE, PAGE)[:PAGE] == expected


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (header(3) + bytes(PAGE), "without all of physical memory: a header alone"),
        (header(4) + bytes(PAGE), "without all of physical memory: a small memory dump"),
        (header(4, wide=False) + bytes(PAGE), "without all of physical memory: a small memory dump"),
        (header(11) + bytes(PAGE), "its type, 11, is unknown"),
        (header(0x45474150) + bytes(PAGE), "is unknown"),
        (header(6)[:-1], "its header is cut off: the file has 8191 bytes"),
        (header(6) + bytes(16), "its header is cut off"),
        (header(6, attributes=0x110) + bytes(PAGE), "whose memory is encrypted"),
        (bitmap(6, signature=b"XDMP"), "of type BITMAP_KERNEL, 6: the header of its bitmap is damaged"),
        (ranges(8, marker=0x41), "of type KERNEL_RANGES, 8: the header of its list of ranges is damaged"),
        (ranges(10, signature=b"XDMP"), "of type FULL_RANGES, 10: the header"),
        (bitmap(6, claimed=0), "it lists no runs of memory"),
        (header(1, runs=[]), "it lists no runs of memory"),
    ],
)
def test_what_cannot_be_read_is_refused_by_its_type(tmp_path: Path, data: bytes, problem: str) -> None:
    with pytest.raises(InputError) as caught:
        opened(tmp_path, data)
    assert problem in str(caught.value)


def test_a_live_dump_is_no_encrypted_one(tmp_path: Path) -> None:
    data = header(6, attributes=0x10) + bitmap(6)[0x2000:]
    with opened(tmp_path, data) as image:
        assert image.size == len(FRAMES) * PAGE


def test_a_dump_cut_off_gives_what_is_left(tmp_path: Path) -> None:
    for data in (bitmap(6), ranges(9), full()):
        with opened(tmp_path, data[: -3 * PAGE]) as image:
            assert image.read(PAGE, 2) == b"\1\1"
            assert "past the end of the file" in image.problems[0]


def test_claims_beyond_the_file_are_said(tmp_path: Path) -> None:
    with opened(tmp_path, bitmap(6, claimed=1 << 60)) as image:
        assert image.read(100 * PAGE, 2) == b"dd"
        assert image.problems[0].startswith(f"the bitmap of pages claims {1 << 60} bits; ")
    data = bytearray(full())
    struct.pack_into("<I", data, 0x88, 1000)
    with opened(tmp_path, bytes(data)) as image:
        assert image.problems[0] == "the header claims 1000 runs of memory; it has room for 42"


def test_runs_across_the_steps_of_a_bitmap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bitmaps, "_STEP", 1)
    with opened(tmp_path, bitmap(6)) as image:
        assert image.read(7 * PAGE, 2 * PAGE) == b"\7" * PAGE + b"\x08" * PAGE
        assert image.size == len(FRAMES) * PAGE


def test_runs_are_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crash_dump, "_MAX_RUNS", 4)
    for data in (bitmap(6), ranges(8)):
        with pytest.raises(InputError, match="lists more than 4 runs of memory"):
            opened(tmp_path, data)


@given(form=st.sampled_from(sorted(DUMPS)), damage=st.binary(min_size=8, max_size=8), draw=st.data())
def test_any_damage_is_survived(
    tmp_path_factory: pytest.TempPathFactory, form: str, damage: bytes, draw: st.DataObject
) -> None:
    data = bytearray(DUMPS[form])
    at = draw.draw(st.sampled_from([0x88, 0x98, 0xF88, 0xF98, *range(0x1000, 0x1040, 8), *range(0x2000, 0x2050, 8)]))
    data[at : at + 8] = damage
    try:
        with opened(tmp_path_factory.getbasetemp(), bytes(data)) as image:
            assert image.size <= 4 * len(data)
    except InputError as error:
        assert "crash dump" in error.problem or "runs" in error.problem  # noqa: PT017
