"""How long a command takes before it does anything, beside a process that imports numpy, in the same run.

    python benchmarks/start_up.py [--rounds N]

Runs `python -c "import numpy"`, `dumpscan --version` and `dumpscan minidump x509` on the small sample in turn, and
prints the least processor time of each: on a busy machine, the least is what the program itself takes. Target: 0.3
seconds where numpy takes 0.08, which is a ratio of 4.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
from pathlib import Path

SAMPLE = Path(__file__).parents[1] / "sample_dumps" / "webserver.dmp"
COMMANDS = {
    "import numpy": ["-c", "import numpy"],
    "dumpscan --version": ["-m", "dumpscan", "--version"],
    "dumpscan minidump x509": ["-m", "dumpscan", "minidump", "x509", str(SAMPLE)],
}


def seconds(arguments: list[str]) -> float:
    """Return the processor time of a Python process, with byte code kept as an installed package has it."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, *arguments], env=environment, capture_output=True, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    """Measure, and print a line for each command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=10)
    rounds: int = parser.parse_args().rounds
    least = dict.fromkeys(COMMANDS, float("inf"))
    for _ in range(rounds):
        for name, arguments in COMMANDS.items():
            least[name] = min(least[name], seconds(arguments))
    for name, taken in least.items():
        print(f"{name:24} {taken:.3f} s  {taken / least['import numpy']:.1f} times numpy")


if __name__ == "__main__":
    main()
