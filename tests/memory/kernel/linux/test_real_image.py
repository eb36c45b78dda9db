"""A real Linux machine's memory, compared with what `/proc` said of it."""

from __future__ import annotations

import hashlib
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from dumpscan.memory.kernel.image import KernelImage
from dumpscan.memory.kernel.linux.finder import find_without_notes
from dumpscan.memory.kernel.linux.profile import LinuxProfile
from support.corpus import LINUX

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from dumpscan.findings import Process

Truth = dict[int, dict[str, Any]]
CHANGED_AFTERWARDS = {17}
"""A thread of the kernel that took up other work between the dump and the reading of `/proc`."""


@pytest.fixture(scope="module")
def image(linux_image: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[KernelImage]:
    with KernelImage(linux_image, cache_dir=tmp_path_factory.mktemp("cache")) as opened:
        yield opened


@pytest.fixture(scope="module")
def processes(image: KernelImage) -> dict[int, Process]:
    return {process.pid or 0: process for process in image.processes(environment=True)}


@pytest.fixture(scope="module")
def truth(linux_truth: dict[str, Any]) -> Truth:
    return {each["pid"]: each for each in linux_truth["processes"]}


def joined(strings: Iterable[str] | None) -> bytes:
    return b"".join(each.encode("utf-8", "surrogateescape") + b"\0" for each in strings or ())


def test_every_process_is_listed(processes: dict[int, Process], truth: Truth) -> None:
    assert set(processes) == set(truth)


def test_processes_are_as_proc_has_them(processes: dict[int, Process], truth: Truth) -> None:
    for pid, process in processes.items():
        wanted = truth[pid]
        assert process.parent_pid == wanted["ppid"]
        assert process.user_id == wanted["uid"]
        assert process.executable == wanted["exe"]
        assert process.state == wanted["state"].partition("(")[2][:-1]
        assert process.thread_count == len(wanted["threads"])
        assert "\t".join(map(str, process.namespace_pids or (pid,))) == wanted["nspid"]
        if pid not in CHANGED_AFTERWARDS:
            assert process.name == wanted["comm"]


def test_kernel_threads_are_marked_and_zombies_are_not(processes: dict[int, Process], truth: Truth) -> None:
    zombies = {pid for pid, process in processes.items() if process.state == "zombie"}
    assert len(zombies) == 1
    marked = {pid for pid, process in processes.items() if process.kernel_thread}
    assert marked == {pid for pid, wanted in truth.items() if wanted["kernel_thread"]} - zombies


def test_command_lines_and_environments_byte_for_byte(processes: dict[int, Process], truth: Truth) -> None:
    users = {pid for pid, wanted in truth.items() if wanted["exe"]}
    assert len(users) > 20
    for pid in users:
        assert joined(processes[pid].arguments) == bytes.fromhex(truth[pid]["cmdline_hex"])
        assert joined(processes[pid].environment) == bytes.fromhex(truth[pid]["environ_hex"])
        assert not processes[pid].notes


def test_what_the_kernel_says_of_itself(image: KernelImage, linux_truth: dict[str, Any]) -> None:
    described = image.describe()
    assert described["kernel"]["release"] == linux_truth["uname"][2]  # type: ignore[index]
    assert described["system"]["version"] == linux_truth["version"].strip()  # type: ignore[index]
    assert not image.symbols_states()


def test_symbols_and_types_are_the_kernels_own(image: KernelImage, linux_truth: dict[str, Any]) -> None:
    profile = image.profile
    assert isinstance(profile, LinuxProfile)
    listed = subprocess.run(["zstd", "-qdc", LINUX / "bw61.kallsyms.zst"], check=True, capture_output=True).stdout
    wanted = [line.split() for line in listed.decode().splitlines() if "\t" not in line]
    assert len(wanted) > 90_000
    found = profile.types.kallsyms.symbols()
    assert [(f"{each.address:016x}", each.kind, each.name) for each in found][: len(wanted)] == [
        (address, kind, name) for address, kind, name in wanted
    ]
    start, stop = (profile.types.address(name) for name in ("__start_BTF", "__stop_BTF"))
    assert hashlib.sha256(profile.memory.read(start, stop - start)).hexdigest() == linux_truth["btf"]["sha256"]


def test_the_next_command_needs_neither_symbols_nor_types(
    linux_image: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with KernelImage(linux_image, cache_dir=tmp_path) as first:
        wanted = first.processes(environment=True)

    def refuse(*_: object) -> None:
        pytest.fail("what is remembered was read again")

    monkeypatch.setattr("dumpscan.memory.kernel.linux.symbols.types.Kallsyms", refuse)
    monkeypatch.setattr("dumpscan.memory.kernel.linux.symbols.types.Btf", refuse)
    monkeypatch.setattr("dumpscan.memory.kernel.linux.profile.find_kernels", refuse)
    with KernelImage(linux_image, cache_dir=tmp_path) as again:
        assert again.processes(environment=True) == wanted


def test_without_its_note_the_kernel_is_found_by_its_symbols(image: KernelImage) -> None:
    profile = image.profile
    assert isinstance(profile, LinuxProfile)
    (found,) = find_without_notes(image.physical)
    wanted = profile.kernel
    assert found.tables == wanted.tables
    assert (found.release, found.shift, found.phys_base) == (wanted.release, wanted.shift, wanted.phys_base)
    assert (found.root, found.levels) == (wanted.root, wanted.levels)


def test_the_time_of_capture_is_the_kernels(image: KernelImage, processes: dict[int, Process]) -> None:
    started = max(process.created for process in processes.values() if process.created)
    assert image.captured is not None
    assert 0 <= (image.captured - started).total_seconds() < 60
