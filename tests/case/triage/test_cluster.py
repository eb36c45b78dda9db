"""Triage on a real Dask cluster on this machine: a scheduler and workers in processes of their own."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from dumpscan.case.records import CaseError
from dumpscan.case.store.reader import Case
from dumpscan.case.store.writer import CaseWriter
from dumpscan.case.triage.cluster import Cluster
from dumpscan.case.triage.run import triage
from dumpscan.case.triage.task import ReadSettings
from dumpscan.case.triage.workers import Here
from dumpscan.findings import Status
from support.corpus import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from dumpscan.case.triage.run import TriageProgress

pytest.importorskip("distributed", reason="distributed is not installed (extra `cluster`)")
SAMPLE = ROOT / "sample_dumps" / "webserver.dmp"
QUIET = {"DASK_DISTRIBUTED__ADMIN__LOG_LENGTH": "0"}


@contextmanager
def started(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "distributed.cli." + arguments[0], *arguments[1:]]
    environment = {**os.environ, **QUIET, "PYTHONWARNINGS": "ignore"}
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment) as process:
        try:
            yield process
        finally:
            process.kill()
            process.communicate()


@contextmanager
def cluster(directory: Path) -> Iterator[tuple[str, list[subprocess.Popen[str]]]]:
    """Have a scheduler and two workers; yield its address, and the processes of the workers and the scheduler."""
    with started("dask_scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard") as scheduler:
        assert scheduler.stderr is not None
        address = None
        for line in scheduler.stderr:
            if found := re.search(r"(tcp://127\.0\.0\.1:\d+)", line):
                address = found[1]
                break
        assert address is not None
        threading.Thread(target=scheduler.stderr.read, daemon=True).start()
        options = (address, "--nthreads", "1", "--no-nanny", "--no-dashboard", "--local-directory", str(directory))
        with started("dask_worker", *options) as one, started("dask_worker", *options) as two:
            for worker in (one, two):
                assert worker.stderr is not None
                threading.Thread(target=worker.stderr.read, daemon=True).start()
            from distributed import Client  # noqa: PLC0415 - where it is installed

            with Client(address, timeout=250, set_as_default=False) as client:
                client.wait_for_workers(2)
            yield address, [one, two, scheduler]


def test_a_worker_that_is_killed_loses_nothing(tmp_path: Path) -> None:
    dumps = tmp_path / "dumps"
    dumps.mkdir()
    for number in range(60):
        (dumps / f"{number:03}.dmp").hardlink_to(SAMPLE)
    (dumps / "notes.txt").write_text("nothing")
    with CaseWriter.open(tmp_path / "here.db") as writer:
        triage(writer, [str(dumps)], ReadSettings(), workers=Here())
    killed: list[int] = []
    with cluster(tmp_path) as (address, workers), CaseWriter.open(tmp_path / "there.db") as writer:

        def kill_one(state: TriageProgress) -> None:
            if state.files_done >= 10 and not killed:
                killed.append(state.files_done)
                workers[0].send_signal(signal.SIGKILL)

        outcome = triage(writer, [str(dumps)], ReadSettings(), workers=Cluster(address), progress=kill_one)
    assert killed
    assert killed[0] < 50
    assert outcome.statuses == {Status.OK: 60, Status.OTHER: 1}
    with Case.open(tmp_path / "here.db") as here, Case.open(tmp_path / "there.db") as there:
        assert list(here.findings()) == list(there.findings())
        assert [dump.path for dump in here.dumps()] == [dump.path for dump in there.dumps()]


def test_a_scheduler_that_is_killed_leaves_what_was_finished(tmp_path: Path) -> None:
    dumps = tmp_path / "dumps"
    dumps.mkdir()
    for number in range(60):
        (dumps / f"{number:03}.dmp").hardlink_to(SAMPLE)
    killed: list[int] = []
    with cluster(tmp_path) as (address, processes), CaseWriter.open(tmp_path / "case.db") as writer:

        def kill_it(state: TriageProgress) -> None:
            if state.files_done >= 10 and not killed:
                killed.append(state.files_done)
                processes[2].send_signal(signal.SIGKILL)

        with pytest.raises(CaseError, match="the scheduler is gone"):
            triage(writer, [str(dumps)], ReadSettings(), workers=Cluster(address), progress=kill_it)
        assert len(writer.known()) >= 10
        outcome = triage(writer, [str(dumps)], ReadSettings(), workers=Here())
        assert outcome.statuses == {Status.OK: 60}
        assert outcome.read <= 50


def test_a_scheduler_that_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dumpscan.case.triage.cluster._CONNECT_SECONDS", 0.5)
    with CaseWriter.open(tmp_path / "case.db") as writer, pytest.raises(CaseError, match="no scheduler"):
        triage(writer, [str(SAMPLE)], ReadSettings(), workers=Cluster("tcp://127.0.0.1:1"))


def test_without_distributed_it_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> None:
        raise ImportError(name)

    monkeypatch.setattr("dumpscan.case.triage.cluster.import_module", absent)
    with pytest.raises(CaseError, match=r"dumpscan\[cluster\]"):
        Cluster("tcp://x")
