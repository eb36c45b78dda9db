"""Scenarios of kernel images: values that are read, defaults, and errors with file, table and key."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from dumpscan.exceptions import ScenarioError
from dumpscan.synth.kernel.scenario import SYSTEM_PID, load_kernel_scenario
from support.corpus import ROOT
from support.kernel_scenarios import ENVIRONMENT, scenario_text, write_scenario

if TYPE_CHECKING:
    from pathlib import Path

SAMPLES = ROOT / "sample_dumps"
PREFIX = 'format = 1\nname = "x"\n'
OBJECTS = '[keys]\nk = "ec-p256"\n[objects.key]\nkind = "private_key"\nkey = "k"\n'
PROCESS = '[[process]]\npid = 8\nname = "a.exe"\n'
REGION = 'regions = [{name = "r", size = "8 KiB"}]\n'
SHARED = "[shared.s]\nsize = 4096\n"


def test_the_lab(tmp_path: Path) -> None:
    scenario = load_kernel_scenario(write_scenario(tmp_path))
    assert (scenario.profile.name, scenario.size, scenario.density) == ("21h2", 64 << 20, 30)
    processes = {process.spec.pid: process for process in scenario.processes}
    assert processes[SYSTEM_PID].spec.name == "System"
    assert not processes[SYSTEM_PID].user_space
    assert processes[372].spec.environment == ENVIRONMENT
    assert processes[5200].spec.environment == ("ONLY=this",)
    assert processes[6000].exited == datetime(2024, 5, 17, 9, 10, tzinfo=UTC)
    assert not processes[6000].user_space
    assert processes[6200].absent == (("environment", 0),)
    assert processes[5120].paging["sparse"].transition == (3, 4, 5)
    assert processes[5120].seams[0].before == tuple(range(1, 14))
    created = [process.spec.created for process in scenario.processes if process.exited is None]
    assert created == sorted(created)
    assert len(set(created)) == len(created)


def test_kernel_base(tmp_path: Path) -> None:
    scenario = load_kernel_scenario(write_scenario(tmp_path, scenario_text(kernel_base="0xfffff80312345000")))
    assert scenario.base == 0xFFFFF80312345000


def test_system_can_be_described_by_the_scenario(tmp_path: Path) -> None:
    text = PREFIX + '[[process]]\npid = 4\nname = "System"\nuser_space = false\nthread_count = 3\n'
    (system,) = load_kernel_scenario(write_scenario(tmp_path, text)).processes
    assert system.thread_count == 3


def kernel_samples() -> list[Path]:
    """Return the samples that are not of minidumps."""
    return [path for path in sorted(SAMPLES.glob("*.toml")) if "\n[windows]" in path.read_text(encoding="utf-8")]


def test_there_are_two_samples() -> None:
    assert len(kernel_samples()) >= 2


@pytest.mark.parametrize("path", kernel_samples(), ids=lambda path: path.stem)
def test_samples(path: Path) -> None:
    scenario = load_kernel_scenario(path)
    assert scenario.common.name == path.stem
    assert len(scenario.processes) > 11
    assert any(process.spec.plants for process in scenario.processes)
    assert any(process.seams for process in scenario.processes)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[windows]\nversion = "95"\n', "[windows] version: expected one of 7sp1"),
        ('[windows]\nsize = "1 MiB"\n', "[windows] size: expected whole pages, at least 64 MiB"),
        ("[windows]\nsize = 67108865\n", "[windows] size: expected whole pages"),
        ("[windows]\nsise = 5\n", "did you mean 'size'"),
        ("[windows]\nkernel_base = 4096\n", "[windows] kernel_base: expected a page from 0xfffff80000000000 to"),
        ('[windows]\nholes = [{start = "4 KiB", size = "4 KiB"}]\n', "[windows.holes #1] start: expected whole pages"),
        (PROCESS + PROCESS, "pid 8 is there twice"),
        ('[[process]]\npid = 7\nname = "a.exe"\n', "pid 7 is no process id"),
        ('[[process]]\npid = 0\nname = "Idle"\n', "pid 0 is no process id"),
        ('[[process]]\npid = 8\nname = ""\n', "[process #1] name: expected the name of an executable"),
        (PROCESS + 'executable = ""\n', "[process #1] executable: expected the name"),
        (PROCESS + 'absent = ["teb"]\n', "[process #1] absent: 'teb': expected one of peb"),
        (PROCESS + 'absent = ["peb:x"]\n', "[process #1] absent: 'peb:x': expected"),
        (
            PROCESS + "created = 2024-01-02T00:00:00Z\nexited = 2024-01-01T00:00:00Z\n",
            "[process #1] exited: lies before created",
        ),
        (PROCESS + "user_space = false\n" + REGION, "[process #1]: a process without a user half"),
        (PROCESS + "exited = 2025-01-01T00:00:00Z\n" + REGION, "[process #1]: a process without a user half"),
        (PROCESS + REGION.replace("}", ", splits = [4096]}"), "'r' has splits"),
        (PROCESS + "paging = {heap = {}}\n", "[process #1.paging] heap: the process has no region of that name"),
        (PROCESS + REGION + 'paging = {r = {paged_out = "2"}}\n', "paged_out: '2': expected numbers below 2"),
        (PROCESS + REGION + 'paging = {r = {paged_out = "1-0"}}\n', "paged_out: '1-0': expected numbers"),
        (PROCESS + REGION + 'paging = {r = {paged_out = "1;2"}}\n', "paged_out: expected a string like"),
        (PROCESS + REGION + 'paging = {r = {paged_out = "1", transition = "0-1"}}\n', "a page has two states"),
        (PROCESS + REGION + 'paging = {r = {pages = "2 MiB"}}\n', "pages: the region's address and size must be"),
        (PROCESS + REGION + 'paging = {r = {pages = "2 MiB", resident = 9}}\n', "large pages are neither shared nor"),
        (PROCESS + REGION + 'paging = {r = {shared = "s"}}\n', "shared: expected a name, of which there are none"),
        (
            SHARED + PROCESS + REGION + 'paging = {r = {shared = "s", resident = 5}}\n',
            "shared: what several processes map is paged out by way of prototype entries only",
        ),
        (OBJECTS + PROCESS + 'seams = [{object = "key", before = "0-3"}]\n', "before: expected byte counts from 1"),
        (OBJECTS + PROCESS + 'seams = [{object = "key", before = "5", tail = "gone"}]\n', "tail: expected one of"),
        ('[[kernel]]\nobject = "key"\n', "[kernel #1] object: expected a name, of which there are none"),
        (OBJECTS + '[[unmapped]]\nobject = "key"\ncopies = 0\n', "[unmapped #1] copies: expected an integer"),
    ],
)
def test_mistakes_are_named(tmp_path: Path, text: str, message: str) -> None:
    path = write_scenario(tmp_path, PREFIX + text)
    with pytest.raises(ScenarioError) as raised:
        load_kernel_scenario(path)
    assert message in str(raised.value)
    assert str(raised.value).startswith(f"{path}: ")


def test_text_of_the_lab_takes_other_values() -> None:
    """Otherwise a test could use the default without noticing."""
    assert 'version = "7sp1"' in scenario_text(version='"7sp1"')
    assert "holes = []" in scenario_text(holes="[]")
