"""Page tables, page cache and uses of pages of a real Linux machine, compared with what `/proc` said of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from dumpscan.memory.kernel.image import KernelImage
from support.corpus import LINUX

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from dumpscan.memory.physical.page_map import PageMap

PRESENT, SWAPPED = np.uint64(1 << 63), np.uint64(1 << 62)
FRAME = np.uint64((1 << 55) - 1)
READ_LATER = {"/opt/lab/collect.py", "/opt/lab/agent_ed25519.pub", "/opt/lab/agent_rsa.pub"}
"""Files that only what read `/proc` afterwards has read."""
SLAB, BUDDY, PAGE_TABLE, RESERVED = 7, 10, 26, 32
"""Bits of /proc/kpageflags."""


@pytest.fixture(scope="module")
def image(linux_image: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[KernelImage]:
    with KernelImage(linux_image, cache_dir=tmp_path_factory.mktemp("cache")) as opened:
        yield opened


@pytest.fixture(scope="module")
def page_map(image: KernelImage) -> PageMap:
    return image.page_map()


@pytest.fixture(scope="module")
def numbers() -> Any:  # noqa: ANN401 - numpy's archive
    return np.load(LINUX / "bw61.truth.npz")


def test_every_page_of_every_process(page_map: PageMap, numbers: Any) -> None:  # noqa: ANN401
    for number, owner in enumerate(page_map.owners):
        if owner.kernel or owner.process.pid == 1:  # the first process went on running
            continue
        pages, entries = numbers[f"pagemap_{owner.process.pid}"].astype(np.uint64).T
        found = page_map.frames(number, pages.astype(np.int64))
        present = entries & PRESENT != 0
        assert (found[present] == (entries & FRAME)[present].astype(np.int64)).all(), owner.process


def test_what_was_swapped_out_is_found_in_the_swap_cache(page_map: PageMap, numbers: Any) -> None:  # noqa: ANN401
    owner = next(number for number, each in enumerate(page_map.owners) if each.process.pid == 136)
    pages, entries = numbers["pagemap_136"].astype(np.uint64).T
    swapped = entries & SWAPPED != 0
    assert np.count_nonzero(swapped) == page_map.resolved == 64
    assert (page_map.frames(owner, pages[swapped].astype(np.int64)) >= 0).all()


def test_the_kernel_maps_its_image_but_not_all_memory(page_map: PageMap, image: KernelImage) -> None:
    assert page_map.owners[0].kernel
    assert page_map.frames(0, np.array([(0xFFFF_FFFF_A5E0_0000 >> 12) & ((1 << 36) - 1)]))[0] > 0
    assert not page_map.mapped(np.arange(image.physical.frames)).all()


def test_frames_of_cached_files_have_their_names(image: KernelImage, linux_truth: dict[str, Any]) -> None:
    count = 0
    for path, file in linux_truth["cached_files"].items():
        for index, frame in enumerate(file["pfns"]):
            if not frame or frame < 0 or path in READ_LATER:
                continue
            use = image.page_use(frame << 12)
            assert use is not None
            assert (use.owner, use.path, use.offset) == ("page cache", path, index << 12)
            assert use.inode == file["inode"]
            count += 1
    assert count > 300


def test_uses_of_pages_agree_with_the_kernels_flags(image: KernelImage, numbers: Any) -> None:  # noqa: ANN401
    flags = numbers["kpageflags"].astype(np.uint64)
    wanted = {"slab": SLAB, "page table": PAGE_TABLE, "free": BUDDY, "kernel image": RESERVED}
    agree = total = 0
    for frame in np.random.default_rng(1).integers(0, image.physical.frames, 2000).tolist():
        use = image.page_use(frame << 12)
        assert use is not None
        if use.owner in wanted:
            total += 1
            free = use.owner == "free" and not int(flags[frame])  # a free frame that is not the first of its block
            agree += free or bool(int(flags[frame]) >> wanted[use.owner] & 1)
    assert total > 1000
    assert agree > 0.96 * total  # memory was used between the dump and the reading of /proc
