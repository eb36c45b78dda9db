"""Which processes' page tables can be walked."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from dumpscan.findings import Process
from dumpscan.memory.kernel.profile import ListedProcess
from dumpscan.memory.kernel.windows.process_tables import with_tables
from support.page_table_images import PRESENT, TableImage

if TYPE_CHECKING:
    from pathlib import Path

NOW = datetime(2024, 5, 17, tzinfo=UTC)
KERNEL = 0xFFFF_F803_1220_0000


def listed(pid: int, name: str, root: int | None = 1, *, ended: bool = False) -> ListedProcess:
    return ListedProcess(Process(pid=pid, name=name, exited=NOW if ended else None), root, 0, 0)


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
