"""A minidump and its ground truth, built from a scenario."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from dumpscan.exceptions import ScenarioError
from dumpscan.files import whole_file
from dumpscan.synth.alignment import align
from dumpscan.synth.filler import filler
from dumpscan.synth.minidump.builder import MinidumpBuilder
from dumpscan.synth.minidump.scenario import load_minidump_scenario
from dumpscan.synth.placement import Area, Placement, Placer, place
from dumpscan.synth.planting import make_planted, object_truths
from dumpscan.synth.regions import held_parts, region_areas, region_ranges
from dumpscan.synth.seeded import SeededBytes
from dumpscan.synth.truth import TRUTH_FORMAT, process_truth, timestamp, truth_bytes

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from dumpscan.synth.minidump.scenario import MinidumpScenario
    from dumpscan.synth.objects.planted import PlantedObject
    from dumpscan.synth.regions import PlacedRange
    from dumpscan.synth.scenario import ModuleSpec, RegionSpec

_GRANULARITY = 0x10000
"""Windows gives out addresses in steps of 64 KiB."""
_REGION_GAP = 0x100000


def build_minidump(scenario_path: Path, output_dir: Path) -> tuple[Path, Path]:
    """Build `<name>.dmp` and `<name>.truth.json` from a scenario and return their paths.

    The same scenario gives the same bytes. Each file is written whole or not at all and replaces an older one.

    Args:
        scenario_path: The scenario, in TOML.
        output_dir: Where the files are written. It is made if it does not exist.

    Raises:
        ScenarioError: If the scenario cannot be read, or asks for something that cannot be built.
        ExportError: If the files cannot be written.
    """
    scenario = load_minidump_scenario(scenario_path)
    common, dump, process = scenario.common, scenario.dump, scenario.process
    objects = make_planted(process.plants, common)
    with scenario.table.blamed():
        builder, areas = _assemble(scenario)
    placer = Placer(areas, SeededBytes("places", common.seed), avoid_seams=True)
    placements = place(process.plants, objects, placer)
    held = sorted((entry.address, entry.end) for entry in builder.ranges)
    for placement in placements:
        with placement.spec.table.blamed():
            data = objects[placement.object].at(placement.address)
        for low, high in held_parts(held, placement.address, len(data)):
            builder.plant(placement.address + low, data[low:high])

    dump_path = output_dir / f"{common.name}.dmp"
    truth_path = output_dir / f"{common.name}.truth.json"
    with scenario.table.blamed(), whole_file(truth_path) as truth_file:
        placed = builder.write(dump_path, memory_list=dump.memory_list, scatter=dump.scatter)
        truth_file.write(truth_bytes(_truth(scenario, objects, placements, placed)))
    return dump_path, truth_path


def _assemble(scenario: MinidumpScenario) -> tuple[MinidumpBuilder, list[Area]]:
    """Return a builder with everything but the planted objects, and the areas in which these may lie."""
    dump, process, seed = scenario.dump, scenario.process, scenario.common.seed
    builder = MinidumpBuilder(
        dump.architecture,
        pid=process.pid,
        timestamp=int(dump.written.timestamp()),
        created=int(process.created.timestamp()),
        version=dump.version,
        server=dump.server,
        misc_level=dump.misc_level,
        build_string=dump.build_string,
        wow64=process.wow64,
        memory_info=dump.memory_info,
    )
    for module, base in _module_bases(process.modules, builder):
        pdb = None if module.pdb is None else (module.pdb, SeededBytes("pdb", seed, module.path).take(16), 1)
        builder.add_module(module.path, base, module.size, version=module.version, pdb=pdb)
    for thread in process.threads:
        stack = filler("mixed", thread.stack, f"{seed}/stack/{thread.thread_id}")
        builder.add_thread(thread.thread_id, name=thread.name, stack=stack)
    builder.add_process(
        image_path=process.executable,
        command_line=process.command_line,
        environment=process.environment,
        current_directory=process.current_directory,
        session=process.session,
        split_environment=dump.split_environment,
    )
    areas: list[Area] = []
    for region, start in _region_starts(process.regions, builder):
        for address, content in region_ranges(region, start, f"{seed}/{process.pid}/{region.name}"):
            builder.add_memory(address, content, protect=region.protect)
        areas.extend(region_areas(region, start))
    for handle in dump.handles:
        builder.add_handle(handle.handle, handle.type_name, handle.object_name)
    for unloaded in dump.unloaded:
        builder.add_unloaded_module(*unloaded)
    if dump.comment is not None:
        builder.add_comment(dump.comment)
    if dump.exception is not None:
        builder.set_exception(dump.exception.thread_id, dump.exception.code, dump.exception.address)
    _refuse_overlaps(builder)
    starts = {area.start for area in areas}
    return builder, [replace(area, seams=(*area.seams, area.end)) if area.end in starts else area for area in areas]


def _module_bases(modules: Sequence[ModuleSpec], builder: MinidumpBuilder) -> Iterator[tuple[ModuleSpec, int]]:
    """Yield the modules with their bases. Those without one follow one another, except the first executable."""
    library, step = builder.plan.library, builder.plan.library_step
    executable: int | None = builder.plan.executable
    for module in modules:
        if module.base is not None:
            yield module, module.base
        elif module.path.lower().endswith(".exe") and executable is not None:
            yield module, executable
            executable = None
        else:
            yield module, library
            library += align(module.size, step)


def _region_starts(regions: Sequence[RegionSpec], builder: MinidumpBuilder) -> Iterator[tuple[RegionSpec, int]]:
    """Yield the regions with their addresses. Those without one follow one another in the heap, with gaps."""
    heap = builder.plan.heap
    for region in regions:
        if region.address is not None:
            yield region, region.address
        else:
            yield region, heap
            heap += align(region.size, _GRANULARITY) + _REGION_GAP


def _refuse_overlaps(builder: MinidumpBuilder) -> None:
    for low, high in pairwise(sorted(builder.ranges, key=lambda entry: entry.address)):
        if low.end > high.address:
            raise ScenarioError(
                f"memory at {low.address:#x} ({low.content.size} bytes) and at {high.address:#x} overlap; "
                "give the region another address"
            )


def _truth(
    scenario: MinidumpScenario,
    objects: dict[str, PlantedObject],
    placements: Sequence[Placement],
    placed: Sequence[PlacedRange],
) -> dict[str, Any]:
    """Return everything that a reader of the dump must find."""
    dump, process = scenario.dump, scenario.process
    ranges = sorted(placed, key=lambda entry: entry.address)
    return {
        "format": TRUTH_FORMAT,
        "scenario": scenario.common.name,
        "description": scenario.common.description,
        "dump": f"{scenario.common.name}.dmp",
        "architecture": dump.architecture,
        "written": timestamp(dump.written),
        "process": process_truth(process, "x86" if process.wow64 else dump.architecture),
        "threads": [{"id": thread.thread_id, "name": thread.name} for thread in process.threads],
        "modules": [module.path for module in process.modules],
        "memory": {
            "list": dump.memory_list,
            "ranges": [[entry.address, entry.size, entry.file_offset] for entry in ranges],
        },
        **object_truths(objects, placements, ranges),
    }
