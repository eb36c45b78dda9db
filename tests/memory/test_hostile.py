"""Small inputs that made earlier versions take gigabytes, hours, or end in a traceback."""

from __future__ import annotations

import lzma
import sys
from typing import TYPE_CHECKING

import pytest

from support.corpus import SHARED
from support.limits import dumpscan_limited

if TYPE_CHECKING:
    from pathlib import Path

HOSTILE = SHARED / "corpus" / "hostile"
pytestmark = [
    pytest.mark.skipif(not HOSTILE.is_dir(), reason=f"no hostile inputs at {HOSTILE}"),
    pytest.mark.skipif(sys.platform == "win32", reason="no resource limits there"),
]


def unpacked(directory: Path, name: str) -> Path:
    """A hostile input as a plain file."""
    path = HOSTILE / name
    if path.suffix != ".xz":
        return path
    plain = directory / path.stem
    plain.write_bytes(lzma.decompress(path.read_bytes()))
    return plain


@pytest.mark.parametrize("command", ["info", "keys", "envars"])
@pytest.mark.parametrize(
    ("name", "code", "said"),
    [
        ("many-lists-4096x2000.dmp", 0, ""),
        ("onebyte-ranges-60000.dmp.xz", None, "memory is in pieces too small to read through"),
    ],
)
def test_minidumps(tmp_path: Path, command: str, name: str, code: int | None, said: str) -> None:
    done = dumpscan_limited("minidump", command, unpacked(tmp_path, name), "--no-progress")
    assert done.returncode == code or (code is None and done.returncode == 3 * (said in done.stderr))


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("bomb-nest.json.xz", "it has more than 8388608 values"),
        ("ageinf.json", "is no symbol table of a Windows program"),
    ],
)
def test_symbol_tables(name: str, said: str) -> None:
    done = dumpscan_limited("symbols", "add", HOSTILE / name)
    assert done.returncode == 1
    assert said in done.stderr


@pytest.mark.parametrize("command", ["info", "pslist", "keys"])
def test_addresses_that_no_machine_has(command: str) -> None:
    done = dumpscan_limited("kernel", command, HOSTILE / "elf-paddr-2pow63.elf", "--no-progress")
    assert done.returncode == 1
    assert "has no memory below 16 TiB" in done.stderr
