from __future__ import annotations

import hashlib
import sys
import zlib
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import cramjam
import lzallright
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from dumpscan.exceptions import InputError
from dumpscan.memory.formats import KERNEL, format_of
from dumpscan.memory.open import open_dump
from dumpscan.memory.physical import unpacked
from dumpscan.memory.physical.containers import open_image
from support.kdump_bytes import BLOCK, LZO, SNAPPY, ZLIB, ZSTD, Kdump, flattened, stored

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from dumpscan.memory.physical.image import PhysicalImage


def text_page(number: int) -> bytes:
    return (b"page %d of text. " % number * 300)[:BLOCK]


PAGES = {
    3: text_page(3),
    4: bytes(BLOCK),
    5: hashlib.shake_256(b"5").digest(BLOCK),  # cannot be packed
    6: bytes(BLOCK),
    0x1000: text_page(0x1000),
    0x1001: text_page(0x1001),
}
CODECS: dict[str, tuple[int, Callable[[bytes], bytes]]] = {
    "zlib": (ZLIB, zlib.compress),
    "lzo": (LZO, lambda page: bytes(lzallright.LZOCompressor().compress(page))),
    "snappy": (SNAPPY, lambda page: bytes(cramjam.snappy.compress_raw(page))),
    "zstd": (ZSTD, zstandard.ZstdCompressor().compress),
    "stored": (0, stored),
}


def write(directory: Path, data: bytes) -> Path:
    path = directory / "image.kdump"
    path.write_bytes(data)
    return path


def opened(directory: Path, data: bytes, **options: Path) -> PhysicalImage:
    return open_image(write(directory, data), [], **options)


def content(image: PhysicalImage) -> dict[int, bytes]:
    """All frames of an image that is not large."""
    held = {}
    for region in image.regions:
        for address in range(region.start, region.end, BLOCK):
            held[address // BLOCK] = image.read(address, BLOCK)
    return held


@pytest.mark.parametrize("flat", [False, True], ids=["plain", "flattened"])
@pytest.mark.parametrize("codec", CODECS)
def test_every_way_of_packing(tmp_path: Path, codec: str, flat: bool) -> None:  # noqa: FBT001
    flag, pack = CODECS[codec]
    data = Kdump(PAGES, pack, flag).write()
    with opened(tmp_path, flattened(data) if flat else data) as image:
        assert image.format == "kdump-compressed" + ", flattened" * flat
        assert image.problems == []
        assert content(image) == PAGES
        assert [(region.start // BLOCK, region.size // BLOCK) for region in image.regions] == [(3, 4), (0x1000, 2)]
        # Offsets in memory that the user never saw are no evidence.
        assert image.extents(3 * BLOCK, 10) == ()
        image.release()
        assert content(image) == PAGES


@settings(deadline=None, max_examples=30)
@given(
    st.dictionaries(st.integers(0, 300), st.integers(0, 3), min_size=1),
    st.integers(0, 200),
    st.sampled_from([1, 17, 4096, 1 << 20]),
    st.booleans(),
)
def test_any_choice_of_frames(
    tmp_path_factory: pytest.TempPathFactory,
    chosen: dict[int, int],
    far: int,
    step: int,
    flat: bool,  # noqa: FBT001
) -> None:
    pages = {
        frame + (far if kind == 3 else 0): text_page(kind) if kind else bytes(BLOCK) for frame, kind in chosen.items()
    }
    data = Kdump(pages).write()
    if flat:
        data = flattened(data, step=max(step, len(data) // 1000 + 1))
    with opened(tmp_path_factory.mktemp("any"), data) as image:
        assert (content(image), image.problems) == (pages, [])


@pytest.mark.parametrize("version", [1, 3, 5, 6])
@pytest.mark.parametrize("bitmaps", [1, 2])
def test_older_headers(tmp_path: Path, version: int, bitmaps: int) -> None:
    with opened(
        tmp_path, Kdump(PAGES, version=version, bitmaps=bitmaps, vmcoreinfo=b"OSRELEASE=6.1\n").write()
    ) as image:
        assert content(image) == PAGES
        assert image.vmcoreinfo == (b"OSRELEASE=6.1\n" if version >= 3 else None)


def test_larger_pages(tmp_path: Path) -> None:
    pages = {2: b"\1" * 0x10000, 3: bytes(0x10000), 9: text_page(1) * 16}
    with opened(tmp_path, Kdump(pages, block=0x10000).write()) as image:
        assert image.read(0x20000, 0x20000) == pages[2] + pages[3]
        assert image.read(0x90000, 0x10000) == pages[9]
        assert image.size == 3 * 0x10000


def test_one_of_several_files(tmp_path: Path) -> None:
    with opened(tmp_path, Kdump(PAGES, split=(5, 0x1001)).write()) as image:
        assert content(image) == {frame: page for frame, page in PAGES.items() if 5 <= frame < 0x1001}
        assert image.problems == ["this is one of several files; it holds the page frames 0x5 to 0x1001"]


@pytest.mark.parametrize(
    ("seconds", "captured"),
    [(1_700_000_000, datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)), (0, None), (1 << 63, None)],
)
def test_the_time_of_capture(tmp_path: Path, seconds: int, captured: datetime | None) -> None:
    with opened(tmp_path, Kdump(PAGES, changes=((0x198, "<Q", seconds),)).write()) as image:
        assert image.captured == captured


def test_one_of_several_files_that_is_empty(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is one of several files of a kdump, and has no pages"):
        opened(tmp_path, Kdump(PAGES, split=(10, 20)).write())


@pytest.mark.parametrize(
    ("level", "said"),
    [
        (0, ""),
        (1, ""),
        (9, ", without user memory"),
        (24, ", without user memory and free memory"),
        (31, ", without page cache, user memory and free memory"),
        (-1, ""),
    ],
)
def test_what_was_left_out(tmp_path: Path, level: int, said: str) -> None:
    with opened(tmp_path, Kdump(PAGES, changes=((SUB_HEADER + 8, "<i", level),)).write()) as image:
        assert (image.format, image.problems) == (f"kdump-compressed{said}", [])


def test_pages_of_zeros_take_no_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unpacked, "free_memory", lambda: 4 * BLOCK)
    pages = dict.fromkeys(range(10_000), bytes(BLOCK)) | {77: text_page(1), 78: text_page(2)}
    with opened(tmp_path, Kdump(pages).write()) as image:
        assert (image.frames, image.read(77 * BLOCK, BLOCK)) == (10_000, text_page(1))


def test_it_is_recognised_by_its_content(tmp_path: Path) -> None:
    for data in (Kdump(PAGES).write(), flattened(Kdump(PAGES).write())):
        path = write(tmp_path, data)
        assert format_of(path, data[:64]).kind is KERNEL
        with open_dump(path) as dump:
            assert dump.format.startswith("kernel: kdump-compressed")
            assert dump.searchable_bytes == len(PAGES) * BLOCK


class TestRoom:
    """Where pages are unpacked to."""

    def test_a_scratch_directory(self, tmp_path: Path) -> None:
        scratch = tmp_path / "scratch"
        scratch.mkdir()
        with opened(tmp_path, Kdump(PAGES).write(), scratch=scratch) as image:
            assert [path.name for path in scratch.rglob("*") if path.is_file()] == ["physical.raw"]
            assert content(image) == PAGES
            image.release()
            assert content(image) == PAGES
        assert list(scratch.iterdir()) == []

    def test_no_file_without_one(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def refused(*_: object) -> None:
            raise AssertionError

        monkeypatch.setattr(unpacked, "ScratchDirectory", refused)
        with opened(tmp_path, Kdump(PAGES).write()) as image:
            assert content(image) == PAGES

    def test_too_little_memory(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(unpacked, "free_memory", lambda: 4 * BLOCK)
        with pytest.raises(InputError, match=r"half of the memory that is free \(--scratch DIR"):
            opened(tmp_path, Kdump(PAGES).write())
        with opened(tmp_path, Kdump(PAGES).write(), scratch=tmp_path) as image:
            assert content(image) == PAGES

    def test_a_bomb(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Many pages that are not zero share the same packed bytes."""
        monkeypatch.setattr(unpacked, "UNPACKED_AT_FIRST", 1 << 20)
        pages = dict.fromkeys(range(1000), b"\1" * BLOCK)
        first = Kdump(pages).write().find(zlib.compress(b"\1" * BLOCK))
        size = len(zlib.compress(b"\1" * BLOCK))
        same = dict.fromkeys(range(1000), (first, size, ZLIB))
        with pytest.raises(InputError, match="unpacks to more than 64 times its size"):
            opened(tmp_path, Kdump(pages, descriptors=same).write()[: first + size])

    def test_pages_of_lzo_that_unpack_to_far_too_much(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """The library has no limit for what it unpacks to, so that the work is counted."""
        monkeypatch.setattr(unpacked, "UNPACKED_AT_FIRST", 1 << 20)
        bomb = bytes(lzallright.LZOCompressor().compress(bytes(700_000)))
        assert len(bomb) < BLOCK
        pages = {frame: text_page(frame) for frame in range(100)}
        with pytest.raises(InputError, match="unpacks to more than 64 times its size"):
            opened(tmp_path, Kdump(pages, lambda _: bomb, LZO).write())

    def test_pages_that_share_bytes(self, tmp_path: Path) -> None:
        """Each is a byte further on than the one before."""
        pages = {frame: text_page(frame) for frame in range(1000)}
        same = {number: (number, BLOCK, 0) for number in range(1000)}
        with opened(tmp_path, Kdump(pages, descriptors=same).write()) as image:
            assert 0 < image.frames < 1000
            (problem,) = image.problems
            assert problem.startswith(
                f"{1000 - image.frames} of 1000 pages could not be read: they share the same bytes"
            )

    def test_a_scratch_directory_that_is_not_there(self, tmp_path: Path) -> None:
        with pytest.raises(InputError, match="cannot be unpacked: No such file"):
            opened(tmp_path, Kdump(PAGES).write(), scratch=tmp_path / "absent")


SUB_HEADER = BLOCK
DESCRIPTORS = 4 * BLOCK
HUGE = 1 << 60


class TestHostile:
    """Numbers in the file that are not true."""

    @pytest.mark.parametrize("codec", [name for name in CODECS if name != "stored"])
    @pytest.mark.parametrize("size", [0, 1, BLOCK - 1, BLOCK + 1, 16 * BLOCK])
    def test_a_page_that_unpacks_to_something_else(self, tmp_path: Path, codec: str, size: int) -> None:
        flag, pack = CODECS[codec]
        data = Kdump(PAGES, lambda page: pack(b"\1" * size) if page == PAGES[3] else pack(page), flag).write()
        with opened(tmp_path, data) as image:
            assert content(image) == {frame: page for frame, page in PAGES.items() if frame != 3}
            assert image.problems == ["1 of 6 pages could not be read: they do not unpack to a page"]

    @pytest.mark.parametrize("codec", [name for name in CODECS if name != "stored"])
    def test_random_bytes(self, tmp_path: Path, codec: str) -> None:
        flag, pack = CODECS[codec]
        pages = {frame: text_page(frame) for frame in range(200)}

        def noise(page: bytes) -> bytes:
            number = hashlib.sha256(page).digest()[0]
            return hashlib.shake_256(page).digest(1 + number)

        data = Kdump(pages, lambda page: pack(page) if page == pages[0] else noise(page), flag).write()
        with opened(tmp_path, data) as image:
            held = content(image)
            assert held.pop(0) == pages[0]
            assert image.problems == [f"{199 - len(held)} of 200 pages could not be read: they do not unpack to a page"]

    def test_a_frame_that_asks_for_more_than_it_has(self, tmp_path: Path) -> None:
        """zstd's frame header says how much it unpacks to; the library would make that much room."""
        frame = bytes.fromhex("28b52ffde0") + (1 << 50).to_bytes(8, "little") + bytes(8)
        data = Kdump({1: text_page(1), 2: text_page(2)}, flag=ZSTD, pack=lambda _: frame).write()
        with pytest.raises(InputError, match="has no pages that can be read: they do not unpack to a page"):
            opened(tmp_path, data)

    @pytest.mark.parametrize(
        ("descriptor", "why"),
        [
            ((1 << 63, 100, ZLIB), "lie past the end of the file"),
            (((1 << 64) - 1, 4000, ZLIB), "lie past the end of the file"),
            ((1 << 40, 100, ZLIB), "lie past the end of the file"),
            ((0, 0xFFFF_FFFF, ZLIB), "do not unpack to a page"),
            ((0, 0, ZLIB), "do not unpack to a page"),
            ((0, 100, ZLIB | ZSTD), "are packed in several ways at once"),
            ((0, 100, 0), "do not unpack to a page"),
        ],
    )
    @pytest.mark.parametrize("flat", [False, True], ids=["plain", "flattened"])
    def test_page_descriptors(
        self,
        tmp_path: Path,
        descriptor: tuple[int, int, int],
        why: str,
        flat: bool,  # noqa: FBT001
    ) -> None:
        data = Kdump(PAGES, descriptors={4: descriptor}).write()
        with opened(tmp_path, flattened(data) if flat else data) as image:
            assert content(image) == {frame: page for frame, page in PAGES.items() if frame != 0x1000}
            assert image.problems == [f"1 of 6 pages could not be read: they {why}"]

    @pytest.mark.parametrize(
        ("change", "problem"),
        [
            ((SUB_HEADER + 96, "<Q", HUGE), "the bitmap of pages should have"),
            ((SUB_HEADER + 96, "<Q", (1 << 64) - 1), "the bitmap of pages should have"),
            ((SUB_HEADER + 40, "<Q", HUGE), ""),
            ((SUB_HEADER + 32, "<Q", (1 << 64) - 1), ""),
        ],
    )
    def test_counts_that_are_too_large(self, tmp_path: Path, change: tuple[int, str, int], problem: str) -> None:
        with opened(tmp_path, Kdump(PAGES, changes=(change,), vmcoreinfo=b"x").write()) as image:
            assert content(image).items() >= {}.items()
            assert any(problem in each for each in image.problems) or not problem
            assert image.frames <= 6

    @pytest.mark.parametrize(
        ("change", "problem"),
        [
            ((8, "<i", 0), "its version is 0"),
            ((8, "<i", 0x0600_0000), "its version is 100663296"),
            ((0x1AC, "<I", 0), "found 0 bytes"),
            ((0x1AC, "<I", 512), "found 512 bytes"),
            ((0x1AC, "<I", 0x8000_0000), "found 2147483648 bytes"),
            ((0x1B0, "<I", 0xFFFF_FFFF), "its bitmap has no pages"),
            ((0x1B4, "<I", 0xFFFF_FFFF), "its bitmap has no pages"),
            ((0x1B4, "<I", 0), "its bitmap has no pages"),
        ],
    )
    def test_headers(self, tmp_path: Path, change: tuple[int, str, int], problem: str) -> None:
        with pytest.raises(InputError, match=problem):
            opened(tmp_path, Kdump(PAGES, changes=(change,)).write())

    def test_a_machine_of_32_bits_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(InputError, match=r"of a 32-bit machine \(i686\)"):
            opened(tmp_path, Kdump(PAGES, machine=b"i686").write())

    def test_a_writer_without_room(self, tmp_path: Path) -> None:
        with opened(tmp_path, Kdump(PAGES, status=9).write()) as image:
            assert image.problems == ["the writer of the file had no room for all of memory"]

    def test_every_length(self, tmp_path: Path) -> None:
        """Cut short anywhere, it is refused, or what is left is right and the loss is said."""
        whole = Kdump(PAGES).write()
        for size in [8, 100, BLOCK - 1, BLOCK + 50, 3 * BLOCK, *range(DESCRIPTORS, len(whole), 37)]:
            try:
                with opened(tmp_path, whole[:size]) as image:
                    assert content(image).items() <= PAGES.items()
                    assert image.problems
            except InputError as error:
                assert size < len(whole) - BLOCK, error  # noqa: PT017

    @pytest.mark.parametrize("name", ["lzallright", "cramjam"])
    def test_a_library_that_is_not_there(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
        flag, pack = CODECS["lzo" if name == "lzallright" else "snappy"]
        monkeypatch.setitem(sys.modules, name, None)
        with opened(tmp_path, Kdump(PAGES, pack, flag).write()) as image:
            assert content(image) == {5: PAGES[5]}  # it was stored as it is
            assert len(image.problems) == 1
            assert f"which needs the library {name}" in image.problems[0]


class TestFlattened:
    """Files in flattened form that are damaged."""

    @pytest.mark.parametrize(
        ("data", "problem"),
        [
            (flattened(b"")[:-16] + b"\0" * 16, "without records"),
            (flattened(b"")[:4096], "without records"),
            (flattened(b"x").replace(b"\0" * 7 + b"\1", b"\0" * 7 + b"\2", 1), "of type 2 and version 1"),
            (b"makedumpfile", "of type 0 and version 0"),
            (flattened(b"KDUMP   ")[:-16], "expected 464 bytes of header"),
        ],
    )
    def test_refused(self, tmp_path: Path, data: bytes, problem: str) -> None:
        with pytest.raises(InputError, match=problem):
            opened(tmp_path, data)

    @pytest.mark.parametrize(
        ("end", "problem"),
        [
            (b"", "cut short: the flattened file has no end"),
            (b"\x7f" + b"\xff" * 15, "the flattened file is damaged at offset 0x"),
            (bytes(1 << 16), "the flattened file is damaged at offset 0x"),
            (bytes(8) + (1 << 40).to_bytes(8, "big") + b"KDUMP", "cut short: 1099511627771 bytes of its last record"),
        ],
    )
    def test_ends(self, tmp_path: Path, end: bytes, problem: str) -> None:
        with opened(tmp_path, flattened(Kdump(PAGES).write())[:-16] + end) as image:
            assert content(image) == PAGES
            assert len(image.problems) == 1
            assert image.problems[0].startswith(problem)
