"""How fast `dumpscan kernel` is on images of physical memory, beside volatility3 on the same images in the same run.

    python benchmarks/kernel_x509.py [--rounds N] [--small] [--keep DIRECTORY]

Builds an image of 2 GiB with 40 processes that map 6 GiB between them, and one of 4 GiB for the start. Measured are
the scan itself and the whole command against `vol windows.vadyarascan` with one pattern, the reverse page map, the
command's peak memory, and the time to the first row of `kernel pslist` against that of `vol windows.pslist`. Targets:
scan 50 times, command 15 times, start 3 times as fast; page map under 2 s; peak memory under 1 GiB. All planted
objects must be found. volatility3's own extra for YARA (`yara-python`) is needed.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from plain_read import GIB, MIB

from dumpscan.artifacts.registry import X509_DETECTORS
from dumpscan.memory.kernel.image import KernelImage
from dumpscan.memory.physical.page_statistics import map_statistics
from dumpscan.search.merge import Collector
from dumpscan.search.physical import search_physical
from dumpscan.search.scanner import Scanner
from dumpscan.synth.kernel.build import build_kernel

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dumpscan.findings import Finding
    from dumpscan.synth.kernel.build import KernelPaths

PAGE = 4096
KERNEL_PID = 4
PATTERN = "{30 82 ?? ?? 30 82 ?? ?? a0 03 02 01 02 02}"
"""An X.509 certificate's opening, for YARA."""
VOLATILITY = "import sys; from volatility3.cli import main; sys.argv[0] = 'vol'; main()"

MEASURED = """
import resource, subprocess, sys, time
began = time.perf_counter()
subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL, check=True)
print(time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""
"""Runs a command from a small process: a child's peak memory is never less than its parent's was."""

HEAD = """
format = 1
name = "{name}"
[windows]
version = "21h2"
size = "{size} MiB"
start_block = {marks}
debugger_data = {marks}
environment = ["SystemRoot=C:\\\\Windows", "Path=C:\\\\Windows\\\\system32", "=C:=C:\\\\Windows"]
[keys]
site = "ec-p256"
server = "rsa-2048"
[objects.site]
kind = "certificate"
key = "site"
subject = "CN=www.contoso.example"
[objects.server]
kind = "certificate"
key = "server"
subject = "CN=server.contoso.example"
[objects.key]
kind = "private_key"
key = "server"
[shared.libraries]
size = "{shared} MiB"
[[kernel]]
object = "site"
[[unmapped]]
object = "key"
"""
PROCESS = """
[[process]]
pid = {pid}
parent_pid = 4
name = "service{number}.exe"
regions = [{{ name = "heap", size = "{private} MiB" }}, {{ name = "libraries", size = "{shared} MiB" }}]
paging = {{ libraries = {{ shared = "libraries" }} }}
plants = [
    {{ object = "site", region = "heap", copies = 3 }},
    {{ object = "key", region = "heap" }},
    {{ object = "server", region = "heap", across_seam = true }},
]
"""


def main() -> int:
    """Run the benchmark; the exit code is 1 if a planted object was not found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3, metavar="N", help="rounds of measuring (default 3)")
    parser.add_argument("--small", action="store_true", help="256 MiB, 8 processes: to see whether it runs")
    parser.add_argument("--keep", type=Path, metavar="DIRECTORY", help="build the images here, or use those that are")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="dumpscan-bench-") as scratch:
        directory = arguments.keep or Path(scratch)
        versions = ", ".join(f"{package} {version(package)}" for package in ("volatility3", "hyperscan"))
        print(f"Python {platform.python_version()}, {versions}, {os.cpu_count()} processors")
        scale = 8 if arguments.small else 1
        count = 40 // (5 if arguments.small else 1)
        lab = image(directory, "scan", 2048 // scale, count, private=41 if scale == 1 else 16, shared=112 // scale)
        start = image(directory, "start", 4096 // scale, 12, private=2, shared=8, marks=False)
        code = measure_scan(lab, Path(scratch), arguments.rounds)
        measure_start(start, Path(scratch), arguments.rounds)
        return code


def image(
    directory: Path, name: str, size: int, processes: int, *, private: int, shared: int, marks: bool = True
) -> KernelPaths:
    """Build an image; sizes in MiB."""
    place = directory / name
    place.mkdir(parents=True, exist_ok=True)
    scenario = place / "scenario.toml"
    text = HEAD.format(name=name, size=size, shared=shared, marks=str(marks).lower())
    for number in range(processes):
        text += PROCESS.format(pid=1000 + 4 * number, number=number, private=private, shared=shared)
    scenario.write_text(text, encoding="utf-8")
    began = time.perf_counter()
    paths = build_kernel(scenario, place)
    print(f"{name}: {size} MiB with {processes} processes, built in {time.perf_counter() - began:.1f} s")
    return paths


def measure_scan(paths: KernelPaths, scratch: Path, rounds: int) -> int:
    """Measure the scan, the page map and the whole command beside vadyarascan."""
    scanner = Scanner(X509_DETECTORS)
    measured: dict[str, list[float]] = {"page map": [], "scan": [], "command": [], "vadyarascan": []}
    findings: list[Finding] = []
    peak = 0
    for _ in range(rounds):
        with KernelImage(paths.image, symbols=[paths.symbols_directory], cache_dir=scratch / "ours") as memory:
            memory.listed  # noqa: B018 - found when it is first asked for
            began = time.perf_counter()
            page_map = memory.page_map()
            measured["page map"].append(time.perf_counter() - began)
            memory.best_page_map = lambda page_map=page_map: page_map  # type: ignore[method-assign]
            collector = Collector()
            began = time.perf_counter()
            search_physical(memory, scanner, collector)
            measured["scan"].append(time.perf_counter() - began)
            findings = collector.findings()
            mapped = map_statistics(page_map).pages * PAGE
        seconds, used = command(paths, scratch)
        measured["command"].append(seconds)
        peak = max(peak, used)
        began = time.perf_counter()
        volatility(paths, scratch, ["windows.vadyarascan", "--yara-string", PATTERN])
        measured["vadyarascan"].append(time.perf_counter() - began)
    median = {name: statistics.median(values) for name, values in measured.items()}
    slow = median["vadyarascan"]
    print(f"\n{mapped / GIB:.1f} GiB of mapped virtual memory in {paths.image.stat().st_size / GIB:.1f} GiB")
    print(f"{'vol windows.vadyarascan':32}{slow:8.2f} s")
    print(f"{'scan itself':32}{median['scan']:8.2f} s{slow / median['scan']:8.1f} times as fast (target 50)")
    whole = median["command"]
    print(f"{'dumpscan kernel x509':32}{whole:8.2f} s{slow / whole:8.1f} times as fast (target 15)")
    print(f"{'reverse page map':32}{median['page map']:8.2f} s  (target below 2)")
    print(f"{'peak memory, mapping included':32}{peak / MIB:8.0f} MiB (target below 1024)")
    return found_all(paths, findings)


def measure_start(paths: KernelPaths, scratch: Path, rounds: int) -> None:
    """Measure the time to the first process's row."""
    ours = [sys.executable, "-m", "dumpscan", "kernel", "pslist", str(paths.image), "--format", "csv", "-q"]
    ours += ["--symbols", str(paths.symbols_directory)]
    theirs = volatility_command(paths, scratch, ["windows.pslist"])
    first: list[float] = []
    again: list[float] = []
    slow: list[float] = []
    for number in range(rounds):
        environment = {**os.environ, "XDG_CACHE_HOME": str(scratch / f"start{number}")}
        first.append(first_row(ours, "System", environment))
        again.append(first_row(ours, "System", environment))
        slow.append(first_row(theirs, "System", environment))
    print(f"\nto the first process of a {paths.image.stat().st_size / GIB:.1f} GiB image")
    vol = statistics.median(slow)
    print(f"{'vol windows.pslist':32}{vol:8.2f} s")
    for name, values in (("dumpscan kernel pslist", first), ("  a second time", again)):
        seconds = statistics.median(values)
        print(f"{name:32}{seconds:8.2f} s{vol / seconds:8.1f} times as fast (target 3)")


def volatility_command(paths: KernelPaths, scratch: Path, plugin: Sequence[str]) -> list[str]:
    """Return the command line of an unmodified volatility3."""
    options = ["-q", "--offline", "--cache-path", str(scratch / "theirs"), "-s", str(paths.symbols_directory)]
    (scratch / "theirs").mkdir(exist_ok=True)
    return [sys.executable, "-c", VOLATILITY, *options, "-f", str(paths.image), *plugin]


def volatility(paths: KernelPaths, scratch: Path, plugin: Sequence[str]) -> None:
    """Run one of volatility3's plugins to its end."""
    subprocess.run(volatility_command(paths, scratch, plugin), stdout=subprocess.DEVNULL, check=True)


def command(paths: KernelPaths, scratch: Path) -> tuple[float, int]:
    """Run the command line tool; return its seconds and its peak memory in bytes, pages of the image included."""
    arguments = [sys.executable, "-m", "dumpscan", "kernel", "x509", str(paths.image), "--format", "jsonl", "--quiet"]
    arguments += ["--symbols", str(paths.symbols_directory)]
    environment = {**os.environ, "XDG_CACHE_HOME": str(scratch / "command")}
    done = subprocess.run(
        [sys.executable, "-c", MEASURED, *arguments], capture_output=True, check=True, env=environment, text=True
    )
    seconds, peak = done.stdout.split()
    return float(seconds), int(peak) * (1 if sys.platform == "darwin" else 1024)


def first_row(arguments: list[str], wanted: str, environment: dict[str, str]) -> float:
    """Return the seconds until a line with `wanted` is printed."""
    began = time.perf_counter()
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, env=environment, text=True) as process:
        assert process.stdout is not None  # noqa: S101 - a pipe was asked for
        for line in process.stdout:
            if wanted in line:
                seconds = time.perf_counter() - began
                process.stdout.read()
                return seconds
    raise SystemExit(f"{arguments}: no row")


def found_all(paths: KernelPaths, findings: list[Finding]) -> int:
    """Compare what was found with the truth, by process and address."""
    truth: dict[str, Any] = json.loads(paths.truth.read_text())
    wanted = {
        (place["pid"] or KERNEL_PID, place["virtual_address"]) for item in truth["objects"] for place in item["places"]
    }
    seen = {
        (location.process.pid if location.process else None, location.virtual_address)
        for finding in findings
        for location in finding.locations
        if location.virtual_address is not None
    }
    missed, more = wanted - seen, seen - wanted
    print(f"{'planted objects':32}{len(wanted) - len(missed):8} of {len(wanted)} found, {len(more)} others")
    return 1 if missed or more else 0


if __name__ == "__main__":
    sys.exit(main())
