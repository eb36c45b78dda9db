"""`python -m fuzz.measure [KIND...]`: what a MiB of hostile contents of each kind takes, and what it announces.

The first figure is the promise: CPU seconds of a search with its budget, which must be less than two. The others are
those of a few KiB without a budget, in microseconds for each KiB. What is announced should be about what it takes.
All are divided by how much slower than the core of `dumpscan.artifacts.effort` this one is at that moment.
"""

from __future__ import annotations

import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from dumpscan.artifacts.registry import EVERYTHING
from dumpscan.memory.open import open_dump
from dumpscan.search.merge import Collector
from dumpscan.search.options import SearchOptions
from dumpscan.search.run import search
from fuzz.contents import NAMES, announced, content, core
from fuzz.test_contents import SIZES

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")
_KIB = 1024
_KIB_OF_MANY = 256
"""KiB that hold the certificates of the keys that are looked for, and numbers beside them."""
_POWER_1024 = 2500
"""Microseconds of a power of 1024 bits, as in `dumpscan.artifacts.effort`."""


def main() -> None:
    """Measure kinds, all by default."""
    with tempfile.TemporaryDirectory() as directory:  # what is imported and made once is not measured
        path = Path(directory, "core")
        path.write_bytes(core("ed25519", _KIB))
        _searched(path)
    beside = min(_timed(partial(announced, "ed25519", 1))[0] for _ in range(3))  # to make a scanner
    for kind in sys.argv[1:] or NAMES:
        size = SIZES.get(kind, _KIB_OF_MANY if kind.startswith("known-") else 16) * _KIB
        content(kind, size, seed=2)  # not those of the whole: the same key is proven once
        content(kind, _KIB * _KIB)
        slower = _slowness()
        few, said = _timed(partial(announced, kind, size, seed=2))
        with tempfile.TemporaryDirectory() as directory:
            path = Path(directory, "core")
            path.write_bytes(core(kind, _KIB * _KIB))
            whole, _ = _timed(partial(_searched, path))
        slower = (slower + _slowness()) / 2
        taken = max(few - beside, 0) * 1e6 / slower
        told = f"{taken * _KIB / size:10.0f} us/KiB, announced {said * _KIB / size:10.0f}"
        print(f"{kind:24} {whole / slower:6.2f} s/MiB {told} (slower {slower:.2f})", flush=True)  # noqa: T201


def _searched(path: Path) -> None:
    with open_dump(path) as dump:
        search(dump, EVERYTHING, Collector(), options=SearchOptions(threads=1))


def _slowness() -> float:
    """Return how many times as long as announced a power takes now."""
    modulus = (1 << 1024) - 105
    begun = time.process_time()
    for _ in range(20):
        pow(3, modulus - 1, modulus)
    return (time.process_time() - begun) * 1e6 / (20 * _POWER_1024)


def _timed(work: Callable[[], T]) -> tuple[float, T]:
    """Do some work; return the CPU seconds that it took, and its result."""
    begun = time.process_time()
    result = work()
    return time.process_time() - begun, result


main()
