"""`python -m fuzz --seconds 3600 --save DIR`: fuzz everything, in as many processes as there are processors.

An hour of one processor for all targets together (`--seconds 300 --processes 1`) is about a million mutants.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from fuzz.harness import fuzz
from fuzz.targets import all_targets


def main() -> int:
    """Run until the time is over; return 1 if a mutant escaped."""
    parser = argparse.ArgumentParser(prog="fuzz", description="Fuzz dumpscan's commands with mutated files.")
    parser.add_argument("--seconds", type=float, default=3600, help="for each target (default: an hour)")
    parser.add_argument("--rounds", type=int, default=60, help="turns that each target's time is divided into")
    parser.add_argument("--processes", type=int, default=os.cpu_count(), help="(default: one for each processor)")
    parser.add_argument("--seed", type=int, default=int(time.time()), help="the same seed gives the same mutants")
    parser.add_argument("--save", type=Path, default=Path("escaped"), help="where mutants that escape are kept")
    parser.add_argument("--only", nargs="*", help="names of targets")
    chosen = parser.parse_args()
    chosen.save.mkdir(parents=True, exist_ok=True)
    tried: Counter[str] = Counter()
    escaped = 0
    with tempfile.TemporaryDirectory() as made, ThreadPoolExecutor(chosen.processes) as pool:
        targets = [each for each in all_targets(Path(made)) if not chosen.only or each.name in chosen.only]
        for number in range(chosen.rounds):
            turn = {"seed": f"{chosen.seed}-{number}", "seconds": chosen.seconds / chosen.rounds}
            waiting = {each.name: pool.submit(fuzz, each, directory=chosen.save, **turn) for each in targets}
            for name, future in waiting.items():
                outcome = future.result()
                tried[name] += outcome.mutants
                escaped += len(outcome.escaped)
                for problem, path in outcome.escaped:
                    print(f"{name}: {path}: {problem}")  # noqa: T201
            counts = ", ".join(f"{name} {count}" for name, count in tried.items())
            print(f"{tried.total()} mutants, {escaped} escaped ({counts})", flush=True)  # noqa: T201
    return int(escaped > 0)


raise SystemExit(main())
