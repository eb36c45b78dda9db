"""The table of process ids, as an attacker may leave it: it is read to its end, and only tasks that fit count."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import pytest

from dumpscan.memory.kernel.linux.ids import ProcessIds

if TYPE_CHECKING:
    from dumpscan.memory.kernel.linux.addresses import KernelMemory
    from dumpscan.memory.kernel.linux.symbols.types import KernelTypes

ROOT, NODE, OTHER, PID, TASK = 0x1000, 0x2000, 0x3000, 0x4000, 0x5000
OFFSETS = {
    "pid_namespace.idr": 0,
    "idr.idr_rt": 0,
    "xarray.xa_head": 8,
    "xa_node.shift": 0,
    "xa_node.slots": 40,
    "pid.tasks": 8,
    "task_struct.pid_links": 32,
    "task_struct.group_leader": 0,
    "task_struct.thread_pid": 8,
    "task_struct.tgid": 16,
}


class Memory:
    """A kernel's memory, and where its members are."""

    def __init__(self) -> None:
        self.bytes = bytearray(0x6000)

    def write(self, address: int, number: int) -> None:
        self.bytes[address : address + 8] = number.to_bytes(8, "little")

    def node(self, address: int, shift: int, *entries: int) -> int:
        self.bytes[address] = shift
        for slot, entry in enumerate(entries):
            self.write(address + OFFSETS["xa_node.slots"] + 8 * slot, entry)
        return address + 2

    def task(self, *, leader: int = TASK, pid: int = PID) -> None:
        self.write(PID + OFFSETS["pid.tasks"], TASK + OFFSETS["task_struct.pid_links"])
        self.write(TASK, leader)
        self.write(TASK + OFFSETS["task_struct.thread_pid"], pid)
        self.write(TASK + OFFSETS["task_struct.tgid"], 7)

    def read(self, address: int, size: int) -> bytes:
        return bytes(self.bytes[address : address + size])

    def number(self, address: int, size: int = 8) -> int:
        return int.from_bytes(self.read(address, size), "little")

    def address(self, _name: str) -> int:
        return ROOT

    def offset(self, member: str) -> int:
        return OFFSETS[member]

    def field(self, address: int, member: str, size: int = 8) -> int:
        return self.number(address + OFFSETS[member], size)

    def leaders(self, head: int, most: int = 100) -> list[int]:
        self.write(ROOT + OFFSETS["xarray.xa_head"], head)
        return ProcessIds(cast("KernelMemory", self), cast("KernelTypes", self)).leaders(most)


@pytest.fixture
def memory() -> Memory:
    memory = Memory()
    memory.task()
    return memory


def test_a_task_two_nodes_below_the_root(memory: Memory) -> None:
    assert memory.leaders(memory.node(NODE, 6, memory.node(OTHER, 0, 0, PID))) == [TASK]


def test_the_root_may_be_the_only_entry(memory: Memory) -> None:
    assert memory.leaders(PID) == [TASK]
    assert memory.leaders(0) == []


def test_a_node_that_leads_to_itself_is_read_once(memory: Memory) -> None:
    assert memory.leaders(memory.node(NODE, 6, NODE + 2, memory.node(OTHER, 6, PID))) == []  # a level must descend
    assert memory.leaders(memory.node(NODE, 6, NODE + 2, memory.node(OTHER, 0, NODE + 2, PID))) == [TASK]


def test_no_more_entries_are_looked_at_than_are_wanted(memory: Memory) -> None:
    head = memory.node(NODE, 0, *[0x10] * 10, PID)
    assert memory.leaders(head, most=10) == []
    assert memory.leaders(head, most=11) == [TASK]


@pytest.mark.parametrize("head", [NODE + 1, NODE + 3, 2, (1 << 64) - 2, 0xFFFF_8880_0000_0000])
def test_what_is_no_node_leads_nowhere(memory: Memory, head: int) -> None:
    assert memory.leaders(head) == []


def test_a_task_must_lead_its_group_and_name_the_entry(memory: Memory) -> None:
    memory.task(leader=OTHER)
    assert memory.leaders(PID) == []
    memory.task(pid=OTHER)
    assert memory.leaders(PID) == []
