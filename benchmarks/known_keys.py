"""How fast the private key of a known certificate is found, whatever form its numbers have, beside a plain read.

    python benchmarks/known_keys.py [--size MIB] [--rounds N] [--filler DIRECTORY]

Builds a dump, a quarter of which is mixed and the rest zeros (or real files), with one prime of an RSA key, big-endian,
and the scalar of an EC key in Montgomery form, to which something points. Looks for both by their public keys, as
`--deep` does. Prints medians; the exit code is 1 if a key is not found.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from plain_read import GIB, MIB, plain_read
from planted_dump import Files

from dumpscan.artifacts.openssl.known.effort import Effort
from dumpscan.artifacts.openssl.known.search import find_known
from dumpscan.memory.minidump.dump import Minidump
from dumpscan.synth.filler import Mixed, Zeros
from dumpscan.synth.minidump.builder import MinidumpBuilder

if TYPE_CHECKING:
    from collections.abc import Callable

    from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes

BASE = 0x7F00_0000_0000
ORDER = 2**256 - 2**224 + 2**192 - 0x4319055258E8617B0C46353D039CDAAF
"""Of the generator of P-256 (SEC 2, 2.4.2)."""


def build(path: Path, size: int, filler: Path | None) -> dict[str, PublicKeyTypes]:
    """Write the dump; return the public keys whose private numbers lie in it."""
    rsa_key, ec_key = rsa.generate_private_key(65537, 2048), ec.generate_private_key(ec.SECP256R1())
    prime = rsa_key.private_numbers().p.to_bytes(128, "big")
    scalar = ((ec_key.private_numbers().private_value << 256) % ORDER).to_bytes(32, "little")
    builder = MinidumpBuilder("x64")
    if filler is None:
        builder.add_memory(BASE, Mixed(size // 4, "known"))
        builder.add_memory(BASE + size // 4, Zeros(size - size // 4))
    else:
        paths = tuple(sorted(path for path in filler.rglob("*") if path.is_file() and path.stat().st_size))
        builder.add_memory(BASE, Files(size, paths, 0))
    builder.add_memory(BASE + size, Zeros(4096))
    builder.plant(BASE + size // 2, prime)
    builder.plant(BASE + size + 64, scalar)
    builder.plant(BASE + size + 256, (BASE + size + 64).to_bytes(8, "little"))
    builder.write(path)
    return {"RSA 2048": rsa_key.public_key(), "EC P-256": ec_key.public_key()}


def main() -> int:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=256, metavar="MIB", help="memory in the dump (default 256)")
    parser.add_argument("--rounds", type=int, default=3, metavar="N", help="rounds of measuring (default 3)")
    parser.add_argument("--filler", type=Path, metavar="DIRECTORY", help="real files to lay into the dump")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="dumpscan-bench-") as directory:
        path = Path(directory) / "known.dmp"
        keys = build(path, chosen.size * MIB, chosen.filler)
        found: dict[str, bool] = {}

        def search(name: str) -> Callable[[], None]:
            def run() -> None:
                with Minidump(path) as dump:
                    found[name] = bool(list(find_known(dump, [keys[name]], Effort(deep=True))))

            return run

        measured = {"plain read (numpy sum)": lambda: plain_read(path), **{name: search(name) for name in keys}}
        speeds: dict[str, list[float]] = {name: [] for name in measured}
        for _ in range(chosen.rounds):
            for name, function in measured.items():
                began = time.perf_counter()
                function()
                speeds[name].append(path.stat().st_size / GIB / (time.perf_counter() - began))
        median = {name: statistics.median(values) for name, values in speeds.items()}
        for name, speed in median.items():
            print(
                f"{name:28}{speed:8.2f} GiB/s{speed / np.float64(median['plain read (numpy sum)']):8.0%} of plain read"
            )
        print(", ".join(f"{name} {'found' if there else 'NOT found'}" for name, there in found.items()))
    return int(not all(found.values()))


if __name__ == "__main__":
    sys.exit(main())
