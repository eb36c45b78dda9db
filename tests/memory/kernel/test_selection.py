from __future__ import annotations

from datetime import UTC, datetime

import pytest

from dumpscan.exceptions import NoSuchProcessError, UsageError
from dumpscan.findings import Process
from dumpscan.memory.kernel.profile import ListedProcess
from dumpscan.memory.kernel.selection import select

NOW = datetime(2024, 5, 17, tzinfo=UTC)


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


def test_a_name_without_wildcards_is_looked_for_within_names() -> None:
    assert chosen(names=("w3wp",)) == [5120, 5124]
    assert chosen(names=("3WP.e",)) == [5120, 5124]
    assert chosen(names=("w3w?.exe",)) == [5120, 5124]
    with pytest.raises(NoSuchProcessError):
        chosen(names=("3wp?exe",))
    with pytest.raises(NoSuchProcessError):
        chosen(names=("",))
