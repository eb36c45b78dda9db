"""What the search for SymCrypt's keys costs, and how fast AES schedules are found, beside aeskeyfind in the same run.

    python benchmarks/symcrypt_search.py [--size MIB] [--rounds N] [--filler DIRECTORY] [--dump FILE]

Builds the dump of `x509_throughput.py`, measures in turn, round after round, and prints medians; then plants keys of
every 64-bit build in the dump and looks for them. Targets: with SymCrypt's signatures the scan takes at most 15 %
longer than the x509 scan alone; AES schedules at multiples of four are found at an eighth of the speed of a plain read
(numpy's sum of the mapped file, one thread) or faster, and everywhere at least 8 times as fast as by aeskeyfind (the
Debian package of that name, left out where it is not installed); every planted key is found at its address, and no
other.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.asymmetric import dsa, ec, rsa
from plain_read import MIB, plain_read
from planted_dump import SLOT, build

from dumpscan.artifacts.aes.cipher import expand
from dumpscan.artifacts.registry import X509_DETECTORS
from dumpscan.artifacts.symcrypt.aes import search_aes
from dumpscan.artifacts.symcrypt.detectors import DETECTORS
from dumpscan.memory.minidump.dump import Minidump
from dumpscan.model.c_symcrypt import ABIS
from dumpscan.search.merge import Collector
from dumpscan.search.scanner import Scanner
from dumpscan.synth.objects.keys import make_key
from dumpscan.synth.objects.symcrypt import structures as symcrypt
from dumpscan.synth.objects.symcrypt.aes import aes_key
from dumpscan.synth.objects.symcrypt.curves import CURVES
from dumpscan.synth.seeded import SeededBytes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from dumpscan.model.c_symcrypt import Abi

SEED = "benchmark"
BUILDS = [abi for abi in ABIS if abi.pointer_size == 8]  # the dump's memory begins at 4 GiB
EVERY = 256
"""Of the free slots in the dump, every so many-th holds a SymCrypt object."""


@dataclass(frozen=True, slots=True)
class Made:
    """An allocation to plant, and whether a key is expected at its address."""

    data: bytes
    kind: str | None


def main() -> int:
    """Run the benchmark; the exit code is 1 if the keys found are not those planted."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=1024, metavar="MIB", help="memory in the dump (default 1024)")
    parser.add_argument("--rounds", type=int, default=5, metavar="N", help="rounds of measuring (default 5)")
    parser.add_argument("--filler", type=Path, metavar="DIRECTORY", help="files to lay between the objects")
    parser.add_argument("--dump", type=Path, metavar="FILE", help="keep the dump here")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="dumpscan-bench-") as directory:
        path = arguments.dump or Path(directory) / "planted.dmp"
        others = build(path, arguments.size * MIB, arguments.size, arguments.filler)
        print(f"{path.stat().st_size / MIB:.0f} MiB with {len(others)} certificates and keys of other kinds\n")
        scanner = Scanner((*X509_DETECTORS, *DETECTORS))
        measure(path, scanner, arguments.rounds)
        truth = plant(path, {entry.address // SLOT for entry in others})
        return compare(truth, {**places(whole_scan(scanner, path)), **aes_scan(path, unaligned=True)})


def plant(path: Path, taken: set[int]) -> dict[int, str]:
    """Write keys into slots of the dump that hold nothing else; return the kind of each by its address."""
    places: list[tuple[int, int]] = []
    with Minidump(path) as dump:
        for region in dump.regions:
            first, end = -(-region.start // SLOT), (region.start + region.size) // SLOT
            free = [slot for slot in range(first, end) if not {slot - 1, slot, slot + 1} & taken]
            places += [(slot * SLOT, region.file_offset + slot * SLOT - region.start) for slot in free]
    truth: dict[int, str] = {}
    with path.open("r+b") as file:
        for (address, offset), make in zip(places[::EVERY], makers(), strict=False):
            for at, made in make(address):
                file.seek(offset + at - address)
                file.write(made.data)
                if made.kind:
                    truth[at] = made.kind
    return truth


def makers() -> Iterator[Callable[[int], list[tuple[int, Made]]]]:
    """Yield functions that lay out objects from an address on, in turn for each build; they never end."""
    number = 0
    while True:
        for abi in BUILDS:
            for make in (_rsa, _ec, _dsa, _aes):
                number += 1
                yield lambda address, abi=abi, make=make, number=number: make(abi, address & ~0xFFF, number)  # type: ignore[misc]


def _rsa(abi: Abi, address: int, number: int) -> list[tuple[int, Made]]:
    key = make_key("rsa-2048", f"{SEED}/rsa{number % 8}").private
    assert isinstance(key, rsa.RSAPrivateKey)  # noqa: S101 - it was asked for
    numbers = key.private_numbers()
    public_only = number % 5 == 0
    data = symcrypt.rsa_key(abi, address, numbers.public_numbers, None if public_only else numbers)
    return [(address, Made(data, "public_key" if public_only else "private_key"))]


def _ec(abi: Abi, address: int, number: int) -> list[tuple[int, Made]]:
    name = ("secp256r1", "secp384r1", "secp521r1")[number % 3]
    scalar = SeededBytes(SEED, "ec", str(number)).bits(255)
    curves: dict[str, ec.EllipticCurve] = {
        "secp256r1": ec.SECP256R1(),
        "secp384r1": ec.SECP384R1(),
        "secp521r1": ec.SECP521R1(),
    }
    point = ec.derive_private_key(scalar, curves[name]).public_key().public_numbers()
    at_curve = address + 0x1000
    key = symcrypt.ec_key(abi, address, at_curve, CURVES[name], public=(point.x, point.y), scalar=scalar, z=scalar | 1)
    return [
        (address, Made(key, "private_key")),
        (at_curve, Made(symcrypt.ec_curve(abi, at_curve, CURVES[name]), None)),
    ]


def _dsa(abi: Abi, address: int, number: int) -> list[tuple[int, Made]]:
    key = make_key("dsa-1024", f"{SEED}/dsa{number % 2}").private
    assert isinstance(key, dsa.DSAPrivateKey)  # noqa: S101 - it was asked for
    numbers = key.private_numbers()
    group = numbers.public_numbers.parameter_numbers
    at_group = address + 0x1000
    data = symcrypt.dl_key(abi, address, at_group, (group.p, group.q, group.g), numbers.x)
    return [
        (address, Made(data, "private_key")),
        (at_group, Made(symcrypt.dl_group(abi, at_group, group.p, group.q, group.g), None)),
    ]


def _aes(abi: Abi, address: int, number: int) -> list[tuple[int, Made]]:
    key = SeededBytes(SEED, "aes", str(number)).take((16, 24, 32)[number % 3])
    if number % 2:
        return [(address + number % 7, Made(expand(key), "symmetric_key"))]
    return [(address, Made(aes_key(abi, address, key), "symmetric_key"))]


def measure(path: Path, both: Scanner, rounds: int) -> None:
    """Measure everything on one dump and print the table."""
    alone = Scanner(X509_DETECTORS)
    measured: dict[str, Callable[[], object]] = {
        "plain read (numpy sum)": lambda: plain_read(path),
        "x509, engine": lambda: engine_scan(alone, path),
        "x509 + symcrypt, engine": lambda: engine_scan(both, path),
        "x509, proven": lambda: whole_scan(alone, path),
        "x509 + symcrypt, proven": lambda: whole_scan(both, path),
        "AES schedules": lambda: aes_scan(path),
        "AES schedules, one thread": lambda: aes_scan(path, threads=1),
        "AES schedules, anywhere": lambda: aes_scan(path, unaligned=True),
    }
    tool = shutil.which("aeskeyfind")
    if tool:
        measured["aeskeyfind"] = lambda: subprocess.run((tool, "-q", str(path)), check=True, capture_output=True)
    seconds: dict[str, list[float]] = {name: [] for name in measured}
    for _ in range(rounds):
        for name, function in measured.items():
            if name == "aeskeyfind" and seconds[name]:
                continue  # it takes half a minute, and always the same
            began = time.perf_counter()
            function()
            seconds[name].append(time.perf_counter() - began)
    median = {name: statistics.median(values) for name, values in seconds.items()}
    size = path.stat().st_size / MIB
    for name, value in median.items():
        print(f"{name:28}{value:8.2f} s{size / value:10.0f} MiB/s")
    for kind in ("engine", "proven"):
        ratio = median[f"x509 + symcrypt, {kind}"] / median[f"x509, {kind}"]
        print(f"SymCrypt's keys add {ratio - 1:+.1%} to the x509 scan ({kind})")
    ratio = median["plain read (numpy sum)"] / median["AES schedules"]
    print(f"AES schedules: {ratio:.0%} of the speed of a plain read")
    if tool:
        times = median["aeskeyfind"] / median["AES schedules, anywhere"]
        print(f"AES schedules, anywhere: {times:.1f} times as fast as aeskeyfind")


def engine_scan(scanner: Scanner, path: Path) -> int:
    """Count the hits of all signatures."""
    with Minidump(path) as dump:
        return sum(1 for _ in scanner.engine.scan(dump))


def whole_scan(scanner: Scanner, path: Path) -> Collector:
    """Open the dump, find, decode and prove."""
    collector = Collector()
    with Minidump(path) as dump:
        scanner.scan(dump, collector)
    return collector


def aes_scan(path: Path, *, unaligned: bool = False, threads: int | None = None) -> dict[int, str]:
    """Find AES schedules: the kind by address."""
    with Minidump(path) as dump:
        found = search_aes(dump, unaligned=unaligned, threads=threads)
        return {decoded.address: decoded.finding.kind for decoded in found}


def places(found: Collector) -> dict[int, str]:
    """Return the kind of every SymCrypt key by its address."""
    return {
        location.virtual_address or 0: finding.kind
        for finding in found.findings()
        for location in finding.locations
        if location.key_object is not None
    }


def compare(truth: dict[int, str], found: dict[int, str]) -> int:
    """Say what is missing and what was invented."""
    missing = sorted(set(truth.items()) - set(found.items()))
    invented = sorted(set(found.items()) - set(truth.items()))
    print(
        f"\n{len(truth) - len(missing)} of {len(truth)} keys found at their addresses, {len(invented)} others reported"
    )
    for what, entries in (("missing", missing), ("not planted", invented)):
        for address, kind in entries[:10]:
            print(f"  {what}: {kind} at {address:#x}")
    return 1 if missing or invented else 0


if __name__ == "__main__":
    raise SystemExit(main())
