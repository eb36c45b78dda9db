from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import pytest

from dumpscan.case.triage import workers
from dumpscan.case.triage.task import ReadSettings, Task
from dumpscan.case.triage.unit import read_dump
from dumpscan.case.triage.workers import Here, Pool
from dumpscan.findings import Status
from dumpscan.memory.packed.scratch import remove_abandoned
from support.corpus import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable

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
import signal, sys, time
from pathlib import Path
from dumpscan.case.triage import workers
from dumpscan.case.triage.task import ReadSettings, Task

def stuck(task):
    Path(task.path).write_text(str(__import__("os").getpid()))
    time.sleep(600)

if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)  # it may have been started with SIGINT ignored
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


def wait_for(condition: Callable[[], object]) -> None:
    """Wait for as long as it takes: the suite's time limit ends a test that would wait for ever."""
    while not condition():
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
        coordinator.wait()
    wait_for(lambda: not alive(reader))


IGNORING = """
import os, signal, sys
signal.signal(signal.SIGINT, signal.SIG_IGN)
os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
"""


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc to see who is alive")
def test_readers_end_with_a_coordinator_that_was_started_with_sigint_ignored(tmp_path: Path) -> None:
    script, said = tmp_path / "stuck.py", tmp_path / "pid"
    script.write_text(STUCK)
    command = [sys.executable, "-c", IGNORING, str(script), str(said)]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as coordinator:
        wait_for(lambda: said.exists() and said.read_text())
        reader = int(said.read_text())
        coordinator.send_signal(signal.SIGINT)
        coordinator.wait()
    wait_for(lambda: not alive(reader))


INTERRUPTED = """
import sys
from dumpscan.case.triage import workers
from dumpscan.case.triage.task import ReadSettings, Task

if __name__ == "__main__":
    workers._UNIT = "interrupted"
    task = Task(path=sys.argv[1], size=1, modified_ns=1, settings=ReadSettings())
    for result in workers.Pool(1).results([task], lambda size: None):
        if result is not None:
            print(result.record.status.value)
"""


@pytest.mark.skipif(not hasattr(signal, "pthread_sigmask"), reason="there is no fork server on Windows")
def test_an_interrupt_while_processes_start_is_the_coordinators(tmp_path: Path) -> None:
    """Ctrl-C reaches all processes of a terminal, also those that are still importing what they need."""
    (tmp_path / "interrupted.py").write_text("import os, signal; os.kill(os.getpid(), signal.SIGINT)")
    script = tmp_path / "script.py"
    script.write_text(INTERRUPTED)
    done = subprocess.run(
        [sys.executable, str(script), str(SAMPLE)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.stdout, done.stderr) == ("ok\n", "")


SPAWNS = """
import os, sys, time
from pathlib import Path
from dumpscan.case.triage.workers import _context
if __name__ == "__main__":
    _context()
    Path(sys.argv[1]).write_text("ready")
    time.sleep(600)
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no SIGKILL here")
def test_what_a_killed_coordinator_leaves_is_removed_by_the_next(tmp_path: Path) -> None:
    script, said = tmp_path / "spawns.py", tmp_path / "said"
    script.write_text(SPAWNS)
    with TemporaryDirectory(prefix="t") as name:  # names of sockets are short
        directory = Path(name)
        environment = {**os.environ, "TMPDIR": name}
        with subprocess.Popen([sys.executable, str(script), str(said)], env=environment) as coordinator:
            wait_for(said.exists)
            remove_abandoned(directory)
            assert list(directory.iterdir())  # it lives
            coordinator.kill()
        assert list(directory.iterdir())
        remove_abandoned(directory)
        assert list(directory.iterdir()) == []


def test_an_abandoned_pool_ends(tmp_path: Path) -> None:
    results = Pool(1).results(tasks(tmp_path, 3), lambda _: None)
    while next(results) is None:
        pass
    results.close()


@pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="Windows has no such signals")
def test_an_interrupt_that_another_thread_takes_comes_behind_the_block() -> None:
    """A process that is half started when the coordinator is interrupted would be ended by nobody."""
    done, ended = threading.Event(), []
    thread = threading.Thread(target=done.wait)
    thread.start()
    before = signal.signal(signal.SIGINT, signal.default_int_handler)

    def interrupted() -> None:
        with workers._without_interrupts():
            signal.pthread_kill(thread.ident or 0, signal.SIGINT)
            time.sleep(0.1)
            ended.append("the block")

    try:
        with pytest.raises(KeyboardInterrupt):
            interrupted()
    finally:
        signal.signal(signal.SIGINT, before)
        done.set()
        thread.join()
    assert ended == ["the block"]
