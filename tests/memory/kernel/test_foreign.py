"""Images of systems that dumpscan does not understand are refused by the system's name."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from dumpscan.exceptions import InputError
from dumpscan.memory.formats import NoDumpError
from dumpscan.memory.kernel.foreign import foreign_system
from dumpscan.memory.open import open_dump
from support.page_table_images import open_bytes

if TYPE_CHECKING:
    from pathlib import Path

DARWIN = b"Darwin Kernel Version 23.1.0: Mon Oct  9 21:27:24 PDT 2023; root:xnu-10002.41.9~6/RELEASE_X86_64\0"
BANNERS = {
    "macOS": DARWIN,
    "FreeBSD": b"@(#)FreeBSD 14.0-RELEASE #0 releng/14.0-n265380",
    "OpenBSD": b"@(#)OpenBSD 7.4 (GENERIC.MP) #1397",
    "NetBSD": b"@(#)NetBSD 9.3 (GENERIC) #0",
    "VMware ESXi": b"VMware ESXi 8.0.2 [Releasebuild-22380479 x86_64]",
}


@pytest.mark.parametrize("name", BANNERS)
def test_a_system_is_told_by_its_banner(tmp_path: Path, name: str) -> None:
    data = bytes(5000) + BANNERS[name] + bytes(5000)
    assert foreign_system(open_bytes(tmp_path, data)) == name


def test_words_that_a_text_may_have_are_no_banner(tmp_path: Path) -> None:
    data = b"Darwin Kernel Version is what macOS says; @(#)FreeBSD too" + bytes(8192)
    assert foreign_system(open_bytes(tmp_path, data)) is None


def test_an_image_of_macos_is_refused_and_not_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "mac.raw"
    path.write_bytes(bytes(2 << 20) + DARWIN + bytes(1 << 20))
    with pytest.raises(InputError, match="is an image of macOS"):
        open_dump(path)


def test_a_file_of_zeros_is_no_dump(tmp_path: Path) -> None:
    path = tmp_path / "zeros.raw"
    path.write_bytes(bytes(2 << 20))
    with pytest.raises(NoDumpError):
        open_dump(path)
