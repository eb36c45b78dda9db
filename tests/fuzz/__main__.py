"""`python -m fuzz --seconds 3600 --save DIR`: fuzz everything, in as many processes as there are processors."""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from fuzz.harness import fuzz
from fuzz.targets import all_targets


def main() -> int:
    """Run until the time is over; return 1 if a mutant escaped."""
    parser = argparse.ArgumentParser(prog="fuzz", description="Fuzz dumpscan's commands with mutated files.")
    parser.add_argument("--seconds", type=float, default=3600, help="for each target (default: an hour)")
    parser.add_argument("--seed", type=int, default=int(time.time()), help="the same seed gives the same mutants")
    parser.add_argument("--save", type=Path, default=Path("escaped"), help="where mutants that escape are kept")
    parser.add_argument("--only", nargs="*", help="names of targets")
    chosen = parser.parse_args()
    chosen.save.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as made, ThreadPoolExecutor(os.cpu_count()) as pool:
        targets = [each for each in all_targets(Path(made)) if not chosen.only or each.name in chosen.only]
        waiting = {
            each.name: pool.submit(fuzz, each, seed=chosen.seed, seconds=chosen.seconds, directory=chosen.save)
            for each in targets
        }
        escaped = 0
        for name, future in waiting.items():
            outcome = future.result()
            print(f"{name}: {outcome.mutants} mutants, {len(outcome.escaped)} escaped")  # noqa: T201
            for problem, path in outcome.escaped:
                print(f"  {path}: {problem}")  # noqa: T201
            escaped += len(outcome.escaped)
    return int(escaped > 0)


raise SystemExit(main())
