"""An unmodified volatility3 reads images of every version in every container and finds what the truth says."""

from __future__ import annotations

import importlib.util
import json
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

import pytest

from dumpscan.synth.kernel.build import KernelPaths, build_kernel
from dumpscan.synth.physical.containers import CONTAINERS
from dumpscan.synth.windows.profiles import PROFILES, REAL_KERNELS
from support.corpus import SYMBOLS
from support.kernel_scenarios import scenario_text, write_scenario
from support.volatility_jobs import flattened, run_volatility

if TYPE_CHECKING:
    from pathlib import Path

    from support.volatility_jobs import Rows

pytest.importorskip("volatility3")
HAS_YARA = importlib.util.find_spec("yara") is not None

PATTERN = b"www.contoso.example"
PLUGINS = {
    "info": ["windows.info"],
    "pslist": ["windows.pslist"],
    "psscan": ["windows.psscan"],
    "pstree": ["windows.pstree"],
    "cmdline": ["windows.cmdline"],
    "envars": ["windows.envars"],
    "vadinfo": ["windows.vadinfo"],
    "vadyarascan": ["windows.vadyarascan", "--yara-string", PATTERN.decode()],
    "modules": ["windows.modules"],
    "dlllist": ["windows.dlllist"],
}
TELLING = ("pstree", "envars", "vadinfo")
"""Plugins that between them read all that differs from version to version."""
SHORT_NAME = 14
"""Characters of a name that a process object holds."""
ADDRESS_BITS = (1 << 48) - 1
"""volatility3 leaves out the others."""
PAGE_PROTECTIONS = {0x02: "PAGE_READONLY", 0x04: "PAGE_READWRITE", 0x80: "PAGE_EXECUTE_WRITECOPY"}


@dataclass
class Read:
    """An image's truth, and what volatility3 said of it."""

    paths: KernelPaths
    truth: dict[str, Any]
    rows: dict[str, Rows]

    def processes(self, **wanted: object) -> dict[int, dict[str, Any]]:
        """Return the truth's processes that have these values, by id."""
        return {
            process["pid"]: process
            for process in self.truth["processes"]
            if all(process[key] == value for key, value in wanted.items())
        }


def read_images(images: list[KernelPaths], plugins: tuple[str, ...]) -> list[Read]:
    jobs: list[list[str | Path]] = [
        [paths.image, paths.symbols_directory, *PLUGINS[name]] for paths in images for name in plugins
    ]
    answers = iter(run_volatility(jobs))
    return [
        Read(paths, json.loads(paths.truth.read_text()), {name: next(answers) for name in plugins}) for paths in images
    ]


@pytest.fixture(scope="module")
def read(tmp_path_factory: pytest.TempPathFactory) -> Read:
    directory = tmp_path_factory.mktemp("lab")
    plugins = tuple(name for name in PLUGINS if HAS_YARA or name != "vadyarascan")
    return read_images([build_kernel(write_scenario(directory), directory)], plugins)[0]


def listed(rows: Rows) -> dict[int, tuple[Any, ...]]:
    """What pslist and pstree say of each process."""
    times = ("CreateTime", "ExitTime")
    found = {
        row["PID"]: (
            row["PPID"],
            row["ImageFileName"],
            row["SessionId"],
            row["Wow64"],
            row["Threads"],
            *(row[key] and datetime.fromisoformat(row[key]) for key in times),
        )
        for row in rows
    }
    assert len(found) == len(rows), "a process is listed twice"
    return found


def expected(processes: dict[int, dict[str, Any]]) -> dict[int, tuple[Any, ...]]:
    return {
        pid: (
            process["parent_pid"],
            process["name"][:SHORT_NAME],
            process["session"],
            process["wow64"],
            process["threads"],
            *(process[key] and datetime.fromisoformat(process[key]) for key in ("created", "exited")),
        )
        for pid, process in processes.items()
    }


def check_tree(read: Read) -> None:
    """Processes, each below its parent, with path and command line."""
    tree = list(flattened(read.rows["pstree"]))
    linked = read.processes(linked=True)
    assert listed(tree) == expected(linked)
    for row in tree:
        process = linked[row["PID"]]
        assert row["above"] == (process["parent_pid"] or None)
        assert (row["Cmd"], row["Path"]) == (process["command_line"], process["executable"])


def check_environments(read: Read) -> None:
    found: dict[int, list[tuple[str, str]]] = {}
    for row in read.rows["envars"]:
        found.setdefault(row["PID"], []).append((row["Variable"], row["Value"]))
    wanted = {
        # volatility3 leaves out names that begin with "=", and all of a block that lacks a page.
        pid: [tuple(entry.split("=", 1)) for entry in process["environment"] if not entry.startswith("=")]
        for pid, process in read.processes(linked=True).items()
        if process["environment"] and not process["absent"]
    }
    assert wanted
    assert found == wanted


def check_ranges(read: Read) -> None:
    found: dict[int, set[tuple[Any, ...]]] = {}
    for row in read.rows["vadinfo"]:
        entry = (row["Start VPN"], row["End VPN"], row["Protection"], row["Tag"], row["PrivateMemory"], row["File"])
        found.setdefault(row["PID"], set()).add(entry)
    assert found == {
        pid: {
            (
                entry["start"],
                entry["end"],
                PAGE_PROTECTIONS[entry["protect"]],
                entry["tag"],
                int(entry["private"]),
                entry["file"],
            )
            for entry in process["ranges"]
        }
        for pid, process in read.processes(linked=True).items()
        if process["ranges"]
    }


def test_info(read: Read) -> None:
    info = {row["Variable"]: row["Value"] for row in read.rows["info"]}
    truth = read.truth
    assert int(info["Kernel Base"], 16) == truth["kernel_base"] & ADDRESS_BITS
    assert int(info["DTB"], 16) == truth["dtb"]
    assert info["Symbols"].endswith(f"{truth['pdb']['guid']}-{truth['pdb']['age']}.json.xz")
    assert datetime.fromisoformat(info["SystemTime"]) == datetime.fromisoformat(truth["system_time"])
    assert info["KeNumberProcessors"] == str(truth["processors"])
    assert info["Major/Minor"] == f"15.{truth['build']}"
    assert truth["build_lab"].startswith(info["NTBuildLab"])  # it reads 32 characters
    assert (info["NtProductType"], info["NtMajorVersion"]) == ("NtProductWinNt", "10")
    assert (info["Is64Bit"], info["PE Machine"]) == ("True", str(0x8664))


def test_pslist(read: Read) -> None:
    assert listed(read.rows["pslist"]) == expected(read.processes(linked=True))
    offsets = {row["PID"]: row["Offset(V)"] for row in read.rows["pslist"]}
    for pid, process in read.processes(linked=True).items():
        assert offsets[pid] == process["eprocess"] & ADDRESS_BITS


def test_psscan_finds_what_is_in_no_list(read: Read) -> None:
    """And passes over a process whose page table is zero, as it always does."""
    with_table = {pid: p for pid, p in read.processes().items() if p["directory_table_base"]}
    assert listed(read.rows["psscan"]) == expected(with_table)
    assert with_table.keys() - read.processes(linked=True).keys()
    assert read.processes().keys() - with_table.keys()


def test_pstree(read: Read) -> None:
    check_tree(read)


def test_cmdline(read: Read) -> None:
    found = {row["PID"]: row["Args"] for row in read.rows["cmdline"]}
    wanted = {pid: process["command_line"] for pid, process in read.processes(linked=True).items()}
    assert {pid: line for pid, line in found.items() if line is not None and wanted[pid] is not None} == {
        pid: line for pid, line in wanted.items() if line is not None
    }
    assert found.keys() == wanted.keys()


def test_envars(read: Read) -> None:
    check_environments(read)


def test_vadinfo(read: Read) -> None:
    check_ranges(read)


@pytest.mark.skipif(not HAS_YARA, reason="yara-python is not installed")
def test_vadyarascan(read: Read) -> None:
    """Every certificate's name is found where the truth says, as far as page tables lead to it, and nowhere else."""
    image = read.paths.image.read_bytes()
    linked = read.processes(linked=True)
    wanted = set()
    for item in read.truth["objects"]:
        data = bytearray(item["length"])
        for piece in item["physical_extents"]:
            if piece["state"] in ("valid", "transition"):
                at, end = piece["physical_address"], piece["physical_address"] + piece["length"]
                data[piece["offset"] : piece["offset"] + piece["length"]] = image[at:end]
        offsets = [at for at in range(len(data)) if data.startswith(PATTERN, at)]
        for place in item["places"]:
            if place["pid"] in linked:
                wanted |= {(place["pid"], place["virtual_address"] + offset) for offset in offsets}
    assert len(wanted) > len(read.truth["objects"]) // 2
    assert {(row["PID"], row["Offset"]) for row in read.rows["vadyarascan"]} == wanted


def test_modules(read: Read) -> None:
    modules = read.rows["modules"]
    assert modules[0]["Name"] == "ntoskrnl.exe"
    assert modules[0]["Base"] == read.truth["kernel_base"] & ADDRESS_BITS
    assert "tcpip.sys" in {row["Name"] for row in modules}


def test_dlllist(read: Read) -> None:
    found: dict[int, set[int]] = {}
    for row in read.rows["dlllist"]:
        found.setdefault(row["PID"], set()).add(row["Base"])
    wanted = {
        pid: {entry["start"] for entry in process["ranges"] if entry["file"]}
        for pid, process in read.processes(linked=True).items()
        if process["ranges"]
    }
    assert found == wanted


def test_every_version(tmp_path: Path) -> None:
    """In one go, since starting volatility3 takes longest."""
    images = []
    for name in PROFILES:
        directory = tmp_path / name
        images.append(build_kernel(write_scenario(directory, scenario_text(version=f'"{name}"')), directory))
    for read in read_images(images, TELLING):
        check_tree(read)
        check_environments(read)
        check_ranges(read)
    assert len({json.loads(paths.truth.read_text())["pdb"]["guid"] for paths in images}) == len(PROFILES)


@pytest.mark.parametrize("version", ["7sp1", "21h2"])
def test_images_from_a_real_symbol_table(tmp_path: Path, version: str) -> None:
    """The oldest and the newest: what lies between agrees with the model's layouts in every offset."""
    (guid,) = (guid for guid, name in REAL_KERNELS.items() if name == version)
    table = SYMBOLS / "windows" / "ntkrnlmp.pdb" / f"{guid}-1.json.xz"
    if not table.exists():
        pytest.skip(f"no symbol table of a real kernel at {table}")
    paths = build_kernel(write_scenario(tmp_path), tmp_path, symbols=table)
    (read,) = read_images([paths], ("pstree",))
    assert (read.truth["pdb"]["guid"], read.truth["version"]) == (guid, version)
    check_tree(read)


def test_every_container(tmp_path: Path) -> None:
    images = []
    holes = '[{ start = "70 MiB", size = "2 MiB" }]'
    for name in CONTAINERS:
        if name == "kdump":  # volatility3 does not read it
            continue
        directory = tmp_path / name
        scenario = write_scenario(directory, scenario_text(size='"80 MiB"', holes=holes))
        images.append(build_kernel(scenario, directory, container=name))
    reads = read_images(images, ("pstree",))
    for read in reads:
        check_tree(read)
    for read in reads[1:]:
        same = {key for key in read.truth if read.truth[key] == reads[0].truth[key]}
        assert read.truth.keys() - same == {"image", "container"}
