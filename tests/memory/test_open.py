from __future__ import annotations

import lzma
from typing import TYPE_CHECKING

import pytest

from dumpscan.exceptions import InputError
from dumpscan.memory.dump import is_physical
from dumpscan.memory.formats import KERNEL, MINIDUMP, NoDumpError, OpenOptions
from dumpscan.memory.open import open_dump
from support.corpus import ROOT
from support.kernel_images import build_lab

if TYPE_CHECKING:
    from pathlib import Path

    from support.kernel_images import Lab

SAMPLE = ROOT / "sample_dumps" / "webserver.dmp"


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Lab:
    return build_lab(tmp_path_factory.mktemp("lab"))


def test_a_minidump_by_its_content(tmp_path: Path) -> None:
    path = tmp_path / "holiday.jpg"
    path.write_bytes(SAMPLE.read_bytes())
    opened = open_dump(path)
    assert not is_physical(opened)
    assert opened.process is not None
    assert opened.process.pid == 5120
    opened.close()


def test_a_raw_image_by_its_kernel(lab: Lab) -> None:
    opened = open_dump(lab.image, options=OpenOptions(symbols=[lab.symbols]))
    assert is_physical(opened)
    assert opened.physical.format == "raw"
    opened.close()


@pytest.mark.parametrize("container", ["lime", "crash"])
def test_an_image_in_a_container(tmp_path: Path, container: str) -> None:
    opened = open_dump(build_lab(tmp_path, container=container).image)
    assert is_physical(opened)
    assert opened.physical.format != "raw"
    opened.close()


def test_a_raw_image_that_is_cut_short(lab: Lab, tmp_path: Path) -> None:
    whole = lab.image.stat().st_size
    cut = lab.changed(tmp_path, {}, size=whole - whole // 4 - 123)
    opened = open_dump(cut.image)
    assert is_physical(opened)
    assert "cut short" in " ".join(opened.damage)
    opened.close()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "empty"),
        (b"just a few words\r\n", "text"),
        (b"\x00" * 100, "zeros"),
        (b"\x17" * 100, "too small"),
        (b"PK\x03\x04" + bytes(100), "zip archive"),
        (b"\x7fELF" + bytes(5000), "ELF"),
        (lzma.compress(b"x"), "xz archive"),
        (b"\x11" * (1 << 20), "no Windows kernel"),
        (bytes(1 << 20), "no Windows kernel"),
        (b"word " * (1 << 18), "like a text, and no Windows kernel"),
    ],
)
def test_what_is_no_dump(tmp_path: Path, content: bytes, reason: str) -> None:
    path = tmp_path / "memory.dmp"
    path.write_bytes(content)
    with pytest.raises(NoDumpError, match=reason):
        open_dump(path)


@pytest.mark.parametrize(
    "content", [b"MDMP", b"MDMP" + bytes(28), b"PMDM" + bytes(28), b"HIBR" * 9, b"EMiL" + bytes(99)]
)
def test_a_dump_that_cannot_be_read_is_still_one(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "memory.dmp"
    path.write_bytes(content)
    with pytest.raises(InputError):
        open_dump(path)


def test_what_cannot_be_opened(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "absent"):
        with pytest.raises(InputError):
            open_dump(path)


def test_a_file_of_another_kind_is_named(lab: Lab) -> None:
    with pytest.raises(InputError, match="is a minidump: use `dumpscan minidump`"):
        open_dump(SAMPLE, kind=KERNEL)
    with pytest.raises(InputError, match="expected the signature MDMP"):
        open_dump(lab.image, kind=MINIDUMP)


@pytest.mark.parametrize(
    ("head", "name"),
    [
        (bytes.fromhex("cffaedfe070000010300000004000000"), "a Mach-O core of a macOS process"),
        (bytes.fromhex("19435654") + bytes(60), "an image of a CRIU checkpoint"),
    ],
)
def test_dumps_that_are_not_read_are_named(tmp_path: Path, head: bytes, name: str) -> None:
    path = tmp_path / "core"
    path.write_bytes(head + bytes(4096))
    with pytest.raises(InputError, match=name):
        open_dump(path)
