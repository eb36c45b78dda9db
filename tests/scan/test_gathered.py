"""Memory that lies scattered over a file is gathered, and searched as it is where it lies."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dumpscan.memory.space import Region
from dumpscan.scan import gathered
from dumpscan.scan.gathered import Gathered, lines_of
from dumpscan.scan.passes import aligned_matches
from dumpscan.scan.searcher import Matches
from dumpscan.scan.signature import Signature
from dumpscan.scan.stretches import GAP, FileStretches, Pieces, SeamWindows

if TYPE_CHECKING:
    from collections.abc import Sequence

BASE = 0x1_0000_0000
LENGTH = 24
FAR = GAP + 1000
MOST = 20
DATA = memoryview(np.random.default_rng(1).bytes(FAR * MOST))


@dataclass
class Space:
    """Regions of one buffer."""

    buffer: memoryview
    regions: list[Region]


def scattered(sizes: Sequence[tuple[int, int, int]], seed: int) -> Space:
    """Lay out regions by the gaps before them, their sizes, and the bytes by which they are not aligned in the file."""
    offsets = np.random.default_rng(seed).permutation(len(sizes)) * FAR
    regions, address = [], BASE
    for offset, (gap, size, shift) in zip(offsets.tolist(), sizes, strict=True):
        address += gap
        regions.append(Region(address, size, offset + shift))
        address += size
    return Space(DATA, regions)


def words(data: memoryview, phases: tuple[int, ...]) -> Matches:
    """Announce a match at every word whose first byte is small."""
    starts = np.concatenate([np.arange(phase, len(data), 8, np.uint64) for phase in phases])
    values = np.frombuffer(data, np.uint8)[starts.astype(np.int64)]
    return Matches(values[values < 64].astype(np.uint16) % 2, starts[values < 64])


def found(space: Space) -> list[tuple[int, int]]:
    signatures = [Signature("short", b"", 9), Signature("long", b"", LENGTH)]
    batches = list(aligned_matches(space, signatures, words, threads=1))
    return sorted(
        (start, number) for each in batches for number, start in zip(*map(np.ndarray.tolist, each), strict=True)
    )


LAYOUT = st.lists(
    st.tuples(st.sampled_from([0, 0, 3, 64]), st.integers(1, 200), st.sampled_from([0, 0, 5])), min_size=9, max_size=14
)


@given(LAYOUT, st.integers(0, 99), st.sampled_from([64, 1 << 20]))
def test_gathered_memory_has_the_matches_that_it_has_where_it_lies(
    sizes: list[tuple[int, int, int]], seed: int, block: int
) -> None:
    space = scattered(sizes, seed)
    pieces = Pieces.of(space.regions)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gathered, "BLOCK", block)
        assert [type(line) for line in lines_of(space.buffer, pieces, LENGTH)] == [Gathered]
        together = found(space)
        patch.setattr(gathered, "SCATTERED", 0)
        assert [type(line) for line in lines_of(space.buffer, pieces, LENGTH)] == [FileStretches, SeamWindows]
        apart = found(space)
    assert together == apart


@given(LAYOUT, st.integers(0, 99))
def test_positions_of_gathered_memory_are_those_of_its_bytes(sizes: list[tuple[int, int, int]], seed: int) -> None:
    space = scattered(sizes, seed)
    line = Gathered(space.buffer, Pieces.of(space.regions), 7)
    told: dict[int, int] = {}
    for block in line.blocks():
        data = line.data(block)
        positions = np.arange(block.first, block.end)
        indexes, addresses = line.locate(positions, positions + 1)
        told |= {int(address): data[index] for index, address in zip(indexes.tolist(), addresses, strict=True)}
        assert all(
            int(address) % 8 == (index + block.first) % 8 for index, address in zip(indexes, addresses, strict=True)
        )
    expected = {
        each.start + at: space.buffer[each.file_offset + at] for each in space.regions for at in range(each.size)
    }
    assert told == expected
    assert sum(block.size for block in line.blocks()) == len(expected)


def test_regions_that_share_bytes_of_a_file_are_not_gathered() -> None:
    """A forged dump could have a million regions, each with everything that is in the file."""
    space = scattered([(8, 100, 0)] * MOST, 1)
    many = [Region(BASE + number * 0x1_0000_0000, len(DATA), 0) for number in range(20)]
    pieces = Pieces.of(sorted([*space.regions, *many], key=lambda each: each.start))
    assert [type(line) for line in lines_of(space.buffer, pieces, 8)] == [FileStretches, SeamWindows]
