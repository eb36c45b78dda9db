"""A kernel whose own note is not in the image, but in the container: a crash dump need not hold all pages."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from dumpscan.memory.kernel.image import KernelImage
from dumpscan.synth.kernel.linux.build import build_linux
from support.corpus import SAMPLES
from support.kdump_bytes import BLOCK, Kdump

if TYPE_CHECKING:
    from pathlib import Path

HEADER = 24
"""Bytes of the note before its text."""


@pytest.fixture(scope="module")
def memory(tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, int]:
    """An image without a note in it, and where it was."""
    paths = build_linux(SAMPLES / "linux-server.toml", tmp_path_factory.mktemp("linux"))
    return paths.image.read_bytes(), json.loads(paths.truth.read_text())["kernel"]["note"]


def kdump(directory: Path, data: bytes, left_out: int, note: bytes) -> Path:
    """Write all pages but one that are not zero."""
    pages = {at // BLOCK: data[at : at + BLOCK] for at in range(0, len(data), BLOCK) if any(data[at : at + BLOCK])}
    del pages[left_out // BLOCK]
    path = directory / "image.kdump"
    path.write_bytes(Kdump(pages, vmcoreinfo=note).write())
    return path


def test_the_containers_note_serves(tmp_path: Path, memory: tuple[bytes, int]) -> None:
    data, at = memory
    text = data[at + HEADER : at + BLOCK].split(b"\0")[0]
    with KernelImage(kdump(tmp_path, data, at, text), cache_dir=tmp_path) as image:
        kernel = image.describe()["kernel"]
        assert isinstance(kernel, dict)
        assert (kernel["release"], kernel["note"]) == ("6.1.0-18-synthetic", None)
        assert kernel["build_id"] is not None  # only a note tells it
        assert len(image.processes()) == 6


@pytest.mark.parametrize("note", [b"OSRELEASE=9.9.9\nNUMBER(phys_base)=0\n", b"\xff" * 5000, b"OSRELEASE="])
def test_a_note_that_is_not_the_kernels(tmp_path: Path, memory: tuple[bytes, int], note: bytes) -> None:
    """The kernel is found without it."""
    data, at = memory
    with KernelImage(kdump(tmp_path, data, at, note), cache_dir=tmp_path) as image:
        kernel = image.describe()["kernel"]
        assert isinstance(kernel, dict)
        assert (kernel["release"], kernel["build_id"]) == ("6.1.0-18-synthetic", None)
        assert len(image.processes()) == 6
