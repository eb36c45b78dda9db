"""What a core leaves out, read from the files of its machine: here this one's own C library."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from dumpscan.memory.core.dump import Core
from support.core_bytes import CoreBytes

BASE = 0x7F00_0000_0000
MAPS = Path("/proc/self/maps")
LIBRARIES = (
    re.findall(r"(/\S*/libc\.so\.6|/\S*/ld-linux[^ ]*)$", MAPS.read_text(), re.MULTILINE) if MAPS.exists() else []
)
pytestmark = pytest.mark.skipif(not LIBRARIES, reason="no C library of Linux on this machine")


@pytest.fixture
def library() -> Path:
    return Path(LIBRARIES[0]).resolve()


def core_of(directory: Path, library: Path, head: bytes) -> Path:
    """Write a core that holds only the first page of a library, and says how large its mapping was."""
    size = library.stat().st_size // 4096 * 4096
    core = CoreBytes().process(7, "program").files((BASE, BASE + size, 0, str(library)))
    path = directory / "core"
    path.write_bytes(core.memory(BASE, head, size=size, flags=5).finish())
    return path


def test_memory_goes_on_in_the_file(tmp_path: Path, library: Path) -> None:
    data = library.read_bytes()
    path = core_of(tmp_path, library, data[:4096])
    with Core(path) as core:
        assert core.modules[0].build_id is not None
        assert core.read(BASE, 8192) == data[:4096]
    with Core(path, sysroot=Path("/")) as core:
        assert core.read(BASE, 8192) == data[:8192]
        assert core.read(BASE + 5000, 100) == data[5000:5100]
        assert core.extents(BASE, 8192) == ((core.extents(BASE, 1)[0][0], 4096),)
        assert core.sysroot is not None
        assert core.sysroot.used == [str(library)]


def test_a_file_with_another_build_id_is_not_read(tmp_path: Path, library: Path) -> None:
    head = bytearray(library.read_bytes()[:4096])
    at = head.index(b"GNU\0", head.index(b"\x03\0\0\0GNU\0")) + 4
    head[at] ^= 0xFF
    with Core(core_of(tmp_path, library, bytes(head)), sysroot=Path("/")) as core:
        assert core.read(BASE + 5000, 100) == b""
        assert any("its build id is another" in warning for warning in core.warnings)


def test_without_a_build_id_nothing_is_guessed(tmp_path: Path, library: Path) -> None:
    with Core(core_of(tmp_path, library, bytes(4096)), sysroot=Path("/")) as core:
        assert core.read(BASE + 5000, 100) == b""


def test_a_file_outside_the_directory_is_not_read(tmp_path: Path, library: Path) -> None:
    head = library.read_bytes()[:4096]
    path = core_of(tmp_path, library, head)
    root = tmp_path / "root"
    (root / library.parent.relative_to("/")).mkdir(parents=True)
    (root / library.relative_to("/")).symlink_to(library)
    with Core(path, sysroot=root) as core:
        assert core.read(BASE + 5000, 100) == b""
        assert any("leads out of the directory" in warning for warning in core.warnings)


def test_a_file_that_is_too_short_is_not_read(tmp_path: Path, library: Path) -> None:
    root = tmp_path / "root"
    target = root / library.relative_to("/")
    target.parent.mkdir(parents=True)
    shutil.copy(library, target)
    with target.open("r+b") as file:
        file.truncate(8192)
    with Core(core_of(tmp_path, library, library.read_bytes()[:4096]), sysroot=root) as core:
        assert core.read(BASE + 5000, 100) == b""
        assert any("the mapping needs" in warning for warning in core.warnings)
