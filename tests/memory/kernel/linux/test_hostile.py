"""Linux images that are cut, damaged or forged: bounded work, a sentence about it, and no traceback."""

from __future__ import annotations

import random
import struct
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from dumpscan.exceptions import DumpscanError, InputError
from dumpscan.memory.kernel.image import KernelImage
from dumpscan.memory.kernel.linux.profile import LinuxProfile
from dumpscan.synth.kernel.linux.build import build_linux
from support.corpus import SAMPLES

if TYPE_CHECKING:
    from pathlib import Path

PAGE = 4096


@dataclass
class Machine:
    """A synthetic machine's memory, and where the kernel keeps what."""

    data: bytes
    profile: LinuxProfile
    tasks: dict[int, int]
    """Physical address of the task of each process id."""

    def physical(self, address: int) -> int:
        found = self.profile.memory.physical(address)
        assert found is not None
        return found

    def symbol(self, name: str) -> int:
        return self.physical(self.profile.types.address(name))

    def offset(self, path: str) -> int:
        return self.profile.types.offset(path)

    def pointer(self, at: int) -> int:
        return int.from_bytes(self.data[at : at + 8], "little")


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Machine:
    directory = tmp_path_factory.mktemp("machine")
    path, _ = build_linux(SAMPLES / "linux-server.toml", directory)
    with KernelImage(path, cache_dir=directory / "cache") as image:
        profile = image.profile
        assert isinstance(profile, LinuxProfile)
        for name in ("init_task", "__start_BTF", "linux_banner"):
            profile.types.address(name)
        tasks = {entry.process.pid or 0: profile.memory.physical(entry.address) or 0 for entry in image.listed}
        for member in ("task_struct.tasks", "task_struct.cred", "dentry.d_parent", "dentry.d_name", "qstr.len"):
            profile.types.offset(member)
        return Machine(path.read_bytes(), profile, tasks)


def opened(directory: Path, data: bytes) -> KernelImage:
    path = directory / "changed.raw"
    path.write_bytes(data)
    return KernelImage(path, cache_dir=directory / "cache")


def written(data: bytes, *changes: tuple[int, bytes]) -> bytes:
    changed = bytearray(data)
    for at, content in changes:
        changed[at : at + len(content)] = content
    return bytes(changed)


def everything(image: KernelImage) -> None:
    """Ask an image all there is to ask; only errors that are fit to be shown may come of it."""
    for ask in (
        image.describe,
        lambda: image.processes(environment=True),
        image.best_page_map,
        lambda: [image.page_use(frame * PAGE) for frame in range(0, 8192, 97)],
        image.cached_files,
        image.make_table,
    ):
        with suppress(DumpscanError):
            ask()


# --- Processes -------------------------------------------------------------------------------------------------------


def link(machine: Machine, pid: int) -> int:
    return machine.tasks[pid] + machine.offset("task_struct.tasks")


def test_a_ring_that_is_cut_is_followed_from_both_ends(machine: Machine, tmp_path: Path) -> None:
    second = sorted(machine.tasks)[1]
    data = written(machine.data, (link(machine, second), b"\x01" * 8))
    with opened(tmp_path, data) as image:
        assert {process.pid for process in image.processes()} == set(machine.tasks)
        assert any("the list of processes is broken after 2" in sentence for sentence in image.damage)


def test_a_ring_without_end(machine: Machine, tmp_path: Path) -> None:
    first, *_, last = sorted(machine.tasks)
    back = machine.pointer(machine.symbol("init_task") + machine.offset("task_struct.tasks"))
    data = written(machine.data, (link(machine, last), struct.pack("<Q", back)))
    with opened(tmp_path, data) as image:
        assert {process.pid for process in image.processes()} == set(machine.tasks)
        assert first in machine.tasks
        assert any("runs in a circle" in sentence for sentence in image.damage)


def test_a_million_tasks(machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each entry of the ring leads to the next 8 bytes: more tasks than memory could hold."""
    base = machine.profile.memory.direct_map or 0
    start = len(machine.data)
    count = 20_000
    chain = b"".join(struct.pack("<Q", base + start + 8 * (number + 1)) for number in range(count))
    head = machine.symbol("init_task") + machine.offset("task_struct.tasks")
    data = written(machine.data, (head, struct.pack("<Q", base + start))) + chain
    monkeypatch.setattr("dumpscan.memory.kernel.linux.tasks._MEMORY_PER_PROCESS", 1 << 20)
    with opened(tmp_path, data.ljust(len(data) + -len(data) % PAGE, b"\0")) as image:
        assert len(image.processes()) < 400
        assert any("does not end" in sentence for sentence in image.damage)


def test_a_command_line_of_any_length(machine: Machine, tmp_path: Path) -> None:
    task = machine.tasks[612]
    space = machine.physical(machine.pointer(task + machine.offset("task_struct.mm")))
    data = written(machine.data, (space + machine.offset("mm_struct.arg_end"), struct.pack("<Q", 0x7FFF_FFFF_F000)))
    with opened(tmp_path, data) as image:
        (process,) = image.processes(pids=[612])
        assert process.arguments
        assert any("command line" in note for note in process.notes)


# --- Files -----------------------------------------------------------------------------------------------------------


def test_directories_that_contain_one_another(machine: Machine, tmp_path: Path) -> None:
    """Every directory entry of the executables' paths becomes its parent's parent."""
    memory, offset = machine.profile.memory, machine.offset
    task = machine.tasks[612]
    space = machine.physical(machine.pointer(task + offset("task_struct.mm")))
    file = machine.physical(machine.pointer(space + offset("mm_struct.exe_file")))
    entry = machine.pointer(file + offset("file.f_path") + offset("path.dentry"))
    parent = machine.pointer(machine.physical(entry) + offset("dentry.d_parent"))
    assert memory.physical(parent) is not None
    data = written(machine.data, (machine.physical(parent) + offset("dentry.d_parent"), struct.pack("<Q", entry)))
    with opened(tmp_path, data) as image:
        (process,) = image.processes(pids=[612])
        assert process.executable is None
        assert process.arguments


def test_a_name_that_claims_to_be_long(machine: Machine, tmp_path: Path) -> None:
    offset = machine.offset
    space = machine.physical(machine.pointer(machine.tasks[612] + offset("task_struct.mm")))
    file = machine.physical(machine.pointer(space + offset("mm_struct.exe_file")))
    entry = machine.physical(machine.pointer(file + offset("file.f_path") + offset("path.dentry")))
    data = written(machine.data, (entry + offset("dentry.d_name") + offset("qstr.len"), b"\xff\xff\xff\x7f"))
    with opened(tmp_path, data) as image:
        assert image.processes(pids=[612])[0].executable == "/usr/sbin/nginx"


# --- Kernels ---------------------------------------------------------------------------------------------------------


def test_a_forged_note_before_the_real_one(machine: Machine, tmp_path: Path) -> None:
    note = machine.profile.kernel.note or 0
    forged = machine.data[note : note + PAGE].replace(b"NUMBER(phys_base)=-", b"NUMBER(phys_base)=9")
    data = written(machine.data, (0x2000, forged.replace(b"OSRELEASE=6.", b"OSRELEASE=9.")))
    with opened(tmp_path, data) as image:
        assert len(image.processes()) == len(machine.tasks)
        assert any("note of one (9." in warning for warning in image.warnings)


def test_without_its_note_the_kernel_is_found_by_its_symbols(machine: Machine, tmp_path: Path) -> None:
    note = machine.profile.kernel.note or 0
    with opened(tmp_path, written(machine.data, (note, bytes(PAGE)))) as image:
        profile = image.profile
        if not isinstance(profile, LinuxProfile):
            pytest.skip("the synthetic kernel has too few symbols to be found by them")
        assert profile.kernel.root == machine.profile.kernel.root


def test_a_guest_in_its_hosts_memory(machine: Machine, tmp_path: Path) -> None:
    scenario = tmp_path / "guest.toml"
    text = (SAMPLES / "linux-server.toml").read_text()
    scenario.write_text(text.replace('name = "linux-server"', 'name = "guest"').replace("6.1.0-18", "6.1.0-77"))
    guest, _ = build_linux(scenario, tmp_path)
    with opened(tmp_path, machine.data + guest.read_bytes()) as image:
        assert image.profile.describe()["kernel"]["release"] == machine.profile.kernel.release  # type: ignore[index]
        assert {process.pid for process in image.processes()} == set(machine.tasks)
        assert any("6.1.0-77" in warning for warning in image.warnings)


def test_an_image_whose_kernel_is_cut_off(machine: Machine, tmp_path: Path) -> None:
    note = machine.profile.kernel.note or 0
    root = machine.profile.kernel.root
    if root < note:
        pytest.skip("the tables come before the note")
    with opened(tmp_path, machine.data[:root]) as image:
        assert image.has_kernel()
        with pytest.raises(InputError, match="note of one"):
            image.processes()


@pytest.mark.parametrize("share", [0.1, 0.3, 0.5, 0.7, 0.9, 0.99])
def test_images_cut_anywhere(machine: Machine, tmp_path: Path, share: float) -> None:
    with opened(tmp_path, machine.data[: int(len(machine.data) * share)]) as image:
        everything(image)


@pytest.mark.parametrize("seed", range(12))
def test_damage_anywhere(machine: Machine, tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311 - it only chooses what to damage
    places = [machine.symbol("init_task"), machine.symbol("__start_BTF"), machine.profile.kernel.root]
    places += [machine.profile.kernel.note or 0, *machine.tasks.values()]
    changes = []
    for _ in range(chance.randrange(1, 60)):
        at = chance.choice(places) + chance.randrange(0, 8 * PAGE)
        other = chance.choice(places) & ~7
        changes.append((at & ~7, chance.choice([chance.randbytes(8), bytes(8), machine.data[other : other + 8]])))
    with opened(tmp_path, written(machine.data, *changes)) as image:
        everything(image)


# --- Remembered builds -----------------------------------------------------------------------------------------------


def no_reading(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        pytest.fail("what is remembered of this build was read again")

    monkeypatch.setattr("dumpscan.memory.kernel.linux.symbols.types.Kallsyms", refuse)
    monkeypatch.setattr("dumpscan.memory.kernel.linux.symbols.types.Btf", refuse)


def test_another_image_of_a_build_needs_neither_symbols_nor_types(
    machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with opened(tmp_path, machine.data) as image:
        wanted = image.processes(environment=True)
    (tmp_path / "other.raw").write_bytes(machine.data)
    no_reading(monkeypatch)
    with KernelImage(tmp_path / "other.raw", cache_dir=tmp_path / "cache") as image:
        assert image.processes(environment=True) == wanted


def test_a_build_id_alone_is_not_believed(machine: Machine, tmp_path: Path) -> None:
    """An image with the build id of another kernel, but other types, is read by its own types."""
    with opened(tmp_path, machine.data) as image:
        assert image.processes()
    stop = machine.symbol("__stop_BTF")
    (tmp_path / "other.raw").write_bytes(written(machine.data, (stop - 2, b"?")))
    with KernelImage(tmp_path / "other.raw", cache_dir=tmp_path / "cache") as image:
        profile = image.profile
        assert isinstance(profile, LinuxProfile)
        assert profile.types.facts["offsets"] == {}
        assert image.processes()
