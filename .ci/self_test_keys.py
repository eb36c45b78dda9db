"""Make the list of test keys anew: private keys that programs and kernels carry to test themselves.

    python .ci/self_test_keys.py "openssl speed=/usr/bin/openssl" "kernel testmgr=vmlinux" ... > LIST

Prints the list (`dumpscan/artifacts/keys/self_test_keys.txt`) with the private keys in files of installed packages
added to it; what is in it stays. A kernel must be unpacked (`scripts/extract-vmlinux` in its source). Look at a key
before you add it: a program that carries the private key of a service has a problem that this list must not hide.
"""

from __future__ import annotations

import mmap
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from dumpscan.artifacts.keys.self_test_keys import lines, merged
from dumpscan.artifacts.registry import X509_DETECTORS
from dumpscan.findings import PrivateKey
from dumpscan.memory.space import Region
from dumpscan.search.merge import Collector
from dumpscan.search.scanner import Scanner

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass
class File:
    """A file as an address space, addresses being offsets."""

    path: Path
    buffer: memoryview
    pointer_size: int = 8
    process: None = None

    @property
    def regions(self) -> Sequence[Region]:
        """All of it."""
        return (Region(0, len(self.buffer), 0),)

    def read(self, address: int, size: int) -> bytes:
        """Return bytes at an offset."""
        return bytes(self.buffer[address : address + size]) if address >= 0 else b""

    def extents(self, address: int, size: int) -> tuple[tuple[int, int], ...]:
        """Return where bytes lie."""
        return ((address, size),)

    def module_at(self, _address: int) -> None:
        """Say that nothing is loaded."""


def keys_in(path: Path) -> set[str]:
    """Return the key ids of the proven private keys in a file."""
    collector = Collector()
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
        view = memoryview(mapped)
        Scanner(X509_DETECTORS).scan(File(path, view), collector)
        view.release()
    return {each.key_id for each in collector.findings() if isinstance(each, PrivateKey) and each.proof}


def main(sources: Sequence[str]) -> None:
    """Print the list with what files add to it."""
    found: dict[str, str] = {}
    for source in sources:
        name, _, path = source.partition("=")
        found |= dict.fromkeys(sorted(keys_in(Path(path))), name)
    sys.stdout.write(merged(lines(), found))


if __name__ == "__main__":
    main(sys.argv[1:])
