"""A minidump and its ground truth from a scenario: `build_minidump`.

Beside the tables that all scenarios have (`dumpscan.synth.scenario`), a minidump's has `[dump]`, which says how it is
written, and one `[process]`.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from dumpscan.exceptions import ScenarioError
from dumpscan.files import whole_file
from dumpscan.synth.filler import filler
from dumpscan.synth.minidump.builder import MinidumpBuilder
from dumpscan.synth.minidump.scenario import load_minidump_scenario
from dumpscan.synth.objects.catalogue import make
from dumpscan.synth.placement import Area, Placement, Placer, place
from dumpscan.synth.seeded import SeededBytes
from dumpscan.synth.truth import object_truths, pairs, process_truth, timestamp, truth_bytes

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from dumpscan.synth.minidump.ranges import PlacedRange
    from dumpscan.synth.minidump.scenario import MinidumpScenario
    from dumpscan.synth.objects.planted import PlantedObject
    from dumpscan.synth.scenario import ModuleSpec, RegionSpec

_GRANULARITY = 0x10000
"""Windows hands out addresses in steps of 64 KiB."""
_REGION_GAP = 0x100000


def build_minidump(scenario_path: Path, output_dir: Path) -> tuple[Path, Path]:
    """Build `<name>.dmp` and `<name>.truth.json` from a scenario; return their paths.

    The same scenario gives the same bytes. Each file is written whole or not at all, over an older one.

    Args:
        scenario_path: The scenario, TOML.
        output_dir: Made if it is not there.

    Raises:
        ScenarioError: If the scenario cannot be read, or says something that cannot be built.
        ExportError: If the files cannot be written.
    """
    scenario = load_minidump_scenario(scenario_path)
    common, dump, process = scenario.common, scenario.dump, scenario.process
    objects = _make_objects(scenario)
    with scenario.table.blamed():
        builder, areas = _assemble(scenario)
    placer = Placer(areas, SeededBytes("places", common.seed), avoid_seams=True)
    placements = place(process.plants, objects, placer)
    held = sorted((entry.address, entry.end) for entry in builder.ranges)
    for placement in placements:
        with placement.spec.table.blamed():
            data = objects[placement.object].at(placement.address)
        for low, high in _held(held, placement.address, len(data)):
            builder.plant(placement.address + low, data[low:high])

    dump_path = output_dir / f"{common.name}.dmp"
    truth_path = output_dir / f"{common.name}.truth.json"
    with scenario.table.blamed(), whole_file(truth_path) as truth_file:
        placed = builder.write(dump_path, memory_list=dump.memory_list, scatter=dump.scatter)
        truth_file.write(truth_bytes(_truth(scenario, objects, placements, placed)))
    return dump_path, truth_path


def _make_objects(scenario: MinidumpScenario) -> dict[str, PlantedObject]:
    """Make the objects that are planted, by name."""
    objects = {}
    for plant in scenario.process.plants:
        if plant.object not in objects:
            with plant.table.blamed("object"):
                objects[plant.object] = make(scenario.common.objects[plant.object], scenario.common.seed)
    return objects


def _assemble(scenario: MinidumpScenario) -> tuple[MinidumpBuilder, list[Area]]:
    """Return a builder that has everything but the planted objects, and the areas where those may go."""
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
    areas = [
        area
        for region, start in _region_starts(process.regions, builder)
        for area in _add_region(builder, region, start, f"{seed}/{process.pid}/{region.name}")
    ]
    for handle in dump.handles:
        builder.add_handle(*handle)
    for unloaded in dump.unloaded:
        builder.add_unloaded_module(*unloaded)
    if dump.comment is not None:
        builder.add_comment(dump.comment)
    if dump.exception is not None:
        builder.set_exception(dump.exception.thread_id, dump.exception.code, dump.exception.address)
    _refuse_overlaps(builder)
    starts = {area.start for area in areas}
    return builder, [
        replace(area, seams=(*area.seams, area.end) if area.end in starts else area.seams) for area in areas
    ]


def _module_bases(modules: Sequence[ModuleSpec], builder: MinidumpBuilder) -> Iterator[tuple[ModuleSpec, int]]:
    """Yield the modules with their base addresses: the first executable has its own, libraries follow one another."""
    library = builder.plan.library
    executable: int | None = builder.plan.executable
    for module in modules:
        if module.base is not None:
            yield module, module.base
        elif module.path.lower().endswith(".exe") and executable is not None:
            yield module, executable
            executable = None
        else:
            yield module, library
            steps = -(-module.size // builder.plan.library_step)
            library += steps * builder.plan.library_step


def _region_starts(regions: Sequence[RegionSpec], builder: MinidumpBuilder) -> Iterator[tuple[RegionSpec, int]]:
    """Yield the regions with their addresses: those without one follow one another in the heap, with gaps."""
    heap = builder.plan.heap
    for region in regions:
        if region.address is not None:
            yield region, region.address
        else:
            yield region, heap
            heap += -(-region.size // _GRANULARITY) * _GRANULARITY + _REGION_GAP


def _add_region(builder: MinidumpBuilder, region: RegionSpec, start: int, seed: str) -> list[Area]:
    """Add a region as one memory range or, where it is split or has holes, as several."""
    holes = [(low, low + size) for low, size in region.holes]
    edges = {0, region.size, *(edge for hole in holes for edge in hole)}
    for index, (low, high) in enumerate(pairwise(sorted({*edges, *region.splits}))):
        if not any(first <= low < past for first, past in holes):
            content = filler(region.filler, high - low, f"{seed}/{index}")
            builder.add_memory(start + low, content, protect=region.protect)
    return [
        Area(
            region.name,
            start + low,
            high - low,
            tuple(start + split for split in region.splits if low < split < high),
            hole=(low, high) in holes,
        )
        for low, high in pairwise(sorted(edges))
    ]


def _held(ranges: Sequence[tuple[int, int]], address: int, size: int) -> Iterator[tuple[int, int]]:
    """Yield the parts of `size` bytes at an address that some ranges hold, as offsets from there.

    Args:
        ranges: (first address, past the last), ascending.
        address: Of the first byte.
        size: Bytes.
    """
    for start, end in ranges:
        low, high = max(start - address, 0), min(end - address, size)
        if low < high:
            yield low, high


def _holes(ranges: Sequence[tuple[int, int]], address: int, size: int) -> list[tuple[int, int]]:
    """Return the parts that no range holds (arguments as of `_held`)."""
    edges = [0, *(edge for part in _held(ranges, address, size) for edge in part), size]
    return [(low, high) for low, high in zip(edges[::2], edges[1::2], strict=True) if low < high]


def _refuse_overlaps(builder: MinidumpBuilder) -> None:
    ranges = sorted(builder.ranges, key=lambda entry: entry.address)
    for low, high in pairwise(ranges):
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
    """Return all that a reader of the dump must find."""
    dump, process = scenario.dump, scenario.process
    ranges = sorted(placed, key=lambda place: place.address)
    spans = [(place.address, place.address + place.size) for place in ranges]
    locations = [
        (
            placement.object,
            {
                "virtual_address": placement.address,
                "length": planted.length,
                "extents": _extents(ranges, placement.address, planted.length),
                "across_seam": placement.spec.across_seam,
                **planted.truth_at(placement.address, _holes(spans, placement.address, planted.size)),
            },
        )
        for placement in sorted(placements, key=lambda placement: placement.address)
        for planted in (objects[placement.object],)
    ]
    return {
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
            "ranges": [[place.address, place.size, place.file_offset] for place in ranges],
        },
        **object_truths(objects, locations),
        "pairs": pairs(objects.values()),
    }


def _extents(ranges: Sequence[PlacedRange], address: int, size: int) -> list[list[int]]:
    """Return where bytes lie in the file, as [offset, length] pairs; neighbours in the file are one."""
    extents: list[list[int]] = []
    for held in ranges:
        low, high = max(address, held.address), min(address + size, held.address + held.size)
        if low < high:
            offset = held.file_offset + low - held.address
            if extents and sum(extents[-1]) == offset:
                extents[-1][1] += high - low
            else:
                extents.append([offset, high - low])
    return extents
