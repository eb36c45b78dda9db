"""A large Memory64 minidump with certificates and keys planted in it, and where they lie: what the benchmarks scan."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from functools import cache
from itertools import cycle, islice, product
from typing import IO, TYPE_CHECKING

import numpy as np

from dumpscan.synth.filler import Mixed, Noise, Zeros
from dumpscan.synth.minidump.builder import MinidumpBuilder
from dumpscan.synth.objects.catalogue import make
from dumpscan.synth.objects.spec import ObjectSpec

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from dumpscan.synth.filler import Content
    from dumpscan.synth.objects.planted import PlantedObject

SEED = "benchmark"
PAGE = 4096
SLOT = 16 << 10
"""Bytes of memory that hold one object at most; no object here is larger."""

# Byte values of x86-64 code and how often they come, roughly.
OFTEN_IN_CODE = {0x00: 40, 0x48: 22, 0xFF: 14, 0x8B: 12, 0x89: 8, 0x0F: 7, 0x24: 6, 0xE8: 5, 0x4C: 4, 0xCC: 4, 0xC0: 4}
OFTEN_IN_CODE |= dict.fromkeys((0x01, 0x02, 0x08, 0x10, 0x20, 0x41, 0x44, 0x74, 0x83, 0x85, 0x8D, 0xC3, 0xEB), 2)

RSA, EC, ED25519 = "rsa-2048", ("ec-p256", "ec-p384", "ec-p521"), "ed25519"


@dataclass(frozen=True, slots=True)
class Planted:
    """An object in the dump, at a virtual address."""

    address: int
    planted: PlantedObject


@dataclass(frozen=True, slots=True)
class Code:
    """Bytes as frequent as in x86-64 code, and as long in coming again: seeded draws from instructions' bytes."""

    size: int
    seed: int

    def write_to(self, file: IO[bytes]) -> None:
        """Write it, a quarter of the bytes drawn from all 256."""
        rng = np.random.default_rng(self.seed)
        often = np.repeat(np.array(list(OFTEN_IN_CODE), np.uint8), list(OFTEN_IN_CODE.values()))
        table = np.concatenate((np.resize(often, 192 * 4), np.arange(256, dtype=np.uint8)))
        for start in range(0, self.size, 1 << 22):
            size = min(1 << 22, self.size - start)
            file.write(table[rng.integers(len(table), size=size, dtype=np.uint16)].tobytes())


@dataclass(frozen=True, slots=True)
class Files:
    """Bytes of real files, one behind the other from `offset` on, beginning again at their end."""

    size: int
    paths: tuple[Path, ...]
    offset: int

    def write_to(self, file: IO[bytes]) -> None:
        """Copy them."""
        offset, left = self.offset % sum(path.stat().st_size for path in self.paths), self.size
        for path in cycle(self.paths):
            length = path.stat().st_size
            if offset >= length:
                offset -= length
                continue
            with path.open("rb") as source:
                source.seek(offset)
                while left and (data := source.read(min(left, 1 << 22))):
                    left -= file.write(data)
            offset = 0
            if not left:
                return


@dataclass(frozen=True, slots=True)
class Text:
    """Text as servers and browsers hold it: JSON, lines of a log, images in base64, a third of the bytes each."""

    size: int
    seed: int

    def write_to(self, file: IO[bytes]) -> None:
        """Write it, from pools of text that begin anywhere."""
        rng = np.random.default_rng(self.seed)
        pools = _pools_of_text()
        left = self.size
        while left:
            pool = pools[int(rng.integers(len(pools)))]
            begin = int(rng.integers(len(pool)))
            left -= file.write(pool[begin : begin + min(left, int(rng.integers(1 << 12, 1 << 17)))])


@cache
def _pools_of_text() -> tuple[bytes, ...]:
    rng = np.random.default_rng(20240102)
    numbers = rng.integers(1 << 32, size=(1 << 14, 4)).tolist()
    records = [
        json.dumps({"id": a, "name": f"host{b % 997}.example.org", "tags": ["blue", c % 31], "when": d, "ok": True})
        for a, b, c, d in numbers
    ]
    log = [
        f'10.0.{a % 256}.{b % 256} - - [17/May/2024:{c % 24:02}:{d % 60:02}:11 +0000] "GET /a/{a:x}?q={b}" 200 {c}'
        for a, b, c, d in numbers
    ]
    images = ["data:image/png;base64," + base64.b64encode(rng.bytes(48 << 10)).decode() + '">' for _ in range(32)]
    return tuple("\n".join(lines).encode() for lines in (records, log, images))


def specifications(count: int) -> Iterator[ObjectSpec]:
    """Name `count` objects, no two with the same bytes: somewhat more certificates than keys, of 100 key pairs."""
    rsa = [(RSA, f"rsa{i}") for i in range(40)]
    elliptic = [(curve, f"ec{i}") for i in range(12) for curve in EC]
    edwards = [(ED25519, f"ed{i}") for i in range(24)]
    pairs = rsa + elliptic + edwards
    keys: Iterable[tuple[tuple[str, str], str]] = (
        *product(rsa, ("pkcs1", "pkcs8", "cng", "cng-full", "capi", "pem", "pem-traditional", "pem-utf16")),
        *product(elliptic, ("pkcs8", "sec1", "cng", "cng-ecdh", "pem", "pem-utf16")),
        *product(edwards, ("pkcs8", "pem")),
    )
    keys = [key for _, key in sorted(enumerate(keys), key=lambda entry: entry[0] * 7919 % 1009)]  # well mixed
    secret = [
        ObjectSpec(kind="private_key", algorithm=algorithm, key=name, encoding=encoding)
        for (algorithm, name), encoding in islice(keys, count * 44 // 100)
    ]
    protected = [
        ObjectSpec(kind="encrypted_container", algorithm=algorithm, key=name, encoding=encoding)
        for (algorithm, name), encoding in product(pairs[36:44], ("pkcs8-encrypted", "pkcs12"))
    ][: count // 50]
    yield from secret
    yield from protected
    for number, (algorithm, name) in zip(range(count - len(secret) - len(protected)), cycle(pairs), strict=False):
        version = 1 if number % 5 == 4 else 3
        yield ObjectSpec(
            kind="certificate",
            algorithm=algorithm,
            key=name,
            subject=f"CN=host{number}.example.org,O=Example {number % 17}",
            version=version,
            alternative_names=(f"DNS:host{number}.example.org",) if version == 3 and number % 3 else (),
            encoding=("der", "der", "der", "pem", "der", "der", "pem-utf16")[number % 7],
        )


def build(path: Path, size: int, count: int, filler: Path | None = None, *, text: bool = False) -> list[Planted]:
    """Write the dump.

    Two fifths of the memory ranges follow directly on another one, half of those elsewhere in the file; every tenth
    object lies across such a seam, some with the seam within their first bytes.

    Args:
        path: The file to write.
        size: Bytes of memory in it.
        count: Number of objects.
        filler: Directory with real memory (or any files) to lay between them; without one it is made from a seed.
        text: Whether to make nothing but text.

    Returns:
        The truth: every object and its address.
    """
    rng = np.random.default_rng(20240101)
    ranges, seams = _ranges(rng, size)
    builder = MinidumpBuilder("x64", memory_info=False).add_thread(4242)
    for address, length in ranges:
        builder.add_memory(address, _content(rng, length, filler, text=text))
    objects = [make(spec, SEED) for spec in specifications(count)]
    across = [objects.pop(int(rng.integers(len(objects)))) for _ in range(min(count // 10, len(seams)))]
    truth = []
    for seam, planted in zip(seams, across, strict=False):
        near = rng.integers(1, 24) if rng.integers(2) else rng.integers(1, len(planted.data))
        truth.append(Planted(seam - int(near), planted))
    slots = [
        at for address, length in ranges for at in range(address + SLOT, address + length - 2 * SLOT + 1, SLOT)
    ]  # neither the first nor the last of a range: those are for the seams
    for at, planted in zip(rng.choice(slots, len(objects), replace=False).tolist(), objects, strict=True):
        truth.append(Planted(at + int(rng.integers(SLOT - len(planted.data))), planted))
    for entry in truth:
        builder.plant(entry.address, entry.planted.data)
    builder.write(path)
    return truth


def _ranges(rng: np.random.Generator, size: int) -> tuple[list[tuple[int, int]], list[int]]:
    """Lay out memory: (address, size) in the file's order, and the addresses where two ranges meet."""
    ranges: list[tuple[int, int]] = []
    seams: list[int] = []
    address, left = 0x1_0000_0000, size
    while left > 0:
        length = min(int(rng.integers(16, 512)) * PAGE, left)
        left -= length
        if ranges and rng.integers(5) < 2 and address == sum(ranges[-1]):
            seams.append(address)
            swapped = rng.integers(2)
            ranges.insert(len(ranges) - int(swapped), (address, length))
            address += length + (PAGE if swapped else 0)
        else:
            address += int(rng.integers(1, 64)) * PAGE
            ranges.append((address, length))
            address += length
    return ranges, seams


def _content(rng: np.random.Generator, length: int, filler: Path | None, *, text: bool) -> Content:
    seed = int(rng.integers(1 << 62))
    if text:
        return Text(length, seed)
    if filler is not None:
        paths = tuple(sorted(path for path in filler.rglob("*") if path.is_file() and path.stat().st_size))
        return Files(length, paths, seed)
    kind = rng.choice(4, p=(0.18, 0.25, 0.25, 0.32))
    return (Zeros(length), Mixed(length, str(seed)), Code(length, seed), Noise(length, str(seed)))[kind]
