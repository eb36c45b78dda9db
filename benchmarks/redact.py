"""How long a redaction takes, beside `cp` of the same file and one search of it, by turns in the same run.

    python benchmarks/redact.py [--dump FILE | --size MIB --objects N] [--rounds N]

Redacts a dump, or builds a minidump with planted certificates and keys. The dump is searched with everything, the copy
only around what was written over and for copies of what is known. With `--report`, the digests of both files are
computed, too. Rates count the bytes of the dump once; the best of
all rounds is told, with the seconds that processors worked.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from plain_read import MIB
from planted_dump import build

from dumpscan.artifacts.registry import EVERYTHING
from dumpscan.memory.open import open_dump
from dumpscan.redact.run import RedactOptions, redact
from dumpscan.search.merge import Collector
from dumpscan.search.run import search

if TYPE_CHECKING:
    from collections.abc import Callable


def main() -> None:
    """Build, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dump", type=Path, help="a dump to redact instead of a planted one")
    parser.add_argument("--size", type=int, default=512, help="MiB of the planted dump")
    parser.add_argument("--objects", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=arguments.dump.parent if arguments.dump else None) as scratch:
        source, target = arguments.dump or Path(scratch) / "planted.dmp", Path(scratch) / "copy"
        if arguments.dump is None:
            build(source, arguments.size * MIB, arguments.objects)
        work: dict[str, Callable[[], object]] = {
            "cp": lambda: subprocess.run(["cp", "--reflink=never", source, target], check=True),
            "search": lambda: search_once(source),
            "redact": lambda: redact(source, target, RedactOptions(digests=False)),
            "--report": lambda: redact(source, target, RedactOptions()),
        }
        times: dict[str, list[tuple[float, float]]] = {name: [] for name in work}
        for _ in range(arguments.rounds):
            for name, measured in work.items():
                times[name].append(timed(measured))
                target.unlink(missing_ok=True)
        size = source.stat().st_size / MIB
        copying = [min(part) for part in zip(*times["cp"], strict=True)]
        for name, seconds in times.items():
            wall, worked = (min(part) for part in zip(*seconds, strict=True))
            times_cp = f"{wall / copying[0]:5.1f} times cp, of processors {worked / max(copying[1], 0.01):5.1f}"
            print(f"{name:>8}: {wall:6.2f} s, {size / wall:6.0f} MiB/s; processors {worked:6.2f} s; {times_cp}")


def search_once(path: Path) -> None:
    """Search a dump for all that a redaction searches it for."""
    with open_dump(path) as dump:
        search(dump, EVERYTHING.with_tls(), Collector())


def timed(work: Callable[[], object]) -> tuple[float, float]:
    """Do some work; return how long it took, and how long processors worked, in seconds."""
    started, before = time.perf_counter(), os.times()
    work()
    after = os.times()
    return time.perf_counter() - started, sum(after[:4]) - sum(before[:4])


if __name__ == "__main__":
    main()
