from __future__ import annotations

import json
import lzma
import struct
from datetime import datetime
from typing import TYPE_CHECKING

import pytest

from dumpscan.exceptions import InputError, UsageError
from dumpscan.memory import volatility
from dumpscan.memory.kernel.image import KernelImage
from dumpscan.memory.symbols.errors import SymbolsError
from dumpscan.memory.symbols.store import SymbolsMissingError
from support.kernel_images import KERNEL_PID, Lab, build_lab, planted
from support.page_table_images import PAGE
from support.volatility_jobs import run_volatility

if TYPE_CHECKING:
    from pathlib import Path

WEB_SERVER, LEGACY = 5120, 5200


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Lab:
    return build_lab(tmp_path_factory.mktemp("lab"))


@pytest.fixture(autouse=True)
def nobodys_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No table of the machine's own must be found."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home-cache"))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "home-data"))
    monkeypatch.delenv("DUMPSCAN_SYMBOLS", raising=False)


def test_a_summary(lab: Lab) -> None:
    with lab.open() as image:
        summary = image.describe()
        assert (image.damage, image.warnings) == ((), [])
    pages = summary.pop("pages")
    pdb = lab.truth["pdb"]
    assert summary == {
        "format": "raw",
        "physical_memory": {"bytes": 64 << 20, "runs": 1, "end": "0x4000000"},
        "kernel": {
            "base": hex(lab.truth["kernel_base"]),
            "dtb": hex(lab.truth["dtb"]),
            "pdb": pdb["name"],
            "guid": pdb["guid"],
            "age": pdb["age"],
        },
        "system": {
            "architecture": "x64",
            "version": f"10.0.{lab.truth['build']}",
            "build": lab.truth["build_lab"],
            "product": lab.truth["product"],
            "system_root": "C:\\Windows",
            "time": datetime.fromisoformat(lab.truth["system_time"]),
        },
        "symbols": {"state": "present", "table": lab.table.as_uri()},
        "processes": len(lab.listed()),
    }
    assert isinstance(pages, dict)
    assert pages["in_image"] == (64 << 20) // PAGE
    assert pages["mapped_frames"] + pages["unmapped_frames"] == pages["in_image"]
    assert pages["mappings"] > pages["mapped_frames"] > 1000
    assert pages["large_pages"] == 2
    assert pages["transition"] > 3
    assert pages["prototype"] == 2
    assert pages["past_the_image"] == pages["looped_tables"] == 0
    assert json.dumps(pages)


def test_without_its_symbol_table_an_image_is_described_as_far_as_it_goes(lab: Lab) -> None:
    with lab.open(symbols=()) as image:
        summary = image.describe()
        assert summary["symbols"] == {
            "state": "missing",
            "server_path": f"ntkrnlmp.pdb/{lab.truth['pdb']['guid']}1/ntkrnlmp.pdb",
        }
        assert "processes" not in summary
        assert image.damage == ()
        assert [table.pdb.guid for table in image.missing_tables] == [lab.truth["pdb"]["guid"]]


def test_a_missing_table_is_named_with_three_ways_to_get_it(lab: Lab) -> None:
    pdb = lab.truth["pdb"]
    for ask in (KernelImage.processes, KernelImage.page_map):
        with lab.open(symbols=()) as image, pytest.raises(SymbolsMissingError) as caught:
            ask(image)
        message = str(caught.value)
        for part in (
            str(lab.image),
            pdb["name"],
            pdb["guid"],
            f"age {pdb['age']}",
            "--online",
            "--symbols DIR",
            "PACK",
        ):
            assert part in message
        assert caught.value.pdb.guid == pdb["guid"]


def test_tables_that_do_not_fit_are_named(lab: Lab, tmp_path: Path) -> None:
    table = json.loads(lzma.decompress(lab.table.read_bytes()))
    name = lab.table.name
    for number, (content, problem) in enumerate(
        (
            (b"garbage", "is no symbol table: it names no PDB"),
            (_with_guid(table, "F" * 32), f"is the table of another kernel, GUID {'F' * 32}, age 1"),
            (_without(table, "user_types", "_EPROCESS"), "cannot be used"),
            (lzma.compress(b'{"GUID": "' + lab.truth["pdb"]["guid"].encode() + b'", "age": 1'), "cannot be used"),
        )
    ):
        directory = tmp_path / str(number)
        directory.mkdir()
        (directory / name).write_bytes(content)
        with lab.open(symbols=[directory]) as image, pytest.raises(SymbolsMissingError) as caught:
            image.processes()
        assert f"{directory / name}: {problem}" in str(caught.value)


@pytest.mark.parametrize("structure", ["_KTHREAD", "_KPROCESS", "_EPROCESS"])
def test_a_type_that_makes_no_sense_is_told_when_it_is_needed(structure: str, lab: Lab, tmp_path: Path) -> None:
    table = json.loads(lzma.decompress(lab.table.read_bytes()))
    for field in table["user_types"][structure]["fields"].values():
        field["type"] = {"kind": "base", "name": 1 << 70}
    path = tmp_path / lab.table.name
    path.write_bytes(lzma.compress(json.dumps(table).encode()))
    with lab.open(symbols=[path]) as image, pytest.raises(SymbolsError, match="cannot be used"):
        image.best_page_map()  # lists the processes, and those that the kernel's list leaves out


def _with_guid(table: dict[str, dict[str, dict[str, dict[str, str]]]], guid: str) -> bytes:
    pdb = {**table["metadata"]["windows"]["pdb"], "GUID": guid}
    return lzma.compress(json.dumps({**table, "metadata": {"windows": {"pdb": pdb}, "format": "6.2.0"}}).encode())


def _without(table: dict[str, dict[str, object]], part: str, name: str) -> bytes:
    kept = {key: value for key, value in table[part].items() if key != name}
    return lzma.compress(json.dumps({**table, part: kept}).encode())


def test_a_table_of_the_wrong_kernel_under_the_right_name_shows(lab: Lab, tmp_path: Path) -> None:
    """Offsets that are not this kernel's: no traceback, bounded work, and the doubt is said."""
    other = build_lab(tmp_path / "other", version='"7sp1"')
    table = json.loads(lzma.decompress(other.table.read_bytes()))
    (tmp_path / lab.table.name).write_bytes(_with_guid(table, lab.truth["pdb"]["guid"]))
    with lab.open(symbols=[tmp_path / lab.table.name]) as image:
        image.processes(environment=True)
        image.best_page_map()
        assert "processes make no sense: does the symbol table belong to this kernel?" in image.damage[0]


def test_a_second_command_starts_from_what_is_remembered(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    with lab.open() as image:
        first = image.profile.kernels
    monkeypatch.setattr(
        "dumpscan.memory.kernel.windows.profile.find_kernels", lambda _image: pytest.fail("searched again")
    )
    with lab.open() as image:
        assert image.profile.kernels == first
        assert len(image.listed) == len(lab.listed())


def test_filters(lab: Lab) -> None:
    with lab.open() as image:
        assert [process.pid for process in image.processes(pids=[LEGACY])] == [LEGACY]
        assert [process.pid for process in image.processes(names=["w3*"])] == [WEB_SERVER]
        # The kernel's own name for it ends after 14 characters.
        assert [process.name for process in image.processes(names=["gone-long-ago.exe", "gone-long*"][1:])] == [
            "gone-long-ago."
        ]
        with pytest.raises(UsageError, match="near it are: 5120"):
            image.processes(pids=[5121])
        owners = {entry.process.pid for entry in image.page_map(pids=[LEGACY]).owners if not entry.kernel}
        assert owners == {LEGACY}


def test_the_page_map_knows_every_planted_object(lab: Lab) -> None:
    with lab.open() as image:
        page_map = image.page_map()
        for pid, address, physical, _, _ in planted(lab.truth):
            seen = {
                (page_map.owners[mapping.owner].process.pid, mapping.address) for mapping in page_map.mappings(physical)
            }
            assert ((pid, address) in seen) == (address is not None)
            assert (address is None) == (not seen)
        assert all(owner.process.pid == KERNEL_PID for owner in page_map.owners if owner.kernel)


def test_images_without_a_kernel(tmp_path: Path) -> None:
    for data, problem in (
        (bytes(1 << 20), "no Windows kernel in it: expected its page tables and its program"),
        (bytes(5000) + b"Linux version 6.1" + bytes(5000), "no Windows kernel in it, but a Linux one"),
        (
            bytes(5000) + b"RSDS" + bytes(20) + b"ntkrnlmp.pdb\0" + bytes(5000),
            "no page tables of a Windows kernel in it",
        ),
    ):
        path = tmp_path / "image.raw"
        path.write_bytes(data)
        with KernelImage(path, cache_dir=tmp_path / "cache") as image:
            for ask in (KernelImage.describe, KernelImage.processes, KernelImage.page_map, KernelImage.best_page_map):
                with pytest.raises(InputError, match=problem):
                    ask(image)
        path.unlink()


@pytest.mark.parametrize("size", [0x1000, 0x148000, 0x1AD000, 20 << 20, 40 << 20, 60 << 20, (50 << 20) + 77])
def test_an_image_cut_anywhere_ends_in_words(lab: Lab, tmp_path: Path, size: int) -> None:
    with lab.changed(tmp_path, {}, size).open() as image:
        try:
            image.describe()
            image.processes(environment=True)
        except InputError:
            return
        assert image.damage != ()


def remains(lab: Lab, directory: Path, *, clock: int, guid: bytes) -> Lab:
    """Put a second system's tables, clock and program below the real one, where volatility3 would take them."""
    root, kuser, program = 0x1A0, 0x1A4, 0x1A5
    before = lab.image.read_bytes()
    assert not any(before[root * PAGE : (root + 10) * PAGE]), "the lab has something there"
    changes = {
        root * PAGE + 0x111 * 8: struct.pack("<Q", root << 12 | 0x63),
        kuser * PAGE + 0x26C: struct.pack("<I", 10),
        kuser * PAGE + 0x14: struct.pack("<Q", clock),
        program * PAGE: b"MZ" + bytes(98) + b"RSDS" + guid + struct.pack("<I", 1) + b"ntkrnlmp.pdb\0",
    }
    for address, tables in ((OTHER_BASE, (0x1A1, 0x1A2, 0x1A3, program)), (KUSER, (0x1A6, 0x1A7, 0x1A8, kuser))):
        table = root
        for shift, following in zip((39, 30, 21, 12), tables, strict=True):
            changes[table * PAGE + (address >> shift & 511) * 8] = struct.pack("<Q", following << 12 | 0x63)
            table = following
    return lab.changed(directory, changes)


OTHER_BASE, KUSER = 0xFFFF_F800_0000_0000, 0xFFFF_F780_0000_0000
LATER = 1 << 60


def test_remains_of_another_kernel_are_said(lab: Lab, tmp_path: Path) -> None:
    with remains(lab, tmp_path, clock=1, guid=b"\xaa" * 16).open() as image:
        assert image.profile.kernel.base == lab.truth["kernel_base"]
        assert len(image.listed) == len(lab.listed())
        sentence = f"the one at {lab.truth['kernel_base']:#x} is used, not {OTHER_BASE:#x} ({'AA' * 16})"
        assert image.warnings == [f"remains of 2 kernels: {sentence}"]
        states = image.symbols_states()
        assert [(state.pdb.guid, state.state) for state in states if state.pdb] == [
            (lab.truth["pdb"]["guid"], "present"),
            ("AA" * 16, "missing"),
        ]


def test_a_kernel_without_processes_is_not_the_one(lab: Lab, tmp_path: Path) -> None:
    # Its clock is later and its symbol table there, but its list of processes is not.
    guid = bytes.fromhex(lab.truth["pdb"]["guid"])
    mixed = guid[3::-1] + guid[5:3:-1] + guid[7:5:-1] + guid[8:]
    with remains(lab, tmp_path, clock=LATER, guid=mixed).open() as image:
        assert [kernel.base for kernel in image.profile.kernels] == [OTHER_BASE, lab.truth["kernel_base"]]
        assert image.profile.kernel.base == lab.truth["kernel_base"]
        assert len(image.listed) == len(lab.listed())


def test_which_table_is_needed(lab: Lab, tmp_path: Path) -> None:
    with lab.open() as image:
        (state,) = image.symbols_states()
        assert (state.state, state.table, state.problem) == ("present", lab.table, None)
        assert state.server_path == f"ntkrnlmp.pdb/{lab.truth['pdb']['guid']}1/ntkrnlmp.pdb"
    with lab.open(symbols=()) as image:
        assert image.symbols_states()[0].state == "missing"
    path = tmp_path / "zeros.raw"
    path.write_bytes(bytes(PAGE))
    with KernelImage(path, cache_dir=tmp_path) as image:
        state = image.symbols_states()[0]
        assert (state.state, state.pdb, state.server_path) == ("unknown", None, None)
        assert "no Windows kernel" in str(state.problem)
    path.write_bytes(bytes(100) + b"RSDS" + b"\xaa" * 16 + struct.pack("<I", 3) + b"ntkrnlmp.pdb\0")
    with KernelImage(path, cache_dir=tmp_path) as image:
        state = image.symbols_states()[0]
        assert (state.state, state.pdb and state.pdb.age) == ("missing", 3)
        assert state.problem == "found in memory, but no page tables with it"


def test_our_plugin_runs_in_volatility(lab: Lab) -> None:
    plugin = ["-p", volatility.plugins_directory(), "dumpscan.x509.X509", "--pid", str(LEGACY)]
    (rows,) = run_volatility([[lab.image, lab.symbols, *plugin]])
    wanted = {place for place in planted(lab.truth) if place[0] == LEGACY}
    assert {(row["PID"], row["Offset(V)"], row["Offset(P)"], row["SHA-256"], row["Missing"]) for row in rows} == wanted
    assert {row["Process"] for row in rows} == {"legacy32.exe"}


def test_our_plugin_shows_everything_secret_in_volatility(lab: Lab) -> None:
    plugin = ["-p", volatility.plugins_directory(), "dumpscan.keys.Keys", "--pid", str(WEB_SERVER)]
    (rows,) = run_volatility([[lab.image, lab.symbols, *plugin]])
    secret = {each["sha256"] for each in lab.truth["objects"] if each["kind"] == "private_key"}
    wanted = {place[1] for place in planted(lab.truth) if place[0] == WEB_SERVER and place[3] in secret}
    assert {row["Offset(V)"] for row in rows} == wanted
    (key_id,) = {each["key_id"] for each in lab.truth["objects"] if each["kind"] == "private_key"}
    assert {(row["Kind"], row["Key ID"], row["Library"]) for row in rows} == {("private_key", key_id, None)}
