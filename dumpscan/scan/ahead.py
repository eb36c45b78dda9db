"""Work on the blocks of a pass, in threads and in order: a bounded number of blocks ahead of the caller."""

from __future__ import annotations

import os
import sys
import threading
from collections import deque
from concurrent.futures import ThreadPoolExecutor, wait
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from concurrent.futures import Future

_T = TypeVar("_T")

MAX_THREADS = 4
"""Threads by default, at most: two already come near to what the memory delivers."""
_NAME = "dumpscan-scan"
_TURN = 5e-5
"""Seconds for which a thread keeps the interpreter's lock that another one waits for, while threads scan."""
MAX_SMALL = 1 << 20
"""Bytes that are searched sooner than a thread starts."""


def default_threads() -> int:
    """Return how many threads to work in: as many as there are processors, up to `MAX_THREADS`."""
    cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(cpus, MAX_THREADS)


def threads_for(size: int, wanted: int | None) -> int:
    """Return how many threads to search so many bytes in, for `in_order`: 0 if they are few."""
    return 0 if size <= MAX_SMALL else wanted or default_threads()


def in_order(
    tasks: Iterable[tuple[int, Callable[[], _T]]], *, threads: int, progress: Callable[[int], None] | None = None
) -> Iterator[_T]:
    """Do tasks and yield their results in order.

    Args:
        tasks: Each with the number of bytes that it is about.
        threads: Threads to do them in; 0: the caller's own.
        progress: Called with that number when a task is done.
    """
    if not threads:
        for size, task in tasks:
            found = task()
            _say(progress, size)
            yield found
        return
    waiting: deque[tuple[int, Future[_T]]] = deque()

    def first() -> _T:
        size, future = waiting.popleft()
        found = future.result()
        _say(progress, size)
        return found

    kept = _kept.pool if threads == 1 else None
    pool = kept or ThreadPoolExecutor(threads, thread_name_prefix=_NAME)
    try:
        with _short_turns:
            for size, task in tasks:
                waiting.append((size, pool.submit(task)))
                if len(waiting) > 2 * threads:
                    yield first()
            while waiting:
                yield first()
    finally:
        under_way = [future for _, future in waiting if not future.cancel()]
        wait(under_way)
        if pool is not kept:
            pool.shutdown()


class _ShortTurns:
    """Has the interpreter's lock change hands sooner while anybody is within its context.

    A thread that scans needs the lock for an instant at each candidate, thousands of times a second. By Python's
    default it waits five milliseconds each time while the caller decodes, so that in effect one works or the other.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._users = 0
        self._before = 0.0

    def __enter__(self) -> None:
        with self._lock:
            if not self._users:
                self._before = sys.getswitchinterval()
                sys.setswitchinterval(min(self._before, _TURN))
            self._users += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._users -= 1
            if not self._users:
                sys.setswitchinterval(self._before)


_short_turns = _ShortTurns()


class _Kept(threading.local):
    """The pool of one thread that a thread keeps."""

    pool: ThreadPoolExecutor | None = None


_kept = _Kept()


def keep_a_thread() -> None:
    """Have what the calling thread does in one other thread done in the same one from now on.

    It is for processes that search thousands of small dumps, each of which would start and end a thread. The thread
    ends with the calling one. A process that is forked must not use it.
    """
    _kept.pool = ThreadPoolExecutor(1, thread_name_prefix=_NAME)


def _say(progress: Callable[[int], None] | None, size: int) -> None:
    if progress is not None and size:
        progress(size)
