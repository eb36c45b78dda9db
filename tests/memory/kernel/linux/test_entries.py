"""Page table entries that the hardware does not look at: PROT_NONE, swap, and memory encryption."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from dumpscan.memory.kernel.linux.entries import LinuxEntries, UserMemory, nothing_cached, swap_values
from dumpscan.memory.physical.page_map import PageMap
from support.page_table_images import LARGE, PAGE, TableImage, owner

if TYPE_CHECKING:
    from pathlib import Path

    from dumpscan.memory.kernel.linux.entries import SwapCache

PROTNONE = 1 << 8
FRAME_MASK = 0x000F_FFFF_FFFF_F000
USER = 0x7F12_3456_7000
SWAPPED = 0x7FFFFFFFFFFFC0A
"""An entry of a real kernel: page 1 of swap area 0."""


def inverted(frame: int) -> int:
    return (~(frame << 12) & FRAME_MASK) | PROTNONE


def cached(*pages: tuple[int, int]) -> SwapCache:
    return np.array([page for page, _ in pages], np.uint64), np.array([frame for _, frame in pages], np.int64)


def test_pages_under_prot_none_have_inverted_frames(tmp_path: Path) -> None:
    memory = TableImage()
    root = memory.root()
    memory.raw(root, USER, inverted(0x12))
    memory.map(root, USER + PAGE, 0x13)
    memory.write(0x12 * PAGE, b"not to be touched")
    memory.write(0x13 * PAGE, b"and more")
    image = memory.open(tmp_path)
    rules = LinuxEntries(0, nothing_cached)
    page_map = PageMap(image, [owner(root)], rules=rules)
    assert page_map.frames(0, (USER >> 12) + np.arange(3)).tolist() == [0x12, 0x13, -1]
    assert page_map.walk.invalid == 1
    assert page_map.names == ("protected", "swap_cache")
    user = UserMemory(image, rules, root)
    assert user.read(USER, 2 * PAGE + 5).replace(b"\0", b"") == b"not to be touchedand more"
    assert user.swapped == 0


def test_what_windows_calls_transition_is_a_swap_entry(tmp_path: Path) -> None:
    memory = TableImage()
    root = memory.root()
    memory.raw(root, USER, SWAPPED)
    memory.raw(root, USER + PAGE, 1 << 11)
    page_map = PageMap(memory.open(tmp_path), [owner(root)], rules=LinuxEntries(0, nothing_cached))
    assert page_map.frames(0, (USER >> 12) + np.arange(2)).tolist() == [-1, -1]


def test_the_number_of_a_swapped_page() -> None:
    assert swap_values(np.array([SWAPPED], np.uint64)).tolist() == [1]
    other = (3 << 59) | ((~0x1234 & ((1 << 50) - 1)) << 9)
    assert swap_values(np.array([other], np.uint64)).tolist() == [(3 << 58) | 0x1234]


def test_a_swapped_page_is_found_in_the_swap_cache(tmp_path: Path) -> None:
    memory = TableImage()
    root = memory.root()
    memory.raw(root, USER, SWAPPED)
    memory.write(0x15 * PAGE, b"still here")
    image = memory.open(tmp_path)
    rules = LinuxEntries(0, lambda: cached((1, 0x15), (7, 0x16)))
    page_map = PageMap(image, [owner(root)], rules=rules)
    assert page_map.frame(0, USER >> 12) == 0x15
    assert page_map.resolved == 1
    assert UserMemory(image, rules, root).read(USER, 10) == b"still here"
    gone = UserMemory(image, LinuxEntries(0, nothing_cached), root)
    assert gone.read(USER, 10) == b""
    assert gone.swapped == 1


def test_a_bit_of_memory_encryption_is_no_part_of_the_frame(tmp_path: Path) -> None:
    memory = TableImage()
    root = memory.root()
    encrypted = 1 << 47
    memory.map(root, USER, 0x12)
    for level in (1, 2, 3, 4):
        at = memory.entry(root, USER, level=level)
        memory.write(at, (memory.number(at) | encrypted).to_bytes(8, "little"))
    image = memory.open(tmp_path)
    assert PageMap(image, [owner(root)], rules=LinuxEntries(encrypted, nothing_cached)).frame(0, USER >> 12) == 0x12
    assert PageMap(image, [owner(root)], rules=LinuxEntries(0, nothing_cached)).frame(0, USER >> 12) == -1


def test_large_pages_under_prot_none(tmp_path: Path) -> None:
    memory = TableImage(0x400)
    root = memory.root()
    memory.map(root, 0x4000_0000, 0x200, level=2)
    at = memory.entry(root, 0x4000_0000, level=2)
    memory.write(at, (inverted(0x200) | LARGE).to_bytes(8, "little"))
    image = memory.open(tmp_path)
    rules = LinuxEntries(0, nothing_cached)
    assert PageMap(image, [owner(root)], rules=rules).frame(0, (0x4000_0000 >> 12) + 5) == 0x205
    assert rules.translate(image, root, 0x4000_5007) == (0x205007, False)


def test_a_table_of_equal_entries_counts(tmp_path: Path) -> None:
    memory = TableImage()
    root = memory.root()
    start = 0x7F00_0020_0000
    for number in range(512):
        memory.map(root, start + number * PAGE, 0x11)  # the page of zeros that all of them share
    page_map = PageMap(memory.open(tmp_path), [owner(root)], rules=LinuxEntries(0, nothing_cached))
    assert len(page_map) == 512
