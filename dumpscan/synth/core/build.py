"""A process core and its ground truth, built from a scenario."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dumpscan.files import whole_file
from dumpscan.synth.alignment import align
from dumpscan.synth.core.builder import HEAP_BASE, LIBRARY_BASE, PAGE, PROGRAM_BASE, CoreBuilder
from dumpscan.synth.core.scenario import ARCHITECTURES, load_core_scenario
from dumpscan.synth.placement import Placer, place
from dumpscan.synth.planting import make_planted, object_truths
from dumpscan.synth.regions import region_areas, region_ranges
from dumpscan.synth.seeded import SeededBytes
from dumpscan.synth.truth import TRUTH_FORMAT, process_truth, truth_bytes

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from dumpscan.synth.core.scenario import CoreScenario
    from dumpscan.synth.objects.planted import PlantedObject
    from dumpscan.synth.placement import Area, Placement
    from dumpscan.synth.regions import PlacedRange

_REGION_GAP = 0x10_0000


def build_core(scenario_path: Path, output_dir: Path) -> tuple[Path, Path]:
    """Build `<name>.core` and `<name>.truth.json` from a scenario and return their paths.

    The same scenario gives the same bytes. Each file is written whole or not at all and replaces an older one.

    Args:
        scenario_path: The scenario, in TOML.
        output_dir: Where the files are written. It is made if it does not exist.

    Raises:
        ScenarioError: If the scenario cannot be read, or asks for something that cannot be built.
        ExportError: If the files cannot be written.
    """
    scenario = load_core_scenario(scenario_path)
    common, process = scenario.common, scenario.process
    objects = make_planted(process.plants, common)
    with scenario.table.blamed():
        builder, areas = _assemble(scenario)
    placements = place(process.plants, objects, Placer(areas, SeededBytes("places", common.seed), avoid_seams=True))
    for placement in placements:
        with placement.spec.table.blamed():
            builder.plant(placement.address, objects[placement.object].at(placement.address))
    core_path, truth_path = output_dir / f"{common.name}.core", output_dir / f"{common.name}.truth.json"
    with scenario.table.blamed(), whole_file(truth_path) as truth_file:
        placed = builder.write(core_path)
        truth_file.write(truth_bytes(_truth(scenario, builder, objects, placements, placed)))
    return core_path, truth_path


def _assemble(scenario: CoreScenario) -> tuple[CoreBuilder, list[Area]]:
    """Return a builder with everything but the planted objects, and the areas in which these may lie."""
    process, seed = scenario.process, scenario.common.seed
    builder = CoreBuilder(process, scenario.core, ARCHITECTURES[scenario.core.architecture])
    program, library, heap = PROGRAM_BASE, LIBRARY_BASE, HEAP_BASE
    for module in process.modules:
        if module.base is not None:
            base = module.base
        elif module.path == process.executable:
            base = program
        else:
            base, library = library, library + align(module.size, PAGE) + _REGION_GAP
        builder.add_module(module, base)
    areas: list[Area] = []
    for region in process.regions:
        start = heap if region.address is None else region.address
        if region.address is None:
            heap += align(region.size, PAGE) + _REGION_GAP
        for address, content in region_ranges(region, start, f"{seed}/{process.pid}/{region.name}"):
            builder.add(address, content)
        areas.extend(region_areas(region, start))
    return builder, areas


def _truth(
    scenario: CoreScenario,
    builder: CoreBuilder,
    objects: dict[str, PlantedObject],
    placements: Sequence[Placement],
    placed: Sequence[PlacedRange],
) -> dict[str, Any]:
    """Return everything that a reader of the core must find."""
    process = scenario.process
    ranges = sorted(placed, key=lambda entry: entry.address)
    told = process_truth(process, scenario.core.architecture)
    if scenario.core.title is not None:
        told |= {"command_line": scenario.core.title, "environment": []}
    return {
        "format": TRUTH_FORMAT,
        "scenario": scenario.common.name,
        "description": scenario.common.description,
        "dump": f"{scenario.common.name}.core",
        "architecture": scenario.core.architecture,
        "process": told,
        "threads": [{"id": thread} for thread in builder.threads],
        "modules": [module.path for module in process.modules],
        "memory": {"ranges": [[entry.address, entry.size, entry.file_offset] for entry in ranges]},
        **object_truths(objects, placements, ranges),
    }
