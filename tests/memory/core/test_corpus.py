"""Real cores of real programs: what their truth says of the process, and what independent readers say."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from dumpscan.memory.core.dump import Core
from dumpscan.memory.open import open_dump
from support.corpus import CORES, unpacked_core

if TYPE_CHECKING:
    from pathlib import Path

CASES = [
    (dump["packed"], dump["process"])
    for truth in sorted(CORES.glob("*.truth.json"))
    for dump in json.loads(truth.read_text())["dumps"]
    if dump["packed"].endswith(".core.zst")
]
pytestmark = pytest.mark.skipif(not CASES, reason=f"no corpus of real cores at {CORES}")


@pytest.fixture(scope="module", params=CASES, ids=lambda case: case[0])
def case(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    packed, process = request.param
    return unpacked_core(packed, tmp_path_factory.mktemp("core")), process


def test_the_process_is_that_of_the_truth(case: tuple[Path, dict[str, Any]]) -> None:
    path, truth = case
    with open_dump(path) as core:
        (process,) = core.processes()
        assert core.kind == "core"
        assert (process.pid, process.executable) == (truth["pid"], truth["exe"])
        assert (process.command_line or "").rstrip() == " ".join(truth["cmdline"]).rstrip()
        if truth["environ"]:
            assert list(process.environment) == truth["environ"]
        else:
            assert "has written over" in " ".join(process.notes)
        assert list(core.damage) == []


def test_readelf_says_the_same_of_segments_and_threads(case: tuple[Path, dict[str, Any]]) -> None:
    if not shutil.which("readelf"):
        pytest.skip("no readelf on this machine")
    path, _ = case
    told = subprocess.run(["readelf", "-lnW", path], capture_output=True, text=True, check=False).stdout
    loads = re.findall(r"^ +LOAD +0x(\w+) 0x(\w+) 0x\w+ 0x(\w+) 0x(\w+)", told, re.MULTILINE)
    with Core(path) as core:
        ours = [
            tuple(int(load[name]) for name in ("p_offset", "p_vaddr", "p_filesz", "p_memsz")) for load in core.elf.loads
        ]
        assert ours == [tuple(int(number, 16) for number in load) for load in loads]
        assert len(core.notes.threads) == len(re.findall(r"NT_PRSTATUS", told))
