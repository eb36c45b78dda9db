"""Kernel images of the lab scenario for tests, whole or with some bytes changed, and what is true of them."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from dumpscan.memory.kernel.image import KernelImage
from dumpscan.memory.physical.containers import open_image
from dumpscan.memory.physical.page_tables import translate
from dumpscan.synth.kernel.build import build_kernel
from dumpscan.synth.windows.symbols import KernelSymbols
from support.kernel_scenarios import scenario_text, write_scenario

if TYPE_CHECKING:
    from pathlib import Path

    from dumpscan.findings import Finding
    from dumpscan.memory.physical.image import PhysicalImage

KERNEL_PID = 4


@dataclass(frozen=True)
class Lab:
    """An image, its symbol table and its truth.

    Attributes:
        image: The image's file.
        symbols: Directory of symbol tables.
        table: File of the symbol table.
        truth: As the builder wrote it.
        cache: Directory for what dumpscan remembers.
    """

    image: Path
    symbols: Path
    table: Path
    truth: dict[str, Any]
    cache: Path

    def open(self, **options: Any) -> KernelImage:  # noqa: ANN401 - whatever KernelImage takes
        """Open the image with its symbols."""
        return KernelImage(self.image, **{"symbols": [self.symbols], "cache_dir": self.cache, **options})

    def physical(self) -> PhysicalImage:
        """Open physical memory alone."""
        return open_image(self.image, [])

    @cached_property
    def offsets(self) -> KernelSymbols:
        """Offsets of the kernel's structures."""
        import lzma  # noqa: PLC0415 - few tests need it

        return KernelSymbols(json.loads(lzma.decompress(self.table.read_bytes())))

    def listed(self) -> list[dict[str, Any]]:
        """Return the truth's processes that are in the system's list."""
        return [process for process in self.truth["processes"] if process["linked"]]

    def process(self, pid: int) -> dict[str, Any]:
        """Return the truth of a process."""
        return next(process for process in self.truth["processes"] if process["pid"] == pid)

    def locate(self, address: int, dtb: int | None = None) -> int:
        """Translate a virtual address to a physical one, that is, an offset in a raw image."""
        with self.physical() as image:
            found = translate(image, (self.truth["dtb"] if dtb is None else dtb) >> 12, address)
        assert found is not None
        return found

    def field(self, pid: int, path: str) -> int:
        """Return the physical address of a field of a process's EPROCESS."""
        return self.locate(self.process(pid)["eprocess"] + self.offsets.offset("_EPROCESS", path))

    def changed(self, directory: Path, changes: dict[int, bytes], size: int | None = None) -> Lab:
        """Copy the image with other bytes at some offsets, or cut short."""
        data = bytearray(self.image.read_bytes())
        for at, new in changes.items():
            data[at : at + len(new)] = new
        path = directory / "changed.raw"
        path.write_bytes(data[:size])
        return replace(self, image=path)


def build_lab(directory: Path, *, container: str = "raw", symbols: Path | None = None, **windows: object) -> Lab:
    """Build the lab scenario, with keys of its `[windows]` table replaced."""
    scenario = write_scenario(directory, scenario_text(**windows) if windows else None)
    paths = build_kernel(scenario, directory, container=container, symbols=symbols)
    truth: dict[str, Any] = json.loads(paths.truth.read_text())
    return Lab(paths.image, paths.symbols_directory, paths.symbols, truth, directory / "cache")


Place = tuple[int | None, int | None, int, str, int]


def planted(truth: dict[str, Any], *, least_head: int = 100) -> set[Place]:
    """Return where every object lies that can be found: pid, virtual and physical address, SHA-256, bytes missing.

    The SHA-256 is that of the whole object, also where some of it is missing. Heads of less than `least_head` bytes are
    left out: they say too little.
    """
    wanted: set[Place] = set()
    for item in truth["objects"]:
        if item["missing"] and item["length"] - item["missing"] < least_head:
            continue
        physical = item["physical_extents"][0]["physical_address"]
        for place in item["places"] or [{"pid": None, "virtual_address": None}]:
            pid = place["pid"] or (KERNEL_PID if item["placement"] == "kernel" else None)
            wanted.add((pid, place["virtual_address"], physical, item["sha256"], item["missing"]))
    return wanted


def found(findings: list[Finding]) -> set[Place]:
    """Return where findings lie, in the same form."""
    places: set[Place] = set()
    for finding in findings:
        assert len(finding.locations) == finding.location_count
        for location in finding.locations:
            pid = location.process.pid if location.process else None
            digest = finding.sha256 if location.missing else location.sha256
            assert location.physical_address is not None
            place = (pid, location.virtual_address, location.physical_address, digest, location.missing)
            assert place not in places, "the same place twice"
            places.add(place)
    return places
