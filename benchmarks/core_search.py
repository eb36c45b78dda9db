"""How fast a process core is searched, beside the same memory as a minidump and a plain read of it, in the same run.

    python benchmarks/core_search.py [--size MIB] [--objects N] [--rounds N]

Builds a minidump with planted certificates and keys, writes its memory as an ELF core, and searches both in turn.
Target: the core within 10 % of the minidump, with the same objects at the same addresses.
"""

from __future__ import annotations

import argparse
import statistics
import struct
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from plain_read import GIB, MIB, plain_read
from planted_dump import build

from dumpscan.artifacts.registry import X509
from dumpscan.memory.core.dump import Core
from dumpscan.memory.minidump.dump import Minidump
from dumpscan.search.merge import Collector
from dumpscan.search.run import search

if TYPE_CHECKING:
    from collections.abc import Callable

PAGE = 4096
HEADER, ENTRY = 64, 56


def write_core(minidump: Path, path: Path) -> None:
    """Write a minidump's memory as an ELF core, a segment for each region."""
    with Minidump(minidump) as dump, path.open("wb") as out:
        regions = dump.regions
        at = -(-(HEADER + ENTRY * (len(regions) + 1)) // PAGE) * PAGE
        note = struct.pack("<III", 5, 136, 3) + b"CORE\0\0\0\0" + bytes(136)  # NT_PRPSINFO: it is a process
        out.write(b"\x7fELF\x02\x01\x01" + bytes(9) + struct.pack("<HHIQQQ", 4, 62, 1, 0, HEADER, 0))
        out.write(struct.pack("<IHHHHHH", 0, HEADER, ENTRY, len(regions) + 1, 0, 0, 0))
        out.write(struct.pack("<IIQQQQQQ", 4, 0, at, 0, 0, len(note), 0, 4))
        offset = at + PAGE
        for region in regions:
            place = (offset, region.start, 0, region.size, region.size, PAGE)
            out.write(struct.pack("<IIQQQQQQ", 1, 6, *place))
            offset += -(-region.size // PAGE) * PAGE
        out.seek(at)
        out.write(note)
        offset = at + PAGE
        for region in regions:
            out.seek(offset)
            out.write(dump.buffer[region.file_offset : region.file_offset + region.size])
            offset += -(-region.size // PAGE) * PAGE


def places(opener: Callable[[Path], Minidump | Core], path: Path) -> set[tuple[int | None, str]]:
    """Search a dump; return the places of all that was found."""
    collector = Collector()
    with opener(path) as dump:
        search(dump, X509, collector)
    return {(place.virtual_address, place.sha256) for each in collector.findings() for place in each.locations}


def main() -> int:
    """Run the benchmark; the exit code is 1 if the two searches differ in what they find."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=1024, metavar="MIB", help="memory in the dumps (default 1024)")
    parser.add_argument("--objects", type=int, default=1000, metavar="N", help="planted objects (default 1000)")
    parser.add_argument("--rounds", type=int, default=5, metavar="N", help="rounds of measuring (default 5)")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="dumpscan-bench-") as directory:
        minidump, core = Path(directory) / "planted.dmp", Path(directory) / "planted.core"
        build(minidump, chosen.size * MIB, chosen.objects)
        write_core(minidump, core)
        found = {"minidump": places(Minidump, minidump), "core": places(Core, core)}
        measured: dict[str, Callable[[], object]] = {
            "plain read (numpy sum)": lambda: plain_read(core),
            "minidump": lambda: places(Minidump, minidump),
            "core": lambda: places(Core, core),
        }
        speeds: dict[str, list[float]] = {name: [] for name in measured}
        for _ in range(chosen.rounds):
            for name, function in measured.items():
                began = time.perf_counter()
                function()
                speeds[name].append(core.stat().st_size / GIB / (time.perf_counter() - began))
        median = {name: statistics.median(values) for name, values in speeds.items()}
        for name, speed in median.items():
            print(f"{name:28}{speed:8.2f} GiB/s{speed / median['plain read (numpy sum)']:8.0%} of plain read")
        print(f"{'core in ratio to minidump':28}{median['core'] / median['minidump']:8.2f}")
        same = found["minidump"] == found["core"]
        print(f"{len(found['core'])} places, {'the same in both' if same else 'NOT the same in both'}")
    return int(not same)


if __name__ == "__main__":
    sys.exit(main())
