"""Who does the work on this machine: the process itself, or a pool of others that may die without harm to the rest.

Whoever works hands back results as they come, and None now and then, so that the coordinator can say how far it is.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections import deque
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from functools import cache
from multiprocessing.connection import wait as wait_for_any
from typing import TYPE_CHECKING, Any, Protocol

from dumpscan.scratch import ScratchDirectory

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Sequence
    from multiprocessing.connection import Connection
    from multiprocessing.context import ForkServerContext, SpawnContext

    from dumpscan.case.store.writer import DumpResult
    from dumpscan.case.triage.task import Task

TICK = 0.25
"""Seconds after which the coordinator hears that there is nothing new."""
_MOST_PROCESSES = 61 if os.name == "nt" else 1024
"""Windows cannot wait for more (`ProcessPoolExecutor`'s documentation)."""
_UNIT = "dumpscan.case.triage.unit"
"""Module that reads a file."""
_MAX_SOCKET_DIRECTORY = 80
"""Characters: names of sockets end at 104 on some systems, and `multiprocessing` adds one of its own."""
_AHEAD = 2
"""Files that are handed out for each process: one to read, one so that it need not wait."""


class Workers(Protocol):
    """Reads files, somewhere."""

    def results(self, tasks: Sequence[Task], advance: Callable[[int], None]) -> Generator[DumpResult | None]:
        """Read files and hand out a result for each, in any order.

        Args:
            tasks: The files.
            advance: Called with numbers of bytes that have been dealt with, in files that are not finished.
        """


class Here:
    """Reads files in this process, one after another."""

    def results(self, tasks: Sequence[Task], advance: Callable[[int], None]) -> Generator[DumpResult | None]:
        """Read files (see `Workers`)."""
        from dumpscan.case.triage.unit import read_dump  # noqa: PLC0415 - heavy, and of no use to a pool's coordinator

        for task in tasks:
            yield read_dump(task, advance)


class Pool:
    """Reads files in processes of their own.

    A process that dies takes the pool with it; what was being read is then read again, one file at a time, so that the
    one which kills its reader is known and the others are not lost.

    Args:
        jobs: How many processes.
    """

    def __init__(self, jobs: int) -> None:
        self._jobs = min(max(jobs, 1), _MOST_PROCESSES)

    def results(self, tasks: Sequence[Task], advance: Callable[[int], None]) -> Generator[DumpResult | None]:
        """Read files (see `Workers`)."""
        waiting = deque(tasks)
        suspects: deque[Task] = deque()
        while waiting or suspects:
            with _processes(1 if suspects else min(self._jobs, len(waiting)), advance) as (executor, poll):
                running: dict[Future[DumpResult], Task] = {}
                try:
                    if suspects:
                        while suspects:
                            running[executor.submit(_work, suspects[0])] = suspects[0]
                            yield from _finished(running, poll)
                            suspects.popleft()
                        continue
                    while waiting or running:
                        while waiting and len(running) < self._jobs * _AHEAD:
                            running[executor.submit(_work, waiting[0])] = waiting[0]
                            waiting.popleft()
                        yield from _finished(running, poll)
                except BrokenProcessPool:
                    if suspects:
                        yield suspects.popleft().failed("the process that read it died: killed, or out of memory")
                    else:
                        suspects.extend(running.values())


def _finished(running: dict[Future[DumpResult], Task], poll: Callable[[], None]) -> Iterator[DumpResult | None]:
    """Wait until something is done, and hand it out.

    Raises:
        BrokenProcessPool: A process died; what it was reading is still among those that run.
    """
    done: set[Future[DumpResult]] = set()
    while not done:
        done, _ = wait(running, timeout=TICK, return_when=FIRST_COMPLETED)
        poll()
        if not done:
            yield None
    broken: BrokenProcessPool | None = None
    for future in done:
        try:
            result = future.result()
        except BrokenProcessPool as error:
            broken = error
            continue
        del running[future]
        yield result
    if broken is not None:
        raise broken


def _context() -> SpawnContext | ForkServerContext:
    """Return how processes are started: never forked from this one, since that inherits locks and threads in any state.

    Where there is a fork server, it imports once what all of them need.
    """
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    from multiprocessing import forkserver, resource_tracker  # noqa: PLC0415 - not on Windows

    _keep_sockets_in_scratch()
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([_UNIT])
    resource_tracker.ensure_running()  # first: it unblocks interrupts when it is done
    with _without_interrupts():
        forkserver.ensure_running()
    return context


def _keep_sockets_in_scratch() -> None:
    """Let `multiprocessing` use a directory that the next run removes if this one is killed."""
    config = multiprocessing.current_process()._config  # type: ignore[attr-defined] # noqa: SLF001 - there is no other way
    if "tempdir" not in config:
        with suppress(OSError):
            directory = _sockets()
            if len(directory.name) <= _MAX_SOCKET_DIRECTORY:
                config["tempdir"] = directory.name


@cache
def _sockets() -> ScratchDirectory:
    return ScratchDirectory()


@contextmanager
def _without_interrupts() -> Iterator[None]:
    """Start processes that Ctrl-C does not reach; the coordinator is interrupted, and ends them."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def _processes(count: int, advance: Callable[[int], None]) -> Iterator[tuple[ProcessPoolExecutor, Callable[[], None]]]:
    """Have processes for as long as they are wanted; they end with us, however we end."""
    context = _context()
    counter = context.Value("Q", 0)
    ours_to_close, theirs_to_watch = context.Pipe(duplex=False)[::-1]
    executor = ProcessPoolExecutor(count, mp_context=context, initializer=_begin, initargs=(counter, theirs_to_watch))
    counted = 0

    def poll() -> None:
        nonlocal counted
        now = counter.value
        advance(now - counted)
        counted = now

    try:
        yield executor, poll
    except BaseException:
        ours_to_close.close()  # ends them in the middle of their work
        executor.shutdown(wait=False, cancel_futures=True)
        raise
    executor.shutdown(wait=True)
    ours_to_close.close()
    theirs_to_watch.close()


_counter: Any = None


def _begin(counter: Any, watched: Connection) -> None:  # noqa: ANN401 - a shared ctypes value
    """Make a process of the pool ready."""
    global _counter  # noqa: PLW0603 - a process's one way to keep what its initializer was given
    _counter = counter
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the coordinator is interrupted, and ends us

    def watch() -> None:
        wait_for_any([watched])  # nothing is ever sent: it is closed when the coordinator is gone
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _work(task: Task) -> DumpResult:
    from dumpscan.case.triage.unit import read_dump  # noqa: PLC0415 - see above

    return read_dump(task, _advance)


def _advance(size: int) -> None:
    with _counter.get_lock():
        _counter.value += size
