"""MemProcFS lists the same processes and command lines in images that have the GUID of a real build.

It takes offsets from its own table of known builds, not from ours: an agreement says that the image is like Windows,
not only like our symbol table.
"""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from dumpscan.synth.kernel.build import build_kernel
from support.corpus import SYMBOLS
from support.kernel_scenarios import write_scenario

if TYPE_CHECKING:
    from pathlib import Path

GUIDS = {
    "1607": "517E128F7B7C4EA79491DE6B9B9CE190",
    "1809": "8B11040A5928757B11390AC78F6B6925",
    "2004": "1B4A6F5E0766C552C90710C8ACC0295C",
    "21h2": "32C1A669D5FFEFD41091F636CFDB6E99",
}
"""Its table knows these builds; Windows 7 SP1's is not in it."""
LISTING = """
import json, sys, memprocfs
vmm = memprocfs.Vmm(["-device", sys.argv[1], "-disable-python", "-disable-symbolserver", "-disable-symbols"])
def command_line(process):
    try:
        return process.cmdline
    except RuntimeError:  # it has none
        return ""
rows = [[p.pid, p.ppid, p.name, p.dtb, p.is_wow64, command_line(p)] for p in vmm.process_list()]
print(json.dumps({"build": vmm.kernel.build, "processes": rows}))
vmm.close()
"""
SHORT_NAME = 14


def listing(image: Path) -> dict[str, Any]:
    """Run MemProcFS in a process of its own: it brings native threads that outlive it."""
    if subprocess.run([sys.executable, "-c", "import memprocfs"], capture_output=True, check=False).returncode:
        pytest.skip("memprocfs is not installed, or the libusb that it needs is not")
    done = subprocess.run(
        [sys.executable, "-c", LISTING, str(image)], capture_output=True, encoding="utf-8", check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


@pytest.mark.parametrize(
    ("version", "container"), [("1607", "raw"), ("1809", "crash"), ("2004", "elf"), ("21h2", "raw")]
)
def test_same_processes_and_command_lines(tmp_path: Path, version: str, container: str) -> None:
    table = SYMBOLS / "windows" / "ntkrnlmp.pdb" / f"{GUIDS[version]}-1.json.xz"
    if not table.exists():
        pytest.skip(f"no symbol table of a real kernel at {table}")
    paths = build_kernel(write_scenario(tmp_path), tmp_path, symbols=table, container=container)
    found, truth = listing(paths.image), json.loads(paths.truth.read_text())
    assert found["build"] == truth["build"]
    alive = [process for process in truth["processes"] if process["linked"] and not process["exited"]]
    wanted = [
        [
            process["pid"],
            process["parent_pid"],
            process["name"][:SHORT_NAME],
            process["dtb"],
            process["wow64"],
            process["command_line"] or "",
        ]
        for process in alive
    ]
    listed = [row for row in found["processes"] if row[0] in {process["pid"] for process in alive}]
    assert sorted(listed) == sorted(wanted)
    others = {row[0] for row in found["processes"]} - {process["pid"] for process in alive}
    assert others <= {process["pid"] for process in truth["processes"]}
