"""`python -m fuzz.measure [KIND...]`: what a MiB of hostile contents of each kind takes, and what it announces.

The first figure is the promise: CPU seconds of a search with its budget, which must be less than two. The others are
those of a few KiB without a budget, in microseconds for each KiB. What is announced should be about what it takes.
"""

from __future__ import annotations

import sys
import time
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from dumpscan.artifacts.registry import EVERYTHING
from dumpscan.search.merge import Collector
from dumpscan.search.scanner import Scanner
from fuzz.contents import BASE, NAMES, announced, content
from fuzz.test_contents import SIZES
from support.artifact_samples import Space

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")
_KIB = 1024


def main() -> None:
    """Measure kinds, all by default."""
    scanner = Scanner(EVERYTHING.detectors, EVERYTHING.groups)
    scanner.scan(Space({BASE: bytes(_KIB)}), Collector())
    beside = min(_timed(partial(announced, "ed25519", 1))[0] for _ in range(3))  # to make a scanner
    for kind in sys.argv[1:] or NAMES:
        space = Space({BASE: content(kind, _KIB * _KIB)})
        whole, _ = _timed(partial(scanner.scan, space, Collector(), threads=1))
        size = SIZES.get(kind, 16) * _KIB
        few, said = _timed(partial(announced, kind, size))
        taken = max(few - beside, 0) * 1e6
        told = f"{taken * _KIB / size:10.0f} us/KiB, announced {said * _KIB / size:10.0f}"
        print(f"{kind:24} {whole:6.2f} s/MiB {told}", flush=True)  # noqa: T201


def _timed(work: Callable[[], T]) -> tuple[float, T]:
    """Do some work; return the CPU seconds that it took, and its result."""
    begun = time.process_time()
    result = work()
    return time.process_time() - begun, result


main()
