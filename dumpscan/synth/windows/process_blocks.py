"""A process's own description of itself in its memory: TEBs, PEB, process parameters, environment block.

Layouts: `dumpscan.model.c_process`. The addresses are like those that Windows 10 hands out, but fixed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dumpscan.exceptions import ScenarioError
from dumpscan.model.c_process import c_process

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

PAGE = 0x1000
TEB_STRIDE = 0x4000
"""From one thread's TEB to the next; in a WoW64 process the 32-bit TEB lies `TEB32_OFFSET` after the 64-bit one."""
TEB32_OFFSET = 0x2000
STACK_STRIDE = 0x100000
"""From one thread's stack to the next."""
MAXIMUM_THREADS = 32
"""As many TEBs and stacks have room by the address plans."""
_MAXIMUM_STRING = 0xFFFE
"""A UNICODE_STRING's length is a 16-bit number of bytes, and of UTF-16 units there are two each."""


@dataclass(frozen=True, slots=True)
class AddressPlan:
    """Where things lie in a process of one width."""

    pointer_size: int
    peb: int
    teb: int
    parameters: int
    environment: int
    stack: int
    heap: int
    executable: int
    library: int
    library_step: int


PLAN64 = AddressPlan(
    pointer_size=8,
    peb=0x49_5C40_0000,
    teb=0x49_5C40_2000,
    parameters=0x1F1_E0D0_0000,
    environment=0x1F1_E0E0_0000,
    stack=0x49_5C60_0000,
    heap=0x1F1_E200_0000,
    executable=0x7FF6_1D2A_0000,
    library=0x7FFB_0040_0000,
    library_step=0x0040_0000,
)
PLAN32 = AddressPlan(
    pointer_size=4,
    peb=0x0030_0000,
    teb=0x0030_2000,
    parameters=0x0400_0000,
    environment=0x0410_0000,
    stack=0x0200_0000,
    heap=0x0700_0000,
    executable=0x0040_0000,
    library=0x7500_0000,
    library_step=0x0020_0000,
)
WOW64_PLAN = AddressPlan(
    pointer_size=8,
    peb=0x0030_0000 - PAGE,
    teb=0x0030_2000,
    parameters=0x0510_0000,
    environment=0x0520_0000,
    stack=PLAN32.stack,
    heap=PLAN32.heap,
    executable=PLAN32.executable,
    library=PLAN64.library,
    library_step=PLAN64.library_step,
)
"""The 64-bit half of a 32-bit process: all of it below 4 GiB, its PEB on the page before the 32-bit one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ThreadBlock:
    """A thread as its TEB describes it."""

    thread_id: int
    teb: int
    stack_base: int = 0
    stack_limit: int = 0
    teb32: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessBlocks:
    """What the blocks of one process say.

    Attributes:
        pid: Process id.
        image_path: Path of the executable.
        command_line: The whole command line; lone surrogates are kept.
        environment: `NAME=value` entries, in their order.
        current_directory: With a backslash at its end, as Windows keeps it.
        image_base: Address of the executable's image.
        session: Terminal Services session id.
        threads: One TEB each.
    """

    pid: int
    image_path: str
    command_line: str
    environment: tuple[str, ...] = ()
    current_directory: str = "C:\\Windows\\System32\\"
    image_base: int
    session: int = 0
    threads: tuple[ThreadBlock, ...] = ()


def encode_text(text: str) -> bytes:
    """UTF-16LE, lone surrogates and all."""
    return text.encode("utf-16-le", "surrogatepass")


def environment_block(entries: Iterable[str]) -> bytes:
    """Return an environment block: the entries, each ended by a NUL, then an empty one.

    Raises:
        ScenarioError: If an entry is empty or holds a NUL: the block would end there.
    """
    checked = list(entries)
    for entry in checked:
        if not entry or "\0" in entry:
            raise ScenarioError(f"environment entry {entry!r} is empty or holds a NUL")
    return encode_text("".join(f"{entry}\0" for entry in checked) + ("\0" if checked else "\0\0"))


def process_memory(blocks: ProcessBlocks, plan: AddressPlan) -> Iterator[tuple[int, bytes]]:
    """Yield the (virtual address, bytes) of PEB, TEBs, parameters and environment: whole pages, placed by `plan`.

    Raises:
        ScenarioError: If a string is too long for a UNICODE_STRING, an environment entry is malformed, or an address is
            too large for a 32-bit process.
    """
    if blocks.image_base >> 8 * plan.pointer_size:
        raise ScenarioError(f"the executable's base {blocks.image_base:#x} does not fit into a 32-bit process")
    width = 64 if plan.pointer_size == 8 else 32  # noqa: PLR2004 -- bytes of a pointer
    peb = _structure(
        f"PEB{width}",
        ImageBaseAddress=blocks.image_base,
        ProcessParameters=plan.parameters,
        SessionId=blocks.session,
    )
    yield plan.peb, _pages(peb)
    for thread in blocks.threads:
        teb = _structure(
            f"TEB{width}",
            ExceptionList=thread.teb32,
            StackBase=thread.stack_base,
            StackLimit=thread.stack_limit,
            Self=thread.teb,
            UniqueProcess=blocks.pid,
            UniqueThread=thread.thread_id,
            ProcessEnvironmentBlock=plan.peb,
        )
        yield thread.teb, _pages(teb)
    block = environment_block(blocks.environment)
    yield plan.parameters, _pages(_parameters(blocks, plan, width, len(block)))
    yield plan.environment, _pages(block)


def _parameters(blocks: ProcessBlocks, plan: AddressPlan, width: int, environment_size: int) -> bytes:
    layout = getattr(c_process, f"RTL_USER_PROCESS_PARAMETERS{width}")
    string = getattr(c_process, f"UNICODE_STRING{width}")
    tail = bytearray()

    def text(name: str, value: str) -> Any:  # noqa: ANN401 -- a cstruct type made at run time
        content = encode_text(value)
        if len(content) > _MAXIMUM_STRING - 2:
            raise ScenarioError(f"{name} has {len(content) // 2} UTF-16 units; a UNICODE_STRING holds at most 32766")
        address = plan.parameters + len(layout) + len(tail)
        tail.extend(content + b"\0\0")
        tail.extend(bytes(-len(tail) % 8))
        return string(Length=len(content), MaximumLength=len(content) + 2, Buffer=address)

    strings = {
        "CurrentDirectory": text("current directory", blocks.current_directory),
        "ImagePathName": text("image path", blocks.image_path),
        "CommandLine": text("command line", blocks.command_line),
    }
    size = len(layout) + len(tail)
    parameters = layout(
        MaximumLength=size,
        Length=size,
        Flags=1,  # RTL_USER_PROC_PARAMS_NORMALIZED: its pointers are absolute
        Environment=plan.environment,
        EnvironmentSize=environment_size,
        **strings,
    )
    return bytes(parameters.dumps()) + bytes(tail)


def _structure(name: str, **fields: int) -> bytes:
    return bytes(getattr(c_process, name)(**fields).dumps())


def _pages(content: bytes) -> bytes:
    return content + bytes(-len(content) % PAGE)
