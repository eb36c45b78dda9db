"""A Windows process's description of itself in its memory: TEBs, PEB, process parameters, environment block.

Layouts: `dumpscan.model.c_process`. The addresses are like those of Windows 10, but fixed.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from dumpscan.exceptions import ScenarioError
from dumpscan.model.c_process import c_process
from dumpscan.model.windows.c_paging import PAGE_SIZE
from dumpscan.synth.alignment import pad

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

TEB_STRIDE = 0x4000
"""Between the TEBs of two threads."""
TEB32_OFFSET = 0x2000
"""From the 64-bit TEB of a thread in a WoW64 process to its 32-bit TEB."""
STACK_STRIDE = 0x100000
"""Between the stacks of two threads."""
MAX_THREADS = 32
"""The address plans have room for the TEBs and stacks of this many threads."""
_MAX_UNITS = 0x7FFE
"""UTF-16 units of a UNICODE_STRING with a NUL behind it: its lengths are 16-bit numbers of bytes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AddressPlan:
    """The addresses of what a process holds. `library_step` is the distance between two libraries."""

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
WOW64_PLAN = replace(
    PLAN32,
    pointer_size=8,
    peb=PLAN32.peb - PAGE_SIZE,
    parameters=0x0510_0000,
    environment=0x0520_0000,
    library=PLAN64.library,
    library_step=PLAN64.library_step,
)
"""The 64-bit half of a 32-bit process. Its PEB is on the page before the 32-bit one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ThreadBlock:
    """The contents of a TEB. `teb32` is the address of a WoW64 thread's 32-bit TEB, else 0."""

    thread_id: int
    teb: int
    stack_base: int = 0
    stack_limit: int = 0
    teb32: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessBlocks:
    """The contents of the blocks of a process.

    Attributes:
        pid: Process id.
        image_path: Path of the executable.
        command_line: The whole command line. Lone surrogates are kept.
        environment: `NAME=value` entries, in order.
        current_directory: It ends with a backslash, as in Windows.
        image_base: Address of the executable's image.
        session: Terminal Services session id.
        threads: One for each TEB.
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
    """Return text in UTF-16LE. Lone surrogates are kept."""
    return text.encode("utf-16-le", "surrogatepass")


def environment_block(entries: Iterable[str]) -> bytes:
    """Return an environment block: the entries, each ended by a NUL, then one more NUL.

    Raises:
        ScenarioError: If an entry is empty or holds a NUL, which would end the block there.
    """
    checked = list(entries)
    for entry in checked:
        if not entry or "\0" in entry:
            raise ScenarioError(f"environment entry {entry!r} is empty or holds a NUL")
    return encode_text("".join(f"{entry}\0" for entry in checked) + ("\0" if checked else "\0\0"))


def process_memory(blocks: ProcessBlocks, plan: AddressPlan) -> Iterator[tuple[int, bytes]]:
    """Yield the (virtual address, bytes) of PEB, TEBs, parameters and environment, each in whole pages.

    Raises:
        ScenarioError: If a string is too long for a UNICODE_STRING, an environment entry is malformed, or the image's
            base is too large for a 32-bit process.
    """
    if blocks.image_base >> 8 * plan.pointer_size:
        raise ScenarioError(f"the executable's base {blocks.image_base:#x} does not fit into a 32-bit process")
    environment = environment_block(blocks.environment)
    yield (
        plan.peb,
        _structure(
            plan,
            "PEB",
            ImageBaseAddress=blocks.image_base,
            ProcessParameters=plan.parameters,
            SessionId=blocks.session,
        ),
    )
    for thread in blocks.threads:
        yield (
            thread.teb,
            _structure(
                plan,
                "TEB",
                ExceptionList=thread.teb32,
                StackBase=thread.stack_base,
                StackLimit=thread.stack_limit,
                Self=thread.teb,
                UniqueProcess=blocks.pid,
                UniqueThread=thread.thread_id,
                ProcessEnvironmentBlock=plan.peb,
            ),
        )
    yield plan.parameters, _parameters(blocks, plan, len(environment))
    yield plan.environment, pad(environment, PAGE_SIZE)


def _parameters(blocks: ProcessBlocks, plan: AddressPlan, environment_size: int) -> bytes:
    name = "RTL_USER_PROCESS_PARAMETERS"
    start = len(_layout(plan, name))
    tail = b""

    def text(what: str, value: str) -> Any:  # noqa: ANN401 -- a cstruct type made at run time
        nonlocal tail
        content = encode_text(value)
        if len(content) > 2 * _MAX_UNITS:
            raise ScenarioError(
                f"{what} has {len(content) // 2} UTF-16 units; a UNICODE_STRING holds at most {_MAX_UNITS}"
            )
        address = plan.parameters + start + len(tail)
        tail = pad(tail + content + b"\0\0", 8)
        return _layout(plan, "UNICODE_STRING")(Length=len(content), MaximumLength=len(content) + 2, Buffer=address)

    strings = {
        "CurrentDirectory": text("current directory", blocks.current_directory),
        "ImagePathName": text("image path", blocks.image_path),
        "CommandLine": text("command line", blocks.command_line),
    }
    return _structure(
        plan,
        name,
        tail,
        MaximumLength=start + len(tail),
        Length=start + len(tail),
        Flags=1,  # RTL_USER_PROC_PARAMS_NORMALIZED: its pointers are absolute
        Environment=plan.environment,
        EnvironmentSize=environment_size,
        **strings,
    )


def _layout(plan: AddressPlan, name: str) -> Any:  # noqa: ANN401 -- a cstruct type made at run time
    return getattr(c_process, f"{name}{8 * plan.pointer_size}")


def _structure(plan: AddressPlan, name: str, tail: bytes = b"", **fields: Any) -> bytes:  # noqa: ANN401 -- as above
    """Return a structure and its tail in whole pages."""
    return pad(bytes(_layout(plan, name)(**fields)) + tail, PAGE_SIZE)
