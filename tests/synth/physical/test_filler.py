"""Filler of physical memory: its density, its dependence on the seed, and its misleading headers."""

from __future__ import annotations

import tempfile
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np
import pytest

from dumpscan.model.windows.c_paging import PAGE_SIZE
from dumpscan.synth.physical.filler import fill, fill_frames
from dumpscan.synth.physical.memory import FIRST_FREE, PhysicalMemory

if TYPE_CHECKING:
    from collections.abc import Iterator

MIB = 1 << 20


@contextmanager
def memory() -> Iterator[PhysicalMemory]:
    with tempfile.TemporaryFile() as file:
        made = PhysicalMemory(file, [(0x1000, 0x9_F000), (MIB, 63 * MIB)], "seed")
        yield made
        made.close()


@pytest.mark.parametrize("density", [0, 30, 100])
def test_density(density: int) -> None:
    with memory() as made:
        fill(made, "noise", density, "seed")
        share = made.pages[FIRST_FREE // PAGE_SIZE :].any(axis=1)
        assert share.mean() == pytest.approx(density / 100, abs=0.12 if density % 100 else 0.001)
        assert np.array_equal(share, made.filled[FIRST_FREE // PAGE_SIZE :])
        assert not made.pages[: FIRST_FREE // PAGE_SIZE].any()


def test_seed_decides() -> None:
    contents = []
    for seed in ("one", "one", "two"):
        with memory() as made:
            fill(made, "mixed", 50, seed)
            contents.append(made.bytes.tobytes())
    assert contents[0] == contents[1] != contents[2]


def test_headers_that_lead_nowhere() -> None:
    with memory() as made:
        fill(made, "noise", 100, "seed")
        content = made.bytes.tobytes()
    openings = sum(content.count(opening) for opening in (b"\x30\x82\x03\x6e\x30\x82", b"-----BEGIN PART-", b"RSA2"))
    assert 10 < openings < 200


def test_frames_get_content_of_their_own() -> None:
    with memory() as made:
        fill(made, "noise", 100, "seed")
        frames = made.take(3000)
        fill_frames(made, frames, "zeros", "here")
        assert not made.pages[frames].any()
        assert not made.in_use()[made.take(0)].any()
        fill_frames(made, frames[:2500], "noise", "here")
        assert made.pages[frames[:2500]].any(axis=1).all()
        assert not made.pages[frames[2500:]].any()
        assert made.filled[frames[:2500]].all()
        assert not made.filled[frames[2500:]].any()
