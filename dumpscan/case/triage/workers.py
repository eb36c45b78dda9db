"""Reads files on this machine: in this process, or in a pool of processes, any of which may die.

Workers yield results as they come, and None several times a second, so that the coordinator can show progress.
"""

from __future__ import annotations

import gc
import multiprocessing
import os
import signal
import threading
from collections import deque
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from functools import cache
from itertools import chain, islice, takewhile
from multiprocessing.connection import wait as wait_for_any
from typing import TYPE_CHECKING, Any, Protocol

from dumpscan.memory.packed.scratch import ScratchDirectory

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Sequence
    from multiprocessing.connection import Connection
    from multiprocessing.context import ForkServerContext, SpawnContext
    from types import FrameType

    from dumpscan.case.store.writer import DumpResult
    from dumpscan.case.triage.task import Task

TICK = 0.25
"""Seconds after which workers yield None if there is no result."""
_MAX_PROCESSES = 61 if os.name == "nt" else 1024
"""Windows cannot wait for more (documentation of `ProcessPoolExecutor`)."""
_UNIT = "dumpscan.case.triage.unit"
"""The module that reads a file. The fork server imports it before any process is needed."""
_MAX_SOCKET_DIRECTORY = 80
"""Characters. Some systems limit the path of a socket to 104, of which `multiprocessing` needs up to 24."""
_AHEAD = 2
"""Batches of files handed to each process: the one that it reads, and the next."""
_BATCH = 16
"""Small files that are handed over together: each takes a few milliseconds, and to hand one over takes a half."""
_SMALL = 256 << 10
"""Bytes of the largest small file."""


class Workers(Protocol):
    """What reads files."""

    def results(self, tasks: Sequence[Task], advance: Callable[[int], None]) -> Generator[DumpResult | None]:
        """Read files and yield a result for each, in any order.

        Args:
            tasks: The files.
            advance: Called repeatedly with the number of bytes that have been read since the last call.
        """


class Here:
    """Reads files in this process, one after another."""

    def results(self, tasks: Sequence[Task], advance: Callable[[int], None]) -> Generator[DumpResult | None]:
        """Read files (see `Workers`)."""
        from dumpscan.case.triage.unit import read_dump  # noqa: PLC0415 - slow to import, and a pool's coordinator does not need it

        for task in tasks:
            yield read_dump(task, advance)


class Pool:
    """Reads files in other processes.

    A process that dies breaks the pool. The files that were being read then are read again, one at a time, so that the
    one that kills its reader is found and the others are read.

    Args:
        jobs: How many processes.
    """

    def __init__(self, jobs: int) -> None:
        self._jobs = min(max(jobs, 1), _MAX_PROCESSES)

    def results(self, tasks: Sequence[Task], advance: Callable[[int], None]) -> Generator[DumpResult | None]:
        """Read files (see `Workers`)."""
        waiting = deque(tasks)
        suspects: deque[Task] = deque()
        while waiting or suspects:
            with _processes(1 if suspects else min(self._jobs, len(waiting)), advance) as (executor, poll):
                running: dict[Future[list[DumpResult]], list[Task]] = {}
                try:
                    if suspects:
                        while suspects:
                            running[_submitted(executor, [suspects[0]])] = [suspects[0]]
                            yield from _finished(running, poll)
                            suspects.popleft()
                        continue
                    while waiting or running:
                        while waiting and len(running) < self._jobs * _AHEAD:
                            batch = self._batch(waiting)
                            running[_submitted(executor, batch)] = batch
                            for _ in batch:
                                waiting.popleft()
                        yield from _finished(running, poll)
                except BrokenProcessPool:
                    if suspects:
                        yield suspects.popleft().failed("the process that read it died: killed, or out of memory")
                    else:
                        suspects.extend(chain.from_iterable(running.values()))

    def _batch(self, waiting: deque[Task]) -> list[Task]:
        """Return the next files to hand over: one, or several small ones if there are enough for all processes."""
        most = min(_BATCH, len(waiting) // (self._jobs * _AHEAD)) or 1
        small = takewhile(lambda task: task.size is not None and task.size <= _SMALL, islice(waiting, most))
        return list(small) or [waiting[0]]


def _submitted(executor: ProcessPoolExecutor, tasks: list[Task]) -> Future[list[DumpResult]]:
    """Have files read. An interrupt comes behind it: a process that is half started is one that nobody ends."""
    with _without_interrupts():
        return executor.submit(_each, _work, tasks)


def _finished(
    running: dict[Future[list[DumpResult]], list[Task]], poll: Callable[[], None]
) -> Iterator[DumpResult | None]:
    """Wait until files have been read, and yield their results.

    Raises:
        BrokenProcessPool: A process died; the files that were being read are still in `running`.
    """
    done: set[Future[list[DumpResult]]] = set()
    while not done:
        done, _ = wait(running, timeout=TICK, return_when=FIRST_COMPLETED)
        poll()
        if not done:
            yield None
    broken: BrokenProcessPool | None = None
    for future in done:
        try:
            results = future.result()
        except BrokenProcessPool as error:
            broken = error
            continue
        del running[future]
        yield from results
    if broken is not None:
        raise broken


def _context() -> SpawnContext | ForkServerContext:
    """Return how processes are started.

    They are not forked from this process, whose threads and locks they would inherit in any state. A fork server, where
    there is one, imports once what all of them need.
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
    """Make `multiprocessing` use a directory that the next run removes if this one is killed."""
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
    """Block SIGINT, also in processes that are started in this block: the coordinator is interrupted, and ends them."""
    with _interrupted_later():
        if hasattr(signal, "pthread_sigmask"):  # not on Windows
            before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
            try:
                yield
            finally:
                signal.pthread_sigmask(signal.SIG_SETMASK, before)
        else:
            yield


@contextmanager
def _interrupted_later() -> Iterator[None]:
    """Have the main thread handle SIGINT at the end of the block.

    To block the signal in that thread is not enough: the system gives it to another one (that which shows progress,
    say), and Python runs the handler in the main thread nevertheless.
    """
    before = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or not callable(before):
        yield
        return
    came: list[tuple[int, FrameType | None]] = []
    signal.signal(signal.SIGINT, lambda number, frame: came.append((number, frame)))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
        if came:
            before(*came[0])


@contextmanager
def _processes(count: int, advance: Callable[[int], None]) -> Iterator[tuple[ProcessPoolExecutor, Callable[[], None]]]:
    """Start processes that end with the block, or with this process, however it ends."""
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
        ours_to_close.close()  # ends them while they work
        executor.shutdown(wait=True, cancel_futures=True)  # one that is just beginning needs what goes with this block
        raise
    executor.shutdown(wait=True)
    ours_to_close.close()
    theirs_to_watch.close()


_counter: Any = None


def _begin(counter: Any, watched: Connection) -> None:  # noqa: ANN401 - a shared ctypes value
    """Prepare a process of the pool."""
    from dumpscan.scan.ahead import keep_a_thread  # noqa: PLC0415 - as for `read_dump`

    global _counter  # noqa: PLW0603 - how a process keeps what its initializer was given
    _counter = counter
    keep_a_thread()
    gc.freeze()  # what the fork server has imported is not looked through again with every dump
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the coordinator is interrupted, and ends this process

    def watch() -> None:
        wait_for_any([watched])  # nothing is sent: the pipe closes when the coordinator ends
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _each(work: Callable[[Task], DumpResult], tasks: list[Task]) -> list[DumpResult]:
    return [work(task) for task in tasks]


def _work(task: Task) -> DumpResult:
    from dumpscan.case.triage.unit import read_dump  # noqa: PLC0415 - see above

    return read_dump(task, _advance)


def _advance(size: int) -> None:
    with _counter.get_lock():
        _counter.value += size
