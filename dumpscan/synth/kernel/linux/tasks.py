"""Processes of the synthetic kernel: tasks, their ring, and the memory of those that have some."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from dumpscan.exceptions import ScenarioError
from dumpscan.model.linux.c_kernel import (
    EXIT_ZOMBIE,
    PF_KTHREAD,
    PROTNONE,
    SWAP_OFFSET_BITS,
    SWAP_OFFSET_SHIFT,
    SWAP_TYPE_SHIFT,
    SWAP_VALUE_SHIFT,
    XA_INTERNAL,
    XA_SLOTS,
)
from dumpscan.model.windows import c_paging as paging
from dumpscan.model.windows.c_paging import PAGE_SHIFT, PAGE_SIZE
from dumpscan.synth.alignment import page_align, page_count
from dumpscan.synth.kernel.linux.image import TIMEKEEPER_OFFSET
from dumpscan.synth.kernel.linux.scenario import Paging
from dumpscan.synth.kernel.linux.space import offset_of
from dumpscan.synth.physical.filler import fill_frames
from dumpscan.synth.physical.paging import USER_DATA, PageTables

if TYPE_CHECKING:
    from datetime import datetime

    from dumpscan.synth.kernel.linux.files import FileSystems
    from dumpscan.synth.kernel.linux.image import KernelImage
    from dumpscan.synth.kernel.linux.scenario import LinuxProcess
    from dumpscan.synth.kernel.linux.space import KernelSpace, Value
    from dumpscan.synth.scenario import RegionSpec

_PROGRAM = 0x5555_5555_4000
_REGIONS = 0x7F12_3400_0000
_REGION_GAP = 0x10_0000
_STACK_TOP = 0x7FFC_1234_F000
_STACK_FREE = 4 * PAGE_SIZE
"""Bytes of the stack below the arguments."""
_USER_END = 0x7FFF_FFFF_F000
_SLEEPING = 1
_INIT_NAME = b"swapper/0"
_SWAP_AREA = 0
_SWAP_FIRST = 0x100
"""First page of the swap area that is used."""
_NANOSECOND = 1_000_000_000
_ID_BITS = 6
"""Bits of a process id for each level of the table of ids: `XA_SLOTS` slots."""
_LOW_BITS = paging.USER | paging.ACCESSED | paging.DIRTY


@dataclass(slots=True)
class UserSpace:
    """The memory of a process.

    Attributes:
        tables: Its page tables.
        memory: Address of its `mm_struct`.
        frames: By number of the virtual page: the frames of its memory.
        regions: By name: start and size of each region of the scenario.
        swapped: By frame: `swp_entry_t` of those in the swap cache.
    """

    tables: PageTables
    memory: int
    frames: dict[int, int] = field(default_factory=dict)
    regions: dict[str, tuple[int, int]] = field(default_factory=dict)
    swapped: dict[int, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class BuiltTask:
    """A process in the image: that of the scenario, the address of its task, and its memory if it has some."""

    process: LinuxProcess
    address: int
    user: UserSpace | None


class TaskBuilder:
    """Builds the processes.

    Args:
        space: The kernel's memory.
        image: The kernel's image.
        files: Its file systems.
        times: When the system was started, and when the image was taken.
        seed: Chooses the content of regions.
    """

    def __init__(
        self, space: KernelSpace, image: KernelImage, files: FileSystems, times: tuple[datetime, datetime], seed: str
    ) -> None:
        self._space = space
        self._image = image
        self._files = files
        self._boot, now = times
        self._seed = seed
        self._next_swap = _SWAP_FIRST
        self._tasks: dict[int, int] = {0: image.address("init_task")}
        self._pids: dict[int, int] = {}
        keeper = image.address("tk_core") + TIMEKEEPER_OFFSET
        started = int(self._boot.timestamp())
        clock = {"xtime_sec": int(now.timestamp()), "offs_real": started * _NANOSECOND}
        space.put(keeper, "timekeeper", clock)
        self._init_task()

    def _init_task(self) -> None:
        space, address = self._space, self._image.address
        space.put(address("init_signals"), "signal_struct", {"nr_threads": 1})
        space.put(address("init_mm"), "mm_struct", {"pgd": address("init_top_pgt")})
        values: dict[str, Value] = {
            "flags": PF_KTHREAD,
            "active_mm": address("init_mm"),
            "real_parent": address("init_task"),
            "parent": address("init_task"),
            "group_leader": address("init_task"),
            "thread_pid": address("init_struct_pid"),
            "cred": address("init_cred"),
            "real_cred": address("init_cred"),
            "comm": _INIT_NAME,
            "fs": address("init_fs"),
            "files": address("init_files"),
            "nsproxy": address("init_nsproxy"),
            "signal": address("init_signals"),
        }
        space.put(address("init_task"), "task_struct", values)
        self._thread_ring(address("init_task"), address("init_signals"))

    def build(self, process: LinuxProcess) -> BuiltTask:
        """Build a process, whose parent has been built if there is one with a lower process id."""
        user = self._user_space(process) if process.has_memory else None
        task = self._task(process, user)
        self._tasks[process.spec.pid] = task
        return BuiltTask(process, task, user)

    def link(self, built: list[BuiltTask]) -> None:
        """Link the tasks in a ring, with their parents, and in the table of ids, but where they are hidden."""
        space, ring = self._space, offset_of("task_struct.tasks")
        space.link(self._tasks[0] + ring, [task.address + ring for task in built if task.process.linked])
        children: dict[int, list[int]] = {task: [] for task in self._tasks.values()}
        for task in built:
            parent = self._tasks[task.process.spec.parent_pid or 0]
            space.put(task.address, "task_struct", {"real_parent": parent, "parent": parent})
            if task.process.child:
                children[parent].append(task.address + offset_of("task_struct.sibling"))
        for parent, entries in children.items():
            space.link(parent + offset_of("task_struct.children"), entries)
        self._number({task.process.spec.pid: task.address for task in built if task.process.numbered})

    def _number(self, tasks: dict[int, int]) -> None:
        """Make the table of process ids, a tree with six bits of the id a level."""
        space = self._space
        links = offset_of("task_struct.pid_links")
        leaves = {number: self._pids[number] for number in tasks}
        for number, pid in leaves.items():
            space.put(pid + offset_of("pid.tasks"), "hlist_head", {"first": tasks[number] + links})
            space.put(tasks[number] + links, "hlist_node", {"pprev": pid + offset_of("pid.tasks")})
        shift, level = 0, leaves
        while shift == 0 or max(level, default=0):
            level = {first: self._id_node(shift, first, level) for first in {number >> _ID_BITS for number in level}}
            shift += _ID_BITS
        head = level.get(0, 0)
        namespace = self._image.address("init_pid_ns") + offset_of("pid_namespace.idr")
        space.put(namespace + offset_of("idr.idr_rt"), "xarray", {"xa_head": head})

    def _id_node(self, shift: int, number: int, below: dict[int, int]) -> int:
        """Make a node of the table of ids, and return its entry in the node above."""
        own = {each & (XA_SLOTS - 1): entry for each, entry in below.items() if each >> _ID_BITS == number}
        node = self._space.make("xa_node", {"shift": shift, "offset": number & (XA_SLOTS - 1), "count": len(own)})
        for slot, entry in own.items():
            self._space.write(node + offset_of("xa_node.slots") + 8 * slot, entry.to_bytes(8, "little"))
        return node + XA_INTERNAL

    # --- Tasks -------------------------------------------------------------------------------------------------------

    def _task(self, process: LinuxProcess, user: UserSpace | None) -> int:
        space, spec, address = self._space, process.spec, self._image.address
        signal = space.make("signal_struct", {"nr_threads": max(len(spec.threads), 1)})
        uid = process.user_id
        ids = ("uid", "gid", "suid", "sgid", "euid", "egid")
        cred = space.make("cred", {f"{name}.val": uid for name in ids})
        pid = space.make("pid", {"count.counter": 1})
        space.put(pid + offset_of("pid.numbers"), "upid", {"nr": spec.pid, "ns": address("init_pid_ns")})
        self._pids[spec.pid] = pid
        started = int((spec.created - self._boot).total_seconds() * _NANOSECOND)
        memory = 0 if user is None else user.memory
        zombie = process.state == "zombie"
        values: dict[str, Value] = {
            "__state": 0 if process.state != "sleeping" else _SLEEPING,
            "exit_state": EXIT_ZOMBIE if zombie else 0,
            "flags": PF_KTHREAD if process.kernel_thread else 0,
            "mm": memory,
            "active_mm": memory or (0 if zombie else address("init_mm")),
            "pid": spec.pid,
            "tgid": spec.pid,
            "thread_pid": pid,
            "start_time": max(started, 0),
            "start_boottime": max(started, 0),
            "cred": cred,
            "real_cred": cred,
            "comm": spec.name.encode(),
            "fs": 0 if zombie else address("init_fs"),
            "files": 0 if zombie else space.make("files_struct"),
            "nsproxy": 0 if zombie else address("init_nsproxy"),
            "signal": signal,
        }
        task = space.make("task_struct", values)
        space.put(task, "task_struct", {"group_leader": task})
        if memory:
            space.put(memory, "mm_struct", {"owner": task})
        self._thread_ring(task, signal)
        return task

    def _thread_ring(self, task: int, signal: int) -> None:
        head = signal + offset_of("signal_struct.thread_head")
        self._space.link(head, [task + offset_of("task_struct.thread_node")])

    # --- Memory ------------------------------------------------------------------------------------------------------

    def _user_space(self, process: LinuxProcess) -> UserSpace:
        space, spec = self._space, process.spec
        tables = PageTables(space.memory, space.memory.take_table(), None)
        tables.share_kernel(space.tables)
        user = UserSpace(tables, 0)
        self._map(user, _PROGRAM, PAGE_SIZE)
        write_user(space, user, _PROGRAM, b"\x7fELF\x02\x01\x01")
        at = _REGIONS
        for region in spec.regions:
            start = at if region.address is None else region.address
            if region.address is None:
                at += page_align(region.size) + _REGION_GAP
            self._map_region(process, user, region, start)
        arguments, environment = self._strings(process)
        first = _STACK_TOP - 8 - len(arguments) - len(environment)
        stack = first // PAGE_SIZE * PAGE_SIZE - _STACK_FREE
        self._map(user, stack, _STACK_TOP - stack)
        write_user(space, user, first, arguments + environment)
        between = first + len(arguments)
        values = {
            "pgd": space.frame_address(tables.root),
            "task_size": _USER_END,
            "mm_users.counter": 1,
            "mm_count.counter": 1,
            "total_vm": len(user.frames),
            "start_code": _PROGRAM,
            "end_code": _PROGRAM + PAGE_SIZE,
            "start_stack": first,
            "arg_start": first,
            "arg_end": between,
            "env_start": between,
            "env_end": between + len(environment),
            "exe_file": self._files.open(spec.executable),
        }
        user.memory = space.make("mm_struct", values)
        return user

    @staticmethod
    def _strings(process: LinuxProcess) -> tuple[bytes, bytes]:
        """Return command line and environment, each string with its NUL."""
        texts = (process.spec.command_line.split(" "), process.spec.environment)
        arguments, environment = (
            b"".join(text.encode("utf-8", "surrogateescape") + b"\0" for text in part) for part in texts
        )
        return arguments, environment

    def _map_region(self, process: LinuxProcess, user: UserSpace, region: RegionSpec, start: int) -> None:
        user.regions[region.name] = (start, region.size)
        self._map(user, start, region.size, process.paging.get(region.name))
        first = start >> PAGE_SHIFT
        pages = range(first, first + page_count(region.size))
        frames = [user.frames[page] for page in pages if page in user.frames]
        if frames:
            label = f"{self._seed}/{process.spec.pid}/{region.name}"
            fill_frames(self._space.memory, np.array(frames, np.uint64), region.filler, label)

    def _map(self, user: UserSpace, start: int, size: int, how: Paging | None = None) -> None:
        """Map pages from an address on.

        Raises:
            ScenarioError: They lie outside of user memory, or over others.
        """
        how = how or Paging()
        count, first = page_count(size), start >> PAGE_SHIFT
        if start % PAGE_SIZE or start < PAGE_SIZE or start + size > _USER_END:
            raise ScenarioError(f"{start:#x}: expected a page-aligned address below {_USER_END:#x}")
        if any(page in user.frames for page in range(first, first + count)):
            raise ScenarioError(f"memory at {start:#x} overlaps other memory of the process")
        entries = np.zeros(count, np.uint64)
        for number in range(count):
            entries[number] = self._entry(user, first + number, number, how)
        user.tables.set_entries(start, entries)

    def _entry(self, user: UserSpace, page: int, number: int, how: Paging) -> int:
        """Return the page table entry of a page, and take a frame for it unless it is swapped out."""
        swap = 0
        if number in how.swapped or number in how.swap_cached:
            swap, self._next_swap = self._next_swap, self._next_swap + 1
        if number not in how.swapped:
            frame = user.frames[page] = self._space.take_frame()
            if swap:
                user.swapped[frame] = _SWAP_AREA << SWAP_VALUE_SHIFT | swap
        if swap:
            inverted = ~swap & ((1 << SWAP_OFFSET_BITS) - 1)
            return _SWAP_AREA << SWAP_TYPE_SHIFT | inverted << SWAP_OFFSET_SHIFT
        if number in how.protected:
            return (~(frame << PAGE_SHIFT) & paging.FRAME_MASK) | PROTNONE | _LOW_BITS | paging.NO_EXECUTE
        return frame << PAGE_SHIFT | USER_DATA


def write_user(space: KernelSpace, user: UserSpace, address: int, data: bytes) -> None:
    """Write at an address of a process, as far as its memory is in the image."""
    done = 0
    while done < len(data):
        at = address + done
        length = min(PAGE_SIZE - at % PAGE_SIZE, len(data) - done)
        frame = user.frames.get(at >> PAGE_SHIFT)
        if frame is not None:
            space.memory.write((frame << PAGE_SHIFT) + at % PAGE_SIZE, data[done : done + length])
        done += length
