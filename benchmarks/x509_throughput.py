"""How fast `dumpscan minidump x509` is, beside a plain read of the same file and beside YARA, in the same run.

    python benchmarks/x509_throughput.py [--size MIB] [--objects N] [--rounds N] [--filler DIRECTORY] [--dump FILE]

Builds a dump with planted certificates and keys, then measures every engine in turn, round after round, each time with
a fresh mapping of the file (which is in the page cache by then), and prints medians. Then the same
with text between the objects. Targets: the scan reaches 35 % of a plain read (numpy's sum of the mapped file, one
thread) and 15 times YARA, and half of that speed with text; the command takes less than 400 MiB of memory over the
mapping; all planted objects are found.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import yara  # type: ignore[import-not-found,unused-ignore]
from plain_read import GIB, MIB, plain_read
from planted_dump import build

from dumpscan.artifacts.registry import X509_DETECTORS
from dumpscan.memory.minidump.dump import Minidump
from dumpscan.search.merge import Collector
from dumpscan.search.pairs import with_pairs
from dumpscan.search.scanner import Scanner

if TYPE_CHECKING:
    from collections.abc import Callable

    from planted_dump import Planted

    from dumpscan.findings import Finding

YARA_RULES = r"""
rule certificates_and_keys {
  strings:
    $x509_v3 = { 30 82 ?? ?? 30 82 ?? ?? a0 03 02 01 02 02 }
    $x509_v1 = { 30 82 ?? ?? 30 82 ?? ?? 02 }
    $x509_small = { 30 82 ?? ?? 30 81 ?? a0 03 02 01 02 02 }
    $x509_smaller = { 30 81 ?? 30 81 ?? a0 03 02 01 02 02 }
    $pkcs1 = { 30 82 ?? ?? 02 01 00 02 (81|82) }
    $pkcs8 = { 30 (81 ??|82 ?? ??) 02 01 00 30 [1-3] 06 }
    $pkcs8_short = { 30 ?? 02 01 00 30 ?? 06 }
    $sec1_p256 = { 30 77 02 01 01 04 20 }
    $sec1_p384 = { 30 81 a4 02 01 01 04 30 }
    $sec1_p521 = { 30 81 dc 02 01 01 04 42 }
    $encrypted = { 30 82 ?? ?? 30 ?? 06 09 2a 86 48 86 f7 0d 01 05 0d }
    $pkcs12 = { 30 82 ?? ?? 02 01 03 30 [1-3] 06 09 2a 86 48 86 f7 0d 01 07 01 }
    $pem = "-----BEGIN " ascii wide
    $cng_rsa = /RSA[123]/
    $cng_ec = /EC[SK][1-6]/
    $capi = { 07 02 00 00 00 a4 00 00 52 53 41 32 }
  condition:
    any of them
}
"""
"""The openings of certificates and keys that the engine looks for, as a user of YARA would write them down."""


def main() -> int:
    """Run the benchmark; the exit code is 1 if a planted object was not found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=1024, metavar="MIB", help="memory in the dump (default 1024)")
    parser.add_argument("--objects", type=int, default=1000, metavar="N", help="planted objects (default 1000)")
    parser.add_argument("--rounds", type=int, default=5, metavar="N", help="rounds of measuring (default 5)")
    parser.add_argument("--filler", type=Path, metavar="DIRECTORY", help="files to lay between the objects")
    parser.add_argument("--dump", type=Path, metavar="FILE", help="keep the dump here")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="dumpscan-bench-") as directory:
        path = arguments.dump or Path(directory) / "planted.dmp"
        began = time.perf_counter()
        truth = build(path, arguments.size * MIB, arguments.objects, arguments.filler)
        seconds = time.perf_counter() - began
        print(f"{path.stat().st_size / MIB:.0f} MiB with {len(truth)} objects, built in {seconds:.0f} s")
        print(f"Python {platform.python_version()}, hyperscan {version('hyperscan')}, {os.cpu_count()} processors\n")
        failed = run(path, truth, arguments.rounds)
        text = Path(directory) / "text.dmp"
        truth = build(text, arguments.size * MIB, arguments.objects, text=True)
        print("\nThe same with nothing but text between the objects: JSON, logs, images in base64")
        return failed | run(text, truth, arguments.rounds)


def run(path: Path, truth: list[Planted], rounds: int) -> int:
    """Measure everything on one dump and print the table."""
    scanner = Scanner(X509_DETECTORS)
    rules = yara.compile(source=YARA_RULES)
    measured: dict[str, Callable[[], object]] = {
        "plain read (numpy sum)": lambda: plain_read(path),
        "engine, one thread": lambda: engine_scan(scanner, path, threads=1),
        "engine": lambda: engine_scan(scanner, path, threads=None),
        "scan, decoded and proven": lambda: whole_scan(scanner, path),
        "yara-python, same openings": lambda: rules.match(str(path)),
    }
    speeds: dict[str, list[float]] = {name: [] for name in measured}
    for _ in range(rounds):
        for name, function in measured.items():
            began = time.perf_counter()
            function()
            speeds[name].append(path.stat().st_size / GIB / (time.perf_counter() - began))
    median = {name: statistics.median(values) for name, values in speeds.items()}
    plain, *_, slow = median.values()
    print(f"{'':28}{'GiB/s':>8}{'of plain read':>16}{'times YARA':>14}")
    for name, speed in median.items():
        print(f"{name:28}{speed:8.2f}{speed / plain:15.0%} {speed / slow:14.1f}")
    seconds, peak = command(path)
    print(f"\n{'whole command':28}{seconds:8.2f} s, peak memory over the mapping {peak}")
    return found_all(truth, whole_scan(scanner, path))


def engine_scan(scanner: Scanner, path: Path, *, threads: int | None) -> int:
    """Count the hits of all signatures."""
    with Minidump(path) as dump:
        return sum(1 for _ in scanner.engine.scan(dump, threads=threads))


def whole_scan(scanner: Scanner, path: Path) -> list[Finding]:
    """Open the dump, find, decode, prove and pair."""
    collector = Collector()
    with Minidump(path) as dump:
        scanner.scan(dump, collector)
    return with_pairs(collector.findings())


def command(path: Path) -> tuple[float, str]:
    """Run the command line tool; return its seconds and the most memory of its own that it had at a time."""
    arguments = (sys.executable, "-m", "dumpscan", "minidump", "x509", str(path), "--format", "jsonl", "--quiet")
    peak = 0
    began = time.perf_counter()
    with subprocess.Popen(arguments, stdout=subprocess.DEVNULL) as process:
        while process.poll() is None:
            peak = max(peak, own_memory(process.pid))
            time.sleep(0.005)
        seconds = time.perf_counter() - began
        if process.returncode:
            print(f"the command ended with exit code {process.returncode}", file=sys.stderr)
    return seconds, f"{peak / MIB:.0f} MiB" if peak else "unknown (no /proc)"


def own_memory(pid: int) -> int:
    """Return the bytes of memory that a process has to itself: all that is resident but pages of files."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) << 10 for line in lines if line.startswith(("RssAnon:", "RssShmem:")))


def found_all(truth: list[Planted], findings: list[Finding]) -> int:
    """Compare what was found with what was planted, by address and bytes."""
    found = {(place.virtual_address, place.sha256) for finding in findings for place in finding.locations}
    missed = [entry for entry in truth if (entry.address, entry.planted.sha256) not in found]
    places = sum(finding.location_count for finding in findings)
    print(
        f"{'planted objects found':28}{len(truth) - len(missed):8} of {len(truth)}; "
        f"{len(findings)} findings at {places} places"
    )
    for entry in missed[:20]:
        print(f"  missed: {entry.planted.kind} {entry.planted.encoding} at {entry.address:#x}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
