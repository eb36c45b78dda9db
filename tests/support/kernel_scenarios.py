"""A small Windows system for tests: a scenario with objects at every awkward place, and a kernel without processes."""

from __future__ import annotations

import tempfile
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING

from dumpscan.synth.kernel.space import KernelSpace
from dumpscan.synth.physical.memory import PhysicalMemory
from dumpscan.synth.windows.isf import build_isf
from dumpscan.synth.windows.profiles import PROFILES
from dumpscan.synth.windows.symbols import KernelSymbols

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NAME = "lab"
ENVIRONMENT = (
    "=C:=C:\\Users",
    "COMPUTERNAME=LAB-01",
    "Path=C:\\Windows\\system32",
    "SystemRoot=C:\\Windows",
)
_SERVICES = 9
"""MemProcFS takes an image with fewer than about eleven processes for broken."""

_HEAD = r"""
format = 1
name = "lab"
[windows]
version = "21h2"
size = "64 MiB"
density = 30
environment = ["=C:=C:\\Users", "COMPUTERNAME=LAB-01", "Path=C:\\Windows\\system32", "SystemRoot=C:\\Windows"]
[keys]
site = "ec-p256"
[objects.certificate]
kind = "certificate"
key = "site"
subject = "CN=www.contoso.example"
[objects.certificate-pem]
kind = "certificate"
key = "site"
encoding = "pem"
subject = "CN=www.contoso.example"
[objects.key]
kind = "private_key"
key = "site"
[shared.cache]
size = "64 KiB"
[[process]]
pid = 92
parent_pid = 4
name = "Registry"
user_space = false
[[process]]
pid = 372
parent_pid = 4
name = "smss.exe"
session = 0
[[process]]
pid = 5120
parent_pid = 372
name = "w3wp.exe"
command_line = 'c:\windows\system32\inetsrv\w3wp.exe -ap "DefaultAppPool" λ'
regions = [
    { name = "heap", size = "1 MiB" },
    { name = "fixed", size = "64 KiB", address = 0x1000_0000 },
    { name = "large", size = "4 MiB" },
    { name = "shared", size = "64 KiB" },
    { name = "sparse", size = "256 KiB", protect = "r" },
]
plants = [
    { object = "certificate", region = "heap", copies = 3 },
    { object = "certificate-pem", region = "heap", across_seam = true, seam_at = 3 },
    { object = "key", region = "large", across_seam = true },
    { object = "certificate", region = "large" },
    { object = "key", address = 0x1000_0ffd },
]
[process.paging]
large = { pages = "2 MiB" }
shared = { shared = "cache" }
fixed = { transition = "0", prototype = "5" }
sparse = { resident = 40, transition = "3-5", paged_out = "9" }
[[process.seams]]
object = "certificate"
before = "1-13"
[[process.seams]]
object = "key"
before = "1-13"
[[process.seams]]
object = "certificate"
before = "5, 9"
tail = "transition"
[[process.seams]]
object = "certificate"
before = "100, 3"
tail = "paged-out"
[[process.seams]]
object = "certificate"
before = "50"
tail = "prototype"
[[process]]
pid = 5200
parent_pid = 5120
name = "legacy32.exe"
wow64 = true
executable = 'C:\Program Files (x86)\Legacy\legacy32.exe'
environment = ["ONLY=this"]
regions = [{ name = "shared", size = "32 KiB", address = 0x2000_0000 }]
plants = [{ object = "certificate", region = "shared" }]
paging = { shared = { shared = "cache" } }
[[process]]
pid = 6000
parent_pid = 5120
name = "gone.exe"
created = 2024-05-17T09:00:00Z
exited = 2024-05-17T09:10:00Z
[[process]]
pid = 6004
parent_pid = 5120
name = "gone-long-ago.exe"
created = 2024-05-17T08:00:00Z
exited = 2024-05-17T08:10:00Z
dtb_zeroed = true
[[process]]
pid = 6100
parent_pid = 372
name = "hidden.exe"
linked = false
[[process]]
pid = 6200
parent_pid = 372
name = "swapped.exe"
absent = ["environment:0"]
[[kernel]]
object = "certificate"
offset = 0xffb
[[unmapped]]
object = "key"
copies = 2
"""


def scenario_text(**windows: object) -> str:
    """Return the scenario, with keys of its `[windows]` table replaced by TOML values."""
    lines = _HEAD.splitlines()
    for key, value in windows.items():
        matching = [index for index, line in enumerate(lines) if line.startswith(f"{key} =")]
        line = f"{key} = {value}"
        if matching:
            lines[matching[0]] = line
        else:
            lines.insert(lines.index("[windows]") + 1, line)
    for number in range(_SERVICES):
        lines += [
            "[[process]]",
            f"pid = {700 + 4 * number}",
            "parent_pid = 372",
            'name = "svchost.exe"',
            "session = 0",
            f'command_line = "svchost.exe -k group{number}"',
        ]
    return "\n".join(lines) + "\n"


def write_scenario(directory: Path, text: str | None = None) -> Path:
    """Put a scenario into a file."""
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / "scenario.toml"
    path.write_text(scenario_text() if text is None else text, encoding="utf-8")
    return path


@cache
def symbols_of(version: str) -> KernelSymbols:
    """Return the model's symbols of a version."""
    return KernelSymbols(build_isf(PROFILES[version]))


@contextmanager
def kernel_space(version: str = "21h2") -> Iterator[KernelSpace]:
    """Give the system space of a kernel in 64 MiB of physical memory."""
    root = 0x1AB
    with tempfile.TemporaryFile() as file:
        memory = PhysicalMemory(file, [(0, 64 << 20)], "seed", keep=[root])
        yield KernelSpace(memory, symbols_of(version), PROFILES[version], root=root, seed="seed")
        memory.close()
