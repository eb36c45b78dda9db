"""Filler for physical memory: pages like those of a running system on some frames, zeros on the others."""

from __future__ import annotations

from io import BytesIO
from typing import TYPE_CHECKING

import numpy as np

from dumpscan.model.windows.c_paging import PAGE_SHIFT, PAGE_SIZE
from dumpscan.synth.filler import filler
from dumpscan.synth.physical.memory import FIRST_FREE, raw_words

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dumpscan.synth.physical.memory import PhysicalMemory

_PERCENT = 100
_POOL_PAGES = 1024
_CLUSTER_PAGES = 64
"""Frames that are filled or left zero together, since a running system also zeroes and gives out memory in runs."""
_CHUNK_PAGES = 2048
_HEADER_SHARE = 1 << 19
"""Average bytes of filler for each opening that looks like a certificate or key and is not."""
_NEAR_MISSES = (
    bytes.fromhex("3082036e308202c6a003020102021100"),
    bytes.fromhex("308204a4020100028201010000000000"),
    bytes.fromhex("308204be020100300d06092a864886f7"),
    bytes.fromhex("30770201010420000000000000000000"),
    b"-----BEGIN PART-",
    bytes.fromhex("5253413200080000030000000001ffff"),
    bytes.fromhex("0702000000a400005253413200080000"),
    bytes.fromhex("30820a0d3082020930820305a0030201"),
)
"""Openings whose lengths lead into noise: a scanner must look at them and drop them. There are about 1,200 in a GiB, as
in ordinary memory (docs/memory-layouts.md, "Openings of certificates and keys")."""


def fill(memory: PhysicalMemory, kind: str, density: int, seed: str) -> None:
    """Fill `density` percent of all frames and leave the others zero.

    Raises:
        ScenarioError: If there is no filler of this kind.
    """
    if kind == "zeros" or not density:
        return
    pool = _pool(kind, seed)
    for start, size in memory.runs:
        first, end = max(start, FIRST_FREE) >> PAGE_SHIFT, start + size >> PAGE_SHIFT
        for at in range(first, end, _CHUNK_PAGES):
            draw = raw_words(seed, f"filler-{at}", min(_CHUNK_PAGES, end - at))
            clusters = draw[::_CLUSTER_PAGES] % np.uint64(_PERCENT) < density
            chosen = np.repeat(clusters, _CLUSTER_PAGES)[: len(draw)]
            memory.filled[at : at + len(draw)] = chosen
            edges = np.flatnonzero(np.diff(chosen, prepend=False, append=False))
            for begin, past in edges.reshape(-1, 2).tolist():
                drawn = draw[begin:past]
                content = pool[(drawn >> np.uint64(8)) % np.uint64(_POOL_PAGES)]
                _add_headers(content, drawn)
                memory.write_pages(at + begin, content)


def _pool(kind: str, seed: str) -> NDArray[np.uint8]:
    """Return the pages to draw from. Some pages of `mixed` filler are zero; they count as filled."""
    buffer = BytesIO()
    filler(kind, _POOL_PAGES * PAGE_SIZE, seed).write_to(buffer)
    return np.frombuffer(buffer.getvalue(), np.uint8).reshape(_POOL_PAGES, PAGE_SIZE)


def _add_headers(content: NDArray[np.uint8], drawn: NDArray[np.uint64]) -> None:
    share = np.uint64(_HEADER_SHARE >> PAGE_SHIFT)
    rows = np.flatnonzero((drawn >> np.uint64(24)) % share == 0)
    if len(rows):
        openings = np.frombuffer(b"".join(_NEAR_MISSES), np.uint8).reshape(len(_NEAR_MISSES), -1)
        columns = (drawn[rows] >> np.uint64(40)) % np.uint64(PAGE_SIZE - 16)
        which = (drawn[rows] >> np.uint64(56)) % np.uint64(len(_NEAR_MISSES))
        places = columns[:, None] + np.arange(16, dtype=np.uint64)
        content[rows[:, None], places] = openings[which]


def fill_frames(memory: PhysicalMemory, frames: NDArray[np.uint64], kind: str, seed: str) -> None:
    """Replace the content of frames with filler of another kind."""
    if kind == "zeros":
        used = frames[memory.filled[frames]]
        memory.pages[used] = 0
        memory.filled[used] = False
        return
    pool = _pool(kind, seed)
    for at in range(0, len(frames), _CHUNK_PAGES):
        part = frames[at : at + _CHUNK_PAGES]
        memory.pages[part] = pool[np.arange(at, at + len(part)) % _POOL_PAGES]
        memory.filled[part] = True
