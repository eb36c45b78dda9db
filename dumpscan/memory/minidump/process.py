"""The process of a minidump, described by its streams and its process environment block."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dumpscan.findings import Process
from dumpscan.memory.minidump.streams import file_name
from dumpscan.memory.windows.peb import POINTER64, ProcessParameters, find_process_blocks, read_process_parameters

if TYPE_CHECKING:
    from dumpscan.memory.minidump.reader import MinidumpReader
    from dumpscan.memory.windows.peb import ProcessBlock

_WOW64_MODULE = "wow64.dll"
_SYSTEM32_OF_WOW64 = "\\syswow64\\"
_LOADERS = ("dyld", "dyld_sim")
"""Apple's dynamic loaders, which may precede the program in the module list."""
_BESIDES_STACKS = 64 << 10
"""Bytes beside stacks in a dump of stacks only: Breakpad adds 256 bytes around each address in a register."""


def describe_process(dump: MinidumpReader) -> Process:
    """Return what a minidump says about its process.

    On Windows, this comes from the process environment block, if the dump has it; on Linux, from the streams in which
    Breakpad stores files of /proc. The process's notes say what is missing.
    """
    system = dump.system
    windows = dump.linux is None if system is None else system.operating_system.startswith("Windows")
    return _describe_windows(dump) if windows else _describe_unix(dump)


def _describe_unix(dump: MinidumpReader) -> Process:
    linux = dump.linux
    arguments = linux.arguments if linux else None
    environment = linux.environment if linux else None
    missing = [what for what, there in (("command line", arguments), ("environment", environment)) if there is None]
    notes = [f"the dump does not hold the process' {' and '.join(missing)}"] if missing else []
    names = [module.name for module in dump.modules if module.file_name not in _LOADERS]
    executable = names[0] if names else None
    short_name = (linux.status or {}).get("Name") if linux else None
    process_id = dump.misc.process_id if dump.misc else None
    return Process(
        pid=process_id if process_id is not None or linux is None else linux.process_id,
        name=file_name(executable) or short_name,
        parent_pid=linux.parent_process_id if linux else None,
        executable=executable,
        # As `ps` shows it.
        command_line=None if arguments is None else " ".join(arguments),
        environment=environment or (),
        architecture=dump.system.architecture if dump.system else None,
        created=dump.misc.created if dump.misc else None,
        notes=tuple(notes),
    )


def _describe_windows(dump: MinidumpReader) -> Process:
    blocks = find_process_blocks(dump, (thread.teb for thread in dump.threads))
    parameters = ProcessParameters(notes=() if blocks else (_why_no_block(dump),))
    for number, block in enumerate(blocks):
        read = read_process_parameters(dump, block.peb, block.pointer_size)
        parameters = parameters.completed_by(read) if number else read
    architecture = dump.system.architecture if dump.system else None
    wow64 = _is_wow64(dump, blocks)
    executable = parameters.executable or _program(dump, parameters.image_base)
    process_id = dump.misc.process_id if dump.misc else None
    return Process(
        pid=process_id if process_id is not None else next((block.process_id for block in blocks), None),
        name=file_name(executable),
        executable=executable,
        command_line=parameters.command_line,
        command_line_32=parameters.command_line_32,
        environment=parameters.environment or (),
        architecture="x86" if wow64 else architecture,
        session=parameters.session,
        wow64=wow64,
        created=dump.misc.created if dump.misc else None,
        notes=parameters.notes,
    )


def _is_wow64(dump: MinidumpReader, blocks: list[ProcessBlock]) -> bool | None:
    """Return whether it is a 32-bit process on a 64-bit system, or None if that is not known."""
    if any(block.wow64 for block in blocks):
        return True
    paths = (name.lower() for name in {module.name or "" for module in dump.modules})
    if any(_SYSTEM32_OF_WOW64 in path or path.endswith("\\" + _WOW64_MODULE) for path in paths):
        return True
    # A native block without a 32-bit one beside it, or a 32-bit one that knows of no 64-bit system.
    return False if any(block.pointer_size == POINTER64 or block.wow64 is False for block in blocks) else None


def _program(dump: MinidumpReader, image_base: int | None) -> str | None:
    """Return the name of the program's module: the one at the image base, or else the first in the list."""
    at_base = (module.name for module in dump.modules if module.base == image_base)
    return next(at_base, dump.modules[0].name if dump.modules else None)


def _why_no_block(dump: MinidumpReader) -> str:
    if not dump.threads:
        reason = "it has no threads, which would lead there"
    elif not dump.regions:
        reason = "it holds no memory"
    elif dump.captured_bytes <= sum(thread.stack[1] for thread in dump.threads) + _BESIDES_STACKS:
        reason = "it holds only thread stacks"
    else:
        reason = "no thread's environment block is in it"
    return f"no process environment block in the dump: {reason}"
