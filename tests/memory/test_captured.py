"""When a dump was made, by its own account."""

from __future__ import annotations

import struct
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from dumpscan.memory.kernel.image import KernelImage
from dumpscan.memory.minidump.dump import Minidump
from support.kernel_images import build_lab
from support.minidump_bytes import MinidumpBytes

if TYPE_CHECKING:
    from pathlib import Path


def test_a_minidump_says_it_in_its_header(tmp_path: Path) -> None:
    made = MinidumpBytes()
    made.system()
    (tmp_path / "a.dmp").write_bytes(made.finish())
    made.header["TimeDateStamp"] = 0
    (tmp_path / "b.dmp").write_bytes(made.finish())
    with Minidump(tmp_path / "a.dmp") as dump, Minidump(tmp_path / "b.dmp") as other:
        assert dump.captured == datetime.fromtimestamp(1_700_000_000, UTC)
        assert other.captured is None


def test_an_image_of_windows_says_it_on_the_kernels_clock(tmp_path: Path) -> None:
    lab = build_lab(tmp_path)
    with lab.open() as image:
        assert image.captured == datetime.fromisoformat(lab.truth["system_time"])
    with KernelImage(lab.image, cache_dir=lab.cache) as image:
        assert image.captured == datetime.fromisoformat(lab.truth["system_time"])


def test_a_crash_dump_says_it_in_its_header_where_no_kernel_is_found(tmp_path: Path) -> None:
    lab = build_lab(tmp_path, container="crash")
    data = bytearray(lab.image.read_bytes())
    ticks = (datetime(2021, 3, 4, tzinfo=UTC) - datetime(1601, 1, 1, tzinfo=UTC)).total_seconds() * 10_000_000
    data[0xFA8:0xFB0] = struct.pack("<Q", int(ticks))
    data[0x2000:] = bytes(len(data) - 0x2000)
    (tmp_path / "b.dmp").write_bytes(data)
    with KernelImage(tmp_path / "b.dmp", cache_dir=lab.cache) as image:
        assert image.captured == datetime(2021, 3, 4, tzinfo=UTC)


def test_memory_alone_says_nothing(tmp_path: Path) -> None:
    (tmp_path / "a.raw").write_bytes(bytes(1 << 20))
    with KernelImage(tmp_path / "a.raw", cache_dir=tmp_path) as image:
        assert image.captured is None
