"""Copies of secrets across borders of pages, in frames that are apart."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import pytest

from dumpscan.memory.physical.page_map import PageMap
from dumpscan.redact.copies.borders import across_borders
from dumpscan.redact.copies.search import Copies
from dumpscan.redact.secret import Secret, Value, What, merged
from support.page_table_images import PAGE, MappedDump, TableImage, owner

if TYPE_CHECKING:
    from pathlib import Path

SECRET = random.Random(1).randbytes(32)  # noqa: S311 - a test is to be repeatable
BASE = 0x7F0000000000
TAIL, HEAD, ALONE = 20, 7, 30


def parts(tmp_path: Path, secret: bytes, cut: int, changed: list[tuple[int, int]] | None = None) -> list[Any]:
    """Where a secret is found of which `cut` bytes are at the end of one frame, and the others begin another."""
    image = TableImage(64)
    root = image.root()
    image.map(root, BASE, TAIL)
    image.map(root, BASE + PAGE, HEAD)
    image.map(root, BASE + 9 * PAGE, ALONE)
    image.write((TAIL + 1) * PAGE - cut, secret[:cut])
    image.write(HEAD * PAGE, secret[cut:])
    copies = Copies()
    copies.add(Secret(What.PRIVATE_KEYS, "key", values=(Value(SECRET, "key", text=True),)))
    with image.open(tmp_path) as physical:
        dump: Any = MappedDump(PageMap(physical, [owner(root)]))
        found = merged(place for _, place in across_borders(dump, copies, changed))
    return [(place.offset, place.length) for place in found]


@pytest.mark.parametrize("cut", [1, 5, 15, 16, 20, 27, 31])
def test_both_parts_are_found_however_short_they_are(tmp_path: Path, cut: int) -> None:
    expected = [(HEAD * PAGE, 32 - cut), ((TAIL + 1) * PAGE - cut, cut)]

    assert parts(tmp_path, SECRET, cut) == expected


@pytest.mark.parametrize("cut", [3, 30, 63])
def test_text_of_a_secret_is_found_too(tmp_path: Path, cut: int) -> None:
    expected = [(HEAD * PAGE, 64 - cut), ((TAIL + 1) * PAGE - cut, cut)]

    assert parts(tmp_path, SECRET.hex().encode(), cut) == expected


@pytest.mark.parametrize(
    ("changed", "found"),
    [
        ([(HEAD * PAGE + 100, HEAD * PAGE + 200)], 2),
        ([((TAIL + 1) * PAGE - 1, (TAIL + 1) * PAGE)], 2),
        ([(TAIL * PAGE, TAIL * PAGE + 100), (ALONE * PAGE, ALONE * PAGE + 100)], 0),
    ],
)
def test_of_a_changed_image_only_changed_frames_are_looked_at(
    tmp_path: Path, changed: list[tuple[int, int]], found: int
) -> None:
    assert len(parts(tmp_path, SECRET, 9, changed)) == found
