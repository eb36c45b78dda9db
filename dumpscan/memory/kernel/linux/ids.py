"""The tasks to which a kernel's table of process ids leads, which a rootkit that unlinks a task often leaves alone.

Without its entry a process can get no signal and no file of its own in `/proc`. The table is the `idr` of the first
namespace of process ids: a tree of nodes with 64 slots each, whose leaves are the kernel's `struct pid`.
Source: docs/memory-layouts.md, "Linux kernel images".
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from dumpscan.model.linux.c_kernel import MAX_ID_TREE_SHIFT, XA_INTERNAL, XA_LOW_BITS, XA_SLOTS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dumpscan.memory.kernel.linux.addresses import KernelMemory
    from dumpscan.memory.kernel.linux.symbols.types import KernelTypes

_POINTER = 8


class ProcessIds:
    """The table of process ids of the first namespace, in which every process has an id (since Linux 4.20).

    Args:
        memory: The kernel's memory.
        types: Its types.
    """

    def __init__(self, memory: KernelMemory, types: KernelTypes) -> None:
        self._memory = memory
        self._types = types

    def leaders(self, most: int) -> list[int]:
        """Return the addresses of the tasks that lead their thread groups, as far as `most` entries tell them.

        Raises:
            MissingTypeError: The kernel's types do not tell where the table is, or it has another form.
        """
        tasks, link = self._types.offset("pid.tasks"), self._types.offset("task_struct.pid_links")
        found: dict[int, None] = {}
        for number, pid in enumerate(self._entries(most)):
            if number >= most:
                break
            task = self._memory.number(pid + tasks) - link
            if task > 0 and self._is_leader(task, pid):
                found[task] = None
        return list(found)

    def _is_leader(self, task: int, pid: int) -> bool:
        """Whether a task leads its thread group, has an id, and says itself that this is its `struct pid`."""
        leader = self._types.field(task, "task_struct.group_leader")
        own = self._types.field(task, "task_struct.thread_pid")
        return (leader, own) == (task, pid) and bool(self._types.field(task, "task_struct.tgid", 4))

    def _entries(self, most: int) -> Iterator[int]:
        """Yield the addresses of the leaves; no more than `most` nodes are read, each once."""
        head = self._types.address("init_pid_ns") + self._types.offset("pid_namespace.idr")
        head += self._types.offset("idr.idr_rt") + self._types.offset("xarray.xa_head")
        shift, slots = self._types.offset("xa_node.shift"), self._types.offset("xa_node.slots")
        waiting, known = [(self._memory.number(head), MAX_ID_TREE_SHIFT)], set[int]()
        while waiting and len(known) < most:
            entry, above = waiting.pop()
            if entry & XA_LOW_BITS == 0:
                if entry:
                    yield entry
                continue
            node = entry - XA_INTERNAL
            if entry & XA_LOW_BITS != XA_INTERNAL or node in known:
                continue
            known.add(node)
            level = self._memory.number(node + shift, 1)
            data = self._memory.read(node + slots, XA_SLOTS * _POINTER)
            if level >= above or len(data) < XA_SLOTS * _POINTER:
                continue
            waiting += [(each, level) for each in reversed(np.frombuffer(data, "<u8").tolist()) if each]
