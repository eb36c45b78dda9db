from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from dumpscan.case.triage import workers
from dumpscan.case.triage.task import ReadSettings, Task
from dumpscan.case.triage.unit import read_dump
from dumpscan.case.triage.workers import Here, Pool
from dumpscan.findings import Status
from support.corpus import ROOT

SAMPLE = ROOT / "sample_dumps" / "webserver.dmp"


def tasks(directory: Path, count: int, name: str = "dump") -> list[Task]:
    made = []
    for number in range(count):
        path = directory / f"{name}{number}.dmp"
        path.hardlink_to(SAMPLE)
        made.append(Task(path=str(path), size=path.stat().st_size, modified_ns=1, settings=ReadSettings()))
    return made


def statuses(who: workers.Workers, work: list[Task]) -> dict[str, Status]:
    advanced = []
    done = [result.record for result in who.results(work, advanced.append) if result is not None]
    assert len(done) == len(work)
    assert sum(advanced) > 0
    return {Path(record.path).name: record.status for record in done}


@pytest.mark.parametrize("who", [Here(), Pool(1), Pool(2)], ids=["here", "one", "two"])
def test_every_file_has_its_result(tmp_path: Path, who: workers.Workers) -> None:
    assert statuses(who, tasks(tmp_path, 5)) == {f"dump{number}.dmp": Status.OK for number in range(5)}


def deadly(task: Task) -> object:
    """Stands in for the unit of work, in a pool's processes: some files kill who reads them."""
    if "deadly" in task.path:
        os.kill(os.getpid(), signal.SIGKILL)
    workers._advance(1)
    return read_dump(task)


def test_a_file_that_kills_its_reader_harms_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "_work", deadly)
    work = tasks(tmp_path, 6)
    work[1:1] = tasks(tmp_path, 1, "deadly")
    found = statuses(Pool(2), work)
    assert found.pop("deadly0.dmp") is Status.PENDING
    assert set(found.values()) == {Status.OK}


STUCK = """
import sys, time
from pathlib import Path
from dumpscan.case.triage import workers
from dumpscan.case.triage.task import ReadSettings, Task

def stuck(task):
    Path(task.path).write_text(str(__import__("os").getpid()))
    time.sleep(600)

if __name__ == "__main__":
    workers._work = stuck
    task = Task(path=sys.argv[1], size=1, modified_ns=1, settings=ReadSettings())
    for _ in workers.Pool(1).results([task], lambda size: None):
        pass
"""


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def wait_for(condition: object) -> None:
    deadline = time.monotonic() + 60
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.02)


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc to see who is alive")
@pytest.mark.parametrize("sign", [signal.SIGKILL, signal.SIGINT])
def test_readers_end_with_their_coordinator(tmp_path: Path, sign: signal.Signals) -> None:
    script, said = tmp_path / "stuck.py", tmp_path / "pid"
    script.write_text(STUCK)
    with subprocess.Popen([sys.executable, str(script), str(said)], stderr=subprocess.DEVNULL) as coordinator:
        wait_for(lambda: said.exists() and said.read_text())
        reader = int(said.read_text())
        assert alive(reader)
        coordinator.send_signal(sign)
        coordinator.wait(60)
    wait_for(lambda: not alive(reader))


def test_an_abandoned_pool_ends(tmp_path: Path) -> None:
    results = Pool(1).results(tasks(tmp_path, 3), lambda _: None)
    while next(results) is None:
        pass
    results.close()
