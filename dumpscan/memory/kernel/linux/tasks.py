"""The processes of a Linux kernel: the ring of tasks, their ids and children, and what each of them says.

Source: docs/memory-layouts.md, "Linux kernel images". A task is a process if it leads its thread group; only such tasks
are in the ring. Kernel threads and processes that have exited have no memory of their own.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, TypeVar

from dumpscan.findings import Process
from dumpscan.memory.kernel.linux.addresses import FOUR_LEVELS
from dumpscan.memory.kernel.linux.ids import ProcessIds
from dumpscan.memory.kernel.linux.symbols.types import MissingTypeError
from dumpscan.memory.kernel.profile import ListedProcess
from dumpscan.memory.records import decode_utf8
from dumpscan.model.linux.c_kernel import (
    END_OF_32_BITS,
    MAX_COMM,
    PF_KTHREAD,
    PF_WQ_WORKER,
    TASK_IDLE,
    TASK_REPORT,
    TASK_STATES,
)
from dumpscan.model.windows.c_paging import PAGE_SHIFT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from dumpscan.memory.kernel.linux.addresses import KernelMemory
    from dumpscan.memory.kernel.linux.symbols.types import KernelTypes

T = TypeVar("T")

MAX_PROCESSES = 1 << 16
_FIRST_PROCESSES = 256
_MEMORY_PER_PROCESS = 1 << 14
"""Processes that an image may have: so many, and one more for so many bytes of memory. A real task takes more: its
structure has 6 to 10 KiB and its kernel stack 16 KiB."""
_RELATIVES = 4
"""Threads and children for each process that an image may have, that are looked at in search of hidden ones."""
_MAX_TASK = 1 << 16
_POINTERS = 16
"""Bytes of the two pointers of a list's entry."""
_MAX_NAMESPACES = 32
"""MAX_PID_NS_LEVEL: namespaces of process ids within one another."""
_MAX_THREAD_NAME = 64
_MAX_QUEUE_NAME = 32
_RESCUER = b"kworker/R-"
_NANOSECOND = 1_000_000_000
_NO_UID = 0xFFFF_FFFF


@dataclass(frozen=True, slots=True)
class Task:
    """A process as the kernel's ring of tasks has it.

    Attributes:
        listed: What the facade needs of it.
        memory: Address of its `mm_struct`; 0 if it has none.
    """

    listed: ListedProcess
    memory: int


class TaskList:
    """Lists the processes of a kernel.

    Args:
        memory: The kernel's memory.
        types: Its types.
        problems: What is damaged is appended here, a sentence each.
    """

    def __init__(self, memory: KernelMemory, types: KernelTypes, problems: list[str]) -> None:
        self._memory = memory
        self._types = types
        self._problems = problems

    def __iter__(self) -> Iterator[Task]:
        """Iterate over the processes in the kernel's order, which is that of their start."""
        for address in self._ring():
            yield self._task(address)

    def unlisted(self, listed: Iterable[int]) -> list[Task]:
        """Find processes that are not in the ring: by their ids, and as children of those that are known.

        A rootkit that takes a task out of the ring leaves it in the table of process ids, or among its parent's
        children. Also found is what a broken ring does not reach, and what was started while the image was made.

        Args:
            listed: Addresses of the tasks in the ring.

        Raises:
            MissingTypeError: The kernel's types do not tell where the lists are.
        """
        waiting = [self._types.address("init_task"), *listed]
        known, found = set(waiting), list[Task]()
        for leader in _known(lambda: ProcessIds(self._memory, self._types).leaders(_RELATIVES * self._most)) or ():
            if leader not in known and len(found) < self._most:
                known.add(leader)
                waiting.append(leader)
                found.append(self._as_unlisted(self._task(leader)))
        left = _RELATIVES * self._most
        while waiting and len(found) < self._most:
            relatives, children = self._children(waiting.pop(), left)
            left -= relatives
            if left <= 0:
                self._problems.append("the lists of children do not end: not all hidden processes may have been found")
                break
            for child in children:
                if child not in known:
                    known.add(child)
                    waiting.append(child)
                    found.append(self._as_unlisted(self._task(child)))
        return sorted(found, key=lambda task: task.listed.process.pid or 0)

    def _children(self, task: int, most: int) -> tuple[int, list[int]]:
        """Return how many threads and children were looked at, and the children of a process, of each of its threads.

        A child must lead its thread group, have an id, and name the thread as its parent.
        """
        head = self._types.field(task, "task_struct.signal") + self._types.offset("signal_struct.thread_head")
        link, sibling = self._types.offset("task_struct.thread_node"), self._types.offset("task_struct.sibling")
        entries, _ = self._follow(head, 8, most)
        threads = dict.fromkeys((task, *(entry - link for entry in entries)))
        looked_at, found = len(threads), list[int]()
        for thread in threads:
            entries, _ = self._follow(thread + self._types.offset("task_struct.children"), 8, max(most - looked_at, 0))
            looked_at += len(entries)
            for child in (entry - sibling for entry in reversed(entries)):
                leader = self._types.field(child, "task_struct.group_leader")
                parent = self._types.field(child, "task_struct.real_parent")
                if (leader, parent) == (child, thread) and self._types.field(child, "task_struct.tgid", 4):
                    found.append(child)
        return looked_at, found

    @staticmethod
    def _as_unlisted(task: Task) -> Task:
        return replace(task, listed=replace(task.listed, process=replace(task.listed.process, unlisted=True)))

    @property
    def _most(self) -> int:
        return min(MAX_PROCESSES, _FIRST_PROCESSES + self._memory.image.size // _MEMORY_PER_PROCESS)

    # --- The ring ----------------------------------------------------------------------------------------------------

    def _ring(self) -> list[int]:
        """Return the addresses of all tasks but the first, which is the idle one."""
        link = self._types.offset("task_struct.tasks")
        head = self._types.address("init_task") + link
        found, whole = self._follow(head, 0, self._most)
        if not whole:
            # It is broken somewhere: what lies behind that place is reached from the other end.
            others, _ = self._follow(head, 8, self._most - len(found))
            known = set(found)
            found += [each for each in reversed(others) if each not in known]
        return [address - link for address in found]

    def _follow(self, head: int, which: int, most: int) -> tuple[list[int], bool]:
        """Follow one of the two pointers of a list's entries; return the entries, and whether that led back."""
        found: dict[int, None] = {}
        at = self._memory.number(head + which)
        forward = not which
        while at != head:
            if at % 8 or len(self._memory.read(at, _POINTERS)) < _POINTERS:
                if forward:
                    self._problems.append(f"the list of processes is broken after {len(found)}: some may be missing")
                return list(found), False
            if at in found:
                if forward:
                    self._problems.append(f"the list of processes runs in a circle after {len(found)}")
                return list(found), False
            if len(found) >= most:
                if forward:
                    self._problems.append(f"the list of processes does not end: only the first {most} are taken")
                return list(found), not forward
            found[at] = None
            at = self._memory.number(at + which)
        return list(found), True

    # --- A task ------------------------------------------------------------------------------------------------------

    def _task(self, address: int) -> Task:
        data = self._memory.read(address, min(self._types.size("task_struct") or 0, _MAX_TASK))

        def number(member: str, size: int = 8) -> int:
            at = self._types.offset(f"task_struct.{member}")
            return int.from_bytes(data[at : at + size], "little")

        space = number("mm")
        state = _known(lambda: self._state(number, data))
        process = Process(
            pid=number("tgid", 4),
            name=decode_utf8(self._name(number, data)),
            parent_pid=self._parent(number("real_parent")),
            architecture=self._architecture(space),
            created=_known(lambda: self._time(number("start_boottime"))),
            user_id=_known(lambda: self._user(number("cred"))),
            namespace_pids=_known(lambda: self._namespace_pids(number("thread_pid"))),
            state=state,
            kernel_thread=bool(number("flags", 4) & PF_KTHREAD),
            thread_count=_known(lambda: self._threads(number("signal"))),
            notes=() if space or state != "zombie" else ("it has exited, and has no memory any more",),
        )
        return Task(ListedProcess(process, self._root(space), 1 if space else 0, address), space)

    def _state(self, number: Callable[..., int], data: bytes) -> str:
        running = self._types.find("task_struct.__state")
        if running is None:
            running = self._types.offset("task_struct.state")
        own, ended = int.from_bytes(data[running : running + 4], "little"), number("exit_state", 4)
        if own == TASK_IDLE and not ended:
            return "idle"
        return TASK_STATES[min(((own | ended) & TASK_REPORT).bit_length(), len(TASK_STATES) - 1)]

    def _name(self, number: Callable[..., int], data: bytes) -> bytes:
        """Return the name that /proc shows: longer than the task's own for threads of the kernel (proc_task_name)."""
        at = self._types.offset("task_struct.comm")
        name = data[at : at + MAX_COMM].split(b"\0", 1)[0]
        flags = number("flags", 4)
        if flags & PF_KTHREAD:
            found = self._types.find("task_struct.worker_private")
            thread = number("set_child_tid" if found is None else "worker_private")
            return _known(lambda: self._thread_name(name, thread, flags)) or name
        return name

    def _thread_name(self, name: bytes, thread: int, flags: int) -> bytes:
        """Return the whole name of a thread of the kernel, from the address of its `struct kthread`."""
        if not thread:
            return name
        if flags & PF_WQ_WORKER:
            return self._worker_name(name, self._types.field(thread, "kthread.data"))
        whole = self._types.field(thread, "kthread.full_name")
        return self._memory.text(whole, _MAX_THREAD_NAME) if whole else name

    def _worker_name(self, name: bytes, worker: int) -> bytes:
        """Return the name of a thread that works for work queues: with what it works on, or did last."""
        if name.startswith(_RESCUER) and (queue := self._types.field(worker, "worker.rescue_wq")):
            name = _RESCUER + self._memory.text(queue + self._types.offset("workqueue_struct.name"), _MAX_QUEUE_NAME)
        work = self._memory.text(worker + self._types.offset("worker.desc"), _MAX_QUEUE_NAME)
        if not self._types.field(worker, "worker.pool") or not work:
            return name
        return name + (b"+" if self._types.field(worker, "worker.current_work") else b"-") + work

    def _parent(self, task: int) -> int:
        return self._types.field(task, "task_struct.tgid", 4)

    def _user(self, credentials: int) -> int | None:
        found = self._types.field(credentials, "cred.uid", 4)
        return None if found == _NO_UID else found

    def _threads(self, signal: int) -> int | None:
        return self._types.field(signal, "signal_struct.nr_threads", 4) or None

    def _architecture(self, space: int) -> str:
        end = self._types.field(space, "mm_struct.task_size") if space else 0
        return "x86" if 0 < end <= END_OF_32_BITS else "x64"

    def _namespace_pids(self, pid: int) -> tuple[int, ...] | None:
        """Return the process id in each namespace that sees it, from the outermost to its own."""
        level = self._types.field(pid, "pid.level", 4) if pid else 0
        step = self._types.size("upid") or 0
        if not 0 < level < _MAX_NAMESPACES:
            return None
        first = pid + self._types.offset("pid.numbers") + self._types.offset("upid.nr")
        return tuple(self._memory.number(first + each * step, 4) for each in range(level + 1))

    def _root(self, space: int) -> int | None:
        """Return the frame of the top-level table of four levels, through which a process sees its memory."""
        if not space:
            return None
        top = self._memory.physical(self._types.field(space, "mm_struct.pgd"))
        if top is None:
            return None
        if self._memory.levels == FOUR_LEVELS:
            return top >> PAGE_SHIFT
        # Below 2^47, all user memory lies under the first entry of the fifth level.
        return (int.from_bytes(self._memory.image.read(top, 8), "little") & self._memory.frame_mask) >> PAGE_SHIFT

    # --- Time --------------------------------------------------------------------------------------------------------

    @cached_property
    def _booted(self) -> datetime | None:
        """When the system was started, by its own clock; None if it does not say."""
        keeper = self._timekeeper()
        if keeper is None:
            return None
        offsets = [_signed(self._types.field(keeper, f"timekeeper.{name}")) for name in ("offs_real", "offs_boot")]
        return _moment(offsets[0] - offsets[1])

    def _timekeeper(self) -> int | None:
        """Return the address of the `timekeeper`: it lies behind a lock, at the next multiple of 8."""
        for symbol in ("tk_core", "timekeeper_data"):
            start = self._types.symbol(symbol)
            if start is not None and self._types.size("timekeeper"):
                inside = self._types.find("tk_data.timekeeper")
                return start + (8 if inside is None else inside)
        return None

    def now(self) -> datetime | None:
        """Return the time on the kernel's clock, in whole seconds; None if that is not known."""
        keeper = self._timekeeper()
        if keeper is None:
            return None
        return _moment(self._types.field(keeper, "timekeeper.xtime_sec") * _NANOSECOND)

    def _time(self, nanoseconds: int) -> datetime | None:
        if self._booted is None:
            return None
        try:
            return self._booted + timedelta(microseconds=nanoseconds // 1000)
        except OverflowError:
            return None


def _known(read: Callable[[], T]) -> T | None:
    """Return what is read, or None where the kernel does not have what it is read from."""
    try:
        return read()
    except MissingTypeError:
        return None


def _moment(nanoseconds: int) -> datetime | None:
    try:
        return datetime.fromtimestamp(nanoseconds / _NANOSECOND, UTC)
    except (OverflowError, ValueError, OSError):
        return None


def _signed(number: int) -> int:
    return number - (1 << 64) if number >> 63 else number
