from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import pytest

from dumpscan.memory.kernel.windows.cache import KernelCache
from dumpscan.memory.kernel.windows.finder import Kernel
from dumpscan.memory.symbols.pdb import PdbRecord
from support.page_table_images import PAGE, TableImage

if TYPE_CHECKING:
    from pathlib import Path

BASE = 0xFFFF_F803_1220_0000


def machine() -> tuple[TableImage, Kernel]:
    memory = TableImage()
    root = memory.root()
    memory.map(root, BASE, 0x10)
    memory.write(0x10 * PAGE, b"MZ")
    return memory, Kernel(root << 12, 0x1ED, BASE, PdbRecord("ntkrnlmp.pdb", "A" * 32, 1), 77)


def test_what_was_found_is_remembered(tmp_path: Path) -> None:
    memory, kernel = machine()
    with memory.open(tmp_path) as image:
        assert KernelCache(image, tmp_path / "cache").load() is None
        KernelCache(image, tmp_path / "cache").save([kernel])
        assert KernelCache(image, tmp_path / "cache").load() == [kernel]
        assert KernelCache(image, tmp_path / "other").load() is None


def test_that_there_is_none_is_remembered_too(tmp_path: Path) -> None:
    with machine()[0].open(tmp_path) as image:
        KernelCache(image, tmp_path / "cache").save([])
        assert KernelCache(image, tmp_path / "cache").load() == []


def test_another_time_or_size_is_another_image(tmp_path: Path) -> None:
    memory, kernel = machine()
    with memory.open(tmp_path) as image:
        KernelCache(image, tmp_path / "cache").save([kernel])
        os.utime(image.path, (1, 1))
        assert KernelCache(image, tmp_path / "cache").load() is None


def test_what_does_not_hold_any_more_is_forgotten(tmp_path: Path) -> None:
    memory, kernel = machine()
    with memory.open(tmp_path) as image:
        KernelCache(image, tmp_path / "cache").save([kernel])
        status = image.path.stat()
    memory.write(0x10 * PAGE, b"ZM")
    with memory.open(tmp_path) as image:
        os.utime(image.path, ns=(status.st_atime_ns, status.st_mtime_ns))
        assert KernelCache(image, tmp_path / "cache").load() is None


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b'{"image": 1}', b"\xff", b"[" * 100_000, b'{"image": null, "kernels": [1]}']
)
def test_a_damaged_cache_is_no_error(tmp_path: Path, content: bytes) -> None:
    memory, kernel = machine()
    with memory.open(tmp_path) as image:
        cache = KernelCache(image, tmp_path / "cache")
        cache.save([kernel])
        (file,) = (tmp_path / "cache" / "images").iterdir()
        file.write_bytes(content)
        assert cache.load() is None


def test_a_cache_with_strange_kernels_is_no_error(tmp_path: Path) -> None:
    memory, kernel = machine()
    with memory.open(tmp_path) as image:
        cache = KernelCache(image, tmp_path / "cache")
        cache.save([kernel])
        (file,) = (tmp_path / "cache" / "images").iterdir()
        known = json.loads(file.read_bytes())
        for kernels in ([{}], [{"root": 1}], [{**known["kernels"][0], "pdb": {}}], 5, [None]):
            file.write_text(json.dumps({**known, "kernels": kernels}))
            assert cache.load() is None


def test_a_cache_that_cannot_be_written_is_no_error(tmp_path: Path) -> None:
    memory, kernel = machine()
    in_the_way = tmp_path / "file"
    in_the_way.write_text("")
    with memory.open(tmp_path) as image:
        KernelCache(image, in_the_way).save([kernel])
        assert KernelCache(image, in_the_way).load() is None
