"""Cores of scenarios: independent readers agree with their truth, and so do we."""

from __future__ import annotations

import json
import shutil
import subprocess
from typing import TYPE_CHECKING, Any

import pytest
from elftools.elf.elffile import ELFFile

import dumpscan
from dumpscan.exceptions import ScenarioError
from dumpscan.synth.core.build import build_core
from support.corpus import SAMPLES

if TYPE_CHECKING:
    from pathlib import Path

SCENARIO = (SAMPLES / "nginx.toml").read_text()


def build(directory: Path, text: str = SCENARIO) -> tuple[Path, dict[str, Any]]:
    scenario = directory / "scenario.toml"
    scenario.write_text(text)
    core, truth = build_core(scenario, directory)
    return core, json.loads(truth.read_text())


@pytest.fixture(scope="module", params=["kernel", "gcore", "arm64"])
def built(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    text = SCENARIO
    if request.param == "gcore":
        text = text.replace('writer = "kernel"', 'writer = "gcore"')
    elif request.param == "arm64":
        text = text.replace('architecture = "x64"', 'architecture = "arm64"')
    return build(tmp_path_factory.mktemp("core"), text)


def test_all_planted_objects_and_nothing_else(built: tuple[Path, dict[str, Any]]) -> None:
    path, truth = built
    with dumpscan.open_dump(path) as core:
        found = dumpscan.search(core, "scan")
        (process,) = core.processes()
        assert list(core.damage) == []
    told = {(each.kind, place.virtual_address, place.encoding) for each in found for place in each.locations}
    planted = {
        (each["kind"], place["virtual_address"], each["encoding"])
        for each in truth["objects"]
        for place in each["locations"]
    }
    assert told == planted
    assert (process.pid, process.command_line) == (truth["process"]["pid"], truth["process"]["command_line"])
    assert (process.executable, process.architecture) == (truth["process"]["executable"], truth["architecture"])


def test_pyelftools_reads_the_same(built: tuple[Path, dict[str, Any]]) -> None:
    path, truth = built
    with path.open("rb") as file:
        elf = ELFFile(file)
        loads = [each for each in elf.iter_segments() if each["p_type"] == "PT_LOAD"]
        held = [[each["p_vaddr"], each["p_filesz"], each["p_offset"]] for each in loads if each["p_filesz"]]
        assert held == truth["memory"]["ranges"]
        (notes,) = [list(each.iter_notes()) for each in elf.iter_segments() if each["p_type"] == "PT_NOTE"]
        kinds = [note["n_type"] for note in notes]
        assert kinds.count("NT_PRSTATUS") == len(truth["threads"])
        (info,) = [note["n_desc"] for note in notes if note["n_type"] == "NT_PRPSINFO"]
        assert (info["pr_pid"], info["pr_ppid"]) == (truth["process"]["pid"], truth["process"]["parent_pid"])
        (files,) = [note["n_desc"] for note in notes if note["n_type"] == "NT_FILE"]
        assert {name.decode() for name in files["filename"]} == set(truth["modules"])


def test_gdb_reads_the_same(built: tuple[Path, dict[str, Any]]) -> None:
    path, truth = built
    if not shutil.which("gdb") or truth["architecture"] != "x64":
        pytest.skip("no gdb for this processor on this machine")
    commands = ["-ex", "info threads", "-ex", "info auxv", "-ex", "info proc mappings"]
    done = subprocess.run(
        ["gdb", "-q", "-batch", "-nx", *commands, "-c", path], capture_output=True, text=True, check=False
    )
    told = done.stdout + done.stderr
    assert f'"{truth["process"]["executable"]}"' in told  # AT_EXECFN
    assert all(f"LWP {thread['id']}" in told for thread in truth["threads"])
    assert all(module in told for module in truth["modules"])


def test_the_same_scenario_gives_the_same_bytes(tmp_path: Path) -> None:
    first, _ = build(tmp_path)
    data = first.read_bytes()
    second, _ = build(tmp_path)
    assert second.read_bytes() == data


def test_more_segments_than_a_header_counts(tmp_path: Path) -> None:
    splits = ", ".join(str(number * 4096) for number in range(1, 66_000))
    text = SCENARIO.replace(
        'size = "256 KiB", filler = "mixed", splits = ["64 KiB"]',
        f'size = 270336000, filler = "zeros", splits = [{splits}]',
    )
    path, _ = build(tmp_path, text)
    with dumpscan.open_dump(path) as core:
        assert len(core.regions) > 65_535  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("signal = 6", "signal = 65"), r"\[core\] signal"),
        (('writer = "kernel"', 'writer = "windbg"'), r"\[core\] writer"),
        (('name = "shared"', 'name = "shared", address = 0x5555_5555_4000'), "overlap"),
    ],
)
def test_values_that_cannot_be_built_are_refused(tmp_path: Path, change: tuple[str, str], said: str) -> None:
    with pytest.raises(ScenarioError, match=said):
        build(tmp_path, SCENARIO.replace(*change))
