"""TEB, PEB and process parameters at the documented offsets, read without the layouts that wrote them."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dumpscan.exceptions import ScenarioError
from dumpscan.synth.windows.process_blocks import (
    PLAN32,
    PLAN64,
    WOW64_PLAN,
    AddressPlan,
    ProcessBlocks,
    ThreadBlock,
    encode_text,
    environment_block,
    process_memory,
)

BLOCKS = ProcessBlocks(
    pid=5120,
    image_path="C:\\Program Files\\app.exe",
    command_line='"app.exe" --key \ud800 λ',
    environment=("=C:=C:\\", "PATH=C:\\Windows", "EMPTY="),
    current_directory="C:\\",
    image_base=0x400000,
    session=7,
    threads=(ThreadBlock(thread_id=100, teb=0x302000, stack_base=0x2000, stack_limit=0x1000, teb32=0x304000),),
)


class Memory:
    """The blocks, readable at any address."""

    def __init__(self, blocks: ProcessBlocks, plan: AddressPlan) -> None:
        self.parts = list(process_memory(blocks, plan))
        self.size = plan.pointer_size

    def read(self, address: int, size: int) -> bytes:
        for start, content in self.parts:
            if start <= address < start + len(content):
                return content[address - start :][:size]
        raise AssertionError(hex(address))

    def number(self, address: int, size: int | None = None) -> int:
        return int.from_bytes(self.read(address, size or self.size), "little")

    def string(self, address: int) -> str:
        length, maximum = self.number(address, 2), self.number(address + 2, 2)
        buffer = self.number(address + self.size)
        assert maximum == length + 2
        assert self.read(buffer + length, 2) == b"\0\0"
        return self.read(buffer, length).decode("utf-16-le", "surrogatepass")


OFFSETS = {
    # TEB: stack base, self, pid, tid, PEB; PEB: image base, parameters, session; parameters: directory, path, command
    # line, environment, size of the environment
    PLAN64: (0x08, 0x30, 0x40, 0x48, 0x60, 0x10, 0x20, 0x2C0, 0x38, 0x60, 0x70, 0x80, 0x3F0),
    PLAN32: (0x04, 0x18, 0x20, 0x24, 0x30, 0x08, 0x10, 0x1D4, 0x24, 0x38, 0x40, 0x48, 0x290),
}


@pytest.mark.parametrize("plan", [PLAN64, PLAN32, WOW64_PLAN])
def test_every_field_at_its_offset(plan: AddressPlan) -> None:
    memory = Memory(BLOCKS, plan)
    stack, itself, pid, tid, peb, base, parameters, session, directory, path, line, environment, size = OFFSETS[
        PLAN64 if plan.pointer_size == 8 else PLAN32
    ]
    teb = 0x302000
    assert memory.number(teb) == 0x304000
    assert memory.number(teb + stack) == 0x2000
    assert memory.number(teb + itself) == teb
    assert (memory.number(teb + pid), memory.number(teb + tid)) == (5120, 100)
    assert memory.number(teb + peb) == plan.peb
    assert memory.number(plan.peb + base) == 0x400000
    assert memory.number(plan.peb + session, 4) == 7
    start = memory.number(plan.peb + parameters)
    assert memory.string(start + directory) == BLOCKS.current_directory
    assert memory.string(start + path) == BLOCKS.image_path
    assert memory.string(start + line) == BLOCKS.command_line
    block = memory.read(memory.number(start + environment), memory.number(start + size))
    assert block == encode_text("=C:=C:\\\0PATH=C:\\Windows\0EMPTY=\0\0")


def test_blocks_are_whole_pages_apart() -> None:
    for plan in (PLAN64, PLAN32, WOW64_PLAN):
        parts = sorted(process_memory(BLOCKS, plan))
        assert all(address % 0x1000 == len(content) % 0x1000 == 0 for address, content in parts)
        assert all(low[0] + len(low[1]) <= high[0] for low, high in pairwise(parts))


def test_wow64_halves_do_not_overlap() -> None:
    second = replace(BLOCKS, threads=(replace(BLOCKS.threads[0], teb=0x304000),))
    parts = sorted([*process_memory(BLOCKS, WOW64_PLAN), *process_memory(second, PLAN32)])
    assert all(low[0] + len(low[1]) <= high[0] for low, high in pairwise(parts))


@given(st.lists(st.text(st.characters(exclude_characters="\0"), min_size=1, max_size=30)))
def test_environment_block_splits_back(entries: list[str]) -> None:
    text = environment_block(entries).decode("utf-16-le", "surrogatepass")
    assert text.endswith("\0\0")
    assert [entry for entry in text.split("\0") if entry] == entries


@pytest.mark.parametrize("entry", ["", "A=\0B"])
def test_entries_that_end_the_block_early_are_refused(entry: str) -> None:
    with pytest.raises(ScenarioError, match="empty or holds a NUL"):
        environment_block(["A=1", entry])


def test_strings_have_a_limit() -> None:
    list(process_memory(replace(BLOCKS, command_line="x" * 32766), PLAN64))
    with pytest.raises(ScenarioError, match="command line has 32767 UTF-16 units"):
        list(process_memory(replace(BLOCKS, command_line="x" * 32767), PLAN64))
    with pytest.raises(ScenarioError, match="image path has 40000"):
        list(process_memory(replace(BLOCKS, image_path="🔑" * 20000), PLAN64))


def test_addresses_must_fit() -> None:
    with pytest.raises(ScenarioError, match="0x100000000 does not fit"):
        list(process_memory(replace(BLOCKS, image_base=1 << 32), PLAN32))
