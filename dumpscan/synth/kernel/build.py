"""A physical memory image of Windows with its symbol table and ground truth, built from a scenario."""

from __future__ import annotations

import errno
import shutil
import tempfile
from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

from dumpscan.exceptions import ScenarioError
from dumpscan.files import whole_file
from dumpscan.model.windows import c_paging as paging
from dumpscan.model.windows.c_paging import PAGE_SHIFT, PAGE_SIZE
from dumpscan.synth.kernel.plant import Planter
from dumpscan.synth.kernel.process import ProcessBuilder
from dumpscan.synth.kernel.scenario import (
    MAX_SIZE,
    MIN_SIZE,
    SYSTEM_PID,
    KernelScenario,
    load_kernel_scenario,
)
from dumpscan.synth.kernel.space import KernelSpace
from dumpscan.synth.kernel.system import PRODUCTS, System, filetime
from dumpscan.synth.physical.containers import CONTAINERS, DumpFacts
from dumpscan.synth.physical.filler import fill
from dumpscan.synth.physical.memory import PhysicalMemory
from dumpscan.synth.seeded import SeededBytes
from dumpscan.synth.truth import TRUTH_FORMAT, truth_bytes
from dumpscan.synth.windows.symbols import MissingSymbolError
from dumpscan.synth.windows.tables import SymbolTable, load_table, own_table, save_table

if TYPE_CHECKING:
    from pathlib import Path

    from dumpscan.synth.kernel.built import BuiltProcess

_ROOT_FIRST = 0x1AA
"""First of the frames for the system's top page table. volatility3 looks there first (docs/memory-layouts.md,
"Windows kernel images")."""
_ROOT_CHOICES = 5
_LOW_MEMORY = (0x1000, 0x9_F000)
"""(first byte, bytes) of the RAM below 1 MiB. Frame 0 stays zero, so that the image looks like no other file format."""
_HIGH_MEMORY = 0x10_0000


class KernelPaths(NamedTuple):
    """The files of a built image. `symbols_directory` is the one to name to volatility3."""

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
    """Build `NAME.raw`, `symbols/windows/...` and `NAME.truth.json` from a scenario and return their paths.

    The same scenario, size and symbol table give the same bytes.

    Args:
        scenario_path: The scenario, in TOML.
        output_dir: Where the files are written. It is made if it does not exist.
        symbols: A symbol table (`.json`, `.json.xz`) to use instead of one made from the layouts.
        container: Format of the image: `raw`, `crash` (a full dump), `crash-bitmap`, `lime`, `elf`.
        size: Bytes of physical memory, instead of those in the scenario.

    Raises:
        ScenarioError: If the scenario cannot be read, or asks for something that cannot be built.
        InputError: If `symbols` is no symbol table.
        ExportError: If a file cannot be written; what was half-written is gone then.
    """
    scenario = load_kernel_scenario(scenario_path)
    if size is not None:
        if not MIN_SIZE <= size <= MAX_SIZE or size % PAGE_SIZE:
            raise ScenarioError(f"size {size}: expected whole pages, {MIN_SIZE >> 20} MiB to {MAX_SIZE >> 30} GiB")
        scenario = replace(scenario, size=size)
    if container not in CONTAINERS:
        raise ScenarioError(f"unknown container {container!r}; expected one of {', '.join(CONTAINERS)}")
    table = own_table(scenario.profile) if symbols is None else load_table(symbols, scenario.profile)
    image = output_dir / (scenario.common.name + CONTAINERS[container].suffix)
    truth_path = output_dir / f"{scenario.common.name}.truth.json"
    with scenario.windows.blamed():
        truth = _write_image(scenario, table, image, container)
    table_path = save_table(table, output_dir / "symbols")
    with whole_file(truth_path) as file:
        file.write(truth_bytes(truth))
    return KernelPaths(image, table_path, output_dir / "symbols", truth_path)


def _write_image(scenario: KernelScenario, table: SymbolTable, image: Path, container: str) -> dict[str, Any]:
    """Build the memory and write the image. The memory of a raw image is its file, otherwise a temporary file."""
    write = CONTAINERS[container].write
    with ExitStack() as stack:
        file = stack.enter_context(whole_file(image))
        try:
            _check_room(image.parent, scenario)
            backing = file if write is None else stack.enter_context(tempfile.TemporaryFile(dir=image.parent))
            memory = PhysicalMemory(backing, _runs(scenario), scenario.common.seed, **_reservations(scenario))
            stack.callback(memory.close)
            builder = _Builder(scenario, memory, table)
            truth = builder.build()
            if write is not None:
                write(memory, builder.dump_facts(), file)
        except MissingSymbolError as error:
            raise ScenarioError(f"{table.symbols.pdb_guid}-{table.symbols.pdb_age}: {error}") from error
    return {"image": image.name, "container": container, **truth}


def _check_room(directory: Path, scenario: KernelScenario) -> None:
    """Raise OSError if the disk is too full. A full disk behind a memory mapping would end the process."""
    wanted = scenario.size * (scenario.density + 15) // 100
    room = shutil.disk_usage(directory).free
    if room < wanted:
        raise OSError(errno.ENOSPC, f"about {wanted >> 20} MiB are wanted, {room >> 20} MiB are free")


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
    """Return the frames and large pages to set aside before others are given out."""
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
    """Fills the memory of an image and returns the truth about it."""

    def __init__(self, scenario: KernelScenario, memory: PhysicalMemory, table: SymbolTable) -> None:
        self._scenario = scenario
        self._memory = memory
        self._table = table
        seed = scenario.common.seed
        fill(memory, scenario.filler, scenario.density, seed)
        self._root = _root_frame(scenario)
        memory.clear(self._root)
        self._kernel = KernelSpace(memory, table.symbols, table.profile, root=self._root, seed=seed, base=scenario.base)
        self._system = System(self._kernel, memory, scenario.facts, seed)

    def build(self) -> dict[str, Any]:
        scenario, memory, kernel = self._scenario, self._memory, self._kernel
        seed = scenario.common.seed
        shared = {name: memory.take(size >> PAGE_SHIFT) for name, size in scenario.shared.items()}
        builder = ProcessBuilder(self._system, shared, seed, scenario.filler)
        planter = Planter(scenario, kernel)
        built = []
        for process in scenario.processes:
            with process.table.blamed():
                entry = builder.build(process)
                if process.user_space:
                    planter.plant_in(entry)
                builder.finish(entry)
            built.append(entry)
        self._system.link_processes([entry.address for entry in built if entry.process.linked])
        system = next(entry for entry in built if entry.process.spec.pid == SYSTEM_PID)
        kernel.write_symbol("PsInitialSystemProcess", system.address.to_bytes(8, "little"))
        for plant in scenario.kernel:
            planter.plant_kernel(plant)
        for plant in scenario.unmapped:
            planter.plant_unmapped(plant)
        planter.resolve_shared(built)
        return self._truth(built, planter)

    def dump_facts(self) -> DumpFacts:
        """Return the facts for the header of a crash dump."""
        kernel, facts = self._kernel, self._scenario.facts
        return DumpFacts(
            build=kernel.profile.build,
            dtb=self._root << PAGE_SHIFT,
            modules=kernel.symbol("PsLoadedModuleList"),
            processes=kernel.symbol("PsActiveProcessHead"),
            debugger_data=kernel.symbol("KdDebuggerDataBlock"),
            processors=facts.processors,
            product=PRODUCTS[facts.product],
            time=filetime(facts.time),
            uptime=filetime(facts.time) - filetime(facts.boot),
        )

    def _truth(self, built: list[BuiltProcess], planter: Planter) -> dict[str, Any]:
        facts, symbols = self._scenario.facts, self._table.symbols
        return {
            "format": TRUTH_FORMAT,
            "name": self._scenario.common.name,
            "version": self._table.profile.name,
            "build": self._table.profile.build,
            "build_lab": self._table.profile.build_lab,
            "system_time": facts.time.isoformat(),
            "boot_time": facts.boot.isoformat(),
            "processors": facts.processors,
            "product": facts.product,
            "kernel_base": self._kernel.base,
            "dtb": self._root << PAGE_SHIFT,
            "self_map_index": self._kernel.space.self_map,
            "pdb": {"name": symbols.pdb_name, "guid": symbols.pdb_guid, "age": symbols.pdb_age},
            "physical_size": self._memory.size,
            "runs": [list(run) for run in self._memory.runs],
            "processes": [_process_truth(entry) for entry in built],
            "objects": [placed.truth() for placed in planter.placed],
        }


def _process_truth(built: BuiltProcess) -> dict[str, Any]:
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
