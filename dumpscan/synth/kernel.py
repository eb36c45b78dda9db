"""Builds synthetic physical memory images of Windows: a scenario in; image, symbol table and ground truth out."""

from __future__ import annotations

import json
import lzma
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

from dumpscan.exceptions import ExportError, ScenarioError
from dumpscan.model.windows import c_paging as paging
from dumpscan.model.windows.c_paging import PAGE_SHIFT, PAGE_SIZE
from dumpscan.model.windows.isf import build_isf, isf_path
from dumpscan.model.windows.symbols import KernelSymbols
from dumpscan.synth.files import whole_file
from dumpscan.synth.kernel_filler import fill
from dumpscan.synth.kernel_memory import PhysicalMemory
from dumpscan.synth.kernel_plant import Planter
from dumpscan.synth.kernel_process import BuiltProcess, ProcessBuilder
from dumpscan.synth.kernel_scenario import MAXIMUM_SIZE, MINIMUM_SIZE, KernelScenario, load_kernel_scenario
from dumpscan.synth.kernel_space import KernelSpace
from dumpscan.synth.kernel_system import System
from dumpscan.synth.seeded import SeededBytes

if TYPE_CHECKING:
    from pathlib import Path

_ROOT_FIRST = 0x1AA
"""First of the frames that the system's top page table can lie in: where volatility3 looks first (field guide, 8)."""
_ROOT_CHOICES = 5
_LOW_MEMORY = (0x1000, 0x9_F000)
"""(first byte, bytes) of the RAM below 1 MiB. Frame 0 stays zero: what lies there must look like no other format."""
_HIGH_MEMORY = 0x10_0000
_TRUTH_FORMAT = 1


class KernelPaths(NamedTuple):
    """Files of a built image: the image, its symbol table, the directory that volatility3 wants of that, the truth."""

    image: Path
    symbols: Path
    symbols_directory: Path
    truth: Path


def build_kernel(
    scenario_path: Path,
    output_dir: Path,
    *,
    symbols: Path | None = None,
    container: str = "raw",
    size: int | None = None,
) -> KernelPaths:
    """Build the image that a scenario describes: `NAME.raw`, `symbols/windows/...` and `NAME.truth.json`.

    Args:
        scenario_path: The scenario (TOML).
        output_dir: Where the files go; made if need be.
        symbols: A symbol table to build from (`.json`, `.json.xz`) instead of the model's own.
        container: Format of the image: `raw`, `crash`, `lime`, `elf`.
        size: Bytes of physical memory, instead of the scenario's.

    Raises:
        ScenarioError: If the scenario says something that cannot be built.
        InputError: If `symbols` is no symbol table.
        ExportError: If a file cannot be written; what was half-written is gone then.
    """
    scenario = load_kernel_scenario(scenario_path)
    if size is not None:
        if not MINIMUM_SIZE <= size <= MAXIMUM_SIZE or size % PAGE_SIZE:
            raise ScenarioError(
                f"size {size}: expected whole pages, {MINIMUM_SIZE >> 20} MiB to {MAXIMUM_SIZE >> 30} GiB"
            )
        scenario = replace(scenario, size=size)
    isf = build_isf(scenario.profile)
    table = output_dir / "symbols" / isf_path(isf)
    image = output_dir / f"{scenario.common.name}.raw"
    truth_path = output_dir / f"{scenario.common.name}.truth.json"
    with whole_file(image) as file:
        memory = PhysicalMemory(file, _runs(scenario), scenario.common.seed, **_reservations(scenario))
        try:
            truth = _Builder(scenario, memory, KernelSymbols(isf)).build()
        finally:
            memory.close()
    with whole_file(table) as file:
        file.write(lzma.compress(json.dumps(isf, sort_keys=True).encode()))
    with whole_file(truth_path) as file:
        file.write(json.dumps({"image": image.name, "container": container, **truth}, indent=1).encode() + b"\n")
    return KernelPaths(image, table, output_dir / "symbols", truth_path)


def _runs(scenario: KernelScenario) -> list[tuple[int, int]]:
    runs = [_LOW_MEMORY]
    at = _HIGH_MEMORY
    for start, length in sorted(scenario.holes):
        if start > at:
            runs.append((at, start - at))
        at = max(at, start + length)
    if at < scenario.size:
        runs.append((at, scenario.size - at))
    return runs


def _root_frame(scenario: KernelScenario) -> int:
    return _ROOT_FIRST + SeededBytes("root", scenario.common.seed).below(_ROOT_CHOICES)


def _reservations(scenario: KernelScenario) -> dict[str, Any]:
    """Count what must be set aside before frames are handed out."""
    counts = {paging.LARGE_PAGE_SIZE: 0, paging.HUGE_PAGE_SIZE: 0}
    for process in scenario.processes:
        for region in process.spec.regions:
            page_size = process.paging[region.name].page_size if region.name in process.paging else PAGE_SIZE
            if page_size in counts:
                counts[page_size] += region.size // page_size
    return {
        "keep": [_root_frame(scenario)],
        "large": counts[paging.LARGE_PAGE_SIZE],
        "huge": counts[paging.HUGE_PAGE_SIZE],
    }


class _Builder:
    """Fills an image's memory and tells the truth about it."""

    def __init__(self, scenario: KernelScenario, memory: PhysicalMemory, symbols: KernelSymbols) -> None:
        self._scenario = scenario
        self._memory = memory
        self._symbols = symbols

    def build(self) -> dict[str, Any]:
        scenario, memory = self._scenario, self._memory
        seed = scenario.common.seed
        fill(memory, scenario.filler, scenario.density, seed)
        root = _root_frame(scenario)
        memory.clear(root)
        kernel = KernelSpace(memory, self._symbols, scenario.profile, root=root, seed=seed, base=scenario.base)
        system = System(kernel, memory, scenario.facts, seed)
        shared = {name: memory.take(size >> PAGE_SHIFT) for name, size in scenario.shared.items()}
        builder = ProcessBuilder(system, shared, seed, scenario.filler)
        planter = Planter(scenario, kernel)
        built = []
        for process in scenario.processes:
            built.append(builder.build(process))
            if process.user_space:
                planter.plant_in(built[-1])
            builder.finish(built[-1])
        system.link_processes([entry.address for entry in built if entry.process.linked])
        kernel.write_symbol("PsInitialSystemProcess", built[0].address.to_bytes(8, "little"))
        for plant in scenario.kernel:
            planter.plant_kernel(plant)
        for plant in scenario.unmapped:
            planter.plant_unmapped(plant)
        planter.resolve_shared(built)
        facts = scenario.facts
        return {
            "format": _TRUTH_FORMAT,
            "name": scenario.common.name,
            "version": scenario.profile.name,
            "build": scenario.profile.build,
            "system_time": facts.time.isoformat(),
            "processors": facts.processors,
            "product": facts.product,
            "kernel_base": kernel.base,
            "dtb": root << PAGE_SHIFT,
            "self_map_index": kernel.space.self_map,
            "pdb": {"name": self._symbols.pdb_name, "guid": self._symbols.pdb_guid, "age": self._symbols.pdb_age},
            "physical_size": memory.size,
            "runs": [list(run) for run in memory.runs],
            "processes": [_process_truth(entry, scenario) for entry in built],
            "objects": [placed.truth() for placed in planter.placed],
        }


def _process_truth(built: BuiltProcess, scenario: KernelScenario) -> dict[str, Any]:
    process, spec = built.process, built.process.spec
    return {
        "pid": spec.pid,
        "parent_pid": spec.parent_pid or 0,
        "name": spec.name,
        "session": spec.session if process.user_space else None,
        "wow64": spec.wow64,
        "threads": process.thread_count,
        "created": spec.created.isoformat(),
        "exited": None if process.exited is None else process.exited.isoformat(),
        "linked": process.linked,
        "executable": spec.executable if process.user_space else None,
        "command_line": spec.command_line if process.user_space else None,
        "environment": list(spec.environment) if process.user_space else None,
        "absent": [f"{block}:{page}" for block, page in process.absent],
        "eprocess": built.address,
        "directory_table_base": built.dtb,
        "dtb": built.dtb & paging.CR3_FRAME_MASK,
        "ranges": [
            {
                "start": entry.start,
                "end": entry.end - 1,
                "protect": entry.protect,
                "tag": entry.tag.decode(),
                "private": entry.private,
                "file": entry.file,
            }
            for entry in built.layout.sorted_ranges(built.ranges)
        ],
        "regions": [
            {
                "name": region.name,
                "start": region.range.start,
                "size": region.range.size,
                "page_size": region.page_size,
                "shared": region.shared,
            }
            for region in built.regions.values()
        ],
    }
