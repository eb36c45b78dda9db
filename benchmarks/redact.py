"""How long a redaction takes, beside `cp` of the same file in the same run.

    python benchmarks/redact.py [--size MIB] [--objects N] [--rounds N]

Builds a minidump with planted certificates and keys and redacts it. Everything is done twice by design: the dump is
searched, and so is the copy. The rate counts the bytes of the dump once.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

from plain_read import MIB
from planted_dump import build

from dumpscan.redact.run import RedactOptions, redact


def main() -> None:
    """Build, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=512, help="MiB of the dump")
    parser.add_argument("--objects", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        directory = Path(scratch)
        source = directory / "planted.dmp"
        build(source, arguments.size * MIB, arguments.objects)
        size = source.stat().st_size
        times: dict[str, list[float]] = {"cp": [], "redact": []}
        for _ in range(arguments.rounds):
            for name, seconds in times.items():
                target = directory / "copy"
                started = time.perf_counter()
                if name == "cp":
                    subprocess.run(["cp", "--reflink=never", source, target], check=True)
                else:
                    report = redact(source, target, RedactOptions())
                seconds.append(time.perf_counter() - started)
                target.unlink()
        for name, seconds in times.items():
            best = statistics.median(seconds)
            print(f"{name:>8}: {best:6.2f} s, {size / MIB / best:6.0f} MiB/s")
        print(f"{len(report.removed)} secrets, {report.rounds} searches of the copy")


if __name__ == "__main__":
    main()
