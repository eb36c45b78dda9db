from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from dumpscan.exceptions import UsageError
from dumpscan.findings import Process
from dumpscan.memory.kernel.selection import select, with_tables
from dumpscan.memory.kernel.windows.processes import ListedProcess
from support.page_table_images import PRESENT, TableImage

if TYPE_CHECKING:
    from pathlib import Path

NOW = datetime(2024, 5, 17, tzinfo=UTC)
KERNEL = 0xFFFF_F803_1220_0000


def listed(pid: int, name: str, root: int | None = 1, *, ended: bool = False) -> ListedProcess:
    return ListedProcess(Process(pid=pid, name=name, exited=NOW if ended else None), root, 0, 0)


PROCESSES = [
    listed(4, "System"),
    listed(372, "smss.exe"),
    listed(5120, "w3wp.exe"),
    listed(5124, "w3wp.exe"),
    listed(6000, "SearchProtocol"),
]


def no_path(_entry: ListedProcess) -> str | None:
    return None


def chosen(pids: tuple[int, ...] = (), names: tuple[str, ...] = ()) -> list[int | None]:
    return [entry.process.pid for entry in select(PROCESSES, pids, names, no_path)]


def test_everything_without_a_filter() -> None:
    assert chosen() == [4, 372, 5120, 5124, 6000]


def test_ids_and_names_add_up_in_the_lists_order() -> None:
    assert chosen(pids=(5124, 4)) == [4, 5124]
    assert chosen(names=("W3WP.exe",)) == [5120, 5124]
    assert chosen(names=("*.exe",)) == [372, 5120, 5124]
    assert chosen(names=("s?ss.*",), pids=(5120,)) == [372, 5120]


def test_an_unknown_id_names_those_near_it() -> None:
    with pytest.raises(UsageError) as caught:
        chosen(pids=(4, 5123))
    assert str(caught.value) == (
        "no process has the id 5123; near it are: 5124 (w3wp.exe), 5120 (w3wp.exe), 6000 (SearchProtocol), "
        "372 (smss.exe), 4 (System)"
    )
    with pytest.raises(UsageError, match="there are no processes at all"):
        select([], (4,), (), no_path)


def test_an_unknown_name_names_those_like_it() -> None:
    with pytest.raises(UsageError, match=r"no process has a name like 'w3pw\*'; near it are: w3wp\.exe$"):
        chosen(names=("w3pw*",))


def test_a_name_that_the_kernel_cut_short_is_looked_up_in_the_process() -> None:
    asked: list[int | None] = []

    def path(entry: ListedProcess) -> str:
        asked.append(entry.process.pid)
        return "C:\\Windows\\System32\\SearchProtocolHost.exe"

    found = select(PROCESSES, (), ("searchprotocolhost.exe",), path)
    assert [entry.process.pid for entry in found] == [6000]
    assert asked == [6000]


def machine() -> tuple[TableImage, int]:
    memory = TableImage()
    system = memory.root()
    memory.map(system, KERNEL, 0x10)
    return memory, system


def roots(memory: TableImage, directory: Path, system: int, *entries: ListedProcess) -> tuple[list[int], list[str]]:
    problems: list[str] = []
    with memory.open(directory) as image:
        found = [root for _, root in with_tables(image, entries, system, problems)]
    return found, problems


def test_tables_that_share_the_kernels_half_are_walked(tmp_path: Path) -> None:
    memory, system = machine()
    shares, to_itself, ended = memory.root(), memory.root(), memory.root()
    for root in (shares, ended):
        memory.raw(root, KERNEL, memory.number(memory.entry(system, KERNEL, level=4)), level=4)
    memory.raw(to_itself, 0x1ED << 39, to_itself << 12 | PRESENT, level=4)
    entries = [listed(1, "a", shares), listed(2, "b", to_itself), listed(3, "c", ended, ended=True)]
    assert roots(memory, tmp_path, system, *entries) == ([shares, to_itself, ended], [])


def test_a_table_of_which_two_speak_is_the_running_ones(tmp_path: Path) -> None:
    memory, system = machine()
    assert roots(memory, tmp_path, system, listed(1, "old", system, ended=True), listed(2, "new", system)) == (
        [system],
        [],
    )


def test_a_process_half_alone_is_believed_if_it_makes_sense(tmp_path: Path) -> None:
    memory, system = machine()
    own, garbage, past = memory.root(), memory.root(), memory.root()
    memory.map(own, 0x1000, 0x11)
    memory.write(garbage * 4096, bytes(range(1, 256)) * 16)
    memory.raw(past, 0, 0x5555 << 12 | PRESENT, level=4)
    entries = [listed(1, "own", own), listed(2, "garbage", garbage), listed(3, "past", past)]
    found, problems = roots(memory, tmp_path, system, *entries)
    assert found == [own]
    assert [problem.split(":")[0] for problem in problems] == ["process 2 (garbage)", "process 3 (past)"]


def test_what_has_ended_and_lost_its_tables_is_passed_over(tmp_path: Path) -> None:
    memory, system = machine()
    own = memory.root()
    memory.map(own, 0x1000, 0x11)
    entries = [listed(1, "gone", own, ended=True), listed(2, "zeroed", None), listed(3, "absent", 0x9999)]
    assert roots(memory, tmp_path, system, *entries) == ([], [])
