from __future__ import annotations

import json
import struct
from datetime import datetime
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dumpscan.findings import Process
from dumpscan.memory.kernel.budget import TextBudgets
from dumpscan.memory.kernel.profile import ListedProcess
from dumpscan.memory.kernel.windows.parameters import _take, describe_process
from dumpscan.model.c_process import c_process
from dumpscan.synth.windows.process_blocks import PLAN32
from support.corpus import SYMBOLS
from support.kernel_images import Lab, build_lab
from support.page_table_images import PAGE, TableImage
from support.volatility_jobs import run_volatility

if TYPE_CHECKING:
    from pathlib import Path

    from support.volatility_jobs import Rows

PEB = 0x5B_3A20_0000
PARAMETERS = 0x1F_0000
BLOCK = 0x21_0800
WEB_SERVER, SWAPPED, LEGACY = 5120, 6200, 5200


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Lab:
    return build_lab(tmp_path_factory.mktemp("lab"))


def test_processes_are_those_of_the_systems_list(lab: Lab) -> None:
    with lab.open() as image:
        processes = [process for process in image.processes(environment=True) if not process.unlisted]
        assert image.damage == ()
        assert image.warnings == []
    found = {
        process.pid: (
            process.name,
            process.parent_pid,
            process.session,
            process.wow64,
            process.created,
            process.exited,
            process.executable,
            process.command_line,
            process.architecture,
        )
        for process in processes
    }
    wanted = {
        truth["pid"]: (
            truth["name"][:14],
            truth["parent_pid"],
            truth["session"],
            truth["wow64"],
            datetime.fromisoformat(truth["created"]),
            datetime.fromisoformat(truth["exited"]) if truth["exited"] else None,
            None if truth["exited"] else truth["executable"],
            None if truth["exited"] else truth["command_line"],
            "x86" if truth["wow64"] else "x64",
        )
        for truth in lab.listed()
    }
    assert found == wanted
    for process in processes:
        truth = lab.process(process.pid or 0)
        absent = truth["absent"] or truth["exited"]
        assert process.environment == (() if absent else tuple(truth["environment"] or ()))
        assert bool(process.notes) == bool(truth["absent"])


def test_times_are_utc(lab: Lab) -> None:
    with lab.open() as image:
        for process in image.processes():
            assert process.created is not None
            assert process.created.utcoffset() is not None
            assert process.created.isoformat().endswith("+00:00")


PLUGINS = ("windows.pslist", "windows.cmdline", "windows.envars")
TABLES = [None, *sorted(SYMBOLS.rglob("339E7413*.json.xz"))]
"""The model's own, and that of a real kernel (Windows 7 SP1) where it is at hand."""


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[Lab, list[Rows]]]:
    labs = [build_lab(tmp_path_factory.mktemp("lab"), symbols=table) for table in TABLES]
    rows = run_volatility([[lab.image, lab.symbols, plugin] for lab in labs for plugin in PLUGINS])
    count = len(PLUGINS)
    return [(lab, rows[number * count : number * count + count]) for number, lab in enumerate(labs)]


@pytest.mark.parametrize("number", range(len(TABLES)))
def test_volatility_itself_prints_the_same(answers: list[tuple[Lab, list[Rows]]], number: int) -> None:
    lab, (listed, lines, environments) = answers[number]
    with lab.open() as image:
        processes = [process for process in image.processes(environment=True) if not process.unlisted]
    assert [
        (process.pid, process.parent_pid, process.name, process.session, process.wow64, process.created, process.exited)
        for process in processes
    ] == [
        (
            *(row[key] for key in ("PID", "PPID", "ImageFileName", "SessionId", "Wow64")),
            *(row[key] and datetime.fromisoformat(row[key]) for key in ("CreateTime", "ExitTime")),
        )
        for row in listed
    ]
    assert [(process.pid, process.command_line) for process in processes] == [
        (row["PID"], row["Args"]) for row in lines
    ]
    # It drops names that begin with "=", and every environment of which a page is missing.
    assert [
        (process.pid, *entry.split("=", 1))
        for process in processes
        for entry in process.environment
        if not entry.startswith("=")
    ] == [(row["PID"], row["Variable"], row["Value"]) for row in _whole(environments)]


def _whole(rows: Rows) -> Rows:
    return [row for row in rows if row["PID"] != SWAPPED]


@pytest.mark.parametrize("version", ["7sp1", "8.1", "21h2"])
def test_a_32_bit_process_has_both_command_lines_and_environments(tmp_path: Path, version: str) -> None:
    lab = build_lab(tmp_path, version=f'"{version}"')
    dtb = lab.process(LEGACY)["dtb"]
    with lab.open() as image:
        process = next(process for process in image.processes(environment=True) if process.pid == LEGACY)
        assert (process.command_line_32, process.environment) == (None, ("ONLY=this",))
    fields = c_process.RTL_USER_PROCESS_PARAMETERS32.fields
    line = lab.locate(PLAN32.parameters + fields["CommandLine"].offset, dtb)
    changes = {
        lab.locate(PLAN32.environment, dtb): block("ONLY=that", "SET=at run time"),
        lab.locate(PLAN32.parameters + fields["EnvironmentSize"].offset, dtb): bytes(4),
        line: struct.pack("<HHI", 6, 8, PLAN32.parameters + 0xF00),
        lab.locate(PLAN32.parameters + 0xF00, dtb): "new\0".encode("utf-16-le"),
    }
    with lab.changed(tmp_path, changes).open() as image:
        process = next(process for process in image.processes(environment=True) if process.pid == LEGACY)
    assert process.command_line == lab.process(LEGACY)["command_line"]
    assert process.command_line_32 == "new"
    assert process.environment == ("ONLY=this", "ONLY=that", "SET=at run time")
    assert process.notes == ()


def test_pointers_to_32_bit_blocks_that_lead_nowhere(lab: Lab, tmp_path: Path) -> None:
    for number, value in enumerate((0, 8, 0x41414141, 1 << 63, (1 << 64) - 1)):
        directory = tmp_path / str(number)
        directory.mkdir()
        changed = lab.changed(directory, {lab.field(LEGACY, "WoW64Process"): struct.pack("<Q", value)})
        with changed.open() as image:
            process = next(process for process in image.processes(environment=True) if process.pid == LEGACY)
        assert (process.command_line_32, process.environment) == (None, ("ONLY=this",))


# --- Damage -----------------------------------------------------------------------------------------------------------


def pids(lab: Lab) -> tuple[list[int | None], tuple[str, ...]]:
    with lab.open() as image:
        found = image.processes(environment=True)
        return [process.pid for process in found if not process.unlisted], image.damage


def link(lab: Lab, pid: int) -> int:
    return int(lab.process(pid)["eprocess"]) + lab.offsets.offset("_EPROCESS", "ActiveProcessLinks")


def test_a_cycle_in_the_list_ends(lab: Lab, tmp_path: Path) -> None:
    changed = lab.changed(tmp_path, {lab.field(6000, "ActiveProcessLinks"): struct.pack("<Q", link(lab, 372))})
    found, damage = pids(changed)
    # The list is followed backwards too, so that nothing is lost.
    assert sorted(found) == sorted(process["pid"] for process in lab.listed())
    assert damage == (f"the list of processes is broken at 2 of {len(found)}: some may be missing",)


def test_a_list_that_breaks_off_keeps_what_is_there(lab: Lab, tmp_path: Path) -> None:
    nowhere = struct.pack("<QQ", 0xFFFF_9000_1234_5678, 0x4141_4141_4141_4141)
    changed = lab.changed(tmp_path, {lab.field(WEB_SERVER, "ActiveProcessLinks"): nowhere})
    found, damage = pids(changed)
    assert sorted(found) == sorted(process["pid"] for process in lab.listed())
    assert "broken at 3 of" in damage[0]


def test_an_empty_list_is_damage(lab: Lab, tmp_path: Path) -> None:
    head = lab.truth["kernel_base"] + lab.offsets.rva("PsActiveProcessHead")
    changed = lab.changed(tmp_path, {lab.locate(head): struct.pack("<QQ", head, head)})
    assert pids(changed) == ([], ("the list of processes is empty: does the symbol table belong to this kernel?",))


def test_a_list_without_an_end_is_cut(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dumpscan.memory.kernel.windows.processes.MAX_PROCESSES", 3)
    found, damage = pids(lab)
    assert len(found) == 3
    assert "the list of processes does not end: only the first 3 are taken" in damage


def test_a_running_process_without_its_tables_is_damage(lab: Lab, tmp_path: Path) -> None:
    field = lab.field(WEB_SERVER, "Pcb.DirectoryTableBase")
    changed = lab.changed(tmp_path, {field: struct.pack("<Q", 1 << 40)})
    with changed.open() as image:
        process = next(process for process in image.processes(environment=True) if process.pid == WEB_SERVER)
        assert (process.command_line, process.environment) == (None, ())
        assert "partial: the image does not hold the process environment block" in process.notes[0]
        assert image.damage == ("page tables that are not in the image: those of processes 5120 (w3wp.exe)",)


def test_bits_beside_the_address_of_the_tables_do_not_matter(lab: Lab, tmp_path: Path) -> None:
    dtb = lab.process(WEB_SERVER)["dtb"]
    changed = lab.changed(
        tmp_path, {lab.field(WEB_SERVER, "Pcb.DirectoryTableBase"): struct.pack("<Q", dtb | 0xABC | 1 << 63)}
    )
    with changed.open() as image:
        process = next(process for process in image.processes() if process.pid == WEB_SERVER)
        assert process.command_line == lab.process(WEB_SERVER)["command_line"]


def test_garbage_in_every_field_of_a_process_is_survived(lab: Lab, tmp_path: Path) -> None:
    start = lab.field(WEB_SERVER, "Pcb")
    links = lab.field(WEB_SERVER, "ActiveProcessLinks")
    size = min(lab.offsets.size("_EPROCESS"), PAGE - start % PAGE)
    for number, value in enumerate((0xFF, 0x41, 0x00)):
        changes = {at: bytes([value]) * 8 for at in range(start, start + size, 8) if not links <= at < links + 16}
        directory = tmp_path / str(number)
        directory.mkdir()
        found, _ = pids(lab.changed(directory, changes))
        assert len(found) >= len(lab.listed()) - 1


# --- Parameters by hand -----------------------------------------------------------------------------------------------


def process_with(
    directory: Path,
    *,
    command_line: bytes = b"",
    environment: bytes = b"",
    recorded: int | None = None,
    absent: tuple[int, ...] = (),
    length: int | None = None,
    budgets: TextBudgets | None = None,
) -> Process:
    """Make a process with these parameters, some of whose pages are absent, and read it."""
    memory = TableImage(128)
    root = memory.root()
    frames = iter(range(1, 100))

    def put(address: int, data: bytes) -> None:
        for page in range(address & ~0xFFF, address + max(len(data), 1), PAGE):
            frame = next(frames)
            if page not in absent:
                memory.map(root, page, frame)
            begin, end = max(page, address), min(page + PAGE, address + len(data))
            memory.write(frame * PAGE + begin - page, data[begin - address : end - address])

    put(PEB, c_process.PEB64(ProcessParameters=PARAMETERS).dumps())
    text = c_process.UNICODE_STRING64(
        Length=len(command_line) if length is None else length, Buffer=PARAMETERS + 0x800 if command_line else 0
    )
    parameters = c_process.RTL_USER_PROCESS_PARAMETERS64(
        CommandLine=text,
        Environment=BLOCK if environment else 0,
        EnvironmentSize=len(environment) if recorded is None else recorded,
    )
    put(PARAMETERS, parameters.dumps().ljust(0x800, b"\0") + command_line)
    if environment:
        put(BLOCK, environment)
    with memory.open(directory) as image:
        return describe_process(image, ListedProcess(Process(pid=8), root, PEB, 0), budgets, environment=True)


def block(*entries: str) -> bytes:
    return ("\0".join((*entries, "")) + "\0").encode("utf-16-le", "surrogatepass")


def test_an_environment_with_odd_names_and_lone_surrogates(tmp_path: Path) -> None:
    entries = ("=C:=C:\\x", "A=", "NOEQUALS", "λ=\ud800", "B=1=2")
    process = process_with(
        tmp_path, environment=block(*entries), command_line="a\ud800b".encode("utf-16-le", "surrogatepass")
    )
    assert process.environment == entries
    assert process.command_line == "a\ud800b"
    assert process.notes == ()


def test_what_follows_the_end_of_the_block_is_not_of_it(tmp_path: Path) -> None:
    data = block("A=1") + block("LEFT=over")
    assert process_with(tmp_path, environment=data).environment == ("A=1",)


def test_an_environment_goes_on_behind_a_page_that_is_absent(tmp_path: Path) -> None:
    # The block begins in the middle of a page; the next page is absent.
    entries = ["FIRST=1", "CUT=" + "x" * 3000, "LOST=" + "y" * 10, "SPANS=" + "z" * 1000, "LAST=1", "END=2"]
    process = process_with(tmp_path, environment=block(*entries), absent=(0x21_1000,))
    assert process.environment == ("FIRST=1", "LAST=1", "END=2")
    size = len(block(*entries))
    assert process.notes == (f"partial: 4096 of {size} bytes of the environment are not in the image; cut short: CUT",)


def test_an_environment_whose_first_page_is_absent(tmp_path: Path) -> None:
    entries = ["FIRST=" + "x" * 1200, "A=1", "B=2"]
    process = process_with(tmp_path, environment=block(*entries), absent=(0x21_0000,))
    assert process.environment == ("A=1", "B=2")
    assert f"partial: 2048 of {len(block(*entries))} bytes" in process.notes[0]


def test_all_environments_together_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dumpscan.memory.kernel.budget._AT_FIRST", 2 * PAGE)
    monkeypatch.setattr("dumpscan.memory.kernel.budget._IMAGE_PER_TEXT", 1 << 40)
    budgets = TextBudgets(1 << 30)
    data = block(*(f"N{number:04}={number}" for number in range(1000)))
    process = process_with(tmp_path, environment=data, budgets=budgets)
    assert process.environment[0] == "N0000=0"
    assert len(process.environment) < 1000
    note = (
        f"partial: 8192 of {len(data)} bytes of the environment are read: those of all processes together are too large"
    )
    assert process.notes[0] == note
    process = process_with(tmp_path, environment=block("A=1"), command_line=b"a\0", budgets=budgets)
    assert (process.environment, process.command_line) == ((), "a")
    assert budgets.problems == ("2 environments are cut or left out: together they are larger than 0 MiB",)


def test_an_environment_that_ends_early_costs_only_what_was_read(tmp_path: Path) -> None:
    budgets = TextBudgets(0)
    before = budgets.environments.left
    process = process_with(tmp_path, environment=block("A=1").ljust(20 * PAGE, b"x"), recorded=0, budgets=budgets)
    assert process.environment == ("A=1",)
    assert before - budgets.environments.left <= PAGE
    assert budgets.problems == ()


def test_zeros_that_are_no_end_do_not_end_an_environment(tmp_path: Path) -> None:
    """An entry that ends before a character whose low byte is zero: four zero bytes, but no empty string."""
    entries = ("A=" + "x" * 10, "\u0100B=2", "C=" + "y" * 5000, "D=4")
    process = process_with(tmp_path, environment=block(*entries))
    assert process.environment == entries


def test_all_command_lines_together_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dumpscan.memory.kernel.budget._AT_FIRST", 10)
    budgets = TextBudgets(0)
    assert process_with(tmp_path, command_line=b"a\0b\0c\0", budgets=budgets).command_line == "abc"
    process = process_with(tmp_path, command_line=b"a\0b\0c\0", budgets=budgets)
    assert process.command_line is None
    assert process.notes == ("partial: the command line is left out: those of all processes together are too large",)
    assert budgets.problems == ("1 command lines are cut or left out: together they are larger than 0 MiB",)


def test_what_is_left_out_of_an_image_is_damage(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dumpscan.memory.kernel.budget._AT_FIRST", 0)
    monkeypatch.setattr("dumpscan.memory.kernel.budget._IMAGE_PER_TEXT", 1 << 40)
    with lab.open() as image:
        processes = [process for process in image.processes(environment=True) if not process.unlisted]
        assert all(process.environment == () and process.command_line is None for process in processes)
        assert [problem.partition(" ")[2].split(":")[0] for problem in image.damage] == [
            "command lines are cut or left out",
            "environments are cut or left out",
        ]


def test_an_image_has_only_so_many_processes(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dumpscan.memory.kernel.windows.processes._FIRST_PROCESSES", 2)
    monkeypatch.setattr("dumpscan.memory.kernel.windows.processes._MEMORY_PER_PROCESS", lab.image.stat().st_size)
    found, damage = pids(lab)
    assert len(found) == 3
    assert "the list of processes does not end: only the first 3 are taken" in damage


def test_an_environment_without_an_end_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dumpscan.memory.kernel.windows.parameters._MAX_ENVIRONMENT_BYTES", 64)
    data = block(*(f"N{number}={number}" for number in range(1000)))
    process = process_with(tmp_path, environment=data, recorded=1 << 60)
    assert process.environment == ("N0=0", "N1=1", "N2=2", "N3=3", "N4=4", "N5=5")
    assert [note.split(":")[0] for note in process.notes] == ["partial", "partial"]


def test_a_command_line_is_read_as_far_as_it_is_there(tmp_path: Path) -> None:
    text = ("x" * 1500).encode("utf-16-le")
    process = process_with(tmp_path, command_line=text, absent=(PARAMETERS + PAGE,))
    assert process.command_line == "x" * 1024
    assert process.notes == (
        f"partial: of the command line at {PARAMETERS + 0x800:#x}, the image holds 2048 of 3000 bytes",
    )


def test_a_command_line_ends_at_a_nul_as_volatility_has_it(tmp_path: Path) -> None:
    assert process_with(tmp_path, command_line="a b\0c".encode("utf-16-le")).command_line == "a b"
    assert process_with(tmp_path, command_line=b"", length=10).command_line is None


@pytest.mark.parametrize(
    ("absent", "note"),
    [
        (PEB, "partial: the image does not hold the process environment block at 0x5b3a200000"),
        (PARAMETERS, "partial: the image does not hold the process parameters at 0x1f0000"),
    ],
)
def test_blocks_that_are_absent_are_said(tmp_path: Path, absent: int, note: str) -> None:
    process = process_with(tmp_path, command_line=b"a\0", environment=block("A=1"), absent=(absent,))
    assert (process.command_line, process.environment, process.notes) == (None, (), (note,))


def test_what_is_missing_of_a_32_bit_block_is_said(tmp_path: Path) -> None:
    memory = TableImage(128)
    root = memory.root()
    memory.map(root, PEB, 1)
    memory.map(root, PARAMETERS, 2)
    memory.write(PAGE, c_process.PEB64(ProcessParameters=PARAMETERS).dumps())
    with memory.open(tmp_path) as image:
        listed = ListedProcess(Process(pid=8), root, PEB, 0, user_block_32=0x40_0000)
        process = describe_process(image, listed, environment=True)
    assert process.notes == ("partial: the image does not hold the 32-bit process environment block at 0x400000",)


def test_a_process_without_a_block_has_nothing_to_say(tmp_path: Path) -> None:
    with TableImage().open(tmp_path) as image:
        plain = Process(pid=4)
        assert describe_process(image, ListedProcess(plain, 5, 0, 0), environment=True) == plain
        ended = describe_process(image, ListedProcess(plain, None, PEB, 0), environment=True)
        assert ended.notes == ("no command line and no environment: it has no page tables any more",)


@given(
    entries=st.lists(st.text(st.characters(exclude_characters="\0"), min_size=1, max_size=20), max_size=8),
    cuts=st.tuples(st.integers(0, 200), st.integers(0, 200)),
)
def test_entries_around_a_hole_are_whole_or_left_out(entries: list[str], cuts: tuple[int, int]) -> None:
    data = block(*entries) if entries else b"\0\0"
    first, second = sorted(min(cut * 2, len(data)) for cut in cuts)
    found: list[str] = []
    if not _take(data[:first], found, [], after_hole=False, before_hole=True):
        _take(data[second:], found, [], after_hole=True, before_hole=False)
    if not entries:
        assert found == []
    remaining = iter(entries)
    if data[:first].count(b"\0\0") or second > first:
        # In order, each one of the real ones (where the cut falls between the halves of a surrogate pair, too).
        assert all(any(entry == real for real in remaining) for entry in found)
    assert json.dumps(found)
