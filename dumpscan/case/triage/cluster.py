"""Reads files on a Dask cluster, near the data. The unit of work is the same as on this machine.

The workers must have this version of dumpscan, and must see the files under the names that the coordinator uses: in
shared directories, or by URLs.
"""

from __future__ import annotations

import asyncio
from collections import deque
from concurrent.futures import CancelledError
from contextlib import suppress
from importlib import import_module
from typing import TYPE_CHECKING, Any

from dumpscan._version import __version__
from dumpscan.case.records import CaseError
from dumpscan.case.triage.unit import read_dump
from dumpscan.case.triage.workers import TICK

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence

    from dumpscan.case.store.writer import DumpResult
    from dumpscan.case.triage.task import Task

_CONNECT_SECONDS = 15
_RETRIES = 2
_AHEAD = 2
_LEAST_AHEAD = 4
_GONE = "the scheduler is gone; what was finished is in the case"


class Cluster:
    """Reads files on a Dask cluster. If a worker dies, another reads its file.

    Args:
        scheduler: Address of its scheduler, e.g. `tcp://scheduler:8786`.

    Raises:
        CaseError: The extra `cluster` is not installed.
    """

    def __init__(self, scheduler: str) -> None:
        self._scheduler = scheduler
        try:
            self._distributed: Any = import_module("distributed")
        except ImportError as error:
            raise CaseError("--scheduler needs the extra `cluster`: pip install 'dumpscan[cluster]'") from error

    def results(
        self,
        tasks: Sequence[Task],
        advance: Callable[[int], None],  # noqa: ARG002 - workers report files, not bytes
    ) -> Generator[DumpResult | None]:
        """Read files (see `Workers`).

        Raises:
            CaseError: The scheduler cannot be reached any more, or its workers cannot run dumpscan.
        """
        client = self._client()
        try:
            waiting = deque(tasks)
            running: dict[Any, Task] = {}
            while waiting or running:
                if client.status not in {"running", "connecting"}:
                    raise CaseError(f"{self._scheduler}: {_GONE}")
                ahead = max(_AHEAD * sum(client.nthreads().values()), _LEAST_AHEAD)
                while waiting and len(running) < ahead:
                    task = waiting.popleft()
                    running[client.submit(read_dump, task, pure=False, retries=_RETRIES)] = task
                try:
                    with client.as_current():
                        done = self._distributed.wait(list(running), timeout=TICK, return_when="FIRST_COMPLETED").done
                except TimeoutError:
                    yield None
                    continue
                for future in done:
                    task = running.pop(future)
                    error = future.exception()
                    yield future.result() if error is None else task.failed(f"no worker could read it: {error}"[:500])
        except (OSError, CancelledError, asyncio.CancelledError) as error:
            raise CaseError(f"{self._scheduler}: {_GONE}") from error
        finally:
            with suppress(Exception):
                client.close()

    def _client(self) -> Any:  # noqa: ANN401 - distributed is optional
        try:
            client = self._distributed.Client(self._scheduler, timeout=_CONNECT_SECONDS, set_as_default=False)
        except (OSError, ValueError) as error:
            raise CaseError(f"{self._scheduler}: no scheduler can be reached there: {error}") from error
        try:
            versions = set(client.run(_version).values())
        except Exception as error:  # whatever a worker that cannot import dumpscan raises
            client.close()
            raise CaseError(f"{self._scheduler}: its workers cannot run dumpscan: {error}") from error
        if versions - {__version__}:
            client.close()
            theirs = ", ".join(sorted(str(version) for version in versions))
            raise CaseError(f"{self._scheduler}: its workers have dumpscan {theirs}; {__version__} is needed")
        return client


def _version() -> str:
    return __version__
