from __future__ import annotations

import mmap
from typing import TYPE_CHECKING

import pytest

from dumpscan.exceptions import InputError
from dumpscan.memory.physical import unpacked
from dumpscan.memory.physical.unpacked import Room, free_memory
from support.page_table_images import PAGE

if TYPE_CHECKING:
    from pathlib import Path

MEMINFO = "MemTotal:       16000000 kB\nMemFree:  1000 kB\nMemAvailable:    8000000 kB\n"


@pytest.fixture
def system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A system that says what the files in a directory say."""
    monkeypatch.setattr(unpacked, "_MEMINFO", tmp_path / "meminfo")
    monkeypatch.setattr(unpacked, "_CGROUP", tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("files", "free"),
    [
        ({}, 8 << 30),
        ({"meminfo": MEMINFO}, 8_000_000 << 10),
        ({"meminfo": "nonsense\nMemAvailable: much\n"}, 8 << 30),
        ({"meminfo": MEMINFO, "memory.max": "max\n", "memory.current": "5\n"}, 8_000_000 << 10),
        ({"meminfo": MEMINFO, "memory.max": "1000000\n", "memory.current": "400000\n"}, 600_000),
        ({"meminfo": MEMINFO, "memory.max": "1000\n", "memory.current": "2000\n"}, 0),
    ],
)
def test_free_memory(system: Path, files: dict[str, str], free: int) -> None:
    for name, text in files.items():
        (system / name).write_text(text)
    assert free_memory() == free


@pytest.mark.parametrize("scratch", [False, True])
def test_what_is_not_written_is_zero(tmp_path: Path, scratch: bool) -> None:  # noqa: FBT001
    room = Room(tmp_path / "image", 8 * PAGE, 100, tmp_path if scratch else None)
    room.write(2 * PAGE, b"\1" * PAGE)
    room.write_pages(4 * PAGE, bytes(PAGE) + b"\2" * 10)
    backing = room.finish()
    assert backing.size == 8 * PAGE
    assert bytes(backing.buffer) == bytes(2 * PAGE) + b"\1" * PAGE + bytes(2 * PAGE) + (b"\2" * 10).ljust(
        3 * PAGE, b"\0"
    )
    assert backing.buffer.readonly
    backing.release()
    assert backing.buffer[2 * PAGE] == 1
    backing.close()


def test_a_slice_outlives_the_room(tmp_path: Path) -> None:
    room = Room(tmp_path / "image", PAGE, 100, None)
    room.write(0, b"\1" * PAGE)
    backing = room.finish()
    held = backing.buffer[:4]
    backing.close()
    assert bytes(held) == b"\1" * 4


def test_no_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object, **__: object) -> None:
        raise OSError(12, "Cannot allocate memory")

    monkeypatch.setattr(mmap, "mmap", refused)
    with pytest.raises(InputError, match=r"image: cannot be unpacked: Cannot allocate memory \(--scratch DIR"):
        Room(tmp_path / "image", PAGE, 100, None)


@pytest.mark.parametrize("scratch", [False, True])
def test_discarding_leaves_nothing(tmp_path: Path, scratch: bool) -> None:  # noqa: FBT001
    room = Room(tmp_path / "image", PAGE, 100, tmp_path if scratch else None)
    room.write(0, b"x")
    room.discard()
    assert list(tmp_path.iterdir()) == []
