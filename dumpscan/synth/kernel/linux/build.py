"""A physical memory image of Linux with its ground truth, built from a scenario."""

from __future__ import annotations

import tempfile
from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

from dumpscan.exceptions import ScenarioError
from dumpscan.files import whole_file
from dumpscan.model.windows.c_paging import PAGE_SHIFT, PAGE_SIZE
from dumpscan.synth.kernel.linux.files import FileSystems
from dumpscan.synth.kernel.linux.image import KernelImage
from dumpscan.synth.kernel.linux.pages import PageStructs
from dumpscan.synth.kernel.linux.scenario import MAX_SIZE, MIN_SIZE, load_linux_scenario
from dumpscan.synth.kernel.linux.space import KernelSpace
from dumpscan.synth.kernel.linux.tasks import TaskBuilder, write_user
from dumpscan.synth.objects.catalogue import make
from dumpscan.synth.physical.containers import CONTAINERS, NO_FACTS
from dumpscan.synth.physical.filler import fill
from dumpscan.synth.physical.memory import PhysicalMemory
from dumpscan.synth.placement import Area, Placer, place
from dumpscan.synth.planting import make_planted, object_truths
from dumpscan.synth.regions import PlacedRange
from dumpscan.synth.seeded import SeededBytes
from dumpscan.synth.toml_table import load_scenario
from dumpscan.synth.truth import TRUTH_FORMAT, timestamp, truth_bytes

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from dumpscan.synth.kernel.linux.files import CachedFile
    from dumpscan.synth.kernel.linux.scenario import FileSpec, LinuxScenario, UnmappedSpec
    from dumpscan.synth.kernel.linux.tasks import BuiltTask, UserSpace

_LOW_MEMORY = (0x1000, 0x9_E000)
"""(first byte, bytes) of the RAM below 1 MiB. Frame 0 stays zero, so that the image looks like no other file format."""
_HIGH_MEMORY = 0x10_0000
_LARGE_PAGES = 2
"""For the kernel's image, and for `struct page`."""


class LinuxPaths(NamedTuple):
    """The files of a built image."""

    image: Path
    truth: Path


def is_linux(scenario_path: Path) -> bool:
    """Return whether a scenario is that of a Linux image: it has a table `[linux]`.

    Raises:
        ScenarioError: If the file cannot be read, or is not TOML.
    """
    return "linux" in load_scenario(scenario_path)


def build_linux(
    scenario_path: Path, output_dir: Path, *, container: str = "raw", size: int | None = None
) -> LinuxPaths:
    """Build `NAME.raw` and `NAME.truth.json` from a scenario and return their paths.

    The same scenario and size give the same bytes.

    Args:
        scenario_path: The scenario, in TOML.
        output_dir: Where the files are written. It is made if it does not exist.
        container: Format of the image: `raw`, `lime`, `elf`, `kdump`.
        size: Bytes of physical memory, instead of those in the scenario.

    Raises:
        ScenarioError: If the scenario cannot be read, or asks for something that cannot be built.
        ExportError: If a file cannot be written; what was half-written is gone then.
    """
    scenario = load_linux_scenario(scenario_path)
    if size is not None:
        if not MIN_SIZE <= size <= MAX_SIZE or size % PAGE_SIZE:
            raise ScenarioError(f"size {size}: expected whole pages, {MIN_SIZE >> 20} MiB to {MAX_SIZE >> 20} MiB")
        scenario = replace(scenario, size=size)
    known = [name for name, each in CONTAINERS.items() if not each.windows]
    if container not in known:
        raise ScenarioError(f"a Linux image in {container!r}: expected one of {', '.join(known)}")
    image = output_dir / (scenario.common.name + CONTAINERS[container].suffix)
    truth_path = output_dir / f"{scenario.common.name}.truth.json"
    with scenario.linux.blamed():
        truth = _write_image(scenario, image, container)
    with whole_file(truth_path) as file:
        file.write(truth_bytes({"image": image.name, "container": container, **truth}))
    return LinuxPaths(image, truth_path)


def _write_image(scenario: LinuxScenario, image: Path, container: str) -> dict[str, Any]:
    """Build the memory and write the image. The memory of a raw image is its file, otherwise a temporary file."""
    write = CONTAINERS[container].write
    runs = [_LOW_MEMORY, (_HIGH_MEMORY, scenario.size - _HIGH_MEMORY)]
    with ExitStack() as stack:
        file = stack.enter_context(whole_file(image))
        backing = file if write is None else stack.enter_context(tempfile.TemporaryFile(dir=image.parent))
        memory = PhysicalMemory(backing, runs, scenario.common.seed, large=_LARGE_PAGES)
        stack.callback(memory.close)
        truth = _Builder(scenario, memory).build()
        if write is not None:
            write(memory, NO_FACTS, file)
    return truth


class _Builder:
    """Fills the memory of an image and returns the truth about it."""

    def __init__(self, scenario: LinuxScenario, memory: PhysicalMemory) -> None:
        self._scenario = scenario
        self._memory = memory
        self._seed = scenario.common.seed
        fill(memory, scenario.filler, scenario.density, self._seed)
        self._space = space = KernelSpace(memory, self._seed, kaslr=scenario.kaslr)
        self._image = KernelImage(space, scenario.release, self._seed)
        namespace = space.make("mnt_namespace", {"count.counter": 1})
        space.put(self._image.address("init_nsproxy"), "nsproxy", {"mnt_ns": namespace})
        self._files = FileSystems(space, scenario.mounts, namespace)
        times = (scenario.boot, scenario.time)
        self._tasks = TaskBuilder(space, self._image, self._files, times, self._seed)

    def build(self) -> dict[str, Any]:
        scenario = self._scenario
        note = self._image.write()
        built = []
        processes = []
        for process in scenario.processes:
            with process.table.blamed():
                task = self._tasks.build(process)
            built.append(task)
            processes.append(_process_truth(task) | (self._planted(task) if task.user else {}))
        self._tasks.link(built)
        cached = [self._cache(spec) for spec in scenario.files]
        unmapped = [self._plant_unmapped(spec) for spec in scenario.unmapped]
        structs = PageStructs(self._space)
        structs.slabs()
        for task in built:
            if task.user is not None:
                structs.anonymous(task.user)
        for file, _ in cached:
            structs.file(file)
        return {
            "format": TRUTH_FORMAT,
            "name": scenario.common.name,
            "description": scenario.common.description,
            "kernel": self._kernel_truth(note),
            "time": timestamp(scenario.time),
            "boot_time": timestamp(scenario.boot),
            "physical_size": self._memory.size,
            "runs": [list(run) for run in self._memory.runs],
            "processes": processes,
            "files": [truth for _, truth in cached],
            "unmapped": unmapped,
        }

    def _kernel_truth(self, note: int) -> dict[str, Any]:
        space = self._space
        return {
            "release": self._scenario.release,
            "banner": self._image.banner,
            "build_id": self._image.build_id,
            "kaslr_shift": space.shift,
            "phys_base": space.phys_base,
            "page_table": space.tables.root << PAGE_SHIFT,
            "direct_map": space.direct,
            "note": note,
        }

    # --- Objects -----------------------------------------------------------------------------------------------------

    def _planted(self, task: BuiltTask) -> dict[str, Any]:
        """Plant the objects of a process, and return the truth about them."""
        spec, user = task.process.spec, task.user
        assert user is not None  # noqa: S101 - only such processes have plants
        objects = make_planted(spec.plants, self._scenario.common)
        source = SeededBytes("places", self._seed, str(spec.pid))
        placements = place(spec.plants, objects, Placer(_areas(user), source, avoid_seams=True))
        for placement in placements:
            with placement.spec.table.blamed():
                write_user(self._space, user, placement.address, objects[placement.object].at(placement.address))
        ranges = [
            PlacedRange(page << PAGE_SHIFT, PAGE_SIZE, frame << PAGE_SHIFT)
            for page, frame in sorted(user.frames.items())
        ]
        return object_truths(objects, placements, ranges)

    def _cache(self, spec: FileSpec) -> tuple[CachedFile, dict[str, Any]]:
        """Make a file with an object in it."""
        with spec.table.blamed("object"):
            planted = make(self._scenario.common.objects[spec.object], self._seed)
            content = bytes(spec.offset) + planted.at(spec.offset)
        with spec.table.blamed("path"):
            cached = self._files.cache(spec.path, content, deleted=spec.deleted)
        return cached, {
            "path": spec.path,
            "inode": cached.number,
            "file_system": cached.filesystem,
            "deleted": spec.deleted,
            "frames": list(cached.frames),
            "object": spec.object,
            "offset": spec.offset,
            **planted.truth(),
        }

    def _plant_unmapped(self, spec: UnmappedSpec) -> dict[str, Any]:
        """Plant an object in a frame that stays free."""
        with spec.table.blamed("object"):
            planted = make(self._scenario.common.objects[spec.object], self._seed)
        if spec.offset + planted.size > PAGE_SIZE:
            raise spec.table.error("offset", f"{planted.size} bytes do not fit a frame from offset {spec.offset} on")
        address = (self._space.take_frame() << PAGE_SHIFT) + spec.offset
        self._memory.write(address, planted.at(address))
        return {"object": spec.object, "physical_address": address, **planted.truth()}


def _areas(user: UserSpace) -> Iterator[Area]:
    """Yield the areas in which objects may lie: rows of pages that are in memory; pages border on each other."""
    for name, (start, size) in user.regions.items():
        first, past = start >> PAGE_SHIFT, -(-(start + size) >> PAGE_SHIFT)
        row: list[int] = []
        for page in range(first, past + 1):
            if page < past and page in user.frames:
                row.append(page)
            elif row:
                seams = tuple(each << PAGE_SHIFT for each in row[1:])
                yield Area(name, row[0] << PAGE_SHIFT, len(row) << PAGE_SHIFT, seams)
                row = []


def _process_truth(task: BuiltTask) -> dict[str, Any]:
    process, spec = task.process, task.process.spec
    own = process.has_memory
    return {
        "pid": spec.pid,
        "parent_pid": spec.parent_pid or 0,
        "name": spec.name,
        "user_id": process.user_id,
        "state": process.state,
        "kernel_thread": process.kernel_thread,
        "linked": process.linked,
        "threads": max(len(spec.threads), 1),
        "created": timestamp(spec.created),
        "executable": spec.executable if own else None,
        "arguments": spec.command_line.split(" ") if own else None,
        "environment": list(spec.environment) if own else None,
        "task": task.address,
        "page_table": task.user.tables.root << PAGE_SHIFT if task.user else None,
    }
